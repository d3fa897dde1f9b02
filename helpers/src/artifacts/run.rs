//! The run of one notebook: resumes its trainings after a stop, and keeps every result under one name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use serde::Serialize;
use serde_json::Value;

use super::folder::Artifacts;
use super::metrics::{Denoising, Metrics};
use super::predictions::Predictions;
use crate::data::{
    Dataset, DenoisedImages, GaussianNoise, NoisyImages, Split, SplitConfig, Subset,
};
use crate::display::print_line;
use crate::evaluation::{Evaluation, LinearDenoiser, Quality, argmax};
use crate::features::Features;
use crate::models::{Model, Probabilities};
use crate::training::history::{DenoisingHistory, History, Record};
use crate::training::{Callbacks, FitConfig, TensorBoard};
use crate::{Error, Result};

/// The run of one notebook: loads and splits the images, resumes a training that was stopped, and keeps model, history,
/// metrics and predictions in the folder of results under one name.
///
/// ```no_run
/// # fn main() -> helpers::Result<()> {
/// use helpers::prelude::*;
///
/// let mut run = Run::new("cnn", "../export", false);
/// let split = run.load_split("../data", 0, 42)?;
/// let mut cnn = Sequential::new(split.image_shape()).conv2d(32, 3).relu().flatten().dense(split.classes()).build(42)?;
/// let history = run.fit(&mut cnn, &split, FitConfig::default())?;
/// let result = run.evaluate(&cnn, &split)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Run {
    name: String,
    artifacts: Artifacts,
    quick: bool,
    config: BTreeMap<String, Value>,
    metrics: Option<Metrics>,
    /// A training on features, which the next training continues, and the seconds that computing the features took.
    head: Option<(History, f64)>,
}

impl Run {
    /// A run whose results have this name, in this folder; those of a quick one are marked as quick.
    pub fn new(name: &str, export: impl AsRef<Path>, quick: bool) -> Run {
        Run {
            name: name.to_owned(),
            artifacts: Artifacts::new(export),
            quick,
            config: BTreeMap::new(),
            metrics: None,
            head: None,
        }
    }

    /// Loads `X.npy` and `y.npy` from this folder, takes a stratified sample of this many images (0 for all), and
    /// splits it: 12% are the test part, 12% of the rest the validation part (see [`SplitConfig`]).
    ///
    /// Results on a sample do not replace those on all images: see [`Artifacts::for_data`].
    ///
    /// # Errors
    /// As [`Dataset::load`], [`Dataset::take_stratified`] and [`Dataset::split`].
    pub fn load_split(
        &mut self,
        data: impl AsRef<Path>,
        sample: usize,
        seed: u64,
    ) -> Result<Split> {
        let dataset = Dataset::load(data)?.take_stratified(sample, seed)?;
        self.artifacts = Artifacts::for_data(self.artifacts.folder(), &dataset);
        dataset.split(SplitConfig { random_state: seed, ..SplitConfig::default() })
    }

    /// The folder of results.
    pub fn artifacts(&self) -> &Artifacts {
        &self.artifacts
    }

