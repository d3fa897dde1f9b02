//! Images a second, in training and in prediction.

use std::path::PathBuf;
use std::time::Instant;

use helpers::artifacts::Environment;
use helpers::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Format;

/// The network.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Dense,
    Cnn,
}

/// One network, trained and asked for predictions; the peers' functions take the same fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The folder with X.npy and y.npy.
    data: PathBuf,
    network: Kind,
    /// Images of an epoch, and of a prediction.
    images: usize,
    /// Epochs that are timed, after a first one that is not.
    epochs: usize,
    batch_size: usize,
    learning_rate: f64,
    dropout: f64,
    hidden: Vec<usize>,
    filters: [usize; 4],
    dense: usize,
    seed: u64,
    format: Format,
}

impl Spec {
    /// Trains and predicts; gives the speeds, and the accuracy as a sign that something was learnt.
    pub(crate) fn run(self) -> Result<Value> {
        let seed = self.seed;
        let split =
            Dataset::load(&self.data)?.split(SplitConfig { seed, ..SplitConfig::default() })?;
        let dataset = split.train.dataset();
        let part =
            |of: &Subset| dataset.subset(of.indices().iter().copied().take(self.images).collect());
        let (train, validation) = (part(&split.train)?, part(&split.validation)?);
        let (shape, classes) = (dataset.image_shape(), dataset.classes());
        let network = match self.network {
            Kind::Dense => {
                DenseConfig { hidden: self.hidden, dropout: self.dropout, ..DenseConfig::default() }
                    .network(shape, classes)
            }
            Kind::Cnn => CnnConfig {
                filters: self.filters,
                dense: self.dense,
                dropout: self.dropout,
                ..CnnConfig::default()
            }
            .network(shape, classes),
        };
        let mut model = network.build(seed)?;
        let fit = FitConfig {
            epochs: self.epochs,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            schedule: Schedule::Constant,
            weight_decay: 0.0,
            precision: self.format.precision(),
            seed,
            ..FitConfig::default()
        };
        model.fit_on(&train, &validation, FitConfig { epochs: 1, ..fit.clone() })?;
        // Counts the steps alone, not the validation after each epoch.
        let history = model.fit_on(&train, &validation, fit)?;
        model.predict(&validation)?;
        let started = Instant::now();
        model.predict(&train)?;
        let seconds = started.elapsed().as_secs_f64();
        Ok(json!({
            "train_images_per_second": history.train_images_per_second,
            "predict_images_per_second": train.len() as f64 / seconds,
            "accuracy": model.evaluate(&validation)?.accuracy,
            "versions": Environment::current().versions,
            "cpu_capability": Environment::current().cpu_capability,
        }))
    }
}
