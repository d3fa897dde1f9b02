//! What libtorch gets out of this machine at best: products and memory.

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

    /// Of a product of matrices or of a convolution, whichever is quicker: in bf16 a Zen 4 multiplies 1.3 times as fast in
    /// the convolution.
    fn gflops(&self, kind: Kind) -> f64 {
        let drawn = |size: &[i64]| Tensor::rand(size, (Kind::Float, Device::Cpu)).to_kind(kind);
        let (a, b) = (drawn(&[self.side; 2]), drawn(&[self.side; 2]));
        let mut output = Tensor::new();
        let seconds = quickest(|| output = a.matmul(&b));
        let of_matrices = 2.0 * (self.side as f64).powi(3) / seconds;

        let (images, pixels, channels) = (self.side / 16, 7, 128);
        let image = drawn(&[images, pixels, pixels, channels]).permute([0, 3, 1, 2]);
        let kernel = drawn(&[channels, channels, 3, 3]);
        let none = None::<Tensor>;
        let seconds =
            quickest(|| output = image.conv2d(&kernel, none.as_ref(), [1, 1], [1, 1], [1, 1], 1));
        let of_convolution = 2.0 * (image.numel() * 9) as f64 * channels as f64 / seconds;
        of_matrices.max(of_convolution) / 1e9
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
