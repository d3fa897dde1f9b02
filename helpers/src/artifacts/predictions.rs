//! A model's predictions for the test part, the content of `export/predictions/NAME.json`.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::folder::{Artifacts, SCHEMA, checked, read_json, scored_by, write_json};
use crate::Result;
use crate::data::{DatasetInfo, Subset};
use crate::evaluation::metrics::{check_classes, check_lengths};
use crate::text::clean_text;

/// A model's predictions for the test part: small enough to keep, and enough to compare models image by image.
///
/// Kept as JSON in `export/predictions/NAME.json`: predicted and true class ids, and a hash that identifies the images
/// and their order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predictions {
    /// Version of this layout: 1.
    pub schema: u32,
    /// Name of the model.
    pub name: String,
    /// Whether this was a quick run.
    pub quick: bool,
    /// SHA-256 of the data set's identity and of the images' indices in it.
    pub images_sha256: String,
    /// The name of each class; none in files of earlier versions.
    #[serde(default)]
    pub class_names: Vec<String>,
    /// Class id of each image.
    pub y_true: Vec<i64>,
    /// Predicted class id of each image.
    pub y_pred: Vec<i64>,
}

impl Predictions {
    /// The predictions of a model for these images.
    ///
    /// # Errors
    /// If the number of predictions is not that of the images, or one is not a class of the data set; as [`Dataset::info`].
    ///
    /// [`Dataset::info`]: crate::data::Dataset::info
    pub fn new(name: &str, images: &Subset, y_pred: &[i64], quick: bool) -> Result<Predictions> {
        check_lengths(images.len(), y_pred.len())?;
        check_classes(y_pred, images.dataset().classes())?;
        let DatasetInfo { images: count, x_sha256, y_sha256, .. } = images.dataset().info()?;
        let mut hash = Sha256::new();
        hash.update(format!("{x_sha256} {y_sha256} {count}"));
        for &index in images.indices() {
            hash.update((index as u64).to_le_bytes());
        }
        Ok(Predictions {
            schema: SCHEMA,
            name: name.to_owned(),
            quick,
            images_sha256: format!("{:x}", hash.finalize()),
            class_names: images.dataset().class_names().to_vec(),
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

impl Artifacts {
    /// Writes predictions, and returns the path.
    ///
    /// # Errors
    /// If the name is not a file name, or the folder cannot be written.
    pub fn save_predictions(&self, predictions: &Predictions) -> Result<PathBuf> {
        let path = self.predictions_path(checked(&predictions.name)?);
        write_json(&path, predictions, false)?;
        Ok(path)
    }

    /// Reads predictions.
    ///
    /// # Errors
    /// If the file is missing (the error names the notebook that makes it) or invalid.
    pub fn load_predictions(&self, name: &str) -> Result<Predictions> {
        let path = self.predictions_path(checked(name)?);
        let predictions: Predictions = read_json(path, scored_by(name), "predictions")?;
        check_lengths(predictions.y_true.len(), predictions.y_pred.len())?;
        Ok(predictions)
    }
}
