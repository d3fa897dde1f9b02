//! Everything the notebooks and the tests need, in `.tools`; one file a step.
//!
//! A step is skipped when its stamp says that its product was made from the inputs of today. A step
//! works under a temporary name, moves the product to where it stays, and writes its stamp last, so that
//! one that was killed half-way is simply done again.

pub(crate) mod bench;
pub(crate) mod kernel;
pub(crate) mod libtorch;
pub(crate) mod packages;
pub(crate) mod python;
pub(crate) mod stamp;
pub(crate) mod tools;
pub(crate) mod weights;

use std::path::PathBuf;

use crate::failure::Failure;
use crate::files::{remove, size};
use crate::progress::{Progress, Step};
use crate::project::Project;
use crate::setup::stamp::Stamp;
use crate::setup::tools::Tools;

/// One step of set-up.
pub(crate) struct SetupStep {
    title: String,
    /// The inputs and where the product must be; a step without looks for itself.
    product: Option<(Stamp, PathBuf)>,
    /// All that it makes, as names in `.tools`; none for what lies in another step's folder.
    makes: &'static [&'static str],
    /// What of it can begin before the steps in front of it have ended.
    begin: Option<Begin>,
    make: Make,
}

/// Starts a part of a step that goes on beside others.
type Begin = Box<dyn Fn(&Project) -> Result<(), Failure>>;

/// Makes a step's product; gives what is shown in the end.
type Make = Box<dyn FnOnce(&Project, &mut Step) -> Result<String, Failure>>;

impl SetupStep {
    /// A step that is skipped while `stamp` matches and `product` is there.
    fn new(
        title: impl Into<String>,
        stamp: Stamp,
        product: PathBuf,
        make: impl FnOnce(&Project, &mut Step) -> Result<String, Failure> + 'static,
    ) -> SetupStep {
        let (title, product) = (title.into(), Some((stamp, product)));
        SetupStep { title, product, makes: &[], begin: None, make: Box::new(make) }
    }

    /// The step with the names of what it makes in `.tools`.
    fn making(self, makes: &'static [&'static str]) -> SetupStep {
        SetupStep { makes, ..self }
    }

    /// The step with a part that begins as soon as set-up does.
    fn begun_early(self, begin: impl Fn(&Project) -> Result<(), Failure> + 'static) -> SetupStep {
        SetupStep { begin: Some(Box::new(begin)), ..self }
    }

    /// A step that is quick, or finds out by itself what there is to do.
    fn always(
        title: impl Into<String>,
        make: impl FnOnce(&Project, &mut Step) -> Result<String, Failure> + 'static,
    ) -> SetupStep {
        let title = title.into();
        SetupStep { title, product: None, makes: &[], begin: None, make: Box::new(make) }
    }

    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    /// Whether there is nothing to do; unknown for a step that looks for itself.
    pub(crate) fn is_current(&self, project: &Project) -> Option<bool> {
        let (stamp, product) = self.product.as_ref()?;
        Some(product.exists() && stamp.matches(project))
    }

    /// Whether the product is there and, as far as its stamp tells, up to date; none for a step that leaves nothing.
    pub(crate) fn is_there(&self, project: &Project) -> Option<bool> {
        let all = || self.makes.iter().all(|name| project.tools(name).exists());
        self.is_current(project).or_else(|| (!self.makes.is_empty()).then(all))
    }

    /// The bytes of what it makes; links are followed.
    pub(crate) fn size(&self, project: &Project) -> u64 {
        let paths = self.makes.iter().filter_map(|name| project.tools(name).canonicalize().ok());
        paths.map(|path| size(&path)).sum()
    }

    fn run(self, project: &Project, progress: &mut Progress) -> Result<(), Failure> {
        let mut step = progress.step(&self.title);
        let file = |error| Failure::of_file("write in", &project.tools("stamps"), &error);
        if self.is_current(project) == Some(true) {
            step.done("up to date");
            return Ok(());
        }
        let Some((stamp, _)) = self.product else {
            let text = (self.make)(project, &mut step)?;
            step.done(&text);
            return Ok(());
        };
        stamp.clear(project).map_err(file)?;
        let text = (self.make)(project, &mut step)?;
        stamp.keep(project).map_err(file)?;
        step.done(&text);
        Ok(())
    }
}

/// All steps, in order; libtorch with CUDA, without, or as the machine suggests.
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

/// The steps after which the project's Python is there.
pub(crate) fn python_steps(project: &Project) -> Result<Vec<SetupStep>, Failure> {
    Ok(first_steps(project, &tools::check(project)?))
}

fn first_steps(project: &Project, found: &Tools) -> Vec<SetupStep> {
    vec![tools::step(found), python::step(project, &found.python), packages::step(project)]
}

/// The steps after which programs can be linked to libtorch.
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

/// Does what is left to do of `steps`. Only one xtask at a time changes `.tools`.
pub(crate) fn run(
    project: &Project,
    steps: Vec<SetupStep>,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let _lock = project.lock()?;
    // Left behind by runs that were killed; nobody else is here now.
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::rc::Rc;

    use super::*;

    /// Runs a step whose product is a file; gives whether it was made.
    fn run_step(project: &Project, version: &str, fail: bool) -> (bool, bool) {
        let made = Rc::new(Cell::new(false));
        let seen = made.clone();
        let product = project.tools("product");
        let stamp = Stamp::new(project, "product").with("version", version);
        let step = SetupStep::new("Product", stamp, product.clone(), move |_, _| {
            seen.set(true);
            fs::write(&product, "").unwrap();
            if fail { Err(Failure::new("half-way")) } else { Ok(String::new()) }
        });
        let done = step.run(project, &mut Progress::new(1)).is_ok();
        (made.get(), done)
    }

    #[test]
    fn a_step_is_done_again_only_when_needed() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        fs::create_dir_all(project.tools("")).unwrap();
        assert_eq!(run_step(&project, "1", false), (true, true));
        assert_eq!(run_step(&project, "1", false), (false, true), "nothing changed");
        assert_eq!(run_step(&project, "2", false), (true, true), "another version");
        fs::remove_file(project.tools("product")).unwrap();
        assert_eq!(run_step(&project, "2", false), (true, true), "the product is gone");
    }

    #[test]
    fn a_step_that_failed_is_done_again() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        fs::create_dir_all(project.tools("")).unwrap();
        run_step(&project, "1", false);
        assert_eq!(run_step(&project, "2", true), (true, false));
        assert_eq!(
            run_step(&project, "1", false),
            (true, true),
            "the product is of the failed try"
        );
    }
}
