//! The grid search, with trials side by side as processes of their own.

use std::path::PathBuf;

use helpers::Result;
use helpers::architectures::DenseConfig;
use helpers::artifacts::Environment;
use helpers::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::format::Format;

/// The search; the peers' functions take the same fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The folder with X.npy and y.npy.
    data: PathBuf,
    /// Training images that the search looks at.
    images: usize,
    hidden: Vec<usize>,
    dropout: Vec<f64>,
    kernel_initializer: Vec<String>,
    folds: usize,
    epochs: usize,
    patience: usize,
    batch_size: usize,
    learning_rate: f64,
    /// Share of a fold's training part that each epoch is validated on.
    validation: f64,
    seed: u64,
    jobs: isize,
    format: Format,
    /// An empty folder: a search repeats no trial that it finds there.
    trials: PathBuf,
}

impl Spec {
    /// Searches; gives what was found, and what shows that all sides did the same.
    pub(crate) fn run(self) -> Result<Value> {
        let seed = self.seed;
        let split = Dataset::load(&self.data)?
            .split(SplitConfig { random_state: seed, ..SplitConfig::default() })?;
        let search = GridSearchCv {
            param_grid: ParameterGrid::new()
                .parameter("dropout", self.dropout)
                .parameter("kernel_initializer", self.kernel_initializer),
            network: Network::Dense(DenseConfig { hidden: self.hidden, ..DenseConfig::default() }),
            // What the peers' Adam does: no decay, a constant rate.
            fit: FitConfig {
                epochs: self.epochs,
                patience: self.patience,
                batch_size: self.batch_size,
                learning_rate: self.learning_rate,
                schedule: Schedule::Constant,
                weight_decay: 0.0,
                label_smoothing: 0.0,
                ema_momentum: None, // the peers have none
                precision: self.format.precision(),
                seed,
                ..FitConfig::default()
            },
            images: self.images,
            cv: StratifiedKFold { n_splits: self.folds, shuffle: true, random_state: seed }.into(),
            validation: self.validation,
            refit: false,
            n_jobs: self.jobs,
            verbose: 0,
            trials: self.trials,
            ..GridSearchCv::default()
        };
        // The rows of each fold's part that scores, the same for all combinations.
        let trials = search.trials(&split)?;
        let rows = |trial: &helpers::tuning::search::Trial| trial.spec.test.iter().sum::<usize>();
        let folds: Vec<usize> = trials.iter().take(self.folds).map(rows).collect();
        let results = search.fit(&split)?;
        Ok(json!({
            "best_params": results.best_params,
            "best_score": results.best_score,
            "scores": results.cv_results.split_test_score,
            "fold_sums": folds,
            "computed": trials.len() - results.trials_kept,
            "versions": Environment::current().versions,
            "cpu_capability": Environment::current().cpu_capability,
        }))
    }
}
