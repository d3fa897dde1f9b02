//! The training loop.
//!
//! One seed fixes it: at the start of each epoch libtorch's generator is seeded from the run's seed and the epoch's
//! number, and shuffling, augmentation and dropout all draw from it.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, Tensor};

use super::callbacks::EarlyStopping;
use super::checkpoint::Checkpoint;
use super::history::{DenoisingHistory, EpochRow, History, Metric, Record};
use super::optimizers::AdamW;
use super::schedule::{Course, Schedule};
use crate::data::augment::Augmentation;
use crate::data::batches::{ImageSource, Normalization, Source};
use crate::data::noise::GaussianNoise;
use crate::data::{Split, Subset};
use crate::display::{Ticker, print_line};
use crate::error::{Error, Result};
use crate::models::Precision;
use crate::models::features::{FeatureSource, Features};
use crate::models::model::{Model, Weight};
use crate::system::interrupt::InterruptGuard;
use crate::system::memory::{Memory, keep_freed_memory};
use crate::text::duration;

/// Settings of one training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitConfig {
    /// Most epochs to run; one epoch sees every training image once.
    pub epochs: usize,
    /// Epochs without a better validation loss before training stops.
    pub patience: usize,
    /// Images per optimiser step; the last batch of an epoch may be shorter.
    pub batch_size: usize,
    /// Adam's step size, above 0; `schedule` changes it over time.
    pub learning_rate: f64,
    /// The course of the learning rate.
    pub schedule: Schedule,
    /// Decoupled weight decay (AdamW), on kernels alone; 0 for none.
    pub weight_decay: f64,
    /// Share of the target that goes to all classes alike, in 0..1 (Szegedy et al. 2016).
    pub label_smoothing: f64,
    /// Random changes to training images.
    pub augmentation: Augmentation,
    /// The number format of the products.
    pub precision: Precision,
    /// Fixes shuffling, augmentation and dropout.
    pub seed: u64,
}

impl Default for FitConfig {
    fn default() -> FitConfig {
        FitConfig {
            epochs: 50,
            patience: 5,
            batch_size: 128,
            learning_rate: 1e-3,
            schedule: Schedule::default(),
            weight_decay: 1e-4,
            label_smoothing: 0.0,
            augmentation: Augmentation::default(),
            precision: Precision::Auto,
            seed: 42,
        }
    }
}

impl FitConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// If one is out of range; the message says which, and what it may be.
    pub fn check(&self) -> Result<()> {
        let at_least_one = |name, value: usize, advice| {
            if value >= 1 {
                Ok(())
            } else {
                Err(Error::parameter(name, "at least 1", value, advice))
            }
        };
        at_least_one("epochs", self.epochs, "50 with early stopping is the course's setting")?;
        at_least_one("patience", self.patience, "5 waits for five epochs")?;
        at_least_one("batch_size", self.batch_size, "128 is a good start")?;
        if !(self.learning_rate > 0.0 && self.learning_rate.is_finite()) {
            let advice = "0.001 is Adam's usual step";
            return Err(Error::parameter(
                "learning_rate",
                "above 0 and finite",
                self.learning_rate,
                advice,
            ));
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            let advice = "0 switches it off";
            return Err(Error::parameter(
                "weight_decay",
                "0 or more, and finite",
                self.weight_decay,
                advice,
            ));
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return Err(Error::parameter(
                "label_smoothing",
                "in 0..1",
                self.label_smoothing,
                "0.1 is common",
            ));
        }
        if let Schedule::Cosine { warmup_epochs } = self.schedule
            && !(0.0..self.epochs as f64).contains(&warmup_epochs)
        {
            let expected = format!("0 or more and fewer than `epochs` ({})", self.epochs);
            return Err(Error::parameter("warmup_epochs", expected, warmup_epochs, "1 is common"));
        }
        self.augmentation.check()
    }

    /// What is allowed and yet may not be meant.
    fn remark(&self) -> Option<String> {
        let FitConfig { epochs, patience, .. } = self;
        (patience >= epochs).then(|| {
            format!(
                "note: training cannot stop early, because `patience` ({patience}) is not below `epochs` ({epochs})"
            )
        })
    }
}

