//! ReLU6, in place if nothing else uses its input.

use half::bf16;
use tch::{Kind, Tensor};

use super::chain::{Backward, Forward, Step};
use super::layout::{ChannelsLast, in_blocks};
use super::loops::above;
use crate::error::Result;
use crate::layers::Weight;
use crate::system::elements::{Element, read, vectorised};

/// `min(max(x, 0), 6)`.
pub(super) struct Relu6Step {
    /// True when the input is a fresh convolution output, so that it may be overwritten.
    pub in_place: bool,
}

struct Relu6Tape {
    output: Tensor,
}

impl Step for Relu6Step {
    fn forward(&self, input: Tensor, _: &[Weight], _record: bool) -> Result<Forward> {
        let output = relu6(input, self.in_place)?;
        Ok(Forward::recorded(output.shallow_clone(), Relu6Tape { output }))
    }
}

impl Backward for Relu6Tape {
    fn backward(self: Box<Self>, gradient: Tensor, _: bool, _: &mut [Tensor]) -> Result<Tensor> {
        let layout = ChannelsLast::of(&self.output);
        let output = layout.dense(&self.output)?;
        let gradient = layout.dense(&gradient.f_to_kind(output.kind())?)?;
        let found = layout.empty(output.kind(), [layout.height, layout.width])?;
        match output.kind() {
            Kind::BFloat16 => gradient_in::<bf16>(&layout, &output, &gradient, &found)?,
            _ => gradient_in::<f32>(&layout, &output, &gradient, &found)?,
        }
        Ok(found)
    }
}

fn gradient_in<E: Element>(
    layout: &ChannelsLast,
    output: &Tensor,
    gradient: &Tensor,
    found: &Tensor,
) -> Result<()> {
    let output = read::<E>(output, layout.values())?;
    let gradient = read::<E>(gradient, layout.values())?;
    in_blocks::<E>(found, layout, |first, found| {
        let block = first..first + found.len();
        clamp_gradient(&output[block.clone()], &gradient[block], found);
    })
}

/// ReLU6 of a batch; `in_place` overwrites it.
pub(super) fn relu6(input: Tensor, in_place: bool) -> Result<Tensor> {
    let layout = ChannelsLast::of(&input);
    if !in_place || !layout.holds(&input)? {
        return Ok(input.f_relu6()?);
    }
    match input.kind() {
        Kind::BFloat16 => in_blocks::<bf16>(&input, &layout, |_, values| clamp(values))?,
        _ => in_blocks::<f32>(&input, &layout, |_, values| clamp(values))?,
    }
    Ok(input)
}

vectorised! {
    /// Clips values to 0..=6, in place.
    fn clamp(values: &mut [E]) {
        for value in values {
            *value = E::store(within_6(value.load()));
        }
    }
}

vectorised! {
    /// The gradients where the value is between 0 and 6, and 0 elsewhere. The values may be ReLU6's input or its
    /// output: both are between 0 and 6 at the same indices.
    pub(super) fn clamp_gradient(values: &[E], gradient: &[E], out: &mut [E]) {
        for ((value, slope), out) in values.iter().zip(gradient).zip(out) {
            *out = if in_linear_range(value.load()) { *slope } else { E::store(0.0) };
        }
    }
}

/// `value`, at least 0 and at most 6; NaN stays NaN.
#[inline(always)]
pub(super) fn within_6(value: f32) -> f32 {
    let value = above(value, 0.0);
    if value > 6.0 { 6.0 } else { value }
}

/// True where [`within_6`] has slope 1.
#[inline(always)]
pub(super) fn in_linear_range(value: f32) -> bool {
    (value > 0.0) & (value < 6.0)
}
