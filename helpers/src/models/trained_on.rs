//! The images that a model was trained on. They are recorded in the model's file, and checked when it is loaded for a
//! split: a model that is scored on its training images looks better than it is.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::data::{DatasetInfo, LazyDatasetInfo, Split, SplitConfig, Subset};
use crate::text::clean_text;

/// The images that a model was trained on, and its classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainedOn {
    /// The data set, or the sample that was taken of it. A training makes this record before `X.npy` was read to its end.
    pub dataset: LazyDatasetInfo,
    /// By class id.
    pub class_names: Vec<String>,
    /// How it was split; none for parts that were made in another way.
    pub split: Option<SplitConfig>,
    /// SHA-256 of the training rows of X.npy, in order, and of the validation rows.
    pub rows_sha256: String,
}

/// The first difference between a model or result and what was expected.
pub(crate) struct Difference {
    pub expected: String,
    pub found: String,
}

impl Difference {
    /// Between class names: the first class whose name differs, among those that both have.
    pub(crate) fn of_classes(found: &[String], expected: &[String]) -> Option<Difference> {
        let class = |class, name| format!("class {class} called `{}`", clean_text(name));
        let mut both = found.iter().zip(expected).enumerate();
        let (id, (found, expected)) = both.find(|(_, (a, b))| a != b)?;
        Some(Difference { expected: class(id, expected), found: class(id, found) })
    }

    /// Between data sets, or between samples of one.
    pub(crate) fn of_data(found: &DatasetInfo, expected: &DatasetInfo) -> Option<Difference> {
        let hashes = |data: &DatasetInfo| (data.x_sha256.clone(), data.y_sha256.clone());
        if hashes(found) != hashes(expected) {
            return Some(Difference {
                expected: "this X.npy and y.npy".to_owned(),
                found: "others".to_owned(),
            });
        }
        let images = |data: &DatasetInfo| format!("{} images (`sample`)", data.images);
        (found.images != expected.images)
            .then(|| Difference { expected: images(expected), found: images(found) })
    }

    /// Between settings of the split, each with the names of those that differ.
    pub(crate) fn of_settings(found: &Value, expected: &Value) -> Option<Difference> {
        let shown = |these: &Value, others: &Value| {
            let settings = these.as_object().into_iter().flatten();
            let differing = settings.filter(|(name, value)| others.get(name) != Some(value));
            let texts = differing.map(|(name, value)| format!("`{name}` {value}"));
            texts.collect::<Vec<_>>().join(", ")
        };
        (found != expected)
            .then(|| Difference { expected: shown(expected, found), found: shown(found, expected) })
    }
}

impl TrainedOn {
    pub(crate) fn parts(
        train: &Subset,
        validation: &Subset,
        split: Option<&SplitConfig>,
    ) -> TrainedOn {
        let dataset = train.dataset();
        TrainedOn {
            dataset: dataset.lazy_info(),
            class_names: dataset.class_names().to_vec(),
            split: split.cloned(),
            rows_sha256: hash_of_rows([train, validation]),
        }
    }

    pub(crate) fn split(split: &Split) -> TrainedOn {
        TrainedOn::parts(&split.train, &split.validation, Some(&split.config))
    }

    /// The first difference between this record and the expected one.
    pub(super) fn difference(&self, expected: &TrainedOn) -> Option<Difference> {
        let of_classes = Difference::of_classes(&self.class_names, &expected.class_names);
        if of_classes.is_some() {
            return of_classes;
        }
        let settings = |record: &TrainedOn| serde_json::to_value(record.split.as_ref()?).ok();
        let of_settings = || Difference::of_settings(&settings(self)?, &settings(expected)?);
        let of_images = || {
            (self.rows_sha256 != expected.rows_sha256).then(|| Difference {
                expected: "the training and validation images of this split".to_owned(),
                found: "others of the same data set".to_owned(),
            })
        };
        Difference::of_data(&self.dataset, &expected.dataset)
            .or_else(of_settings)
            .or_else(of_images)
    }
}

/// SHA-256 of the rows of X.npy that these parts are, in order.
fn hash_of_rows(parts: [&Subset; 2]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        let dataset = part.dataset();
        hash.update((part.len() as u64).to_le_bytes());
        for &index in part.indices() {
            hash.update((dataset.row(index) as u64).to_le_bytes());
        }
    }
    format!("{:x}", hash.finalize())
}
