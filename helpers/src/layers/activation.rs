//! Activations without settings.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Operation, Weight};
use crate::error::Result;

/// `max(x, 0)`: Keras's `ReLU`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Relu;

/// `min(max(x, 0), 6)`: Keras's `ReLU(max_value=6)`, which networks for phones use.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Relu6;

/// `1 / (1 + exp(-x))`: Keras's `Activation("sigmoid")`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sigmoid;

impl Operation for Relu {
    fn kind(&self) -> &'static str {
        "relu"
    }

    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        Ok(input.to_vec())
    }

    fn forward(&self, input: &Tensor, _: &[Weight], _training: bool) -> Result<Tensor> {
        Ok(input.f_relu()?)
    }
}

impl Operation for Relu6 {
    fn kind(&self) -> &'static str {
        "relu6"
    }

    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        Ok(input.to_vec())
    }

    fn forward(&self, input: &Tensor, _: &[Weight], _training: bool) -> Result<Tensor> {
        Ok(input.f_relu6()?)
    }
}

impl Operation for Sigmoid {
    fn kind(&self) -> &'static str {
        "sigmoid"
    }

    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        Ok(input.to_vec())
    }

    fn forward(&self, input: &Tensor, _: &[Weight], _training: bool) -> Result<Tensor> {
        Ok(input.f_sigmoid()?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;
    use super::*;

    #[test]
    fn each_has_its_own_range() {
        let values = [-2.0, 0.0, 3.0, 7.0];
        assert_eq!(run(Relu, &values, &[4], &[], true), [0.0, 0.0, 3.0, 7.0]);
        assert_eq!(run(Relu6, &values, &[4], &[], true), [0.0, 0.0, 3.0, 6.0]);
        let sigmoid = run(Sigmoid, &values, &[4], &[], true);
        assert!(sigmoid[1] == 0.5 && sigmoid[0] < 0.12 && sigmoid[3] > 0.999, "{sigmoid:?}");
    }
}
