//! Tools that must be installed; they are checked first, so that set-up does not stop half-way.

use std::fs;
use std::path::Path;

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

/// Gigabytes that set-up and a full run need, downloads included. `failure::ADVICE` and the README name the same
/// number.
pub(crate) const NEEDED_GB: u64 = 8;
/// The same with CUDA, whose wheels have 3 GB, and more than 5 when unpacked.
const NEEDED_GB_WITH_CUDA: u64 = 16;

/// The oldest Rust that compiles this workspace, as in Cargo.toml.
const OLDEST_RUST: &str = env!("CARGO_PKG_RUST_VERSION");
/// The oldest GCC that supports all of C++17, which libtorch's headers need.
const OLDEST_GCC: &str = "9";
/// The oldest C library that the wheels run on (`manylinux_2_28`).
const OLDEST_GLIBC: &str = "2.28";

/// Looks for the tools.
///
/// # Errors
/// At the first tool that is missing or too old, with advice.
pub(crate) fn check(project: &Project) -> Result<Tools, Failure> {
    check_folder(project)?;
    let (rustc, python) = (rustc(project)?, python::find(project)?);
    let compiler = compiler(project)?;
    c_library(project)?;
    Ok(Tools { rustc, python, compiler })
}

/// The tools that are there, missing ones left empty: enough to see which steps are done.
pub(crate) fn found(project: &Project) -> Tools {
    let missing = |_| python::Python { program: "python3".into(), version: String::new() };
    Tools {
        rustc: rustc(project).unwrap_or_default(),
        python: python::find(project).unwrap_or_else(missing),
        compiler: compiler(project).unwrap_or_default(),
    }
}

/// The output of `rustc -V`.
///
/// # Errors
/// If there is no compiler, or it is too old.
pub(crate) fn rustc(project: &Project) -> Result<String, Failure> {
    let text = process::ask(project.command("rustc").arg("-V")).ok_or_else(|| {
        Failure::new("no Rust compiler found (looked for rustc)")
            .advice("install Rust as https://rustup.rs says")
    })?;
    if is_older(&text, OLDEST_RUST) {
        return Err(Failure::new(format!("{} is too old: {OLDEST_RUST} is needed", short(&text)))
            .advice("rustup update; a Rust of the system's packages cannot be updated so: install it as https://rustup.rs says"));
    }
    Ok(text)
}

/// The C library's version on Linux, where the wheels of libtorch and of Python packages need a recent one.
///
/// # Errors
/// If it is too old.
pub(crate) fn c_library(project: &Project) -> Result<String, Failure> {
    let asked = process::ask(project.command("getconf").arg("GNU_LIBC_VERSION"));
    let Some(text) = asked.filter(|_| cfg!(target_os = "linux")) else {
        return Ok(format!("not glibc; on Linux {OLDEST_GLIBC} or newer is needed"));
    };
    if is_older(&text, OLDEST_GLIBC) {
        return Err(Failure::new(format!("{text} is too old: {OLDEST_GLIBC} is needed"))
            .advice("take a newer system: Debian 10, Ubuntu 20.04, Fedora 29, RHEL 8 or later"));
    }
    Ok(text)
}

/// True if the first version number in a text (`rustc 1.95.0 (…)`, `glibc 2.36`) is older than `oldest`; false if there
/// is none.
fn is_older(text: &str, oldest: &str) -> bool {
    let numbers = |text: &str| -> Vec<u32> {
        let is_version = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
        let word = text.split_whitespace().find(is_version).unwrap_or_default();
        word.split('.').map_while(|number| number.parse().ok()).collect()
    };
    let found = numbers(text);
    !found.is_empty() && found < numbers(oldest)
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

/// The note for a project on a drive of Windows, seen from WSL.
pub(crate) fn slow_folder(project: &Project) -> Option<&'static str> {
    let kernel = fs::read_to_string("/proc/version").unwrap_or_default();
    is_windows_drive(project.root(), &kernel).then_some(
        "on a drive of Windows, where each build takes many times as long: better a folder below ~ in WSL",
    )
}

fn is_windows_drive(folder: &Path, kernel: &str) -> bool {
    folder.starts_with("/mnt") && kernel.to_lowercase().contains("microsoft")
}

