//! `cargo xtask setup`: everything the notebooks and the tests need, in `.tools`.

use crate::failure::Failure;
use crate::progress::Progress;
use crate::project::Project;
use crate::setup;

/// Runs the steps that are not up to date; `cuda` as in [`setup::steps`].
pub(crate) fn run(project: &Project, cuda: Option<bool>) -> Result<(), Failure> {
    let steps = setup::steps(project, cuda)?;
    let mut progress = Progress::new(steps.len());
    setup::run(project, steps, &mut progress)
}
