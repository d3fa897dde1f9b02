//! What one training run measured, epoch by epoch.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::artifacts::write_atomically;
use crate::error::Result;

/// One epoch's figures. Losses and accuracies are means over images, so that a short last batch counts for what it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean training loss, with label smoothing, dropout and augmentation in force.
    pub loss: f64,
    /// Training accuracy in 0..=1, under the same conditions.
    pub accuracy: f64,
    /// Mean loss on the validation part: plain, nothing dropped, nothing augmented.
    pub val_loss: f64,
    /// Accuracy on the validation part, in 0..=1.
    pub val_accuracy: f64,
    /// The optimiser's step size at the end of the epoch.
    pub learning_rate: f64,
    /// Duration of the epoch, its validation included.
    pub seconds: f64,
}

/// The record of one `fit`, as Keras's `History`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// One record an epoch, in order.
    pub epochs: Vec<EpochRecord>,
    /// The epoch (counted from 1) with the lowest validation loss, whose weights the model holds afterwards.
    pub best_epoch: usize,
    /// Whether training ended before its last epoch, for want of improvement.
    pub stopped_early: bool,
    /// Wall time of the whole `fit`.
    pub fit_seconds: f64,
    /// Training images a second: images times epochs over the time spent in training steps, validation apart.
    pub train_images_per_second: f64,
}

impl History {
    /// The record of the best epoch.
    pub fn best(&self) -> EpochRecord {
        self.epochs[self.best_epoch - 1]
    }

    /// How many epochs ran.
    pub fn epochs_run(&self) -> usize {
        self.epochs.len()
    }

    /// The record of this training and of `next`, which went on with the same model on as many images; the best epoch
    /// is that of `next`, whose weights the model holds.
    pub fn followed_by(&self, next: &History) -> History {
        let ran = self.epochs_run();
        let later =
            next.epochs.iter().map(|record| EpochRecord { epoch: ran + record.epoch, ..*record });
        let epochs: Vec<EpochRecord> = self.epochs.iter().copied().chain(later).collect();
        let time = |history: &History| {
            history.epochs_run() as f64 / history.train_images_per_second.max(f64::MIN_POSITIVE)
        };
        History {
            train_images_per_second: epochs.len() as f64 / (time(self) + time(next)),
            epochs,
            best_epoch: ran + next.best_epoch,
            stopped_early: next.stopped_early,
            fit_seconds: self.fit_seconds + next.fit_seconds,
        }
    }

    /// Writes the record as JSON, or as CSV when the name ends in `.csv`: a header line and one line an epoch.
    ///
    /// # Errors
    /// If the file cannot be written; a file that was there before stays whole.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let text = if path.extension().is_some_and(|extension| extension == "csv") {
            self.to_csv()
        } else {
            serde_json::to_string_pretty(self).expect("a history is plain numbers") + "\n"
        };
        write_atomically(path, text.as_bytes())
    }

    /// The epochs as CSV text.
    pub fn to_csv(&self) -> String {
        let mut text =
            String::from("epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds\n");
        for record in &self.epochs {
            let EpochRecord {
                epoch,
                loss,
                accuracy,
                val_loss,
                val_accuracy,
                learning_rate,
                seconds,
            } = record;
            text += &format!(
                "{epoch},{loss},{accuracy},{val_loss},{val_accuracy},{learning_rate},{seconds}\n"
            );
        }
        text
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let best = self.best();
        write!(
            f,
            "History: {} epochs in {:.1} s, best epoch {} (val_loss {:.4}, val_accuracy {:.4})",
            self.epochs_run(),
            self.fit_seconds,
            self.best_epoch,
            best.val_loss,
            best.val_accuracy
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_epochs() -> History {
        let record = |epoch, val_loss| EpochRecord {
            epoch,
            loss: 0.5,
            accuracy: 0.75,
            val_loss,
            val_accuracy: 0.7,
            learning_rate: 0.001,
            seconds: 1.5,
        };
        History {
            epochs: vec![record(1, 0.6), record(2, 0.8)],
            best_epoch: 1,
            stopped_early: false,
            fit_seconds: 3.0,
            train_images_per_second: 100.0,
        }
    }

    #[test]
    fn best_counts_epochs_from_one() {
        assert_eq!(two_epochs().best().val_loss, 0.6);
    }

    /// 2 epochs at 100 images a second, then 2 at 25: 4 times the images in 2 / 100 + 2 / 25 times the seconds.
    #[test]
    fn a_second_training_is_counted_on() {
        let next = History { train_images_per_second: 25.0, ..two_epochs() };
        let both = two_epochs().followed_by(&next);
        let numbers: Vec<usize> = both.epochs.iter().map(|record| record.epoch).collect();
        assert_eq!((numbers, both.best_epoch), (vec![1, 2, 3, 4], 3));
        assert_eq!((both.fit_seconds, both.train_images_per_second), (6.0, 40.0));
    }

    #[test]
    fn csv_has_a_line_an_epoch_under_a_header() {
        let csv = two_epochs().to_csv();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines[0].split(',').count(), lines[1].split(',').count());
        assert_eq!(lines[2], "2,0.5,0.75,0.8,0.7,0.001,1.5");
    }

    #[test]
    fn json_reads_back_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.json");
        two_epochs().save(&path).unwrap();
        let back: History = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(back, two_epochs());
    }
}
