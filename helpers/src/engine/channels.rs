//! Values per channel that the passes of a normalisation use.

use tch::Tensor;

use crate::error::Result;
use crate::layers::Weight;

/// Statistics and factors of each channel.
pub(super) struct Channels {
    pub mean: Vec<f32>,
    /// One over the standard deviation.
    pub inverse: Vec<f32>,
    /// `value * scale + shift` is the normalised value.
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
}

/// The terms of the input gradient that go through mean and variance of the batch: the same for all values of a channel.
pub(super) struct Common {
    pub constant: Vec<f32>,
    /// Times the distance from the mean.
    pub slope: Vec<f32>,
}

impl Common {
    /// From the sums, over all rows, of the gradients and of their products with the distances from the mean:
    /// `d/dx = scale * (g - mean(g) - (x - mean) * mean(g * (x - mean)) / variance)`.
    pub(super) fn new(sum: &[f64], product: &[f64], inverse: &[f32], rows: f64) -> Common {
        let slope = product.iter().zip(inverse).map(|(product, inverse)| {
            (product / rows * f64::from(*inverse) * f64::from(*inverse)) as f32
        });
        let constant = sum.iter().map(|sum| (sum / rows) as f32).collect();
        Common { constant, slope: slope.collect() }
    }
}

impl Channels {
    /// From gamma, beta, running mean and running variance, which are the same for every batch of a prediction.
    pub(super) fn of_running_statistics(weights: &[Weight], epsilon: f64) -> Result<Channels> {
        let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|offset| &weights[offset].tensor);
        let [mean, variance] = [mean, variance].map(Vec::<f64>::try_from);
        Channels::new(&mean?, &variance?, gamma, beta, epsilon)
    }

    pub(super) fn new(
        mean: &[f64],
        variance: &[f64],
        gamma: &Tensor,
        beta: &Tensor,
        epsilon: f64,
    ) -> Result<Channels> {
        let (gamma, beta) = (Vec::<f32>::try_from(gamma)?, Vec::<f32>::try_from(beta)?);
        let mut channels = Channels { mean: vec![], inverse: vec![], scale: vec![], shift: vec![] };
        for (((mean, variance), gamma), beta) in mean.iter().zip(variance).zip(gamma).zip(beta) {
            let inverse = 1.0 / (variance + epsilon).sqrt();
            let scale = f64::from(gamma) * inverse;
            channels.mean.push(*mean as f32);
            channels.inverse.push(inverse as f32);
            channels.scale.push(scale as f32);
            channels.shift.push((f64::from(beta) - mean * scale) as f32);
        }
        Ok(channels)
    }
}
