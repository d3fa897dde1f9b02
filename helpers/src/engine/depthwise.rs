//! Depthwise convolutions, with the frozen batch normalisation and the ReLU6 after them.
//!
//! A depthwise filter does little arithmetic per byte of memory, and cannot be computed as an efficient matrix product.
//! Here each output pixel is the sum of its neighbours, for some channels at a time.

use std::rc::Rc;

use half::bf16;
use tch::{Kind, Tensor};

use super::chain::{Backward, Forward, Step};
use super::layout::{ChannelsLast, in_blocks, padding};
use super::relu6::{clamp_gradient, in_linear_range, relu6, within_6};
use crate::error::Result;
use crate::layers::Weight;
use crate::system::elements::{Element, in_tiles, lanes, lanes_mut, read, vectorised};

/// A depthwise convolution with fixed filters, one for each channel.
pub(super) struct Depthwise {
    /// The filters' first value of each channel, then the second of each, row by row.
    taps: Vec<f32>,
    /// Added to each channel.
    shift: Vec<f32>,
    side: usize,
    strides: usize,
    /// True to apply ReLU6 to the output.
    relu6: bool,
}

/// A depthwise convolution in a chain.
pub(super) struct DepthwiseStep {
    pub filters: Rc<Depthwise>,
    /// Set where the ReLU6 before it is part of this step; `Some(true)` where it may overwrite its input.
    pub relu6_before: Option<bool>,
}

/// What the backward of a [`DepthwiseStep`] needs.
struct DepthwiseTape {
    filters: Rc<Depthwise>,
    input: Tensor,
    output: Tensor,
    /// True when the input came out of a ReLU6 whose backward is part of this one.
    after_relu6: bool,
}

/// The shapes before and after a convolution, and where its filters begin.
struct DepthwiseGeometry {
    input: ChannelsLast,
    output: ChannelsLast,
    side: usize,
    strides: usize,
    top: usize,
    left: usize,
}

impl Step for DepthwiseStep {
    fn forward(&self, input: Tensor, _: &[Weight], record: bool) -> Result<Forward> {
        let input = match self.relu6_before {
            Some(in_place) => relu6(input, in_place)?,
            None => input,
        };
        let (input, output) = self.filters.forward(&input)?;
        let tape = record.then(|| DepthwiseTape {
            filters: Rc::clone(&self.filters),
            input,
            output: output.shallow_clone(),
            after_relu6: self.relu6_before.is_some(),
        });
        Ok(Forward::new(output, tape))
    }
}

impl Backward for DepthwiseTape {
    fn backward(self: Box<Self>, gradient: Tensor, _: bool, _: &mut [Tensor]) -> Result<Tensor> {
        let DepthwiseTape { filters, input, output, after_relu6 } = *self;
        filters.backward(&input, &output, after_relu6, &gradient)
    }
}

impl Depthwise {
    /// Of a kernel `(channels, 1, side, side)` whose side is 3 or 5, moved by 1 or 2 pixels.
    pub(super) fn new(
        kernel: &Tensor,
        shift: &Tensor,
        strides: i64,
        relu6: bool,
    ) -> Result<Depthwise> {
        let size = kernel.size();
        let taps = kernel.f_to_kind(Kind::Float)?.f_view([size[0], -1])?.f_transpose(0, 1)?;
        Ok(Depthwise {
            taps: Vec::try_from(taps.f_contiguous()?.f_view([-1])?)?,
            shift: Vec::try_from(shift.f_to_kind(Kind::Float)?)?,
            side: size[2] as usize,
            strides: strides as usize,
            relu6,
        })
    }

    fn geometry(&self, input: &Tensor) -> DepthwiseGeometry {
        let (side, strides) = (self.side, self.strides);
        let layout = ChannelsLast::of(input);
        let shrunk = |length: usize| (length - 1) / strides + 1;
        let output =
            ChannelsLast { height: shrunk(layout.height), width: shrunk(layout.width), ..layout };
        let before =
            |length: usize| padding(length as i64, side as i64, strides as i64)[0] as usize;
        let (top, left) = (before(layout.height), before(layout.width));
        DepthwiseGeometry { input: layout, output, side, strides, top, left }
    }

