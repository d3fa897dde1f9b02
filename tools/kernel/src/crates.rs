//! Crates that somebody has had added to the warm build, so that a `:dep` for them costs no wait.
//!
//! The list lies beside the warm builds, a line a crate as a manifest has it, and outlives them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::files::{lock, write_whole};
use crate::outcome::Outcome;
use crate::paths::Paths;
use crate::template;

/// The crates, one a line: `itertools = "0.14.0"`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Crates(Vec<String>);

impl Crates {
    /// Those of all warm builds to come.
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
        write_whole(&template.join("crates"), self.text().as_bytes())
    }

    pub(crate) fn text(&self) -> String {
        self.0.iter().map(|line| format!("{line}\n")).collect()
    }

    /// evcxr's commands for all of them.
    pub(crate) fn commands(&self) -> String {
        self.0.iter().map(|line| format!(":dep {line}\n")).collect()
    }

    /// The ways in which a notebook may ask for each: whatever version there is, that one, the like of it.
    pub(crate) fn asked_for(&self) -> Vec<String> {
        let requirement = |line: &str| Some(line.split_once(" = ")?.1.trim_matches('"').to_owned());
        let all = self.0.iter().flat_map(|line| {
            let exact = requirement(line).unwrap_or_default();
            let numbers: Vec<&str> = exact.split('.').collect();
            // Up to the first that is not zero, as cargo tells versions that go together.
            let alike = numbers.iter().position(|number| *number != "0").unwrap_or(0);
            let short = numbers[..=alike].join(".");
            let name = name(line).to_owned();
            [format!(":dep {name}"), format!(":dep {name} = \"{short}\""), format!(":dep {line}")]
        });
        all.collect()
    }

    fn with(&self, line: &str) -> Crates {
        let mut lines = self.without(name(line)).0;
        lines.push(line.to_owned());
        lines.sort();
        Crates(lines)
    }

    fn without(&self, other: &str) -> Crates {
        Crates(self.0.iter().filter(|line| name(line) != other).cloned().collect())
    }

    fn has(&self, other: &str) -> bool {
        self.0.iter().any(|line| name(line) == other)
    }
}

fn name(line: &str) -> &str {
    line.split(' ').next().unwrap_or(line)
}

fn file(paths: &Paths) -> PathBuf {
    paths.kernel().join("crates")
}

/// Makes a warm build with this crate (`NAME` or `NAME@VERSION`), too; if that cannot be, all stays as it was.
pub(crate) fn add(paths: &Paths, wanted: &str) -> Outcome {
    let line = resolve(wanted)?;
    change(paths, |crates| Ok(crates.with(&line))).map_err(|error| {
        format!("`{wanted}` cannot be added, and the warm build is as it was before: {error}")
    })?;
    println!("`:dep {line}` costs no wait from now on, in kernels that start after this");
    Ok(())
}

/// Makes a warm build without this crate.
pub(crate) fn remove(paths: &Paths, wanted: &str) -> Outcome {
    change(paths, |crates| match crates.has(wanted) {
        true => Ok(crates.without(wanted)),
        false => {
            Err(format!("`{wanted}` was not added; `cargo xtask kernel list` says what was").into())
        }
    })?;
    println!("`{wanted}` is no part of the warm build any longer");
    Ok(())
}

/// Prints the crates, a line each.
pub(crate) fn list(paths: &Paths) {
    let text = Crates::of(paths).text();
    print!("{}", if text.is_empty() { "no crates were added\n" } else { &text });
}

fn change(paths: &Paths, how: impl FnOnce(&Crates) -> Outcome<Crates>) -> Outcome {
    fs::create_dir_all(paths.kernel())?;
    let _only_one = lock(&paths.kernel().join("crates.lock"))?;
    let crates = how(&Crates::of(paths))?;
    template::build(paths, &crates)?;
    Ok(write_whole(&file(paths), crates.text().as_bytes())?)
}

/// As a manifest has it, with the version that cargo takes; an error if there is no such crate.
fn resolve(wanted: &str) -> Outcome<String> {
    let (name, _) = wanted.split_once('@').unwrap_or((wanted, ""));
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(format!(
            "`{wanted}` is no crate's name; write it as `itertools` or `itertools@0.14`"
        )
        .into());
    }
    let folder = tempfile::tempdir()?;
    let manifest = folder.path().join("Cargo.toml");
    fs::write(&manifest, "[package]\nname = \"asks\"\nedition = \"2024\"\n[dependencies]\n")?;
    fs::create_dir(folder.path().join("src"))?;
    fs::write(folder.path().join("src/lib.rs"), "")?;
    let said = Command::new("cargo")
        .args(["add", "--quiet", wanted])
        .current_dir(folder.path())
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !said.status.success() {
        let said = String::from_utf8_lossy(&said.stderr);
        let said = said.trim().trim_start_matches("error: ").to_owned();
        return Err(format!("cargo finds no crate `{wanted}`: {said}").into());
    }
    let text = fs::read_to_string(manifest)?;
    let line = text.lines().find(|line| self::name(line) == name && line.contains(" = "));
    line.map(str::to_owned).ok_or_else(|| {
        format!("cargo knows the crate `{name}` under another name; write it so").into()
    })
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

    #[test]
    fn what_is_no_name_is_refused() {
        for wanted in ["", "@1", "--git=x", "a b", "../a"] {
            assert!(resolve(wanted).unwrap_err().to_string().contains("is no crate's name"));
        }
    }
}
