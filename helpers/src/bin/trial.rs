//! Runs trials of a search: see `helpers::tuning::program`.

use std::process::ExitCode;

fn main() -> ExitCode {
    helpers::tuning::program::main()
}
