//! Runs the trials of a round in parallel, keeps their results, and displays the progress.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle, Thread};
use std::time::{Duration, Instant};

use super::config::Trial;
use super::grid::{Parameters, params_text};
use super::results::ErrorScore;
use super::runner::{TrialRunner, locked};
use super::score_map::ScoreMap;
use super::scoring::Scoring;
use super::trial::TrialResult;
use crate::display::Board;
use crate::error::{Error, Result};
use crate::system::interrupt::InterruptGuard;
use crate::text::duration;

/// Time between two checks whether more trials can run in parallel.
const LOOK: Duration = Duration::from_secs(1);

/// Threads that pass one trial after the other to a [`TrialRunner`].
pub(super) struct Pool<'a> {
    pub trials: &'a [Trial],
    pub launcher: &'a dyn TrialRunner,
    /// The number of trials that run in parallel, if the launcher leaves it to the search.
    pub n_jobs: usize,
    /// The folder with the results of finished trials.
    pub folder: &'a Path,
    pub scoring: Scoring,
    pub error_score: ErrorScore,
    pub verbose: u8,
}

impl Pool<'_> {
    /// The number of trials that can run in parallel now.
    pub(super) fn jobs(&self) -> usize {
        self.launcher.slots().unwrap_or(self.n_jobs)
    }

    /// Runs the trials that have no kept result; returns for each trial its result or what went wrong.
    ///
    /// # Errors
    /// If a result cannot be kept, the search is interrupted, the launcher cannot run any more trials, or a trial fails
    /// with [`ErrorScore::Raise`].
    pub(super) fn run(
        &self,
        kept: Vec<Option<TrialResult>>,
        interrupt: &InterruptGuard,
    ) -> Result<Vec<Result<TrialResult, String>>> {
        let waiting = (0..self.trials.len()).filter(|&index| kept[index].is_none()).collect();
        let shared = Shared {
            pool: self,
            interrupt,
            waiting,
            log: Mutex::new(Log::new(self, &kept)),
            outcomes: kept.into_iter().map(|result| Mutex::new(result.map(Ok))).collect(),
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            first_error: Mutex::new(None),
            supervisor: thread::current(),
        };
        thread::scope(|scope| {
            let mut workers = Vec::new();
            loop {
                while workers.len() < self.jobs().min(shared.waiting.len()) {
                    workers.push(scope.spawn(|| shared.work()));
                }
                // If all threads have finished while trials are left, they have panicked; the scope passes that on.
                if !shared.goes_on() || workers.iter().all(ScopedJoinHandle::is_finished) {
                    break;
                }
                thread::park_timeout(LOOK);
            }
        });
        let Shared { log, outcomes, first_error, .. } = shared;
        let first_error = locked(&first_error).take();
        let all_ran = outcomes.iter().all(|outcome| locked(outcome).is_some());
        let ended = match first_error {
            Some(error) => Err(error),
            None if all_ran => Ok(()),
            None => interrupt.check("the search", "run it again: finished trials are not repeated"),
        };
        locked(&log).over(&ended);
        ended?;
        let unfinished = || Err("it did not run".to_owned());
        Ok(outcomes
            .into_iter()
            .map(|outcome| outcome.into_inner().ok().flatten().unwrap_or_else(unfinished))
            .collect())
    }
}

/// What the threads of a pool share.
struct Shared<'a> {
    pool: &'a Pool<'a>,
    interrupt: &'a InterruptGuard,
    /// The trials to run, and the index of the next one in this list.
    waiting: Vec<usize>,
    next: AtomicUsize,
    outcomes: Vec<Mutex<Option<Result<TrialResult, String>>>>,
    log: Mutex<Log<'a>>,
    stop: AtomicBool,
    first_error: Mutex<Option<Error>>,
    /// The thread that starts the others.
    supervisor: Thread,
}

