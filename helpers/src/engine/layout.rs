//! Memory layout of values, and how work on them is divided among threads.

use tch::{Device, Kind, Tensor};

use crate::error::Result;
use crate::system::elements::{Element, write};
use crate::system::parallel::in_parallel;

/// Blocks that a batch is divided into. Sums are added up in their order, so results do not depend on the number of
/// threads.
pub(super) const BLOCKS: usize = 16;

/// A batch in channels-last memory: image by image, row by row, pixel by pixel. Flat batches `(N, C)` have one pixel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ChannelsLast {
    pub images: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// True for `(N, C)`.
    pub flat: bool,
}

impl ChannelsLast {
    /// That of a batch `(N, C, H, W)` or `(N, C)`.
    pub(super) fn of(tensor: &Tensor) -> ChannelsLast {
        match tensor.size()[..] {
            [images, channels, height, width] => {
                let [images, height, width, channels] =
                    [images, height, width, channels].map(|side| side as usize);
                ChannelsLast { images, height, width, channels, flat: false }
            }
            ref size => {
                let channels = size.iter().skip(1).product::<i64>() as usize;
                let images = size[0] as usize;
                ChannelsLast { images, height: 1, width: 1, channels, flat: true }
            }
        }
    }

    /// Values of one image.
    pub(super) fn image(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Values of the batch.
    pub(super) fn values(&self) -> usize {
        self.images * self.image()
    }

    /// Pixels of the batch, which is the number of values per channel.
    pub(super) fn rows(&self) -> usize {
        self.images * self.height * self.width
    }

    /// True when `tensor` has this layout in memory.
    pub(super) fn holds(&self, tensor: &Tensor) -> Result<bool> {
        match self.flat {
            true => Ok(tensor.is_contiguous()),
            false => Ok(tensor.f_permute([0, 2, 3, 1])?.is_contiguous()),
        }
    }

    /// `tensor` in this layout; not copied if it already has it.
    pub(super) fn dense(&self, tensor: &Tensor) -> Result<Tensor> {
        if self.flat {
            return Ok(tensor.f_contiguous()?);
        }
        Ok(tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?)
    }

    /// A new tensor in this order, with another height and width; its values are not set.
    pub(super) fn empty(&self, kind: Kind, [height, width]: [usize; 2]) -> Result<Tensor> {
        let sides = [self.images, height, width, self.channels].map(|side| side as i64);
        if self.flat {
            return Ok(Tensor::f_empty([sides[0], sides[3]], (kind, Device::Cpu))?);
        }
        Ok(Tensor::f_empty(sides, (kind, Device::Cpu))?.f_permute([0, 3, 1, 2])?)
    }

    /// The blocks of `values`, each with the index of its first image; an image has `image` values.
    pub(super) fn blocks<'a, E>(&self, values: &'a [E], image: usize) -> Vec<(usize, &'a [E])> {
        blocks(self.images, BLOCKS)
            .map(|(first, end)| (first, &values[first * image..end * image]))
            .collect()
    }
}

/// Calls `work` for each block of a tensor that nothing else uses, with the index of the block's first value.
pub(super) fn in_blocks<E: Element>(
    tensor: &Tensor,
    layout: &ChannelsLast,
    work: impl Fn(usize, &mut [E]) + Sync,
) -> Result<()> {
    let (mut rest, mut tasks) = (write::<E>(tensor, layout.values())?, Vec::new());
    let image = layout.image();
    for (first, end) in blocks(layout.images, BLOCKS) {
        let (block, after) = rest.split_at_mut((end - first) * image);
        rest = after;
        tasks.push((first * image, block));
    }
    in_parallel(layout.values(), tasks, |(first, block)| work(first, block));
    Ok(())
}

/// Zeros before and after a side of an image for "same" padding: one output for each step that begins in the image. If
/// the number is odd, one more zero goes after.
pub(super) fn padding(length: i64, side: i64, strides: i64) -> [i64; 2] {
    let outputs = (length + strides - 1) / strides;
    let all = ((outputs - 1) * strides + side - length).max(0);
    [all / 2, all - all / 2]
}

/// `length` divided into this many blocks: first index and end of each, without empty blocks.
pub(super) fn blocks(length: usize, count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count)
        .map(move |block| (block * length / count, (block + 1) * length / count))
        .filter(|(first, end)| first < end)
}
