//! A training step's way forwards and back, without libtorch's autograd.
//!
//! What a network's layers do to a batch is recorded, with what each needs on its way back; that leaves room for layers
//! that go together ([`super::fused`]) and for memory that is let go as soon as it has served. Networks with layers that
//! are frozen or only known to autograd take that instead: [`Recording::knows`].

use std::ffi::c_void;
use std::ptr::{null, null_mut};

use tch::{Kind, Tensor};

use super::fused::{Dropout, Follows, Normalized};
use super::layers::{self, Layer};
use super::model::{Node, Weight};
use crate::error::{Error, Result};

/// What a training step did, layer by layer.
pub(crate) struct Recording {
    steps: Vec<Step>,
}

/// A layer, or several as one, and what its way back needs.
enum Step {
    Conv2d {
        input: Tensor,
        kernel: Tensor,
        place: usize,
        bias: Option<usize>,
        convolution: Convolution,
    },
    Dense {
        input: Tensor,
        kernel: Tensor,
        place: usize,
        bias: Option<usize>,
    },
    Normalized {
        gamma: usize,
        done: Box<Normalized>,
    },
    Dropout(Dropout),
    Relu {
        output: Tensor,
    },
    Sigmoid {
        output: Tensor,
    },
    MaxPool2d {
        input: Tensor,
        indices: Tensor,
        size: i64,
    },
    UpSampling2d {
        input: Vec<i64>,
        output: Vec<i64>,
    },
    Cropping2d {
        input: Vec<i64>,
    },
    Flatten {
        input: Vec<i64>,
    },
    Reshape,
}

/// How a convolution moves over its input.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Convolution {
    strides: i64,
    groups: i64,
    /// Left, right, top, bottom of what was added to the input before.
    added: [i64; 4],
    padding: [i64; 2],
}

impl Recording {
    /// Whether these layers can be recorded: each kind is known here, and all weights are trained.
    pub(crate) fn knows(nodes: &[Node], weights: &[Weight]) -> bool {
        let trained = |place: usize| weights[place].trainable;
        nodes.iter().all(|node| match node {
            Node::Conv2d { kernel, bias, .. } | Node::Dense { kernel, bias, .. } => {
                trained(*kernel) && bias.is_none_or(trained)
            }
            Node::BatchNorm { gamma, .. } => trained(*gamma) && trained(gamma + 1),
            Node::Residual(_) | Node::Block(_) => false,
            Node::Plain(layer) => matches!(
                layer,
                Layer::Relu
                    | Layer::Sigmoid
                    | Layer::MaxPool2d { .. }
                    | Layer::UpSampling2d { .. }
                    | Layer::Cropping2d { .. }
                    | Layer::Dropout { .. }
                    | Layer::Flatten
                    | Layer::Reshape { .. }
            ),
        })
    }

    /// What `nodes` make of a batch while training; running statistics follow.
    pub(crate) fn forward(
        mut nodes: &[Node],
        weights: &[Weight],
        input: Tensor,
    ) -> Result<(Tensor, Recording)> {
        let _guard = tch::no_grad_guard();
        let (mut current, mut steps) = (input, Vec::new());
        while let Some((node, rest)) = nodes.split_first() {
            nodes = rest;
            let (output, step) = match node {
                Node::BatchNorm { gamma, momentum, epsilon } => {
                    let (follows, rest) = follows(rest, &current, true)?;
                    nodes = rest;
                    let [scale, shift, mean, variance] =
                        [0, 1, 2, 3].map(|offset| &weights[gamma + offset].tensor);
                    let (output, statistics, done) =
                        Normalized::new(&current, scale, shift, *epsilon, follows)?;
                    for (running, new) in [(mean, statistics.mean), (variance, statistics.variance)]
                    {
                        let _ = running.shallow_clone().f_lerp_(&new, 1.0 - momentum)?;
                    }
                    (output, Some(Step::Normalized { gamma: *gamma, done: Box::new(done) }))
                }
                _ => step(node, weights, &current)?,
            };
            current = output;
            steps.extend(step);
        }
        Ok((current, Recording { steps }))
    }

