//! The settings of a training.

use serde::{Deserialize, Serialize};

use super::schedule::Schedule;
use crate::data::augment::Augmentation;
use crate::error::{Error, Result};
use crate::models::Precision;

/// Settings of one training run. The defaults are the ones that the notebooks use to train a network from scratch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitConfig {
    /// Most epochs to run; one epoch sees every training image once.
    pub epochs: usize,
    /// Epochs without a better validation loss before training stops.
    pub patience: usize,
    /// Images per optimiser step; the last batch of an epoch may be shorter.
    pub batch_size: usize,
    /// Adam's step size, above 0; `schedule` changes it over time.
    pub learning_rate: f64,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Decoupled weight decay (AdamW), on kernels alone; 0 for none.
    pub weight_decay: f64,
    /// Share of each target that is spread over all classes, in 0..1 (Szegedy et al. 2016).
    pub label_smoothing: f64,
    /// Momentum of a moving average of the weights, in 0..1 (Keras's `use_ema`). The average is what is validated, kept
    /// as the best and left in the model; 0.999 averages over about the last thousand steps. With `None` the weights
    /// themselves are used.
    pub ema_momentum: Option<f64>,
    /// Mixes each training image and its class with another one, with shares drawn for each batch from Beta(`mixup`,
    /// `mixup`) (Zhang et al. 2018); 0 for none, and 0.2 is common.
    pub mixup: f64,
    /// Replaces a rectangle of each training image by that of another image, whose class counts by the rectangle's
    /// area; the share is drawn for each batch from Beta(`cutmix`, `cutmix`) (Yun et al. 2019). 0 for none, and 1 is
    /// common. If `mixup` is set too, each batch gets one of the two, at even odds.
    pub cutmix: f64,
    /// Random changes to training images.
    pub augmentation: Augmentation,
    /// The number format of the products.
    pub precision: Precision,
    /// Fixes shuffling, augmentation, mixing and dropout.
    pub seed: u64,
}

impl Default for FitConfig {
    fn default() -> FitConfig {
        FitConfig {
            epochs: 50,
            patience: 5,
            batch_size: 128,
            learning_rate: 2e-3,
            schedule: Schedule::Cosine { warmup_epochs: 0.5, alpha: 0.0, decay_epochs: 0 },
            weight_decay: 0.02,
            label_smoothing: 0.05,
            ema_momentum: Some(0.999),
            mixup: 0.0,
            cutmix: 0.0,
            augmentation: Augmentation::default(),
            precision: Precision::Auto,
            seed: 42,
        }
    }
}

impl FitConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// If a setting is out of range; the message names it and the allowed values.
    pub fn check(&self) -> Result<()> {
        let whole = [
            ("epochs", self.epochs, "50 with early stopping is the course's setting"),
            ("patience", self.patience, "5 waits for five epochs"),
            ("batch_size", self.batch_size, "128 is a good start"),
        ];
        for (name, value, advice) in whole {
            if value < 1 {
                return Err(Error::parameter(name, "at least 1", value, advice));
            }
        }
        let (rate, decay) = (self.learning_rate, self.weight_decay);
        let (mixup, cutmix) = (self.mixup, self.cutmix);
        let is_beta = |alpha: f64| (0.0..=100.0).contains(&alpha);
        let (smoothing, momentum) = (self.label_smoothing, self.ema_momentum.unwrap_or(0.0));
        let fractions = [
            (
                "learning_rate",
                rate,
                rate > 0.0 && rate.is_finite(),
                "above 0 and finite",
                "0.001 is Adam's usual step",
            ),
            (
                "weight_decay",
                decay,
                decay >= 0.0 && decay.is_finite(),
                "0 or more, and finite",
                "0 switches it off",
            ),
            ("mixup", mixup, is_beta(mixup), "in 0..=100", "0 mixes nothing, and 0.2 is common"),
            ("cutmix", cutmix, is_beta(cutmix), "in 0..=100", "0 cuts nothing, and 1 is common"),
            (
                "label_smoothing",
                smoothing,
                (0.0..1.0).contains(&smoothing),
                "in 0..1",
                "0.1 is common",
            ),
            (
                "ema_momentum",
                momentum,
                (0.0..1.0).contains(&momentum),
                "in 0..1",
                "0.999 is common, and `None` averages nothing",
            ),
        ];
        for (name, value, is_allowed, expected, advice) in fractions {
            if !is_allowed {
                return Err(Error::parameter(name, expected, value, advice));
            }
        }
        self.schedule.check(self.epochs)?;
        self.augmentation.check()
    }

    /// A remark about settings that are allowed but may be a mistake.
    pub(super) fn remark(&self) -> Option<String> {
        let FitConfig { epochs, patience, .. } = self;
        (patience >= epochs).then(|| {
            format!(
                "training cannot stop early, because `patience` ({patience}) is not below `epochs` ({epochs})"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_that_cannot_run_out_is_remarked_on() {
        let remark = |epochs, patience| {
            FitConfig { epochs, patience, ..FitConfig::default() }.remark().is_some()
        };
        assert!(!remark(6, 5));
        assert!(remark(5, 5));
        assert!(remark(3, 5));
    }
}
