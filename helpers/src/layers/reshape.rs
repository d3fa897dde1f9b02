//! The same values in another shape, or a part of them.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Operation, Weight, at_least_one, image, show_shape};
use crate::error::Result;

/// An image as one vector, row by row, channels last: Keras's `Flatten`. Free for channels-last memory.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Flatten;

/// A vector as an image, the inverse of [`Flatten`]: Keras's `Reshape`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reshape {
    /// Channels of the image.
    pub channels: i64,
    /// Rows of the image.
    pub height: i64,
    /// Columns of the image.
    pub width: i64,
}

/// The top left part of an image, to remove what upsampling added. Keras's `Cropping2D` takes the sizes to remove at
/// each side; this layer takes the size to keep.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cropping2d {
    /// Rows that are kept.
    pub height: i64,
    /// Columns that are kept.
    pub width: i64,
}

impl Operation for Flatten {
    fn kind(&self) -> &'static str {
        "flatten"
    }

    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        let values = input.iter().try_fold(1i64, |product, &side| product.checked_mul(side));
        Ok(vec![values.ok_or("the image has too many values")?])
    }

    fn forward(&self, input: &Tensor, _: &[Weight], _training: bool) -> Result<Tensor> {
        let images = input.size()[0];
        Ok(match input.dim() {
            4 => input.f_permute([0, 2, 3, 1])?.f_reshape([images, -1])?,
            _ => input.f_reshape([images, -1])?,
        })
    }
}

impl Operation for Reshape {
    fn kind(&self) -> &'static str {
        "reshape"
    }

    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        let Reshape { channels, height, width } = *self;
        at_least_one("channels", channels)?;
        at_least_one("height", height)?;
        at_least_one("width", width)?;
        let values = channels.checked_mul(height).and_then(|values| values.checked_mul(width));
        if input.len() != 1 || values != Some(input[0]) {
            return Err(format!(
                "{height} × {width} × {channels} needs a vector of that many values, got {}",
                show_shape(input)
            ));
        }
        Ok(vec![channels, height, width])
    }

    fn forward(&self, input: &Tensor, _: &[Weight], _training: bool) -> Result<Tensor> {
        let image = input.f_reshape([-1, self.height, self.width, self.channels])?;
        Ok(image.f_permute([0, 3, 1, 2])?)
    }
}

impl Operation for Cropping2d {
    fn kind(&self) -> &'static str {
        "cropping2d"
    }

    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        let Cropping2d { height, width } = *self;
        let [channels, rows, columns] = image(input)?;
        at_least_one("height", height)?;
        at_least_one("width", width)?;
        if height > rows || width > columns {
            return Err(format!(
                "{height} × {width} pixels cannot be cut out of {rows} × {columns}"
            ));
        }
        Ok(vec![channels, height, width])
    }

    fn forward(&self, input: &Tensor, _: &[Weight], _training: bool) -> Result<Tensor> {
        Ok(input.f_narrow(2, 0, self.height)?.f_narrow(3, 0, self.width)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;
    use super::*;

    #[test]
    fn flatten_goes_row_by_row_with_channels_last_and_reshape_undoes_it() {
        let values: Vec<f32> = (0..12u8).map(f32::from).collect();
        let flat = run(Flatten, &values, &[2, 2, 3], &[], false);
        assert_eq!(flat, [0., 6., 1., 7., 2., 8., 3., 9., 4., 10., 5., 11.]);
        let back = Reshape { channels: 2, height: 2, width: 3 };
        assert_eq!(run(back, &flat, &[12], &[], false), values);
    }

    #[test]
    fn the_top_left_part_stays() {
        let crop = Cropping2d { height: 1, width: 2 };
        assert_eq!(run(crop, &[1., 2., 3., 4., 5., 6.], &[1, 2, 3], &[], false), [1.0, 2.0]);
    }
}
