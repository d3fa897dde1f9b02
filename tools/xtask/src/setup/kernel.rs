//! The Jupyter kernel: its program, its entry in the Python environment, its warm build.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::process;
use crate::progress::{Step, duration};
use crate::project::Project;
use crate::setup::stamp::Stamp;
use crate::setup::step::SetupStep;
use crate::setup::tools::Tools;

/// The step that compiles the kernel.
pub(crate) fn build_step(project: &Project, tools: &Tools) -> SetupStep {
    let stamp = Stamp::new(project, "kernel")
        .with("rustc", &tools.rustc)
        .with_content(project, "tools/kernel")
        .with_content(project, "Cargo.toml")
        .with_content(project, "Cargo.lock");
    let product = project.tools("kernel/notebook-kernel");
    // It takes minutes to compile and needs nothing that the steps before it fetch, so it starts early.
    let started = Rc::new(RefCell::new(None));
    let running = started.clone();
    let begin = move |project: &Project| {
        let mut cargo = build_command(project);
        let total = crates_left(project);
        *started.borrow_mut() =
            Some((process::start(project, &mut cargo, LOG)?, Instant::now(), total));
        Ok(())
    };
    let make = move |project: &Project, step: &mut Step| {
        let (running, begun, total) = match running.borrow_mut().take() {
            Some(running) => running,
            None => {
                let total = crates_left(project);
                let running = process::start(project, &mut build_command(project), LOG)?;
                (running, Instant::now(), total)
            }
        };
        let how_far = |log: &str| how_far(log, total, begun.elapsed());
        let command = build_command(project);
        process::finish(project, step, "building the kernel", &command, running, how_far)?;
        install(project, step, &release_folder(project).join("notebook-kernel"))?;
        Ok("built".to_owned())
    };
    SetupStep::new("Jupyter kernel", stamp, product, make)
        .begun_early(begin)
        .making(&["kernel/notebook-kernel"])
        // Beside the steps before it go another one and a half minutes.
        .taking(250)
}

/// The log of the kernel's build.
const LOG: &str = "kernel";

fn build_command(project: &Project) -> Command {
    let mut cargo = project.cargo();
    cargo.args(["build", "--release", "--locked", "-p", "notebook-kernel"]);
    cargo
}

/// The number of the kernel's crates that were never compiled, plus the kernel; 0 if cargo does not list them.
fn crates_left(project: &Project) -> usize {
    let mut tree = project.cargo();
    tree.args(["tree", "--locked", "--package", "notebook-kernel", "--edges", "normal,build"]);
    tree.args(["--prefix", "none", "--no-dedupe"]);
    let text = process::ask(&mut tree).unwrap_or_default();
    left(&text, &release_folder(project).join(".fingerprint"))
}

/// The number of crates without a fingerprint of cargo. A crate that is compiled again already has one: then more
/// crates are compiled than this number, and no time is predicted.
fn left(tree: &str, fingerprints: &Path) -> usize {
    let entries = std::fs::read_dir(fingerprints).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    // `serde_json-0123456789abcdef`
    let compiled: BTreeSet<String> =
        names.filter_map(|name| Some(name.rsplit_once('-')?.0.to_owned())).collect();
    let is_left = |line: &&str| {
        let name = line.split(' ').next().unwrap_or_default();
        name == "notebook-kernel" || !compiled.contains(name)
    };
    tree.lines().filter(is_left).collect::<BTreeSet<_>>().len()
}

/// `213 of 341 crates, ETA 3 min 05 s`, from what cargo has printed so far.
fn how_far(log: &str, total: usize, elapsed: Duration) -> String {
    let done = log.lines().filter(|line| line.trim_start().starts_with("Compiling ")).count();
    if done == 0 || done >= total {
        return process::last_line(log);
    }
    let left = elapsed.mul_f64((total - done) as f64 / done as f64);
    format!("{done} of {total} crates, ETA {}", duration(left))
}

/// The step that compiles helpers for the kernel; the kernel itself decides what to compile.
pub(crate) fn template_step() -> SetupStep {
    SetupStep::always("Kernel's warm build", |project, step| {
        let binary = project.tools("kernel/notebook-kernel");
        if !project.tools("python/share/jupyter/kernels/rust/kernel.json").exists() {
            install(project, step, &binary)?;
        }
        let mut build = project.command(&binary);
        build.arg("build-template").arg("--repository").arg(project.root());
        let what = "building helpers for the kernel";
        let output = process::run_watched(project, step, what, &mut build, "template", |log| {
            // Lines of cargo come between its lines.
            let said = log.lines().rev().find_map(|line| line.strip_prefix("kernel template: "));
            said.unwrap_or("starting").to_owned()
        })?;
        let what = if output.contains("up to date") { "up to date" } else { "built" };
        // The rest of the output is in the log; a note needs a decision of the user.
        let note = output.lines().find_map(|line| line.strip_prefix("note: ").map(str::trim));
        Ok(note.map_or(what.to_owned(), |note| format!("{what}; {note}")))
    })
    .making(&["kernel/template", "trial"])
    .taking(240)
}

/// Copies the program to `.tools/kernel` and writes the kernelspec.
fn install(project: &Project, step: &mut Step, binary: &Path) -> Result<(), Failure> {
    let mut install = project.command(binary);
    install.args(["install", "--repository"]).arg(project.root());
    install.arg("--prefix").arg(project.tools("python"));
    process::run(project, step, "installing the kernel", &mut install, "kernel-install").map(drop)
}

/// Where cargo puts release builds: beside this program.
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
        assert_eq!(left(tree, folder.path()), 4, "a first build");
        for name in ["serde", "zmq-sys", "notebook-kernel"] {
            std::fs::create_dir(folder.path().join(format!("{name}-0123456789abcdef"))).unwrap();
        }
        assert_eq!(left(tree, folder.path()), 2);
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
