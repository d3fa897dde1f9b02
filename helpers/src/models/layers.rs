//! Layers: what each does to a shape, which weights it has, and how it computes.
//!
//! Shapes leave the number of images out. Images are `(channels, height, width)` in memory terms and are shown as Keras
//! shows them, `height × width × channels`; a flat layer gives `(units,)`. Convolutions work on channels-last memory:
//! the strides say so, the shape stays `(N, C, H, W)`.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::init::Initializer;

/// One layer of a network, by its settings alone; [`super::Sequential`] chains them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Layer {
    /// Convolution with "same" padding (TensorFlow's rule: an odd pixel of padding goes below and to the right).
    Conv2d {
        /// Output channels.
        filters: i64,
        /// Side of the square kernel.
        kernel_size: i64,
        /// Step between neighbouring outputs.
        strides: i64,
        /// 1 for a full convolution; the number of channels for a depthwise one.
        groups: i64,
        /// Whether a bias is added.
        use_bias: bool,
        /// How the kernel is first drawn.
        kernel_initializer: Initializer,
    },
    /// Batch normalisation (Ioffe & Szegedy 2015).
    BatchNorm {
        /// Weight of the running statistics against a new batch's, as in Keras (its default is 0.99).
        momentum: f64,
        /// Added to the variance.
        epsilon: f64,
    },
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// The largest value of each `size × size` block; an incomplete block at the edge is left out, as in Keras.
    MaxPool2d {
        /// Side of a block, and the step between blocks.
        size: i64,
    },
    /// The mean over height and width of each channel.
    GlobalAveragePool2d,
    /// Each pixel repeated `size × size` times.
    UpSampling2d {
        /// Factor on height and width.
        size: i64,
    },
    /// The top left part of the image: what upsampling made too large.
    Cropping2d {
        /// Rows that stay.
        height: i64,
        /// Columns that stay.
        width: i64,
    },
    /// Sets each value to 0 with this probability while training, and scales the rest up (Srivastava et al. 2014).
    Dropout {
        /// Share of values dropped, in 0..1.
        rate: f64,
    },
    /// An image as one vector, row by row, channels last.
    Flatten,
    /// A vector as an image `(channels, height, width)`, the inverse of [`Layer::Flatten`].
    Reshape {
        /// Channels of the image.
        channels: i64,
        /// Rows of the image.
        height: i64,
        /// Columns of the image.
        width: i64,
    },
    /// A fully connected layer.
    Dense {
        /// Outputs.
        units: i64,
        /// Whether a bias is added.
        use_bias: bool,
        /// How the kernel is first drawn.
        kernel_initializer: Initializer,
    },
    /// An image of another size by bilinear interpolation, pixel centres at halves, as Keras's `Resizing`.
    Resize {
        /// Rows of the result.
        height: i64,
        /// Columns of the result.
        width: i64,
    },
    /// All channels, again and again: three times make a grey image one for a network that takes colours.
    RepeatChannels {
        /// How often.
        times: i64,
    },
    /// The layers inside, their output added to their input.
    Residual(Vec<Layer>),
    /// The layers inside, one after the other, under one name; they are frozen and set free together.
    Block {
        /// Unique in the network; letters, digits and `_`.
        name: String,
        /// The layers, in order.
        layers: Vec<Layer>,
    },
}

