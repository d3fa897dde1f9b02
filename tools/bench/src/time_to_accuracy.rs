//! Seconds of training until the validation accuracy first passes a mark.

use std::path::PathBuf;

use helpers::Result;
use helpers::artifacts::Environment;
use helpers::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::format::Format;
use crate::network::Network;

/// The training; the peers' function takes the same fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The folder with X.npy and y.npy.
    data: PathBuf,
    network: Network,
    /// Images of an epoch, and of the validation; 0 for all.
    images: usize,
    /// Epochs over which the learning rate falls.
    epochs: usize,
    batch_size: usize,
    learning_rate: f64,
    warmup_epochs: f64,
    /// The validation accuracy to pass.
    mark: f64,
    seed: u64,
    format: Format,
}

impl Spec {
    /// Trains to the end and looks afterwards when the mark was passed; null if it never was.
    pub(crate) fn run(self) -> Result<Value> {
        let seed = self.seed;
        let split = Dataset::load(&self.data)?
            .split(SplitConfig { random_state: seed, ..SplitConfig::default() })?;
        let dataset = split.train.dataset();
        let most = if self.images == 0 { dataset.len() } else { self.images };
        let part = |of: &Subset| dataset.subset(of.indices().iter().copied().take(most).collect());
        let (train, validation) = (part(&split.train)?, part(&split.validation)?);
        let mut model = self.network.build(dataset, seed)?;
        let fit = FitConfig {
            epochs: self.epochs,
            patience: self.epochs,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            schedule: Schedule::Cosine {
                warmup_epochs: self.warmup_epochs,
                alpha: 0.0,
                decay_epochs: 0,
            },
            weight_decay: 1e-4,
            label_smoothing: 0.0,
            ema_momentum: None, // the peers have none
            precision: self.format.precision(),
            seed,
            ..FitConfig::default()
        };
        let history = model.fit_on(&train, &validation, fit)?;
        let passed = history.epochs.iter().position(|epoch| epoch.val_accuracy >= self.mark);
        let epochs = &history.epochs[..passed.map_or(history.epochs.len(), |index| index + 1)];
        // Time before and between epochs is always counted in full.
        let between =
            history.fit_seconds - history.epochs.iter().map(|epoch| epoch.seconds).sum::<f64>();
        let seconds = between + epochs.iter().map(|epoch| epoch.seconds).sum::<f64>();
        let environment = Environment::current();
        Ok(json!({
            "seconds": passed.map(|_| seconds),
            "val_accuracy": epochs.iter().map(|epoch| epoch.val_accuracy).collect::<Vec<f64>>(),
            "versions": environment.versions,
            "cpu_capability": environment.cpu_capability,
        }))
    }
}