impl Shared<'_> {
    /// Whether there is a trial to take.
    fn goes_on(&self) -> bool {
        self.next.load(Ordering::SeqCst) < self.waiting.len()
            && !self.stop.load(Ordering::SeqCst)
            && !self.interrupt.is_interrupted()
    }

    fn stop_with(&self, error: Error) {
        self.stop.store(true, Ordering::SeqCst);
        locked(&self.first_error).get_or_insert(error);
    }

    /// Runs one trial after the other.
    fn work(&self) {
        let pool = self.pool;
        while self.goes_on() {
            let next = self.next.fetch_add(1, Ordering::SeqCst);
            let Some(&index) = self.waiting.get(next) else { break };
            let trial = &pool.trials[index];
            locked(&self.log).began();
            // Somebody else may have run it since the round began: another search, or the array of a cluster.
            let kept = match pool.kept_result(&trial.spec) {
                Ok(kept) => kept,
                Err(error) => {
                    self.stop_with(error);
                    break;
                }
            };
            let is_kept = kept.is_some();
            let outcome = kept.map_or_else(|| pool.launcher.run(&trial.spec), Ok);
            match &outcome {
                Ok(_) if is_kept => {}
                Ok(result) => pool.keep(result).unwrap_or_else(|error| self.stop_with(error)),
                // An interrupt and the loss of the cluster also end a trial; neither is a failure of the trial.
                Err(_) if self.interrupt.is_interrupted() || self.is_over() => break,
                Err(message) if pool.error_score == ErrorScore::Raise => {
                    let (failed, trials) = (1, pool.trials.len());
                    let (trial, message) = (trial.to_string(), message.clone());
                    self.stop_with(Error::Trials { failed, trials, trial, message });
                }
                Err(_) => {}
            }
            if outcome.is_ok() {
                // The program has removed it; this one is left where the result came from elsewhere.
                trial.spec.remove_checkpoint();
            }
            locked(&self.log).ended(trial, &outcome);
            *locked(&self.outcomes[index]) = Some(outcome);
        }
        self.supervisor.unpark();
    }

    /// Stops the search if the launcher cannot run any more trials. Otherwise all trials that are left would fail at
    /// once, and the search would choose among those that had ended before.
    fn is_over(&self) -> bool {
        let Some(problem) = self.pool.launcher.over() else { return false };
        let done = |outcome: &Mutex<Option<Result<_, _>>>| matches!(&*locked(outcome), Some(Ok(_)));
        let finished = self.outcomes.iter().filter(|outcome| done(outcome)).count();
        self.stop_with(Error::NoMoreTrials { problem, finished, trials: self.outcomes.len() });
        true
    }
}

/// What is shown of a search: a bar with counts and the best so far, and a line for each trial.
struct Log<'a> {
    pool: &'a Pool<'a>,
    board: Board,
    started: Instant,
    /// The number of trials to run; the others have a kept result.
    waiting: usize,
    running: usize,
    ended: usize,
    failed: usize,
    /// The scores of each combination's trials so far.
    scores: Vec<Vec<f64>>,
    /// The best combination of those without a failed or missing trial, and its mean score.
    best: Option<(usize, f64)>,
    /// The number of trials per combination.
    folds: usize,
    /// The scores so far as a table, where a page shows it.
    map: Option<ScoreMap>,
}

