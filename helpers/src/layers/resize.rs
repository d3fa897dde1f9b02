//! Images of another size, or with more channels.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Operation, Weight, at_least_one, image};
use crate::error::Result;

/// An image of another size by bilinear interpolation, pixel centres at halves: Keras's `Resizing`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Rows of the result.
    pub height: i64,
    /// Columns of the result.
    pub width: i64,
}

/// Each pixel repeated `size × size` times: Keras's `UpSampling2D`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpSampling2d {
    /// Factor on height and width.
    pub size: i64,
}

/// All channels, repeated: three times make a grey image fit a network for colours. Keras has no such layer;
/// `Concatenate` of an image with itself gives the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepeatChannels {
    /// How many times.
    pub times: i64,
}

/// `side * factor`, or that it is too large.
fn grown(side: i64, factor: i64) -> std::result::Result<i64, String> {
    side.checked_mul(factor).ok_or_else(|| format!("{side} × {factor} is too large"))
}

impl Operation for Resize {
    fn kind(&self) -> &'static str {
        "resize"
    }

    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        at_least_one("height", self.height)?;
        at_least_one("width", self.width)?;
        Ok(vec![image(input)?[0], self.height, self.width])
    }

    fn forward(&self, input: &Tensor, _: &[Weight], _training: bool) -> Result<Tensor> {
        let size = [self.height, self.width];
        Ok(input.f_upsample_bilinear2d(size, false, None::<f64>, None::<f64>)?)
    }
}

impl Operation for UpSampling2d {
    fn kind(&self) -> &'static str {
        "up_sampling2d"
    }

    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        let [channels, height, width] = image(input)?;
        at_least_one("size", self.size)?;
        Ok(vec![channels, grown(height, self.size)?, grown(width, self.size)?])
    }

    fn forward(&self, input: &Tensor, _: &[Weight], _training: bool) -> Result<Tensor> {
        let shape = input.size();
        let size = [shape[2] * self.size, shape[3] * self.size];
        Ok(input.f_upsample_nearest2d(size, None::<f64>, None::<f64>)?)
    }
}

impl Operation for RepeatChannels {
    fn kind(&self) -> &'static str {
        "repeat_channels"
    }

    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        let [channels, height, width] = image(input)?;
        at_least_one("times", self.times)?;
        Ok(vec![grown(channels, self.times)?, height, width])
    }

    fn forward(&self, input: &Tensor, _: &[Weight], _training: bool) -> Result<Tensor> {
        // In channels-last memory, which convolutions want.
        let pixels = input.f_permute([0, 2, 3, 1])?.f_repeat([1, 1, 1, self.times])?;
        Ok(pixels.f_permute([0, 3, 1, 2])?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;
    use super::*;

    #[test]
    fn up_sampling_repeats_pixels() {
        let output = run(UpSampling2d { size: 2 }, &[1., 2.], &[1, 1, 2], &[], false);
        assert_eq!(output, [1., 1., 2., 2., 1., 1., 2., 2.]);
    }

    #[test]
    fn channels_are_repeated_as_a_whole() {
        let output = run(RepeatChannels { times: 2 }, &[1., 2.], &[2, 1, 1], &[], false);
        assert_eq!(output, [1., 2., 1., 2.]);
    }

    /// Twice as wide: new centres lie a quarter of a pixel beside the old ones.
    #[test]
    fn resizing_interpolates_between_pixel_centres() {
        let output = run(Resize { height: 1, width: 4 }, &[0., 4.], &[1, 1, 2], &[], false);
        assert_eq!(output, [0.0, 1.0, 3.0, 4.0]);
    }
}