    /// The gradient of each weight, by its place, from that of the output; undefined for what is not a weight of these
    /// layers.
    pub(crate) fn backward(self, gradient: Tensor, weights: &[Weight]) -> Result<Vec<Tensor>> {
        let _guard = tch::no_grad_guard();
        let mut gradients: Vec<Tensor> = weights.iter().map(|_| Tensor::new()).collect();
        let mut gradient = gradient;
        // Each step takes with it what it had kept.
        for (place, step) in self.steps.into_iter().enumerate().rev() {
            // Nobody needs the gradient of the images.
            gradient = step.backward(gradient, place > 0, &mut gradients)?;
        }
        for (gradient, weight) in gradients.iter_mut().zip(weights) {
            if gradient.defined() {
                *gradient = gradient.f_to_kind(Kind::Float)?.f_contiguous()?;
                debug_assert_eq!(gradient.size(), weight.tensor.size());
            }
        }
        Ok(gradients)
    }
}

/// What goes into one pass with a batch normalisation, and the nodes after it.
pub(super) fn follows<'a>(
    nodes: &'a [Node],
    input: &Tensor,
    training: bool,
) -> Result<(Follows, &'a [Node])> {
    let [Node::Plain(Layer::Relu), rest @ ..] = nodes else {
        return Ok((Follows::default(), nodes));
    };
    let follows = Follows { relu: true, ..Follows::default() };
    Ok(match rest {
        [Node::Plain(Layer::MaxPool2d { size: 2 }), rest @ ..] if input.dim() == 4 => {
            (Follows { pool: true, ..follows }, rest)
        }
        [Node::Plain(Layer::Dropout { rate }), rest @ ..] if training && *rate > 0.0 => {
            (Follows { dropout: Some(Dropout::draw(*rate)?), ..follows }, rest)
        }
        _ => (follows, rest),
    })
}

/// What a layer makes of its input, and its way back, if it has one.
fn step(node: &Node, weights: &[Weight], input: &Tensor) -> Result<(Tensor, Option<Step>)> {
    let weight = |place: usize| layers::cast(&weights[place].tensor, input.kind());
    let size = input.size();
    let input = input.shallow_clone();
    Ok(match node {
        Node::Conv2d { kernel: place, bias, strides, groups, .. } => {
            let kernel = weight(*place);
            let (input, convolution) = Convolution::of(input, kernel.size()[2], *strides, *groups)?;
            let output = convolution.forward(&input, &kernel, bias.map(weight).as_ref())?;
            let (place, bias) = (*place, *bias);
            (output, Some(Step::Conv2d { input, kernel, place, bias, convolution }))
        }
        Node::Dense { kernel: place, bias, .. } => {
            let kernel = weight(*place);
            let output = input.f_linear(&kernel, bias.map(weight).as_ref())?;
            (output, Some(Step::Dense { input, kernel, place: *place, bias: *bias }))
        }
        Node::Plain(layer) => match *layer {
            Layer::Relu => {
                let output = input.f_relu()?;
                (output.shallow_clone(), Some(Step::Relu { output }))
            }
            Layer::Sigmoid => {
                let output = input.f_sigmoid()?;
                (output.shallow_clone(), Some(Step::Sigmoid { output }))
            }
            Layer::MaxPool2d { size } => {
                let (output, indices) =
                    input.f_max_pool2d_with_indices([size; 2], [size; 2], [0, 0], [1, 1], false)?;
                (output, Some(Step::MaxPool2d { input, indices, size }))
            }
            Layer::UpSampling2d { size: factor } => {
                let sides = [size[2] * factor, size[3] * factor];
                let output = input.f_upsample_nearest2d(sides, None::<f64>, None::<f64>)?;
                (output, Some(Step::UpSampling2d { input: size, output: sides.to_vec() }))
            }
            Layer::Cropping2d { height, width } => {
                let output = input.f_narrow(2, 0, height)?.f_narrow(3, 0, width)?;
                (output, Some(Step::Cropping2d { input: size }))
            }
            Layer::Dropout { rate } if rate > 0.0 => {
                let dropout = Dropout::draw(rate)?;
                (dropout.apply(&input)?, Some(Step::Dropout(dropout)))
            }
            Layer::Dropout { .. } => (input, None),
            Layer::Flatten => (layers::flatten(&input), Some(Step::Flatten { input: size })),
            Layer::Reshape { channels, height, width } => {
                (layers::reshape(&input, channels, height, width), Some(Step::Reshape))
            }
            _ => unreachable!("`knows` leaves out what has no way back here"),
        },
        _ => unreachable!("`knows` leaves out what has no way back here"),
    })
}

