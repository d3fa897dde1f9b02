//! The Jupyter kernel: its program, its entry in the Python environment, its warm build.

use crate::failure::Failure;
use crate::process;
use crate::project::Project;
use crate::setup::SetupStep;
use crate::setup::stamp::Stamp;
use crate::setup::tools::Tools;

/// The step that compiles the kernel.
pub(crate) fn build_step(project: &Project, tools: &Tools) -> SetupStep {
    let stamp = Stamp::new(project, "kernel")
        .with("rustc", &tools.rustc)
        .with_content(project, "tools/kernel")
        .with_content(project, "Cargo.toml")
        .with_content(project, "Cargo.lock");
    SetupStep::new(
        "Jupyter kernel",
        stamp,
        project.tools("kernel/notebook-kernel"),
        |project, step| {
            let mut cargo = project.cargo();
            cargo.args(["build", "--release", "--locked", "-p", "notebook-kernel"]);
            process::run(project, step, "building the kernel", &mut cargo, "kernel")?;
            install(project, step, &release_folder(project).join("notebook-kernel"))?;
            Ok("built".to_owned())
        },
    )
}

/// The step that compiles helpers for the kernel; the kernel itself knows what is left to do.
pub(crate) fn template_step() -> SetupStep {
    SetupStep::always("Kernel's warm build", |project, step| {
        let binary = project.tools("kernel/notebook-kernel");
        if !project.tools("python/share/jupyter/kernels/rust/kernel.json").exists() {
            install(project, step, &binary)?;
        }
        let mut build = project.command(&binary);
        build.arg("build-template").arg("--repository").arg(project.root());
        let what = "building helpers for the kernel";
        let output = process::run_watched(project, step, what, &mut build, "template", |_| {
            "compiling helpers and all it depends on".to_owned()
        })?;
        let what = if output.contains("up to date") { "up to date" } else { "built" };
        // The rest of what was printed is in the log; this is somebody's to decide.
        let note = output.lines().find_map(|line| line.strip_prefix("note: ").map(str::trim));
        Ok(note.map_or(what.to_owned(), |note| format!("{what}; {note}")))
    })
}

/// Copies the program to `.tools/kernel` and writes the kernelspec.
fn install(
    project: &Project,
    step: &mut crate::progress::Step,
    binary: &std::path::Path,
) -> Result<(), Failure> {
    let mut install = project.command(binary);
    install.args(["install", "--repository"]).arg(project.root());
    install.arg("--prefix").arg(project.tools("python"));
    process::run(project, step, "installing the kernel", &mut install, "kernel-install").map(drop)
}

/// Where cargo puts release builds: beside this program.
pub(crate) fn release_folder(project: &Project) -> std::path::PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|program| program.parent().map(std::path::Path::to_owned))
        .filter(|folder| folder.ends_with("release"))
        .unwrap_or_else(|| project.path("target/release"))
}
