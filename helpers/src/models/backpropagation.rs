//! A training step's way forwards and back, without libtorch's autograd.
//!
//! What a network's layers do to a batch is recorded, with what each needs on its way back; that leaves room for layers
//! that go together ([`super::fused`]) and for memory that is let go as soon as it has served. Of a network that begins
//! with frozen layers only what comes behind them is recorded. Networks with something that is known to autograd alone
//! take that instead: [`Recording::knows`].

use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::rc::Rc;

use tch::{Kind, Tensor};

use super::frozen::Frozen;
use super::fused::depthwise::{Depthwise, Done};
use super::fused::{Dropout, Follows, Normalized, relu6_, relu6_backward};
use super::layers::{self, Layer};
use super::model::{Node, Weight};
use crate::error::{Error, Result};

/// What a training step did, layer by layer.
#[derive(Default)]
pub(crate) struct Recording {
    steps: Vec<Recorded>,
}

/// A step of a [`Recording`].
struct Recorded {
    step: Step,
    /// Whether something before it is trained, which needs the gradient of its input.
    wanted: bool,
}

/// A layer, or several as one, and what its way back needs.
enum Step {
    Conv2d {
        input: Tensor,
        kernel: Tensor,
        /// What the kernel was multiplied by, filter by filter, for a frozen normalisation behind it.
        factor: Option<Tensor>,
        trained: Trained,
        convolution: Convolution,
    },
    Depthwise {
        layer: Rc<Depthwise>,
        done: Done,
    },
    Dense {
        input: Tensor,
        kernel: Tensor,
        trained: Trained,
    },
    Normalized {
        gamma: usize,
        done: Box<Normalized>,
    },
    Dropout(Dropout),
    Relu {
        output: Tensor,
    },
    Relu6 {
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
    GlobalAveragePool2d {
        input: Vec<i64>,
    },
    Flatten {
        input: Vec<i64>,
    },
    Reshape,
    /// The layers inside, whose output was added to their input.
    Residual(Recording),
}

/// The places of the weights of a layer that are trained.
#[derive(Clone, Copy)]
struct Trained {
    kernel: Option<usize>,
    bias: Option<usize>,
}

impl Trained {
    fn of(kernel: usize, bias: Option<usize>, weights: &[Weight]) -> Trained {
        let trained = |place: &usize| weights[*place].trainable;
        Trained { kernel: Some(kernel).filter(trained), bias: bias.filter(trained) }
    }

    fn any(self) -> bool {
        self.kernel.is_some() || self.bias.is_some()
    }
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
    /// Whether these layers can be recorded: each kind is known here, and a batch normalisation is trained as a whole or
    /// stands, frozen, behind a convolution.
    pub(crate) fn knows(nodes: &[Node], weights: &[Weight]) -> bool {
        knows(nodes, weights, &mut false)
    }

    /// What `nodes` make of a batch while training; running statistics follow.
    pub(crate) fn forward(
        nodes: &[Node],
        weights: &[Weight],
        frozen: &Frozen,
        input: Tensor,
    ) -> Result<(Tensor, Recording)> {
        let _guard = tch::no_grad_guard();
        Recording::of(nodes, weights, frozen, input, &mut false)
    }

