//! The manifest that evcxr writes for each cell.

use semver::{Version, VersionReq};

use crate::toolchain::lock_file;

/// A manifest with sorted dependencies: evcxr writes them in any order.
pub(super) struct Manifest {
    package: String,
    dependencies: Vec<String>,
}

const DEPENDENCIES: &str = "[dependencies]";
const LEVEL: &str = "opt-level = ";

impl Manifest {
    pub(super) fn new(text: String) -> Manifest {
        let (package, dependencies) = text.split_once(DEPENDENCIES).unwrap_or((&text, ""));
        let mut dependencies: Vec<String> = dependencies
            .lines()
            .map(|line| line.replace(' ', ""))
            .filter(|line| !line.is_empty())
            .collect();
        dependencies.sort_unstable();
        Manifest { package: package.trim().to_owned(), dependencies }
    }

    pub(super) fn has_dependencies(&self) -> bool {
        !self.dependencies.is_empty()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.dependencies.iter().filter_map(|line| Some(line.split_once('=')?.0))
    }

    /// This package with the dependencies of `other`, if those include all of its own: as the same line, or as a
    /// requirement that the version in this lock file satisfies.
    pub(super) fn within(&self, other: &Manifest, lock_file: &str) -> Option<Manifest> {
        let is_there = |line: &String| {
            if other.dependencies.contains(line) {
                return Some(());
            }
            let (name, requirement) = parse(line)?;
            let (_, built) = other
                .dependencies
                .iter()
                .filter_map(|line| parse(line))
                .find(|(has, _)| *has == name)?;
            let versions = lock_file::versions(lock_file, name);
            let versions = versions.iter().filter_map(|text| Version::parse(text).ok());
            let version = versions.filter(|version| built.matches(version)).max()?;
            requirement.matches(&version).then_some(())
        };
        self.dependencies.iter().all(|line| is_there(line).is_some()).then(|| Manifest {
            package: self.package.clone(),
            dependencies: other.dependencies.clone(),
        })
    }

    /// What decides how a cell is compiled.
    pub(super) fn text(&self) -> String {
        format!("{}\n{}", self.package, self.dependencies.join("\n"))
    }

    /// The text that decides what cargo answers: the optimisation level does not matter.
    pub(super) fn text_without_level(&self) -> String {
        let lines = self.package.lines().filter(|line| !line.starts_with(LEVEL));
        lines.chain(self.dependencies.iter().map(String::as_str)).collect::<Vec<_>>().join("\n")
    }
}

/// Name and version requirement of a dependency that says nothing else: `a="1"`, `a={version="1"}`.
fn parse(line: &str) -> Option<(&str, VersionReq)> {
    let (name, said) = line.split_once('=')?;
    let said =
        said.strip_prefix("{version=").and_then(|said| said.strip_suffix('}')).unwrap_or(said);
    let said = said.strip_prefix('"')?.strip_suffix('"')?;
    Some((name, VersionReq::parse(said).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(level: u32, dependencies: &str) -> Manifest {
        Manifest::new(format!(
            "[package]\nname = \"ctx\"\n\n[profile.dev]\nopt-level = {level}\n\n[dependencies]\n{dependencies}\n"
        ))
    }

    #[test]
    fn the_order_of_dependencies_makes_no_difference() {
        let one = manifest(0, "rand = \"0.9\"\nhelpers = { path = \"/h\" }");
        let two = manifest(0, "helpers={path=\"/h\"}\nrand = \"0.9\"");
        assert_eq!(one.text(), two.text());
        assert!(one.has_dependencies());
        assert!(!manifest(0, "").has_dependencies());
    }

    #[test]
    fn the_level_decides_how_a_cell_is_compiled_and_nothing_else() {
        let (one, two) = (manifest(0, ""), manifest(3, ""));
        assert_ne!(one.text(), two.text());
        assert_eq!(one.text_without_level(), two.text_without_level());
    }

    #[test]
    fn fewer_dependencies_are_within_more() {
        let built = manifest(0, "helpers = { path = \"/h\" }\nrand = \"0.9.1\"");
        let locked = "[[package]]\nname = \"rand\"\nversion = \"0.8.5\"\n\n\
            [[package]]\nname = \"rand\"\nversion = \"0.9.3\"\n";
        let is_within =
            |one: &str| manifest(3, one).within(&built, locked).map(|whole| whole.text());
        let whole = manifest(3, "helpers = { path = \"/h\" }\nrand = \"0.9.1\"").text();
        for one in [
            "helpers = { path = \"/h\" }",
            "rand = \"*\"\nhelpers = { path = \"/h\" }",
            "rand = \"0.9\"",
            "rand = { version = \"=0.9.3\" }",
        ] {
            assert_eq!(is_within(one).as_ref(), Some(&whole), "{one}");
        }
        for one in [
            "rand = \"0.8\"",
            "rand = \"=0.9.1\"",
            "rand = { version = \"0.9\", features = [\"std\"] }",
            "rand_core = \"*\"",
            "helpers = { path = \"/other\" }",
        ] {
            assert_eq!(is_within(one), None, "{one}");
        }
        assert_eq!(built.names().collect::<Vec<_>>(), ["helpers", "rand"]);
    }

    #[test]
    fn another_dependency_is_another_manifest() {
        let (one, two) = (manifest(0, "a = \"1\""), manifest(0, "a = \"1\"\nb = \"1\""));
        assert_ne!(one.text(), two.text());
        assert_ne!(one.text_without_level(), two.text_without_level());
    }
}