impl<'a> Log<'a> {
    fn new(pool: &'a Pool<'a>, kept: &[Option<TrialResult>]) -> Log<'a> {
        let last = pool.trials.last();
        let waiting = kept.iter().filter(|result| result.is_none()).count();
        let board = Board::new("trials");
        let mut combinations: Vec<(usize, &Parameters)> =
            pool.trials.iter().map(|trial| (trial.candidate, &trial.params)).collect();
        combinations.dedup_by_key(|(candidate, _)| *candidate);
        let map = if board.is_live() { ScoreMap::new(&combinations) } else { None };
        let mut log = Log {
            pool,
            board,
            started: Instant::now(),
            waiting,
            running: 0,
            ended: 0,
            failed: 0,
            scores: vec![Vec::new(); last.map_or(0, |trial| trial.candidate + 1)],
            best: None,
            folds: last.map_or(0, |trial| trial.fold + 1),
            map,
        };
        for (trial, result) in pool.trials.iter().zip(kept) {
            result.iter().for_each(|result| log.score(trial, result));
        }
        log
    }

    fn score(&mut self, trial: &Trial, result: &TrialResult) {
        let candidate = trial.candidate;
        let scores = &mut self.scores[candidate];
        scores.push(self.pool.scoring.of(&result.test));
        if scores.len() < self.folds {
            return;
        }
        let mean = scores.iter().sum::<f64>() / self.folds as f64;
        // The first one of equals, as in the results.
        let better = |&(best, most): &(usize, f64)| mean > most || mean == most && candidate < best;
        if !mean.is_nan() && self.best.as_ref().is_none_or(better) {
            self.best = Some((candidate, mean));
        }
    }

    fn began(&mut self) {
        self.running += 1;
        self.show();
    }

    fn ended(&mut self, trial: &Trial, outcome: &Result<TrialResult, String>) {
        self.running -= 1;
        self.ended += 1;
        let number = self.pool.trials.len() - self.waiting + self.ended;
        let head =
            format!("trial {number:>3}/{}  ETA {:>8}", self.pool.trials.len(), self.remaining());
        let line = match outcome {
            Ok(result) => {
                self.score(trial, result);
                let (name, score) = (self.pool.scoring.name(), self.pool.scoring.of(&result.test));
                let mut line = format!("{head}  {name} {score:.4}  {trial}");
                if self.pool.verbose > 1 {
                    let [fit, score] = [result.fit_seconds, result.score_seconds].map(duration);
                    line += &format!("  fit {fit}, score {score}");
                }
                line
            }
            Err(message) => {
                self.failed += 1;
                format!("{head}  FAILED: {trial}: {message}")
            }
        };
        if self.pool.verbose > 0 {
            self.board.line(&line);
        }
        // Otherwise the next trial starts at once and updates the bar.
        if self.ended + self.running == self.waiting {
            self.show();
        }
    }

    /// The time until all have ended, in words.
    fn remaining(&self) -> String {
        let left = (self.waiting - self.ended) as f64 / self.ended as f64;
        duration(self.started.elapsed().as_secs_f64() * left)
    }

    fn show(&mut self) {
        // There may be a thousand trials a second: the page is not updated for each of them.
        let soon = self.ended > 100 && !self.board.is_due();
        if self.pool.verbose == 0 || !self.board.is_live() || soon {
            return;
        }
        let trials = self.pool.trials.len();
        let over = trials - self.waiting + self.ended;
        let eta = match self.ended {
            0 => String::new(),
            _ => format!(", ETA {}", self.remaining()),
        };
        let words = format!("{}, {} running{eta}{}", self.counts(), self.running, self.best());
        self.board.bar(over as f64 / trials.max(1) as f64, &words);
        let (map, scores, scoring) = (&self.map, &self.scores, self.pool.scoring);
        self.board.record(|| scores_so_far(map.as_ref(), scores, scoring));
    }

    /// `12 of 60 trials done, 1 failed`.
    fn counts(&self) -> String {
        let (trials, done) = (self.pool.trials.len(), self.ended - self.failed);
        let kept = trials - self.waiting;
        format!("{} of {trials} trials done, {} failed", kept + done, self.failed)
    }

    /// The combination with the best mean among those without a failed or missing trial, in words.
    fn best(&self) -> String {
        let Some((candidate, mean)) = self.best else { return String::new() };
        let mut trials = self.pool.trials.iter();
        let trial = trials.find(|trial| trial.candidate == candidate);
        let params = trial.map_or_else(String::new, |trial| params_text(&trial.params));
        format!("; best so far: mean {} {mean:.4}, {params}", self.pool.scoring.name())
    }

    /// Shows the final line once the search has ended, with or without an error.
    fn over(&mut self, ended: &Result<()>) {
        if self.pool.verbose == 0 {
            return;
        }
        let seconds = duration(self.started.elapsed().as_secs_f64());
        let sentence = match ended {
            Ok(()) => format!("{} in {seconds}{}", self.counts(), self.best()),
            Err(error) => format!("{}; {error}{}", self.counts(), self.best()),
        };
        // A search that has ended shows its results; of one that has not, these are all there is.
        let map = self.map.as_ref().filter(|_| ended.is_err());
        let found = || scores_so_far(map, &self.scores, self.pool.scoring);
        self.board.finish(&sentence.replace("best so far", "best"), found);
    }
}

/// The table of the mean scores of all trials that have ended.
fn scores_so_far(map: Option<&ScoreMap>, scores: &[Vec<f64>], scoring: Scoring) -> String {
    let mean = |index: usize| {
        let scores = &scores[index];
        (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
    };
    let title = format!("Mean {} of the trials so far", scoring.name());
    map.map_or_else(String::new, |map| map.table(&title, mean).to_html())
}
