//! Pooling: one value for many pixels.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{Operation, Weight, at_least_one, image};
use crate::error::Result;

/// The largest value of each block: Keras's `MaxPooling2D`. An incomplete block at the edge is left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxPooling2d {
    /// Side of a block, and the step between blocks.
    pub pool_size: i64,
}

/// The mean over height and width of each channel: Keras's `GlobalAveragePooling2D`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GlobalAveragePooling2d;

/// The shape after pooling in blocks of this side.
pub(super) fn pooled(input: &[i64], pool_size: i64) -> std::result::Result<Vec<i64>, String> {
    let [channels, height, width] = image(input)?;
    at_least_one("pool_size", pool_size)?;
    if height < pool_size || width < pool_size {
        return Err(format!(
            "blocks of {pool_size} × {pool_size} do not fit into {height} × {width} pixels; leave out a pooling layer"
        ));
    }
    Ok(vec![channels, height / pool_size, width / pool_size])
}

impl Operation for MaxPooling2d {
    fn kind(&self) -> &'static str {
        "max_pooling2d"
    }

    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        pooled(input, self.pool_size)
    }

    fn forward(&self, input: &Tensor, _: &[Weight], _training: bool) -> Result<Tensor> {
        let side = [self.pool_size; 2];
        Ok(input.f_max_pool2d(side, side, [0, 0], [1, 1], false)?)
    }
}

impl Operation for GlobalAveragePooling2d {
    fn kind(&self) -> &'static str {
        "global_average_pooling2d"
    }

    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        Ok(vec![image(input)?[0]])
    }

    fn forward(&self, input: &Tensor, _: &[Weight], _training: bool) -> Result<Tensor> {
        Ok(input.f_mean_dim(&[2i64, 3][..], false, None::<Kind>)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;
    use super::*;

    #[test]
    fn an_incomplete_block_is_left_out() {
        let image = [1., 2., 9., 4., 3., 9.];
        assert_eq!(run(MaxPooling2d { pool_size: 2 }, &image, &[1, 2, 3], &[], false), [4.0]);
    }

    #[test]
    fn the_global_mean_takes_every_pixel_of_a_channel() {
        let output =
            run(GlobalAveragePooling2d, &[1., 2., 3., 10., 20., 30.], &[2, 1, 3], &[], false);
        assert_eq!(output, [2.0, 20.0]);
    }
}
