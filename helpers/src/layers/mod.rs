//! Layers, a file each, with settings, output shape, weights and computation.
//!
//! Shapes do not include the number of images. In memory an image is `(channels, height, width)`; messages show it as
//! Keras does, `height × width × channels`. A flat layer outputs `(units,)`. Convolutions use channels-last memory:
//! only the strides change, the shape is still `(N, C, H, W)`.
//!
//! `forward` is the reference: libtorch's own operations, one after the other, on any device, differentiated by
//! autograd. `engine` computes the same in fewer passes over memory, and is tested against it. To add a layer, write
//! its file and add a line to the list below; `docs/extending.md` has an example.

mod activation;
mod average_pooling2d;
mod batch_normalization;
mod block;
mod conv2d;
mod dense;
mod dropout;
mod elu;
mod gaussian_noise;
pub mod initializers;
mod leaky_relu;
mod pooling;
mod reshape;
mod resize;
mod weight;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

pub use self::activation::{Relu, Relu6, Sigmoid};
pub use self::average_pooling2d::AveragePooling2d;
pub use self::batch_normalization::BatchNormalization;
pub(crate) use self::block::largest_output;
pub use self::block::{Block, Residual};
use self::block::{chain_kept_values, chain_weights};
pub use self::conv2d::Conv2d;
pub use self::dense::Dense;
pub use self::dropout::Dropout;
pub use self::elu::Elu;
pub use self::gaussian_noise::GaussianNoise;
pub use self::initializers::{Distribution, FanMode, Initializer};
pub use self::leaky_relu::LeakyRelu;
pub use self::pooling::{GlobalAveragePooling2d, MaxPooling2d};
pub use self::reshape::{Cropping2d, Flatten, Reshape};
pub use self::resize::{RepeatChannels, Resize, UpSampling2d};
pub(crate) use self::weight::{Weight, WeightSpec, is_statistic};
use crate::error::Result;

/// What every layer implements. The default methods suit a layer without weights and without randomness; for a layer
/// made of others they ask the inner layers.
pub(crate) trait Operation {
    /// The name of the builder's method; layers of a network are numbered by it (`dense`, `dense_1`, …).
    fn kind(&self) -> &'static str;

    /// The output shape for this input shape, or what does not fit.
    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String>;

    /// The weights it needs for an `input` that [`Operation::output_shape`] accepts, in the order in which
    /// [`Operation::forward`] takes them.
    fn weights(&self, input: &[i64]) -> Vec<WeightSpec> {
        chain_weights(self.inner(), input)
    }

    /// True when it draws at random while training.
    fn is_random(&self) -> bool {
        self.inner().iter().any(Layer::is_random)
    }

    /// Values of one image that a training step keeps at the least to find the gradients of its weights.
    fn kept_values(&self, input: &[i64], weights: &[Weight]) -> i64 {
        chain_kept_values(self.inner(), input, weights)
    }

    /// The inner layers, if it is made of others.
    fn inner(&self) -> &[Layer] {
        &[]
    }

    /// What it makes of a batch `(N, …)`, by libtorch's own operations; `training` as in Keras.
    fn forward(&self, input: &Tensor, weights: &[Weight], training: bool) -> Result<Tensor>;
}

