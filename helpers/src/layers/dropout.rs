//! Random zeros while training.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Operation, Weight};
use crate::error::Result;

/// Sets each value to 0 with probability `rate` while training, and scales the others up by `1 / (1 - rate)`: Keras's
/// `Dropout` (Srivastava et al. 2014).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// Share of values dropped, in 0..1.
    pub rate: f64,
}

impl Operation for Dropout {
    fn kind(&self) -> &'static str {
        "dropout"
    }

    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        if !(0.0..1.0).contains(&self.rate) {
            return Err(format!(
                "`rate` must lie in 0..1, got {}; 0.5 drops half of the values",
                self.rate
            ));
        }
        Ok(input.to_vec())
    }

    fn is_random(&self) -> bool {
        self.rate > 0.0
    }

    fn forward(&self, input: &Tensor, _: &[Weight], training: bool) -> Result<Tensor> {
        Ok(input.f_dropout(self.rate, training)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;
    use super::*;

    #[test]
    fn it_acts_while_training_alone_and_keeps_the_mean() {
        tch::manual_seed(5);
        let (layer, ones) = (Dropout { rate: 0.25 }, [1.0; 10_000]);
        assert_eq!(run(layer, &ones, &[10_000], &[], false), ones);
        let dropped = run(layer, &ones, &[10_000], &[], true);
        let share = dropped.iter().filter(|&&value| value == 0.0).count() as f32 / 10_000.0;
        assert!((share - 0.25).abs() < 0.022, "{share}");
        assert!(dropped.iter().all(|&value| value == 0.0 || (value - 4.0 / 3.0).abs() < 1e-6));
    }
}