impl Layer {
    /// The kind, as the builder's method is called; also the stem of the layer's name.
    pub fn kind(&self) -> &'static str {
        match self {
            Layer::Conv2d { groups, .. } if *groups > 1 => "depthwise_conv2d",
            Layer::Conv2d { .. } => "conv2d",
            Layer::BatchNorm { .. } => "batch_norm",
            Layer::Relu => "relu",
            Layer::Relu6 => "relu6",
            Layer::Sigmoid => "sigmoid",
            Layer::MaxPool2d { .. } => "max_pool2d",
            Layer::GlobalAveragePool2d => "global_average_pool2d",
            Layer::UpSampling2d { .. } => "up_sampling2d",
            Layer::Cropping2d { .. } => "cropping2d",
            Layer::Dropout { .. } => "dropout",
            Layer::Flatten => "flatten",
            Layer::Reshape { .. } => "reshape",
            Layer::Dense { .. } => "dense",
            Layer::Resize { .. } => "resize",
            Layer::RepeatChannels { .. } => "repeat_channels",
            Layer::Residual(_) => "residual",
            Layer::Block { .. } => "block",
        }
    }

    /// Whether it, or a layer inside, draws at random while training.
    pub(crate) fn is_random(&self) -> bool {
        match self {
            Layer::Dropout { rate } => *rate > 0.0,
            Layer::Residual(layers) | Layer::Block { layers, .. } => {
                layers.iter().any(Layer::is_random)
            }
            _ => false,
        }
    }

    /// The shape that comes out for `shape` coming in, or what does not fit.
    pub(crate) fn output_shape(&self, shape: &[i64]) -> Result<Vec<i64>, String> {
        let image = || match shape {
            &[channels, height, width] => Ok((channels, height, width)),
            _ => Err(format!("takes images, but what comes before gives a vector of {}", shape[0])),
        };
        let at_least_one = |what: &str, value: i64| {
            if value >= 1 {
                Ok(())
            } else {
                Err(format!("`{what}` must be at least 1, got {value}"))
            }
        };
        match *self {
            Layer::Conv2d {
                filters, kernel_size, strides, groups, ref kernel_initializer, ..
            } => {
                let (channels, height, width) = image()?;
                at_least_one("filters", filters)?;
                at_least_one("kernel_size", kernel_size)?;
                at_least_one("strides", strides)?;
                at_least_one("groups", groups)?;
                if channels % groups != 0 || filters % groups != 0 {
                    return Err(format!(
                        "{channels} channels and {filters} filters do not divide into {groups} groups"
                    ));
                }
                kernel_initializer.check().map_err(|error| error.to_string())?;
                Ok(vec![filters, (height - 1) / strides + 1, (width - 1) / strides + 1])
            }
            Layer::BatchNorm { momentum, epsilon } => {
                if !(0.0..1.0).contains(&momentum) {
                    return Err(format!(
                        "`momentum` must lie in 0..1, got {momentum}; Keras takes 0.99"
                    ));
                }
                if !(epsilon > 0.0 && epsilon.is_finite()) {
                    return Err(format!(
                        "`epsilon` must be above 0, got {epsilon}; Keras takes 0.001"
                    ));
                }
                Ok(shape.to_vec())
            }
            Layer::Relu | Layer::Relu6 | Layer::Sigmoid => Ok(shape.to_vec()),
            Layer::MaxPool2d { size } => {
                let (channels, height, width) = image()?;
                at_least_one("size", size)?;
                if height < size || width < size {
                    return Err(format!(
                        "blocks of {size} × {size} do not fit into {height} × {width} pixels; leave out a pooling layer"
                    ));
                }
                Ok(vec![channels, height / size, width / size])
            }
            Layer::GlobalAveragePool2d => Ok(vec![image()?.0]),
            Layer::UpSampling2d { size } => {
                let (channels, height, width) = image()?;
                at_least_one("size", size)?;
                let grown = |side: i64| {
                    side.checked_mul(size).ok_or_else(|| format!("{side} × {size} is too large"))
                };
                Ok(vec![channels, grown(height)?, grown(width)?])
            }
            Layer::Cropping2d { height, width } => {
                let (channels, rows, columns) = image()?;
                at_least_one("height", height)?;
                at_least_one("width", width)?;
                if height > rows || width > columns {
                    return Err(format!(
                        "{height} × {width} pixels cannot be cut out of {rows} × {columns}"
                    ));
                }
                Ok(vec![channels, height, width])
            }
            Layer::Dropout { rate } => {
                if !(0.0..1.0).contains(&rate) {
                    return Err(format!(
                        "`rate` must lie in 0..1, got {rate}; 0.5 drops half of the values"
                    ));
                }
                Ok(shape.to_vec())
            }
            Layer::Flatten => {
                let values =
                    shape.iter().try_fold(1i64, |product, &side| product.checked_mul(side));
                Ok(vec![values.ok_or("the image has too many values")?])
            }
            Layer::Reshape { channels, height, width } => {
                let values = channels.checked_mul(height).and_then(|v| v.checked_mul(width));
                if channels < 1
                    || height < 1
                    || width < 1
                    || shape.len() != 1
                    || values != Some(shape[0])
                {
                    return Err(format!(
                        "{height} × {width} × {channels} needs a vector of that many values, got {}",
                        show_shape(shape)
                    ));
                }
                Ok(vec![channels, height, width])
            }
            Layer::Dense { units, ref kernel_initializer, .. } => {
                if shape.len() != 1 {
                    return Err(format!(
                        "takes a vector, got {}; put `flatten()` before it",
                        show_shape(shape)
                    ));
                }
                at_least_one("units", units)?;
                kernel_initializer.check().map_err(|error| error.to_string())?;
                Ok(vec![units])
            }
            Layer::Resize { height, width } => {
                at_least_one("height", height)?;
                at_least_one("width", width)?;
                Ok(vec![image()?.0, height, width])
            }
            Layer::RepeatChannels { times } => {
                let (channels, height, width) = image()?;
                at_least_one("times", times)?;
                let channels = channels
                    .checked_mul(times)
                    .ok_or_else(|| format!("{channels} × {times} is too large"))?;
                Ok(vec![channels, height, width])
            }
            Layer::Block { ref name, ref layers } => {
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
                if name.is_empty() || !name.chars().all(plain) {
                    return Err("a block's `name` has letters, digits and `_` alone".to_owned());
                }
                chain(layers, shape)
            }
            Layer::Residual(ref inside) => {
                let current = chain(inside, shape)?;
                if current != shape {
                    return Err(format!(
                        "what is inside gives {}, which cannot be added to its input of {}",
                        show_shape(&current),
                        show_shape(shape)
                    ));
                }
                Ok(current)
            }
        }
    }
}

