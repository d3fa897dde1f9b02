//! A library with one function that flushes what cells have printed without a line break.
//!
//! Cells share one standard library and its output buffer. The program that runs them has another copy of it, so it can
//! reach the cells' buffer only through a library that is linked as they are.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::outcome::Outcome;
use crate::paths::Paths;

const SOURCE: &str = "
#[unsafe(no_mangle)]
pub extern \"C\" fn notebook_flush() {
    let _ = std::io::Write::flush(&mut std::io::stdout());
}
";

/// Compiles it.
pub(crate) fn make(paths: &Paths) -> Outcome {
    let library = paths.flush_library();
    let fresh = library.with_extension("new");
    let mut rustc = Command::new("rustc")
        .args(["-", "--crate-name=notebook_flush", "--edition=2024", "--crate-type=cdylib"])
        .args(["-Cprefer-dynamic", "-Crpath", "-Copt-level=1", "-o"])
        .arg(&fresh)
        .current_dir(paths.kernel())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run rustc: {error}"))?;
    if let Some(mut input) = rustc.stdin.take() {
        input.write_all(SOURCE.as_bytes())?;
    }
    let made = rustc.wait_with_output()?;
    if !made.status.success() {
        let told = String::from_utf8_lossy(&made.stderr);
        return Err(format!("rustc cannot make a library for cells:\n{told}").into());
    }
    Ok(std::fs::rename(&fresh, &library)?)
}