    /// The input in dense memory, and the output.
    fn forward(&self, input: &Tensor) -> Result<(Tensor, Tensor)> {
        let geometry = self.geometry(input);
        let input = geometry.input.dense(input)?;
        let ChannelsLast { height, width, .. } = geometry.output;
        let output = geometry.output.empty(input.kind(), [height, width])?;
        match input.kind() {
            Kind::BFloat16 => self.forward_in::<bf16>(&geometry, &input, &output)?,
            _ => self.forward_in::<f32>(&geometry, &input, &output)?,
        }
        Ok((input, output))
    }

    fn forward_in<E: Element>(
        &self,
        geometry: &DepthwiseGeometry,
        input: &Tensor,
        output: &Tensor,
    ) -> Result<()> {
        let DepthwiseGeometry { input: before, output: after, .. } = geometry;
        let input = read::<E>(input, before.values())?;
        in_blocks::<E>(output, after, |first, out| {
            let first = first / after.image() * before.image();
            let images = input[first..].chunks_exact(before.image());
            for (image, out) in images.zip(out.chunks_exact_mut(after.image())) {
                filter(image, out, geometry, self);
            }
        })
    }

    /// The gradient of the input, from that of the output.
    fn backward(
        &self,
        input: &Tensor,
        output: &Tensor,
        after_relu6: bool,
        gradient: &Tensor,
    ) -> Result<Tensor> {
        let geometry = self.geometry(input);
        let kind = input.kind();
        let gradient = geometry.output.dense(&gradient.f_to_kind(kind)?)?;
        let ChannelsLast { height, width, .. } = geometry.input;
        let found = geometry.input.empty(kind, [height, width])?;
        let tensors = [input, output, &gradient, &found];
        match kind {
            Kind::BFloat16 => self.backward_in::<bf16>(&geometry, tensors, after_relu6)?,
            _ => self.backward_in::<f32>(&geometry, tensors, after_relu6)?,
        }
        Ok(found)
    }

    fn backward_in<E: Element>(
        &self,
        geometry: &DepthwiseGeometry,
        [input, output, gradient, found]: [&Tensor; 4],
        after_relu6: bool,
    ) -> Result<()> {
        let DepthwiseGeometry { input: before, output: after, .. } = geometry;
        let input = read::<E>(input, before.values())?;
        let output = read::<E>(output, after.values())?;
        let gradient = read::<E>(gradient, after.values())?;
        in_blocks::<E>(found, before, |first, found| {
            let first = first / before.image();
            let mut passed = vec![E::store(0.0); if self.relu6 { after.image() } else { 0 }];
            for (index, found) in found.chunks_exact_mut(before.image()).enumerate() {
                let at = |length: usize| (first + index) * length..(first + index + 1) * length;
                let gradient = &gradient[at(after.image())];
                let passed = if self.relu6 {
                    clamp_gradient(&output[at(after.image())], gradient, &mut passed);
                    &passed
                } else {
                    gradient
                };
                let input = &input[at(before.image())];
                spread(input, passed, found, geometry, &self.taps, after_relu6);
            }
        })
    }
}

/// Neighbouring outputs of a row that are computed together: a pixel is read, and widened from bf16, once for all of them.
/// One by one, all depthwise filters of EfficientNet-Lite0 take 362 µs instead of 246 for an image of 96 pixels (bf16, one
/// thread of a Zen 4).
const TOGETHER: usize = 3;

vectorised! {
    /// Filters one image.
    fn filter(image: &[E], out: &mut [E], geometry: &DepthwiseGeometry, layer: &Depthwise) {
        // Row by row, so that rows shared by neighbouring outputs are still in the cache.
        let line = geometry.output.width * geometry.output.channels;
        for (row, out) in out.chunks_exact_mut(line).enumerate() {
            in_tiles!(geometry.input.channels, filter_tile, row, image, out, geometry, layer);
        }
    }
}

#[inline(always)]
fn filter_tile<E: Element, const L: usize>(
    from: usize,
    row: usize,
    image: &[E],
    out: &mut [E],
    geometry: &DepthwiseGeometry,
    layer: &Depthwise,
) {
    // Each call is written out: one through a pointer would be compiled without the vector instructions.
    match (geometry.side, geometry.strides) {
        (3, 1) => filter_row::<E, L, 3, 1>(from, row, image, out, geometry, layer),
        (3, _) => filter_row::<E, L, 3, 2>(from, row, image, out, geometry, layer),
        (_, 1) => filter_row::<E, L, 5, 1>(from, row, image, out, geometry, layer),
        (..) => filter_row::<E, L, 5, 2>(from, row, image, out, geometry, layer),
    }
}

