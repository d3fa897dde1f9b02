//! Compiles programs of this workspace, with progress, and knows where they are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::process;
use crate::progress::{Step, duration};
use crate::project::Project;

/// Compiles the package if its sources have changed, and returns the path of its program.
pub(crate) fn built(project: &Project, mut step: Step, package: &str) -> Result<PathBuf, Failure> {
    let (program, begun) = (release_folder(project).join(package), Instant::now());
    // Only for a first build: to list the crates takes longer than to find that nothing has changed.
    let total = if program.exists() { 0 } else { crates_left(project, package) };
    let (what, log) = (format!("building the program `{package}`"), format!("build-{package}"));
    let how_far = |log: &str| how_far(log, total, begun.elapsed());
    let mut cargo = build_command(project, package);
    process::run_watched(project, &mut step, &what, &mut cargo, &log, how_far)?;
    step.done_if_long("built");
    Ok(program)
}

pub(super) fn build_command(project: &Project, package: &str) -> Command {
    let mut cargo = project.cargo();
    cargo.args(["build", "--release", "--locked", "-p", package]);
    cargo
}

/// The number of crates to compile for the package: those that were never compiled, and the package itself. 0 if cargo
/// does not list them.
pub(super) fn crates_left(project: &Project, package: &str) -> usize {
    let mut tree = project.cargo();
    tree.args(["tree", "--locked", "--package", package, "--edges", "normal,build"]);
    tree.args(["--prefix", "none", "--no-dedupe"]);
    let text = process::ask(&mut tree).unwrap_or_default();
    left(&text, package, &release_folder(project).join(".fingerprint"))
}

/// The number of crates in `tree` for which cargo has no fingerprint yet. A crate that must be compiled again has one
/// and is not counted. So more crates may be compiled than this number says, and from then on no time is predicted.
fn left(tree: &str, package: &str, fingerprints: &Path) -> usize {
    let entries = fs::read_dir(fingerprints).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    // `serde_json-0123456789abcdef`
    let compiled: BTreeSet<String> =
        names.filter_map(|name| Some(name.rsplit_once('-')?.0.to_owned())).collect();
    let is_left = |line: &&str| {
        let name = line.split(' ').next().unwrap_or_default();
        name == package || !compiled.contains(name)
    };
    tree.lines().filter(is_left).collect::<BTreeSet<_>>().len()
}

/// `213 of 341 crates, ETA 3 min 05 s`, from what cargo has printed so far.
pub(super) fn how_far(log: &str, total: usize, elapsed: Duration) -> String {
    let done = log.lines().filter(|line| line.trim_start().starts_with("Compiling ")).count();
    if done == 0 || done >= total {
        return process::last_line(log);
    }
    let left = elapsed.mul_f64((total - done) as f64 / done as f64);
    format!("{done} of {total} crates, ETA {}", duration(left))
}

/// The folder of cargo's release builds: that of this program, if it is one.
pub(crate) fn release_folder(project: &Project) -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|program| program.parent().map(Path::to_owned))
        .filter(|folder| folder.ends_with("release"))
        .unwrap_or_else(|| project.path("target/release"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_crates_that_are_left_to_compile_count() {
        let folder = tempfile::tempdir().unwrap();
        let tree = "notebook-kernel v1\nserde v1\nserde_json v1\nserde v1\nzmq-sys v1 (proc-macro)";
        let left = || left(tree, "notebook-kernel", folder.path());
        assert_eq!(left(), 4, "a first build");
        for name in ["serde", "zmq-sys", "notebook-kernel"] {
            fs::create_dir(folder.path().join(format!("{name}-0123456789abcdef"))).unwrap();
        }
        assert_eq!(left(), 2);
    }

    #[test]
    fn a_build_says_how_far_it_is() {
        let at = |log: &str| how_far(log, 4, Duration::from_secs(30));
        assert_eq!(at("   Compiling a v1\n   Compiling b v1\n"), "2 of 4 crates, ETA 30 s");
        assert_eq!(at("    Blocking waiting for file lock\n"), "Blocking waiting for file lock");
        let all = "   Compiling x v1\n".repeat(4);
        assert_eq!(at(&(all + "    Finished")), "Finished");
    }
}
