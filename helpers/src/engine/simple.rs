//! Layers that stay by themselves: libtorch's own forward and backward, without autograd between them.

use tch::{Kind, Tensor};

use super::chain::{Backward, Forward, Step};
use super::layout::{BLOCKS, blocks};
use super::products::{each_on_one_thread, linear, product};
use crate::error::Result;
use crate::layers::{Layer, Weight};

/// A fully connected layer.
pub(super) struct DenseStep {
    /// Index of the kernel.
    pub kernel: usize,
    /// Index of the bias.
    pub bias: Option<usize>,
    /// Frozen kernel and bias in the number format of the products; none if one of them is trained.
    pub constant: Option<(Tensor, Option<Tensor>)>,
}

struct DenseTape {
    input: Tensor,
    kernel: Tensor,
    /// Indices of the weights that are trained.
    trained_kernel: Option<usize>,
    trained_bias: Option<usize>,
}

impl Step for DenseStep {
    fn forward(&self, input: Tensor, weights: &[Weight], record: bool) -> Result<Forward> {
        let (kernel, bias) = match &self.constant {
            Some((kernel, bias)) => {
                (kernel.shallow_clone(), bias.as_ref().map(Tensor::shallow_clone))
            }
            None => {
                let weight = |index: usize| weights[index].in_kind(input.kind());
                (weight(self.kernel)?, self.bias.map(weight).transpose()?)
            }
        };
        let output = linear(&input, &kernel, bias.as_ref())?;
        if !record {
            return Ok(Forward { output, kept: None });
        }
        let trained = |index: &usize| weights[*index].trainable;
        let tape = DenseTape {
            input,
            kernel,
            trained_kernel: Some(self.kernel).filter(trained),
            trained_bias: self.bias.filter(trained),
        };
        Ok(Forward::recorded(output, tape))
    }
}

impl Backward for DenseTape {
    fn backward(
        self: Box<Self>,
        gradient: Tensor,
        needs_input_grad: bool,
        gradients: &mut [Tensor],
    ) -> Result<Tensor> {
        if let Some(index) = self.trained_kernel {
            gradients[index] = product(&gradient.f_transpose(0, 1)?, &self.input)?;
        }
        if let Some(index) = self.trained_bias {
            let sum = gradient.f_sum_dim_intlist(&[0i64][..], false, Some(Kind::Float))?;
            gradients[index] = sum;
        }
        Ok(if needs_input_grad { product(&gradient, &self.kernel)? } else { Tensor::new() })
    }
}

/// A layer without weights whose backward is known here.
pub(super) struct SimpleStep {
    pub layer: Layer,
}

impl SimpleStep {
    /// True for the layers whose backward [`SimpleStep`] implements.
    pub(super) fn supports(layer: &Layer) -> bool {
        matches!(
            layer,
            Layer::Relu(_)
                | Layer::Sigmoid(_)
                | Layer::MaxPooling2d(_)
                | Layer::GlobalAveragePooling2d(_)
                | Layer::UpSampling2d(_)
                | Layer::Cropping2d(_)
                | Layer::Flatten(_)
                | Layer::Reshape(_)
        )
    }
}

/// What the backward of a [`SimpleStep`] needs: shapes are those of the input batch.
enum SimpleTape {
    Relu { output: Tensor },
    Sigmoid { output: Tensor },
    MaxPooling2d { input: Tensor, indices: Tensor, pool_size: i64 },
    GlobalAveragePooling2d { shape: [i64; 4] },
    UpSampling2d { shape: Vec<i64>, sides: [i64; 2] },
    Cropping2d { shape: Vec<i64> },
    Reshaped { shape: Vec<i64> },
}

