//! Trials side by side: which are to be run, the threads that run them, what is kept, a line for each.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use super::launcher::Launcher;
use super::results::{ErrorScore, Scoring};
use super::search::Trial;
use super::trial::{TrialResult, TrialSpec};
use crate::display::print_line;
use crate::error::{Error, Result};
use crate::system::files::read_regular;
use crate::system::interrupt::InterruptGuard;
use crate::system::write_atomically;
use crate::text::duration;

/// A trial's result has a row an epoch: some kilobytes.
const LARGEST_RESULT: u64 = 1 << 26;

/// Threads that give one trial after the other to a [`Launcher`].
pub(super) struct Pool<'a> {
    pub trials: &'a [Trial],
    pub launcher: &'a dyn Launcher,
    /// Trials side by side.
    pub jobs: usize,
    /// Where finished trials are kept.
    pub folder: &'a Path,
    pub scoring: Scoring,
    pub error_score: ErrorScore,
    pub verbose: u8,
}

impl Pool<'_> {
    /// For each trial, the result of an earlier search that finished it.
    pub(super) fn kept(&self) -> Vec<Option<TrialResult>> {
        let kept = |spec: &TrialSpec| {
            let id = spec.id();
            TrialResult::parse(&read_regular(&self.path(&id), LARGEST_RESULT).ok()?, &id)
        };
        self.trials.iter().map(|trial| kept(&trial.spec)).collect()
    }

    /// The file of a finished trial.
    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    fn keep(&self, result: &TrialResult) -> Result<()> {
        let text = serde_json::to_vec(result).expect("a result is plain values");
        write_atomically(self.path(&result.id), &text)
    }

    /// Runs what is not kept; gives for each trial its result or what went wrong.
    ///
    /// # Errors
    /// If a result cannot be kept, the search is interrupted, or a trial fails with [`ErrorScore::Raise`].
    pub(super) fn run(
        &self,
        kept: Vec<Option<TrialResult>>,
        interrupt: &InterruptGuard,
    ) -> Result<Vec<Result<TrialResult, String>>> {
        let waiting: Vec<usize> =
            (0..self.trials.len()).filter(|&index| kept[index].is_none()).collect();
        let outcomes: Vec<Mutex<Option<Result<TrialResult, String>>>> =
            kept.into_iter().map(|result| Mutex::new(result.map(Ok))).collect();
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let log = Mutex::new(Log::new(waiting.len(), self.trials.len(), self.verbose));
        let first_error: Mutex<Option<Error>> = Mutex::new(None);
        let stop_with = |error: Error| {
            stop.store(true, Ordering::SeqCst);
            locked(&first_error).get_or_insert(error);
        };
        let work = || {
            while !stop.load(Ordering::SeqCst) && !interrupt.is_interrupted() {
                let Some(&index) = waiting.get(next.fetch_add(1, Ordering::SeqCst)) else { break };
                let trial = &self.trials[index];
                let outcome = self.launcher.run(&trial.spec);
                match &outcome {
                    Ok(result) => self.keep(result).unwrap_or_else(stop_with),
                    // It was interrupted, too, and did not fail.
                    Err(_) if interrupt.is_interrupted() => break,
                    Err(message) if self.error_score == ErrorScore::Raise => {
                        let (failed, trials) = (1, self.trials.len());
                        let (trial, message) = (trial.to_string(), message.clone());
                        stop_with(Error::Trials { failed, trials, trial, message });
                    }
                    Err(_) => {}
                }
                locked(&log).ended(trial, self.scoring, &outcome);
                *locked(&outcomes[index]) = Some(outcome);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.min(waiting.len()) {
                scope.spawn(work);
            }
        });
        if let Some(error) =
            first_error.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
        {
            return Err(error);
        }
        let all_ran = outcomes.iter().all(|outcome| locked(outcome).is_some());
        if !all_ran {
            interrupt.check("the search", "run it again: finished trials are not repeated")?;
        }
        let unfinished = || Err("it did not run".to_owned());
        Ok(outcomes
            .into_iter()
            .map(|outcome| outcome.into_inner().ok().flatten().unwrap_or_else(unfinished))
            .collect())
    }
}

/// A lock that a panic elsewhere does not take along.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The lines of a search, one a trial.
struct Log {
    started: Instant,
    waiting: usize,
    trials: usize,
    ended: usize,
    verbose: u8,
}

impl Log {
    fn new(waiting: usize, trials: usize, verbose: u8) -> Log {
        Log { started: Instant::now(), waiting, trials, ended: 0, verbose }
    }

    fn ended(&mut self, trial: &Trial, scoring: Scoring, outcome: &Result<TrialResult, String>) {
        self.ended += 1;
        if self.verbose == 0 {
            return;
        }
        let remaining = self.started.elapsed().as_secs_f64() * (self.waiting - self.ended) as f64
            / self.ended as f64;
        let number = self.trials - self.waiting + self.ended;
        let head = format!("trial {number:>3}/{}  ETA {:>8}", self.trials, duration(remaining));
        print_line(&match outcome {
            Ok(result) => {
                let (name, score) = (scoring.name(), scoring.of(&result.test));
                let mut line = format!("{head}  {name} {score:.4}  {trial}");
                if self.verbose > 1 {
                    let [fit, score] = [result.fit_seconds, result.score_seconds].map(duration);
                    line += &format!("  fit {fit}, score {score}");
                }
                line
            }
            Err(message) => format!("{head}  FAILED: {trial}: {message}"),
        });
    }
}
