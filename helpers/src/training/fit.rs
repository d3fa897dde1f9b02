//! `fit`: the loop over epochs.

use super::callbacks::{Callback, Callbacks};
use super::config::FitConfig;
use super::history::{DenoisingHistory, History, Record};
use super::objective::Objective;
use super::state::TrainingState;
use crate::data::batches::{BatchSource, ImageSource, Normalization};
use crate::data::noise::GaussianNoise;
use crate::data::{Split, Subset};
use crate::error::{Error, Result};
use crate::layers::Weight;
use crate::models::{Model, TrainedOn};
use crate::system::interrupt::InterruptGuard;
use crate::system::memory::{Memory, keep_freed_memory};

impl Model {
    /// Trains on `split.train`, steered by `split.validation`; `split.test` is not used.
    ///
    /// At the end the weights of the epoch with the lowest validation loss are restored, however training ends (Keras's
    /// `EarlyStopping(restore_best_weights=True)`, also without an early stop). Progress is shown as a bar and a chart,
    /// or as a line for each epoch: see [`Progress`](super::Progress).
    ///
    /// # Errors
    /// If a setting is out of range, the images differ from what the model was built for, there is not enough memory
    /// for batches of this size, the loss diverges, or the user interrupts it (SIGINT). If a value of `X.npy` is wrong, which may
    /// be found only now: see [`Dataset::load`](crate::data::Dataset::load).
    pub fn fit(&mut self, split: &Split, config: FitConfig) -> Result<History> {
        self.fit_with(split, config, Callbacks::default())
    }

    /// [`Model::fit`] with callbacks: above all [`Callbacks::backup_and_restore`], so that an interrupted training can
    /// be run again and continues after its last complete epoch.
    ///
    /// # Errors
    /// As [`Model::fit`], or if a callback fails.
    pub fn fit_with(
        &mut self,
        split: &Split,
        config: FitConfig,
        callbacks: Callbacks,
    ) -> Result<History> {
        let images = TrainedOn::split(split);
        self.fit_classifier(&split.train, &split.validation, images, &config, callbacks)
    }

    /// [`Model::fit`] on any two parts.
    ///
    /// # Errors
    /// As [`Model::fit`].
    pub fn fit_on(
        &mut self,
        train: &Subset,
        validation: &Subset,
        config: FitConfig,
    ) -> Result<History> {
        self.fit_on_with(train, validation, config, Callbacks::default())
    }

    /// [`Model::fit_with`] on any two parts.
    ///
    /// # Errors
    /// As [`Model::fit_with`].
    pub fn fit_on_with(
        &mut self,
        train: &Subset,
        validation: &Subset,
        config: FitConfig,
        callbacks: Callbacks,
    ) -> Result<History> {
        let images = TrainedOn::parts(train, validation, None);
        self.fit_classifier(train, validation, images, &config, callbacks)
    }

    fn fit_classifier(
        &mut self,
        train: &Subset,
        validation: &Subset,
        images: TrainedOn,
        config: &FitConfig,
        callbacks: Callbacks,
    ) -> Result<History> {
        config.check()?;
        self.check_images(train)?;
        self.check_classes(train)?;
        self.precision = config.precision;
        if self.normalization.is_none() {
            self.normalization = Some(Normalization::of(train)?);
        }
        let normalization = self.normalization();
        let train = ImageSource::new(train, normalization.clone(), config.augmentation);
        let train = train.on(self.device())?;
        let validation = ImageSource::new(validation, normalization, Default::default());
        let validation = validation.on(self.device())?;
        let objective = Objective::CrossEntropy { label_smoothing: config.label_smoothing };
        run(self, [&train, &validation], images, objective, config, callbacks)
    }

    /// Trains the model to restore clean images from noisy ones; steered and restored as by [`Model::fit_with`], by the
    /// mean squared error.
    ///
    /// Training images get new noise in every epoch; validation images keep the noise that [`GaussianNoise::on`] gives
    /// them for `config.seed`. Pixels are not normalised: without noise they are in 0..=1. Augmentation, if any, is
    /// applied before the noise; `label_smoothing` has no effect, and `mixup` and `cutmix` must be 0.
    ///
    /// # Errors
    /// If a setting is out of range, the model's output does not have the size of its input, the images differ from
    /// what it was built for, the loss diverges, or the user interrupts it, as [`Model::fit`].
    pub fn fit_denoiser(
        &mut self,
        split: &Split,
        noise: GaussianNoise,
        config: FitConfig,
        callbacks: Callbacks,
    ) -> Result<DenoisingHistory> {
        config.check()?;
        noise.check()?;
        for (name, value) in [("mixup", config.mixup), ("cutmix", config.cutmix)] {
            if value > 0.0 {
                let advice = "it mixes classes, and here are none";
                return Err(Error::parameter(name, "0 for a denoiser", value, advice));
            }
        }
        self.check_images(&split.train)?;
        self.check_restores_images()?;
        self.precision = config.precision;
        self.normalization = Some(Normalization::default());
        let [train, validation] =
            [&split.train, &split.validation].map(|images| noise.on(images, config.seed));
        let (train, validation) =
            (train.source(config.augmentation), validation.source(Default::default()));
        let (images, objective) = (TrainedOn::split(split), Objective::MeanSquaredError);
        run(self, [&train, &validation], images, objective, &config, callbacks)
    }
}

