//! `cargo xtask import`: makes arrays from pictures.

use std::env;
use std::os::unix::process::CommandExt;

use crate::failure::Failure;
use crate::flags::Import;
use crate::progress::say;
use crate::project::Project;

/// Replaces this process by the program `import`, which cargo builds first; returns only if cargo cannot start. Paths
/// are relative to the user's current folder.
pub(crate) fn run(project: &Project, flags: Import) -> Result<(), Failure> {
    if !project.path("target/release/import").exists() {
        say("building the program that reads pictures, once: a minute or two");
    }
    let mut cargo = project.command("cargo");
    if let Ok(here) = env::current_dir() {
        cargo.current_dir(here);
    }
    cargo.args(["run", "--locked", "--release", "--quiet", "--package", "import"]);
    cargo.arg("--manifest-path").arg(project.path("Cargo.toml")).arg("--").arg(&flags.source);
    if flags.grey {
        cargo.arg("--grey");
    }
    let into = flags.into.unwrap_or_else(|| project.path("data").into());
    let options = [
        ("--size", flags.size),
        ("--fit", flags.fit),
        ("--into", Some(into)),
        ("--images", flags.images),
        ("--labels", flags.labels),
    ];
    for (name, value) in options {
        if let Some(value) = value {
            cargo.arg(name).arg(value);
        }
    }
    Err(Failure::new(format!("cannot start cargo: {}", cargo.exec())))
}
