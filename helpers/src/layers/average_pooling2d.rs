//! Average pooling.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::pooling::pooled;
use super::{Operation, Weight};
use crate::error::Result;

/// The mean of each block: Keras's `AveragePooling2D`. An incomplete block at the edge is left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AveragePooling2d {
    /// Side of a block, and the step between blocks.
    pub pool_size: i64,
}

impl Operation for AveragePooling2d {
    fn kind(&self) -> &'static str {
        "average_pooling2d"
    }

    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        pooled(input, self.pool_size)
    }

    fn forward(&self, input: &Tensor, _: &[Weight], _training: bool) -> Result<Tensor> {
        let side = [self.pool_size; 2];
        Ok(input.f_avg_pool2d(side, side, [0, 0], false, true, None::<i64>)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;
    use super::*;

    #[test]
    fn an_incomplete_block_is_left_out() {
        let image = [1., 2., 9., 4., 3., 9.];
        assert_eq!(run(AveragePooling2d { pool_size: 2 }, &image, &[1, 2, 3], &[], false), [2.5]);
    }
}
