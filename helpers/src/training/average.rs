//! The moving average of the weights, which is validated and kept in their place.

use tch::Tensor;

use crate::error::Result;
use crate::layers::{Weight, is_statistic};
use crate::system::elements::{Element, vectorised};

/// An exponential moving average of a model's weights: Keras's `use_ema`, PyTorch's `AveragedModel` with a moving average
/// (Polyak & Juditsky 1992).
///
/// Batch normalisation's running statistics are averaged as well (`use_buffers=True` in PyTorch): a copy would hold the
/// statistics of the latest weights, while the averaged weights lag behind. For the dense network at a constant rate
/// the validation loss after three epochs was 0.347 with averaged statistics, and 0.359 with copies.
pub(super) struct MovingAverage {
    momentum: f64,
    /// In the order of the model's weights.
    pub values: Vec<Tensor>,
}

impl MovingAverage {
    /// Starts with these values.
    pub(super) fn new(momentum: f64, values: Vec<Tensor>) -> MovingAverage {
        MovingAverage { momentum, values }
    }

    /// Copies the values of a checkpoint over the current ones.
    ///
    /// # Errors
    /// If they are another model's.
    pub(super) fn restore(&mut self, values: &[Tensor]) -> Result<()> {
        let _guard = tch::no_grad_guard();
        for (average, value) in self.values.iter_mut().zip(values) {
            average.f_copy_(value)?;
        }
        Ok(())
    }

    /// The factor of the average in step `step`, counted from 1: small at first, so that the initial weights are soon
    /// forgotten (as in TensorFlow's `ExponentialMovingAverage(num_updates=step)`).
    fn momentum_in(&self, step: u64) -> f64 {
        self.momentum.min((1.0 + step as f64) / (10.0 + step as f64))
    }

    /// Averages the statistics of batch normalisation. The weights themselves are averaged inside the optimiser's pass
    /// ([`MovingAverage::followers`]), which saves a pass over them.
    ///
    /// # Errors
    /// If the weights belong to another model.
    pub(super) fn update_statistics(&mut self, weights: &[Weight], step: u64) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let share = 1.0 - self.momentum_in(step);
        for (average, weight) in self.values.iter_mut().zip(weights) {
            if !weight.trainable && is_statistic(&weight.name) {
                let _ = average.f_lerp_(&weight.tensor, share)?;
            }
        }
        Ok(())
    }

    /// The averages, in the order of the weights, and the share by which step `step` moves them.
    pub(super) fn followers(&mut self, step: u64) -> Followers<'_> {
        Followers { share: 1.0 - self.momentum_in(step), values: &mut self.values }
    }

    /// Swaps the average with the model's weights.
    pub(super) fn swap(&mut self, weights: &mut [Weight]) {
        for (average, weight) in self.values.iter_mut().zip(weights) {
            std::mem::swap(average, &mut weight.tensor);
        }
    }
}

/// Averages of the weights, and the share of the way that each moves towards its weight.
pub(super) struct Followers<'a> {
    pub values: &'a mut [Tensor],
    pub share: f64,
}

vectorised! {
    /// Moves each average `share` of the way to its weight, as libtorch's `lerp` rounds it.
    pub(super) fn follow(averages: &mut [f32], weights: &[E], share: f32) {
        if share < 0.5 {
            for (average, weight) in averages.iter_mut().zip(weights) {
                *average = share.mul_add(weight.load() - *average, *average);
            }
        } else {
            for (average, weight) in averages.iter_mut().zip(weights) {
                *average = (share - 1.0).mul_add(weight.load() - *average, weight.load());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(name: &str, trainable: bool) -> Weight {
        Weight::new(name, Tensor::from_slice(&[1f32, -2.0]), trainable, false)
    }

    #[test]
    fn the_momentum_grows_to_what_was_asked_for() {
        let average = MovingAverage::new(0.6, Vec::new());
        assert_eq!(
            [1, 12, 13, 1000].map(|step| average.momentum_in(step)),
            [2.0 / 11.0, 13.0 / 22.0, 0.6, 0.6]
        );
    }

    #[test]
    fn averages_follow_as_libtorch_s_lerp() {
        tch::manual_seed(4);
        let options = (tch::Kind::Float, tch::Device::Cpu);
        let (averages, weights) = (Tensor::randn([1000], options), Tensor::randn([1000], options));
        for share in [0.001, 0.3, 0.5, 9.0 / 11.0] {
            let expected = Vec::<f32>::try_from(averages.lerp(&weights, share)).unwrap();
            let mut found = Vec::<f32>::try_from(&averages).unwrap();
            follow(&mut found, &Vec::<f32>::try_from(&weights).unwrap(), share as f32);
            let apart = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart <= 3e-7, "{share}: {apart}");
        }
    }

    #[test]
    fn a_swap_puts_the_average_into_the_model_and_back() {
        let mut weights = [weight("w", true)];
        let mut average = MovingAverage::new(0.9, vec![Tensor::from_slice(&[5f32, 6.0])]);
        average.swap(&mut weights);
        assert_eq!(Vec::<f32>::try_from(&weights[0].tensor).unwrap(), [5.0, 6.0]);
        average.swap(&mut weights);
        assert_eq!(Vec::<f32>::try_from(&weights[0].tensor).unwrap(), [1.0, -2.0]);
    }
}
