//! Where models, metrics and figures are kept under `export/`.
//!
//! ```text
//! export/metrics/NAME.json          Metrics, one file for each notebook that trains
//! export/models/NAME.safetensors    weights, the configuration in their metadata
//! export/predictions/NAME.json      Predictions on the test part, for the comparison
//! export/figures/NAME.png           pictures, where a notebook saves one
//! export/history/NAME.json, .csv    the record of a training, epoch by epoch
//! ```
//!
//! Start at [`Artifacts::new`]. Every file is written whole or not at all, see [`write_atomically`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::data::{DatasetInfo, Split, Subset};
use crate::display::{Cell, Column, Table};
use crate::evaluation::metrics::{check_classes, check_lengths, interval_text};
use crate::evaluation::{Comparisons, Evaluation, Quality};
use crate::system::files::{ReadError, read_regular};
use crate::system::write_atomically;
use crate::text::{clean_text, with_thousands};
use crate::training::history::{History, Record};
use crate::{Error, Result};

/// How many images each part holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitSizes {
    /// Images to learn from.
    pub train: usize,
    /// Images that steer: early stopping and choices.
    pub validation: usize,
    /// Images that are scored once, at the end.
    pub test: usize,
}

/// Quality of denoised images; PSNR is taken from the mean squared error over all images, with peak 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Denoising {
    /// Mean squared error, pixels in 0..=1.
    pub mse: f64,
    /// Peak signal-to-noise ratio of the network's output.
    pub psnr_db: f64,
    /// Structural similarity, 1 for equal images.
    pub ssim: f64,
    /// PSNR of the noisy input.
    pub noisy_psnr_db: f64,
    /// PSNR of the best linear denoiser with the same bottleneck.
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

/// What ran where: versions, threads, processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Threads that libtorch computes with.
    pub threads: usize,
    /// The processor's name, as it gives it itself; its architecture where it gives none.
    #[serde(default)]
    pub processor: String,
    /// The widest instructions of the processor that libtorch's code for it can use, such as `AVX512_BF16`; then
    /// `AMX_BF16` where it also multiplies matrices of bf16 in tiles, which rounds in another order.
    pub cpu_capability: String,
    /// Version of each part that numbers depend on.
    pub versions: BTreeMap<String, String>,
}

impl Environment {
    /// What this process runs on.
    pub fn current() -> Environment {
        let versions = [
            ("helpers", env!("CARGO_PKG_VERSION")),
            ("tch", option_env!("TCH_VERSION").unwrap_or("unknown")),
            ("libtorch", option_env!("LIBTORCH_VERSION").unwrap_or("unknown")),
            ("rustc", option_env!("RUSTC_VERSION").unwrap_or("unknown")),
        ];
        // Linux's; elsewhere it is not there, and nothing is known.
        let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Environment {
            threads: usize::try_from(tch::get_num_threads()).unwrap_or(1),
            processor: named(&cpu_info, "model name").unwrap_or(std::env::consts::ARCH).to_owned(),
            cpu_capability: capabilities(cpu_capability(), &cpu_info),
            versions: versions.map(|(part, version)| (part.to_owned(), version.to_owned())).into(),
        }
    }
}

/// The first value of this name in `/proc/cpuinfo`.
fn named<'a>(cpu_info: &'a str, name: &str) -> Option<&'a str> {
    let values = cpu_info.lines().filter_map(|line| line.split_once(':'));
    values.filter(|(found, _)| found.trim() == name).map(|(_, value)| value.trim()).next()
}

/// `widest`, and AMX where the flags in `/proc/cpuinfo` name it: for that alone Rust has no stable question.
fn capabilities(widest: &str, cpu_info: &str) -> String {
    let flags = named(cpu_info, "flags").unwrap_or_default();
    let amx = flags.split_whitespace().any(|flag| flag == "amx_bf16");
    if amx { format!("{widest}, AMX_BF16") } else { widest.to_owned() }
}

/// Which code this is: the sources that a training runs through, and the versions of tch and libtorch.
pub fn code_version() -> String {
    let [source, tch, libtorch] =
        [option_env!("SOURCE_HASH"), option_env!("TCH_VERSION"), option_env!("LIBTORCH_VERSION")]
            .map(|value| value.unwrap_or("unknown"));
    format!("source {source}, tch {tch}, libtorch {libtorch}")
}