    /// A path in the folder of results: `models/features`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.artifacts.folder().join(name)
    }

    /// Adds a setting to the metrics, under a name such as `noise`; [`Run::fit`] adds the settings of network and
    /// training.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn config(&mut self, name: &str, config: &impl Serialize) -> Result<()> {
        let value = serde_json::to_value(config).map_err(Error::internal)?;
        self.config.insert(name.to_owned(), value);
        Ok(())
    }

    /// [`Model::fit`], with a checkpoint after each epoch: when run again, a stopped training is resumed. At the end,
    /// the model, its history and its metrics, still without scores, are kept. [`TensorBoard`] shows the epochs, from
    /// `logs` in the folder of results.
    ///
    /// After [`Run::fit_features`] the history contains both trainings, one after the other.
    ///
    /// # Errors
    /// As [`Model::fit`], or if the folder cannot be written.
    pub fn fit(&mut self, model: &mut Model, split: &Split, config: FitConfig) -> Result<History> {
        self.fit_with(model, split, config, Callbacks::default())
    }

    /// As [`Run::fit`], with additional callbacks.
    ///
    /// # Errors
    /// As [`Run::fit`], or if a callback fails.
    pub fn fit_with(
        &mut self,
        model: &mut Model,
        split: &Split,
        config: FitConfig,
        callbacks: Callbacks,
    ) -> Result<History> {
        let history = model.fit_with(split, config.clone(), self.kept(callbacks, ""))?;
        let history = match &self.head {
            None => history,
            Some((head, seconds)) => {
                let both = head.followed_by(&history, "fine-tuning");
                History { fit_seconds: both.fit_seconds + seconds, ..both }
            }
        };
        self.keep(model, split, &history, &config)?;
        Ok(history)
    }

    /// [`Model::fit_features`], with a checkpoint after each epoch; the first of two trainings, so nothing else is kept.
    ///
    /// # Errors
    /// As [`Model::fit_features`], or if the folder cannot be written.
    pub fn fit_features(
        &mut self,
        model: &mut Model,
        features: &Features,
        split: &Split,
        config: FitConfig,
    ) -> Result<History> {
        self.config("head", &config)?;
        let history = model.fit_features(
            features,
            split,
            config,
            self.kept(Callbacks::default(), "_head"),
        )?;
        self.head = Some((history.clone(), features.seconds));
        Ok(history)
    }

    /// [`Model::fit_denoiser`], with the same files as [`Run::fit`].
    ///
    /// # Errors
    /// As [`Model::fit_denoiser`], or if the folder cannot be written.
    pub fn fit_denoiser(
        &mut self,
        model: &mut Model,
        split: &Split,
        noise: GaussianNoise,
        config: FitConfig,
    ) -> Result<DenoisingHistory> {
        self.config("noise", &noise)?;
        let callbacks = self.kept(Callbacks::default(), "");
        let history = model.fit_denoiser(split, noise, config.clone(), callbacks)?;
        self.keep(model, split, &history, &config)?;
        Ok(history)
    }

    /// Keeps a trained model, its history and its metrics, still without scores.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn keep<R: Record + Serialize>(
        &mut self,
        model: &Model,
        split: &Split,
        history: &History<R>,
        fit: &FitConfig,
    ) -> Result<()> {
        let seed = split.config.random_state;
        self.config("split", &split.config)?;
        self.config("model", model.network())?;
        self.config("average_mirrored", &model.averages_mirrored())?;
        self.config("device", &model.device())?;
        self.config("fit", fit)?;
        let metrics = Metrics::new(&self.name, split, seed, self.quick)?
            .parameters(model.count_trainable())
            .history(history);
        model.save(self.artifacts.model_path(&self.name))?;
        self.artifacts.save_history(&self.name, history)?;
        self.save(metrics).map(drop)
    }

    /// The model of this run that another notebook trained on this same split and kept, with its metrics.
    ///
    /// # Errors
    /// As [`Artifacts::load_model`] and [`Artifacts::load_metrics`].
    pub fn load_model(&mut self, split: &Split) -> Result<Model> {
        let model = self.artifacts.load_model(&self.name, split)?;
        let metrics = self.artifacts.load_metrics(&self.name)?.check_split(split)?;
        self.config = metrics.config.clone();
        self.metrics = Some(metrics);
        Ok(model)
    }

    /// The results of other notebooks on this same split, in this order.
    ///
    /// # Errors
    /// As [`Run::load_result`].
    pub fn load_results(&self, names: &[&str], split: &Split) -> Result<ModelResults> {
        let mut results = ModelResults { metrics: Vec::new(), predictions: Vec::new() };
        for name in names {
            let ModelResult { metrics, predictions } = self.load_result(name, split)?;
            results.metrics.push(metrics);
            results.predictions.push(predictions);
        }
        Ok(results)
    }

    /// The result of another notebook on this same split.
    ///
    /// # Errors
    /// If it is missing or belongs to another split: the error names the notebook that makes it.
    pub fn load_result(&self, name: &str, split: &Split) -> Result<ModelResult> {
        let predictions = self.artifacts.load_predictions(name)?.check_split(split)?;
        let metrics = self.artifacts.load_metrics(name)?.check_split(split)?;
        Ok(ModelResult { metrics, predictions })
    }

    /// Scores the model on the validation and on the test part; keeps metrics, predictions and probabilities.
    ///
    /// # Errors
    /// If the model was not trained or loaded by this run, was not trained on this very split, or the folder cannot be
    /// written.
    pub fn evaluate(&mut self, model: &Model, split: &Split) -> Result<TestResult> {
        let metrics = self.trained()?;
        model.check_trained_on(split)?;
        let probabilities = model.predict(&split.test)?;
        let test = Evaluation::from_probabilities(&probabilities, &split.test.labels())?;
        let metrics = metrics
            .scores(model.evaluate(&split.validation)?, test)
            .predict_images_per_second(model.predict_speed(&split.test)?);
        tell_of_copies(split)?;
        let y_pred = argmax(&probabilities)?;
        let predictions = Predictions::new(&self.name, &split.test, &y_pred, self.quick)?;
        self.artifacts.save_predictions(&predictions)?;
        self.artifacts.save_array(&self.name, &probabilities)?;
        let metrics = self.save(metrics)?;
        Ok(TestResult { metrics, predictions, probabilities, test: split.test.clone() })
    }

    /// Scores a denoiser on the validation and on the test part, with the noisy images and the best linear denoiser
    /// with a code of the same size for comparison; keeps the metrics.
    ///
    /// # Errors
    /// As [`Run::evaluate`].
    pub fn evaluate_denoiser(
        &mut self,
        model: &Model,
        linear: &LinearDenoiser,
        split: &Split,
    ) -> Result<DenoisingResult> {
        let metrics = self.trained()?;
        model.check_trained_on(split)?;
        let (noise, seed) = (linear.noise(), split.config.random_state);
        tell_of_copies(split)?;
        let of = |part| DenoisingResult::of(model, linear, noise.on(part, seed), &metrics);
        let (validation, mut test) = (of(&split.validation)?, of(&split.test)?);
        test.metrics = metrics
            .rate(model.bottleneck().rate())
            .scores(validation.scores(), test.scores())
            .predict_images_per_second(model.denoise_speed(&test.test)?);
        test.metrics = self.save(test.metrics)?;
        Ok(test)
    }

    /// Adds the settings that a search found, and their mean score, to the metrics.
    ///
    /// # Errors
    /// If no model has been kept before, or the folder cannot be written.
    pub fn best(&mut self, params: BTreeMap<String, Value>, score: f64) -> Result<()> {
        let metrics = self.trained()?.best(params, score);
        self.save(metrics).map(drop)
    }

    /// These callbacks, with a checkpoint and a TensorBoard log of that name.
    fn kept(&self, callbacks: Callbacks, suffix: &str) -> Callbacks {
        let name = format!("{}{suffix}", self.name);
        callbacks
            .backup_and_restore(self.artifacts.checkpoint_path(&name))
            .with(TensorBoard::new(self.path("logs").join(name)))
    }

    fn trained(&self) -> Result<Metrics> {
        self.metrics.clone().ok_or_else(|| {
            let advice =
                "call `run.fit`, or `run.load_model` for one that another notebook trained";
            Error::parameter("run", "one that has trained a model", "one that has not", advice)
        })
    }

    fn save(&mut self, metrics: Metrics) -> Result<Metrics> {
        let metrics = Metrics { config: self.config.clone(), ..metrics };
        self.artifacts.save_metrics(&metrics)?;
        self.metrics = Some(metrics.clone());
        Ok(metrics)
    }
}

