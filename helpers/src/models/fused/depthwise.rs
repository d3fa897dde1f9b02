//! Depthwise convolutions whose filters are frozen, with the batch normalisation and the ReLU6 behind them.
//!
//! A filter of its own for each channel is little arithmetic on much memory, which a product of matrices does not suit:
//! here each pixel is the sum of its neighbours, some channels at a time.

use tch::{Kind, Tensor};

use super::loops::{between, is_between, within_6};
use super::{Layout, in_blocks};
use crate::elements::{Bf16, Element, in_tiles, lanes, lanes_mut, read, vectorised};
use crate::error::Result;

/// A depthwise convolution: one square filter a channel.
pub(crate) struct Depthwise {
    /// Channels of the first place of the filter, then those of the next, row by row.
    taps: Vec<f32>,
    /// Added to each channel.
    shift: Vec<f32>,
    side: usize,
    strides: usize,
    /// If ReLU6 comes behind.
    relu6: bool,
}

/// What the way back of a [`Depthwise`] needs.
pub(crate) struct Done {
    input: Tensor,
    output: Tensor,
    /// If the input comes out of a ReLU6 whose way back is to be part of this one.
    pub behind_relu6: bool,
}

/// The shapes that a convolution lies between, and where its filters begin.
struct Geometry {
    input: Layout,
    output: Layout,
    side: usize,
    strides: usize,
    top: usize,
    left: usize,
}

