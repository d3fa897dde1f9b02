//! How the learning rate changes while training.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the learning rate changes, as a factor on `FitConfig::learning_rate`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Always 1.
    Constant,
    /// A linear rise from 0 over `warmup_epochs`, then half a cosine down to `alpha`, where it stays (Loshchilov &
    /// Hutter 2017; Keras's `CosineDecay`).
    Cosine {
        /// Epochs of the rise; may be a fraction.
        warmup_epochs: f64,
        /// The factor at the end, in 0..=1.
        #[serde(default)]
        alpha: f64,
        /// Epochs from the start of the training to the end of the cosine; 0 for all epochs. With fewer epochs and
        /// `alpha` above 0, the training goes on at that rate until early stopping ends it.
        #[serde(default)]
        decay_epochs: usize,
    },
    /// A linear rise over the first epoch; then multiplied by `factor` whenever the validation loss has not fallen for
    /// `patience` epochs (Keras's `ReduceLROnPlateau`).
    ReduceOnPlateau {
        /// In 0..1.
        factor: f64,
        /// Epochs without a better loss, at least 1; should be fewer than early stopping's patience.
        patience: usize,
    },
}

impl Schedule {
    /// Checks the settings, for a training of so many epochs.
    ///
    /// # Errors
    /// If one is out of range.
    pub(super) fn check(self, epochs: usize) -> Result<()> {
        match self {
            Schedule::Cosine { warmup_epochs, decay_epochs, .. }
                if !(0.0..decayed(decay_epochs, epochs)).contains(&warmup_epochs) =>
            {
                let (name, most) = match decay_epochs {
                    0 => ("epochs", epochs),
                    _ => ("decay_epochs", decay_epochs),
                };
                let expected = format!("0 or more and fewer than `{name}` ({most})");
                Err(Error::parameter("warmup_epochs", expected, warmup_epochs, "1 is common"))
            }
            Schedule::Cosine { alpha, .. } if !(0.0..=1.0).contains(&alpha) => {
                Err(Error::parameter("alpha", "in 0..=1", alpha, "0 falls to nothing"))
            }
            Schedule::ReduceOnPlateau { factor, .. } if !(0.0..1.0).contains(&factor) => {
                Err(Error::parameter("factor", "in 0..1", factor, "0.5 halves the learning rate"))
            }
            Schedule::ReduceOnPlateau { patience: 0, .. } => {
                let advice = "2 waits for two epochs";
                Err(Error::parameter("schedule.patience", "at least 1", 0, advice))
            }
            _ => Ok(()),
        }
    }
}

/// Epochs until the end of the cosine.
fn decayed(decay_epochs: usize, epochs: usize) -> f64 {
    (if decay_epochs == 0 { epochs } else { decay_epochs }) as f64
}

/// The learning rate of one training, relative to its base rate: a [`Schedule`] and its state.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LearningRate {
    schedule: Schedule,
    epochs: usize,
    /// Product of the plateau rule's factors so far.
    factor: f64,
    best_loss: f64,
    waited: usize,
}

impl LearningRate {
    pub(super) fn new(schedule: Schedule, epochs: usize) -> LearningRate {
        LearningRate { schedule, epochs, factor: 1.0, best_loss: f64::INFINITY, waited: 0 }
    }

    /// The factor after `progress` epochs (from 0 to `epochs`, in fractions of an epoch).
    pub(super) fn factor(&self, progress: f64) -> f64 {
        match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Cosine { warmup_epochs, .. } if progress < warmup_epochs => {
                progress / warmup_epochs
            }
            Schedule::Cosine { warmup_epochs, alpha, decay_epochs } => {
                let end = decayed(decay_epochs, self.epochs);
                let length = (end - warmup_epochs).max(f64::MIN_POSITIVE);
                let share = ((progress - warmup_epochs) / length).clamp(0.0, 1.0);
                let cosine = (1.0 + (std::f64::consts::PI * share).cos()) / 2.0;
                alpha + (1.0 - alpha) * cosine
            }
            Schedule::ReduceOnPlateau { .. } => self.factor * progress.min(1.0),
        }
    }

    /// Updates the plateau rule with the next epoch's validation loss.
    pub(super) fn update(&mut self, val_loss: f64) {
        if val_loss < self.best_loss {
            (self.best_loss, self.waited) = (val_loss, 0);
            return;
        }
        self.waited += 1;
        if let Schedule::ReduceOnPlateau { factor, patience } = self.schedule
            && self.waited >= patience
        {
            (self.factor, self.waited) = (self.factor * factor, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_rises_then_falls_to_its_floor() {
        for (alpha, fallen) in [(0.0, [0.5, 0.0]), (0.2, [0.6, 0.2])] {
            for (decay_epochs, epochs) in [(0, 10), (10, 20)] {
                let schedule = Schedule::Cosine { warmup_epochs: 2.0, alpha, decay_epochs };
                let learning_rate = LearningRate::new(schedule, epochs);
                let factor = |progress| (learning_rate.factor(progress) * 1e6).round() / 1e6;
                assert_eq!([0.0, 1.0, 2.0].map(factor), [0.0, 0.5, 1.0]);
                assert_eq!([6.0, 10.0].map(factor), fallen);
                assert_eq!(factor(epochs as f64), alpha);
            }
        }
    }

    #[test]
    fn a_plateau_of_two_epochs_halves_the_rate() {
        let schedule = Schedule::ReduceOnPlateau { factor: 0.5, patience: 2 };
        let mut learning_rate = LearningRate::new(schedule, 50);
        let factors: Vec<f64> = [0.9, 1.0, 0.9, 0.8, 0.8, 0.8]
            .iter()
            .map(|&loss| {
                learning_rate.update(loss);
                learning_rate.factor(5.0)
            })
            .collect();
        assert_eq!(factors, [1.0, 1.0, 0.5, 0.5, 0.5, 0.25]);
    }

    #[test]
    fn each_epoch_of_a_plateau_may_lower_the_rate() {
        let schedule = Schedule::ReduceOnPlateau { factor: 0.1, patience: 1 };
        let mut learning_rate = LearningRate::new(schedule, 50);
        [0.9, 0.9, 0.8, 0.9].into_iter().for_each(|loss| learning_rate.update(loss));
        assert!((learning_rate.factor(4.0) - 0.01).abs() < 1e-12);
    }

    #[test]
    fn a_file_from_before_the_floor_is_read() {
        let schedule: Schedule =
            serde_json::from_str(r#"{"cosine":{"warmup_epochs":0.5}}"#).unwrap();
        let expected = Schedule::Cosine { warmup_epochs: 0.5, alpha: 0.0, decay_epochs: 0 };
        assert_eq!(schedule, expected);
    }
}
