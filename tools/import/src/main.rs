//! Makes `X.npy`, `y.npy` and `classes.txt` from a folder of pictures: `cargo xtask import FOLDER`.
//!
//! [`container`] takes arrays out of other files; for pictures [`list`] finds the pictures and their classes, [`picture`] reads one, [`arrays`] writes the two files as they grow,
//! [`import`] puts them together and goes on where it was stopped, [`preview`] shows what came of it. Start at
//! [`import::run`].

mod arrays;
mod container;
mod flags;
mod import;
mod list;
mod picture;
mod preview;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::flags::Import;
use crate::import::Request;
use crate::picture::Fit;

fn main() -> ExitCode {
    let flags = match Import::from_env() {
        Ok(flags) => flags,
        Err(error) => error.exit(),
    };
    let request = Request {
        source: flags.source,
        side: flags.size.unwrap_or(96),
        grey: flags.grey,
        fit: flags.fit.unwrap_or(Fit::Crop),
        into: flags.into.unwrap_or_else(|| PathBuf::from("data")),
    };
    let (images, labels) = (flags.images, flags.labels);
    match import::run(&request, images, labels) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}
