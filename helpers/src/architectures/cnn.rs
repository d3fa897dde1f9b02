//! The convolutional network `Conv-Pool-Conv-Pool-Conv-Conv-Pool-Dense-Dense`.

use serde::{Deserialize, Serialize};

use crate::data::ImageShape;
use crate::layers::Initializer;
use crate::models::Sequential;

/// Settings of the convolutional network. Each convolution is followed by batch normalisation and ReLU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CnnConfig {
    /// Filters of the four convolutions.
    pub filters: [usize; 4],
    /// Units of the dense layer before the last.
    pub dense: usize,
    /// Share of the values dropped before each dense layer, in 0..1.
    pub dropout: f64,
    /// How the kernels are first drawn.
    pub kernel_initializer: Initializer,
}

impl Default for CnnConfig {
    fn default() -> CnnConfig {
        CnnConfig {
            filters: [64, 128, 256, 256],
            dense: 128,
            dropout: 0.4,
            kernel_initializer: Initializer::HeNormal,
        }
    }
}

impl CnnConfig {
    /// The network for images of this shape. Three poolings need images of at least 8 pixels.
    pub fn network(&self, shape: ImageShape, classes: usize) -> Sequential {
        let [first, second, third, fourth] = self.filters;
        Sequential::new(shape)
            .kernel_initializer(self.kernel_initializer)
            .conv2d(first, 3)
            .batch_normalization()
            .relu()
            .max_pooling2d(2)
            .conv2d(second, 3)
            .batch_normalization()
            .relu()
            .max_pooling2d(2)
            .conv2d(third, 3)
            .batch_normalization()
            .relu()
            .conv2d(fourth, 3)
            .batch_normalization()
            .relu()
            .max_pooling2d(2)
            .flatten()
            .dropout(self.dropout)
            .dense(self.dense)
            .batch_normalization()
            .relu()
            .dropout(self.dropout)
            .dense(classes)
    }
}
