//! Networks: the [`Sequential`] builder, its layers and initializers, the built [`Model`], and the networks of the
//! course's tasks.
//!
//! Start at [`Sequential::new`], or at [`DenseConfig`] and [`CnnConfig`] for the two classifiers and
//! [`AutoencoderConfig`] for the denoiser.

pub mod autoencoder;
pub(crate) mod backpropagation;
pub mod cnn;
pub mod dense;
pub mod features;
pub(crate) mod file;
pub(crate) mod frozen;
mod fused;
pub mod init;
pub mod layers;
pub mod model;
pub mod precision;
pub mod sequential;
pub mod summary;
pub mod trained_on;
pub mod transfer;

pub use autoencoder::{AutoencoderConfig, Bottleneck};
pub use cnn::CnnConfig;
pub use dense::DenseConfig;
pub use features::{FeatureConfig, Features};
pub use init::{Distribution, FanMode, Initializer};
pub use layers::Layer;
pub use model::{Model, Probabilities};
pub use precision::Precision;
pub use sequential::Sequential;
pub use summary::Summary;
pub use trained_on::TrainedOn;
pub use transfer::TransferConfig;
