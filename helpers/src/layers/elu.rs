//! ReLU with a smooth bend below 0.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Operation, Weight};
use crate::error::Result;

/// `x` above 0, `alpha * (exp(x) - 1)` below: Keras's `ELU` (Clevert et al. 2016).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Elu {
    /// The output falls towards `-alpha`; above 0 and finite, Keras's default is 1.
    pub alpha: f64,
}

impl Operation for Elu {
    fn kind(&self) -> &'static str {
        "elu"
    }

    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        if !(self.alpha > 0.0 && self.alpha.is_finite()) {
            return Err(format!(
                "`alpha` must be above 0 and finite, got {}; Keras takes 1",
                self.alpha
            ));
        }
        Ok(input.to_vec())
    }

    fn forward(&self, input: &Tensor, _: &[Weight], _training: bool) -> Result<Tensor> {
        // tch's `elu` has a fixed `alpha`. Clipped at 0 first: for large values, which are not used below, the
        // exponential would be infinite and its gradient NaN.
        let below = input.f_clamp_max(0.0)?.f_expm1()?.f_mul_scalar(self.alpha)?;
        Ok(input.f_where_self(&input.f_gt(0.0)?, &below)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;
    use super::*;

    #[test]
    fn values_below_zero_bend_towards_minus_alpha() {
        let output = run(Elu { alpha: 2.0 }, &[-100.0, -1.0, 0.0, 3.0], &[4], &[], true);
        let expected = [-2.0, 2.0 * ((-1.0f32).exp() - 1.0), 0.0, 3.0];
        assert!(output.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{output:?}");
    }

    #[test]
    fn a_large_value_has_a_gradient() {
        let input = Tensor::from_slice(&[200f32]).view([1, 1]).set_requires_grad(true);
        Elu { alpha: 1.0 }.forward(&input, &[], true).unwrap().sum(tch::Kind::Float).backward();
        assert_eq!(input.grad().double_value(&[0, 0]), 1.0);
    }

    #[test]
    fn alpha_is_above_zero() {
        let problem = Elu { alpha: 0.0 }.output_shape(&[2]).unwrap_err();
        assert!(problem.contains("`alpha` must be above 0"), "{problem}");
    }
}
