//! The builder: layers in a chain; `Sequential::build` checks them and draws their weights.

use serde::{Deserialize, Serialize};

use crate::data::ImageShape;
use crate::layers::{
    AveragePooling2d, BatchNormalization, Block, Conv2d, Cropping2d, Dense, Dropout, Elu, Flatten,
    GaussianNoise, GlobalAveragePooling2d, Initializer, Layer, LeakyRelu, MaxPooling2d, Relu,
    RepeatChannels, Reshape, Resize, Sigmoid, UpSampling2d,
};

/// A network as a chain of layers, as Keras's `Sequential`.
///
/// Each method adds a layer; nothing is computed before [`Sequential::build`].
///
/// ```no_run
/// # fn main() -> helpers::Result<()> {
/// use helpers::prelude::*;
///
/// let shape = ImageShape { height: 28, width: 28, channels: 1 };
/// let network = Sequential::new(shape)
///     .conv2d(32, 3).batch_normalization().relu().max_pooling2d(2)
///     .flatten()
///     .dense(10);
/// let model = network.build(42)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequential {
    /// Shape of the input, for one image: `[channels, height, width]`, or `[values]`.
    input: Vec<i64>,
    /// The layers, in order.
    layers: Vec<Layer>,
    /// How the kernels of the next layers are drawn.
    kernel_initializer: Initializer,
}

fn default_initializer() -> Initializer {
    Initializer::GlorotUniform
}

impl Sequential {
    /// A network that takes images of this shape.
    pub fn new(shape: ImageShape) -> Sequential {
        Sequential {
            input: [shape.channels, shape.height, shape.width].map(|side| side as i64).to_vec(),
            layers: Vec::new(),
            kernel_initializer: default_initializer(),
        }
    }

    /// A network that takes vectors of this many values.
    pub fn for_vectors(values: usize) -> Sequential {
        Sequential {
            input: vec![values as i64],
            layers: Vec::new(),
            kernel_initializer: default_initializer(),
        }
    }

    /// Sets how the kernels of the layers that follow are first drawn; Keras's default, `glorot_uniform`, until then.
    pub fn kernel_initializer(mut self, initializer: Initializer) -> Sequential {
        self.kernel_initializer = initializer;
        self
    }

    /// A convolution with a square kernel, step 1 and "same" padding.
    pub fn conv2d(self, filters: usize, kernel_size: usize) -> Sequential {
        self.conv2d_strided(filters, kernel_size, 1)
    }

    /// A convolution that keeps every `strides`-th pixel.
    pub fn conv2d_strided(self, filters: usize, kernel_size: usize, strides: usize) -> Sequential {
        let kernel_initializer = self.kernel_initializer;
        self.layer(Conv2d {
            filters: filters as i64,
            kernel_size: kernel_size as i64,
            strides: strides as i64,
            groups: 1,
            use_bias: true,
            kernel_initializer,
        })
    }

    /// A fully connected layer.
    pub fn dense(self, units: usize) -> Sequential {
        let kernel_initializer = self.kernel_initializer;
        self.layer(Dense { units: units as i64, use_bias: true, kernel_initializer })
    }

    /// Batch normalisation. Removes the bias of the layer before it, which the normalisation would cancel.
    pub fn batch_normalization(mut self) -> Sequential {
        match self.layers.last_mut() {
            Some(Layer::Conv2d(layer)) => layer.use_bias = false,
            Some(Layer::Dense(layer)) => layer.use_bias = false,
            _ => {}
        }
        self.layer(BatchNormalization::default())
    }

    /// `max(x, 0)`.
    pub fn relu(self) -> Sequential {
        self.layer(Relu)
    }

    /// `x`, or `x * negative_slope` below 0; Keras's default slope is 0.3.
    pub fn leaky_relu(self, negative_slope: f64) -> Sequential {
        self.layer(LeakyRelu { negative_slope })
    }

    /// `x`, or `alpha * (exp(x) - 1)` below 0; Keras's default `alpha` is 1.
    pub fn elu(self, alpha: f64) -> Sequential {
        self.layer(Elu { alpha })
    }

    /// `1 / (1 + exp(-x))`.
    pub fn sigmoid(self) -> Sequential {
        self.layer(Sigmoid)
    }

    /// The largest value of each `pool_size × pool_size` block.
    pub fn max_pooling2d(self, pool_size: usize) -> Sequential {
        self.layer(MaxPooling2d { pool_size: pool_size as i64 })
    }

    /// The mean of each `pool_size × pool_size` block.
    pub fn average_pooling2d(self, pool_size: usize) -> Sequential {
        self.layer(AveragePooling2d { pool_size: pool_size as i64 })
    }

    /// The mean over height and width of each channel.
    pub fn global_average_pooling2d(self) -> Sequential {
        self.layer(GlobalAveragePooling2d)
    }

    /// Each pixel repeated `size × size` times.
    pub fn up_sampling2d(self, size: usize) -> Sequential {
        self.layer(UpSampling2d { size: size as i64 })
    }

    /// Sets this share of the values to 0 in training.
    pub fn dropout(self, rate: f64) -> Sequential {
        self.layer(Dropout { rate })
    }

    /// Adds noise of this standard deviation while training.
    pub fn gaussian_noise(self, stddev: f64) -> Sequential {
        self.layer(GaussianNoise { stddev })
    }

    /// An image as one vector.
    pub fn flatten(self) -> Sequential {
        self.layer(Flatten)
    }

    /// A vector as an image.
    pub fn reshape(self, height: usize, width: usize, channels: usize) -> Sequential {
        self.layer(Reshape {
            channels: channels as i64,
            height: height as i64,
            width: width as i64,
        })
    }

    /// An image of another size.
    pub fn resize(self, height: usize, width: usize) -> Sequential {
        self.layer(Resize { height: height as i64, width: width as i64 })
    }

    /// The top left part of an image, of this size.
    pub fn cropping2d(self, height: usize, width: usize) -> Sequential {
        self.layer(Cropping2d { height: height as i64, width: width as i64 })
    }

    /// All channels `times` over: three make a colour image of a grey one.
    pub fn repeat_channels(self, times: usize) -> Sequential {
        self.layer(RepeatChannels { times: times as i64 })
    }

    /// Layers under one name, frozen and set free together.
    pub fn block(self, name: &str, layers: Vec<Layer>) -> Sequential {
        self.layer(Block { name: name.to_owned(), layers })
    }

    /// Any layer.
    pub fn layer(mut self, layer: impl Into<Layer>) -> Sequential {
        self.layers.push(layer.into());
        self
    }

    /// The layers, in order.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Shape of the input, for one image: `[channels, height, width]`, or `[values]`.
    pub fn input_shape(&self) -> &[i64] {
        &self.input
    }
}
