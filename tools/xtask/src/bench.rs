//! `cargo xtask bench`: helpers and its peers at the same work, on this machine.

use std::process::Stdio;

use crate::data;
use crate::failure::Failure;
use crate::process;
use crate::project::Project;
use crate::screen::Screen;
use crate::setup::bench::Needs;
use crate::setup::{self, kernel};

const DRIVER: &str = "tools/bench/driver.py";

/// What the driver calls its parts, and what each needs beside scikit-learn and Keras.
const PARTS: [(&str, Needs); 11] = [
    ("ceilings", Needs::NOTHING),
    ("grid_search", Needs { torch: true, ..Needs::NOTHING }),
    ("dense", Needs { torch: true, ..Needs::NOTHING }),
    ("cnn", Needs { torch: true, ..Needs::NOTHING }),
    ("autoencoder", Needs { torch: true, ..Needs::NOTHING }),
    ("transfer", Needs { torch: true, weights: true, ..Needs::NOTHING }),
    ("features", Needs { torch: true, weights: true, ..Needs::NOTHING }),
    ("time_to_accuracy", Needs::NOTHING),
    ("cells", Needs { kernel: true, ..Needs::NOTHING }),
    ("opening", Needs::NOTHING),
    ("growth", Needs { torch: true, ..Needs::NOTHING }),
];

/// Sets up, fetches the data and measures; `options` are the driver's own.
pub(crate) fn run(
    project: &Project,
    options: &[(&'static str, String)],
    quick: bool,
    stock: bool,
) -> Result<(), Failure> {
    let only = options.iter().rfind(|(name, _)| *name == "--only").map(|(_, part)| part.as_str());
    let needs = needs_of(only)?;
    for (_, rounds) in options.iter().filter(|(name, _)| *name == "--rounds") {
        if !rounds.parse().is_ok_and(|rounds: usize| rounds >= 1) {
            return Err(Failure::new(format!("`--rounds` must be at least 1, got `{rounds}`")));
        }
    }
    let parts = setup::bench_parts(project, needs)?;
    let mut screen = Screen::new(parts.len() + usize::from(!quick));
    setup::run(project, parts, &mut screen)?;
    if !quick {
        data::fetch(project, screen.step("Data"))?;
    }
    let mut driver = project.command(project.tools("bench/bin/python"));
    driver.arg(DRIVER).env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
    driver.arg("--program").arg(kernel::release_folder(project).join("bench"));
    if quick {
        driver.args(["--data", "data/sample", "--out", "export/quick/bench.json"]);
        driver.args(["--quick", "--rounds", "1"]);
    } else {
        driver.args(["--data", "data", "--out", "export/bench.json"]);
    }
    if stock {
        driver.arg("--stock");
    }
    for (name, value) in options {
        driver.args([name, value.as_str()]);
    }
    println!("\nFor figures that mean something, let nothing else run on this machine.\n");
    // The driver prints a line for each run: that is its progress.
    let status = driver.status().map_err(|error| {
        Failure::new(format!("cannot start {}: {error}", process::show(project, &driver)))
    })?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("the benchmark failed ({status}); what and why is said above")))
}

/// What the parts to be measured need: one of them, or all.
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
    fn a_wrong_number_of_rounds_is_refused_before_anything_is_set_up() {
        let folder = tempfile::tempdir().unwrap();
        for rounds in ["x", "", "0", "-1", "1.5", "99999999999999999999"] {
            let options = [("--rounds", "3".to_owned()), ("--rounds", rounds.to_owned())];
            let refused = run(&Project::at(folder.path()), &options, true, false).unwrap_err();
            let text = refused.to_string();
            assert_eq!(text, format!("`--rounds` must be at least 1, got `{rounds}`"));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
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
