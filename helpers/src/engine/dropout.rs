//! Dropout without a stored mask: a hash of a value's index decides if it is dropped, in forward and backward.

use tch::{Device, Kind, Tensor};

use super::chain::{Backward, Forward, Step};
use super::layout::{ChannelsLast, in_blocks};
use crate::error::Result;
use crate::layers::Weight;
use crate::system::elements::{Element, read, vectorised};

/// Which values are dropped in one step of training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct DropoutMask {
    /// Values with a hash below this are dropped.
    threshold: u32,
    /// The factor of the values that are kept.
    factor: f32,
    keys: [u32; 2],
}

impl DropoutMask {
    /// Draws a mask that drops this share of the values, from 0 to below 1, from libtorch's generator.
    pub(super) fn draw(rate: f64) -> Result<DropoutMask> {
        let keys = Tensor::f_randint(1 << 32, [2], (Kind::Int64, Device::Cpu))?;
        let keys = [keys.f_int64_value(&[0])? as u32, keys.f_int64_value(&[1])? as u32];
        let threshold = (rate * f64::from(u32::MAX)) as u32;
        Ok(DropoutMask { threshold, factor: (1.0 / (1.0 - rate)) as f32, keys })
    }

    /// The factor of the value at this index.
    #[inline(always)]
    fn factor(&self, index: u32) -> f32 {
        // Twice the finaliser `lowbias32` of C. Wellons' hash prospector.
        let mix = |x: u32| {
            let x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
            let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
            x ^ (x >> 16)
        };
        let hash = mix(mix(index ^ self.keys[0]) ^ self.keys[1]);
        if hash < self.threshold { 0.0 } else { self.factor }
    }

    /// `values` with some dropped and the others scaled; the backward does the same to their gradients.
    pub(super) fn apply(&self, values: &Tensor) -> Result<Tensor> {
        let layout = ChannelsLast::of(values);
        let values = layout.dense(values)?;
        let output = layout.empty(values.kind(), [layout.height, layout.width])?;
        match values.kind() {
            Kind::BFloat16 => self.apply_to::<half::bf16>(&layout, &values, &output)?,
            _ => self.apply_to::<f32>(&layout, &values, &output)?,
        }
        Ok(output)
    }

    fn apply_to<E: Element>(
        &self,
        layout: &ChannelsLast,
        values: &Tensor,
        output: &Tensor,
    ) -> Result<()> {
        let values = read::<E>(values, layout.values())?;
        in_blocks::<E>(output, layout, |first, out| {
            drop_values(&values[first..first + out.len()], out, first, *self);
        })
    }
}

vectorised! {
    /// Drops values; `start` is the index of the first one.
    fn drop_values(values: &[E], out: &mut [E], start: usize, mask: DropoutMask) {
        for (index, (value, out)) in values.iter().zip(out).enumerate() {
            let factor = mask.factor((start as u32).wrapping_add(index as u32));
            *out = E::store(value.load() * factor);
        }
    }
}

vectorised! {
    /// `drop_values` in place.
    pub(super) fn drop_in_place(values: &mut [E], start: usize, mask: DropoutMask) {
        for (index, value) in values.iter_mut().enumerate() {
            let factor = mask.factor((start as u32).wrapping_add(index as u32));
            *value = E::store(value.load() * factor);
        }
    }
}

/// A dropout layer by itself; after a normalisation it is part of that step.
pub(super) struct DropoutStep {
    pub rate: f64,
}

impl Step for DropoutStep {
    fn forward(&self, input: Tensor, _: &[Weight], _record: bool) -> Result<Forward> {
        let mask = DropoutMask::draw(self.rate)?;
        Ok(Forward::recorded(mask.apply(&input)?, mask))
    }
}

impl Backward for DropoutMask {
    fn backward(self: Box<Self>, gradient: Tensor, _: bool, _: &mut [Tensor]) -> Result<Tensor> {
        self.apply(&gradient)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_values_are_dropped_as_the_rate_says_and_the_mean_stays() {
        tch::manual_seed(6);
        for rate in [0.1, 0.5, 0.85] {
            let ones = Tensor::ones([400, 500], (Kind::Float, Device::Cpu));
            let left = DropoutMask::draw(rate).unwrap().apply(&ones).unwrap();
            let dropped = left.eq(0.0).to_kind(Kind::Double);
            let share = dropped.mean(Kind::Double).double_value(&[]);
            // Five standard errors.
            let noise = 5.0 * (rate * (1.0 - rate) / 200_000.0f64).sqrt();
            assert!((share - rate).abs() < noise, "{share} for {rate}");
            assert!((left.max().double_value(&[]) - 1.0 / (1.0 - rate)).abs() < 1e-5);
            // No row or column is favoured.
            for side in [0i64, 1] {
                let shares = dropped.mean_dim(&[side][..], false, Kind::Double);
                let apart = (shares - rate).abs().max().double_value(&[]);
                assert!(
                    apart < 6.0 * (rate * (1.0 - rate) / 400.0f64).sqrt(),
                    "{apart} for {rate}"
                );
            }
        }
    }
}