impl Step for SimpleStep {
    fn forward(&self, input: Tensor, _: &[Weight], record: bool) -> Result<Forward> {
        if let (Layer::MaxPooling2d(layer), true) = (&self.layer, record) {
            let (pool_size, side) = (layer.pool_size, [layer.pool_size; 2]);
            let (output, indices) =
                input.f_max_pool2d_with_indices(side, side, [0, 0], [1, 1], false)?;
            let tape = SimpleTape::MaxPooling2d { input, indices, pool_size };
            return Ok(Forward::recorded(output, tape));
        }
        let output = match self.layer {
            Layer::Sigmoid(_) => sigmoid(&input)?,
            _ => self.layer.forward(&input, &[], true)?,
        };
        if !record {
            return Ok(Forward { output, kept: None });
        }
        let shape = input.size();
        let tape = match (&self.layer, &shape[..]) {
            (Layer::Relu(_), _) => SimpleTape::Relu { output: output.shallow_clone() },
            (Layer::Sigmoid(_), _) => SimpleTape::Sigmoid { output: output.shallow_clone() },
            (Layer::GlobalAveragePooling2d(_), &[images, channels, height, width]) => {
                SimpleTape::GlobalAveragePooling2d { shape: [images, channels, height, width] }
            }
            (Layer::UpSampling2d(_), _) => {
                let size = output.size();
                SimpleTape::UpSampling2d { shape, sides: [size[2], size[3]] }
            }
            (Layer::Cropping2d(_), _) => SimpleTape::Cropping2d { shape },
            _ => SimpleTape::Reshaped { shape },
        };
        Ok(Forward::recorded(output, tape))
    }
}

/// Block by block: libtorch rounds the last values of each thread's part in another way than the rest, so that the bits would
/// depend on the number of threads.
fn sigmoid(input: &Tensor) -> Result<Tensor> {
    let output = input.f_empty_like()?;
    let parts = blocks(input.size()[0] as usize, BLOCKS)
        .map(|(first, end)| {
            let part = |of: &Tensor| of.f_narrow(0, first as i64, (end - first) as i64);
            Ok((part(&output)?, part(input)?))
        })
        .collect::<Result<Vec<_>>>()?;
    each_on_one_thread(parts, |(output, input)| Ok(input.f_sigmoid_out(&output)?))?;
    Ok(output)
}

impl Backward for SimpleTape {
    fn backward(self: Box<Self>, gradient: Tensor, _: bool, _: &mut [Tensor]) -> Result<Tensor> {
        Ok(match *self {
            SimpleTape::Relu { output } => output.f_threshold_backward(&gradient, 0.0)?,
            SimpleTape::Sigmoid { output } => Tensor::f_sigmoid_backward(&gradient, &output)?,
            SimpleTape::MaxPooling2d { input, indices, pool_size } => {
                let side = [pool_size; 2];
                input.f_max_pool2d_with_indices_backward(
                    &gradient,
                    side,
                    side,
                    [0, 0],
                    [1, 1],
                    false,
                    &indices,
                )?
            }
            SimpleTape::GlobalAveragePooling2d { shape: [images, channels, height, width] } => {
                let one = gradient.f_mul_scalar(1.0 / (height * width) as f64)?;
                let all = one.f_view([images, 1, 1, channels])?;
                let all = all.f_expand([images, height, width, channels], false)?;
                all.f_contiguous()?.f_permute([0, 3, 1, 2])?
            }
            SimpleTape::UpSampling2d { shape, sides } => {
                Tensor::f_upsample_nearest2d_backward(&gradient, sides, shape, None, None)?
            }
            SimpleTape::Cropping2d { shape } => {
                let size = gradient.size();
                let (right, bottom) = (shape[3] - size[3], shape[2] - size[2]);
                gradient.f_constant_pad_nd([0, right, 0, bottom])?
            }
            SimpleTape::Reshaped { shape } => match (gradient.dim(), &shape[..]) {
                // From a vector to a channels-last image, or from an image to a vector.
                (2, &[_, channels, height, width]) => {
                    let image = gradient.f_reshape([-1, height, width, channels])?;
                    image.f_permute([0, 3, 1, 2])?
                }
                (4, _) => gradient.f_permute([0, 2, 3, 1])?.f_reshape(shape)?,
                _ => gradient.f_reshape(shape)?,
            },
        })
    }
}
