//! Images in a GPU's memory. Each batch is picked, augmented and normalised there.

use tch::{Device, Kind, Tensor};

use super::augment::Change;
use super::subset::Subset;
use crate::error::Result;

/// All images of a part, their labels and the table that normalises them, in the memory of a device.
pub(super) struct DeviceImages {
    /// `(N, H, W, C)`, `u8`.
    pixels: Tensor,
    /// Class ids, `(N,)`, `i64`.
    labels: Tensor,
    /// The normalised value of each of the 256 levels, channel after channel, `(C × 256,)`, `f32`.
    levels: Tensor,
    /// For each channel, the index of its first value in `levels`, `(C,)`, `i64`.
    starts: Tensor,
}

impl DeviceImages {
    /// Copies the images to the device.
    pub(super) fn new(
        images: &Subset,
        labels: &[i64],
        levels: &[[f32; 256]],
        device: Device,
    ) -> Result<DeviceImages> {
        let shape = images.dataset().image_shape();
        let mut pixels = Vec::with_capacity(images.len() * shape.pixels());
        images.each_image(|_, image| pixels.extend_from_slice(image))?;
        let size = [images.len(), shape.height, shape.width, shape.channels];
        let starts: Vec<i64> = (0..levels.len() as i64).map(|channel| 256 * channel).collect();
        Ok(DeviceImages {
            pixels: Tensor::f_from_slice(&pixels)?
                .f_view(size.map(|side| side as i64))?
                .f_to(device)?,
            labels: Tensor::f_from_slice(labels)?.f_to(device)?,
            levels: Tensor::f_from_slice(levels.as_flattened())?.f_to(device)?,
            starts: Tensor::f_from_slice(&starts)?.f_to(device)?,
        })
    }

    /// The images at these positions, `(B, C, H, W)` in `kind`, and their class ids. `changes` has the augmentation of
    /// each image; without augmentation it is empty.
    pub(super) fn batch(
        &self,
        positions: &[usize],
        changes: &[Change],
        kind: Kind,
    ) -> Result<(Tensor, Tensor)> {
        let positions: Vec<i64> = positions.iter().map(|&position| position as i64).collect();
        let positions = Tensor::f_from_slice(&positions)?.f_to(self.pixels.device())?;
        let mut pixels = self.pixels.f_index_select(0, &positions)?;
        if !changes.is_empty() {
            pixels = self.changed(&pixels, changes)?;
        }
        let size = pixels.size();
        let levels = pixels.f_to_kind(Kind::Int64)?.f_add(&self.starts)?.f_view([-1])?;
        let values = self.levels.f_to_kind(kind)?.f_index_select(0, &levels)?;
        let inputs = values.f_view(&size[..])?.f_permute([0, 3, 1, 2])?;
        Ok((inputs, self.labels.f_index_select(0, &positions)?))
    }

    /// Applies its change to each image; gives the same pixels as the code for the processor. Black is level 0.
    fn changed(&self, pixels: &Tensor, changes: &[Change]) -> Result<Tensor> {
        let [images, height, width, channels] = pixels.size()[..] else {
            return Ok(pixels.shallow_clone());
        };
        let device = pixels.device();
        // One value of each change, as a column (B, 1).
        let each = |value: fn(&Change) -> i64| -> Result<Tensor> {
            let values: Vec<i64> = changes.iter().map(value).collect();
            Ok(Tensor::f_from_slice(&values)?.f_view([-1, 1])?.f_to(device)?)
        };
        let count = |side: i64| Tensor::f_arange(side, (Kind::Int64, device))?.f_view([1, -1]);
        let (rows, columns) = (count(height)?, count(width)?);
        let down = rows.f_sub(&each(|change| change.down)?)?;
        let flip = each(|change| i64::from(change.flip))?;
        // What to add to a column to mirror it: from c to width - 1 - c.
        let mirrored = columns.f_mul_scalar(-2)?.f_add_scalar(width - 1)?;
        let column = columns.f_add(&flip.f_mul(&mirrored)?)?;
        let source = column.f_sub(&each(|change| change.right)?)?;
        let outside = |index: &Tensor, side: i64| index.f_lt(0)?.f_logical_or(&index.f_ge(side)?);
        let within = |index: &Tensor, from: Tensor, length: Tensor| -> Result<Tensor> {
            let start = index.f_ge_tensor(&from)?;
            Ok(start.f_logical_and(&index.f_lt_tensor(&from.f_add(&length)?)?)?)
        };
        let tall = within(&rows, each(|c| c.erased[0] as i64)?, each(|c| c.erased[2] as i64)?)?;
        let wide = within(&columns, each(|c| c.erased[1] as i64)?, each(|c| c.erased[3] as i64)?)?;
        let erased = tall.f_unsqueeze(2)?.f_logical_and(&wide.f_unsqueeze(1)?)?;
        let moved = outside(&down, height)?.f_unsqueeze(2)?;
        let moved = moved.f_logical_or(&outside(&source, width)?.f_unsqueeze(1)?)?;
        let black = moved.f_logical_or(&erased)?.f_unsqueeze(3)?;
        let [down, source] =
            [(down, height), (source, width)].map(|(of, side)| of.f_clamp(0, side - 1));
        let at = down?.f_unsqueeze(2)?.f_mul_scalar(width)?.f_add(&source?.f_unsqueeze(1)?)?;
        let at = at.f_view([images, -1, 1])?.f_expand([images, -1, channels], false)?;
        let flat = pixels.f_view([images, -1, channels])?.f_gather(1, &at, false)?;
        let changed = flat.f_view([images, height, width, channels])?;
        Ok(changed.f_masked_fill(&black, 0)?)
    }
}