/// What training makes smaller.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Objective {
    /// Between class ids and logits.
    CrossEntropy { label_smoothing: f64 },
    /// Between clean images and outputs.
    MeanSquaredError,
}

/// Sums over the images of an epoch.
#[derive(Default)]
struct Totals {
    images: usize,
    loss: f64,
    right: f64,
}

impl Totals {
    fn loss(&self) -> f64 {
        self.loss / self.images.max(1) as f64
    }

    /// The mean squared error is one over all images, so its PSNR is theirs too.
    fn metric(&self, metric: Metric) -> f64 {
        match metric {
            Metric::Accuracy => self.right / self.images.max(1) as f64,
            Metric::Psnr => -10.0 * self.loss().log10(),
        }
    }
}

impl Objective {
    /// The mean loss over a batch, to be differentiated while training; adds the batch to `totals`.
    fn loss(
        self,
        outputs: &Tensor,
        targets: &Tensor,
        training: bool,
        totals: &mut Totals,
    ) -> Result<Tensor> {
        let loss = match self {
            Objective::CrossEntropy { label_smoothing } => {
                let smoothing = if training { label_smoothing } else { 0.0 };
                let predicted = outputs.detach().argmax(-1, false);
                totals.right +=
                    predicted.eq_tensor(targets).sum(Kind::Int64).int64_value(&[]) as f64;
                outputs.f_cross_entropy_loss(
                    targets,
                    None::<&Tensor>,
                    Reduction::Mean,
                    -100,
                    smoothing,
                )?
            }
            Objective::MeanSquaredError => outputs.f_mse_loss(targets, Reduction::Mean)?,
        };
        let images = targets.size()[0] as usize;
        totals.images += images;
        totals.loss += loss.double_value(&[]) * images as f64;
        Ok(loss)
    }
}

impl Model {
    /// Trains on `split.train`, steered by `split.validation`; `split.test` is not looked at.
    ///
    /// The weights of the epoch with the lowest validation loss are restored at the end, however training ends
    /// (Keras's `EarlyStopping(restore_best_weights=True)`, also when no early stop happens). A line is printed for
    /// each epoch.
    ///
    /// # Errors
    /// If a setting is out of range, the images differ from what the model was built for, there is not enough memory for
    /// batches of this size, the loss diverges, or somebody interrupts it (SIGINT): run again, it goes on after its last
    /// whole epoch where there is a checkpoint ([`Model::backup_and_restore`]).
    pub fn fit(&mut self, split: &Split, config: FitConfig) -> Result<History> {
        self.fit_on(&split.train, &split.validation, config)
    }

    /// As [`Model::fit`], on any two parts.
    ///
    /// # Errors
    /// As [`Model::fit`].
    pub fn fit_on(
        &mut self,
        train: &Subset,
        validation: &Subset,
        config: FitConfig,
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
        let validation = ImageSource::new(validation, normalization, Default::default());
        let objective = Objective::CrossEntropy { label_smoothing: config.label_smoothing };
        run(self, &train, &validation, objective, &config)
    }

    /// Trains to give clean images for noisy ones; steered and restored as [`Model::fit`] does, by the mean squared
    /// error.
    ///
    /// Training images get new noise in every epoch; those of the validation part keep the noise that
    /// [`GaussianNoise::on`] fixes with `config.seed`. Pixels are not normalised: they lie in 0..=1, noise apart.
    /// Augmentation, if any, changes the image before the noise is added; `label_smoothing` has no meaning here.
    ///
    /// # Errors
    /// If a setting is out of range, the model does not give images of the size it takes, the images differ from what
    /// it was built for, the loss diverges, or somebody interrupts it, as [`Model::fit`].
    pub fn fit_denoiser(
        &mut self,
        train: &Subset,
        validation: &Subset,
        noise: GaussianNoise,
        config: FitConfig,
    ) -> Result<DenoisingHistory> {
        config.check()?;
        noise.check()?;
        self.check_images(train)?;
        self.check_restores_images()?;
        self.precision = config.precision;
        self.normalization = Some(Normalization::default());
        let (train, validation) = (noise.on(train, config.seed), noise.on(validation, config.seed));
        let objective = Objective::MeanSquaredError;
        let (train, validation) =
            (train.source(config.augmentation), validation.source(Default::default()));
        run(self, &train, &validation, objective, &config)
    }
}

