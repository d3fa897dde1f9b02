//! The dense baseline: hidden layers of falling width, no convolution.

use serde::{Deserialize, Serialize};

use crate::data::ImageShape;
use crate::layers::Initializer;
use crate::models::Sequential;

/// Settings of the dense network: each hidden layer is dense, batch normalisation, ReLU, dropout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DenseConfig {
    /// Units of each hidden layer.
    pub hidden: Vec<usize>,
    /// Share of the values dropped after each hidden layer, in 0..1.
    pub dropout: f64,
    /// How the kernels are first drawn.
    pub kernel_initializer: Initializer,
}

impl Default for DenseConfig {
    fn default() -> DenseConfig {
        DenseConfig {
            hidden: vec![1024, 512, 256, 128],
            dropout: 0.25,
            kernel_initializer: Initializer::HeNormal,
        }
    }
}

impl DenseConfig {
    /// The network for images of this shape.
    pub fn network(&self, shape: ImageShape, classes: usize) -> Sequential {
        let mut network =
            Sequential::new(shape).kernel_initializer(self.kernel_initializer).flatten();
        for &units in &self.hidden {
            network = network.dense(units).batch_normalization().relu().dropout(self.dropout);
        }
        network.dense(classes)
    }
}
