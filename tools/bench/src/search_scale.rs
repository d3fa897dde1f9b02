//! What a search costs beside its trials: many of them, on many workers that only wait.
//!
//! A worker is a thread of this process that sleeps for as long as a trial takes and gives a result of the usual size. So
//! what is measured is the search's own: naming trials, giving them out, keeping results, the table at the end.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use helpers::artifacts::Environment;
use helpers::prelude::*;
use helpers::training::{EpochRecord, History};
use helpers::tuning::{Score, TrialResult, TrialRunner, TrialSpec};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::opening::megabytes;

/// The search.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The folder with X.npy and y.npy; all of its training images are in the folds.
    data: PathBuf,
    /// Values of `dropout`, each on three folds.
    candidates: usize,
    workers: usize,
    /// How long a trial takes.
    seconds: f64,
    /// An empty folder for the results.
    trials: PathBuf,
    seed: u64,
}

const FOLDS: usize = 3;
/// Rows in the history of a trial.
const EPOCHS: usize = 15;

impl Spec {
    /// Searches; gives seconds, memory and bytes.
    pub(crate) fn run(self) -> Result<Value, Box<dyn std::error::Error>> {
        let seed = self.seed;
        let split = Dataset::load(&self.data)?
            .split(SplitConfig { random_state: seed, ..SplitConfig::default() })?;
        let values: Vec<f64> =
            (0..self.candidates).map(|index| 0.9 * index as f64 / self.candidates as f64).collect();
        let search = GridSearchCv {
            param_grid: ParameterGrid::new().parameter("dropout", values),
            cv: StratifiedKFold { n_splits: FOLDS, shuffle: true, random_state: seed }.into(),
            refit: false,
            verbose: 0,
            trials: self.trials.clone(),
            ..GridSearchCv::default()
        };
        let before = megabytes("VmRSS");
        let (workers, seconds) = (self.workers, self.seconds);
        let stub = Stub { workers, seconds, started: Instant::now(), first: OnceLock::new() };
        let results = search.fit_with(&split, &stub)?;
        let whole = stub.started.elapsed().as_secs_f64();
        let peak = megabytes("VmHWM");
        let started = Instant::now();
        let table = results.table().to_string().len();
        let table_seconds = started.elapsed().as_secs_f64();
        let trials = FOLDS * self.candidates;
        let rounds = trials.div_ceil(self.workers) as f64;
        let environment = Environment::current();
        Ok(json!({
            "seconds_taken": whole,
            "ideal_seconds": rounds * self.seconds,
            "trials": trials,
            "first_trial_seconds": stub.first.get(),
            "trials_per_second": trials as f64 / whole,
            "search_megabytes": peak.zip(before).map(|(peak, before)| peak - before),
            "result_bytes": bytes_of_a_result(&self.trials)?,
            "table_bytes": table,
            "table_seconds": table_seconds,
            "versions": environment.versions,
            "cpu_capability": environment.cpu_capability,
        }))
    }
}

/// Workers that only wait.
struct Stub {
    workers: usize,
    seconds: f64,
    started: Instant,
    /// When the first trial began.
    first: OnceLock<f64>,
}

impl TrialRunner for Stub {
    fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String> {
        self.first.get_or_init(|| self.started.elapsed().as_secs_f64());
        std::thread::sleep(Duration::from_secs_f64(self.seconds));
        let epochs = (1..=EPOCHS).map(|epoch| EpochRecord {
            epoch,
            loss: 1.0 / 3.0,
            accuracy: 2.0 / 3.0,
            val_loss: 1.0 / 7.0,
            val_accuracy: 6.0 / 7.0,
            learning_rate: 1e-3,
            seconds: 1.0 / 9.0,
        });
        let history = History {
            epochs: epochs.collect(),
            best_epoch: EPOCHS,
            stopped_early: false,
            fit_seconds: self.seconds,
            train_images_per_second: 1.0 / 3.0,
            phases: Vec::new(),
        };
        Ok(TrialResult {
            id: spec.id(),
            test: Score {
                images: spec.test.len(),
                loss: 1.0 / 7.0,
                accuracy: 6.0 / 7.0,
                ..Score::default()
            },
            train: None,
            history,
            fit_seconds: self.seconds,
            score_seconds: 0.0,
            pruned: false,
            origin: None,
        })
    }

    fn slots(&self) -> Option<usize> {
        Some(self.workers)
    }
}

/// The length of one of the files in the folder.
fn bytes_of_a_result(folder: &Path) -> std::io::Result<u64> {
    let file = std::fs::read_dir(folder)?.next().transpose()?;
    file.map_or(Ok(0), |file| Ok(file.metadata()?.len()))
}
