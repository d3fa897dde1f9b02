//! The manifest that evcxr writes for each cell.

/// A manifest, with its dependencies in one order: evcxr's come in any.
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

    /// What decides how a cell is compiled.
    pub(super) fn text(&self) -> String {
        format!("{}\n{}", self.package, self.dependencies.join("\n"))
    }

    /// What decides on cargo's answers: they are the same for all levels of optimisation.
    pub(super) fn text_without_level(&self) -> String {
        let lines = self.package.lines().filter(|line| !line.starts_with(LEVEL));
        lines.chain(self.dependencies.iter().map(String::as_str)).collect::<Vec<_>>().join("\n")
    }
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
    fn another_dependency_is_another_manifest() {
        let (one, two) = (manifest(0, "a = \"1\""), manifest(0, "a = \"1\"\nb = \"1\""));
        assert_ne!(one.text(), two.text());
        assert_ne!(one.text_without_level(), two.text_without_level());
    }
}