/// Records `images` in the model, trains it, and restores the best weights, also after an error.
pub(crate) fn run<R: Record>(
    model: &mut Model,
    [train, validation]: [&dyn BatchSource; 2],
    images: TrainedOn,
    objective: Objective,
    config: &FitConfig,
    callbacks: Callbacks,
) -> Result<History<R>> {
    check_sizes(model, train, validation, config)?;
    let guard = InterruptGuard::new();
    keep_freed_memory();
    let seen_before = model.will_be_trained_on(images);
    let sources = [train, validation];
    let mut training = TrainingState::new::<R>(model, sources, objective, config)?;
    training.notes.extend(seen_before);
    let mut callbacks = callbacks.in_order(config);
    let ended = run_epochs(&mut training, &mut callbacks, &guard)
        .and_then(|()| sources.iter().try_for_each(|source| source.check()));
    // Also after an error: the model then has the best weights that training reached.
    let restored = training.restore_best_weights();
    if let Err(error) = ended.map_err(|error| with_advice(error, &training)).and(restored) {
        for callback in &mut callbacks {
            callback.on_train_error(&mut training, &error);
        }
        return Err(error);
    }
    for callback in &mut callbacks {
        callback.on_train_end(&mut training)?;
    }
    Ok(training.history())
}

/// Runs the remaining epochs with their callbacks.
fn run_epochs(
    training: &mut TrainingState,
    callbacks: &mut [Box<dyn Callback>],
    guard: &InterruptGuard,
) -> Result<()> {
    for callback in callbacks.iter_mut() {
        callback.on_train_begin(training)?;
    }
    while !training.is_over() {
        for callback in callbacks.iter_mut() {
            callback.on_epoch_begin(training)?;
        }
        let row = training.run_epoch(callbacks, guard)?;
        training.record(row);
        if training.is_best() {
            training.keep_best_weights()?;
        }
        for callback in callbacks.iter_mut() {
            callback.on_epoch_end(training)?;
        }
    }
    Ok(())
}

/// Checks that there are enough images and enough memory for a training.
fn check_sizes(
    model: &Model,
    train: &dyn BatchSource,
    validation: &dyn BatchSource,
    config: &FitConfig,
) -> Result<()> {
    if train.len() < 2 || validation.len() < 1 {
        return Err(Error::parameter(
            "split",
            "one with at least two images to train on, which batch normalisation needs, and one for validation",
            format!("{} and {}", train.len(), validation.len()),
            "load more images, or give less of them to the other parts",
        ));
    }
    let normalizes = |weight: &Weight| weight.trainable && weight.name.ends_with(".gamma");
    if config.batch_size == 1 && model.weights.iter().any(normalizes) {
        let expected = "at least 2 for a network with batch normalisation";
        let advice = "one image has no spread to learn from";
        return Err(Error::parameter("batch_size", expected, config.batch_size, advice));
    }
    let batch = config.batch_size.min(train.len());
    model.check_room_to_fit(train.first_layer(), batch, Memory::now())
}

/// Adds advice to an interrupt, now that the model has its best weights; other errors are unchanged.
fn with_advice(error: Error, training: &TrainingState) -> Error {
    if !matches!(error, Error::Interrupted { .. }) {
        return error;
    }
    let epoch = training.epochs().len() + 1;
    let advice = match training.resumable_after {
        Some(last) => format!("run it again, and it goes on after epoch {last}"),
        None if epoch > 1 => {
            "the model keeps the weights of its best epoch so far, and has no checkpoint to go on from: \
             see `Callbacks::backup_and_restore`"
                .to_owned()
        }
        None => "run it again, and it starts anew".to_owned(),
    };
    Error::Interrupted { work: format!("training, in epoch {epoch},"), advice }
}
