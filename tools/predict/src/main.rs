//! Says what a trained model sees in pictures: `cargo xtask predict MODEL PICTURE…`.
//!
//! [`pictures`] reads the pictures, [`answer`] writes what the model says of them as a table, as JSON or as a figure.

#![cfg_attr(not(test), warn(clippy::expect_used, clippy::panic, clippy::unwrap_used))]

mod answer;
mod flags;
mod pictures;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use helpers::data::npy::write_npy;
use helpers::models::{Model, Precision};
use import::picture::Fit;

use crate::answer::Answer;
use crate::flags::Predict;
use crate::pictures::{Pictures, Preparation};

fn main() -> ExitCode {
    let flags = match Predict::from_env() {
        Ok(flags) => flags,
        Err(error) => error.exit(),
    };
    match run(&flags) {
        Ok(left_out) if left_out.is_empty() => ExitCode::SUCCESS,
        Ok(left_out) => {
            left_out.iter().for_each(|problem| eprintln!("left out: {problem}"));
            ExitCode::FAILURE
        }
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Answers for all pictures that can be read; returns the others, each with the reason.
fn run(flags: &Predict) -> Result<Vec<String>, String> {
    if flags.picture.is_empty() {
        return Err("name at least one picture, or an array of images like X.npy".to_owned());
    }
    let said = |error: helpers::Error| error.to_string();
    let mut model = Model::load(&flags.model).map_err(said)?;
    if flags.float32 {
        model.set_precision(Precision::Float32);
    }
    let preparation = Preparation::of(&model, flags.fit.unwrap_or(Fit::Crop), flags.invert)?;
    let pictures = Pictures::read(&flags.picture, &preparation)?;
    let outputs = answer::outputs(&model, &pictures).map_err(said)?;
    if let Some(path) = &flags.array {
        write_npy(path, &outputs).map_err(said)?;
    }
    let answer = (model.output_shape().len() == 1)
        .then(|| Answer::new(&model, &pictures, &outputs, flags.top.unwrap_or(3)));
    if answer.is_none() && (flags.json || (flags.array.is_none() && flags.plot.is_none())) {
        return Err("this model gives images, no classes for a table or JSON; --plot FILE.png draws them beside the \
                    pictures, --array FILE.npy keeps them"
            .to_owned());
    }
    if let Some(path) = &flags.plot {
        let figure = match &answer {
            Some(answer) => answer.plot(&pictures),
            None => answer::plot_restored(&pictures, &outputs),
        };
        figure.and_then(|figure| figure.save(path)).map_err(said)?;
    }
    let text = match answer {
        Some(answer) if flags.json => answer.to_json(),
        Some(answer) => answer.to_table(),
        None => String::new(),
    };
    match io::stdout().write_all(text.as_bytes()) {
        // The reader has closed the pipe, as `head` does.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written.map_err(|error| format!("cannot write the answer: {error}"))?,
    }
    Ok(pictures.left_out)
}
