//! What only `cargo xtask bench` needs: the libraries that helpers is compared with, in their own environment
//! `.tools/bench`, and the program that measures helpers.

use std::fs;

use crate::failure::Failure;
use crate::files::{remove, size};
use crate::process;
use crate::progress::{Step, bytes};
use crate::project::Project;
use crate::setup::python;
use crate::setup::stamp::Stamp;
use crate::setup::step::SetupStep;

const LOCK: &str = "tools/bench/requirements.txt";
/// PyTorch has its own lock and step, because not every part needs its half a gigabyte.
const TORCH_LOCK: &str = "tools/bench/torch.txt";
/// A module that lets PyTorch be imported without the CUDA libraries, which the lock leaves out.
const CPU_TORCH: &str = "tools/bench/cpu_torch.py";
const TORCH: &str = "bench-torch";

/// Minor versions of Python 3 for which TensorFlow has wheels and the lock was made.
const MINORS: std::ops::RangeInclusive<u32> = 11..=13;

/// What a part of the benchmark needs in addition to scikit-learn, Keras and our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) torch: bool,
    /// The weights of EfficientNet-Lite0.
    pub(crate) weights: bool,
    /// The kernel with its warm build, and the program that runs trials.
    pub(crate) kernel: bool,
}

impl Needs {
    pub(crate) const NOTHING: Needs = Needs { torch: false, weights: false, kernel: false };
}

/// The step that makes the environment of scikit-learn and Keras.
pub(crate) fn peers_step(project: &Project) -> Result<SetupStep, Failure> {
    let python = python::find_among(project, MINORS)?;
    let stamp = Stamp::new(project, "bench")
        .with("python", &python.version)
        .with("program", &python.program.display().to_string())
        .with_content(project, LOCK);
    let product = project.tools("bench/bin/python");
    Ok(SetupStep::new("scikit-learn and Keras", stamp, product, move |project, step| {
        let folder = project.tools("bench");
        let failed = |error| Failure::of_file("remove", &folder, &error);
        remove(&folder).map_err(failed)?;
        // PyTorch was installed into the environment and is removed with it.
        remove(&project.tools("stamps").join(TORCH)).map_err(failed)?;
        let mut venv = project.command(&python.program);
        venv.args(["-m", "venv"]).arg(&folder);
        process::run(project, step, "making the peers' environment", &mut venv, "bench")?;

        install(project, step, "installing scikit-learn and Keras", LOCK, &[])
    }))
}

/// The step that adds PyTorch to the environment of [`peers_step`].
pub(crate) fn torch_step(project: &Project) -> SetupStep {
    let stamp = Stamp::new(project, TORCH)
        .with_content(project, LOCK)
        .with_content(project, TORCH_LOCK)
        .with_content(project, CPU_TORCH);
    let product = project.tools("bench/bin/torchrun");
    SetupStep::new("PyTorch", stamp, product, |project, step| {
        let what = "installing PyTorch";
        let text = install(project, step, what, TORCH_LOCK, &["--no-deps"])?;
        let mut import = project.command(project.tools("bench/bin/python"));
        import.arg(CPU_TORCH).env("PYTHONDONTWRITEBYTECODE", "1");
        let what = "making PyTorch importable without CUDA";
        process::run(project, step, what, &mut import, "bench-torch")?;
        Ok(text)
    })
}

/// Installs the packages of a lock into the environment.
fn install(
    project: &Project,
    step: &mut Step,
    what: &str,
    lock: &str,
    options: &[&str],
) -> Result<String, Failure> {
    let mut pip = python::pip(project, &project.tools("bench/bin/python"), "install", lock);
    let temporary = project.temporary("pip-")?;
    pip.args(options).env("TMPDIR", temporary.path());
    process::run_watched(project, step, what, &mut pip, "bench", |log| {
        let installs = log.contains("Installing collected packages");
        if installs { "installing" } else { "fetching" }.to_owned()
    })?;
    let packages = fs::read_to_string(project.path(lock)).unwrap_or_default();
    let count = packages.lines().filter(|line| line.contains("==")).count();
    Ok(format!("{count} packages locked, {}", bytes(size(&project.tools("bench")))))
}

/// The step that compiles our side; cargo itself decides what to compile.
pub(crate) fn program_step() -> SetupStep {
    SetupStep::always("Benchmark of helpers", |project, step| {
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
