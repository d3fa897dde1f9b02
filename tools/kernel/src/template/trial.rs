//! The program that runs trials of a search, linked from the warm build. So it runs the same code as the notebooks, and
//! takes a second instead of another compilation of helpers and its dependencies.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::files::remove;
use crate::outcome::Outcome;
use crate::paths::Paths;
use crate::toolchain;

/// Relative to the folder of helpers.
const SOURCE: &str = "src/bin/trial.rs";

/// True if the program exists, or there is no source to make it from.
pub(crate) fn is_made(paths: &Paths) -> bool {
    paths.trial().exists() || !paths.helpers().join(SOURCE).exists()
}

/// Makes the program from the warm build `template`, in place of the one that is there; a trial that runs keeps the one it
/// started with.
pub(crate) fn make(paths: &Paths, template: &Path) -> Outcome {
    let source = paths.helpers().join(SOURCE);
    if !source.exists() {
        return Ok(());
    }
    let folder = toolchain::folder(template);
    let fresh = folder.join("trial");
    let libtorch = paths.libtorch().join("lib");
    // `.tools/libtorch` holds links: the real folder also has the libraries that libtorch needs.
    let library = libtorch.join("libtorch_cpu.so").canonicalize().unwrap_or_default();
    let loaded_from = library.parent().unwrap_or(&libtorch).display();
    remove(&fresh)?;
    let made = Command::new(fs::read_to_string(folder.join("rustc"))?)
        .args(["--crate-name", "trial", "--crate-type", "bin", "--emit=link"])
        .args(["-Copt-level=3", "-Ccodegen-units=1", "-Cstrip=debuginfo"])
        .arg(&source)
        .arg("-o")
        .arg(&fresh)
        // The real libtorch and not the stand-in: a program, unlike a cell, may have no unresolved symbols.
        .arg(format!("-Lnative={}", libtorch.display()))
        .arg(format!("-Clink-arg=-Wl,-rpath,{loaded_from}"))
        .args(
            toolchain::library_arguments(template)?
                .iter()
                .filter(|word| *word != "-Cprefer-dynamic"),
        )
        .output()
        .map_err(|error| format!("cannot run rustc: {error}"))?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned().into());
    }
    Ok(fs::rename(&fresh, paths.trial())?)
}
