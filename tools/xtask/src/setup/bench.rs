//! What `cargo xtask bench` needs beside the rest: the peers in an environment of their own, `.tools/bench`, and the
//! program that stands for helpers.

use std::fs;
use std::path::Path;

use crate::failure::Failure;
use crate::process;
use crate::project::{Project, remove, size};
use crate::screen::{Step, bytes};
use crate::setup::{Part, python};
use crate::stamp::Stamp;

const LOCK: &str = "tools/bench/requirements.txt";
/// PyTorch has a lock and a step of its own: half a gigabyte that not every part needs.
const TORCH_LOCK: &str = "tools/bench/torch.txt";
/// What lets it be imported without the CUDA libraries that the lock leaves out.
const CPU_TORCH: &str = "tools/bench/cpu_torch.py";
const TORCH: &str = "bench-torch";

/// Minor versions of Python 3 that TensorFlow has wheels for and the lock was made for.
const MINORS: std::ops::RangeInclusive<u32> = 11..=13;

/// What a part of the benchmark needs beside scikit-learn, Keras and our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) torch: bool,
    /// EfficientNet-Lite0's.
    pub(crate) weights: bool,
    /// With its warm build.
    pub(crate) kernel: bool,
}

impl Needs {
    pub(crate) const NOTHING: Needs = Needs { torch: false, weights: false, kernel: false };
}

/// The step that makes the environment of scikit-learn and Keras.
pub(crate) fn peers_part(project: &Project) -> Result<Part, Failure> {
    let python = python::find_among(project, MINORS)?;
    let stamp = Stamp::new(project, "bench")
        .with("python", &python.version)
        .with("program", &python.program.display().to_string())
        .with_content(project, LOCK);
    let product = project.tools("bench/bin/python");
    Ok(Part::new("scikit-learn and Keras", stamp, product, move |project, step| {
        let place = project.tools("bench");
        let failed = |error| Failure::of_file("remove", &place, &error);
        remove(&place).map_err(failed)?;
        // What was installed into it goes with it.
        remove(&project.tools("stamps").join(TORCH)).map_err(failed)?;
        let mut venv = project.command(&python.program);
        venv.args(["-m", "venv"]).arg(&place);
        process::run(project, step, "making the peers' environment", &mut venv, "bench")?;

        let temporary = project.temporary("pip").map_err(failed)?;
        install(project, step, "installing scikit-learn and Keras", LOCK, &[], &temporary)
    }))
}

/// The step that adds PyTorch to the environment of [`peers_part`].
pub(crate) fn torch_part(project: &Project) -> Part {
    let stamp = Stamp::new(project, TORCH)
        .with_content(project, LOCK)
        .with_content(project, TORCH_LOCK)
        .with_content(project, CPU_TORCH);
    let product = project.tools("bench/bin/torchrun");
    Part::new("PyTorch", stamp, product, |project, step| {
        let temporary = project
            .temporary("pip")
            .map_err(|error| Failure::of_file("write in", &project.tools("tmp"), &error))?;
        let what = "installing PyTorch";
        let text = install(project, step, what, TORCH_LOCK, &["--no-deps"], &temporary)?;
        let mut import = project.command(project.tools("bench/bin/python"));
        import.arg(CPU_TORCH).env("PYTHONDONTWRITEBYTECODE", "1");
        let what = "making PyTorch importable without CUDA";
        process::run(project, step, what, &mut import, "bench-torch")?;
        Ok(text)
    })
}

/// Installs what a lock names into the environment.
fn install(
    project: &Project,
    step: &mut Step,
    what: &str,
    lock: &str,
    options: &[&str],
    temporary: &Path,
) -> Result<String, Failure> {
    let mut pip = python::pip(project, &project.tools("bench/bin/python"), "install", lock);
    pip.args(options).env("TMPDIR", temporary);
    process::run_watched(project, step, what, &mut pip, "bench", |log| {
        let installs = log.contains("Installing collected packages");
        if installs { "installing" } else { "fetching" }.to_owned()
    })?;
    let _ = remove(temporary);
    let packages = fs::read_to_string(project.path(lock)).unwrap_or_default();
    let count = packages.lines().filter(|line| line.contains("==")).count();
    Ok(format!("{count} packages locked, {}", bytes(size(&project.tools("bench")))))
}

/// The step that compiles the side of helpers; cargo itself knows what is left to do.
pub(crate) fn program_part() -> Part {
    Part::always("Benchmark of helpers", |project, step| {
        let mut cargo = project.cargo();
        cargo.args(["build", "--release", "--locked", "-p", "bench"]);
        let what = "building the benchmark";
        let output = process::run(project, step, what, &mut cargo, "bench-build")?;
        Ok(if output.contains("Compiling") { "built" } else { "up to date" }.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::python::tests::check_lock;

    #[test]
    fn each_direct_pin_is_in_the_lock_and_each_package_has_hashes() {
        check_lock("tools/bench/requirements.in", LOCK);
        check_lock("tools/bench/torch.in", TORCH_LOCK);
    }
}
