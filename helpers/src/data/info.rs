//! The description of a data set that metrics and model files keep.

use std::fmt;
use std::ops::Deref;
use std::panic::UnwindSafe;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use super::images::FileFacts;
use crate::error::Result;

/// Description of a data set, kept in metrics and model files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetInfo {
    /// Number of images.
    pub images: usize,
    /// Shape of X: images, height, width and, for colour, channels.
    pub shape: Vec<usize>,
    /// Number of classes.
    pub classes: usize,
    /// SHA-256 of the file `X.npy`, in hexadecimal.
    pub x_sha256: String,
    /// SHA-256 of the file `y.npy`, in hexadecimal.
    pub y_sha256: String,
    /// Number of images in the files, if this is a sample of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled_from: Option<usize>,
}

type Describe = Box<dyn FnOnce() -> DatasetInfo + Send + UnwindSafe>;

/// A [`DatasetInfo`] that is complete when it is first used. That use waits until `X.npy` was read to its end, because of
/// the hash; so a training can begin before. A clone is cheap.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "DatasetInfo", into = "DatasetInfo")]
pub struct LazyDatasetInfo {
    info: Arc<LazyLock<DatasetInfo, Describe>>,
    /// What tells whether the pixels are valid.
    file_facts: Option<Arc<FileFacts>>,
}

impl LazyDatasetInfo {
    pub(super) fn new(
        describe: impl FnOnce() -> DatasetInfo + Send + UnwindSafe + 'static,
    ) -> LazyDatasetInfo {
        LazyDatasetInfo { info: Arc::new(LazyLock::new(Box::new(describe))), file_facts: None }
    }

    /// With what tells whether the pixels are valid.
    pub(super) fn of_file(self, file_facts: Arc<FileFacts>) -> LazyDatasetInfo {
        LazyDatasetInfo { file_facts: Some(file_facts), ..self }
    }

    /// As [`Dataset::check`](super::Dataset::check).
    pub(crate) fn check(&self) -> Result<()> {
        self.file_facts.as_ref().map_or(Ok(()), |file_facts| file_facts.check())
    }
}

impl Deref for LazyDatasetInfo {
    type Target = DatasetInfo;

    fn deref(&self) -> &DatasetInfo {
        &self.info
    }
}

impl From<DatasetInfo> for LazyDatasetInfo {
    fn from(info: DatasetInfo) -> LazyDatasetInfo {
        LazyDatasetInfo::new(move || info)
    }
}

impl From<LazyDatasetInfo> for DatasetInfo {
    fn from(lazy: LazyDatasetInfo) -> DatasetInfo {
        DatasetInfo::clone(&lazy)
    }
}

impl PartialEq for LazyDatasetInfo {
    fn eq(&self, other: &LazyDatasetInfo) -> bool {
        **self == **other
    }
}

impl fmt::Debug for LazyDatasetInfo {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}
