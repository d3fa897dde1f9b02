//! The measurements of one training run, epoch by epoch.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::system::write_atomically;
use crate::text::counted;

/// One epoch's figures. Losses and accuracies are means over images, so a short last batch has the right weight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean training loss, plain cross-entropy like `val_loss`, measured with dropout and augmentation. Label smoothing
    /// is not part of it, and a mixed image (`mixup`, `cutmix`) counts for the class with the larger share.
    pub loss: f64,
    /// Training accuracy in 0..=1, under the same conditions.
    pub accuracy: f64,
    /// Mean loss on the validation part, without dropout and augmentation.
    pub val_loss: f64,
    /// Accuracy on the validation part, in 0..=1.
    pub val_accuracy: f64,
    /// The optimiser's step size at the end of the epoch.
    pub learning_rate: f64,
    /// Duration of the epoch, its validation included.
    pub seconds: f64,
}

/// One epoch's figures of a denoiser, means over images as in [`EpochRecord`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DenoisingRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Mean squared error against the clean training images, pixels in 0..=1.
    pub loss: f64,
    /// The same as peak signal-to-noise ratio.
    #[serde(with = "crate::text::decibels")]
    pub psnr_db: f64,
    /// Mean squared error on the validation part.
    pub val_loss: f64,
    /// The same as peak signal-to-noise ratio.
    #[serde(with = "crate::text::decibels")]
    pub val_psnr_db: f64,
    /// The optimiser's step size at the end of the epoch.
    pub learning_rate: f64,
    /// Duration of the epoch, its validation included.
    pub seconds: f64,
}

/// The metric that is measured besides the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Share of images with the right class, in 0..=1.
    Accuracy,
    /// Peak signal-to-noise ratio in dB, peak 1.
    Psnr,
}

impl Metric {
    /// The name of its column; the validation part's has `val_` before it.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::Psnr => "psnr_db",
        }
    }

    /// Digits after the point that distinguish the losses of neighbouring epochs.
    pub(crate) fn loss_digits(self) -> usize {
        match self {
            Metric::Accuracy => 4,
            Metric::Psnr => 5,
        }
    }

    /// A value in words: `accuracy 0.9123`, `psnr 18.72 dB`.
    pub(crate) fn show(self, prefix: &str, value: f64) -> String {
        match self {
            Metric::Accuracy => format!("{prefix}accuracy {value:.4}"),
            Metric::Psnr => format!("{prefix}psnr {value:.2} dB"),
        }
    }
}

/// One epoch's figures with any metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochRow {
    /// Counted from 1.
    pub epoch: usize,
    /// Training loss.
    pub loss: f64,
    /// Training metric.
    pub metric: f64,
    /// Validation loss.
    pub val_loss: f64,
    /// Validation metric.
    pub val_metric: f64,
    /// The optimiser's step size at the end of the epoch.
    pub learning_rate: f64,
    /// Duration of the epoch.
    pub seconds: f64,
}

/// The type of a [`History`]'s epochs: [`EpochRecord`] for classifiers, [`DenoisingRecord`] for denoisers.
pub trait Record: Copy {
    /// The metric that is measured besides the loss.
    const METRIC: Metric;

    /// The figures under common names.
    fn row(&self) -> EpochRow;

    /// The record of these figures.
    fn from_row(row: EpochRow) -> Self;
}

/// Implements [`Record`] for a type that is a row with the metric under its own name.
macro_rules! record {
    ($record:ident, $metric:expr, $train:ident, $validation:ident) => {
        impl Record for $record {
            const METRIC: Metric = $metric;

            fn row(&self) -> EpochRow {
                let $record { epoch, loss, val_loss, learning_rate, seconds, .. } = *self;
                let (metric, val_metric) = (self.$train, self.$validation);
                EpochRow { epoch, loss, metric, val_loss, val_metric, learning_rate, seconds }
            }

            fn from_row(row: EpochRow) -> $record {
                let EpochRow { epoch, loss, metric, val_loss, val_metric, learning_rate, seconds } =
                    row;
                $record {
                    epoch,
                    loss,
                    $train: metric,
                    val_loss,
                    $validation: val_metric,
                    learning_rate,
                    seconds,
                }
            }
        }
    };
}

record!(EpochRecord, Metric::Accuracy, accuracy, val_accuracy);
record!(DenoisingRecord, Metric::Psnr, psnr_db, val_psnr_db);

/// The record of one `fit`, as Keras's `History`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct History<R = EpochRecord> {
    /// One record an epoch, in order.
    pub epochs: Vec<R>,
    /// The epoch (counted from 1) with the lowest validation loss, whose weights the model holds afterwards.
    pub best_epoch: usize,
    /// True if training ended before its last epoch, by early stopping or another request.
    pub stopped_early: bool,
    /// Wall time of the whole `fit`.
    pub fit_seconds: f64,
    /// Training images a second: images times epochs over the time spent in training steps, validation apart.
    pub train_images_per_second: f64,
    /// Where a later phase began, if the record is one of several trainings: see [`History::followed_by`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<Phase>,
}

/// A training that continued another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// What it is called: `fine-tuning`.
    pub name: String,
    /// Its first epoch, in the count of the whole record.
    pub first_epoch: usize,
}

/// The record of one `fit_denoiser`.
pub type DenoisingHistory = History<DenoisingRecord>;

