//! Images a second, in training and in prediction.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use helpers::Result;
use helpers::artifacts::Environment;
use helpers::data::Split;
use helpers::evaluation::Quality;
use helpers::prelude::*;
use helpers::training::Callbacks;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::format::Format;
use crate::network::Network;

/// One network, trained and asked for predictions; the peers' functions take the same fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The folder with X.npy and y.npy.
    data: PathBuf,
    network: Network,
    /// Images of an epoch, and of a prediction.
    images: usize,
    /// Epochs that are timed, after a first one that is not.
    epochs: usize,
    batch_size: usize,
    learning_rate: f64,
    seed: u64,
    format: Format,
}

impl Spec {
    /// Trains and predicts, and says when ([`begin`]); gives the speeds, and a score as a sign that something was learnt.
    pub(crate) fn run(self) -> Result<Value> {
        let seed = self.seed;
        let split = Dataset::load(&self.data)?
            .split(SplitConfig { random_state: seed, ..SplitConfig::default() })?;
        let dataset = split.train.dataset();
        let part =
            |of: &Subset| dataset.subset(of.indices().iter().copied().take(self.images).collect());
        let (train, validation) = (part(&split.train)?, part(&split.validation)?);
        let mut model = self.network.build(dataset, seed)?;
        let fit = FitConfig {
            epochs: self.epochs,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            schedule: Schedule::Constant,
            weight_decay: 0.0,
            label_smoothing: 0.0,
            ema_momentum: None, // the peers have none
            precision: self.format.precision(),
            seed,
            ..FitConfig::default()
        };
        let first = FitConfig { epochs: 1, ..fit.clone() };
        // The speeds count the steps alone, not the validation after each epoch.
        let (training, prediction, score) = if let Network::Autoencoder { noise, .. } = self.network
        {
            let part =
                Split { train: train.clone(), validation: validation.clone(), ..split.clone() };
            model.fit_denoiser(&part, noise, first, Callbacks::default())?;
            begin("training");
            let history = model.fit_denoiser(&part, noise, fit, Callbacks::default())?;
            begin("evaluation");
            let validation = noise.on(&validation, seed);
            let denoised = model.denoise(&validation)?;
            let quality = Quality::of(validation.clean(), &denoised)?;
            let predict = || model.denoise(&noise.on(&train, seed)).map(drop);
            let score = ("psnr_db", quality.psnr_db);
            (history.train_images_per_second, second_time(predict)?, score)
        } else {
            model.fit_on(&train, &validation, first)?;
            begin("training");
            let history = model.fit_on(&train, &validation, fit)?;
            begin("evaluation");
            let score = ("accuracy", model.evaluate(&validation)?.accuracy);
            let predict = || model.predict(&train).map(drop);
            (history.train_images_per_second, second_time(predict)?, score)
        };
        let environment = Environment::current();
        let mut result = json!({
            "train_images_per_second": training,
            "predict_images_per_second": train.len() as f64 / prediction.as_secs_f64(),
            "flop": self.network.flop(&model, dataset.image_shape()),
            "parameters": model.count_params(),
            "format": self.format.name(),
            "versions": environment.versions,
            "cpu_capability": environment.cpu_capability,
        });
        result[score.0] = score.1.into();
        Ok(result)
    }
}

/// Says what begins, for the part `layers`, which reads what oneDNN reports of it.
fn begin(phase: &str) {
    println!("phase {phase}");
}

/// How long `work` takes when it has been done once before, as the peers are timed.
fn second_time(work: impl Fn() -> Result<()>) -> Result<Duration> {
    work()?;
    begin("prediction");
    let started = Instant::now();
    work()?;
    Ok(started.elapsed())
}
