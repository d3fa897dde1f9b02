//! One step of set-up: its product, and whether that is up to date.

use std::path::PathBuf;

use crate::failure::Failure;
use crate::files::size;
use crate::progress::{Progress, Step, bytes, say};
use crate::project::Project;
use crate::setup::stamp::Stamp;
use crate::setup::times;

/// One step of set-up.
pub(crate) struct SetupStep {
    title: String,
    /// The inputs and the path of the product; none for a step that decides itself what to do.
    product: Option<(Stamp, PathBuf)>,
    /// Everything that it makes, as names in `.tools`; empty if that is in another step's folder.
    makes: &'static [&'static str],
    /// Seconds that it takes in a fresh clone, on two Zen 4 cores, and bytes that it adds; 0 for a few.
    usual: u64,
    usual_size: u64,
    /// What the user should know before it begins.
    note: Option<&'static str>,
    /// The part that can begin before the steps before it have ended.
    pub(super) begin: Option<Begin>,
    make: Make,
}

/// Starts a part of a step that runs in parallel to other steps.
pub(super) type Begin = Box<dyn Fn(&Project) -> Result<(), Failure>>;

/// Makes a step's product; returns the text that is shown at the end.
type Make = Box<dyn FnOnce(&Project, &mut Step) -> Result<String, Failure>>;

impl SetupStep {
    /// A step that is skipped while `stamp` matches and `product` is there.
    pub(super) fn new(
        title: impl Into<String>,
        stamp: Stamp,
        product: PathBuf,
        make: impl FnOnce(&Project, &mut Step) -> Result<String, Failure> + 'static,
    ) -> SetupStep {
        SetupStep { product: Some((stamp, product)), ..SetupStep::always(title, make) }
    }

    /// Sets the names in `.tools` of all that it makes.
    pub(super) fn making(self, makes: &'static [&'static str]) -> SetupStep {
        SetupStep { makes, ..self }
    }

    /// Sets the seconds that it takes in a fresh clone, and the megabytes that it adds.
    pub(super) fn taking(self, usual: u64, megabytes: u64) -> SetupStep {
        SetupStep { usual, usual_size: megabytes * 1_000_000, ..self }
    }

    /// Sets the note that is shown before it begins.
    pub(super) fn saying(self, note: &'static str) -> SetupStep {
        SetupStep { note: Some(note), ..self }
    }

    /// Adds a part that starts at the beginning of set-up.
    pub(super) fn begun_early(
        self,
        begin: impl Fn(&Project) -> Result<(), Failure> + 'static,
    ) -> SetupStep {
        SetupStep { begin: Some(Box::new(begin)), ..self }
    }

    /// A step without a stamp, because it is fast or decides itself what to do.
    pub(super) fn always(
        title: impl Into<String>,
        make: impl FnOnce(&Project, &mut Step) -> Result<String, Failure> + 'static,
    ) -> SetupStep {
        SetupStep {
            title: title.into(),
            product: None,
            makes: &[],
            usual: 0,
            usual_size: 0,
            note: None,
            begin: None,
            make: Box::new(make),
        }
    }

    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    /// Whether there is nothing to do; none for a step that decides itself.
    pub(crate) fn is_current(&self, project: &Project) -> Option<bool> {
        let (stamp, product) = self.product.as_ref()?;
        Some(product.exists() && stamp.matches(project))
    }

    /// Whether the product exists and, according to its stamp, is up to date; none for a step without a product.
    pub(crate) fn is_there(&self, project: &Project) -> Option<bool> {
        let all = || self.makes.iter().all(|name| project.tools(name).exists());
        self.is_current(project).or_else(|| (!self.makes.is_empty()).then(all))
    }

    /// Seconds that it will take if it is missing: as the last time here or, before that, as in a fresh clone on two Zen 4
    /// cores.
    pub(super) fn seconds(&self, project: &Project) -> u64 {
        match self.usual {
            0 => 0,
            usual => times::last(project, &self.title).unwrap_or(usual),
        }
    }

    /// What it takes where it is missing: `about 4 min, 450 MB`; none for a few seconds.
    pub(crate) fn cost(&self, project: &Project) -> Option<String> {
        let seconds = Some(self.seconds(project)).filter(|seconds| *seconds > 0)?;
        let here = times::last(project, &self.title).map_or("", |_| " as the last time");
        Some(format!("{}{here}, {}", about(seconds), bytes(self.usual_size)))
    }

    /// What all of these steps that are missing take; none if there is none.
    pub(crate) fn cost_of_missing(steps: &[SetupStep], project: &Project) -> Option<String> {
        let missing = || steps.iter().filter(|step| step.is_there(project) == Some(false));
        let seconds = missing().map(|step| step.seconds(project)).sum();
        let size = missing().map(|step| step.usual_size).sum();
        (seconds > 0).then(|| format!("{}, {}", about(seconds), bytes(size)))
    }

    /// Size of what it makes, in bytes; links are followed.
    pub(crate) fn size(&self, project: &Project) -> u64 {
        let paths = self.makes.iter().filter_map(|name| project.tools(name).canonicalize().ok());
        paths.map(|path| size(&path)).sum()
    }

    pub(super) fn run(self, project: &Project, progress: &mut Progress) -> Result<(), Failure> {
        if let Some(note) = self.note.filter(|_| self.is_current(project) != Some(true)) {
            say(note);
        }
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

/// `about 41 s`, `about 4 min`.
fn about(seconds: u64) -> String {
    match seconds {
        0..60 => format!("about {seconds} s"),
        _ => format!("about {} min", (seconds + 30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::rc::Rc;

    use super::*;

    /// Runs a step whose product is a file; returns whether it was made.
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