impl Depthwise {
    /// Of a kernel `(channels, 1, side, side)`.
    pub(crate) fn new(
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

    /// If a ReLU6 behind it is part of it.
    pub(crate) fn relu6(&self) -> bool {
        self.relu6
    }

    fn geometry(&self, input: &Tensor) -> Geometry {
        let (side, strides) = (self.side, self.strides);
        let layout = Layout::of(input);
        let shrunk = |length: usize| (length - 1) / strides + 1;
        let output =
            Layout { height: shrunk(layout.height), width: shrunk(layout.width), ..layout };
        let before = |length: usize| {
            let [before, _] =
                super::super::layers::same_padding(length as i64, side as i64, strides as i64);
            before as usize
        };
        let (top, left) = (before(layout.height), before(layout.width));
        Geometry { input: layout, output, side, strides, top, left }
    }

    /// What it makes of `input`, and what the way back needs.
    pub(crate) fn forward(&self, input: &Tensor) -> Result<(Tensor, Done)> {
        let geometry = self.geometry(input);
        let input = geometry.input.dense(input)?;
        let Layout { height, width, .. } = geometry.output;
        let output = geometry.output.empty(input.kind(), [height, width])?;
        match input.kind() {
            Kind::BFloat16 => self.forward_in::<Bf16>(&geometry, &input, &output),
            _ => self.forward_in::<f32>(&geometry, &input, &output),
        }
        let done = Done { input, output: output.shallow_clone(), behind_relu6: false };
        Ok((output, done))
    }

    fn forward_in<E: Element>(&self, geometry: &Geometry, input: &Tensor, output: &Tensor) {
        let Geometry { input: before, output: behind, .. } = geometry;
        let input = read::<E>(input, before.values());
        in_blocks::<E>(output, behind, |first, out| {
            let first = first / behind.image() * before.image();
            let images = input[first..].chunks_exact(before.image());
            for (image, out) in images.zip(out.chunks_exact_mut(behind.image())) {
                filter(image, out, geometry, self);
            }
        });
    }

    /// The gradient of the input.
    pub(crate) fn backward(&self, done: &Done, gradient: &Tensor) -> Result<Tensor> {
        let geometry = self.geometry(&done.input);
        let kind = done.input.kind();
        let gradient = geometry.output.dense(&gradient.f_to_kind(kind)?)?;
        let Layout { height, width, .. } = geometry.input;
        let found = geometry.input.empty(kind, [height, width])?;
        match kind {
            Kind::BFloat16 => self.backward_in::<Bf16>(&geometry, done, &gradient, &found),
            _ => self.backward_in::<f32>(&geometry, done, &gradient, &found),
        }
        Ok(found)
    }

    fn backward_in<E: Element>(
        &self,
        geometry: &Geometry,
        done: &Done,
        gradient: &Tensor,
        found: &Tensor,
    ) {
        let Geometry { input: before, output: behind, .. } = geometry;
        let input = read::<E>(&done.input, before.values());
        let output = read::<E>(&done.output, behind.values());
        let gradient = read::<E>(gradient, behind.values());
        let behind_relu6 = done.behind_relu6;
        in_blocks::<E>(found, before, |first, found| {
            let first = first / before.image();
            let mut passed = vec![E::store(0.0); if self.relu6 { behind.image() } else { 0 }];
            for (place, found) in found.chunks_exact_mut(before.image()).enumerate() {
                let at = |length: usize| (first + place) * length..(first + place + 1) * length;
                let gradient = &gradient[at(behind.image())];
                let passed = if self.relu6 {
                    between(&output[at(behind.image())], gradient, &mut passed);
                    &passed
                } else {
                    gradient
                };
                let input = &input[at(before.image())];
                spread(input, passed, found, geometry, &self.taps, behind_relu6);
            }
        });
    }
}

vectorised! {
    /// Filters one image.
    fn filter(image: &[E], out: &mut [E], geometry: &Geometry, layer: &Depthwise) {
        // Row by row, so that what neighbours share is still near the processor.
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
    geometry: &Geometry,
    layer: &Depthwise,
) {
    let Geometry { input, side, strides, top, left, .. } = geometry;
    let count = input.channels;
    let shift: [f32; L] = *lanes(&layer.shift, from);
    // The filter's place over the image, whose upper left corner is at (top, left).
    let row = row * strides;
    let rows = top.saturating_sub(row)..(*side).min(input.height + top - row);
    for (column, out) in out.chunks_exact_mut(count).enumerate() {
        let column = column * strides;
        let mut sum = shift;
        for down in rows.clone() {
            for right in left.saturating_sub(column)..(*side).min(input.width + left - column) {
                let pixel = (row + down - top) * input.width + column + right - left;
                let pixel: &[E; L] = lanes(image, pixel * count + from);
                let tap: &[f32; L] = lanes(&layer.taps, (down * side + right) * count + from);
                for lane in 0..L {
                    sum[lane] += pixel[lane].load() * tap[lane];
                }
            }
        }
        let out: &mut [E; L] = lanes_mut(out, from);
        for lane in 0..L {
            out[lane] = E::store(if layer.relu6 { within_6(sum[lane]) } else { sum[lane] });
        }
    }
}

vectorised! {
    /// The way back of `filter`: each pixel's gradient goes to all that it was the sum of.
    fn spread(
        image: &[E], gradient: &[E], out: &mut [E], geometry: &Geometry, taps: &[f32], behind_relu6: bool,
    ) {
        let line = geometry.input.width * geometry.input.channels;
        let rows = image.chunks_exact(line).zip(out.chunks_exact_mut(line));
        for (row, (image, out)) in rows.enumerate() {
            in_tiles!(geometry.input.channels, spread_tile, row, image, gradient, out, geometry, taps, behind_relu6);
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
    geometry: &Geometry,
    taps: &[f32],
    behind_relu6: bool,
) {
    let Geometry { input, output, side, strides, top, left } = geometry;
    let count = input.channels;
    for (column, out) in out.chunks_exact_mut(count).enumerate() {
        let mut sum = [0f32; L];
        for down in 0..*side {
            // The row of the output to which this one went through this row of the filter.
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
            let passes = !behind_relu6 | is_between(pixel[lane].load());
            out[lane] = E::store(if passes { sum[lane] } else { 0.0 });
        }
    }
}

/// The place of the output that a padded place of the input reaches through this place of the filter.
#[inline(always)]
fn reached(padded: usize, place: usize, strides: usize, length: usize) -> Option<usize> {
    let offset = padded.checked_sub(place)?;
    (offset % strides == 0 && offset / strides < length).then_some(offset / strides)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::models::layers::conv2d_same;

    /// libtorch's convolution, ReLU6 and autograd, for sides that padding makes uneven, and channels of every tile.
    #[test]
    fn it_gives_what_libtorch_gives_both_ways() {
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

            let input = image.copy().set_requires_grad(true);
            let theirs = conv2d_same(&input, &kernel, Some(&shift), strides, channels);
            let theirs = if relu6 { theirs.relu6() } else { theirs };
            let slopes = Tensor::randn_like(&theirs);
            (&theirs * &slopes).sum(Kind::Float).backward();

            let (ours, mut done) = depthwise.forward(&image).unwrap();
            let apart = (&ours - &theirs).abs().max().double_value(&[]);
            assert!(apart < 1e-4, "{side} {strides} {shape:?}: {apart:e}");
            let found = depthwise.backward(&done, &slopes).unwrap();
            let apart = (&found - input.grad()).abs().max().double_value(&[]);
            assert!(apart < 1e-4, "{side} {strides} {shape:?}: {apart:e} on the way back");
            // With the ReLU6 before it, which passes no gradient where it has cut off.
            done.behind_relu6 = true;
            let behind = depthwise.backward(&done, &slopes).unwrap();
            let inside = image.gt(0.0).logical_and(&image.lt(6.0)).to_kind(Kind::Float);
            assert!(behind.equal(&(found * inside)));

            let narrow = depthwise.forward(&image.to_kind(Kind::BFloat16)).unwrap().0;
            let apart = (narrow.to_kind(Kind::Float) - &theirs).abs() / (theirs.abs() + 1.0);
            assert!(apart.max().double_value(&[]) < 0.05);
        }
    }
}
