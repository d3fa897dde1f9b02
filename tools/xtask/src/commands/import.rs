//! `cargo xtask import`: pictures become arrays.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;

use crate::failure::Failure;
use crate::progress::say;
use crate::project::Project;

/// Becomes the program `import`, which cargo builds first; comes back only if cargo cannot start. Its paths are relative to where
/// the person stands.
pub(crate) fn run(project: &Project, options: &[OsString]) -> Result<(), Failure> {
    if !project.path("target/release/import").exists() {
        say("building the program that reads pictures, once: about a minute");
    }
    let mut cargo = project.command("cargo");
    if let Ok(here) = env::current_dir() {
        cargo.current_dir(here);
    }
    cargo.args(["run", "--locked", "--release", "--quiet", "--package", "import"]);
    cargo.arg("--manifest-path").arg(project.path("Cargo.toml")).arg("--").args(options);
    if !options.iter().any(|option| option == "--into") {
        cargo.arg("--into").arg(project.path("data"));
    }
    Err(Failure::new(format!("cannot start cargo: {}", cargo.exec())))
}
