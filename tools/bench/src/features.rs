//! What the frozen EfficientNet-Lite0 makes of each image.

use std::path::PathBuf;
use std::time::Instant;

use helpers::Result;
use helpers::artifacts::Environment;
use helpers::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::flop::{Flop, Trained};
use crate::format::Format;

/// The images and the network; the peers' function takes the same fields.
#[derive(Debug, Deserialize)]
pub(crate) struct Spec {
    /// The folder with X.npy and y.npy.
    data: PathBuf,
    weights: PathBuf,
    input_size: usize,
    images: usize,
    seed: u64,
    format: Format,
    /// An empty folder: features that are found there are not computed again.
    folder: PathBuf,
}

impl Spec {
    /// Computes features, to the disk as a notebook does; gives the speed, and their mean as a sign of what they are.
    pub(crate) fn run(self) -> Result<Value> {
        let dataset = Dataset::load(&self.data)?.take_stratified(self.images, self.seed)?;
        let shape = dataset.image_shape();
        let config = TransferConfig { input_size: self.input_size, ..TransferConfig::default() };
        let model = config.pretrained(shape, dataset.classes(), &self.weights, self.seed)?;
        let precision = self.format.precision();
        let started = Instant::now();
        model.features(&dataset, &self.folder, FeatureConfig { precision, mirrored: false })?;
        let seconds = started.elapsed().as_secs_f64();
        let some = dataset.subset((0..dataset.len().min(256)).collect())?;
        let values = model.activations(&some, "global_average_pooling2d", precision)?;
        // All but the head, whose products are a thousandth.
        let flop = Flop::of(model.network().layers(), shape, Trained::DenselyFrom("none"));
        let environment = Environment::current();
        Ok(json!({
            "features_per_second": dataset.len() as f64 / seconds,
            "mean_feature": values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64,
            "flop": flop,
            "format": self.format.name(),
            "versions": environment.versions,
            "cpu_capability": environment.cpu_capability,
        }))
    }
}
