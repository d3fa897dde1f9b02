//! `cargo xtask test`: all tests, the cheapest first. It stops at the first step that fails.

use crate::checks::count::Count;
use crate::checks::{self, Check, browser, killed_runs};
use crate::commands::export::{self, Pages};
use crate::failure::Failure;
use crate::files::remove;
use crate::flags::{Kills, Test};
use crate::notebooks::{self, Notebook, Plan, export_folder};
use crate::progress::{Progress, complain, say};
use crate::project::Project;
use crate::setup;

/// How often the second quick submission is killed; `--kills` changes it.
const KILLS: Kills = Kills(3);

/// Sets up and runs all tests; the last line has the numbers of passed and failed tests.
pub(crate) fn run(project: &Project, flags: &Test) -> Result<(), Failure> {
    let Kills(kills) = flags.kills.unwrap_or(KILLS);
    let with_browser = !flags.no_browser;
    let mut total = Count::default();
    let result = run_all(project, with_browser, kills, &mut total);
    if let Err(failure) = &result {
        complain(&failure.to_string());
        total.failed = total.failed.max(1);
    }
    say("");
    if total.skipped > 0 {
        say(&format!("{} skipped", total.skipped));
    }
    if !with_browser {
        say("left out: the pages in a browser (--no-browser)");
    }
    if !checks::has_cargo_deny(project) {
        say(
            "left out: cargo-deny, which is not installed; licences and sources were tested without it",
        );
    }
    if kills == 0 {
        say("left out: the same results again after kills (--kills 0)");
    }
    say(&format!("{} passed, {} failed", total.passed, total.failed));
    match result {
        Ok(()) => Ok(()),
        Err(_) => Err(Failure::new("the tests failed; what and why is said above")),
    }
}

fn run_all(
    project: &Project,
    with_browser: bool,
    kills: usize,
    total: &mut Count,
) -> Result<(), Failure> {
    let setup_steps = setup::steps(project, None)?;
    let plan = Plan::new(Notebook::all(project)?, &[], &[], true)?;
    // Not in `.tools/tmp`: each set-up empties that folder.
    let own = project.tools("run/own-data");
    let own_plan = Plan::on_own_data(Notebook::all(project)?, project, &own)?;
    let first = checks::quick(project)?;
    let second = checks::thorough(project, with_browser);
    let in_browser = if with_browser { 2 } else { 0 };
    // Beside the notebooks: pages, models in other programs, own pictures and their import.
    let of_notebooks = plan.notebooks.len() + 4 + own_plan.notebooks.len();
    let mut progress = Progress::new(
        first.len()
            + setup_steps.len()
            + second.len()
            + of_notebooks
            + in_browser
            + usize::from(kills > 0),
    );

    // Checks that need no set-up come first. The browser is among them: if none is there, that is reported now and not
    // after half an hour.
    if with_browser {
        browser::ensure(project, progress.step("Browser"))?;
    }
    run_checks(project, &mut progress, first, total)?;
    setup::run(project, setup_steps, &mut progress)?;
    run_checks(project, &mut progress, second, total)?;

    let runs = project.lock_runs(true)?;
    run_quick(project, &plan, &mut progress, with_browser, total)?;
    let clear = || remove(&own).map_err(|error| Failure::of_file("remove", &own, &error));
    clear()?;
    for check in checks::own_pictures(project, &own) {
        check.run(project, &mut progress, total)?;
    }
    notebooks::run(project, &own_plan, &mut progress, |_| total.add(Count::ONE))?;
    clear()?;
    // The killed runs take the lock themselves.
    drop(runs);
    if kills > 0 {
        let mut step = progress.step("The same after kills");
        let files = killed_runs::run(project, &mut step, kills)?;
        step.done(&format!("{files} files with the same bytes after {kills} kills"));
        total.add(Count::ONE);
    }
    Ok(())
}

fn run_checks(
    project: &Project,
    progress: &mut Progress,
    checks: Vec<Check>,
    total: &mut Count,
) -> Result<(), Failure> {
    checks.into_iter().try_for_each(|check| check.run(project, progress, total))
}

/// Runs the quick notebooks from the beginning, and checks their pages, also in a browser.
fn run_quick(
    project: &Project,
    plan: &Plan,
    progress: &mut Progress,
    with_browser: bool,
    total: &mut Count,
) -> Result<(), Failure> {
    let quick = export_folder(project, true);
    remove(&quick).map_err(|error| Failure::of_file("remove", &quick, &error))?;
    notebooks::run(project, plan, progress, |_| total.add(Count::ONE))?;
    export::write_pages(project, progress.step("Pages"), &quick, &Pages::default())?;
    total.add(Count::ONE);
    checks::models_elsewhere(project).run(project, progress, total)?;
    if with_browser {
        checks::pages_in_a_browser(project).run(project, progress, total)?;
    }
    Ok(())
}
