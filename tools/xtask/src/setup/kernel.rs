//! The Jupyter kernel: its program, its entry in the Python environment, its warm build.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use crate::failure::Failure;
use crate::process;
use crate::progress::Step;
use crate::project::Project;
use crate::setup::program::{build_command, crates_left, how_far, release_folder};
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
        let mut cargo = build_command(project, PACKAGE);
        let total = crates_left(project, PACKAGE);
        *started.borrow_mut() =
            Some((process::start(project, &mut cargo, LOG)?, Instant::now(), total));
        Ok(())
    };
    let make = move |project: &Project, step: &mut Step| {
        let (running, begun, total) = match running.borrow_mut().take() {
            Some(running) => running,
            None => {
                let total = crates_left(project, PACKAGE);
                let running = process::start(project, &mut build_command(project, PACKAGE), LOG)?;
                (running, Instant::now(), total)
            }
        };
        let how_far = |log: &str| how_far(log, total, begun.elapsed());
        let command = build_command(project, PACKAGE);
        process::finish(project, step, "building the kernel", &command, running, how_far)?;
        install(project, step, &release_folder(project).join(PACKAGE))?;
        Ok("built".to_owned())
    };
    SetupStep::new("Jupyter kernel", stamp, product, make)
        .begun_early(begin)
        .making(&["kernel/notebook-kernel"])
        // The part that runs beside the steps before it, about a minute and a half, is not counted.
        .taking(250, 1_200)
}

const PACKAGE: &str = "notebook-kernel";

/// The log of the kernel's build.
const LOG: &str = "kernel";

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
        // Only notes are shown, because the user may have to act on them; the rest is in the log.
        let note = output.lines().find_map(|line| line.strip_prefix("note: ").map(str::trim));
        Ok(note.map_or(what.to_owned(), |note| format!("{what}; {note}")))
    })
    .making(&["kernel/template", "trial"])
    .taking(240, 450)
}

/// Copies the program to `.tools/kernel` and writes the kernelspec.
fn install(project: &Project, step: &mut Step, binary: &Path) -> Result<(), Failure> {
    let mut install = project.command(binary);
    install.args(["install", "--repository"]).arg(project.root());
    install.arg("--prefix").arg(project.tools("python"));
    process::run(project, step, "installing the kernel", &mut install, "kernel-install").map(drop)
}