    /// As [`Recording::forward`]; `wanted`: whether something before is trained, or, afterwards, up to here.
    fn of(
        mut nodes: &[Node],
        weights: &[Weight],
        frozen: &Frozen,
        input: Tensor,
        wanted: &mut bool,
    ) -> Result<(Tensor, Recording)> {
        let (mut current, mut recording) = (input, Recording::default());
        // Whether `current` comes out of a convolution, which keeps it not.
        let mut owned = false;
        while let Some((node, rest)) = nodes.split_first() {
            nodes = rest;
            let before = *wanted;
            let convolved = matches!(node, Node::Conv2d { .. });
            let (output, step) = match (node, rest) {
                (Node::BatchNorm { gamma, momentum, epsilon }, rest) => {
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
                    *wanted = true;
                    (output, Some(Step::Normalized { gamma: *gamma, done: Box::new(done) }))
                }
                (Node::Conv2d { kernel, .. }, [_, rest @ ..])
                    if let Some(layer) = frozen.depthwise(*kernel) =>
                {
                    nodes = if layer.relu6() { &rest[1..] } else { rest };
                    let (output, mut done) = layer.forward(&current)?;
                    // The ReLU6 before it is taken along on the way back.
                    if let Some(Recorded { step: Step::Relu6 { .. }, wanted }) =
                        recording.steps.last()
                    {
                        debug_assert!(*wanted || before);
                        recording.steps.pop();
                        done.behind_relu6 = true;
                    }
                    (output, Some(Step::Depthwise { layer: Rc::clone(layer), done }))
                }
                (Node::Conv2d { kernel, bias: None, strides, groups, .. }, [norm, rest @ ..])
                    if let Some(norm) = frozen.norm(norm) =>
                {
                    nodes = rest;
                    let trained = Trained::of(*kernel, None, weights);
                    let kernel = match frozen.kernel(*kernel) {
                        Some(kernel) => kernel.shallow_clone(),
                        None => norm.kernel(&weights[*kernel].tensor, current.kind())?,
                    };
                    let shift = layers::cast(&norm.shift, current.kind());
                    let (input, convolution) =
                        Convolution::of(current, kernel.size()[2], *strides, *groups)?;
                    let output = convolution.forward(&input, &kernel, Some(&shift))?;
                    *wanted |= trained.any();
                    let factor = Some(norm.factor.shallow_clone());
                    (output, Some(Step::Conv2d { input, kernel, factor, trained, convolution }))
                }
                (Node::Block(inside), _) => {
                    let (output, inside) = Recording::of(inside, weights, frozen, current, wanted)?;
                    recording.steps.extend(inside.steps);
                    (output, None)
                }
                (Node::Residual(inside), _) => {
                    let input = current.shallow_clone();
                    let (output, inside) = Recording::of(inside, weights, frozen, current, wanted)?;
                    (output.f_add(&input)?, Some(Step::Residual(inside)))
                }
                (Node::Plain(Layer::Relu6), _) if owned => {
                    relu6_(&current);
                    (current.shallow_clone(), Some(Step::Relu6 { output: current }))
                }
                _ => step(node, weights, &current, wanted)?,
            };
            (current, owned) = (output, convolved);
            if *wanted {
                let recorded = |step| Recorded { step, wanted: before };
                recording.steps.extend(step.map(recorded));
            }
        }
        Ok((current, recording))
    }

    /// The gradient of each weight, by its place, from that of the output, `f32` or bf16; undefined for what is not a trained weight of
    /// these layers.
    pub(crate) fn backward(self, gradient: Tensor, weights: &[Weight]) -> Result<Vec<Tensor>> {
        let _guard = tch::no_grad_guard();
        let mut gradients: Vec<Tensor> = weights.iter().map(|_| Tensor::new()).collect();
        let _nobody_wants_it = self.back(gradient, &mut gradients)?;
        let fits = |(g, w): (&Tensor, &Weight)| !g.defined() || g.size() == w.tensor.size();
        debug_assert!(gradients.iter().zip(weights).all(fits));
        Ok(gradients)
    }

