//! Makes `X.npy`, `y.npy` and `classes.txt` from a folder of pictures: `cargo xtask import FOLDER`.

mod flags;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::flags::Import;
use import::Request;
use import::picture::Fit;

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
