//! The Python environment: a venv in `.tools/python`, with the packages of a lock.

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::files::{remove, size};
use crate::process;
use crate::progress::{bytes, fetched};
use crate::project::Project;
use crate::setup::stamp::Stamp;
use crate::setup::step::SetupStep;

const LOCK: &str = "tools/xtask/python/requirements.txt";

/// Bytes of its packages, roughly.
const FETCHED: u64 = 250_000_000;

/// Minor versions of Python 3 that the lock was made for.
const MINORS: RangeInclusive<u32> = 10..=14;

/// A Python that can make the environment.
#[derive(Debug, Clone)]
pub(crate) struct Python {
    pub(crate) program: PathBuf,
    pub(crate) version: String,
}

/// The first suitable Python on the path.
///
/// # Errors
/// If there is none; the message says why: missing, too old or too new, or without `venv`.
pub(crate) fn find(project: &Project) -> Result<Python, Failure> {
    find_among(project, MINORS)
}

/// The first Python on the path whose minor version is among `minors`.
///
/// # Errors
/// As [`find`].
pub(crate) fn find_among(
    project: &Project,
    minors: RangeInclusive<u32>,
) -> Result<Python, Failure> {
    const ASK: &str = "import sys\nprint(sys.executable)\nprint('%d.%d.%d' % sys.version_info[:3])\n\
        try:\n    import venv, ensurepip\n    print('venv')\nexcept ImportError:\n    print('no venv')";
    let names = std::iter::once("python3".to_owned())
        .chain(minors.clone().rev().map(|minor| format!("python3.{minor}")));
    let mut unfit = Vec::new();
    for name in names {
        let Some(text) = process::ask(project.command(&name).args(["-c", ASK])) else { continue };
        let lines: Vec<&str> = text.lines().collect();
        let [program, version, venv] = lines[..] else { continue };
        let minor =
            version.strip_prefix("3.").and_then(|rest| rest.split('.').next()?.parse().ok());
        if !minor.is_some_and(|minor| minors.contains(&minor)) {
            unfit.push(format!("{name} is {version}"));
        } else if venv != "venv" {
            unfit.push(format!("{name} {version} has no venv"));
        } else {
            return Ok(Python { program: program.into(), version: version.to_owned() });
        }
    }
    Err(explain(&minors, &unfit))
}

fn explain(minors: &RangeInclusive<u32>, unfit: &[String]) -> Failure {
    let wanted = format!("Python 3.{} to 3.{} with venv", minors.start(), minors.end());
    if unfit.is_empty() {
        return Failure::new(format!("no {wanted} found (looked for python3)")).advice(
            "on Debian or Ubuntu: apt-get install python3 python3-venv; on macOS: brew install python@3.12",
        );
    }
    let advice = if unfit.iter().any(|text| text.ends_with("no venv")) {
        "on Debian or Ubuntu: apt-get install python3-venv"
    } else {
        "install a Python in this range; it may stand beside the other one, as python3.12 for instance (on Fedora: \
         dnf install python3.12; on macOS: brew install python@3.12)"
    };
    Failure::new(format!("no {wanted} found: {}", unfit.join(", "))).advice(advice)
}

/// The stamp of the environment, which is also an input of the packages that are installed into it.
fn stamp(project: &Project, python: &Python) -> Stamp {
    Stamp::new(project, "python")
        .with("python", &python.version)
        .with("program", &python.program.display().to_string())
        .with_content(project, LOCK)
}

/// The step that makes the environment.
pub(crate) fn step(project: &Project, python: &Python) -> SetupStep {
    let program = python.program.clone();
    let title = "Python environment";
    SetupStep::new(title, stamp(project, python), project.python("python"), move |project, step| {
        let folder = project.tools("python");
        let failed = |error| Failure::of_file("remove", &folder, &error);
        // Scripts of an environment contain its path, so it is made in its final place and not moved there.
        remove(&folder).map_err(failed)?;
        // The packages were installed into it and are removed with it.
        remove(&project.tools("stamps/packages")).map_err(failed)?;
        let mut venv = project.command(&program);
        venv.args(["-m", "venv"]).arg(&folder);
        process::run(project, step, "making the Python environment", &mut venv, "python")?;

        let temporary = project.temporary("pip-")?;
        let mut pip = pip(project, &project.python("python"), "install", LOCK);
        pip.env("TMPDIR", temporary.path());
        let what = "installing the Python packages";
        process::run_watched(project, step, what, &mut pip, "python", |log| {
            match log.contains("Installing collected packages") {
                true => "installing".to_owned(),
                false => fetched(size(temporary.path()), FETCHED),
            }
        })?;
        let packages = fs::read_to_string(project.path(LOCK)).unwrap_or_default();
        let count = packages.lines().filter(|line| line.contains("==")).count();
        Ok(format!("{count} packages locked, {}", bytes(size(&folder))))
    })
    .making(&["python"])
    .taking(80, 750)
}

