//! Where trials run: in processes on this machine, on a cluster, or through your own [`TrialRunner`].
//!
//! A search only knows the trait [`TrialRunner`], which takes a [`TrialSpec`] and returns a [`TrialResult`]. By
//! default, processes of the program `trial` run the trials; see [`LocalProcesses`].

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

use super::dask::DaskCluster;
pub use super::runner::TrialRunner;
use super::runner::locked;
use super::trial::{TrialResult, TrialSpec};
use crate::display::FRONT;
use crate::error::{Error, Result};
use crate::system::environment::code_version;
use crate::text::{clean_text, shown_path};

/// Where the trials of a search run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Launcher {
    /// As processes on this machine.
    #[default]
    Local,
    /// On the Dask cluster whose scheduler has this address: `tcp://host:8786`, or `tls://host:8786` with the
    /// certificates that Dask's own settings name. Its workers need Python and `distributed` in the version of this
    /// project's environment; the search sends them everything else. You must trust the scheduler and the workers:
    /// Dask's messages are pickles, which can run code.
    Dask(String),
}

/// The environment variable with the cluster for searches that name none; `cargo xtask run 10 --cluster ADDRESS` sets
/// it.
pub const TRIAL_CLUSTER: &str = "TRIAL_CLUSTER";

impl Launcher {
    /// This launcher; for `Local`, the cluster that the variable [`TRIAL_CLUSTER`] names, if any.
    pub(super) fn or_named(&self) -> Launcher {
        match std::env::var(TRIAL_CLUSTER) {
            Ok(address) if *self == Launcher::Local && !address.is_empty() => {
                Launcher::Dask(address)
            }
            _ => self.clone(),
        }
    }

    /// Starts the runner of the trials on the data in this folder.
    ///
    /// # Errors
    /// If the program that runs them is not there, or no cluster answers.
    pub(super) fn start(&self, data: &Path) -> Result<Box<dyn TrialRunner>> {
        let processes = LocalProcesses::find()?;
        Ok(match self {
            Launcher::Local => Box::new(processes),
            Launcher::Dask(address) => {
                Box::new(DaskCluster::connect(address, &processes.program, data)?)
            }
        })
    }
}

/// Runs trials in processes on this machine. Each process runs one trial at a time.
#[derive(Debug)]
pub struct LocalProcesses {
    program: PathBuf,
    /// Processes that wait for a trial; they end when this value is dropped.
    idle: Mutex<Vec<Worker>>,
}

/// The environment variable with a program to use instead of the one that set-up builds.
pub const TRIAL_PROGRAM: &str = "TRIAL_PROGRAM";

impl LocalProcesses {
    /// The program that `cargo xtask setup` built, or the one in the variable [`TRIAL_PROGRAM`].
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

    /// Uses this program, and does not check which code it was built from.
    pub fn new(program: impl Into<PathBuf>) -> LocalProcesses {
        LocalProcesses { program: program.into(), idle: Mutex::default() }
    }

    /// A living process with this many threads that waits for a trial.
    fn take_idle(&self, threads: usize) -> Option<Worker> {
        let mut idle = locked(&self.idle);
        // An interrupt also ends the waiting processes.
        idle.retain_mut(|worker| matches!(worker.child.try_wait(), Ok(None)));
        let index = idle.iter().position(|worker| worker.threads == threads)?;
        Some(idle.swap_remove(index))
    }

    /// Asks the program for the version of the code that it was built from, and compares it.
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

impl TrialRunner for LocalProcesses {
    fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String> {
        let mut line = serde_json::to_vec(spec).map_err(|error| error.to_string())?;
        line.push(b'\n');
        let mut worker = match self.take_idle(spec.threads) {
            Some(worker) => worker,
            None => Worker::start(&self.program, spec.threads)?,
        };
        match worker.ask(&line) {
            Answer::Line(line) => {
                locked(&self.idle).push(worker);
                if let Ok(Failed { error }) = serde_json::from_slice(&line) {
                    return Err(clean_text(&error));
                }
                TrialResult::parse(&line, &spec.id()).ok_or_else(|| NO_RESULT.to_owned())
            }
            Answer::Ended(status) if status.success() => Err(NO_RESULT.to_owned()),
            Answer::Ended(status) => Err(what_went_wrong(status, &worker.printed())),
        }
    }
}

const NO_RESULT: &str = "the program ended well and printed no whole result of this trial";

/// What `trial --serve` answers when a trial has no result.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failed {
    /// What went wrong, in one line.
    pub error: String,
}

/// A process that runs one trial after the other, because starting a process takes 0.2 s, as long as a small trial. A
/// trial draws all its random numbers from its own seed, so its result is the same as in a new process.
#[derive(Debug)]
struct Worker {
    child: Child,
    answers: BufReader<ChildStdout>,
    /// The end of what it printed to stderr.
    printed: Arc<Mutex<Vec<u8>>>,
    /// The thread that reads stderr until the process ends.
    reader: Option<JoinHandle<()>>,
    threads: usize,
}

/// What a worker returns for a trial.
enum Answer {
    Line(Vec<u8>),
    Ended(ExitStatus),
}

/// How many bytes of a worker's stderr are kept.
const PRINTED: usize = 1 << 16;

impl Worker {
    fn start(program: &Path, threads: usize) -> Result<Worker, String> {
        let mut child = Command::new(program)
            .arg("--serve")
            .env("OMP_NUM_THREADS", threads.to_string())
            // Nothing displays the trainings of a worker.
            .env_remove(FRONT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", shown_path(program)))?;
        let (Some(stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(format!("cannot read what {} prints", shown_path(program)));
        };
        let printed = Arc::new(Mutex::new(Vec::new()));
        let kept = printed.clone();
        let reader = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = stderr.read(&mut piece) {
                let mut kept = locked(&kept);
                kept.extend(&piece[..length]);
                let surplus = kept.len().saturating_sub(PRINTED);
                kept.drain(..surplus);
            }
        });
        let (answers, reader) = (BufReader::new(stdout), Some(reader));
        Ok(Worker { child, answers, printed, reader, threads })
    }

    /// Sends it a trial and waits for the line with the answer.
    fn ask(&mut self, line: &[u8]) -> Answer {
        locked(&self.printed).clear();
        // If the process has already ended, its exit status and stderr say why.
        if let Some(stdin) = &mut self.child.stdin {
            let _ = stdin.write_all(line).and_then(|()| stdin.flush());
        }
        let mut answer = Vec::new();
        match self.answers.read_until(b'\n', &mut answer) {
            Ok(1..) if answer.ends_with(b"\n") => Answer::Line(answer),
            _ => {
                // Closing its input ends the process if it still runs.
                drop(self.child.stdin.take());
                let status = self.child.wait();
                status.map_or_else(|_| Answer::Ended(ExitStatus::default()), Answer::Ended)
            }
        }
    }

    /// The end of its stderr, complete once the process has ended.
    fn printed(&mut self) -> Vec<u8> {
        self.reader.take().map(JoinHandle::join);
        locked(&self.printed).clone()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // At this point it waits for its next trial, or has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program's own error message, or its exit status.
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
