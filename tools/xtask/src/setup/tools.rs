//! Tools that must be installed; they are checked first, so that set-up does not stop half-way.

use crate::failure::Failure;
use crate::process;
use crate::project::Project;
use crate::setup::python;
use crate::setup::step::SetupStep;

/// The tools that were found.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    /// The output of `rustc -V`.
    pub(crate) rustc: String,
    pub(crate) python: python::Python,
    /// The first line of the compiler's version.
    pub(crate) compiler: String,
}

/// Gigabytes that set-up and a full run need, downloads included.
pub(crate) const NEEDED_GB: u64 = 8;

/// Looks for the tools.
///
/// # Errors
/// At the first tool that is missing, with advice.
pub(crate) fn check(project: &Project) -> Result<Tools, Failure> {
    check_folder(project)?;
    let rustc = process::ask(project.command("rustc").arg("-V")).ok_or_else(|| {
        Failure::new("no Rust compiler found (looked for rustc)")
            .advice("install Rust as https://rustup.rs says")
    })?;
    let python = python::find(project)?;
    let compiler = compiler(project)?;
    Ok(Tools { rustc, python, compiler })
}

/// Refuses a project folder whose path the programs of the set-up cannot handle: linker options are split at spaces,
/// and lists of folders at colons.
///
/// # Errors
/// If its path contains such a character.
pub(crate) fn check_folder(project: &Project) -> Result<(), Failure> {
    let root = project.root().display().to_string();
    let Some(wrong) = root.chars().find(|c| c.is_whitespace() || ":;\"'".contains(*c)) else {
        return Ok(());
    };
    let name = if wrong.is_whitespace() { "a space".to_owned() } else { format!("`{wrong}`") };
    Err(Failure::new(format!("the project's folder has {name} in its path: {root}"))
        .advice("move the folder to a path without one, then give the same command again"))
}

/// The step that shows the tools that were found.
pub(crate) fn step(tools: &Tools) -> SetupStep {
    let text =
        format!("{}, Python {}, {}", short(&tools.rustc), tools.python.version, tools.compiler);
    SetupStep::always("Tools", move |project, _| {
        if let Some(free) = free_gb(project)
            && free < NEEDED_GB
            && !project.tools("stamps/kernel").exists()
        {
            return Err(Failure::new(format!("{free} GB are free on this disk")).advice(format!(
                "set-up and a full run need about {NEEDED_GB} GB: make room first"
            )));
        }
        Ok(text)
    })
}

/// `rustc 1.95.0` without date and commit.
pub(crate) fn short(version: &str) -> String {
    version.split(" (").next().unwrap_or(version).to_owned()
}

/// The first C++ compiler, with its version.
pub(crate) fn compiler(project: &Project) -> Result<String, Failure> {
    let chosen = std::env::var("CXX").ok();
    let names = chosen.as_deref().into_iter().chain(["c++", "g++", "clang++"]);
    for name in names {
        if let Some(text) = process::ask(project.command(name).arg("--version")) {
            // `c++ (Debian 12.2.0-14) 12.2.0`, `Apple clang version 15.0.0 (clang-1500.1)`
            let mut words = text.lines().next().unwrap_or_default().split_whitespace();
            let version = words.rfind(|word| word.starts_with(|c: char| c.is_ascii_digit()));
            return Ok(format!("{name} {}", version.unwrap_or_default()).trim_end().to_owned());
        }
    }
    Err(Failure::new("no C++ compiler found (looked for c++, g++, clang++)").advice(
        "libtorch's bindings need one; on Debian or Ubuntu: apt-get install g++; \
         on Fedora: dnf install gcc-c++; on macOS: xcode-select --install",
    ))
}

/// Free space where `.tools` is.
pub(crate) fn free_gb(project: &Project) -> Option<u64> {
    let text = process::ask(project.command("df").args(["-Pk", "."]))?;
    let kilobytes: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kilobytes / 1_000_000)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_folder_with_a_space_is_refused_before_anything_is_made() {
        let of = |root: &str| check(&Project::at(Path::new(root))).map(drop);
        let text = of("/home/me/my project").unwrap_err().to_string();
        assert!(
            text.starts_with("the project's folder has a space in its path: /home/me/my project"),
            "{text}"
        );
        assert!(text.contains("what to do: move the folder"), "{text}");
        assert!(of("/home/a:b").unwrap_err().to_string().contains("has `:` in its path"));
        check_folder(&Project::at(Path::new("/home/Ünal/my-project_2.0"))).unwrap();
    }
}
