//! Model files: weights and settings in one safetensors file, from which a model loads with nothing else.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::model::Model;
use super::model_file::{self, ModelFile};
use super::plan::Plan;
use super::precision::Precision;
use super::sequential::Sequential;
use super::trained_on::TrainedOn;
use crate::data::batches::Normalization;
use crate::error::{Error, Result};
use crate::system::device::Device;

/// The description of a model in its file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelConfig {
    format: u32,
    network: Sequential,
    normalization: Option<Normalization>,
    precision: Precision,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    mirrored: bool,
    /// Names of the weights that were frozen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    frozen: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    trained_on: Vec<TrainedOn>,
}

/// The format alone, which decides how the rest is read.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// The layout of [`ModelConfig`]. Format 1 had other names for layers (`batch_norm`, `max_pool2d`).
const FORMAT: u32 = 2;

impl Model {
    /// Writes weights and settings to a safetensors file, from which [`Model::load`] needs nothing else.
    ///
    /// # Errors
    /// If the file cannot be written; a file that was there before stays whole. If the model was trained on an `X.npy` in which
    /// wrong values were found.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.trained_on.iter().try_for_each(|record| record.dataset.check())?;
        let config = ModelConfig {
            format: FORMAT,
            network: self.network().clone(),
            normalization: self.normalization.clone(),
            precision: self.precision,
            mirrored: self.mirrored,
            frozen: self.frozen(),
            trained_on: self.trained_on.clone(),
        };
        let config = model_file::to_json(&config)?;
        let tensors = self.weights.iter().map(|weight| (weight.name.as_str(), &weight.tensor));
        model_file::write(path.as_ref(), tensors, HashMap::from([("config".to_owned(), config)]))
    }

    /// Reads a model that [`Model::save`] wrote.
    ///
    /// # Errors
    /// If the file cannot be read, is no model file, was written by an older version of helpers, or its tensors differ
    /// from what its settings say.
    pub fn load(path: impl AsRef<Path>) -> Result<Model> {
        let path = path.as_ref();
        let file = ModelFile::open(path, "run the notebook that makes this file")?;
        let broken = |expected: &str, found: String| Error::File {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found,
            advice: "run the notebook that trains this model again".to_owned(),
        };
        let Format { format } = serde_json::from_str(file.metadata("config")?)
            .map_err(|error| broken("the settings of a model", error.to_string()))?;
        if format != FORMAT {
            let written = if format < FORMAT { "an older" } else { "a newer" };
            return Err(broken(
                &format!("a model file of format {FORMAT}"),
                format!("format {format}, from {written} version of helpers"),
            ));
        }
        let config: ModelConfig = serde_json::from_str(file.metadata("config")?)
            .map_err(|error| broken("the settings of a model", error.to_string()))?;
        let plan = Plan::new(&config.network).map_err(|error| {
            broken("settings of a network that fits together", error.to_string())
        })?;
        let weights = plan
            .specs
            .iter()
            .map(|spec| spec.with(file.tensor(&spec.name, &spec.shape)?))
            .collect::<Result<_>>()?;
        let mut model = Model::assemble(config.network, plan, weights);
        model.normalization = config.normalization;
        model.precision = config.precision;
        model.mirrored = config.mirrored;
        model.trained_on = config.trained_on;
        let frozen: HashSet<&str> = config.frozen.iter().map(String::as_str).collect();
        model.set_trainable(|_, name| !frozen.contains(name))?;
        model.set_device(Device::Auto)?;
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_format_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        for (format, version) in [(FORMAT - 1, "an older"), (FORMAT + 1, "a newer")] {
            // The rest is another version's: nothing of it is read.
            let config = format!("{{\"format\": {format}, \"layers\": [\"max_pool2d\"]}}");
            let metadata = HashMap::from([("config".to_owned(), config)]);
            model_file::write(&path, [].into_iter(), metadata).unwrap();
            let text = Model::load(&path).unwrap_err().to_string();
            let found = format!("found format {format}, from {version} version of helpers");
            assert!(text.contains(&found), "{text}");
            assert!(text.contains("run the notebook that trains this model again"), "{text}");
        }
    }
}
