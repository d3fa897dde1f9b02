//! `cargo xtask submission` and `cargo xtask run`: run notebooks without a browser.

use std::time::Instant;

use crate::commands::export::{self, Pages};
use crate::data::fashion_mnist;
use crate::failure::Failure;
use crate::flags::{Parameter, Run, Submission};
use crate::notebooks::{self, Notebook, Plan, paths};
use crate::progress::{Progress, duration, say};
use crate::project::Project;
use crate::setup;

/// All notebooks in order, and the HTML submission.
pub(crate) fn submission(project: &Project, flags: &Submission) -> Result<(), Failure> {
    let plan = planned(project, &[], &flags.parameter, flags.quick)?;
    let pages = Pages::of_submission(flags);
    run_plan(project, &Plan { resume: flags.resume, ..plan }, &pages)
}

/// The notebooks that the person named, with their parameters.
pub(crate) fn run(project: &Project, flags: &Run) -> Result<(), Failure> {
    let plan = planned(project, &flags.notebook, &flags.parameter, flags.quick)?;
    let (resume, cluster) = (flags.resume, flags.cluster.clone());
    run_plan(project, &Plan { resume, cluster, ..plan }, &Pages::default())
}

/// The plan for the user's notebooks and parameters. Results of the user's own data go into a folder beside the data.
fn planned(
    project: &Project,
    names: &[String],
    parameters: &[Parameter],
    quick: bool,
) -> Result<Plan, Failure> {
    let all = Notebook::all(project)?;
    let given = paths::seen_from_notebooks(project, &all, parameters)?;
    let plan = Plan::new(all, names, &given, quick)?;
    Ok(match paths::beside_own_data(project, &given, quick) {
        Some(export) => plan.exporting_to(export),
        None => plan,
    })
}

/// Sets up, fetches the data if the plan needs it, runs the notebooks, and writes the pages if these are all of them.
fn run_plan(project: &Project, plan: &Plan, pages: &Pages) -> Result<(), Failure> {
    let start = Instant::now();
    let steps = setup::steps(project, None)?;
    let with_data = plan.reads_full_data();
    let count = steps.len() + plan.notebooks.len();
    let mut progress = Progress::new(count + usize::from(with_data) + usize::from(plan.whole));
    setup::run(project, steps, &mut progress)?;
    if with_data {
        fashion_mnist::fetch(project, progress.step("Data"))?;
    }
    let _runs = project.lock_runs(plan.quick)?;
    notebooks::run(project, plan, &mut progress, |_| {})?;
    let folder = plan.results(project);
    if plan.whole {
        export::write_pages(project, progress.step("Pages"), &folder, pages)?;
    }
    let page = if plan.whole { "submission.html" } else { "" };
    say(&format!("\n{}/{page} after {}", project.show(&folder), duration(start.elapsed())));
    Ok(())
}
