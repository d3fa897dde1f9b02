//! What runs trials: processes on this machine, or a bridge to an engine of your own.
//!
//! All that a search knows of it is the [`Launcher`]: it is given a [`TrialSpec`] and gives back a [`TrialResult`]. By
//! default each trial is a process of the program `trial`, see [`LocalProcesses`].

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use super::trial::{TrialResult, TrialSpec};
use crate::display::FRONT;
use crate::error::{Error, Result};
use crate::system::environment::code_version;
use crate::text::{clean_text, shown_path};

/// What runs trials: the local processes of [`LocalProcesses`], or a bridge to an engine of your own.
///
/// The search calls it from several threads at once.
pub trait Launcher: Sync {
    /// Runs one trial to its end.
    ///
    /// # Errors
    /// In one line for people: what went wrong.
    fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String>;
}

/// Trials as processes on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalProcesses {
    program: PathBuf,
}

/// The variable that names another program than the one set-up makes.
pub const TRIAL_PROGRAM: &str = "TRIAL_PROGRAM";

impl LocalProcesses {
    /// The program that `cargo xtask setup` made, or the one that the variable [`TRIAL_PROGRAM`] names.
    ///
    /// # Errors
    /// If it is not there, or was made from other sources than this code.
    pub fn find() -> Result<LocalProcesses> {
        let made = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/trial");
        let processes =
            LocalProcesses::new(std::env::var_os(TRIAL_PROGRAM).map_or_else(made, PathBuf::from));
        processes.check()?;
        Ok(processes)
    }

    /// This program, as it is.
    pub fn new(program: impl Into<PathBuf>) -> LocalProcesses {
        LocalProcesses { program: program.into() }
    }

    /// Asks the program which code it was made from.
    fn check(&self) -> Result<()> {
        let refuse = |problem: String| Error::TrialProgram { path: self.program.clone(), problem };
        let output = Command::new(&self.program)
            .arg("--code")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| refuse(error.to_string()))?;
        let code = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(refuse(what_went_wrong(output.status, &output.stderr)));
        }
        if code.trim() != code_version() {
            return Err(refuse(
                "it was built from other sources than this notebook's helpers".to_owned(),
            ));
        }
        Ok(())
    }
}

impl Launcher for LocalProcesses {
    fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String> {
        let text = serde_json::to_vec(spec).map_err(|error| error.to_string())?;
        let mut child = Command::new(&self.program)
            .env("OMP_NUM_THREADS", spec.threads.to_string())
            // Nobody looks at its trainings.
            .env_remove(FRONT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", shown_path(&self.program)))?;
        // The program reads all before it writes. One that ended already says why itself.
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(&text);
        }
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(what_went_wrong(output.status, &output.stderr));
        }
        TrialResult::parse(&output.stdout, &spec.id()).ok_or_else(|| {
            "the program ended well and printed no whole result of this trial".to_owned()
        })
    }
}

/// The program's own message, or how it ended.
fn what_went_wrong(status: ExitStatus, stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    if let Some(message) = lines().rev().find_map(|line| line.strip_prefix("error: ")) {
        return clean_text(message);
    }
    let last = lines().next_back().unwrap_or("it printed nothing");
    clean_text(&format!("the program ended with {status}: {last}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_names_the_command_that_makes_it() {
        let text = LocalProcesses::new("nowhere/trial").check().unwrap_err().to_string();
        assert!(text.contains("nowhere/trial") && text.contains("`cargo xtask setup`"), "{text}");
    }
}