#[cfg(target_arch = "x86_64")]
fn cpu_capability() -> &'static str {
    if is_x86_feature_detected!("avx512bf16") {
        "AVX512_BF16"
    } else if is_x86_feature_detected!("avx512vnni") {
        "AVX512_VNNI"
    } else if is_x86_feature_detected!("avx512f") {
        "AVX512"
    } else if is_x86_feature_detected!("avx2") {
        "AVX2"
    } else {
        "DEFAULT"
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_capability() -> &'static str {
    if cfg!(target_arch = "aarch64") { "NEON" } else { "DEFAULT" }
}

/// The result of one notebook, as `export/metrics/NAME.json` holds it.
///
/// Two runs of the same seed, sample and thread count differ in three fields only: `fit_seconds`,
/// `train_images_per_second` and `predict_images_per_second`.
///
/// Start with [`Metrics::new`] and add what the notebook has:
///
/// ```
/// # use helpers::{Result, artifacts::{Artifacts, Metrics}, data::Split, evaluation::Evaluation, training::History};
/// # fn save(split: Split, history: History, validation: Evaluation, test: Evaluation) -> Result<()> {
/// let metrics = Metrics::new("cnn", &split, 42, false)
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
    /// Whether this was a quick run, whose scores mean little.
    pub quick: bool,
    /// The data set that was loaded.
    pub dataset: DatasetInfo,
    /// What fixed the split, the initial weights, dropout, augmentation and shuffling.
    pub seed: u64,
    /// Sizes of the parts.
    pub split: SplitSizes,
    /// The configuration structs, each under its name.
    pub config: BTreeMap<String, serde_json::Value>,
    /// Numbers of the model that training changes.
    pub parameters: usize,
    /// Epochs that ran.
    pub epochs_run: usize,
    /// Epoch (from 1) whose weights were kept.
    pub best_epoch: usize,
    /// Scores on the validation part.
    pub validation: Option<Scores>,
    /// Scores on the test part.
    pub test: Option<Scores>,
    /// The autoencoder's compression: values of the bottleneck over values of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// The search's best setting of each parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_params: Option<BTreeMap<String, serde_json::Value>>,
    /// The search's mean score with `best_params`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_score: Option<f64>,
    /// Wall time of the training.
    pub fit_seconds: f64,
    /// Training images a second.
    pub train_images_per_second: f64,
    /// Images a second in prediction.
    pub predict_images_per_second: f64,
    /// Threads, processor and versions.
    #[serde(flatten)]
    pub environment: Environment,
}

impl Metrics {
    /// The layout that this code writes.
    pub const SCHEMA: u32 = 1;

    /// The metrics of a model on this split, its scores still missing; the environment is that of this process.
    pub fn new(name: &str, split: &Split, seed: u64, quick: bool) -> Metrics {
        Metrics {
            schema: Metrics::SCHEMA,
            name: name.to_owned(),
            quick,
            dataset: split.train.dataset().info(),
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
        }
    }

    /// With the epochs and the times of a training run.
    pub fn history<R: Record>(mut self, history: &History<R>) -> Metrics {
        self.epochs_run = history.epochs.len();
        self.best_epoch = history.best_epoch;
        self.fit_seconds = history.fit_seconds;
        self.train_images_per_second = history.train_images_per_second;
        self
    }

    /// With the number of trainable parameters.
    pub fn parameters(mut self, parameters: usize) -> Metrics {
        self.parameters = parameters;
        self
    }

