//! Ready-made networks for the course's tasks: each a struct of settings whose `network` gives a
//! [`Sequential`](crate::models::Sequential).
//!
//! Start at [`DenseConfig`] and [`CnnConfig`] for classifiers, [`TransferConfig`] for a pretrained network, and
//! [`AutoencoderConfig`] for the denoiser.

pub mod autoencoder;
pub mod cnn;
pub mod dense;
pub mod transfer;

pub use autoencoder::{AutoencoderConfig, Bottleneck};
pub use cnn::CnnConfig;
pub use dense::DenseConfig;
pub use transfer::{EfficientNet, TransferConfig};
