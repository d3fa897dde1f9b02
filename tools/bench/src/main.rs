//! The side of helpers in the benchmark: `bench < spec.json`, which prints its result as a line of JSON.
//!
//! `driver.py` starts it, as it starts the peers, and gives all of them the same specification. A package of its own
//! keeps it out of helpers, whose folder the kernel's warm build follows.

mod ceilings;
mod chart;
mod device;
mod features;
mod flop;
mod format;
mod grid_search;
mod network;
mod opening;
mod search_scale;
mod throughput;
mod time_to_accuracy;

use std::io::Read;
use std::process::ExitCode;

use serde::Deserialize;

/// What is to be done: one of the peers' tasks, or one that only this program has.
#[derive(Debug, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
enum Spec {
    Ceilings(ceilings::Spec),
    Chart(chart::Spec),
    Device(device::Spec),
    Features(features::Spec),
    GridSearch(grid_search::Spec),
    Opening(opening::Spec),
    SearchScale(search_scale::Spec),
    Throughput(throughput::Spec),
    TimeToAccuracy(time_to_accuracy::Spec),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let spec = serde_json::from_str(&text)
        .map_err(|error| format!("stdin holds no specification of a run: {error}"))?;
    let result = match spec {
        Spec::Ceilings(spec) => spec.run()?,
        Spec::Chart(spec) => spec.run()?,
        Spec::Device(spec) => spec.run()?,
        Spec::Features(spec) => spec.run()?,
        Spec::GridSearch(spec) => spec.run()?,
        Spec::Opening(spec) => spec.run()?,
        Spec::SearchScale(spec) => spec.run()?,
        Spec::Throughput(spec) => spec.run()?,
        Spec::TimeToAccuracy(spec) => spec.run()?,
    };
    println!("{result}");
    Ok(())
}
