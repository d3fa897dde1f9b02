//! The networks that are measured, by the names and settings that the peers know.

use std::path::PathBuf;

use helpers::Result;
use helpers::architectures::{AutoencoderConfig, CnnConfig, DenseConfig};
use helpers::models::Model;
use helpers::prelude::*;
use serde::Deserialize;

use crate::flop::{Flop, Trained};

/// A network and its settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Network {
    /// [`DenseConfig`].
    Dense { hidden: Vec<usize>, dropout: f64 },
    /// [`CnnConfig`].
    Cnn { filters: [usize; 4], dense: usize, dropout: f64 },
    /// [`AutoencoderConfig`], and the noise that it takes off.
    Autoencoder { rate: f64, filters: [usize; 2], dense: usize, noise: GaussianNoise },
    /// [`TransferConfig`], trained from a block on, its depthwise convolutions apart.
    Transfer { input_size: usize, dropout: f64, weights: PathBuf, fine_tune_from: String },
}

impl Network {
    /// The model with its first weights.
    pub(crate) fn build(&self, dataset: &Dataset, seed: u64) -> Result<Model> {
        let (shape, classes) = (dataset.image_shape(), dataset.classes());
        match self.clone() {
            Network::Dense { hidden, dropout } => {
                DenseConfig { hidden, dropout, ..DenseConfig::default() }
                    .network(shape, classes)
                    .build(seed)
            }
            Network::Cnn { filters, dense, dropout } => {
                CnnConfig { filters, dense, dropout, ..CnnConfig::default() }
                    .network(shape, classes)
                    .build(seed)
            }
            Network::Autoencoder { rate, filters, dense, .. } => {
                AutoencoderConfig { rate, filters, dense }.network(shape)?.build(seed)
            }
            Network::Transfer { input_size, dropout, weights, fine_tune_from } => {
                let network = TransferConfig { input_size, dropout, ..TransferConfig::default() };
                let mut model = network.pretrained(shape, classes, weights, seed)?;
                model.unfreeze_from(&fine_tune_from)?;
                model.freeze_kind("depthwise_conv2d")?;
                Ok(model)
            }
        }
    }

    /// The operations that an image costs `model`, which [`Network::build`] has built.
    pub(crate) fn flop(&self, model: &Model, shape: ImageShape) -> Flop {
        let trained = match self {
            Network::Transfer { fine_tune_from, .. } => Trained::DenselyFrom(fine_tune_from),
            _ => Trained::All,
        };
        Flop::of(model.network().layers(), shape, trained)
    }
}