    /// The gradient of the input, undefined if nobody wants it; those of the weights go to their places.
    fn back(self, gradient: Tensor, gradients: &mut [Tensor]) -> Result<Tensor> {
        let mut gradient = gradient;
        // Each step takes with it what it had kept.
        for Recorded { step, wanted } in self.steps.into_iter().rev() {
            gradient = step.backward(gradient, wanted, gradients)?;
        }
        Ok(gradient)
    }
}

/// [`Recording::knows`]; `wanted`: whether something before is trained, or, afterwards, up to here.
fn knows(nodes: &[Node], weights: &[Weight], wanted: &mut bool) -> bool {
    let mut before: Option<&Node> = None;
    nodes.iter().all(|node| {
        let known = match node {
            Node::Conv2d { kernel, bias, .. } | Node::Dense { kernel, bias, .. } => {
                *wanted |= Trained::of(*kernel, *bias, weights).any();
                true
            }
            Node::BatchNorm { gamma, .. } => {
                let trained = [0, 1].map(|offset| weights[gamma + offset].trainable);
                *wanted |= trained[0];
                match trained {
                    [true, true] => true,
                    [false, false] => matches!(before, Some(Node::Conv2d { bias: None, .. })),
                    _ => false,
                }
            }
            Node::Residual(inside) | Node::Block(inside) => knows(inside, weights, wanted),
            // Nothing that is trained comes before these.
            Node::Plain(Layer::Resize { .. } | Layer::RepeatChannels { .. }) => !*wanted,
            Node::Plain(_) => true,
        };
        before = Some(node);
        known
    })
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

/// What a layer makes of its input, and its way back, if it has one; `wanted` becomes true if the layer is trained.
fn step(
    node: &Node,
    weights: &[Weight],
    input: &Tensor,
    wanted: &mut bool,
) -> Result<(Tensor, Option<Step>)> {
    let weight = |place: usize| layers::cast(&weights[place].tensor, input.kind());
    let size = input.size();
    let input = input.shallow_clone();
    Ok(match node {
        Node::Conv2d { kernel: place, bias, strides, groups, .. } => {
            let (kernel, trained) = (weight(*place), Trained::of(*place, *bias, weights));
            *wanted |= trained.any();
            let (input, convolution) = Convolution::of(input, kernel.size()[2], *strides, *groups)?;
            let output = convolution.forward(&input, &kernel, bias.map(weight).as_ref())?;
            (output, Some(Step::Conv2d { input, kernel, factor: None, trained, convolution }))
        }
        Node::Dense { kernel: place, bias, .. } => {
            let (kernel, trained) = (weight(*place), Trained::of(*place, *bias, weights));
            *wanted |= trained.any();
            let output = input.f_linear(&kernel, bias.map(weight).as_ref())?;
            (output, Some(Step::Dense { input, kernel, trained }))
        }
        Node::Plain(layer) => match *layer {
            Layer::Relu => {
                let output = input.f_relu()?;
                (output.shallow_clone(), Some(Step::Relu { output }))
            }
            Layer::Relu6 => {
                let output = input.f_relu6()?;
                (output.shallow_clone(), Some(Step::Relu6 { output }))
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
            Layer::GlobalAveragePool2d => {
                let output = input.f_mean_dim(&[2i64, 3][..], false, None::<Kind>)?;
                (output, Some(Step::GlobalAveragePool2d { input: size }))
            }
            Layer::Resize { height, width } => {
                let output = input.f_upsample_bilinear2d(
                    [height, width],
                    false,
                    None::<f64>,
                    None::<f64>,
                )?;
                (output, None)
            }
            Layer::RepeatChannels { times } => (layers::repeat_channels(&input, times), None),
            Layer::Dropout { rate } if rate > 0.0 => {
                let dropout = Dropout::draw(rate)?;
                (dropout.apply(&input)?, Some(Step::Dropout(dropout)))
            }
            Layer::Dropout { .. } => (input, None),
            Layer::Flatten => (layers::flatten(&input), Some(Step::Flatten { input: size })),
            Layer::Reshape { channels, height, width } => {
                (layers::reshape(&input, channels, height, width), Some(Step::Reshape))
            }
            Layer::Conv2d { .. }
            | Layer::BatchNorm { .. }
            | Layer::Dense { .. }
            | Layer::Residual(_)
            | Layer::Block { .. } => unreachable!("layers with weights are nodes of their own"),
        },
        Node::BatchNorm { .. } | Node::Residual(_) | Node::Block(_) => {
            unreachable!("they are recorded before")
        }
    })
}

impl Step {
    /// The gradient of the layer's input, if it is `wanted`; those of its weights go to their places.
    fn backward(self, gradient: Tensor, wanted: bool, gradients: &mut [Tensor]) -> Result<Tensor> {
        Ok(match self {
            Step::Conv2d { input, kernel, factor, trained, convolution } => {
                let wanted = [wanted, trained.kernel.is_some(), trained.bias.is_some()];
                let [of_input, of_kernel, of_bias] =
                    convolution.backward(&gradient, &input, &kernel, wanted)?;
                if let Some(place) = trained.kernel {
                    gradients[place] = match factor {
                        Some(factor) => factor.f_mul(&of_kernel)?,
                        None => of_kernel,
                    };
                }
                if let Some(bias) = trained.bias {
                    gradients[bias] = of_bias;
                }
                convolution.without_added(of_input)?
            }
            Step::Depthwise { layer, done } => layer.backward(&done, &gradient)?,
            Step::Dense { input, kernel, trained } => {
                if let Some(place) = trained.kernel {
                    gradients[place] = gradient.f_transpose(0, 1)?.f_mm(&input)?;
                }
                if let Some(bias) = trained.bias {
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
            // Of the output as of the input: what lies between is the same in both.
            Step::Relu6 { output } => relu6_backward(&output, &gradient)?,
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
            Step::GlobalAveragePool2d { input } => {
                let [images, channels, height, width] = input[..] else {
                    unreachable!("what was pooled are images")
                };
                let one = gradient.f_mul_scalar(1.0 / (height * width) as f64)?;
                let all = one.f_view([images, 1, 1, channels])?;
                let all = all.f_expand([images, height, width, channels], false)?;
                all.f_contiguous()?.f_permute([0, 3, 1, 2])?
            }
            Step::Residual(inside) => {
                let through = inside.back(gradient.shallow_clone(), gradients)?;
                if wanted { through.f_add(&gradient)? } else { through }
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

    /// Whether each pixel is computed from the one at its place alone: a product of two matrices.
    fn is_pointwise(&self, kernel: &Tensor) -> bool {
        let one = Convolution { strides: 1, groups: 1, added: [0; 4], padding: [0, 0] };
        *self == one && kernel.size()[2..] == [1, 1]
    }

    fn forward(&self, input: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        if self.is_pointwise(kernel) {
            let output = pixels(input)?.f_linear(&kernel.f_flatten(1, 3)?, bias)?;
            return image_of(&output, input);
        }
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
        if self.is_pointwise(kernel) && !wanted[2] {
            let slopes = pixels(gradient)?;
            let of_input = match wanted[0] {
                true => image_of(&slopes.f_mm(&kernel.f_flatten(1, 3)?)?, gradient)?,
                false => Tensor::new(),
            };
            let of_kernel = match wanted[1] {
                true => slopes.f_transpose(0, 1)?.f_mm(&pixels(input)?)?.f_view_as(kernel)?,
                false => Tensor::new(),
            };
            return Ok([of_input, of_kernel, Tensor::new()]);
        }
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

/// The pixels of images, a row each; free for channels-last memory.
fn pixels(images: &Tensor) -> Result<Tensor> {
    Ok(images.f_permute([0, 2, 3, 1])?.f_reshape([-1, images.size()[1]])?)
}

/// The inverse of [`pixels`], for images as many and as large as these.
fn image_of(pixels: &Tensor, images: &Tensor) -> Result<Tensor> {
    let size = images.size();
    let image = pixels.f_view([size[0], size[2], size[3], pixels.size()[1]])?;
    Ok(image.f_permute([0, 3, 1, 2])?)
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
    use crate::models::{
        AutoencoderConfig, CnnConfig, DenseConfig, Initializer, Model, Precision, Sequential,
    };

    /// Outputs, gradients by name and statistics of one training step, recorded here or by libtorch's autograd.
    fn step(model: &mut Model, images: &Tensor, recorded: bool) -> Vec<(String, Tensor)> {
        let frozen = model.frozen_layers(0).unwrap();
        let (outputs, recording) = match recorded {
            true => model.forward_training(0, images, &frozen).unwrap(),
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
        check_model(network.clone().build(3).unwrap(), shape);
    }

    fn check_model(mut model: Model, shape: [i64; 3]) {
        model.precision = Precision::Float32;
        // Statistics that are not those of a network nothing has gone through.
        for weight in &mut model.weights {
            if weight.name.ends_with("_mean") || weight.name.ends_with("_variance") {
                let _ = weight.tensor.uniform_(0.5, 1.5);
            }
        }
        let before = model.snapshot().unwrap();
        tch::manual_seed(1);
        let images = Tensor::randn([6, shape[1], shape[2], shape[0]], (Kind::Float, Device::Cpu));
        let images = images.permute([0, 3, 1, 2]);
        let ours = step(&mut model, &images, true);
        model.restore(&before).unwrap();
        let theirs = step(&mut model, &images, false);
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
        let (first, _) = model.forward_training(0, &input, &Frozen::default()).unwrap();
        let (second, _) = model.forward_training(0, &input, &Frozen::default()).unwrap();
        tch::manual_seed(4);
        let (again, _) = model.forward_training(0, &input, &Frozen::default()).unwrap();
        assert!(first.equal(&again) && !first.equal(&second));
    }

    /// The last blocks of a pretrained network, as they are fine-tuned: depthwise filters and normalisations are frozen.
    #[test]
    fn a_network_with_frozen_layers_has_autograds_gradients() {
        let network =
            crate::models::TransferConfig { input_size: 32, dropout: 0.0 }.network(grey(28), 10);
        let mut model = network.build(3).unwrap();
        model.freeze();
        model.unfreeze_from("block_4").unwrap();
        model.freeze_kind("depthwise_conv2d").unwrap();
        check_model(model, [1, 28, 28]);
    }

    /// Frozen layers between trained ones, at the start, and inside what is added to its input.
    #[test]
    fn what_lies_behind_frozen_layers_has_autograds_gradients() {
        let inside = |kernel_size, strides, groups| Layer::Conv2d {
            filters: 6,
            kernel_size,
            strides,
            groups,
            use_bias: false,
            kernel_initializer: Initializer::HeNormal,
        };
        let norm = || Layer::BatchNorm { momentum: 0.9, epsilon: 1e-3 };
        let first = vec![inside(3, 2, 1), norm(), Layer::Relu6];
        let residual = vec![inside(3, 1, 6), norm(), Layer::Relu6, inside(1, 1, 1), norm()];
        let network = Sequential::new(grey(11))
            .block("first", first)
            .block("second", vec![Layer::Residual(residual.clone())])
            .block("third", vec![Layer::Relu6, Layer::Residual(residual)])
            .block("fourth", vec![inside(5, 2, 6), norm()])
            .global_average_pool2d()
            .dense(3);
        for trained in [vec!["first", "third"], vec!["second"], vec!["fourth"], vec!["dense"]] {
            let mut model = network.clone().build(3).unwrap();
            model.set_trainable(|_, name| {
                let normalization = name.ends_with(".gamma") || name.ends_with(".beta");
                !normalization && trained.iter().any(|block| name.starts_with(block))
            });
            assert!(model.count_trainable() > 0);
            check_model(model, [1, 11, 11]);
        }
    }

    #[test]
    fn what_only_autograd_knows_is_left_to_it() {
        let network = || Sequential::for_vectors(4).dense(3).batch_norm().relu().dense(2);
        let mut model: Model = network().build(1).unwrap();
        let input = Tensor::ones([2, 4], (Kind::Float, Device::Cpu));
        assert!(model.forward_training(0, &input, &Frozen::default()).unwrap().1.is_some());
        // A frozen normalisation behind something else than a convolution.
        model.set_trainable(|_, name| name.starts_with("dense"));
        assert!(model.forward_training(0, &input, &Frozen::default()).unwrap().1.is_none());
    }
}