/// The sums stay in registers only where all indices of theirs are known when this is compiled.
#[inline(always)]
fn filter_row<E: Element, const L: usize, const SIDE: usize, const STRIDES: usize>(
    from: usize,
    row: usize,
    image: &[E],
    out: &mut [E],
    geometry: &DepthwiseGeometry,
    layer: &Depthwise,
) {
    let DepthwiseGeometry { input, top, left, .. } = geometry;
    let count = input.channels;
    let shift: [f32; L] = *lanes(&layer.shift, from);
    // The rows of the filter that lie inside the image, which begins at (top, left) of the padded one.
    let row = row * STRIDES;
    let rows = top.saturating_sub(row)..SIDE.min(input.height + top - row);
    for (group, out) in out.chunks_mut(TOGETHER * count).enumerate() {
        let column = group * TOGETHER * STRIDES;
        let mut sums = [shift; TOGETHER];
        for down in rows.clone() {
            let line = (row + down - top) * input.width;
            let tap = |right| lanes::<f32, L>(&layer.taps, (down * SIDE + right) * count + from);
            let taps: [&[f32; L]; SIDE] = std::array::from_fn(tap);
            macro_rules! add_pixels {
                ($($offset:literal)*) => { $(
                    let pixel = (column + $offset).wrapping_sub(*left);
                    if $offset < (TOGETHER - 1) * STRIDES + SIDE && pixel < input.width {
                        let pixel: &[E; L] = lanes(image, (line + pixel) * count + from);
                        let mut wide = [0f32; L];
                        for lane in 0..L {
                            wide[lane] = pixel[lane].load();
                        }
                        let [first, second, third] = &mut sums;
                        add::<L, SIDE, STRIDES, $offset, 0>(first, &wide, &taps);
                        add::<L, SIDE, STRIDES, $offset, 1>(second, &wide, &taps);
                        add::<L, SIDE, STRIDES, $offset, 2>(third, &wide, &taps);
                    }
                )* };
            }
            add_pixels!(0 1 2 3 4 5 6 7 8);
        }
        for (out, sum) in out.chunks_exact_mut(count).zip(&sums) {
            let out: &mut [E; L] = lanes_mut(out, from);
            for lane in 0..L {
                out[lane] = E::store(if layer.relu6 { within_6(sum[lane]) } else { sum[lane] });
            }
        }
    }
}

/// Adds the pixel at this offset to the sum of one of the outputs, if that output's filter reaches the pixel.
#[inline(always)]
fn add<
    const L: usize,
    const SIDE: usize,
    const STRIDES: usize,
    const OFFSET: usize,
    const OUTPUT: usize,
>(
    sum: &mut [f32; L],
    pixel: &[f32; L],
    taps: &[&[f32; L]; SIDE],
) {
    let right = OFFSET.wrapping_sub(OUTPUT * STRIDES);
    if right < SIDE {
        for lane in 0..L {
            sum[lane] += pixel[lane] * taps[right][lane];
        }
    }
}

vectorised! {
    /// The backward of `filter`: adds each output's gradient to all pixels that the output is a sum of.
    fn spread(
        image: &[E], gradient: &[E], out: &mut [E], geometry: &DepthwiseGeometry, taps: &[f32], after_relu6: bool,
    ) {
        let line = geometry.input.width * geometry.input.channels;
        let rows = image.chunks_exact(line).zip(out.chunks_exact_mut(line));
        for (row, (image, out)) in rows.enumerate() {
            in_tiles!(geometry.input.channels, spread_tile, row, image, gradient, out, geometry, taps, after_relu6);
        }
    }
}