    /// With one configuration struct, under a name such as `fit` or `model`.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn config(mut self, name: &str, config: &impl Serialize) -> Result<Metrics> {
        let value = serde_json::to_value(config).map_err(|error| Error::Parameter {
            name: "config",
            expected: "a struct that serialises to JSON".to_owned(),
            got: format!("`{}`: {error}", clean_text(name)),
            advice: "derive Serialize and use text for the keys of maps".to_owned(),
        })?;
        self.config.insert(name.to_owned(), value);
        Ok(self)
    }

    /// With the scores on the validation and on the test part.
    pub fn scores(mut self, validation: impl Into<Scores>, test: impl Into<Scores>) -> Metrics {
        self.validation = Some(validation.into());
        self.test = Some(test.into());
        self
    }

    /// With the speed of prediction.
    pub fn predict_images_per_second(mut self, images_per_second: f64) -> Metrics {
        self.predict_images_per_second = images_per_second;
        self
    }

    /// With the autoencoder's rate: values of the bottleneck over values of the image.
    pub fn rate(mut self, rate: f64) -> Metrics {
        self.rate = Some(rate);
        self
    }

    /// With the best setting that a search found, and its mean score.
    pub fn best(mut self, params: BTreeMap<String, serde_json::Value>, score: f64) -> Metrics {
        self.best_params = Some(params);
        self.best_score = Some(score);
        self
    }

    /// The classification scores on the test part.
    ///
    /// # Errors
    /// If there are none.
    pub fn test_evaluation(&self) -> Result<Evaluation> {
        match self.test {
            Some(Scores::Classification(evaluation)) => Ok(evaluation),
            _ => Err(Error::Parameter {
                name: "metrics",
                expected: "those of a classifier, with its test scores".to_owned(),
                got: format!("`{}` without", clean_text(&self.name)),
                advice: format!("run {} to its end", scored_by(&self.name)),
            }),
        }
    }

    /// The figures as a table: one row for each part that was scored.
    pub fn table(&self) -> Table {
        let parts = [("validation", self.validation), ("test", self.test)];
        let scored: Vec<(&str, Scores)> =
            parts.into_iter().filter_map(|(part, scores)| Some((part, scores?))).collect();
        let denoising = matches!(scored.first(), Some((_, Scores::Denoising(_))));
        let mut columns = vec![Column::text("Part")];
        if denoising {
            columns.push(Column::decimal("MSE", 5));
            columns.push(Column::decimal("PSNR", 2).unit("dB"));
            columns.push(Column::decimal("SSIM", 3));
            columns.push(Column::decimal("PSNR, noisy", 2).unit("dB"));
            columns.push(Column::decimal("PSNR, linear", 2).unit("dB"));
        } else {
            columns.push(Column::integer("Images"));
            columns.push(Column::decimal("Loss", 4));
            columns.push(Column::percent("Accuracy", 2));
            columns.push(Column::number_text("95% interval").unit("%"));
        }
        let mut table = Table::new(columns);
        for (part, scores) in scored {
            let mut row: Vec<Cell> = vec![part.into()];
            match scores {
                Scores::Classification(Evaluation {
                    images,
                    loss,
                    accuracy,
                    accuracy_ci95: [low, high],
                }) => {
                    row.extend([images.into(), loss.into(), accuracy.into()]);
                    row.push(interval_text(low, high).into());
                }
                Scores::Denoising(Denoising {
                    mse,
                    psnr_db,
                    ssim,
                    noisy_psnr_db,
                    linear_psnr_db,
                }) => {
                    row.extend([mse, psnr_db, ssim, noisy_psnr_db, linear_psnr_db].map(Cell::from));
                }
            }
            table.push(row);
        }
        table.caption(self.sentence())
    }

    fn sentence(&self) -> String {
        format!(
            "{}{}: {} parameters, best epoch {} of {}, trained in {:.0} s.",
            if self.quick { "Quick run: " } else { "" },
            self.name,
            with_thousands(self.parameters as f64, 0),
            self.best_epoch,
            self.epochs_run,
            self.fit_seconds,
        )
    }

    /// Shows the figures as the result of a cell.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metrics: {}", clean_text(&self.sentence()))
    }
}

/// One table of several models' best test scores, the most accurate first and marked.
///
/// # Errors
/// If there is no model, if one is no classifier, or if they were not made from the same data, seed and split.
pub fn comparative_table(models: &[Metrics]) -> Result<Table> {
    let Some(first) = models.first() else { return Err(Error::NothingToScore) };
    for other in models {
        let same = |metrics: &Metrics| {
            (metrics.dataset.clone(), metrics.seed, metrics.split, metrics.quick)
        };
        if same(other) != same(first) {
            return Err(Error::Parameter {
                name: "models",
                expected: "metrics of one data set, seed, split and kind of run".to_owned(),
                got: format!(
                    "`{}` and `{}` that differ in them",
                    clean_text(&first.name),
                    clean_text(&other.name)
                ),
                advice: format!("run {} and {} again", made_by(&first.name), made_by(&other.name)),
            });
        }
    }
    let mut scored = Vec::new();
    for metrics in models {
        scored.push((metrics, metrics.test_evaluation()?));
    }
    scored.sort_by(|(a, a_test), (b, b_test)| {
        b_test.accuracy.total_cmp(&a_test.accuracy).then_with(|| a.name.cmp(&b.name))
    });
    let columns = [
        Column::text("Model"),
        Column::percent("Test accuracy", 2),
        Column::number_text("95% interval").unit("%"),
        Column::decimal("Test loss", 4),
        Column::integer("Trained parameters"),
        Column::number_text("Epochs, best of run"),
        Column::decimal("Training", 0).unit("s"),
        Column::decimal("Prediction", 0).unit("images/s"),
    ];
    let mut table = Table::new(columns);
    for (metrics, test) in &scored {
        let [low, high] = test.accuracy_ci95;
        table.push([
            metrics.name.as_str().into(),
            test.accuracy.into(),
            interval_text(low, high).into(),
            test.loss.into(),
            metrics.parameters.into(),
            format!("{} of {}", metrics.best_epoch, metrics.epochs_run).into(),
            metrics.fit_seconds.into(),
            metrics.predict_images_per_second.into(),
        ]);
    }
    Ok(table.best(0).caption(format!(
        "{}Scores on the same {} test images, the most accurate model first.",
        if first.quick { "Quick run, whose scores mean little. " } else { "" },
        with_thousands(first.split.test as f64, 0),
    )))
}

