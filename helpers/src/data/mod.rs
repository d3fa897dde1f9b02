//! From `X.npy` and `y.npy` to a [`Dataset`], its split, and the batches a model is trained on.
//!
//! Start at [`Dataset::load`], then [`Dataset::split`].

pub mod augment;
pub mod batches;
mod class_names;
pub mod dataset;
mod device_images;
pub mod duplicates;
mod file_errors;
pub mod image_file;
pub mod images;
pub mod info;
pub mod labels;
mod levels;
pub mod model_selection;
pub mod noise;
pub mod npy;
pub mod random_state;
pub mod scaling;
pub mod split;
pub mod subset;
#[cfg(test)]
pub(crate) mod test_files;
mod whole_file;

pub use augment::Augmentation;
pub use batches::Normalization;
pub use dataset::Dataset;
pub use duplicates::{Duplicate, Duplicates};
pub(crate) use file_errors::shown_shape;
pub use images::ImageShape;
pub use info::{DatasetInfo, LazyDatasetInfo};
pub use noise::{DenoisedImages, GaussianNoise, NoisyImages};
pub use split::{Split, SplitConfig};
pub use subset::Subset;
