//! The commands of this project: `cargo xtask help` lists them.
//!
//! `flags` defines the command line, and `commands` has one file per command. `setup` has one file per step, `checks`
//! the checks of `cargo xtask test`, `notebooks` the runs of notebooks, `data` Fashion-MNIST. `project` knows all
//! paths, `files` writes and moves files, `process` runs programs, `progress` shows the progress, and `failure` formats
//! errors.

#![warn(clippy::print_stdout, clippy::print_stderr)] // `progress` prints: elsewhere a closed pipe would end in a panic.

#[cfg(not(unix))]
compile_error!(
    "this project runs on Linux and macOS; on Windows, work in WSL: https://learn.microsoft.com/windows/wsl/install"
);

mod checks;
mod commands;
mod data;
mod failure;
mod files;
mod flags;
mod hash;
mod notebooks;
mod process;
mod progress;
mod project;
mod setup;

use std::process::ExitCode;

use flags::Refusal;
use project::Project;

fn main() -> ExitCode {
    let command = match flags::read(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(Refusal::Help(text)) => {
            progress::say(&text);
            return ExitCode::SUCCESS;
        }
        Err(Refusal::Wrong(text)) => {
            progress::complain(&text);
            return ExitCode::from(2);
        }
    };
    match commands::run(&Project::find(), command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            progress::complain(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}