/// What a model predicts for the test part: small enough to keep, enough to compare models image by image.
///
/// As JSON in `export/predictions/NAME.json`: class ids, the truth beside them, and a hash that tells which images, in
/// which order, they belong to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predictions {
    /// Version of this layout: 1.
    pub schema: u32,
    /// Name of the model.
    pub name: String,
    /// Whether this was a quick run.
    pub quick: bool,
    /// SHA-256 of the data set's identity and the images' places in it.
    pub images_sha256: String,
    /// Class id of each image.
    pub y_true: Vec<i64>,
    /// Predicted class id of each image.
    pub y_pred: Vec<i64>,
}

impl Predictions {
    /// The predictions of a model for these images.
    ///
    /// # Errors
    /// If there is not one prediction for each image, or one is no class of the data set.
    pub fn new(name: &str, images: &Subset, y_pred: &[i64], quick: bool) -> Result<Predictions> {
        check_lengths(images.len(), y_pred.len())?;
        check_classes(y_pred, images.dataset().classes())?;
        let DatasetInfo { images: count, x_sha256, y_sha256, .. } = images.dataset().info();
        let mut hash = Sha256::new();
        hash.update(format!("{x_sha256} {y_sha256} {count}"));
        for &place in images.indices() {
            hash.update((place as u64).to_le_bytes());
        }
        Ok(Predictions {
            schema: Metrics::SCHEMA,
            name: name.to_owned(),
            quick,
            images_sha256: format!("{:x}", hash.finalize()),
            y_true: images.labels(),
            y_pred: y_pred.to_vec(),
        })
    }
}

impl fmt::Debug for Predictions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Predictions of {} for {} images", clean_text(&self.name), self.y_pred.len())
    }
}

/// McNemar's test between each pair of these models.
///
/// # Errors
/// If the predictions are not of the same images.
pub fn compare_predictions(models: &[Predictions]) -> Result<Comparisons> {
    let Some(first) = models.first() else { return Err(Error::NothingToScore) };
    if let Some(other) = models.iter().find(|other| {
        (&other.images_sha256, &other.y_true) != (&first.images_sha256, &first.y_true)
    }) {
        return Err(Error::Parameter {
            name: "models",
            expected: "predictions for the same images".to_owned(),
            got: format!(
                "`{}` and `{}`, made for others",
                clean_text(&first.name),
                clean_text(&other.name)
            ),
            advice: format!("run {} and {} again", scored_by(&first.name), scored_by(&other.name)),
        });
    }
    let named: Vec<(&str, &[i64])> =
        models.iter().map(|model| (model.name.as_str(), model.y_pred.as_slice())).collect();
    Comparisons::new(&named, &first.y_true)
}

/// The notebook that scores the model of this name on the test part, and keeps its predictions.
fn scored_by(name: &str) -> String {
    match name {
        "cnn" => "notebook 07_performance_evaluation".to_owned(),
        other => made_by(other),
    }
}

/// The notebook that trains the model of this name, and saves it with its metrics.
fn made_by(name: &str) -> String {
    let notebook = match name {
        "baseline" => "04_baseline_model",
        "cnn" => "06_cnn_training",
        "transfer" => "08_transfer_learning",
        "tuning" => "10_hyperparameter_tuning",
        "autoencoder" => "11_denoising_autoencoder",
        other => return format!("the notebook that saves `{}`", clean_text(other)),
    };
    format!("notebook {notebook}")
}

