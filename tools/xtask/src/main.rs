//! The commands of this project: `cargo xtask help` lists them.
//!
//! One file a command. `project` knows where things are, `screen` shows what is being done,
//! `process` runs programs, `failure` says what went wrong.

mod again;
mod args;
mod bench;
mod browser;
mod checks;
mod clean;
mod data;
mod doctor;
mod export;
mod failure;
mod lab;
mod notebook;
mod notebooks;
mod npy;
mod process;
mod project;
mod screen;
mod setup;
mod stamp;

use std::process::ExitCode;
use std::time::Instant;

use args::{Given, Help};
use failure::Failure;
use notebook::Notebook;
use notebooks::Plan;
use project::Project;
use screen::{Screen, duration};
use setup::Choices;

fn main() -> ExitCode {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let given = match args::read(words) {
        Ok(given) => given,
        Err(Help::Wanted(text)) => {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(Help::Wrong(text)) => {
            eprintln!("error: {text}");
            return ExitCode::from(2);
        }
    };
    match run(&Project::find(), &given) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(project: &Project, given: &Given) -> Result<(), Failure> {
    let quick = given.has("--quick");
    match given.command {
        "submission" => {
            let plan = Plan::new(Notebook::all(project)?, &[], &[], quick, given.has("--resume"))?;
            run_notebooks(project, &plan, true)
        }
        "run" => {
            let (names, parameters) = (&given.words, &given.parameters);
            let resume = given.has("--resume");
            let plan = Plan::new(Notebook::all(project)?, names, parameters, quick, resume)?;
            run_notebooks(project, &plan, false)
        }
        "test" => checks::run(project, !given.has("--no-browser"), &given.options),
        "setup" => {
            let cuda = match (given.has("--cuda"), given.has("--cpu")) {
                (true, true) => {
                    return Err(Failure::new("`--cuda` and `--cpu` exclude each other"));
                }
                (false, false) => None,
                (cuda, _) => Some(cuda),
            };
            set_up(project, Choices { cuda })
        }
        "doctor" => match doctor::run(project) {
            true => Ok(()),
            false => Err(Failure::new("something is missing; the lines marked -- say what to do")),
        },
        "data" => {
            let sample = given.has("--sample");
            let mut screen = Screen::new(1 + usize::from(sample));
            data::fetch(project, screen.step("Data"))?;
            if sample {
                data::sample(project, screen.step("Sample"))?;
            }
            Ok(())
        }
        "lab" => {
            set_up(project, Choices::default())?;
            lab::run(project, &given.words)
        }
        "export" => {
            let _runs = project.lock_runs(quick)?;
            export::run(project, Screen::new(1).step("Pages"), quick)
        }
        "bench" => bench::run(project, &given.options, quick, given.has("--stock")),
        "clean" => {
            // Neither under a run, nor under a set-up.
            let _runs = (project.lock_runs(false)?, project.lock_runs(true)?);
            let _lock = project.lock()?;
            clean::run(project, given.has("--all"))
        }
        other => Err(Failure::new(format!("`{other}` is listed, but nothing does it"))),
    }
}

fn set_up(project: &Project, choices: Choices) -> Result<(), Failure> {
    let parts = setup::parts(project, choices)?;
    let mut screen = Screen::new(parts.len());
    setup::run(project, parts, &mut screen)
}

/// Sets up, fetches the data if the plan reads it, runs the notebooks, and writes the pages if asked.
fn run_notebooks(project: &Project, plan: &Plan, with_pages: bool) -> Result<(), Failure> {
    let start = Instant::now();
    let parts = setup::parts(project, Choices::default())?;
    let with_data = plan.reads_full_data();
    let steps = parts.len() + plan.notebooks.len();
    let mut screen = Screen::new(steps + usize::from(with_data) + usize::from(with_pages));
    setup::run(project, parts, &mut screen)?;
    if with_data {
        data::fetch(project, screen.step("Data"))?;
    }
    let _runs = project.lock_runs(plan.quick)?;
    notebooks::run(project, plan, &mut screen, |_| {})?;
    if with_pages {
        export::run(project, screen.step("Pages"), plan.quick)?;
    }
    let folder = project.show(&plan.export(project));
    let page = if with_pages { "submission.html" } else { "" };
    println!("\n{folder}/{page} after {}", duration(start.elapsed()));
    Ok(())
}