impl Model {
    /// As [`Model::fit`], on `features` instead of images: only the layers behind them are computed and trained.
    ///
    /// # Errors
    /// As [`Model::fit`]; if the features are those of other images, other weights or layers that are not frozen; or if
    /// the settings ask for an augmentation, which needs images.
    pub fn fit_features(
        &mut self,
        features: &Features,
        split: &Split,
        config: FitConfig,
    ) -> Result<History> {
        config.check()?;
        if !config.augmentation.is_none() {
            return Err(Error::parameter(
                "augmentation",
                "none for a training on features",
                format!("{:?}", config.augmentation),
                "compute features that are `mirrored`, or use `fit`",
            ));
        }
        self.check_classes(&split.train)?;
        features.check_model(self)?;
        for images in [&split.train, &split.validation] {
            features.check_images(images)?;
        }
        self.precision = config.precision;
        let train = FeatureSource::new(features, &split.train);
        let validation = FeatureSource::new(features, &split.validation);
        let objective = Objective::CrossEntropy { label_smoothing: config.label_smoothing };
        run(self, &train, &validation, objective, &config)
    }
}

/// A training between two epochs.
pub(crate) struct Progress<R> {
    pub optimizer: AdamW,
    course: Course,
    stopping: EarlyStopping,
    /// If early stopping has had enough.
    stop: bool,
    /// The weights of the best epoch; before the first one, those that training began with.
    pub best: Vec<Tensor>,
    pub epochs: Vec<R>,
    /// Time in training steps, validation apart.
    pub step_seconds: f64,
    /// Time before this process took over.
    pub seconds_before: f64,
}

impl<R: Record> Progress<R> {
    pub(crate) fn new(model: &Model, config: &FitConfig) -> Progress<R> {
        Progress {
            optimizer: AdamW::new(&model.weights, config.weight_decay),
            course: Course::new(config.schedule, config.epochs),
            stopping: EarlyStopping::new(config.patience),
            stop: false,
            best: model.snapshot(),
            epochs: Vec::new(),
            step_seconds: 0.0,
            seconds_before: 0.0,
        }
    }

    /// Takes an epoch's figures, and with them the next step of all that follows from them.
    pub(crate) fn record(&mut self, row: EpochRow) {
        self.course.update(row.val_loss);
        self.stop = self.stopping.update(row.val_loss);
        self.epochs.push(R::from_row(row));
    }

    /// If there is no epoch left to train.
    pub(crate) fn is_over(&self, config: &FitConfig) -> bool {
        self.stop || self.epochs.len() >= config.epochs
    }
}

