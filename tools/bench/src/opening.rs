//! From X.npy to the first batch, and the memory that it takes.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use helpers::Result;
use helpers::artifacts::Environment;
use helpers::data::random_state::RandomState;
use helpers::models::Precision;
use helpers::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

/// The file and the batch; the peers' function takes the same fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The folder with X.npy and y.npy.
    data: PathBuf,
    batch_size: usize,
    seed: u64,
}

impl Spec {
    /// Opens the data set and makes a batch of pixels in 0..1 from images all over it.
    pub(crate) fn run(self) -> Result<Value> {
        let started = Instant::now();
        let dataset = Dataset::load(&self.data)?;
        let mut rows = RandomState::new(self.seed)?.permutation(dataset.len());
        rows.truncate(self.batch_size);
        // A network of `flatten` alone returns the batch unchanged.
        let model = Sequential::new(dataset.image_shape()).flatten().build(0)?;
        let batch = model.activations(&dataset.subset(rows)?, "flatten", Precision::Float32)?;
        let seconds = started.elapsed().as_secs_f64();
        let environment = Environment::current();
        Ok(json!({
            "seconds": seconds,
            "mean_pixel": batch.mean(),
            "peak_megabytes": megabytes("VmHWM"),
            "own_megabytes": megabytes("RssAnon"),
            "versions": environment.versions,
            "cpu_capability": environment.cpu_capability,
        }))
    }
}

/// A figure of this process's memory; none where the system does not keep it.
pub(crate) fn megabytes(name: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    let kibibytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024.0 / 1e6)
}
