//! The program that runs one trial of the grid search: `.tools/trial`.

use std::fs;

use crate::failure::Failure;
use crate::files::replace;
use crate::process;
use crate::project::Project;
use crate::setup::{SetupStep, kernel};

/// The step that compiles the program; cargo itself knows what is left to do.
pub(crate) fn step(project: &Project) -> Option<SetupStep> {
    project.path("helpers/src/bin/trial.rs").exists().then(|| {
        SetupStep::always("Trials of the grid search", |project, step| {
            let mut cargo = project.cargo();
            cargo.args(["build", "--release", "--locked", "-p", "helpers", "--bin", "trial"]);
            let output =
                process::run(project, step, "building the trial program", &mut cargo, "trial")?;
            let (built, product) =
                (kernel::release_folder(project).join("trial"), project.tools("trial"));
            // A new file replaces the old one: a trial that runs keeps the one it started with.
            let folder = project.temporary("trial-")?;
            let fresh = folder.path().join("trial");
            fs::copy(&built, &fresh)
                .and_then(|_| replace(&fresh, &product))
                .map_err(|error| Failure::of_file("write", &product, &error))?;
            Ok(if output.contains("Compiling") { "built" } else { "up to date" }.to_owned())
        })
    })
}
