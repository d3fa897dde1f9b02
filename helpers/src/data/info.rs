//! The description of a data set that metrics and model files keep.

use std::fmt;
use std::ops::Deref;
use std::panic::UnwindSafe;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

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
pub struct LazyDatasetInfo(Arc<LazyLock<DatasetInfo, Describe>>);

impl LazyDatasetInfo {
    pub(super) fn new(
        describe: impl FnOnce() -> DatasetInfo + Send + UnwindSafe + 'static,
    ) -> LazyDatasetInfo {
        LazyDatasetInfo(Arc::new(LazyLock::new(Box::new(describe))))
    }
}

impl Deref for LazyDatasetInfo {
    type Target = DatasetInfo;

    fn deref(&self) -> &DatasetInfo {
        &self.0
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
