//! The result of one notebook, the content of `export/metrics/NAME.json`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folder::{
    Artifacts, LARGEST_JSON, SCHEMA, checked, made_by, read_json, scored_by, write_json,
};
use crate::data::{Dataset, DatasetInfo, Split};
use crate::display::print_line;
use crate::evaluation::{Evaluation, Quality};
use crate::system::environment::Environment;
use crate::system::files::read_regular;
use crate::text::{clean_text, thousands};
use crate::training::history::{History, Record};
use crate::{Error, Result};

/// The number of images in each part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitSizes {
    /// Images to train on.
    pub train: usize,
    /// Images for early stopping and for choices.
    pub validation: usize,
    /// Images that are only scored, once, at the end.
    pub test: usize,
}

/// Quality of denoised images; PSNR is taken from the mean squared error over all images, with peak 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Denoising {
    /// Mean squared error, pixels in 0..=1.
    pub mse: f64,
    /// Peak signal-to-noise ratio of the network's output; infinite (null in JSON) if all images are equal.
    #[serde(with = "crate::text::decibels")]
    pub psnr_db: f64,
    /// Structural similarity, 1 for equal images.
    pub ssim: f64,
    /// PSNR of the noisy input.
    #[serde(with = "crate::text::decibels")]
    pub noisy_psnr_db: f64,
    /// PSNR of the best linear denoiser with the same bottleneck.
    #[serde(with = "crate::text::decibels")]
    pub linear_psnr_db: f64,
}

impl Denoising {
    /// The scores of the network, of the noisy input and of the linear denoiser, on the same images.
    pub fn new(network: Quality, noisy: Quality, linear: Quality) -> Denoising {
        Denoising {
            mse: network.mse,
            psnr_db: network.psnr_db,
            ssim: network.ssim,
            noisy_psnr_db: noisy.psnr_db,
            linear_psnr_db: linear.psnr_db,
        }
    }
}

/// The scores of one part: of a classifier or of a denoiser.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scores {
    /// Loss and accuracy.
    Classification(Evaluation),
    /// Closeness to the clean images.
    Denoising(Denoising),
}

impl From<Evaluation> for Scores {
    fn from(evaluation: Evaluation) -> Scores {
        Scores::Classification(evaluation)
    }
}

impl From<Denoising> for Scores {
    fn from(denoising: Denoising) -> Scores {
        Scores::Denoising(denoising)
    }
}

/// The result of one notebook, the content of `export/metrics/NAME.json`.
///
/// Two runs with the same seed, sample and thread count only differ in three fields: `fit_seconds`,
/// `train_images_per_second` and `predict_images_per_second`.
///
/// Start with [`Metrics::new`] and add what the notebook has; each step returns a changed copy (`display` explains
/// why):
///
/// ```
/// # use helpers::{Result, artifacts::{Artifacts, Metrics}, data::Split, evaluation::Evaluation, training::History};
/// # fn save(split: Split, history: History, validation: Evaluation, test: Evaluation) -> Result<()> {
/// let metrics = Metrics::new("cnn", &split, 42, false)?
///     .history(&history)
///     .parameters(241_546)
///     .config("split", &split.config)?
///     .scores(validation, test)
///     .predict_images_per_second(5100.0);
/// Artifacts::new("../export").save_metrics(&metrics)?;
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Version of this layout: 1.
    pub schema: u32,
    /// Name of the model: the file's name.
    pub name: String,
    /// Whether this was a quick run, whose scores are not meaningful.
    pub quick: bool,
    /// The data set that was loaded.
    pub dataset: DatasetInfo,
    /// The seed of the split, the initial weights, dropout, augmentation and shuffling.
    pub seed: u64,
    /// Sizes of the parts.
    pub split: SplitSizes,
    /// The configuration structs, each under its name.
    pub config: BTreeMap<String, serde_json::Value>,
    /// Number of trainable parameters.
    pub parameters: usize,
    /// Epochs that ran.
    pub epochs_run: usize,
    /// Epoch (from 1) whose weights were kept.
    pub best_epoch: usize,
    /// Scores on the validation part.
    pub validation: Option<Scores>,
    /// Scores on the test part.
    pub test: Option<Scores>,
    /// The autoencoder's compression: number of values of the bottleneck divided by that of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// The search's best setting of each parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_params: Option<BTreeMap<String, serde_json::Value>>,
    /// The mean score with `best_params`: over the folds of the search, or over the seeds of full trainings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_score: Option<f64>,
    /// Wall time of the training.
    pub fit_seconds: f64,
    /// Training images per second.
    pub train_images_per_second: f64,
    /// Predicted images per second.
    pub predict_images_per_second: f64,
    /// Threads, processor and versions.
    #[serde(flatten)]
    pub environment: Environment,
}

impl Metrics {
    /// The version of the layout that this code writes.
    pub const SCHEMA: u32 = SCHEMA;

    /// The metrics of a model on this split, still without scores; the environment is that of this process.
    ///
    /// # Errors
    /// As [`Dataset::info`].
    pub fn new(name: &str, split: &Split, seed: u64, quick: bool) -> Result<Metrics> {
        Ok(Metrics {
            schema: Metrics::SCHEMA,
            name: name.to_owned(),
            quick,
            dataset: split.train.dataset().info()?,
            seed,
            split: SplitSizes {
                train: split.train.len(),
                validation: split.validation.len(),
                test: split.test.len(),
            },
            config: BTreeMap::new(),
            parameters: 0,
            epochs_run: 0,
            best_epoch: 0,
            validation: None,
            test: None,
            rate: None,
            best_params: None,
            best_score: None,
            fit_seconds: 0.0,
            train_images_per_second: 0.0,
            predict_images_per_second: 0.0,
            environment: Environment::current(),
        })
    }

