//! Keeps the versions that a session's packages were resolved to.
//!
//! cargo removes from the lock file what a package does not depend on. evcxr's package depends on nothing before `:dep
//! helpers`, and on a single crate while that one is looked up. Later dependencies would then be resolved anew, to
//! other versions, and compiled for minutes.

use std::collections::BTreeMap;

const PACKAGE: &str = "[[package]]\n";

/// `now`, and the packages of `before` that it lacks.
pub(crate) fn merged(before: &str, now: &str) -> String {
    let (head, _) = now.split_once(PACKAGE).unwrap_or((now, ""));
    let mut packages = packages(before);
    packages.extend(self::packages(now));
    if packages.is_empty() {
        return now.to_owned();
    }
    let list: Vec<&str> = packages.into_values().collect();
    format!("{head}{PACKAGE}{}\n", list.join(&format!("\n\n{PACKAGE}")))
}

/// The workspace's packages, plus those of an earlier warm build whose names the workspace does not have.
pub(crate) fn with_added(workspace: &str, before: &str) -> String {
    let name = |package: &&str| package.lines().next().unwrap_or_default().to_owned();
    let known: Vec<String> = packages(workspace).keys().map(name).collect();
    let added = packages(before).into_iter().filter(|(package, _)| {
        !known.contains(&name(package)) && name(package) != "name = \"ctx\""
    });
    let added: String = added.flat_map(|(_, text)| [PACKAGE, text, "\n\n"]).collect();
    merged(&added, workspace)
}

/// The versions of a package.
pub(super) fn versions<'a>(lock_file: &'a str, name: &str) -> Vec<&'a str> {
    let head = format!("name = \"{name}\"\nversion = \"");
    let all = packages(lock_file).into_keys();
    all.filter_map(|package| package.strip_prefix(&head)?.split('"').next()).collect()
}

/// The entry of each package, by name and version.
fn packages(lock_file: &str) -> BTreeMap<&str, &str> {
    let all = lock_file.split(PACKAGE).skip(1).map(str::trim_end);
    all.map(|text| {
        let mut ends = text.match_indices('\n').map(|(at, _)| at);
        let name_and_version = ends.nth(1).map_or(text, |end| &text[..end]);
        (name_and_version, text)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# made by cargo\nversion = 4\n\n";

    fn lock_file(packages: &[&str]) -> String {
        let list: Vec<String> = packages
            .iter()
            .map(|package| {
                let (name, version) = package.split_once(' ').unwrap();
                format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"r\"\n")
            })
            .collect();
        format!("{HEAD}{}", list.join("\n"))
    }

    #[test]
    fn no_version_is_forgotten() {
        let before = lock_file(&["half 2.4.1", "rand 0.8.5", "tch 0.26.0"]);
        let now = lock_file(&["either 1.15.0", "itertools 0.13.0"]);
        let all = ["either 1.15.0", "half 2.4.1", "itertools 0.13.0", "rand 0.8.5", "tch 0.26.0"];
        assert_eq!(merged(&before, &now), lock_file(&all));
        assert_eq!(versions(&before, "rand"), ["0.8.5"]);
        assert_eq!(versions(&before, "ran").len(), 0);
    }

    #[test]
    fn what_was_added_stays_beside_what_the_workspace_has() {
        let workspace = lock_file(&["half 2.5.0", "tch 0.26.0"]);
        let before = lock_file(&["ctx 1.0.0", "either 1.15.0", "half 2.4.1"]);
        let all = lock_file(&["either 1.15.0", "half 2.5.0", "tch 0.26.0"]);
        assert_eq!(with_added(&workspace, &before), all);
    }

    #[test]
    fn two_versions_of_a_package_are_two() {
        let (before, now) = (lock_file(&["rand 0.8.5"]), lock_file(&["rand 0.9.0"]));
        assert_eq!(merged(&before, &now), lock_file(&["rand 0.8.5", "rand 0.9.0"]));
    }

    #[test]
    fn what_is_there_already_stays_as_it_is() {
        let all = lock_file(&["half 2.4.1", "tch 0.26.0"]);
        assert_eq!(merged(&all, &all), all);
        assert_eq!(merged(&lock_file(&["half 2.4.1"]), &all), all);
    }
}
