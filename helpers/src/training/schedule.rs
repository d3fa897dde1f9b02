//! How the learning rate changes while training.

use serde::{Deserialize, Serialize};

/// How the learning rate changes, as a factor on `FitConfig::learning_rate`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Always 1.
    Constant,
    /// A straight rise from 0 over `warmup_epochs`, then half a cosine down to 0 at the last epoch
    /// (Loshchilov & Hutter 2017; Keras's `CosineDecay`).
    Cosine {
        /// Epochs of the rise; fractions are fine.
        warmup_epochs: f64,
    },
    /// A straight rise over the first epoch; then halved whenever the validation loss has not fallen for two epochs
    /// (Keras's `ReduceLROnPlateau(factor=0.5, patience=2)`).
    ReduceOnPlateau,
}

/// The learning rate of one training, relative to where it starts: a [`Schedule`] and what it has seen so far.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LearningRate {
    schedule: Schedule,
    epochs: usize,
    /// The plateau rule's factor so far.
    factor: f64,
    best_loss: f64,
    waited: usize,
}

/// Epochs without a better loss after which the plateau rule halves the rate.
const PLATEAU_PATIENCE: usize = 2;

impl LearningRate {
    pub(super) fn new(schedule: Schedule, epochs: usize) -> LearningRate {
        LearningRate { schedule, epochs, factor: 1.0, best_loss: f64::INFINITY, waited: 0 }
    }

    /// The factor after `progress` epochs (from 0 to `epochs`, in fractions of an epoch).
    pub(super) fn factor(&self, progress: f64) -> f64 {
        match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Cosine { warmup_epochs } if progress < warmup_epochs => {
                progress / warmup_epochs
            }
            Schedule::Cosine { warmup_epochs } => {
                let length = (self.epochs as f64 - warmup_epochs).max(f64::MIN_POSITIVE);
                let share = ((progress - warmup_epochs) / length).clamp(0.0, 1.0);
                (1.0 + (std::f64::consts::PI * share).cos()) / 2.0
            }
            Schedule::ReduceOnPlateau => self.factor * progress.min(1.0),
        }
    }

    /// Takes the validation loss of the next epoch.
    pub(super) fn update(&mut self, val_loss: f64) {
        if val_loss < self.best_loss {
            (self.best_loss, self.waited) = (val_loss, 0);
            return;
        }
        self.waited += 1;
        if self.waited >= PLATEAU_PATIENCE {
            (self.factor, self.waited) = (self.factor / 2.0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_rises_then_falls_to_nothing() {
        let learning_rate = LearningRate::new(Schedule::Cosine { warmup_epochs: 2.0 }, 10);
        let factors: Vec<f64> = [0.0, 1.0, 2.0, 6.0, 10.0]
            .map(|p| (learning_rate.factor(p) * 1e6).round() / 1e6)
            .to_vec();
        assert_eq!(factors, [0.0, 0.5, 1.0, 0.5, 0.0]);
    }

    #[test]
    fn a_plateau_of_two_epochs_halves_the_rate() {
        let mut learning_rate = LearningRate::new(Schedule::ReduceOnPlateau, 50);
        let factors: Vec<f64> = [0.9, 1.0, 0.9, 0.8, 0.8, 0.8]
            .iter()
            .map(|&loss| {
                learning_rate.update(loss);
                learning_rate.factor(5.0)
            })
            .collect();
        assert_eq!(factors, [1.0, 1.0, 0.5, 0.5, 0.5, 0.25]);
    }
}
