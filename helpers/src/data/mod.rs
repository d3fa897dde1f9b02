//! From `X.npy` and `y.npy` to a [`Dataset`], its split, and the batches a model is trained on.
//!
//! Start at [`Dataset::load`], then [`Dataset::split`].

pub mod augment;
pub mod batches;
pub mod dataset;
pub mod images;
pub mod labels;
pub mod noise;
pub mod npy;
pub mod random;
pub mod split;

pub use augment::Augmentation;
pub use batches::Normalization;
pub use dataset::{Dataset, DatasetInfo, ImageShape, Subset};
pub use noise::{DenoisedImages, GaussianNoise, NoisyImages};
pub use split::{Split, SplitConfig};