/// The folder of results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifacts {
    folder: PathBuf,
}

impl Artifacts {
    /// Results under this folder, which is made when the first one is saved.
    pub fn new(folder: impl AsRef<Path>) -> Artifacts {
        Artifacts { folder: folder.as_ref().to_owned() }
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the metrics of this name are kept.
    pub fn metrics_path(&self, name: &str) -> PathBuf {
        self.folder.join("metrics").join(format!("{name}.json"))
    }

    /// Where the model of this name is kept.
    pub fn model_path(&self, name: &str) -> PathBuf {
        self.folder.join("models").join(format!("{name}.safetensors"))
    }

    /// Where the training of this name keeps its checkpoint.
    pub fn checkpoint_path(&self, name: &str) -> PathBuf {
        self.folder.join("checkpoints").join(format!("{name}.safetensors"))
    }

    /// Where the predictions of this name are kept.
    pub fn predictions_path(&self, name: &str) -> PathBuf {
        self.folder.join("predictions").join(format!("{name}.json"))
    }

    /// Where the record of the training of this name is kept, as `json` or as `csv`.
    pub fn history_path(&self, name: &str, extension: &str) -> PathBuf {
        self.folder.join("history").join(format!("{name}.{extension}"))
    }

    /// Where the figure of this name is kept.
    pub fn figure_path(&self, name: &str) -> PathBuf {
        self.folder.join("figures").join(format!("{name}.png"))
    }

    /// The path of a model that is there.
    ///
    /// # Errors
    /// If it is not: the error names the notebook that makes it.
    pub fn find_model(&self, name: &str) -> Result<PathBuf> {
        let path = self.model_path(checked(name)?);
        match fs::metadata(&path) {
            Ok(_) => Ok(path),
            Err(source) => Err(Error::MissingArtifact { path, made_by: made_by(name), source }),
        }
    }

    /// Writes metrics, and returns where.
    ///
    /// # Errors
    /// If a score is not a finite number, the name is no file name, or the folder cannot be written.
    pub fn save_metrics(&self, metrics: &Metrics) -> Result<PathBuf> {
        let path = self.metrics_path(checked(&metrics.name)?);
        let mut text = to_json(metrics)?;
        // JSON knows no infinity and no NaN: they become null, which is no number when it is read again.
        if serde_json::from_str::<Metrics>(&text).ok().as_ref() != Some(metrics) {
            return Err(Error::Parameter {
                name: "metrics",
                expected: "finite numbers".to_owned(),
                got: format!("{:?} and {:?}", metrics.validation, metrics.test),
                advice: "a score that is no number comes from a training that diverged".to_owned(),
            });
        }
        text.push('\n');
        write_atomically(&path, text.as_bytes())?;
        Ok(path)
    }

    /// Reads metrics.
    ///
    /// # Errors
    /// If the file is missing (the error names the notebook that makes it) or holds something else.
    pub fn load_metrics(&self, name: &str) -> Result<Metrics> {
        read_json(self.metrics_path(checked(name)?), made_by(name), "metrics")
    }

    /// Writes the record of a training as JSON and as CSV, and returns where.
    ///
    /// # Errors
    /// If the name is no file name or the folder cannot be written.
    pub fn save_history<R: Record + Serialize>(
        &self,
        name: &str,
        history: &History<R>,
    ) -> Result<[PathBuf; 2]> {
        let name = checked(name)?;
        let paths = ["json", "csv"].map(|extension| self.history_path(name, extension));
        for path in &paths {
            history.save(path)?;
        }
        Ok(paths)
    }

    /// A row for each of these files: where it is in the folder, and its size.
    ///
    /// # Errors
    /// If one is not there.
    pub fn table(&self, written: &[PathBuf]) -> Result<Table> {
        let mut table = Table::new([Column::text("Written"), Column::integer("Bytes")]);
        for path in written {
            let file = fs::metadata(path).map_err(|source| Error::Io {
                action: "read",
                path: path.clone(),
                source,
                advice: "save it first".into(),
            })?;
            let place = path.strip_prefix(&self.folder).unwrap_or(path).display().to_string();
            table.push([place.into(), (file.len() as usize).into()]);
        }
        Ok(table.caption(format!("Files in {}.", self.folder.display())))
    }

    /// Writes predictions, and returns where.
    ///
    /// # Errors
    /// If the name is no file name or the folder cannot be written.
    pub fn save_predictions(&self, predictions: &Predictions) -> Result<PathBuf> {
        let path = self.predictions_path(checked(&predictions.name)?);
        let mut text = serde_json::to_string(predictions).map_err(|error| unwritable(&error))?;
        text.push('\n');
        write_atomically(&path, text.as_bytes())?;
        Ok(path)
    }

    /// Reads predictions.
    ///
    /// # Errors
    /// If the file is missing (the error names the notebook that makes it) or holds something else.
    pub fn load_predictions(&self, name: &str) -> Result<Predictions> {
        let path = self.predictions_path(checked(name)?);
        let predictions: Predictions = read_json(path, scored_by(name), "predictions")?;
        check_lengths(predictions.y_true.len(), predictions.y_pred.len())?;
        Ok(predictions)
    }
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(value).map_err(|error| unwritable(&error))
}

fn unwritable(error: &serde_json::Error) -> Error {
    Error::Parameter {
        name: "metrics",
        expected: "values that JSON can hold".to_owned(),
        got: error.to_string(),
        advice: "use text for the keys of maps".to_owned(),
    }
}

/// A name that stays inside its folder.
fn checked(name: &str) -> Result<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || name.len() > 100 || !name.chars().all(plain) {
        return Err(Error::Parameter {
            name: "name",
            expected: "letters, digits, `_` and `-`".to_owned(),
            got: format!("`{}`", clean_text(name)),
            advice: "it becomes the name of a file".to_owned(),
        });
    }
    Ok(name)
}

