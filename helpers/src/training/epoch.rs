//! One epoch: a pass over the training images in a new order, and one over the validation images.
//!
//! Each epoch seeds libtorch's generator from the training's seed and the epoch's number; shuffling, augmentation,
//! mixing and dropout draw from it. So an epoch is repeatable, whatever was drawn before it.

use std::time::Instant;

use tch::{Device, Kind, Tensor};

use super::callbacks::{Callback, TrainBatch};
use super::history::EpochRow;
use super::mixing::Mixing;
use super::objective::Totals;
use super::state::TrainingState;
use crate::error::{Error, Result};
use crate::layers::cast;
use crate::system::device::manual_seed;
use crate::system::interrupt::InterruptGuard;

/// Images per batch of validation.
const VALIDATION_BATCH: usize = 512;
/// Steps between two readings of a GPU's sums.
const STEPS_UNREAD: usize = 50;

impl TrainingState<'_> {
    /// Trains and validates the next epoch; returns its figures.
    pub(super) fn run_epoch(
        &mut self,
        callbacks: &mut [Box<dyn Callback>],
        guard: &InterruptGuard,
    ) -> Result<EpochRow> {
        let started = Instant::now();
        let epoch = self.epochs().len() + 1;
        self.threads.enter();
        let trained = self.train_rounded(epoch, callbacks, guard);
        self.step_seconds += started.elapsed().as_secs_f64();
        self.swap_average();
        let validated = trained.and_then(|trained| Ok((trained, self.validate(guard)?)));
        self.swap_average();
        self.threads.leave();
        let ((trained, learning_rate), validated) = validated?;
        let val_loss = validated.loss();
        if !val_loss.is_finite() {
            return Err(Error::Diverged { epoch, loss: val_loss, learning_rate });
        }
        Ok(EpochRow {
            epoch,
            loss: trained.loss(),
            metric: trained.metric(self.metric()),
            val_loss,
            val_metric: validated.metric(self.metric()),
            learning_rate,
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// [`TrainingState::train_epoch`] with the trained weights kept in the number format of the products as well. For these
    /// steps alone: the optimiser keeps both equal, but not who swaps or restores weights.
    fn train_rounded(
        &mut self,
        epoch: usize,
        callbacks: &mut [Box<dyn Callback>],
        guard: &InterruptGuard,
    ) -> Result<(Totals, f64)> {
        let kind = self.model.precision.kind();
        if self.model.device().is_fused() {
            self.model.weights.iter_mut().try_for_each(|weight| weight.keep_rounded(kind))?;
        }
        let trained = self.train_epoch(epoch, callbacks, guard);
        self.model.weights.iter_mut().for_each(|weight| weight.rounded = None);
        trained
    }

    /// One pass over the training images in a new order; returns the sums and the last learning rate.
    fn train_epoch(
        &mut self,
        epoch: usize,
        callbacks: &mut [Box<dyn Callback>],
        guard: &InterruptGuard,
    ) -> Result<(Totals, f64)> {
        let (train, batch_size) = (self.train, self.config.batch_size);
        manual_seed(epoch_seed(self.config.seed, epoch));
        let order = shuffled(train.len())?;
        let batches = order.len().div_ceil(batch_size);
        let steps = self.steps_per_epoch();
        let engine = self.model.training_engine(train.first_layer())?;
        let device = self.model.device();
        let fused = device.is_fused();
        let read_every = if fused { 1 } else { STEPS_UNREAD };
        let (mixing, mut totals) = (Mixing::of(self.config), Totals::default());
        // Mixing needs `f32`: the mixed images are rounded afterwards.
        let kind = if mixing.is_none() { self.model.precision.kind() } else { Kind::Float };
        let mut learning_rate = self.config.learning_rate;
        for (step, indices) in order.chunks(batch_size).take(steps).enumerate() {
            guard.check("training", "")?;
            let epochs_done = (epoch - 1) as f64 + (step + 1) as f64 / batches as f64;
            learning_rate = self.config.learning_rate * self.learning_rate.factor(epochs_done);
            let (inputs, targets) = train.batch(indices, true, kind)?;
            let (inputs, targets) = (inputs.f_to(device.tch())?, targets.f_to(device.tch())?);
            let (inputs, mixed) = mixing.mix(inputs, &targets)?;
            let (outputs, tape) = engine.forward(&inputs, &self.model.weights)?;
            let loss = self.objective.loss(&outputs, &targets, mixed.as_ref())?;
            self.objective.count(&outputs, &targets, mixed.as_ref(), &mut totals)?;
            if step % read_every == 0 || step + 1 == steps {
                totals.settle()?;
            }
            let value = if fused { loss.f_double_value(&[])? } else { totals.loss() };
            if !value.is_finite() {
                return Err(Error::Diverged { epoch, loss: value, learning_rate });
            }
            loss.f_backward()?;
            let gradients = tape.backward(&outputs, &self.model.weights)?;
            let done = self.optimizer.steps() + 1;
            let followers = self.average.as_mut().map(|average| average.followers(done));
            let weights = &mut self.model.weights;
            self.optimizer.step(weights, &gradients, learning_rate, followers)?;
            if let Some(average) = &mut self.average {
                average.update_statistics(weights, done)?;
            }
            let batch = TrainBatch { epoch, batch: step + 1, batches, loss: totals.loss() };
            for callback in callbacks.iter_mut() {
                callback.on_train_batch_end(&batch)?;
            }
            self.threads.after_batch(indices.len());
        }
        Ok((totals, learning_rate))
    }

    /// The sums over the validation images, without dropout and label smoothing.
    fn validate(&self, guard: &InterruptGuard) -> Result<Totals> {
        let layers = self.validation.first_layer()..self.model.network().layers().len();
        let predictor = self.model.predictor(layers, self.model.precision)?;
        let all: Vec<usize> = (0..self.validation.len()).collect();
        let mut totals = Totals::default();
        for indices in all.chunks(VALIDATION_BATCH) {
            guard.check("validation", "")?;
            let (inputs, targets) =
                self.validation.batch(indices, false, self.model.precision.kind())?;
            let outputs = cast(&predictor.outputs(&inputs)?, Kind::Float)?;
            self.objective.count(&outputs, &targets, None, &mut totals)?;
        }
        totals.settle()?;
        Ok(totals)
    }
}

/// The numbers below `count` in random order, drawn from libtorch's generator.
fn shuffled(count: usize) -> Result<Vec<usize>> {
    let order = Tensor::f_randperm(count as i64, (Kind::Int64, Device::Cpu))?;
    Ok(Vec::<i64>::try_from(order)?.into_iter().map(|index| index as usize).collect())
}

/// The generator's seed for one epoch: the finaliser of SplitMix64, so that similar seeds give very different ones.
fn epoch_seed(seed: u64, epoch: usize) -> i64 {
    let mut z = seed.wrapping_add((epoch as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)) as i64
}
