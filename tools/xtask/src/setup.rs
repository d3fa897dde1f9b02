//! `cargo xtask setup`: everything the notebooks and the tests need, in `.tools`.
//!
//! A step is skipped when its stamp says that its product was made from the inputs of today. A step
//! works under a temporary name, moves the product to its place and writes its stamp last, so that
//! one that was killed half-way is simply done again.

pub(crate) mod bench;
pub(crate) mod kernel;
pub(crate) mod libtorch;
pub(crate) mod papermill;
pub(crate) mod python;
pub(crate) mod tools;
pub(crate) mod trial;
pub(crate) mod weights;

use std::path::PathBuf;

use crate::failure::Failure;
use crate::project::{Project, remove};
use crate::screen::{Screen, Step};
use crate::stamp::Stamp;

/// What a person chose.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Choices {
    /// With CUDA, without, or as the machine suggests.
    pub(crate) cuda: Option<bool>,
}

/// One step of set-up.
pub(crate) struct Part {
    title: String,
    /// The inputs and where the product must be; a part without looks for itself.
    product: Option<(Stamp, PathBuf)>,
    make: Make,
}

/// Makes a part's product; gives what the screen shows in the end.
type Make = Box<dyn FnOnce(&Project, &mut Step) -> Result<String, Failure>>;

impl Part {
    /// A part that is skipped while `stamp` matches and `product` is there.
    fn new(
        title: impl Into<String>,
        stamp: Stamp,
        product: PathBuf,
        make: impl FnOnce(&Project, &mut Step) -> Result<String, Failure> + 'static,
    ) -> Part {
        Part { title: title.into(), product: Some((stamp, product)), make: Box::new(make) }
    }

    /// A part that is quick, or finds out by itself what there is to do.
    fn always(
        title: impl Into<String>,
        make: impl FnOnce(&Project, &mut Step) -> Result<String, Failure> + 'static,
    ) -> Part {
        Part { title: title.into(), product: None, make: Box::new(make) }
    }

    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    /// If there is nothing to do; unknown for a part that looks for itself.
    pub(crate) fn is_current(&self, project: &Project) -> Option<bool> {
        let (stamp, product) = self.product.as_ref()?;
        Some(product.exists() && stamp.matches(project))
    }

    fn run(self, project: &Project, screen: &mut Screen) -> Result<(), Failure> {
        let mut step = screen.step(&self.title);
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

/// All steps, in order.
pub(crate) fn parts(project: &Project, choices: Choices) -> Result<Vec<Part>, Failure> {
    let found = tools::check(project)?;
    let mut parts = vec![
        tools::part(&found),
        python::part(project, &found.python),
        papermill::part(project),
        libtorch::part(project, choices),
        kernel::build_part(project, &found),
        kernel::template_part(),
        weights::part(project),
    ];
    parts.extend(trial::part(project));
    Ok(parts)
}

/// The steps that the benchmark needs: the peers, our side, and what `needs` names.
pub(crate) fn bench_parts(project: &Project, needs: bench::Needs) -> Result<Vec<Part>, Failure> {
    let found = tools::check(project)?;
    let mut parts = vec![
        tools::part(&found),
        python::part(project, &found.python),
        libtorch::part(project, Choices::default()),
    ];
    if needs.kernel {
        parts.extend([kernel::build_part(project, &found), kernel::template_part()]);
    }
    if needs.weights {
        parts.push(weights::part(project));
    }
    parts.extend(trial::part(project));
    parts.extend([bench::program_part(), bench::peers_part(project)?]);
    if needs.torch {
        parts.push(bench::torch_part(project));
    }
    Ok(parts)
}

/// Does what is left to do of `parts`. Only one xtask at a time changes `.tools`.
pub(crate) fn run(project: &Project, parts: Vec<Part>, screen: &mut Screen) -> Result<(), Failure> {
    let _lock = project.lock()?;
    // Left behind by runs that were killed; nobody else is here now.
    let _ = remove(&project.tools("tmp"));
    for part in parts {
        part.run(project, screen)?;
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

    /// Runs a part whose product is a file; gives if it was made.
    fn run_part(project: &Project, version: &str, fail: bool) -> (bool, bool) {
        let made = Rc::new(Cell::new(false));
        let seen = made.clone();
        let product = project.tools("product");
        let stamp = Stamp::new(project, "product").with("version", version);
        let part = Part::new("Product", stamp, product.clone(), move |_, _| {
            seen.set(true);
            fs::write(&product, "").unwrap();
            if fail { Err(Failure::new("half-way")) } else { Ok(String::new()) }
        });
        let done = part.run(project, &mut Screen::new(1)).is_ok();
        (made.get(), done)
    }

    #[test]
    fn a_step_is_done_again_only_when_needed() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        fs::create_dir_all(project.tools("")).unwrap();
        assert_eq!(run_part(&project, "1", false), (true, true));
        assert_eq!(run_part(&project, "1", false), (false, true), "nothing changed");
        assert_eq!(run_part(&project, "2", false), (true, true), "another version");
        fs::remove_file(project.tools("product")).unwrap();
        assert_eq!(run_part(&project, "2", false), (true, true), "the product is gone");
    }

    #[test]
    fn a_step_that_failed_is_done_again() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        fs::create_dir_all(project.tools("")).unwrap();
        run_part(&project, "1", false);
        assert_eq!(run_part(&project, "2", true), (true, false));
        assert_eq!(
            run_part(&project, "1", false),
            (true, true),
            "the product is of the failed try"
        );
    }
}
