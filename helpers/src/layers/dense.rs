//! A fully connected layer.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Initializer, Operation, Weight, WeightSpec, at_least_one, cast, show_shape};
use crate::error::Result;

/// `x @ kernel + bias`: Keras's `Dense` without an activation. The kernel is `(units, inputs)`, as in PyTorch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dense {
    /// Outputs.
    pub units: i64,
    /// If a bias is added.
    pub use_bias: bool,
    /// How the kernel is first drawn; a bias begins at 0.
    pub kernel_initializer: Initializer,
}

impl Operation for Dense {
    fn kind(&self) -> &'static str {
        "dense"
    }

    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        if input.len() != 1 {
            return Err(format!(
                "takes a vector, got {}; put `flatten()` before it",
                show_shape(input)
            ));
        }
        at_least_one("units", self.units)?;
        self.kernel_initializer.check().map_err(|error| error.to_string())?;
        Ok(vec![self.units])
    }

    fn weights(&self, input: &[i64]) -> Vec<WeightSpec> {
        let kernel = WeightSpec::kernel(&[self.units, input[0]], self.kernel_initializer);
        let bias = WeightSpec::new("bias", &[self.units], Initializer::Zeros);
        std::iter::once(kernel).chain(self.use_bias.then_some(bias)).collect()
    }

    fn kept_values(&self, input: &[i64], weights: &[Weight]) -> i64 {
        if weights[0].trainable { input[0] } else { 0 }
    }

    fn forward(&self, input: &Tensor, weights: &[Weight], _training: bool) -> Result<Tensor> {
        let kernel = cast(&weights[0].tensor, input.kind())?;
        let bias = weights.get(1).map(|bias| cast(&bias.tensor, input.kind())).transpose()?;
        Ok(input.f_linear(&kernel, bias.as_ref())?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;
    use super::*;

    #[test]
    fn a_row_of_the_kernel_belongs_to_a_unit() {
        let layer =
            Dense { units: 2, use_bias: true, kernel_initializer: Initializer::GlorotUniform };
        let kernel: &[f32] = &[1.0, 10.0, 100.0, 0.0, 0.0, 2.0];
        let output = run(layer, &[1.0, 2.0, 3.0], &[3], &[kernel, &[0.5, -1.0]], false);
        assert_eq!(output, [321.5, 5.0]);
    }
}