/// Prints a warning if many of the test images are in another part, too.
fn tell_of_copies(split: &Split) -> Result<()> {
    if let Some(warning) = warning_of_copies(split)? {
        print_line(&warning);
    }
    Ok(())
}

/// The warning, if at least a hundredth of the test images are in another part, too: fewer change an accuracy by less than
/// its interval, and notebook 3 reports them.
fn warning_of_copies(split: &Split) -> Result<Option<String>> {
    let found = split.duplicates()?;
    Ok((100 * found.test.len() >= split.test.len()).then(|| found.to_string()))
}

/// The kept result of a notebook about a model.
#[derive(Debug, Clone)]
pub struct ModelResult {
    /// Scores, times and settings.
    pub metrics: Metrics,
    /// The class of each test image, and the predicted one.
    pub predictions: Predictions,
}

/// The kept results of several notebooks about their models.
#[derive(Debug, Clone)]
pub struct ModelResults {
    /// Scores, times and settings, one for each model.
    pub metrics: Vec<Metrics>,
    /// The class of each test image, and the predicted one, for each model.
    pub predictions: Vec<Predictions>,
}

/// The result of [`Run::evaluate`].
#[derive(Debug, Clone)]
pub struct TestResult {
    /// Scores, times and settings.
    pub metrics: Metrics,
    /// The class of each test image, and the predicted one.
    pub predictions: Predictions,
    /// The probability of each class for each test image, `(N, classes)`.
    pub probabilities: Probabilities,
    /// The test images.
    pub test: Subset,
}