/// Trains `model`; the weights of the best epoch are in it afterwards, also after an error.
pub(crate) fn run<R: Record>(
    model: &mut Model,
    train: &dyn Source,
    validation: &dyn Source,
    objective: Objective,
    config: &FitConfig,
) -> Result<History<R>> {
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
    let watch = InterruptGuard::new();
    let batch = config.batch_size.min(train.len());
    model.check_room_to_fit(train.first_layer(), batch, Memory::now())?;
    keep_freed_memory();
    let started = Instant::now();
    let checkpoint = Checkpoint::of(model, train, validation, objective, config)?;
    let mut progress = Progress::<R>::new(model, config);
    if let Some(checkpoint) = &checkpoint
        && let Some(told) = checkpoint.resume(model, &mut progress, config)
    {
        print_line(&told);
    }
    // What an earlier process printed: the cell that is run again shows the whole training.
    let (mut best_loss, mut seconds) = (f64::INFINITY, 0.0);
    for epochs in (1..=progress.epochs.len()).map(|count| &progress.epochs[..count]) {
        let row = epochs[epochs.len() - 1].row();
        seconds += row.seconds;
        print_epoch(epochs, config.epochs, row.val_loss < best_loss, seconds);
        best_loss = best_loss.min(row.val_loss);
    }
    if let Some(remark) = config.remark()
        && !progress.is_over(config)
    {
        println!("{remark}");
    }
    let elapsed =
        |progress: &Progress<R>| progress.seconds_before + started.elapsed().as_secs_f64();
    while !progress.is_over(config) {
        let epoch_started = Instant::now();
        let epoch = progress.epochs.len() + 1;
        let trained = train_epoch(model, train, objective, config, &mut progress, &watch);
        progress.step_seconds += epoch_started.elapsed().as_secs_f64();
        let checked = trained.and_then(|trained| {
            let checked = validate(model, validation, objective, &watch)?;
            Ok((trained, checked))
        });
        let ((totals, learning_rate), checked) = checked.map_err(|error| {
            model.restore(&progress.best);
            match error {
                Error::Interrupted { .. } => interrupted(model, checkpoint.as_ref(), epoch),
                other => other,
            }
        })?;
        if !checked.loss().is_finite() {
            model.restore(&progress.best);
            return Err(Error::Diverged { epoch, loss: checked.loss(), learning_rate });
        }
        progress.record(EpochRow {
            epoch,
            loss: totals.loss(),
            metric: totals.metric(R::METRIC),
            val_loss: checked.loss(),
            val_metric: checked.metric(R::METRIC),
            learning_rate,
            seconds: epoch_started.elapsed().as_secs_f64(),
        });
        if progress.stopping.is_best() {
            progress.best = model.snapshot();
        }
        let seconds = elapsed(&progress);
        // First kept, then told: an epoch that was printed is not lost.
        if let Some(checkpoint) = &checkpoint {
            checkpoint.write(model, &progress, seconds);
        }
        print_epoch(&progress.epochs, config.epochs, progress.stopping.is_best(), seconds);
    }
    let best_epoch = progress.stopping.best_epoch();
    let stopped_early = progress.stop && progress.epochs.len() < config.epochs;
    if stopped_early {
        println!(
            "stopped: no better val_loss for {} epochs; the weights of epoch {best_epoch} are restored",
            config.patience
        );
    }
    model.restore(&progress.best);
    let images = (train.len() * progress.epochs.len()) as f64;
    Ok(History {
        best_epoch,
        stopped_early,
        fit_seconds: elapsed(&progress),
        train_images_per_second: images / progress.step_seconds,
        phases: Vec::new(),
        epochs: progress.epochs,
    })
}

/// What a training says that was interrupted in `epoch`; `model` has the weights of its best one.
fn interrupted(model: &mut Model, checkpoint: Option<&Checkpoint>, epoch: usize) -> Error {
    let kept = checkpoint.map(|checkpoint| checkpoint.let_go_on(model));
    let advice = match kept {
        Some(Ok(())) if epoch > 1 => {
            format!("run it again, and it goes on after epoch {}", epoch - 1)
        }
        Some(Err(error)) => format!("it cannot go on: {error}"),
        None if epoch > 1 => {
            "the model keeps the weights of its best epoch so far, and has no checkpoint to go on from: \
             see `backup_and_restore`"
                .to_owned()
        }
        _ => "run it again, and it starts anew".to_owned(),
    };
    Error::Interrupted { work: format!("training, in epoch {epoch},"), advice }
}

