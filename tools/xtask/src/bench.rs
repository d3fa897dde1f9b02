//! `cargo xtask bench`: helpers and its peers at the same work, on this machine.

use std::process::Stdio;

use crate::data;
use crate::failure::Failure;
use crate::process;
use crate::project::Project;
use crate::screen::Screen;
use crate::setup::{self, kernel};

const DRIVER: &str = "tools/bench/driver.py";

/// What the driver calls its parts.
const PARTS: [&str; 3] = ["grid_search", "dense", "cnn"];

/// Images of the quick mode; with fewer, three epochs are too few steps for accuracies that can be compared.
const QUICK_IMAGES: &str = "2400";

/// Sets up, fetches the data and measures; `options` are the driver's own.
pub(crate) fn run(
    project: &Project,
    options: &[(&'static str, String)],
    quick: bool,
) -> Result<(), Failure> {
    let only = options.iter().rfind(|(name, _)| *name == "--only").map(|(_, part)| part.as_str());
    if let Some(part) = only
        && !PARTS.contains(&part)
    {
        return Err(Failure::new(format!(
            "`--only` takes one of {}, got `{part}`",
            PARTS.join(", ")
        )));
    }
    if let Some((_, rounds)) = options.iter().find(|(name, _)| *name == "--rounds")
        && !rounds.parse().is_ok_and(|rounds: usize| rounds >= 1)
    {
        return Err(Failure::new(format!("`--rounds` must be at least 1, got `{rounds}`")));
    }
    let parts = setup::bench_parts(project, only != Some("grid_search"))?;
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
        driver.args(["--images", QUICK_IMAGES, "--rounds", "1"]);
    } else {
        driver.args(["--data", "data", "--out", "export/bench.json"]);
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
