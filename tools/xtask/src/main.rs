//! The commands of this project: `cargo xtask help` lists them.
//!
//! One file a command. `project` knows where things are, `screen` shows what is being done,
//! `process` runs programs, `failure` says what went wrong.

mod args;
mod data;
mod failure;
mod npy;
mod process;
mod project;
mod screen;
mod setup;
mod stamp;

use std::process::ExitCode;

use args::{Given, Help};
use failure::Failure;
use project::Project;
use screen::Screen;
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
    match given.command {
        "setup" => {
            let cuda = match (given.has("--cuda"), given.has("--cpu")) {
                (true, true) => {
                    return Err(Failure::new("`--cuda` and `--cpu` exclude each other"));
                }
                (false, false) => None,
                (cuda, _) => Some(cuda),
            };
            let parts = setup::parts(project, Choices { cuda })?;
            let mut screen = Screen::new(parts.len());
            setup::run(project, parts, &mut screen)
        }
        "data" => {
            let sample = given.has("--sample");
            let mut screen = Screen::new(1 + usize::from(sample));
            data::fetch(project, screen.step("Data"))?;
            if sample {
                data::sample(project, screen.step("Sample"))?;
            }
            Ok(())
        }
        other => Err(Failure::new(format!("`{other}` is not there yet"))),
    }
}
