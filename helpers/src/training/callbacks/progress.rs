//! A line for each epoch, and in an epoch that takes long one now and then.

use std::time::Duration;

use super::{Callback, TrainBatch};
use crate::display::{Ticker, print_line};
use crate::error::Result;
use crate::text::duration;
use crate::training::history::{EpochRow, Metric};
use crate::training::state::{TrainingState, best_epoch};

/// Prints a line for each epoch: Keras's `verbose=2`. `fit` has one unless its callbacks are
/// [`silent`](super::Callbacks::silent).
#[derive(Default)]
pub struct Progress {
    /// Of the epoch that runs.
    ticker: Option<Ticker>,
}

/// Between two lines of one epoch.
const INTERVAL: Duration = Duration::from_secs(20);

impl Callback for Progress {
    fn on_train_begin(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        // What an earlier process printed: the cell that is run again shows the whole training.
        let mut seconds = 0.0;
        for count in 1..=training.epochs().len() {
            let epochs = &training.epochs()[..count];
            seconds += epochs[count - 1].seconds;
            print_epoch(epochs, training, seconds);
        }
        if !training.is_over() {
            training.notes.iter().for_each(|note| print_line(&format!("note: {note}")));
        }
        Ok(())
    }

    fn on_epoch_begin(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        let batches = training.train.len().div_ceil(training.config().batch_size);
        self.ticker = Some(Ticker::new(batches, INTERVAL));
        Ok(())
    }

    fn on_train_batch_end(&mut self, batch: &TrainBatch) -> Result<()> {
        let TrainBatch { epoch, batch, loss, .. } = *batch;
        if let Some(ticker) = &mut self.ticker {
            ticker.tick(batch, |share, remaining| {
                let (percent, remaining) = (100.0 * share, duration(remaining));
                format!(
                    "epoch {epoch}: {percent:.0}% of the images, loss {loss:.4}, {remaining} left"
                )
            });
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        print_epoch(training.epochs(), training, training.seconds());
        Ok(())
    }

    fn on_train_end(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        if let Some(reason) = training.stopped_early() {
            let best_epoch = training.best_epoch();
            print_line(&format!(
                "stopped: {reason}; the weights of epoch {best_epoch} are restored"
            ));
        }
        Ok(())
    }
}

/// Prints the last of these epochs, which have taken so long.
fn print_epoch(epochs: &[EpochRow], training: &TrainingState, seconds: f64) {
    let Some(row) = epochs.last() else { return };
    let (metric, most): (Metric, usize) = (training.metric(), training.config().epochs);
    let left = seconds / epochs.len() as f64 * (most - epochs.len()) as f64;
    println!(
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
    );
}
