//! The progress of a training: a bar with the remaining time, and charts of loss and metric that grow with each epoch.
//! Where nothing can be replaced in place: a line for each epoch, and now and then one during a long epoch.

use std::time::{Duration, Instant};

use super::{Callback, TrainBatch};
use crate::display::chart::{Chart, Point, side_by_side};
use crate::display::{Board, Ticker, print_line};
use crate::error::{Error, Result};
use crate::text::{counted, duration};
use crate::training::history::{EpochRow, Metric};
use crate::training::state::{TrainingState, best_epoch};

/// Shows how training goes: a progress bar and a chart, or Keras's `verbose=2`, a line for each epoch, where nothing
/// can be replaced in place. `fit` has one unless its callbacks are [`silent`](super::Callbacks::silent).
pub struct Progress {
    board: Board,
    /// Epochs that were printed.
    told: usize,
    /// Prints lines during the current epoch, where nothing can be replaced in place.
    ticker: Option<Ticker>,
    /// Epochs of the whole training.
    epochs: usize,
    /// When the first epoch of this process began, and how many epochs came before it.
    began: (Instant, usize),
}

/// Least time between two lines of one epoch.
const INTERVAL: Duration = Duration::from_secs(20);

impl Default for Progress {
    fn default() -> Progress {
        let (board, began) = (Board::new("epochs"), (Instant::now(), 0));
        Progress { board, told: 0, ticker: None, epochs: 0, began }
    }
}

impl Callback for Progress {
    fn on_train_begin(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        // Also prints the epochs of an earlier process: a cell that is run again shows the whole training.
        self.tell(training);
        if !training.is_over() {
            training.notes.iter().for_each(|note| print_line(&format!("note: {note}")));
            let epoch = training.epochs().len();
            self.epochs = training.config().epochs;
            self.began = (Instant::now(), epoch);
            self.board.bar(
                epoch as f64 / self.epochs as f64,
                &format!("epoch {}/{}", epoch + 1, self.epochs),
            );
        }
        self.board.record(|| charts(training));
        Ok(())
    }

    fn on_epoch_begin(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        let batches = training.train.len().div_ceil(training.config().batch_size);
        self.ticker = (!self.board.is_live()).then(|| Ticker::new(batches, INTERVAL));
        Ok(())
    }

    fn on_train_batch_end(&mut self, batch: &TrainBatch) -> Result<()> {
        let TrainBatch { epoch, batch, batches, loss } = *batch;
        if let Some(ticker) = &mut self.ticker {
            ticker.tick(batch, |share, remaining| {
                let (percent, remaining) = (100.0 * share, duration(remaining));
                format!(
                    "epoch {epoch}: {percent:.0}% of the images, loss {loss:.4}, {remaining} left"
                )
            });
        } else if self.board.is_due() {
            let (began, before) = self.began;
            let done = (epoch - 1) as f64 + batch as f64 / batches as f64;
            let epochs = self.epochs as f64;
            let left = began.elapsed().as_secs_f64() * (epochs - done) / (done - before as f64);
            let words = format!(
                "epoch {epoch}/{}, step {batch}/{batches}, loss {loss:.4}, ETA {}",
                self.epochs,
                duration(left)
            );
            self.board.bar(done / epochs, &words);
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        self.tell(training);
        self.board.record(|| charts(training));
        Ok(())
    }

    fn on_train_end(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        let Some(best) = training.epochs().get(training.best_epoch().wrapping_sub(1)) else {
            return Ok(());
        };
        let restored = format!("the weights of epoch {} are restored", best.epoch);
        if !self.board.is_live() {
            if let Some(reason) = training.stopped_early() {
                print_line(&format!("stopped: {reason}; {restored}"));
            }
            return Ok(());
        }
        let (ran, seconds) = (training.epochs().len(), duration(training.seconds()));
        let ended = match training.stopped_early() {
            Some(reason) => format!(
                "stopped after epoch {ran} of {}, {seconds}: {reason}",
                training.config().epochs
            ),
            None => format!("{} in {seconds}", counted(ran, "epoch")),
        };
        let sentence = format!(
            "{ended}; {restored}: val_loss {:.digits$}, {}",
            best.val_loss,
            training.metric().show("val_", best.val_metric),
            digits = training.metric().loss_digits(),
        );
        self.board.finish(&sentence, || charts(training));
        Ok(())
    }

    fn on_train_error(&mut self, training: &mut TrainingState<'_>, error: &Error) {
        // If another callback failed after an epoch, its line was not printed yet.
        self.tell(training);
        self.board.finish(&error.to_string(), || charts(training));
    }
}

impl Progress {
    /// Prints a line for each epoch that has none yet.
    fn tell(&mut self, training: &TrainingState) {
        for count in self.told + 1..=training.epochs().len() {
            let epochs = &training.epochs()[..count];
            let seconds = match count == training.epochs().len() {
                true => training.seconds(),
                false => epochs.iter().map(|row| row.seconds).sum(),
            };
            self.board.line(&epoch_line(epochs, training, seconds));
        }
        self.told = training.epochs().len();
    }
}

/// The line for the last of these epochs, which took `seconds` together.
fn epoch_line(epochs: &[EpochRow], training: &TrainingState, seconds: f64) -> String {
    let (row, most) = (&epochs[epochs.len() - 1], training.config().epochs);
    let metric = training.metric();
    let left = seconds / epochs.len() as f64 * (most - epochs.len()) as f64;
    format!(
        "epoch {:>2}/{most}  {:>6}  ETA {:>8}  loss {:.digits$}  {}  val_loss {:.digits$}  {}{}",
        row.epoch,
        duration(row.seconds),
        duration(left),
        row.loss,
        metric.show("", row.metric),
        row.val_loss,
        metric.show("val_", row.val_metric),
        if best_epoch(epochs) == row.epoch { "  * best" } else { "" },
        digits = metric.loss_digits(),
    )
}

/// Loss and metric of all epochs so far, side by side where there is room.
fn charts(training: &TrainingState) -> String {
    let epochs = training.epochs();
    let points = |value: fn(&EpochRow) -> f64| -> Vec<Point> {
        epochs.iter().map(|row| (row.epoch as f64, value(row))).collect()
    };
    let (loss, title, values) = match training.metric() {
        Metric::Accuracy => ("Loss (nats)", "Accuracy", "Accuracy (%)"),
        Metric::Psnr => ("Mean squared error", "PSNR", "PSNR (dB)"),
    };
    let best = training.best_epoch();
    let losses = Chart {
        title: "Loss",
        values: loss,
        percent: false,
        rises: false,
        train: &points(|row| row.loss),
        validation: &points(|row| row.val_loss),
        best,
    };
    let metrics = Chart {
        title,
        values,
        percent: training.metric() == Metric::Accuracy,
        rises: true,
        train: &points(|row| row.metric),
        validation: &points(|row| row.val_metric),
        best,
    };
    side_by_side(&[losses, metrics])
}