/// The step that shows the tools that were found; libtorch with CUDA needs more room.
pub(crate) fn step(tools: &Tools, cuda: bool) -> SetupStep {
    let needed = if cuda { NEEDED_GB_WITH_CUDA } else { NEEDED_GB };
    let text =
        format!("{}, Python {}, {}", short(&tools.rustc), tools.python.version, tools.compiler);
    SetupStep::always("Tools", move |project, _| {
        if let Some(free) = free_gb(project)
            && free < needed
            && !project.tools("stamps/kernel").exists()
        {
            let cuda = if cuda { "; without CUDA (--cpu) half of it" } else { "" };
            return Err(Failure::new(format!("{free} GB are free on this disk")).advice(format!(
                "set-up and a full run need about {needed} GB: make room first{cuda}"
            )));
        }
        Ok(match slow_folder(project) {
            Some(note) => format!("{text}; the project lies {note}"),
            None => text,
        })
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
            return judged(name, &text);
        }
    }
    Err(Failure::new("no C++ compiler found (looked for c++, g++, clang++)").advice(
        "libtorch's bindings need one; on Debian or Ubuntu: apt-get install g++; \
         on Fedora: dnf install gcc-c++; on macOS: xcode-select --install",
    ))
}

/// A compiler's name and version, from what it says of itself.
fn judged(name: &str, text: &str) -> Result<String, Failure> {
    // `c++ (Debian 12.2.0-14) 12.2.0`, `Apple clang version 15.0.0 (clang-1500.1)`
    let mut words = text.lines().next().unwrap_or_default().split_whitespace();
    let version = words.rfind(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let shown = format!("{name} {}", version.unwrap_or_default()).trim_end().to_owned();
    let is_gcc = text.contains("Free Software Foundation");
    if is_gcc && is_older(version.unwrap_or_default(), OLDEST_GCC) {
        return Err(Failure::new(format!("{shown} is too old: GCC {OLDEST_GCC} is needed"))
            .advice("install a newer g++ or clang++, and name it in the variable CXX"));
    }
    Ok(shown)
}

/// Free space where `.tools` is.
pub(crate) fn free_gb(project: &Project) -> Option<u64> {
    let text = process::ask(project.command("df").args(["-Pk", "."]))?;
    let kilobytes: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kilobytes / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_old_is_refused() {
        assert!(is_older("rustc 1.94.1 (e408947bf 2026-03-25)", "1.95"));
        assert!(!is_older("rustc 1.95.0 (59807616e 2026-04-14)", "1.95"));
        assert!(!is_older("rustc 1.100.0-nightly (1a2b3c4d5 2026-10-30)", "1.95"));
        assert!(is_older("glibc 2.17", OLDEST_GLIBC) && !is_older("glibc 2.36", OLDEST_GLIBC));
        assert!(!is_older("no version", "1.95"));
        let gcc = |version: &str| {
            let first = format!("g++ (Ubuntu {version}-3ubuntu1) {version}\n");
            judged("g++", &(first + "Copyright (C) 2017 Free Software Foundation, Inc."))
        };
        assert_eq!(gcc("12.2.0").unwrap(), "g++ 12.2.0");
        let text = gcc("7.5.0").unwrap_err().to_string();
        assert!(text.starts_with("g++ 7.5.0 is too old: GCC 9 is needed"), "{text}");
        let clang = judged("c++", "Apple clang version 15.0.0 (clang-1500.1)\nTarget: arm64");
        assert_eq!(clang.unwrap(), "c++ 15.0.0");
    }

    #[test]
    fn a_drive_of_windows_is_told_from_a_disk() {
        let wsl = "Linux version 5.15.90.1-microsoft-standard-WSL2";
        assert!(is_windows_drive(Path::new("/mnt/c/Users/me/images"), wsl));
        assert!(!is_windows_drive(Path::new("/home/me/images"), wsl));
        assert!(!is_windows_drive(Path::new("/mnt/data/images"), "Linux version 6.1.0"));
    }

    #[test]
    fn one_number_says_how_much_room_is_needed() {
        let number = format!("{NEEDED_GB} GB");
        let advice = crate::failure::diagnose("No space left on device").unwrap();
        assert!(advice.contains(&number), "{advice}");
        let readme = fs::read_to_string(Project::find().path("README.md")).unwrap();
        assert!(readme.contains(&number));
    }

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