/// One pass over the training images, in a new order; returns the sums and the last learning rate.
fn train_epoch<R: Record>(
    model: &mut Model,
    train: &dyn Source,
    objective: Objective,
    config: &FitConfig,
    progress: &mut Progress<R>,
    watch: &InterruptGuard,
) -> Result<(Totals, f64)> {
    let epoch = progress.epochs.len() + 1;
    tch::manual_seed(epoch_seed(config.seed, epoch));
    let order = Vec::<i64>::try_from(Tensor::f_randperm(
        train.len() as i64,
        (Kind::Int64, tch::Device::Cpu),
    )?)?;
    let order: Vec<usize> = order.into_iter().map(|position| position as usize).collect();
    let batches = order.len().div_ceil(config.batch_size);
    let steps = steps_an_epoch(order.len(), config.batch_size);
    let frozen = model.frozen_layers(train.first_layer())?;
    let mut totals = Totals::default();
    let mut learning_rate = config.learning_rate;
    let mut ticker = Ticker::new(batches, Duration::from_secs(20));
    for (step, positions) in order.chunks(config.batch_size).enumerate() {
        if step == steps {
            continue;
        }
        watch.check("training", "")?;
        let done = (epoch - 1) as f64 + (step + 1) as f64 / batches as f64;
        learning_rate = config.learning_rate * progress.course.factor(done);
        let (inputs, targets) = train.batch(positions, true)?;
        let (outputs, recording) = model.forward_training(train.first_layer(), &inputs, &frozen)?;
        let loss = objective.loss(&outputs, &targets, true, &mut totals)?;
        if !totals.loss.is_finite() {
            return Err(Error::Diverged { epoch, loss: loss.double_value(&[]), learning_rate });
        }
        loss.f_backward()?;
        let gradients = model.gradients(&outputs, recording)?;
        progress.optimizer.step(&mut model.weights, &gradients, learning_rate);
        ticker.tick(step + 1, |share, remaining| {
            let (percent, loss) = (100.0 * share, totals.loss());
            format!(
                "epoch {epoch}: {percent:.0}% of the images, loss {loss:.4}, {} left",
                duration(remaining)
            )
        });
    }
    Ok((totals, learning_rate))
}

/// How many steps the optimiser takes in an epoch: one a batch, but none for a last batch of one image, in which batch
/// normalisation has no spread to learn from.
pub(crate) fn steps_an_epoch(images: usize, batch_size: usize) -> usize {
    let batches = images.div_ceil(batch_size);
    if batches > 1 && images % batch_size == 1 { batches - 1 } else { batches }
}

/// The sums over the validation images, nothing dropped, nothing smoothed.
fn validate(
    model: &Model,
    validation: &dyn Source,
    objective: Objective,
    watch: &InterruptGuard,
) -> Result<Totals> {
    let _guard = tch::no_grad_guard();
    let positions: Vec<usize> = (0..validation.len()).collect();
    let mut totals = Totals::default();
    for positions in positions.chunks(512) {
        watch.check("validation", "")?;
        let (inputs, targets) = validation.batch(positions, false)?;
        let outputs = model.forward_from(validation.first_layer(), &inputs, false);
        let _loss = objective.loss(&outputs, &targets, false, &mut totals)?;
    }
    Ok(totals)
}

/// The generator's seed for one epoch (the finaliser of SplitMix64, so that near seeds give far ones).
fn epoch_seed(seed: u64, epoch: usize) -> i64 {
    let mut z = seed.wrapping_add((epoch as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)) as i64
}

fn print_epoch<R: Record>(epochs: &[R], most: usize, best: bool, seconds: f64) {
    let (row, metric) = (epochs[epochs.len() - 1].row(), R::METRIC);
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
        if best { "  * best" } else { "" },
        digits = metric.loss_digits(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_batch_of_one_image_is_left_out() {
        let steps = |batch_size| steps_an_epoch(7, batch_size);
        assert_eq!([1, 2, 3, 4, 6, 7, 8].map(steps), [7, 3, 2, 2, 1, 1, 1]);
    }

    #[test]
    fn patience_that_cannot_run_out_is_remarked_on() {
        let remark = |epochs, patience| {
            FitConfig { epochs, patience, ..FitConfig::default() }.remark().is_some()
        };
        assert!(!remark(6, 5));
        assert!(remark(5, 5));
        assert!(remark(3, 5));
    }
}
