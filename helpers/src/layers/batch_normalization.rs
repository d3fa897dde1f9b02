//! Batch normalisation.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Initializer, Operation, Weight, WeightSpec};
use crate::error::Result;

/// Subtracts each channel's mean and divides by its standard deviation, then scales and shifts by what is learnt: Keras's
/// `BatchNormalization` (Ioffe & Szegedy 2015).
///
/// In training, mean and variance are those of the batch, and the running statistics are updated with them. Predictions
/// use the running statistics, and so does a frozen layer in training, as in Keras. The running variance is updated
/// with the unbiased variance, as in PyTorch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchNormalization {
    /// Share of the old running statistics in an update, in 0..1; Keras's default is 0.99.
    pub momentum: f64,
    /// Added to the variance, above 0.
    pub epsilon: f64,
}

impl Default for BatchNormalization {
    /// With PyTorch's 0.9 the statistics follow the weights within an epoch; with Keras's 0.99 they lag behind in short
    /// trainings.
    fn default() -> BatchNormalization {
        BatchNormalization { momentum: 0.9, epsilon: 1e-3 }
    }
}

impl Operation for BatchNormalization {
    fn kind(&self) -> &'static str {
        "batch_normalization"
    }

    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        let BatchNormalization { momentum, epsilon } = *self;
        if !(0.0..1.0).contains(&momentum) {
            return Err(format!("`momentum` must lie in 0..1, got {momentum}; Keras takes 0.99"));
        }
        if !(epsilon > 0.0 && epsilon.is_finite()) {
            return Err(format!("`epsilon` must be above 0, got {epsilon}; Keras takes 0.001"));
        }
        Ok(input.to_vec())
    }

    fn weights(&self, input: &[i64]) -> Vec<WeightSpec> {
        let channels = &input[..1];
        vec![
            WeightSpec::new("gamma", channels, Initializer::Ones),
            WeightSpec::new("beta", channels, Initializer::Zeros),
            WeightSpec::statistic("moving_mean", channels, Initializer::Zeros),
            WeightSpec::statistic("moving_variance", channels, Initializer::Ones),
        ]
    }

    fn kept_values(&self, input: &[i64], weights: &[Weight]) -> i64 {
        if weights[0].trainable { input.iter().product() } else { 0 }
    }

    fn forward(&self, input: &Tensor, weights: &[Weight], training: bool) -> Result<Tensor> {
        let training = training && weights[0].trainable;
        let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|index| Some(&weights[index].tensor));
        let update = 1.0 - self.momentum;
        Ok(input.f_batch_norm(
            gamma,
            beta,
            mean,
            variance,
            training,
            update,
            self.epsilon,
            false,
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two values 1 and 3: mean 2, variance 1. The running statistics take a tenth of the batch's.
    #[test]
    fn the_batch_s_statistics_train_and_the_running_ones_predict() {
        let layer = BatchNormalization::default();
        let weights: Vec<Weight> =
            layer.weights(&[1]).iter().map(|spec| spec.draw().unwrap()).collect();
        let input = Tensor::from_slice(&[1f32, 3.]).view([2, 1]);
        let _guard = tch::no_grad_guard();
        let run = |training| -> Vec<f32> {
            Vec::try_from(layer.forward(&input, &weights, training).unwrap().view([2])).unwrap()
        };
        let scale = 1.0 / (1.0f32 + 1e-3).sqrt();
        let trained = run(true);
        assert!((trained[0] + scale).abs() < 1e-6 && (trained[1] - scale).abs() < 1e-6);
        // The unbiased variance is 2.
        let (mean, variance) = (0.2f32, 0.9 + 0.1 * 2.0f32);
        let expected = (1.0 - mean) / (variance + 1e-3).sqrt();
        assert!((run(false)[0] - expected).abs() < 1e-6);
    }
}
