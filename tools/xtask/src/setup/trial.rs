//! The program that runs one trial of the grid search: `.tools/trial`.

use std::fs;

use crate::failure::Failure;
use crate::process;
use crate::project::{Project, replace};
use crate::setup::{Part, kernel};

/// The step that compiles the program; cargo itself knows what is left to do.
pub(crate) fn part(project: &Project) -> Option<Part> {
    project.path("helpers/src/bin/trial.rs").exists().then(|| {
        Part::always("Trials of the grid search", |project, step| {
            let mut cargo = project.cargo();
            cargo.args(["build", "--release", "--locked", "-p", "helpers", "--bin", "trial"]);
            let output =
                process::run(project, step, "building the trial program", &mut cargo, "trial")?;
            let (built, place) =
                (kernel::release_folder(project).join("trial"), project.tools("trial"));
            // A new file takes the old one's place: a trial that runs keeps the one it started with.
            project
                .temporary("trial")
                .and_then(|folder| {
                    let fresh = folder.join("trial");
                    fs::copy(&built, &fresh)?;
                    replace(&fresh, &place)?;
                    fs::remove_dir_all(folder)
                })
                .map_err(|error| Failure::of_file("write", &place, &error))?;
            Ok(if output.contains("Compiling") { "built" } else { "up to date" }.to_owned())
        })
    })
}
