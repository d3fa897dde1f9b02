//! The program that runs one trial of the grid search.

use crate::process;
use crate::project::Project;
use crate::setup::Part;

/// The step that compiles the program; cargo itself knows what is left to do.
pub(crate) fn part(project: &Project) -> Option<Part> {
    project.path("helpers/src/bin/trial.rs").exists().then(|| {
        Part::always("Trials of the grid search", |project, step| {
            let mut cargo = project.cargo();
            cargo.args(["build", "--release", "--locked", "-p", "helpers", "--bin", "trial"]);
            let output =
                process::run(project, step, "building the trial program", &mut cargo, "trial")?;
            Ok(if output.contains("Compiling") { "built" } else { "up to date" }.to_owned())
        })
    })
}