impl History {
    /// The record of this training followed by `next`, called `name`, which continued with the same model on as many
    /// images. The best epoch is that of `next`, whose weights the model has. The plot of the record shows where `next`
    /// began.
    pub fn followed_by(&self, next: &History, name: &str) -> History {
        let ran = self.epochs_run();
        let later =
            next.epochs.iter().map(|record| EpochRecord { epoch: ran + record.epoch, ..*record });
        let epochs: Vec<EpochRecord> = self.epochs.iter().copied().chain(later).collect();
        let time = |history: &History| {
            history.epochs_run() as f64 / history.train_images_per_second.max(f64::MIN_POSITIVE)
        };
        let mut phases = self.phases.clone();
        phases.push(Phase { name: name.to_owned(), first_epoch: ran + 1 });
        phases.extend(
            next.phases
                .iter()
                .map(|phase| Phase { first_epoch: ran + phase.first_epoch, ..phase.clone() }),
        );
        History {
            phases,
            train_images_per_second: epochs.len() as f64 / (time(self) + time(next)),
            epochs,
            best_epoch: ran + next.best_epoch,
            stopped_early: next.stopped_early,
            fit_seconds: self.fit_seconds + next.fit_seconds,
        }
    }
}

impl<R: Record> History<R> {
    /// The record of the best epoch.
    pub fn best(&self) -> R {
        self.epochs[self.best_epoch - 1]
    }

    /// How many epochs ran.
    pub fn epochs_run(&self) -> usize {
        self.epochs.len()
    }

    /// Writes the record as JSON, or as CSV when the name ends in `.csv`: a header line and one line an epoch.
    ///
    /// # Errors
    /// If the file cannot be written; a file that was there before stays whole.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()>
    where
        R: Serialize,
    {
        let path = path.as_ref();
        let text = if path.extension().is_some_and(|extension| extension == "csv") {
            self.to_csv()
        } else {
            serde_json::to_string_pretty(self).map_err(Error::internal)? + "\n"
        };
        write_atomically(path, text.as_bytes())
    }

    /// The epochs as CSV text.
    pub fn to_csv(&self) -> String {
        let name = R::METRIC.name();
        let mut text = format!("epoch,loss,{name},val_loss,val_{name},learning_rate,seconds\n");
        for record in &self.epochs {
            let EpochRow { epoch, loss, metric, val_loss, val_metric, learning_rate, seconds } =
                record.row();
            text += &format!(
                "{epoch},{loss},{metric},{val_loss},{val_metric},{learning_rate},{seconds}\n"
            );
        }
        text
    }
}

impl<R: Record> fmt::Debug for History<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let best = self.best().row();
        write!(
            f,
            "History: {} in {:.1} s, best epoch {} (val_loss {:.digits$}, {})",
            counted(self.epochs_run(), "epoch"),
            self.fit_seconds,
            self.best_epoch,
            best.val_loss,
            R::METRIC.show("val_", best.val_metric),
            digits = R::METRIC.loss_digits(),
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
            phases: Vec::new(),
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
        let both = two_epochs().followed_by(&next, "fine-tuning");
        let numbers: Vec<usize> = both.epochs.iter().map(|record| record.epoch).collect();
        assert_eq!((numbers, both.best_epoch), (vec![1, 2, 3, 4], 3));
        assert_eq!((both.fit_seconds, both.train_images_per_second), (6.0, 40.0));
    }

    #[test]
    fn a_phase_is_kept_with_its_first_epoch_in_the_whole() {
        let last = two_epochs().followed_by(&two_epochs(), "second");
        let all = two_epochs().followed_by(&last, "first");
        let phase = |name: &str, first_epoch| Phase { name: name.to_owned(), first_epoch };
        assert_eq!(all.phases, [phase("first", 3), phase("second", 5)]);
        // One training has none, and its file says nothing about them.
        assert!(!serde_json::to_string(&two_epochs()).unwrap().contains("phases"));
    }

    #[test]
    fn csv_has_a_line_an_epoch_under_a_header() {
        let csv = two_epochs().to_csv();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines[0].split(',').count(), lines[1].split(',').count());
        assert_eq!(lines[2], "2,0.5,0.75,0.8,0.7,0.001,1.5");
    }

    #[test]
    fn a_denoiser_records_decibels_and_no_accuracy() {
        let history: DenoisingHistory = History {
            epochs: vec![DenoisingRecord::from_row(EpochRow {
                epoch: 1,
                loss: 0.02,
                metric: 17.0,
                val_loss: 0.01,
                val_metric: 20.0,
                learning_rate: 0.001,
                seconds: 1.5,
            })],
            best_epoch: 1,
            stopped_early: false,
            fit_seconds: 1.5,
            train_images_per_second: 100.0,
            phases: Vec::new(),
        };
        let csv = history.to_csv();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines[0], "epoch,loss,psnr_db,val_loss,val_psnr_db,learning_rate,seconds");
        assert_eq!(lines[1], "1,0.02,17,0.01,20,0.001,1.5");
        let json = serde_json::to_string(&history).unwrap();
        assert!(json.contains(r#""val_psnr_db":20.0"#) && !json.contains("accuracy"), "{json}");
        assert!(format!("{history:?}").ends_with("(val_loss 0.01000, val_psnr 20.00 dB)"));
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
