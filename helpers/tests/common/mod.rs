//! What several tests need: the project's own Python.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs a Python script of `helpers/tests` with these arguments and returns what it printed.
pub(crate) fn run_python<A: AsRef<std::ffi::OsStr>>(script: &str, arguments: &[A]) -> Vec<u8> {
    let python = root().join(".tools/python/bin/python");
    assert!(python.exists(), "{} is not there; run `cargo xtask setup` first", python.display());
    let script = root().join("helpers/tests").join(script);
    let output = Command::new(&python)
        .arg(&script)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", python.display()));
    assert!(output.status.success(), "{} failed: {}", script.display(), output.status);
    output.stdout
}