/// The part of every layout that says which one it is.
#[derive(Deserialize)]
struct Layout {
    schema: u32,
}

/// Predictions for thirty million images take less.
const LARGEST_JSON: u64 = 1 << 28;

fn read_json<T: serde::de::DeserializeOwned>(
    path: PathBuf,
    made_by: String,
    what: &str,
) -> Result<T> {
    let refuse = |found: String| Error::File {
        path: path.clone(),
        expected: format!("{what} of schema {}", Metrics::SCHEMA),
        found: clean_text(&found),
        advice: format!("run {made_by} again"),
    };
    let text = match read_regular(&path, LARGEST_JSON) {
        Ok(text) => text,
        Err(ReadError::Io(source)) => return Err(Error::MissingArtifact { path, made_by, source }),
        Err(ReadError::Other(found)) => return Err(refuse(found)),
    };
    let layout: Layout =
        serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))?;
    if layout.schema != Metrics::SCHEMA {
        return Err(refuse(format!("schema {}", layout.schema)));
    }
    serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, SplitConfig};
    use crate::training::EpochRecord;

    fn sample_split() -> Split {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
        let dataset = Dataset::load(folder).unwrap().take_stratified(200, 1).unwrap();
        dataset.split(SplitConfig::default()).unwrap()
    }

    fn evaluation(accuracy: f64) -> Evaluation {
        Evaluation {
            images: 24,
            loss: 0.25,
            accuracy,
            accuracy_ci95: [accuracy - 0.125, accuracy + 0.0625],
        }
    }

    fn metrics(name: &str, accuracy: f64) -> Metrics {
        let record = EpochRecord {
            epoch: 1,
            loss: 0.5,
            accuracy: 0.8,
            val_loss: 0.4,
            val_accuracy: 0.9,
            learning_rate: 0.001,
            seconds: 1.5,
        };
        let history = History {
            epochs: vec![record],
            best_epoch: 1,
            stopped_early: false,
            fit_seconds: 1.5,
            train_images_per_second: 100.0,
            phases: Vec::new(),
        };
        let split = sample_split();
        Metrics::new(name, &split, 42, false)
            .history(&history)
            .parameters(1234)
            .config("split", &split.config)
            .unwrap()
            .scores(evaluation(0.5), evaluation(accuracy))
            .predict_images_per_second(5000.0)
    }

    #[test]
    fn metrics_hold_the_fields_of_the_contract() {
        let value = serde_json::to_value(metrics("cnn", 0.75)).unwrap();
        let fields = [
            "schema",
            "name",
            "quick",
            "dataset",
            "seed",
            "split",
            "config",
            "parameters",
            "epochs_run",
            "best_epoch",
            "validation",
            "test",
            "fit_seconds",
            "train_images_per_second",
            "predict_images_per_second",
            "threads",
            "processor",
            "cpu_capability",
            "versions",
        ];
        let mut missing = fields.to_vec();
        missing.retain(|field| value.get(field).is_none());
        assert_eq!(missing, Vec::<&str>::new());
        assert_eq!(value["test"]["accuracy_ci95"], serde_json::json!([0.625, 0.8125]));
        assert_eq!(value["split"], serde_json::json!({"train": 154, "validation": 22, "test": 24}));
        assert_eq!(value["dataset"]["shape"], serde_json::json!([200, 28, 28]));
        for field in ["x_sha256", "y_sha256"] {
            assert_eq!(value["dataset"][field].as_str().unwrap().len(), 64);
        }
        // Those of the other notebooks stand only where they have a value.
        assert!(value.get("rate").is_none() && value.get("best_params").is_none());
        for part in ["helpers", "tch", "libtorch", "rustc"] {
            let version = value["versions"][part].as_str().unwrap();
            assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{part} {version}");
        }
    }

    #[test]
    fn metrics_are_read_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::new(folder.path());
        let scores = Denoising {
            mse: 0.0125,
            psnr_db: 19.03,
            ssim: 0.71,
            noisy_psnr_db: 7.1,
            linear_psnr_db: 16.9,
        };
        let autoencoder = metrics("autoencoder", 0.5).scores(scores, scores).rate(78.0 / 784.0);
        let best = BTreeMap::from([("dropout".to_owned(), serde_json::json!(0.3))]);
        for saved in
            [metrics("cnn", 0.75), autoencoder, metrics("tuning", 0.1).best(best, 1.0 / 3.0)]
        {
            let path = artifacts.save_metrics(&saved).unwrap();
            assert_eq!(path, artifacts.metrics_path(&saved.name));
            assert_eq!(artifacts.load_metrics(&saved.name).unwrap(), saved);
            // The same result is the same file, byte for byte.
            let bytes = fs::read(&path).unwrap();
            artifacts.save_metrics(&saved).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
    }

    /// Two processors of one widest instruction set gave other last digits: one of them has AMX.
    #[test]
    fn a_processor_with_amx_is_another_one() {
        let info = |flags: &str| {
            format!(
                "processor\t: 0\nmodel name\t: Xeon: a name\nflags\t\t: fpu {flags} sse\n\nflags\t: other\n"
            )
        };
        let with = info("amx_tile amx_bf16");
        assert_eq!(named(&with, "model name"), Some("Xeon: a name"));
        assert_eq!(capabilities("AVX512_BF16", &with), "AVX512_BF16, AMX_BF16");
        assert_eq!(capabilities("AVX512_BF16", &info("amx_bf16_of_old")), "AVX512_BF16");
        assert_eq!((named("", "model name"), capabilities("NEON", "")), (None, "NEON".to_owned()));
        assert!(!Environment::current().processor.is_empty());
    }

    #[test]
    fn metrics_from_before_the_processor_was_kept_are_read() {
        let mut value = serde_json::to_value(metrics("cnn", 0.75)).unwrap();
        value.as_object_mut().unwrap().remove("processor");
        let read: Metrics = serde_json::from_value(value).unwrap();
        assert_eq!(read.environment.processor, "");
    }

    #[test]
    fn a_record_is_kept_twice_and_the_table_names_both_files() {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::new(folder.path());
        let history: History = History {
            epochs: Vec::new(),
            best_epoch: 0,
            stopped_early: false,
            fit_seconds: 0.0,
            train_images_per_second: 0.0,
            phases: Vec::new(),
        };
        let written = artifacts.save_history("cnn", &history).unwrap();
        assert_eq!(written, ["json", "csv"].map(|end| artifacts.history_path("cnn", end)));
        let bytes = fs::metadata(&written[1]).unwrap().len().to_string();
        let text = artifacts.table(&written).unwrap().to_text();
        assert!(text.contains("history/cnn.json") && text.contains(&bytes), "{text}");
        assert!(artifacts.save_history("../cnn", &history).is_err());
        let text = artifacts.table(&[artifacts.model_path("cnn")]).unwrap_err().to_string();
        assert!(text.starts_with("cannot read ") && text.ends_with("save it first"), "{text}");
    }

    #[test]
    fn what_is_missing_names_the_notebook_that_makes_it() {
        let artifacts = Artifacts::new("nowhere");
        let errors = [
            (
                artifacts.load_metrics("baseline").unwrap_err(),
                "notebook 04_baseline_model makes it",
            ),
            (artifacts.find_model("cnn").unwrap_err(), "notebook 06_cnn_training makes it"),
            (
                artifacts.load_predictions("transfer").unwrap_err(),
                "notebook 08_transfer_learning makes it",
            ),
            (
                artifacts.load_metrics("mine").unwrap_err(),
                "the notebook that saves `mine` makes it",
            ),
        ];
        for (error, expected) in errors {
            let text = error.to_string();
            assert!(text.contains(expected) && text.contains("nowhere"), "{text}");
        }
    }

    #[test]
    fn damaged_files_say_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::new(folder.path());
        let path = artifacts.metrics_path("cnn");
        write_atomically(&path, b"{\"schema\": 2}").unwrap();
        let text = artifacts.load_metrics("cnn").unwrap_err().to_string();
        assert!(
            text.contains(
                "expected metrics of schema 1, found schema 2; run notebook 06_cnn_training"
            ),
            "{text}"
        );
        write_atomically(&path, b"{\"schema\": 1, \"name\":").unwrap();
        let text = artifacts.load_metrics("cnn").unwrap_err().to_string();
        assert!(text.contains("found EOF while parsing"), "{text}");
    }

    #[test]
    fn a_score_that_is_no_number_is_not_saved() {
        let folder = tempfile::tempdir().unwrap();
        let mut broken = metrics("cnn", 0.75);
        broken.test = Some(Evaluation { loss: f64::NAN, ..evaluation(0.5) }.into());
        let text = Artifacts::new(folder.path()).save_metrics(&broken).unwrap_err().to_string();
        assert!(text.starts_with("`metrics` must be finite numbers"), "{text}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn names_stay_inside_the_folder() {
        let artifacts = Artifacts::new("export");
        for name in ["", "../secret", "a/b", "a\nb", "é"] {
            let text = artifacts.load_metrics(name).unwrap_err().to_string();
            assert!(text.starts_with("`name` must be letters, digits, `_` and `-`"), "{text}");
        }
    }

    #[test]
    fn the_most_accurate_model_comes_first_and_is_marked() {
        let table = comparative_table(&[metrics("baseline", 0.625), metrics("cnn", 0.75)]).unwrap();
        let text = table.to_text();
        let rows: Vec<&str> = text.lines().skip(3).collect();
        assert!(rows[0].starts_with("cnn ★") && rows[1].starts_with("baseline "), "{text}");
        assert!(
            rows[0].contains("75.00") && rows[0].contains("1 of 1") && rows[0].contains("1,234"),
            "{text}"
        );
    }

    #[test]
    fn models_of_other_splits_are_not_compared() {
        let mut other = metrics("cnn", 0.75);
        other.seed = 43;
        let text = comparative_table(&[metrics("baseline", 0.625), other]).unwrap_err().to_string();
        assert!(
            text.contains("run notebook 04_baseline_model and notebook 06_cnn_training again"),
            "{text}"
        );
    }

    #[test]
    fn predictions_of_the_same_images_are_compared() {
        let (folder, split) = (tempfile::tempdir().unwrap(), sample_split());
        let artifacts = Artifacts::new(folder.path());
        let truth = split.test.labels();
        let mut wrong = truth.clone();
        for class in &mut wrong[..10] {
            *class = (*class + 1) % 10;
        }
        for (name, y_pred) in [("cnn", &truth), ("baseline", &wrong)] {
            artifacts
                .save_predictions(&Predictions::new(name, &split.test, y_pred, false).unwrap())
                .unwrap();
        }
        let models = ["cnn", "baseline"].map(|name| artifacts.load_predictions(name).unwrap());
        let compared = compare_predictions(&models).unwrap();
        assert_eq!((compared.pairs[0].only_first, compared.pairs[0].better()), (10, Some("cnn")));
        // Those of the validation part belong to other images.
        let labels = split.validation.labels();
        let other = Predictions::new("transfer", &split.validation, &labels, false).unwrap();
        let text = compare_predictions(&[models[0].clone(), other]).unwrap_err().to_string();
        assert!(text.contains("`cnn` and `transfer`, made for others"), "{text}");
        // And a list that is too short belongs to none.
        assert!(Predictions::new("cnn", &split.test, &truth[1..], false).is_err());
    }
}
