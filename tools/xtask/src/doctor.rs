//! `cargo xtask doctor`: what is there, and what to do about the rest. It changes nothing.

use crate::browser;
use crate::data;
use crate::process;
use crate::project::{Project, size};
use crate::screen::bytes;
use crate::setup::tools;
use crate::setup::{self, python};

/// Prints one line a finding; gives if all that notebooks need is there.
pub(crate) fn run(project: &Project) -> bool {
    let mut good = true;
    let mut say = |name: &str, found: Result<String, String>| {
        let (mark, text) = match &found {
            Ok(text) => ("ok", text),
            Err(text) => ("--", text),
        };
        println!("{mark}  {name:<24} {text}");
        good &= found.is_ok();
    };
    let ask = |program: &str, option: &str| {
        let text = process::ask(project.command(program).arg(option));
        text.and_then(|text| text.lines().next().map(str::to_owned))
    };

    println!("On this machine");
    say("Rust", ask("rustc", "-V").ok_or("install Rust as https://rustup.rs says".to_owned()));
    say("cargo", ask("cargo", "-V").ok_or("install Rust as https://rustup.rs says".to_owned()));
    say("C++ compiler", tools::compiler(project).map_err(|failure| failure.to_string()));
    say(
        "Python with venv",
        python::find(project)
            .map(|python| format!("{} ({})", python.version, python.program.display()))
            .map_err(|failure| failure.to_string()),
    );
    let free = tools::free_gb(project);
    say(
        "Free disk space",
        match free {
            Some(free) if free < tools::NEEDED_GB && !project.tools("stamps/kernel").exists() => {
                Err(format!("{free} GB; set-up and a full run need about {} GB", tools::NEEDED_GB))
            }
            Some(free) => Ok(format!("{free} GB")),
            None => Ok("unknown".to_owned()),
        },
    );
    let gpu = process::ask(project.command("nvidia-smi").arg("-L"));
    say(
        "GPU",
        Ok(gpu.filter(|text| !text.is_empty()).unwrap_or_else(|| "none, not needed".to_owned())),
    );
    say(
        "Browser (for tests)",
        Ok(browser::find().map_or_else(
            || format!("none; {}", browser::ADVICE),
            |program| program.display().to_string(),
        )),
    );

    println!("\nMade by `cargo xtask setup`");
    match setup::parts(project, setup::Choices::default()) {
        Ok(parts) => {
            for part in &parts {
                if let Some(current) = part.is_current(project) {
                    let found = if current {
                        Ok("up to date".to_owned())
                    } else {
                        Err("missing or out of date: cargo xtask setup".to_owned())
                    };
                    say(part.title(), found);
                }
            }
        }
        Err(failure) => say("Set-up", Err(failure.to_string())),
    }
    say("Size of .tools", Ok(bytes(size(&project.path(".tools")))));

    println!("\nData");
    let (x, y) = (project.path("data/X.npy"), project.path("data/y.npy"));
    say(
        "data/X.npy, data/y.npy",
        match (x.exists() && y.exists(), data::is_fashion_mnist(project)) {
            (true, true) => Ok("Fashion-MNIST, 70,000 images".to_owned()),
            (true, false) => Ok(format!("your own, {} and {}", bytes(size(&x)), bytes(size(&y)))),
            (false, _) => {
                Err("not there: cargo xtask data, or put your own X.npy and y.npy into data/"
                    .to_owned())
            }
        },
    );
    good
}