    /// With the epochs and the times of a training run.
    pub fn history<R: Record>(&self, history: &History<R>) -> Metrics {
        Metrics {
            epochs_run: history.epochs.len(),
            best_epoch: history.best_epoch,
            fit_seconds: history.fit_seconds,
            train_images_per_second: history.train_images_per_second,
            ..self.clone()
        }
    }

    /// Adds the number of trainable parameters.
    pub fn parameters(&self, parameters: usize) -> Metrics {
        Metrics { parameters, ..self.clone() }
    }

    /// With one configuration struct, under a name such as `fit` or `model`.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn config(&self, name: &str, config: &impl Serialize) -> Result<Metrics> {
        let value = serde_json::to_value(config).map_err(|error| {
            Error::parameter(
                "config",
                "a struct that serialises to JSON",
                format!("`{}`: {error}", clean_text(name)),
                "derive Serialize and use text for the keys of maps",
            )
        })?;
        let mut metrics = self.clone();
        metrics.config.insert(name.to_owned(), value);
        Ok(metrics)
    }

    /// With the scores on the validation and on the test part.
    pub fn scores(&self, validation: impl Into<Scores>, test: impl Into<Scores>) -> Metrics {
        let (validation, test) = (Some(validation.into()), Some(test.into()));
        Metrics { validation, test, ..self.clone() }
    }

    /// Adds the speed of prediction.
    pub fn predict_images_per_second(&self, predict_images_per_second: f64) -> Metrics {
        Metrics { predict_images_per_second, ..self.clone() }
    }

    /// Adds the autoencoder's rate: number of values of the bottleneck divided by that of the image.
    pub fn rate(&self, rate: f64) -> Metrics {
        Metrics { rate: Some(rate), ..self.clone() }
    }

    /// Adds the settings that a search found, and their mean score.
    pub fn best(&self, params: BTreeMap<String, serde_json::Value>, score: f64) -> Metrics {
        Metrics { best_params: Some(params), best_score: Some(score), ..self.clone() }
    }

    /// The classification scores on the test part.
    ///
    /// # Errors
    /// If there are none.
    pub fn test_evaluation(&self) -> Result<Evaluation> {
        self.evaluation(self.test, "test")
    }

    /// The classification scores on the validation part.
    ///
    /// # Errors
    /// If there are none.
    pub fn validation_evaluation(&self) -> Result<Evaluation> {
        self.evaluation(self.validation, "validation")
    }

    fn evaluation(&self, scores: Option<Scores>, part: &str) -> Result<Evaluation> {
        match scores {
            Some(Scores::Classification(evaluation)) => Ok(evaluation),
            _ => Err(Error::parameter(
                "metrics",
                format!("those of a classifier, with its {part} scores"),
                format!("`{}` without", clean_text(&self.name)),
                format!("run {} to its end", scored_by(&self.name)),
            )),
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Metrics: {}, {} parameters, best epoch {} of {}",
            clean_text(&self.name),
            self.parameters,
            self.best_epoch,
            self.epochs_run
        )
    }
}

impl Artifacts {
    /// The results of a run on these images, in this folder.
    ///
    /// The results of a sample would replace those of all images under the same names. If the folder has results of all
    /// images, those of a sample go to a folder inside it, `sample_4000`, and a line says so.
    pub fn for_data(folder: impl AsRef<Path>, dataset: &Dataset) -> Artifacts {
        let whole = Artifacts::new(folder);
        let Some(of) = dataset.sampled_from().filter(|_| whole.holds_a_full_run()) else {
            return whole;
        };
        let sample = Artifacts::new(whole.folder().join(format!("sample_{}", dataset.len())));
        print_line(&format!(
            "A run on {} of {} images: its results are in {}; those of all images in {} stay as they are.",
            thousands(dataset.len()),
            thousands(of),
            sample.folder().display(),
            whole.folder().display()
        ));
        sample
    }

    /// True if there are metrics of a run that was neither quick nor on a sample.
    fn holds_a_full_run(&self) -> bool {
        let Ok(entries) = fs::read_dir(self.folder().join("metrics")) else { return false };
        entries.flatten().any(|entry| {
            let text = read_regular(&entry.path(), LARGEST_JSON).unwrap_or_default();
            serde_json::from_slice::<Metrics>(&text)
                .is_ok_and(|metrics| !metrics.quick && metrics.dataset.sampled_from.is_none())
        })
    }

    /// Writes metrics, and returns the path.
    ///
    /// # Errors
    /// If a score is NaN, the name is not a file name, or the folder cannot be written.
    pub fn save_metrics(&self, metrics: &Metrics) -> Result<PathBuf> {
        let path = self.metrics_path(checked(&metrics.name)?);
        // JSON has no NaN: it is written as null, which is refused as a number when it is read again.
        let read = serde_json::to_value(metrics).and_then(serde_json::from_value::<Metrics>);
        if read.ok().as_ref() != Some(metrics) {
            return Err(Error::parameter(
                "metrics",
                "finite numbers",
                format!("{:?} and {:?}", metrics.validation, metrics.test),
                "a score that is not a number comes from a training that diverged",
            ));
        }
        write_json(&path, metrics, true)?;
        Ok(path)
    }

    /// Reads metrics.
    ///
    /// # Errors
    /// If the file is missing (the error names the notebook that makes it) or invalid.
    pub fn load_metrics(&self, name: &str) -> Result<Metrics> {
        read_json(self.metrics_path(checked(name)?), made_by(name), "metrics")
    }
}