impl Step {
    /// The gradient of the layer's input, if it is `wanted`; those of its weights go to their places.
    fn backward(self, gradient: Tensor, wanted: bool, gradients: &mut [Tensor]) -> Result<Tensor> {
        Ok(match self {
            Step::Conv2d { input, kernel, place, bias, convolution } => {
                let wanted = [wanted, true, bias.is_some()];
                let [of_input, of_kernel, of_bias] =
                    convolution.backward(&gradient, &input, &kernel, wanted)?;
                gradients[place] = of_kernel;
                if let Some(bias) = bias {
                    gradients[bias] = of_bias;
                }
                convolution.without_added(of_input)?
            }
            Step::Dense { input, kernel, place, bias } => {
                gradients[place] = gradient.f_transpose(0, 1)?.f_mm(&input)?;
                if let Some(bias) = bias {
                    gradients[bias] =
                        gradient.f_sum_dim_intlist(&[0i64][..], false, Some(Kind::Float))?;
                }
                if wanted { gradient.f_mm(&kernel)? } else { Tensor::new() }
            }
            Step::Normalized { gamma, done } => {
                let found = done.backward(&gradient)?;
                gradients[gamma] = found.gamma;
                gradients[gamma + 1] = found.beta;
                found.input
            }
            Step::Dropout(dropout) => dropout.apply(&gradient)?,
            Step::Relu { output } => output.f_threshold_backward(&gradient, 0.0)?,
            Step::Sigmoid { output } => Tensor::f_sigmoid_backward(&gradient, &output)?,
            Step::MaxPool2d { input, indices, size } => input.f_max_pool2d_with_indices_backward(
                &gradient,
                [size; 2],
                [size; 2],
                [0, 0],
                [1, 1],
                false,
                &indices,
            )?,
            Step::UpSampling2d { input, output } => {
                Tensor::f_upsample_nearest2d_backward(&gradient, output, input, None, None)?
            }
            Step::Cropping2d { input } => {
                let size = gradient.size();
                let (right, bottom) = (input[3] - size[3], input[2] - size[2]);
                gradient.f_constant_pad_nd([0, right, 0, bottom])?
            }
            Step::Flatten { input } => match input[..] {
                [_, channels, height, width] => layers::reshape(&gradient, channels, height, width),
                _ => gradient.f_reshape(input)?,
            },
            Step::Reshape => layers::flatten(&gradient),
        })
    }
}

impl Convolution {
    /// One with "same" padding, and the input it goes over.
    fn of(input: Tensor, side: i64, strides: i64, groups: i64) -> Result<(Tensor, Convolution)> {
        let size = input.size();
        let [top, bottom] = layers::same_padding(size[2], side, strides);
        let [left, right] = layers::same_padding(size[3], side, strides);
        if top == bottom && left == right {
            let convolution = Convolution { strides, groups, added: [0; 4], padding: [top, left] };
            return Ok((input, convolution));
        }
        let added = [left, right, top, bottom];
        let input = input.f_constant_pad_nd(added)?;
        Ok((input, Convolution { strides, groups, added, padding: [0, 0] }))
    }

    fn forward(&self, input: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let Convolution { strides, groups, padding, .. } = *self;
        Ok(input.f_conv2d(kernel, bias, [strides; 2], padding, [1, 1], groups)?)
    }

