//! Crates that the user has added to the warm build, so that a `:dep` for them compiles nothing.
//!
//! The list is a file beside the warm builds, one manifest line per crate. It outlives them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::write_lasting;
use crate::paths::Paths;

/// The crates, one a line: `itertools = "0.14.0"`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Crates(Vec<String>);

impl Crates {
    /// The crates that every later warm build includes.
    pub(crate) fn of(paths: &Paths) -> Crates {
        Crates::read(&file(paths))
    }

    /// Those that this warm build was made with.
    pub(crate) fn of_template(template: &Path) -> Crates {
        Crates::read(&template.join("crates"))
    }

    fn read(file: &Path) -> Crates {
        let text = fs::read_to_string(file).unwrap_or_default();
        Crates(text.lines().map(str::to_owned).collect())
    }

    pub(crate) fn write_to_template(&self, template: &Path) -> io::Result<()> {
        write_lasting(&template.join("crates"), self.text().as_bytes())
    }

    pub(crate) fn text(&self) -> String {
        self.0.iter().map(|line| format!("{line}\n")).collect()
    }

    /// evcxr's commands for all of them.
    pub(crate) fn commands(&self) -> String {
        self.0.iter().map(|line| format!(":dep {line}\n")).collect()
    }

    /// The three forms in which a notebook may ask for each crate: without a version, with a compatible one, with this
    /// one.
    pub(crate) fn asked_for(&self) -> Vec<String> {
        let requirement = |line: &str| Some(line.split_once(" = ")?.1.trim_matches('"').to_owned());
        let all = self.0.iter().flat_map(|line| {
            let exact = requirement(line).unwrap_or_default();
            let numbers: Vec<&str> = exact.split('.').collect();
            // Up to the first number that is not zero: cargo takes versions that agree so far for compatible.
            let alike = numbers.iter().position(|number| *number != "0").unwrap_or(0);
            let short = numbers[..=alike].join(".");
            let name = name(line).to_owned();
            [format!(":dep {name}"), format!(":dep {name} = \"{short}\""), format!(":dep {line}")]
        });
        all.collect()
    }

    pub(crate) fn with(&self, line: &str) -> Crates {
        let mut lines = self.without(name(line)).0;
        lines.push(line.to_owned());
        lines.sort();
        Crates(lines)
    }

    pub(crate) fn without(&self, other: &str) -> Crates {
        Crates(self.0.iter().filter(|line| name(line) != other).cloned().collect())
    }

    pub(crate) fn has(&self, other: &str) -> bool {
        self.0.iter().any(|line| name(line) == other)
    }
}

pub(crate) fn name(line: &str) -> &str {
    line.split(' ').next().unwrap_or(line)
}

pub(crate) fn file(paths: &Paths) -> PathBuf {
    paths.kernel().join("crates")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_stands_once_in_the_list() {
        let crates = Crates::default().with("rand = \"0.9.1\"").with("half = \"2.4.1\"");
        assert_eq!(crates.text(), "half = \"2.4.1\"\nrand = \"0.9.1\"\n");
        let newer = crates.with("rand = \"0.10.0\"");
        assert_eq!(newer.text(), "half = \"2.4.1\"\nrand = \"0.10.0\"\n");
        assert!(newer.has("half") && !newer.without("half").has("half"));
        assert_eq!(newer.commands(), ":dep half = \"2.4.1\"\n:dep rand = \"0.10.0\"\n");
    }

    #[test]
    fn a_notebook_may_ask_for_it_in_several_ways() {
        let crates = Crates::default().with("rand = \"0.9.1\"");
        assert_eq!(
            crates.asked_for(),
            [":dep rand", ":dep rand = \"0.9\"", ":dep rand = \"0.9.1\""]
        );
        assert_eq!(Crates::default().with("half = \"2.4.1\"").asked_for()[1], ":dep half = \"2\"");
    }
}
