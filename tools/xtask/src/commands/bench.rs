//! `cargo xtask bench`: compares helpers with its peers on the same tasks, on this machine.

use std::process::{Command, Stdio};

use crate::data::fashion_mnist;
use crate::failure::Failure;
use crate::flags::{Bench, Rounds};
use crate::process;
use crate::progress::{Progress, say};
use crate::project::Project;
use crate::setup::bench::Needs;
use crate::setup::{self, program};

const DRIVER: &str = "tools/bench/driver.py";

/// The driver's names of its parts, and what each needs in addition to scikit-learn and Keras.
const PARTS: [(&str, Needs); 15] = [
    ("ceilings", Needs::NOTHING),
    ("grid_search", Needs { torch: true, kernel: true, ..Needs::NOTHING }),
    ("dense", Needs { torch: true, ..Needs::NOTHING }),
    ("cnn", Needs { torch: true, ..Needs::NOTHING }),
    ("autoencoder", Needs { torch: true, ..Needs::NOTHING }),
    ("transfer", Needs { torch: true, weights: true, ..Needs::NOTHING }),
    ("features", Needs { torch: true, weights: true, ..Needs::NOTHING }),
    ("time_to_accuracy", Needs::NOTHING),
    ("busy", Needs { torch: true, ..Needs::NOTHING }),
    ("threads", Needs { torch: true, ..Needs::NOTHING }),
    ("layers", Needs::NOTHING),
    ("cells", Needs { kernel: true, ..Needs::NOTHING }),
    ("opening", Needs::NOTHING),
    ("search_scale", Needs::NOTHING),
    ("growth", Needs { torch: true, ..Needs::NOTHING }),
];

/// Sets up, fetches the data and measures.
pub(crate) fn run(project: &Project, flags: &Bench) -> Result<(), Failure> {
    let needs = needs_of(flags.only.as_deref())?;
    let steps = setup::bench_steps(project, needs)?;
    let mut progress = Progress::new(steps.len() + usize::from(!flags.quick));
    setup::run(project, steps, &mut progress)?;
    if !flags.quick {
        fashion_mnist::fetch(project, progress.step("Data"))?;
    }
    let mut driver = driver(project, flags);
    say("\nFor figures that mean something, let nothing else run on this machine.\n");
    // The driver prints a line per run: the output shows the progress.
    let status = driver.status().map_err(|error| {
        Failure::new(format!("cannot start {}: {error}", process::show(project, &driver)))
    })?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("the benchmark failed ({status}); what and why is said above")))
}

fn driver(project: &Project, flags: &Bench) -> Command {
    let mut driver = project.command(project.tools("bench/bin/python"));
    driver.arg(DRIVER).env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
    driver.arg("--program").arg(program::release_folder(project).join("bench"));
    let (data, out) = match flags.quick {
        true => ("data/sample", "export/quick/bench.json"),
        false => ("data", "export/bench.json"),
    };
    driver.args(["--data", data, "--out", out]);
    let rounds = flags.rounds.map(|Rounds(rounds)| rounds).or(flags.quick.then_some(1));
    if let Some(rounds) = rounds {
        driver.args(["--rounds", &rounds.to_string()]);
    }
    for (flag, value) in [("--only", &flags.only), ("--without", &flags.without)] {
        if let Some(value) = value {
            driver.args([flag, value]);
        }
    }
    for (flag, given) in [("--quick", flags.quick), ("--stock", flags.stock)] {
        if given {
            driver.arg(flag);
        }
    }
    driver
}

/// The needs of the parts to be measured: of one of them, or of all.
fn needs_of(only: Option<&str>) -> Result<Needs, Failure> {
    let Some(only) = only else {
        return Ok(Needs { torch: true, weights: true, kernel: true });
    };
    let part = PARTS.iter().find(|(name, _)| *name == only);
    part.map(|(_, needs)| *needs).ok_or_else(|| {
        let names: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
        Failure::new(format!("`--only` takes one of {}, got `{only}`", names.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_part_brings_along_what_it_needs() {
        assert_eq!(needs_of(Some("opening")).unwrap(), Needs::NOTHING);
        assert!(needs_of(Some("features")).unwrap().weights);
        assert!(needs_of(None).unwrap().kernel);
        let text = needs_of(Some("cnns")).unwrap_err().to_string();
        assert!(text.starts_with("`--only` takes one of ceilings, grid_search,"), "{text}");
    }

    #[test]
    fn the_help_names_every_part() {
        let flags = fs::read_to_string(Project::find().path("tools/xtask/src/flags.rs")).unwrap();
        let help =
            flags.split("/// One part alone: ").nth(1).unwrap().split("optional").next().unwrap();
        for (name, _) in PARTS {
            assert!(help.contains(name), "{name}");
        }
    }

    #[test]
    fn the_driver_has_the_same_parts() {
        let driver = fs::read_to_string(Project::find().path(DRIVER)).unwrap();
        let throughput = Project::find().path("tools/bench/parts/throughput.py");
        let both = driver + &fs::read_to_string(throughput).unwrap();
        for (name, _) in PARTS {
            assert!(both.contains(&format!("    \"{name}\": ")), "{name}");
        }
    }
}
