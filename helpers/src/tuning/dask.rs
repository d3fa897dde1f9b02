//! Trials on a Dask cluster, through the program `tools/cluster/bridge.py`: one line of JSON per trial in each
//! direction.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::runner::{TrialRunner, locked};
use super::trial::{TrialResult, TrialSpec};
use crate::display::print_line;
use crate::error::{Error, Result};
use crate::system::interrupt::InterruptGuard;
use crate::text::clean_text;

/// A connected cluster; dropping this value ends the bridge and all of its trials.
#[derive(Debug)]
pub(super) struct DaskCluster {
    bridge: Child,
    trials: Mutex<Option<ChildStdin>>,
    answers: Arc<Answers>,
    reader: Option<JoinHandle<()>>,
}

/// What the bridge has answered so far.
#[derive(Debug, Default)]
struct Answers {
    state: Mutex<BridgeState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct BridgeState {
    /// The number of the last trial.
    next: u64,
    /// The channel of each trial that waits for its answer. One for each trial: with one condition variable for all of
    /// them, every answer woke a thousand threads.
    waiting: HashMap<u64, Sender<Result<String, String>>>,
    slots: usize,
    /// Why no more answers come; none while the bridge runs.
    over: Option<String>,
}

/// A trial for the bridge: one line of JSON.
#[derive(Serialize)]
struct Request<'a> {
    number: u64,
    spec: &'a TrialSpec,
}

/// A line of the bridge: the result of a trial, a new number of slots, or something for the user.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reply {
    number: Option<u64>,
    result: Option<String>,
    error: Option<String>,
    slots: Option<usize>,
    note: Option<String>,
    fatal: Option<String>,
}

impl DaskCluster {
    /// Connects to the scheduler at `address`, for trials by `program` on the data in this folder; waits for a worker.
    ///
    /// # Errors
    /// If no scheduler answers, or the user interrupts the waiting (SIGINT), which may last hours in a cluster's queue.
    pub(super) fn connect(address: &str, program: &Path, data: &Path) -> Result<DaskCluster> {
        let interrupt = InterruptGuard::new();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let refused = |problem: String| {
            let advice = "`Launcher::Local` runs the trials on this machine";
            let got = format!("none: {problem}");
            Error::parameter("launcher", "a Dask cluster that answers", got, advice)
        };
        let mut bridge = Command::new(root.join(".tools/python/bin/python"))
            .arg(root.join("tools/cluster/bridge.py"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| refused(format!("the bridge does not start: {error}")))?;
        let (Some(mut stdin), Some(stdout)) = (bridge.stdin.take(), bridge.stdout.take()) else {
            return Err(Error::internal("the bridge has no input or no output"));
        };
        let answers = Arc::new(Answers::default());
        let reader = std::thread::spawn({
            let answers = answers.clone();
            move || answers.read(BufReader::new(stdout))
        });
        let data = std::fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
        let needs = json!({
            "address": address, "program": program, "libraries": libraries(program, &root), "data": data,
            "store": std::env::var("TRIAL_STORE").ok(),
        });
        // If the bridge has ended, its output gives the reason.
        let _ = writeln!(stdin, "{needs}");
        let trials = Mutex::new(Some(stdin));
        let mut cluster = DaskCluster { bridge, trials, answers, reader: Some(reader) };
        print_line(&format!("waiting for workers of the Dask cluster at {}", clean_text(address)));
        let over = cluster.answers.wait_for_slots(&interrupt);
        if interrupt.is_interrupted() {
            // The bridge has no trials yet, but may still look for the scheduler; its input does not stop that.
            let _ = cluster.bridge.kill();
        }
        interrupt.check("waiting for the cluster", "run the cell again once it has workers")?;
        over.map_or(Ok(cluster), |problem| Err(refused(problem)))
    }

    /// Writes a line for the bridge. A bridge that has ended is noticed by the thread that reads its output.
    fn say(&self, line: &impl Serialize) -> Result<(), String> {
        let line = serde_json::to_string(line).map_err(|error| error.to_string())?;
        if let Some(trials) = &mut *locked(&self.trials) {
            let _ = writeln!(trials, "{line}");
        }
        Ok(())
    }
}

/// The libraries of this project that the program loads, as `ldd` lists them.
fn libraries(program: &Path, root: &Path) -> Vec<PathBuf> {
    let folder = root.join(".tools/torch/torch/lib");
    let tools = root.join(".tools").canonicalize().unwrap_or_default();
    let said = Command::new("ldd").arg(program).env("LD_LIBRARY_PATH", &folder).output();
    let text =
        said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default();
    let found = text.lines().filter_map(|line| {
        let path =
            Path::new(line.split_once(" => ")?.1.rsplit_once(" (")?.0).canonicalize().ok()?;
        path.starts_with(&tools).then_some(path)
    });
    found.collect()
}

impl Answers {
    fn read(&self, lines: BufReader<ChildStdout>) {
        for text in lines.lines().map_while(std::io::Result::ok) {
            let Ok(reply) = serde_json::from_str::<Reply>(&text) else { continue };
            if let Some(note) = &reply.note {
                print_line(&format!("note: {}", clean_text(note)));
            }
            let mut state = locked(&self.state);
            if let Some(waits) = reply.number.and_then(|number| state.waiting.remove(&number)) {
                let failed = reply.error.unwrap_or_else(|| "it gave no result".to_owned());
                let _ = waits.send(reply.result.ok_or(failed));
            }
            state.slots = reply.slots.unwrap_or(state.slots);
            state.over = reply.fatal.or(state.over.take());
            self.changed.notify_all();
        }
        let mut state = locked(&self.state);
        state.over.get_or_insert("the bridge to the cluster has ended".to_owned());
        state.waiting.clear();
        self.changed.notify_all();
    }

    /// Waits for the first worker, or for an interrupt; returns the reason if none can come.
    fn wait_for_slots(&self, interrupt: &InterruptGuard) -> Option<String> {
        let mut state = locked(&self.state);
        while state.over.is_none() && state.slots == 0 && !interrupt.is_interrupted() {
            let waited = self.changed.wait_timeout(state, Duration::from_millis(200));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.over.clone()
    }
}

impl TrialRunner for DaskCluster {
    fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String> {
        let (sender, answer) = channel();
        let over = |state: &BridgeState| state.over.clone().unwrap_or_default();
        let number = {
            let mut state = locked(&self.answers.state);
            if state.over.is_some() {
                return Err(over(&state));
            }
            state.next += 1;
            let number = state.next;
            state.waiting.insert(number, sender);
            number
        };
        self.say(&Request { number, spec })?;
        let answer = answer.recv().map_err(|_| over(&locked(&self.answers.state)))?;
        let text = answer.map_err(|error| clean_text(&error))?;
        TrialResult::parse(text.as_bytes(), &spec.id())
            .ok_or_else(|| "the cluster gave no whole result of this trial".to_owned())
    }

    fn slots(&self) -> Option<usize> {
        Some(locked(&self.answers.state).slots.max(1))
    }

    fn over(&self) -> Option<String> {
        locked(&self.answers.state).over.clone()
    }

    fn forget(&self, checkpoints: &[PathBuf]) {
        let names: Vec<String> = checkpoints
            .iter()
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect();
        if !names.is_empty() {
            let _ = self.say(&json!({ "forget": names }));
        }
    }
}

impl Drop for DaskCluster {
    fn drop(&mut self) {
        // Closing the bridge's input ends it and all of its trials.
        locked(&self.trials).take();
        let _ = self.bridge.wait();
        self.reader.take().map(JoinHandle::join);
    }
}