/// A pip that only installs or downloads what a lock names, with the hashes of the lock.
///
/// Only wheels: building a source package downloads its build dependencies, whose hashes are not in a lock.
pub(crate) fn pip(project: &Project, python: &Path, verb: &str, lock: &str) -> Command {
    let mut pip = project.command(python);
    pip.args(["-m", "pip", verb, "--disable-pip-version-check", "--progress-bar", "off"]);
    pip.args(["--require-hashes", "--only-binary=:all:", "-r", lock]);
    pip
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    fn the_reason_decides_the_advice() {
        let text = |unfit: &[&str]| {
            explain(&MINORS, &unfit.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
                .to_string()
        };
        assert!(text(&[]).contains("apt-get install python3 python3-venv"));
        let old = text(&["python3 is 3.8.10"]);
        assert!(old.contains("no Python 3.10 to 3.14 with venv found: python3 is 3.8.10"), "{old}");
        assert!(old.contains("install a Python in this range"), "{old}");
        assert!(text(&["python3 3.11.2 has no venv"]).contains("apt-get install python3-venv"));
    }

    /// `name==version` of each line that applies to Python 3.11, without comments.
    fn pins(lines: &str) -> Vec<String> {
        let mut pins: Vec<String> = lines
            .lines()
            .map(|line| line.trim().trim_start_matches("- "))
            .filter(|line| !line.starts_with('#') && line.contains("=="))
            .filter(|line| !line.contains("python_version < \"3.11\""))
            .map(|line| line.split(';').next().unwrap_or(line).trim().to_owned())
            .collect();
        pins.sort();
        pins
    }

    #[test]
    fn nothing_is_fetched_without_its_sum() {
        // Each call of pip in the sources of set-up: the one above, and one that has no network.
        let folder = Project::find().path("tools/xtask/src");
        let calls = crate::files::files(&folder).into_iter().map(|file| {
            let text = fs::read_to_string(file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            (code.matches("\"pip\",").count(), code.matches("\"--no-index\",").count())
        });
        let (calls, without_network) =
            calls.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        assert_eq!((calls, without_network), (2, 1), "call pip through `python::pip`");
        let project = Project::find();
        let call = pip(&project, Path::new("python3"), "install", LOCK);
        for option in ["--require-hashes", "--only-binary=:all:"] {
            assert!(call.get_args().any(|word| word == option), "{option}");
        }
    }

    #[test]
    fn conda_users_get_the_same_pins() {
        let project = Project::find();
        let read = |path: &str| fs::read_to_string(project.path(path)).unwrap();
        let environment = read("environment.yml");
        assert!(environment.contains("- python=3.11\n"));
        assert_eq!(pins(&environment), pins(&read("tools/xtask/python/requirements.in")));
    }

    #[test]
    fn each_direct_pin_is_in_the_lock_and_each_package_has_hashes() {
        check_lock("tools/xtask/python/requirements.in", LOCK);
    }

    /// Panics unless the lock has the direct pins, hashes for each package, and no addresses of package indexes.
    pub(crate) fn check_lock(direct: &str, lock: &str) {
        let project = Project::find();
        let lock = fs::read_to_string(project.path(lock)).unwrap();
        let direct = fs::read_to_string(project.path(direct)).unwrap();
        for pin in pins(&direct) {
            assert!(lock.lines().any(|line| line.starts_with(&format!("{pin} "))), "{pin}");
        }
        let lines: Vec<&str> = lock.lines().collect();
        for (line, next) in lines.iter().zip(&lines[1..]) {
            if line.contains("==") && !line.starts_with('#') {
                assert!(next.trim_start().starts_with("--hash=sha256:"), "{line}");
            }
        }
        assert!(!lock.contains("index-url"));
    }
}