#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "what a loop reads and writes")]
fn spread_tile<E: Element, const L: usize>(
    from: usize,
    row: usize,
    image: &[E],
    gradient: &[E],
    out: &mut [E],
    geometry: &DepthwiseGeometry,
    taps: &[f32],
    after_relu6: bool,
) {
    let DepthwiseGeometry { input, output, side, strides, top, left } = geometry;
    let count = input.channels;
    for (column, out) in out.chunks_exact_mut(count).enumerate() {
        let mut sum = [0f32; L];
        for down in 0..*side {
            let Some(to) = reached(row + top, down, *strides, output.height) else { continue };
            for right in 0..*side {
                let Some(across) = reached(column + left, right, *strides, output.width) else {
                    continue;
                };
                let pixel: &[E; L] = lanes(gradient, (to * output.width + across) * count + from);
                let tap: &[f32; L] = lanes(taps, (down * side + right) * count + from);
                for lane in 0..L {
                    sum[lane] += pixel[lane].load() * tap[lane];
                }
            }
        }
        let pixel: &[E; L] = lanes(image, column * count + from);
        let out: &mut [E; L] = lanes_mut(out, from);
        for lane in 0..L {
            let passes = !after_relu6 | in_linear_range(pixel[lane].load());
            out[lane] = E::store(if passes { sum[lane] } else { 0.0 });
        }
    }
}

/// The output row (or column) to which this filter tap carries a padded input row (or column); none if there is none.
#[inline(always)]
fn reached(padded: usize, tap: usize, strides: usize, length: usize) -> Option<usize> {
    let offset = padded.checked_sub(tap)?;
    (offset % strides == 0 && offset / strides < length).then_some(offset / strides)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::layers::{Conv2d, Initializer, Layer};

    /// The reference and autograd, for sides that padding makes uneven, and channels of every tile.
    #[test]
    fn it_gives_what_libtorch_gives_forward_and_backward() {
        tch::manual_seed(3);
        let options = (Kind::Float, Device::Cpu);
        for (side, strides, relu6, shape) in [
            (3, 1, true, [5, 57, 9, 7]),
            (3, 2, true, [17, 21, 8, 8]),
            (5, 1, false, [3, 32, 4, 6]),
            (5, 2, true, [2, 49, 7, 10]),
            (5, 2, false, [1, 3, 2, 1]),
        ] {
            let [images, channels, height, width] = shape;
            let image = Tensor::randn([images, height, width, channels], options) * 3.0;
            let image = image.permute([0, 3, 1, 2]).relu6();
            let kernel = Tensor::randn([channels, 1, side, side], options);
            let shift = Tensor::randn([channels], options);
            let depthwise = Depthwise::new(&kernel, &shift, strides, relu6).unwrap();

            let layer = Layer::from(Conv2d {
                filters: channels,
                kernel_size: side,
                strides,
                groups: channels,
                use_bias: true,
                kernel_initializer: Initializer::Zeros,
            });
            let specs = layer.weights(&[channels, height, width]);
            let weights = [specs[0].with(kernel).unwrap(), specs[1].with(shift).unwrap()];
            let input = image.copy().set_requires_grad(true);
            let theirs = layer.forward(&input, &weights, true).unwrap();
            let theirs = if relu6 { theirs.relu6() } else { theirs };
            let slopes = Tensor::randn_like(&theirs);
            (&theirs * &slopes).sum(Kind::Float).backward();

            let (dense, ours) = depthwise.forward(&image).unwrap();
            let apart = (&ours - &theirs).abs().max().double_value(&[]);
            assert!(apart < 1e-4, "{side} {strides} {shape:?}: {apart:e}");
            let backward = |after_relu6| depthwise.backward(&dense, &ours, after_relu6, &slopes);
            let found = backward(false).unwrap();
            let apart = (&found - input.grad()).abs().max().double_value(&[]);
            assert!(apart < 1e-4, "{side} {strides} {shape:?}: {apart:e} backward");
            // Where the ReLU6 before it has clipped, the gradient is 0.
            let inside = image.gt(0.0).logical_and(&image.lt(6.0)).to_kind(Kind::Float);
            assert!(backward(true).unwrap().equal(&(found * inside)));

            let narrow = depthwise.forward(&image.to_kind(Kind::BFloat16)).unwrap().1;
            let apart = (narrow.to_kind(Kind::Float) - &theirs).abs() / (theirs.abs() + 1.0);
            assert!(apart.max().double_value(&[]) < 0.05);
        }
    }
}
