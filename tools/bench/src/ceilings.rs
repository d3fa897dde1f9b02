//! What libtorch gets out of this machine at best: matrix products and memory.

use std::time::Instant;

use helpers::Result;
use helpers::artifacts::Environment;
use serde::Deserialize;
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

use crate::format::Format;

/// How large the matrices and the copies are.
#[derive(Debug, Deserialize)]
pub(crate) struct Spec {
    /// Rows and columns of the matrices.
    side: i64,
    /// Of the memory that is copied: more than any cache.
    megabytes: i64,
}

/// Times that each piece of work is done; the quickest counts, since what disturbs only slows down.
const REPEATS: usize = 9;

impl Spec {
    /// Multiplies and copies.
    pub(crate) fn run(self) -> Result<Value> {
        let narrow = Format::Default.name() == "bfloat16";
        let environment = Environment::current();
        Ok(json!({
            "float32_gflops": self.gflops(Kind::Float),
            "bfloat16_gflops": narrow.then(|| self.gflops(Kind::BFloat16)),
            "copy_gigabytes_per_second": self.copy(),
            "format": Format::Default.name(),
            "versions": environment.versions,
            "cpu_capability": environment.cpu_capability,
        }))
    }

    fn gflops(&self, kind: Kind) -> f64 {
        let matrix = || Tensor::rand([self.side; 2], (Kind::Float, Device::Cpu)).to_kind(kind);
        let (a, b, mut product) = (matrix(), matrix(), matrix());
        let seconds = quickest(|| product = a.matmul(&b));
        2.0 * (self.side as f64).powi(3) / seconds / 1e9
    }

    /// Bytes that are read and written.
    fn copy(&self) -> f64 {
        let memory = || Tensor::ones([self.megabytes * 250_000], (Kind::Float, Device::Cpu));
        let (from, mut to) = (memory(), memory());
        let seconds = quickest(|| to.copy_(&from));
        2.0 * self.megabytes as f64 / 1e3 / seconds
    }
}

fn quickest(mut work: impl FnMut()) -> f64 {
    work();
    let once = |_| {
        let started = Instant::now();
        work();
        started.elapsed().as_secs_f64()
    };
    (0..REPEATS).map(once).fold(f64::INFINITY, f64::min)
}