/// Defines the enum of all layers from their types; each method of [`Layer`] calls the type's.
macro_rules! layers {
    ($($(#[$about:meta])* $name:ident,)+) => {
        /// One layer of a network, by its settings alone; `Sequential` chains them.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Layer {
            $($(#[$about])* $name($name),)+
        }

        impl Layer {
            fn operation(&self) -> &dyn Operation {
                match self {
                    $(Layer::$name(layer) => layer,)+
                }
            }

            /// The names of all layers, in the list's order.
            #[cfg(test)]
            const NAMES: &[&str] = &[$(stringify!($name)),+];

            #[cfg(test)]
            fn name(&self) -> &'static str {
                match self {
                    $(Layer::$name(_) => stringify!($name),)+
                }
            }
        }

        $(impl From<$name> for Layer {
            fn from(layer: $name) -> Layer {
                Layer::$name(layer)
            }
        })+
    };
}

layers! {
    /// The mean of each block of pixels.
    AveragePooling2d,
    /// Batch normalisation.
    BatchNormalization,
    /// Layers under one name.
    Block,
    /// Convolution.
    Conv2d,
    /// The top left part of an image.
    Cropping2d,
    /// A fully connected layer.
    Dense,
    /// Random zeros while training.
    Dropout,
    /// `x`, or `alpha * (exp(x) - 1)` below 0.
    Elu,
    /// An image as one vector.
    Flatten,
    /// Random noise while training.
    GaussianNoise,
    /// The mean of each channel.
    GlobalAveragePooling2d,
    /// `x`, or `x * negative_slope` below 0.
    LeakyRelu,
    /// The largest value of each block of pixels.
    MaxPooling2d,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// All channels, repeated.
    RepeatChannels,
    /// A vector as an image.
    Reshape,
    /// Layers whose output is added to their input.
    Residual,
    /// An image of another size.
    Resize,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// Each pixel repeated.
    UpSampling2d,
}

impl Layer {
    /// The kind, as the builder's method is called; also the stem of the layer's name.
    pub fn kind(&self) -> &'static str {
        self.operation().kind()
    }

    /// True when it, or a layer inside, draws at random while training.
    pub(crate) fn is_random(&self) -> bool {
        self.operation().is_random()
    }

    /// The output shape for this input shape: channels, height and width, or a number of values.
    ///
    /// # Errors
    /// What does not fit, as text that follows the layer's name.
    pub fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        self.operation().output_shape(input)
    }

    /// The weights it needs for an `input` that [`Layer::output_shape`] accepts.
    pub(crate) fn weights(&self, input: &[i64]) -> Vec<WeightSpec> {
        self.operation().weights(input)
    }

    /// Values per image that a training step must at least keep.
    pub(crate) fn kept_values(&self, input: &[i64], weights: &[Weight]) -> i64 {
        self.operation().kept_values(input, weights)
    }

    /// The inner layers, if it is made of others.
    pub(crate) fn inner(&self) -> &[Layer] {
        self.operation().inner()
    }

    /// The output for a batch, by the reference.
    pub(crate) fn forward(
        &self,
        input: &Tensor,
        weights: &[Weight],
        training: bool,
    ) -> Result<Tensor> {
        self.operation().forward(input, weights, training)
    }
}

/// What these layers make of a batch `(N, …)`, one after the other: the reference. `weights` are theirs, in order.
pub(crate) fn forward(
    layers: &[Layer],
    input: &Tensor,
    mut weights: &[Weight],
    training: bool,
) -> Result<Tensor> {
    let mut current = input.shallow_clone();
    for layer in layers {
        let (own, rest) = weights.split_at(layer.weights(&current.size()[1..]).len());
        current = layer.forward(&current, own, training)?;
        weights = rest;
    }
    Ok(current)
}

/// A shape as Keras shows it: channels last, the number of images left out.
pub(crate) fn show_shape(shape: &[i64]) -> String {
    match *shape {
        [channels, height, width] => format!("{height} × {width} × {channels}"),
        _ => shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × "),
    }
}

/// `tensor` in the number format `kind`; not copied if it has it already.
pub(crate) fn cast(tensor: &Tensor, kind: Kind) -> Result<Tensor> {
    if tensor.kind() == kind {
        return Ok(tensor.shallow_clone());
    }
    Ok(tensor.f_to_kind(kind)?)
}

/// Channels, height and width of an image shape; an error for other shapes.
fn image(shape: &[i64]) -> std::result::Result<[i64; 3], String> {
    match *shape {
        [channels, height, width] => Ok([channels, height, width]),
        _ => Err(format!(
            "takes images, but what comes before gives a vector of {}",
            show_shape(shape)
        )),
    }
}

/// An error unless the setting called `name` is 1 or more.
fn at_least_one(name: &str, value: i64) -> std::result::Result<(), String> {
    if value >= 1 {
        return Ok(());
    }
    Err(format!("`{name}` must be at least 1, got {value}"))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// What `layer` makes of a batch of one `(channels, height, width)` or `(values,)` with the given weights.
    pub(crate) fn run(
        layer: impl Into<Layer>,
        values: &[f32],
        shape: &[i64],
        weights: &[&[f32]],
        training: bool,
    ) -> Vec<f32> {
        let layer = layer.into();
        layer.output_shape(shape).unwrap();
        let specs = layer.weights(shape);
        assert_eq!(specs.len(), weights.len());
        let weights: Vec<Weight> = specs
            .iter()
            .zip(weights)
            .map(|(spec, values)| {
                spec.with(Tensor::from_slice(values).view(&spec.shape[..])).unwrap()
            })
            .collect();
        let input = Tensor::from_slice(values).view(&[&[1], shape].concat()[..]);
        let _guard = tch::no_grad_guard();
        let output = layer.forward(&input, &weights, training).unwrap();
        assert_eq!(output.size()[1..], layer.output_shape(shape).unwrap());
        Vec::try_from(output.flatten(0, -1)).unwrap()
    }
}
