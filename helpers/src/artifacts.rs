//! Where models, metrics and figures are kept under `export/`.
//!
//! ```text
//! export/metrics/NAME.json          Metrics, one file for each notebook that trains
//! export/models/NAME.safetensors    weights, the configuration in their metadata
//! export/predictions/NAME.json      Predictions on the test part, for the comparison
//! export/figures/NAME.png           pictures, where a notebook saves one
//! ```
//!
//! Start at [`Artifacts::new`]. Every file is written whole or not at all, see [`write_atomically`].

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::data::DatasetInfo;
use crate::evaluation::Evaluation;
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
    /// The widest instructions of the processor that libtorch can use, such as `AVX512_BF16`.
    pub cpu_capability: String,
    /// Version of each part that numbers depend on.
    pub versions: BTreeMap<String, String>,
}

/// The result of one notebook, as `export/metrics/NAME.json` holds it.
///
/// Two runs of the same seed, sample and thread count differ in nothing but the four fields of time, the last before
/// the environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Trainable numbers of the model.
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
}

/// Writes a file whole or not at all, and makes its folder where that is missing.
///
/// The bytes go to a temporary file in the same folder, which is synced and renamed; then the folder is synced. Two
/// writers of one path do not meet, the last rename stays; a reader never sees half a file, even after a power cut.
///
/// # Errors
/// If the folder cannot be made or written.
pub fn write_atomically(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    write_whole(path, folder, bytes).map_err(|source| Error::Io {
        action: "write",
        path: path.to_owned(),
        source,
        advice: "check that the folder can be written and the disk has room".into(),
    })
}

fn write_whole(path: &Path, folder: &Path, bytes: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".").suffix(".part").tempfile_in(folder)?;
    file.write_all(bytes)?;
    // Temporary files are private to their user; results are as readable as any other file.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    #[cfg(unix)]
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}
