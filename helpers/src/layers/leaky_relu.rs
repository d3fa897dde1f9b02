//! ReLU with a slope below 0.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Operation, Weight};
use crate::error::Result;

/// `x` above 0, `x * negative_slope` below: Keras's `LeakyReLU` (Maas et al. 2013).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeakyRelu {
    /// Slope below 0, finite; Keras's default is 0.3.
    pub negative_slope: f64,
}

impl Operation for LeakyRelu {
    fn kind(&self) -> &'static str {
        "leaky_relu"
    }

    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        if !self.negative_slope.is_finite() {
            return Err(format!(
                "`negative_slope` must be finite, got {}; Keras takes 0.3",
                self.negative_slope
            ));
        }
        Ok(input.to_vec())
    }

    fn forward(&self, input: &Tensor, _: &[Weight], _training: bool) -> Result<Tensor> {
        // tch's `leaky_relu` has libtorch's default slope alone.
        let below = input.f_mul_scalar(self.negative_slope)?;
        Ok(input.f_where_self(&input.f_gt(0.0)?, &below)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;
    use super::*;

    #[test]
    fn values_below_zero_are_scaled() {
        let layer = LeakyRelu { negative_slope: 0.5 };
        assert_eq!(run(layer, &[-2.0, 0.0, 3.0], &[3], &[], true), [-1.0, 0.0, 3.0]);
    }

    #[test]
    fn a_slope_that_is_no_number_is_refused() {
        let problem = LeakyRelu { negative_slope: f64::NAN }.output_shape(&[2]).unwrap_err();
        assert!(problem.contains("`negative_slope` must be finite, got NaN"), "{problem}");
    }
}