    /// The gradients of input, kernel and bias, those that are `wanted`.
    fn backward(
        &self,
        gradient: &Tensor,
        input: &Tensor,
        kernel: &Tensor,
        wanted: [bool; 3],
    ) -> Result<[Tensor; 3]> {
        let (strides, padding) = ([self.strides; 2], self.padding);
        let (dilation, output_padding) = ([1i64, 1], [0i64, 0]);
        let mask = wanted.map(i32::from);
        let filters = [kernel.size()[0]];
        let bias_sizes = filters.as_ptr();
        let mut found: [*mut c_void; 3] = [null_mut(); 3];
        let [of_input, of_kernel, of_bias] = &mut found;
        // SAFETY: the three tensors live through the call, and a tensor of tch is a pointer to one of libtorch, which
        // is what a handle is; each list comes with its length; and the results are new tensors that are ours.
        let status = unsafe {
            aoti_torch_cpu_convolution_backward(
                gradient.as_ptr().cast(),
                input.as_ptr().cast(),
                kernel.as_ptr().cast(),
                if wanted[2] { &raw const bias_sizes } else { null() },
                1,
                strides.as_ptr(),
                2,
                padding.as_ptr(),
                2,
                dilation.as_ptr(),
                2,
                0,
                output_padding.as_ptr(),
                2,
                self.groups,
                mask.as_ptr(),
                3,
                of_input,
                of_kernel,
                of_bias,
            )
        };
        if status != 0 {
            return Err(Error::from(tch::TchError::Torch(
                "a convolution's gradient could not be computed".to_owned(),
            )));
        }
        Ok(found.map(|handle| match handle.is_null() {
            true => Tensor::new(),
            // SAFETY: it is the handle of a new tensor, and freed by nobody else.
            false => unsafe { Tensor::from_ptr(handle.cast()) },
        }))
    }

    /// The gradient of the input as it was before something was added to it.
    fn without_added(&self, gradient: Tensor) -> Result<Tensor> {
        if !gradient.defined() || self.added == [0; 4] {
            return Ok(gradient);
        }
        let ([left, right, top, bottom], size) = (self.added, gradient.size());
        let rows = gradient.f_narrow(2, top, size[2] - top - bottom)?;
        Ok(rows.f_narrow(3, left, size[3] - left - right)?)
    }
}

unsafe extern "C" {
    /// `at::convolution_backward`, which tch does not bind, in libtorch's C interface (`c_shim_cpu.h`).
    #[allow(clippy::too_many_arguments, reason = "libtorch's own")]
    fn aoti_torch_cpu_convolution_backward(
        grad_output: *const c_void,
        input: *const c_void,
        weight: *const c_void,
        bias_sizes: *const *const i64,
        bias_sizes_len: i64,
        stride: *const i64,
        stride_len: i64,
        padding: *const i64,
        padding_len: i64,
        dilation: *const i64,
        dilation_len: i64,
        transposed: i32,
        output_padding: *const i64,
        output_padding_len: i64,
        groups: i64,
        output_mask: *const i32,
        output_mask_len: i64,
        of_input: *mut *mut c_void,
        of_weight: *mut *mut c_void,
        of_bias: *mut *mut c_void,
    ) -> i32;
}

#[cfg(test)]
mod tests {
    use tch::{Device, Reduction};

    use super::*;
    use crate::data::ImageShape;
    use crate::models::{AutoencoderConfig, CnnConfig, DenseConfig, Model, Precision, Sequential};

    /// Outputs, gradients by name and statistics of one training step, recorded here or by libtorch's autograd.
    fn step(network: &Sequential, images: &Tensor, recorded: bool) -> Vec<(String, Tensor)> {
        let mut model = network.clone().build(3).unwrap();
        model.precision = Precision::Float32;
        let (outputs, recording) = match recorded {
            true => model.forward_training(0, images).unwrap(),
            false => (model.forward_from(0, images, true), None),
        };
        assert_eq!(recording.is_some(), recorded, "this network can be recorded");
        // Something that weighs each output differently.
        let wanted = (outputs.detach() * 3.0).sin();
        outputs.mse_loss(&wanted, Reduction::Sum).backward();
        let gradients = model.gradients(&outputs, recording).unwrap();
        let mut found = vec![("outputs".to_owned(), outputs.detach())];
        for (weight, gradient) in model.weights.iter().zip(gradients) {
            let value = if weight.trainable { gradient } else { weight.tensor.detach() };
            found.push((weight.name.clone(), value));
        }
        found
    }

