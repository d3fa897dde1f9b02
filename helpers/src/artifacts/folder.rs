//! The folder of results: the path of each one, and how it is written and read.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::data::npy::write_npy;
use crate::system::files::{ReadError, read_regular};
use crate::system::write_atomically;
use crate::text::clean_text;
use crate::training::history::{History, Record};
use crate::{Error, Result};

/// The folder of results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifacts {
    folder: PathBuf,
}

impl Artifacts {
    /// The results in this folder, which is created when the first one is saved.
    pub fn new(folder: impl AsRef<Path>) -> Artifacts {
        Artifacts { folder: folder.as_ref().to_owned() }
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of the metrics with this name.
    pub fn metrics_path(&self, name: &str) -> PathBuf {
        self.folder.join("metrics").join(format!("{name}.json"))
    }

    /// The path of the model with this name.
    pub fn model_path(&self, name: &str) -> PathBuf {
        self.folder.join("models").join(format!("{name}.safetensors"))
    }

    /// The path of the checkpoint of the training with this name.
    pub fn checkpoint_path(&self, name: &str) -> PathBuf {
        self.folder.join("checkpoints").join(format!("{name}.safetensors"))
    }

    /// The path of the predictions with this name.
    pub fn predictions_path(&self, name: &str) -> PathBuf {
        self.folder.join("predictions").join(format!("{name}.json"))
    }

    /// The path of the array with this name, for a reader in Python.
    pub fn array_path(&self, name: &str) -> PathBuf {
        self.folder.join("predictions").join(format!("{name}.npy"))
    }

    /// The path of the history of the training with this name, as `json` or as `csv`.
    pub fn history_path(&self, name: &str, extension: &str) -> PathBuf {
        self.folder.join("history").join(format!("{name}.{extension}"))
    }

    /// The path of the figure with this name.
    pub fn figure_path(&self, name: &str) -> PathBuf {
        self.folder.join("figures").join(format!("{name}.png"))
    }

    /// The path of a model that exists.
    ///
    /// # Errors
    /// If it does not exist: the error names the notebook that makes it.
    pub fn find_model(&self, name: &str) -> Result<PathBuf> {
        let path = self.model_path(checked(name)?);
        match fs::metadata(&path) {
            Ok(_) => Ok(path),
            Err(source) => Err(Error::MissingArtifact { path, made_by: made_by(name), source }),
        }
    }

    /// Writes an array, such as predicted probabilities, for `np.load` in Python, and returns where.
    ///
    /// # Errors
    /// If the name is not a file name, or the folder cannot be written.
    pub fn save_array(&self, name: &str, array: &Array2<f32>) -> Result<PathBuf> {
        let path = self.array_path(checked(name)?);
        write_npy(&path, array)?;
        Ok(path)
    }

    /// Writes the history of a training as JSON and as CSV, and returns the paths.
    ///
    /// # Errors
    /// If the name is not a file name, or the folder cannot be written.
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
}

/// Checks that a name is a file name, so that its path stays inside the folder.
pub(super) fn checked(name: &str) -> Result<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || name.len() > 100 || !name.chars().all(plain) {
        return Err(Error::parameter(
            "name",
            "letters, digits, `_` and `-`",
            format!("`{}`", clean_text(name)),
            "it becomes the name of a file",
        ));
    }
    Ok(name)
}

/// Version of the layout of all JSON files.
pub(super) const SCHEMA: u32 = 1;

/// The field of every JSON file with the version of its layout.
#[derive(Deserialize)]
struct Versioned {
    schema: u32,
}

/// More than the predictions for thirty million images need.
pub(super) const LARGEST_JSON: u64 = 1 << 28;

pub(super) fn write_json(path: &Path, value: &impl Serialize, pretty: bool) -> Result<String> {
    let json =
        if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    let mut text = json.map_err(|error| {
        let advice = "use text for the keys of maps";
        Error::parameter("metrics", "values that JSON can hold", error, advice)
    })?;
    text.push('\n');
    write_atomically(path, text.as_bytes())?;
    Ok(text)
}

pub(super) fn read_json<T: DeserializeOwned>(
    path: PathBuf,
    made_by: String,
    what: &str,
) -> Result<T> {
    let text = match read_regular(&path, LARGEST_JSON) {
        Ok(text) => text,
        Err(ReadError::Io(source)) => return Err(Error::MissingArtifact { path, made_by, source }),
        Err(ReadError::Other(found)) => return Err(not_of_this_layout(path, made_by, what, found)),
    };
    let read = serde_json::from_slice(&text).map_err(|error| error.to_string());
    match read {
        Ok(Versioned { schema: SCHEMA }) => serde_json::from_slice(&text)
            .map_err(|error| not_of_this_layout(path, made_by, what, error.to_string())),
        Ok(Versioned { schema }) => {
            Err(not_of_this_layout(path, made_by, what, format!("schema {schema}")))
        }
        Err(found) => Err(not_of_this_layout(path, made_by, what, found)),
    }
}

fn not_of_this_layout(path: PathBuf, made_by: String, what: &str, found: String) -> Error {
    Error::File {
        path,
        expected: format!("{what} of schema {SCHEMA}"),
        found: clean_text(&found),
        advice: format!("run {made_by} again"),
    }
}

/// The notebook that scores the model of this name on the test part, and keeps its predictions.
pub(super) fn scored_by(name: &str) -> String {
    match name {
        "cnn" => "notebook 07_performance_evaluation".to_owned(),
        other => made_by(other),
    }
}

/// The notebook that trains the model of this name, and saves it with its metrics.
pub(super) fn made_by(name: &str) -> String {
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
