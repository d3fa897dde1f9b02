//! Set-up: everything that the notebooks and the tests need, in `.tools`; one file per step.
//!
//! A step is skipped if its stamp says that its product was made from the current inputs. A step works under a
//! temporary name, moves the product to its final place, and writes its stamp last, so that a step that was killed is
//! simply repeated.

pub(crate) mod bench;
pub(crate) mod kernel;
pub(crate) mod libtorch;
pub(crate) mod packages;
pub(crate) mod program;
pub(crate) mod python;
pub(crate) mod stamp;
pub(crate) mod step;
pub(crate) mod tools;
pub(crate) mod weights;

use std::time::Instant;

use crate::failure::Failure;
use crate::files::remove;
use crate::progress::{Progress, say};
use crate::project::Project;
use crate::setup::step::SetupStep;
use crate::setup::tools::Tools;

/// All steps, in order. libtorch has CUDA or not as `cuda` says; if that is none, the machine decides.
pub(crate) fn steps(project: &Project, cuda: Option<bool>) -> Result<Vec<SetupStep>, Failure> {
    Ok(steps_with(project, &tools::check(project)?, cuda))
}

/// As [`steps`], with tools that were already found.
pub(crate) fn steps_with(project: &Project, found: &Tools, cuda: Option<bool>) -> Vec<SetupStep> {
    let cuda = Cuda::new(project, cuda);
    let mut steps = first_steps(project, found, &cuda);
    steps.extend([
        cuda.step(project),
        kernel::build_step(project, found),
        kernel::template_step(),
        weights::step(project),
    ]);
    steps
}

/// The steps that make the project's Python.
pub(crate) fn python_steps(project: &Project) -> Result<Vec<SetupStep>, Failure> {
    Ok(first_steps(project, &tools::check(project)?, &Cuda::NONE))
}

fn first_steps(project: &Project, found: &Tools, cuda: &Cuda) -> Vec<SetupStep> {
    vec![
        tools::step(found, cuda.used),
        python::step(project, &found.python),
        packages::step(project),
    ]
}

/// The steps that programs need in order to link libtorch.
pub(crate) fn libtorch_steps(project: &Project) -> Result<Vec<SetupStep>, Failure> {
    let cuda = Cuda::new(project, None);
    let mut steps = first_steps(project, &tools::check(project)?, &cuda);
    steps.push(cuda.step(project));
    Ok(steps)
}

/// Which libtorch to set up.
struct Cuda {
    /// True for the one with CUDA.
    used: bool,
    /// True if the user chose, false if the machine decides.
    requested: bool,
}

impl Cuda {
    const NONE: Cuda = Cuda { used: false, requested: false };

    fn new(project: &Project, cuda: Option<bool>) -> Cuda {
        Cuda { used: libtorch::wants_cuda(project, cuda), requested: cuda.is_some() }
    }

    fn step(&self, project: &Project) -> SetupStep {
        let step = libtorch::step(project, Some(self.used));
        if self.used && !self.requested { step.saying(libtorch::GPU_FOUND) } else { step }
    }
}

/// The steps that the benchmark needs: the peers, our side, and what `needs` names.
pub(crate) fn bench_steps(
    project: &Project,
    needs: bench::Needs,
) -> Result<Vec<SetupStep>, Failure> {
    let found = tools::check(project)?;
    let cuda = Cuda::new(project, None);
    let mut steps = first_steps(project, &found, &cuda);
    steps.push(cuda.step(project));
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
    let mut time_left = TimeLeft::new(&steps, project);
    for step in steps {
        if let Some(text) = time_left.text() {
            say(&text);
        }
        let (usual, begun) = (TimeLeft::of(&step, project), Instant::now());
        step.run(project, progress)?;
        time_left.done(usual, begun.elapsed().as_secs());
    }
    let _ = remove(&project.tools("tmp"));
    Ok(())
}

/// The time that the remaining steps will take.
#[derive(Default)]
struct TimeLeft {
    /// Seconds that they usually take in all.
    left: u64,
    /// Seconds that the steps already done usually take, and the seconds that they took here.
    usual: u64,
    took: u64,
    /// Minutes in the last text.
    said: u64,
}

impl TimeLeft {
    fn new(steps: &[SetupStep], project: &Project) -> TimeLeft {
        TimeLeft {
            left: steps.iter().map(|step| TimeLeft::of(step, project)).sum(),
            ..TimeLeft::default()
        }
    }

    /// Seconds that a step usually takes; 0 if it is already done.
    fn of(step: &SetupStep, project: &Project) -> u64 {
        if step.is_there(project) == Some(false) { step.usual } else { 0 }
    }

    /// Notes the end of a step that usually takes `usual` seconds and took `took`.
    fn done(&mut self, usual: u64, took: u64) {
        self.left = self.left.saturating_sub(usual);
        if usual > 0 {
            (self.usual, self.took) = (self.usual + usual, self.took + took);
        }
    }

    /// `about 9 min of set-up left`; none below half a minute, or if the last text said the same.
    fn text(&mut self) -> Option<String> {
        // The steps that are done show how fast the machine and the network are. Limited, because a step of a few
        // seconds says little.
        let pace = match self.usual {
            0 => 1.0,
            usual => (self.took as f64 / usual as f64).clamp(0.5, 4.0),
        };
        let minutes = (self.left as f64 * pace / 60.0).round() as u64;
        let is_new = std::mem::replace(&mut self.said, minutes) != minutes;
        (is_new && minutes > 0).then(|| format!("about {minutes} min of set-up left"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::stamp::Stamp;

    #[test]
    fn the_steps_that_are_left_tell_how_long_set_up_takes() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        std::fs::create_dir_all(project.tools("there")).unwrap();
        let step = |name: &'static str, usual| {
            let stamp = Stamp::new(&project, name);
            if name == "there" {
                stamp.keep(&project).unwrap();
            }
            SetupStep::new(name, stamp, project.tools(name), |_, _| Ok(String::new()))
                .taking(usual, 100)
        };
        let steps = [step("there", 600), step("first", 60), step("second", 240)];
        let mut time_left = TimeLeft::new(&steps, &project);
        assert_eq!(time_left.text().as_deref(), Some("about 5 min of set-up left"));
        time_left.done(TimeLeft::of(&steps[0], &project), 0);
        assert_eq!(time_left.text(), None, "what was there is none of it");
        time_left.done(TimeLeft::of(&steps[1], &project), 120);
        assert_eq!(
            time_left.text().as_deref(),
            Some("about 8 min of set-up left"),
            "a slow machine"
        );
        time_left.done(TimeLeft::of(&steps[2], &project), 480);
        assert_eq!(time_left.text(), None);
        assert_eq!(steps[2].cost().as_deref(), Some("about 4 min, 100 MB"));
    }
}