    fn check(network: &Sequential, shape: [i64; 3]) {
        tch::manual_seed(1);
        let images = Tensor::randn([6, shape[1], shape[2], shape[0]], (Kind::Float, Device::Cpu));
        let images = images.permute([0, 3, 1, 2]);
        let (ours, theirs) = (step(network, &images, true), step(network, &images, false));
        assert_eq!(ours.len(), theirs.len());
        for ((name, ours), (_, theirs)) in ours.iter().zip(&theirs) {
            assert_eq!(ours.size(), theirs.size(), "{name}");
            // A bias before a normalisation has no gradient but noise.
            let scale = theirs.abs().max().double_value(&[]).max(0.05);
            let apart = (ours - theirs).abs().max().double_value(&[]) / scale;
            assert!(apart < 2e-4, "{name}: {apart:e} of {scale}");
        }
    }

    fn grey(side: usize) -> ImageShape {
        ImageShape { height: side, width: side, channels: 1 }
    }

    #[test]
    fn a_convolutional_network_has_autograds_gradients() {
        let config =
            CnnConfig { filters: [4, 5, 6, 7], dense: 9, dropout: 0.0, ..Default::default() };
        // Sides that halve with rests: 30, 15, 7, 3.
        check(&config.network(grey(30), 3), [1, 30, 30]);
        let colours = ImageShape { height: 20, width: 9, channels: 3 };
        check(&config.network(colours, 3), [3, 20, 9]);
    }

    #[test]
    fn a_dense_network_has_autograds_gradients() {
        let config = DenseConfig { hidden: vec![33, 20], dropout: 0.0, ..DenseConfig::default() };
        check(&config.network(grey(9), 4), [1, 9, 9]);
    }

    #[test]
    fn an_autoencoder_has_autograds_gradients() {
        let config =
            AutoencoderConfig { filters: [4, 6], dense: 20, ..AutoencoderConfig::default() };
        check(&config.network(grey(28)).unwrap(), [1, 28, 28]);
        check(&config.network(grey(13)).unwrap(), [1, 13, 13]);
    }

    #[test]
    fn layers_in_another_order_have_autograds_gradients() {
        let network = Sequential::new(grey(12))
            .conv2d(5, 3)
            .relu()
            .max_pool2d(3)
            .batch_norm()
            .max_pool2d(2)
            .conv2d_strided(4, 3, 2)
            .batch_norm()
            .relu()
            .flatten()
            .batch_norm()
            .dense(3);
        check(&network, [1, 12, 12]);
    }

    #[test]
    fn what_is_dropped_on_the_way_there_is_dropped_on_the_way_back() {
        let network = Sequential::for_vectors(400).dropout(0.3).dense(300).batch_norm().relu();
        let model = network.dropout(0.5).build(2).unwrap();
        let input = Tensor::ones([50, 400], (Kind::Float, Device::Cpu)).requires_grad_(false);
        tch::manual_seed(4);
        let (first, _) = model.forward_training(0, &input).unwrap();
        let (second, _) = model.forward_training(0, &input).unwrap();
        tch::manual_seed(4);
        let (again, _) = model.forward_training(0, &input).unwrap();
        assert!(first.equal(&again) && !first.equal(&second));
    }

    #[test]
    fn a_network_with_frozen_layers_is_left_to_autograd() {
        let mut model: Model = Sequential::for_vectors(4).dense(3).dense(2).build(1).unwrap();
        assert!(Recording::knows(&[], &model.weights));
        model.freeze();
        let input = Tensor::ones([2, 4], (Kind::Float, Device::Cpu));
        assert!(model.forward_training(0, &input).unwrap().1.is_none());
    }
}
