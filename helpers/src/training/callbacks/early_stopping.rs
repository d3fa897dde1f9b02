//! Stopping when the validation loss no longer falls.

use super::Callback;
use crate::error::Result;
use crate::text::counted;
use crate::training::history::EpochRow;
use crate::training::state::{TrainingState, best_epoch};

/// Stops training when the validation loss no longer falls, as Keras's `EarlyStopping(min_delta=0)`.
///
/// `fit` has one by default, with the patience of its settings. The weights of the best epoch are restored in any case.
#[derive(Debug, Clone, PartialEq)]
pub struct EarlyStopping {
    patience: usize,
}

impl EarlyStopping {
    /// Waits for `patience` epochs without a better loss.
    pub fn new(patience: usize) -> EarlyStopping {
        EarlyStopping { patience }
    }

    /// Whether to stop after these epochs. An equal loss is no better one.
    pub(super) fn is_due(&self, epochs: &[EpochRow]) -> bool {
        !epochs.is_empty() && epochs.len() - best_epoch(epochs) >= self.patience
    }
}

impl Callback for EarlyStopping {
    /// A training that goes on from a checkpoint may already be due to stop.
    fn on_train_begin(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        self.on_epoch_end(training)
    }

    fn on_epoch_end(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        if self.is_due(training.epochs()) {
            training.stop(format!("no better val_loss for {}", counted(self.patience, "epoch")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether early stopping with a patience of 2 is due after each epoch, and the best one of all.
    fn stops(losses: &[f64]) -> (Vec<bool>, usize) {
        let row = |(index, &val_loss)| EpochRow {
            epoch: index + 1,
            loss: 0.0,
            metric: 0.0,
            val_loss,
            val_metric: 0.0,
            learning_rate: 0.0,
            seconds: 0.0,
        };
        let epochs: Vec<EpochRow> = losses.iter().enumerate().map(row).collect();
        let due = |count| EarlyStopping::new(2).is_due(&epochs[..count]);
        ((1..=epochs.len()).map(due).collect(), best_epoch(&epochs))
    }

    #[test]
    fn stops_after_patience_epochs_without_improvement() {
        assert_eq!(stops(&[0.9, 0.7, 0.8, 0.7]), (vec![false, false, false, true], 2));
    }

    #[test]
    fn a_better_loss_starts_the_count_again() {
        let never_before_the_last = vec![false, false, false, false, true];
        assert_eq!(stops(&[0.9, 1.0, 0.8, 0.9, 0.9]), (never_before_the_last, 3));
    }

    #[test]
    fn nothing_is_due_before_the_first_epoch() {
        assert!(!EarlyStopping::new(1).is_due(&[]));
    }
}
