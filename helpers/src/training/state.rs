//! The state of a training between two epochs, for the loop and for callbacks.

use std::time::Instant;

use tch::Tensor;

use super::average::MovingAverage;
use super::config::FitConfig;
use super::history::{EpochRow, History, Metric, Record};
use super::objective::Objective;
use super::optimizer::AdamW;
use super::schedule::LearningRate;
use crate::data::batches::BatchSource;
use crate::error::Result;
use crate::models::{Device, Model};
use crate::system::threads::AdaptiveThreads;

/// A training between two epochs, as a [`Callback`](super::Callback) sees it.
pub struct TrainingState<'a> {
    pub(super) model: &'a mut Model,
    pub(super) config: &'a FitConfig,
    pub(super) train: &'a dyn BatchSource,
    pub(super) validation: &'a dyn BatchSource,
    pub(super) objective: Objective,
    metric: Metric,
    pub(super) optimizer: AdamW,
    /// The moving average of the weights, if there is one.
    pub(super) average: Option<MovingAverage>,
    pub(super) learning_rate: LearningRate,
    pub(super) threads: AdaptiveThreads,
    epochs: Vec<EpochRow>,
    /// The weights of the best epoch; before the first epoch, the initial weights.
    pub(super) best_weights: Vec<Tensor>,
    /// Why training stops before its last epoch, if something has requested it.
    stop_reason: Option<String>,
    /// The last epoch after which another call could continue this training.
    pub(super) resumable_after: Option<usize>,
    /// Messages that are shown before the first epoch.
    pub(super) notes: Vec<String>,
    started: Instant,
    /// Time that earlier processes spent on the epochs so far.
    pub(super) seconds_before: f64,
    /// Time in training steps, validation apart.
    pub(super) step_seconds: f64,
}

impl<'a> TrainingState<'a> {
    pub(super) fn new<R: Record>(
        model: &'a mut Model,
        [train, validation]: [&'a dyn BatchSource; 2],
        objective: Objective,
        config: &'a FitConfig,
    ) -> Result<TrainingState<'a>> {
        let device = model.device();
        let on_another_device = (device != Device::Cpu).then(|| format!("trains on {device}"));
        let average = match config.ema_momentum {
            Some(momentum) => Some(MovingAverage::new(momentum, model.snapshot()?)),
            None => None,
        };
        Ok(TrainingState {
            average,
            optimizer: AdamW::new(&mut model.weights, config.weight_decay, device)?,
            learning_rate: LearningRate::new(config.schedule, config.epochs),
            threads: AdaptiveThreads::new(),
            best_weights: model.snapshot()?,
            model,
            config,
            train,
            validation,
            objective,
            metric: R::METRIC,
            epochs: Vec::new(),
            stop_reason: None,
            resumable_after: None,
            notes: config.remark().into_iter().chain(on_another_device).collect(),
            started: Instant::now(),
            seconds_before: 0.0,
            step_seconds: 0.0,
        })
    }

    /// The settings of this training.
    pub fn config(&self) -> &FitConfig {
        self.config
    }

    /// The model with its current weights: the ones that the optimiser updates, not their moving average.
    pub fn model(&self) -> &Model {
        self.model
    }

    /// What is measured beside the loss.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// The figures of all epochs so far, including those of an earlier process.
    pub fn epochs(&self) -> &[EpochRow] {
        &self.epochs
    }

    /// The figures of the last epoch: Keras's `logs`. None before the first.
    pub fn last_epoch(&self) -> Option<&EpochRow> {
        self.epochs.last()
    }

    /// The epoch (counted from 1) with the lowest validation loss so far; 0 before the first.
    pub fn best_epoch(&self) -> usize {
        best_epoch(&self.epochs)
    }

    /// True if the last epoch is the best so far.
    pub fn is_best(&self) -> bool {
        !self.epochs.is_empty() && self.best_epoch() == self.epochs.len()
    }

    /// Seconds that this training has taken, including earlier processes.
    pub fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }

    /// Ends training after this epoch, as Keras's `stop_training = True`; `reason` is printed.
    pub fn stop(&mut self, reason: impl Into<String>) {
        self.stop_reason.get_or_insert(reason.into());
    }

    /// Why training ended before its last epoch, if it did.
    pub(super) fn stopped_early(&self) -> Option<&str> {
        self.stop_reason.as_deref().filter(|_| self.epochs.len() < self.config.epochs)
    }

    /// Whether there is no epoch left to train.
    pub(super) fn is_over(&self) -> bool {
        self.stop_reason.is_some() || self.epochs.len() >= self.config.epochs
    }

    /// How many steps the optimiser takes in an epoch.
    pub(super) fn steps_per_epoch(&self) -> usize {
        steps_per_epoch(self.train.len(), self.config.batch_size)
    }

    /// Adds an epoch's figures to the record, and updates the learning rate.
    pub(super) fn record(&mut self, row: EpochRow) {
        self.learning_rate.update(row.val_loss);
        self.epochs.push(row);
    }

    /// Keeps the weights that were just validated as those of the best epoch.
    pub(super) fn keep_best_weights(&mut self) -> Result<()> {
        self.swap_average();
        let best = self.model.snapshot();
        self.swap_average();
        self.best_weights = best?;
        Ok(())
    }

    /// Swaps the model's weights with their moving average, if there is one.
    pub(super) fn swap_average(&mut self) {
        if let Some(average) = &mut self.average {
            average.swap(&mut self.model.weights);
        }
    }

    /// Sets the model's weights to those of its best epoch.
    pub(super) fn restore_best_weights(&mut self) -> Result<()> {
        self.model.restore(&self.best_weights)
    }

    /// The record of this training, once it is over.
    pub(super) fn history<R: Record>(&self) -> History<R> {
        let images = (self.train.len() * self.epochs.len()) as f64;
        History {
            best_epoch: self.best_epoch(),
            stopped_early: self.stopped_early().is_some(),
            fit_seconds: self.seconds(),
            train_images_per_second: images / self.step_seconds,
            phases: Vec::new(),
            epochs: self.epochs.iter().map(|&row| R::from_row(row)).collect(),
        }
    }
}

/// One step per batch, without a last batch of one image, which has no variance for batch normalisation.
fn steps_per_epoch(images: usize, batch_size: usize) -> usize {
    let batches = images.div_ceil(batch_size);
    if batches > 1 && images % batch_size == 1 { batches - 1 } else { batches }
}

/// The epoch (counted from 1) with the lowest validation loss, the first one of equals; 0 without epochs.
pub(super) fn best_epoch(epochs: &[EpochRow]) -> usize {
    let (mut best, mut lowest) = (0, f64::INFINITY);
    for row in epochs {
        if row.val_loss < lowest {
            (best, lowest) = (row.epoch, row.val_loss);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_batch_of_one_image_is_left_out() {
        let steps = |batch_size| steps_per_epoch(7, batch_size);
        assert_eq!([1, 2, 3, 4, 6, 7, 8].map(steps), [7, 3, 2, 2, 1, 1, 1]);
    }
}