/// The shape that comes out of these layers, one after the other.
fn chain(layers: &[Layer], shape: &[i64]) -> Result<Vec<i64>, String> {
    layers.iter().try_fold(shape.to_vec(), |shape, layer| {
        layer.output_shape(&shape).map_err(|problem| format!("{}: {problem}", layer.kind()))
    })
}

/// A shape as Keras shows it: channels last, the number of images left out.
pub(crate) fn show_shape(shape: &[i64]) -> String {
    match *shape {
        [channels, height, width] => format!("{height} × {width} × {channels}"),
        _ => shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × "),
    }
}

/// A convolution with TensorFlow's "same" padding.
pub(crate) fn conv2d_same(
    input: &Tensor,
    kernel: &Tensor,
    bias: Option<&Tensor>,
    strides: i64,
    groups: i64,
) -> Tensor {
    let size = input.size();
    let side = kernel.size()[2];
    let [top, bottom] = same_padding(size[2], side, strides);
    let [left, right] = same_padding(size[3], side, strides);
    if top == bottom && left == right {
        return input.conv2d(kernel, bias, [strides; 2], [top, left], [1, 1], groups);
    }
    let padded = input.constant_pad_nd([left, right, top, bottom]);
    padded.conv2d(kernel, bias, [strides; 2], [0, 0], [1, 1], groups)
}

/// How many pixels TensorFlow's "same" padding adds before and after a side of this length.
pub(crate) fn same_padding(length: i64, kernel: i64, strides: i64) -> [i64; 2] {
    let added = (((length - 1) / strides) * strides + kernel - length).max(0);
    [added / 2, added - added / 2]
}

/// An image batch as vectors, channels last; free for channels-last memory.
pub(crate) fn flatten(input: &Tensor) -> Tensor {
    match input.dim() {
        4 => input.permute([0, 2, 3, 1]).reshape([input.size()[0], -1]),
        _ => input.reshape([input.size()[0], -1]),
    }
}

/// The inverse of [`flatten`].
pub(crate) fn reshape(input: &Tensor, channels: i64, height: i64, width: i64) -> Tensor {
    input.reshape([-1, height, width, channels]).permute([0, 3, 1, 2])
}

/// The channels `times` over, in channels-last memory.
pub(crate) fn repeat_channels(input: &Tensor, times: i64) -> Tensor {
    input.permute([0, 2, 3, 1]).repeat([1, 1, 1, times]).permute([0, 3, 1, 2])
}

/// `tensor` in `kind`, itself when it is of that kind already.
pub(crate) fn cast(tensor: &Tensor, kind: Kind) -> Tensor {
    if tensor.kind() == kind { tensor.shallow_clone() } else { tensor.to_kind(kind) }
}
