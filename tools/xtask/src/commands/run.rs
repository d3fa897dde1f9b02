//! `cargo xtask submission` and `cargo xtask run`: run notebooks without a browser.

use std::time::Instant;

use crate::commands::export::{self, Pages};
use crate::data::fashion_mnist;
use crate::failure::Failure;
use crate::flags::{Run, Submission};
use crate::notebooks::{self, Notebook, Plan, paths};
use crate::progress::{Progress, duration, say};
use crate::project::Project;
use crate::setup;

/// All notebooks in order, and the HTML submission.
pub(crate) fn submission(project: &Project, flags: &Submission) -> Result<(), Failure> {
    let plan = Plan::new(Notebook::all(project)?, &[], &[], flags.quick)?;
    let pages = Pages::of_submission(flags);
    run_plan(project, &Plan { resume: flags.resume, ..plan }, Some(&pages))
}

/// The notebooks that the person named, with their parameters.
pub(crate) fn run(project: &Project, flags: &Run) -> Result<(), Failure> {
    let all = Notebook::all(project)?;
    let given = paths::seen_from_notebooks(project, &all, &flags.parameter)?;
    let plan = Plan::new(all, &flags.notebook, &given, flags.quick)?;
    let (resume, cluster) = (flags.resume, flags.cluster.clone());
    run_plan(project, &Plan { resume, cluster, ..plan }, None)
}

/// Sets up, fetches the data if the plan needs it, runs the notebooks, and writes the pages if requested.
fn run_plan(project: &Project, plan: &Plan, pages: Option<&Pages>) -> Result<(), Failure> {
    let start = Instant::now();
    let steps = setup::steps(project, None)?;
    let with_data = plan.reads_full_data();
    let count = steps.len() + plan.notebooks.len();
    let mut progress = Progress::new(count + usize::from(with_data) + usize::from(pages.is_some()));
    setup::run(project, steps, &mut progress)?;
    if with_data {
        fashion_mnist::fetch(project, progress.step("Data"))?;
    }
    let _runs = project.lock_runs(plan.quick)?;
    notebooks::run(project, plan, &mut progress, |_| {})?;
    if let Some(pages) = pages {
        export::write_pages(project, progress.step("Pages"), plan.quick, pages)?;
    }
    let folder = project.show(&plan.export(project));
    let page = if pages.is_some() { "submission.html" } else { "" };
    say(&format!("\n{folder}/{page} after {}", duration(start.elapsed())));
    Ok(())
}
