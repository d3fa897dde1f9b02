//! Random noise while training.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Operation, Weight};
use crate::error::Result;

/// Adds noise with mean 0 while training: Keras's `GaussianNoise`. Predictions have none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianNoise {
    /// Standard deviation of the noise, 0 or more.
    pub stddev: f64,
}

impl Operation for GaussianNoise {
    fn kind(&self) -> &'static str {
        "gaussian_noise"
    }

    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        if !(self.stddev >= 0.0 && self.stddev.is_finite()) {
            return Err(format!(
                "`stddev` must be 0 or more and finite, got {}; 0.1 is a little noise for normalised images",
                self.stddev
            ));
        }
        Ok(input.to_vec())
    }

    fn is_random(&self) -> bool {
        self.stddev > 0.0
    }

    fn forward(&self, input: &Tensor, _: &[Weight], training: bool) -> Result<Tensor> {
        if !training || self.stddev == 0.0 {
            return Ok(input.shallow_clone());
        }
        Ok(input.f_add(&input.f_randn_like()?.f_mul_scalar(self.stddev)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;
    use super::*;

    #[test]
    fn noise_is_added_while_training_alone() {
        tch::manual_seed(3);
        let (layer, zeros) = (GaussianNoise { stddev: 0.5 }, [0.0; 10_000]);
        assert_eq!(run(layer, &zeros, &[10_000], &[], false), zeros);
        let noise = run(layer, &zeros, &[10_000], &[], true);
        let mean = noise.iter().sum::<f32>() / 10_000.0;
        let variance = noise.iter().map(|value| value * value).sum::<f32>() / 10_000.0;
        // Five standard errors: 0.5 / 100, and 0.25 * sqrt(2) / 100.
        assert!(mean.abs() < 0.025 && (variance - 0.25).abs() < 0.018, "{mean} {variance}");
    }
}