impl TestResult {
    /// The class of each test image.
    pub fn y_true(&self) -> &[i64] {
        &self.predictions.y_true
    }

    /// The predicted class of each test image.
    pub fn y_pred(&self) -> &[i64] {
        &self.predictions.y_pred
    }
}

/// The result of [`Run::evaluate_denoiser`].
#[derive(Debug, Clone)]
pub struct DenoisingResult {
    /// Scores, times and settings.
    pub metrics: Metrics,
    /// The test images with their noise.
    pub test: NoisyImages,
    /// The network's output for them.
    pub by_network: DenoisedImages,
    /// The output for them of the best linear denoiser with a code of the same size.
    pub by_linear: DenoisedImages,
    /// Quality of the noisy images.
    pub noisy: Quality,
    /// Quality of the linear denoiser's images.
    pub linear: Quality,
    /// Quality of the network's images.
    pub network: Quality,
}

impl DenoisingResult {
    fn of(
        model: &Model,
        linear: &LinearDenoiser,
        test: NoisyImages,
        metrics: &Metrics,
    ) -> Result<DenoisingResult> {
        let by_network = model.denoise(&test)?;
        let by_linear = linear.denoise(&test, model.bottleneck().values)?;
        let quality = |images: &Array2<f32>| Quality::of(test.clean(), images);
        Ok(DenoisingResult {
            metrics: metrics.clone(),
            noisy: quality(&test.to_array()?)?,
            linear: quality(&by_linear)?,
            network: quality(&by_network)?,
            test,
            by_network,
            by_linear,
        })
    }

    fn scores(&self) -> Denoising {
        Denoising::new(self.network, self.noisy, self.linear)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::test_files::images_of;

    /// Two images to train on, two to validate, the others to test; the first of these is the first train image.
    fn with_a_copy(test_images: u8) -> Split {
        let mut pixels: Vec<u8> = (100..104 + test_images).collect();
        pixels[4] = pixels[0];
        let labels: Vec<u8> = (0..pixels.len()).map(|image| (image % 2) as u8).collect();
        let (_folder, dataset) = images_of(&pixels, &labels);
        let part = |rows: std::ops::Range<usize>| dataset.subset(rows.collect()).unwrap();
        let (train, validation, test) = (part(0..2), part(2..4), part(4..pixels.len()));
        Split { train, validation, test, config: Default::default() }
    }

    #[test]
    fn copies_are_told_from_a_hundredth_of_the_test_images_on() {
        let warning = warning_of_copies(&with_a_copy(100)).unwrap().unwrap();
        assert!(warning.contains("1 of 100 test images have the pixels of one in"), "{warning}");
        assert!(warning.contains("image 4 is image 0"), "{warning}");
        assert_eq!(warning_of_copies(&with_a_copy(101)).unwrap(), None);
    }
}
