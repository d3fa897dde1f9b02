//! Set-up: everything that the notebooks and the tests need, in `.tools`; one file per step.
//!
//! A step is skipped if its stamp says that its product was made from the current inputs. A step works under a
//! temporary name, moves the product to its final place, and writes its stamp last, so that a step that was killed is
//! simply repeated.

pub(crate) mod bench;
pub(crate) mod kernel;
pub(crate) mod libtorch;
pub(crate) mod packages;
pub(crate) mod python;
pub(crate) mod stamp;
pub(crate) mod step;
pub(crate) mod tools;
pub(crate) mod weights;

use crate::failure::Failure;
use crate::files::remove;
use crate::progress::Progress;
use crate::project::Project;
use crate::setup::step::SetupStep;
use crate::setup::tools::Tools;

/// All steps, in order; libtorch with CUDA, without, or as the machine suggests if `cuda` is none.
pub(crate) fn steps(project: &Project, cuda: Option<bool>) -> Result<Vec<SetupStep>, Failure> {
    let found = tools::check(project)?;
    let mut steps = first_steps(project, &found);
    steps.extend([
        libtorch::step(project, cuda),
        kernel::build_step(project, &found),
        kernel::template_step(),
        weights::step(project),
    ]);
    Ok(steps)
}

/// The steps that make the project's Python.
pub(crate) fn python_steps(project: &Project) -> Result<Vec<SetupStep>, Failure> {
    Ok(first_steps(project, &tools::check(project)?))
}

fn first_steps(project: &Project, found: &Tools) -> Vec<SetupStep> {
    vec![tools::step(found), python::step(project, &found.python), packages::step(project)]
}

/// The steps that programs need in order to link libtorch.
pub(crate) fn libtorch_steps(project: &Project) -> Result<Vec<SetupStep>, Failure> {
    let mut steps = python_steps(project)?;
    steps.push(libtorch::step(project, None));
    Ok(steps)
}

/// The steps that the benchmark needs: the peers, our side, and what `needs` names.
pub(crate) fn bench_steps(
    project: &Project,
    needs: bench::Needs,
) -> Result<Vec<SetupStep>, Failure> {
    let found = tools::check(project)?;
    let mut steps = first_steps(project, &found);
    steps.push(libtorch::step(project, None));
    if needs.kernel {
        steps.extend([kernel::build_step(project, &found), kernel::template_step()]);
    }
    if needs.weights {
        steps.push(weights::step(project));
    }
    steps.extend([bench::program_step(), bench::peers_step(project)?]);
    if needs.torch {
        steps.push(bench::torch_step(project));
    }
    Ok(steps)
}

/// Runs those of `steps` that are not up to date. Only one xtask at a time changes `.tools`.
pub(crate) fn run(
    project: &Project,
    steps: Vec<SetupStep>,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let _lock = project.lock()?;
    // Left behind by killed runs; the lock makes sure that no other xtask uses it.
    let _ = remove(&project.tools("tmp"));
    for step in &steps {
        if let Some(begin) = step.begin.as_ref().filter(|_| step.is_current(project) == Some(false))
        {
            begin(project)?;
        }
    }
    for step in steps {
        step.run(project, progress)?;
    }
    let _ = remove(&project.tools("tmp"));
    Ok(())
}
