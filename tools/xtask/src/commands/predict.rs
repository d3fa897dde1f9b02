//! `cargo xtask predict`: what a trained model sees in pictures.

use std::os::unix::process::CommandExt;

use crate::commands::export_model::{find_model, here};
use crate::failure::Failure;
use crate::flags::Predict;
use crate::progress::{Progress, say};
use crate::project::Project;
use crate::setup;

/// Becomes the program `predict`, which cargo builds first; comes back only if cargo cannot start. Paths are taken from where
/// the person stands.
pub(crate) fn run(project: &Project, flags: &Predict) -> Result<(), Failure> {
    let here = here()?;
    let model = find_model(project, &flags.model, &here)?;
    let built = project.path("target/release/predict").exists();
    if !built {
        // libtorch is what it is linked to. Later, nothing but the answer is printed.
        let steps = setup::libtorch_steps(project)?;
        let mut progress = Progress::new(steps.len());
        setup::run(project, steps, &mut progress)?;
        say("building the program that predicts, once: some minutes");
    }
    let mut cargo = project.cargo();
    cargo.current_dir(here);
    cargo.args(["run", "--locked", "--release", "--quiet", "--package", "predict"]);
    cargo.arg("--manifest-path").arg(project.path("Cargo.toml")).arg("--").arg(model);
    cargo.args(&flags.picture);
    let switches =
        [("--json", flags.json), ("--invert", flags.invert), ("--float32", flags.float32)];
    cargo.args(switches.iter().filter(|(_, given)| *given).map(|(name, _)| name));
    for (name, value) in [("--plot", &flags.plot), ("--top", &flags.top), ("--fit", &flags.fit)] {
        if let Some(value) = value {
            cargo.arg(name).arg(value);
        }
    }
    Err(Failure::new(format!("cannot start cargo: {}", cargo.exec())))
}
