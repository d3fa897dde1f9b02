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
mod times;
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
        let (expected, begun) = (TimeLeft::of(&step, project), Instant::now());
        let title = step.title().to_owned();
        step.run(project, progress)?;
        let took = begun.elapsed().as_secs();
        if expected > 0 {
            times::keep(project, &title, took);
        }
        time_left.done(expected, took);
    }
    let _ = remove(&project.tools("tmp"));
    Ok(())
}

/// The time that the remaining steps will take.
#[derive(Default)]
struct TimeLeft {
    /// Seconds that they are expected to take.
    left: u64,
    /// Seconds that those before them were expected to take, and took.
    expected: u64,
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

    /// Seconds that a step is expected to take, if it is one to do.
    fn of(step: &SetupStep, project: &Project) -> u64 {
        if step.is_there(project) == Some(false) { step.seconds(project) } else { 0 }
    }

    /// A step that was expected to take so long has ended.
    fn done(&mut self, expected: u64, took: u64) {
        self.left = self.left.saturating_sub(expected);
        if expected > 0 {
            (self.expected, self.took) = (self.expected + expected, self.took + took);
        }
    }

    /// `about 9 min of set-up left`; none below half a minute, or if the last text said the same.
    fn text(&mut self) -> Option<String> {
        // The steps before show how fast machine and network are, within limits: one of seconds says little.
        let pace = match self.expected {
            0 => 1.0,
            expected => (self.took as f64 / expected as f64).clamp(0.5, 4.0),
        };
        let minutes = (self.left as f64 * pace / 60.0).round() as u64;
        let is_new = std::mem::replace(&mut self.said, minutes) != minutes;
        (is_new && minutes > 0).then(|| format!("about {minutes} min of set-up left"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::process::ExitStatusExt;
    use std::path::Path;
    use std::process::{Command, Output};
    use std::time::Duration;

    use super::*;
    use crate::setup::stamp::Stamp;

    const STUBS: [&str; 3] = ["one", "two", "three"];
    const MOMENTS: [&str; 3] = ["begun", "half", "moved"];

    /// A step that makes a file of this text as the real steps make theirs. At the `moment` that names it, such as `two
    /// half`, it kills this process.
    fn stub(project: &Project, name: &'static str, text: &str, moment: &str) -> SetupStep {
        let product = project.tools(name);
        let (target, text, moment) = (product.clone(), text.to_owned(), moment.to_owned());
        let stamp = Stamp::new(project, name).with("text", &text);
        SetupStep::new(name, stamp, product, move |project, _| {
            let die_at = |here: &str| {
                if moment == format!("{name} {here}") {
                    let me = std::process::id().to_string();
                    Command::new("kill").args(["-KILL", &me]).status().unwrap();
                    std::thread::sleep(Duration::from_secs(60));
                }
            };
            die_at("begun");
            let folder = project.temporary("stub-")?;
            let fresh = folder.path().join(name);
            fs::write(&fresh, "half of it").unwrap();
            die_at("half");
            fs::write(&fresh, text).unwrap();
            fs::rename(fresh, target).unwrap();
            die_at("moved");
            let made = fs::OpenOptions::new().append(true).create(true).open(project.path("made"));
            writeln!(made.unwrap(), "{name}").unwrap();
            Ok(String::new())
        })
    }

    /// Runs in the processes that the next test starts; it does nothing in an ordinary run of the tests.
    #[test]
    fn setting_up_until_a_kill() {
        let Some(folder) = std::env::var_os("SETUP_FOLDER") else { return };
        let project = Project::at(Path::new(&folder));
        let [text, moment] =
            ["SETUP_TEXT", "SETUP_MOMENT"].map(|name| std::env::var(name).unwrap());
        let steps = STUBS.map(|name| stub(&project, name, &text, &moment));
        run(&project, steps.into(), &mut Progress::new(STUBS.len())).unwrap();
    }

    #[test]
    fn a_set_up_that_was_killed_at_any_moment_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        let set_up = |text: &str, moment: &str| -> Output {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "--nocapture", "setup::tests::setting_up_until_a_kill"])
                .env("SETUP_FOLDER", folder.path())
                .env("SETUP_TEXT", text)
                .env("SETUP_MOMENT", moment)
                .output()
                .unwrap()
        };
        assert!(set_up("of an older version", "").status.success());
        for (index, moment) in (0..STUBS.len()).flat_map(|at| MOMENTS.map(|moment| (at, moment))) {
            fs::remove_file(project.path("made")).unwrap();
            let moment = format!("{} {moment}", STUBS[index]);
            let text = format!("made again after {moment}");
            assert_eq!(set_up(&text, &moment).status.signal(), Some(9), "{moment}");
            // What was killed counts as not made, though an older product, or a new one, is there.
            for (at, name) in STUBS.into_iter().enumerate() {
                let is_current = stub(&project, name, &text, "").is_current(&project);
                assert_eq!(is_current, Some(at < index), "{name} after {moment}");
            }
            let again = set_up(&text, "");
            assert!(again.status.success(), "{moment}: {again:?}");
            let made = fs::read_to_string(project.path("made")).unwrap();
            assert_eq!(made.lines().collect::<Vec<_>>(), STUBS, "{moment}: no step twice");
            for name in STUBS {
                assert_eq!(fs::read_to_string(project.tools(name)).unwrap(), text, "{moment}");
            }
            assert!(!project.tools("tmp").exists(), "{moment}: half of a product is left behind");
        }
    }

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
        assert_eq!(steps[2].cost(&project).as_deref(), Some("about 4 min, 100 MB"));
        // A machine that was slow is expected to be slow again.
        times::keep(&project, "second", 480);
        let cost = steps[2].cost(&project);
        assert_eq!(cost.as_deref(), Some("about 8 min as the last time, 100 MB"));
        // The first step, of a minute, is missing, too.
        let all = SetupStep::cost_of_missing(&steps, &project);
        assert_eq!(all.as_deref(), Some("about 9 min, 200 MB"));
        let mut again = TimeLeft::new(&steps, &project);
        assert_eq!(again.text().as_deref(), Some("about 9 min of set-up left"));
    }
}
