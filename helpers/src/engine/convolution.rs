//! Convolutions through libtorch's kernels (oneDNN), forward and backward without autograd.

use std::ffi::c_void;
use std::ptr::{null, null_mut};

use tch::{Kind, Tensor};

use super::chain::{Backward, Forward, Step};
use super::frozen::FrozenNormalization;
use super::kernel_and_bias::{KernelAndBias, TrainedIndices, in_kind};
use super::layout::{ChannelsLast, blocks, padding};
use super::products::{each_on_one_thread, linear, product};
use crate::error::{Error, Result};
use crate::layers::{Weight, cast};

/// Images per part of a batch for the gradients of the weights. The parts are added up in order, so the number of
/// threads does not matter. With 16 images per part notebook 6's network trains a tenth more slowly.
const WEIGHT_BLOCK: usize = 32;

/// A convolution; a frozen normalisation after it is folded into its kernel and bias.
pub(super) struct ConvolutionStep {
    pub strides: i64,
    pub groups: i64,
    pub weights: KernelAndBias,
    /// A frozen normalisation after it.
    pub normalization: Option<FrozenNormalization>,
    /// True to compute a 1 × 1 convolution as a product of matrices. Only training does: predictions go through oneDNN's
    /// convolution, whose last bits differ.
    pub pointwise_as_product: bool,
}

/// What the backward of a convolution needs.
struct ConvolutionTape {
    input: Tensor,
    kernel: Tensor,
    /// The normalisation's factor on the kernel, filter by filter.
    factor: Option<Tensor>,
    geometry: Geometry,
    trained: TrainedIndices,
}

/// How a convolution moves over its input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Geometry {
    strides: i64,
    groups: i64,
    /// Zeros that were added to the input beforehand: left, right, top and bottom.
    added: [i64; 4],
    padding: [i64; 2],
    /// True for a 1 × 1 convolution that is computed as a product of matrices.
    product: bool,
}

impl Step for ConvolutionStep {
    fn forward(&self, input: Tensor, weights: &[Weight], record: bool) -> Result<Forward> {
        let kind = input.kind();
        let (kernel, bias) =
            self.weights.converted(weights, |kernel, bias| match &self.normalization {
                Some(normalization) => normalization.fold(kernel, kind),
                None => in_kind(kernel, bias, kind),
            })?;
        let (input, geometry) = self.padded(input, &kernel)?;
        let kernel =
            if self.weights.are_constant() { kernel } else { in_order_of(kernel, &input)? };
        let output = geometry.forward(&input, &kernel, bias.as_ref())?;
        let trained = self.weights.trained(weights);
        let factor = self.normalization.as_ref().map(|folded| folded.factor.shallow_clone());
        let tape = record.then(|| ConvolutionTape { input, kernel, factor, geometry, trained });
        Ok(Forward::new(output, tape))
    }
}

impl ConvolutionStep {
    /// The input, padded with zeros if the padding differs between the two ends, which libtorch's convolution cannot
    /// do.
    fn padded(&self, input: Tensor, kernel: &Tensor) -> Result<(Tensor, Geometry)> {
        let (size, side) = (input.size(), kernel.size()[2]);
        let [top, bottom] = padding(size[2], side, self.strides);
        let [left, right] = padding(size[3], side, self.strides);
        let ConvolutionStep { strides, groups, .. } = *self;
        let product = self.pointwise_as_product && side == 1 && strides == 1 && groups == 1;
        if top == bottom && left == right {
            let padding = [top, left];
            return Ok((input, Geometry { strides, groups, added: [0; 4], padding, product }));
        }
        let added = [left, right, top, bottom];
        let input = input.f_constant_pad_nd(added)?;
        Ok((input, Geometry { strides, groups, added, padding: [0, 0], product }))
    }
}

impl Backward for ConvolutionTape {
    fn backward(
        self: Box<Self>,
        gradient: Tensor,
        needs_input_grad: bool,
        gradients: &mut [Tensor],
    ) -> Result<Tensor> {
        let needed = [needs_input_grad, self.trained.kernel.is_some(), self.trained.bias.is_some()];
        let [of_input, of_kernel, of_bias] =
            self.geometry.backward(&gradient, &self.input, &self.kernel, needed)?;
        if let Some(index) = self.trained.kernel {
            gradients[index] = match self.factor {
                Some(factor) => factor.f_mul(&of_kernel)?,
                None => of_kernel,
            };
        }
        if let Some(index) = self.trained.bias {
            gradients[index] = of_bias;
        }
        self.geometry.without_added(of_input)
    }
}

impl Geometry {
    /// Pixel by pixel over an image with a border of `padding` zeros.
    pub(super) fn same(padding: i64) -> Geometry {
        Geometry { strides: 1, groups: 1, added: [0; 4], padding: [padding; 2], product: false }
    }

    pub(super) fn forward(
        &self,
        input: &Tensor,
        kernel: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Tensor> {
        if self.product {
            let output = linear(&pixels(input)?, &kernel.f_flatten(1, 3)?, bias)?;
            return image_of(&output, input);
        }
        let Geometry { strides, groups, padding, .. } = *self;
        Ok(input.f_conv2d(kernel, bias, [strides; 2], padding, [1, 1], groups)?)
    }

    /// The gradients of input, kernel and bias, those that are `needed`.
    pub(super) fn backward(
        &self,
        gradient: &Tensor,
        input: &Tensor,
        kernel: &Tensor,
        needed: [bool; 3],
    ) -> Result<[Tensor; 3]> {
        if self.product && !needed[2] {
            let slopes = pixels(gradient)?;
            let of_input = match needed[0] {
                true => image_of(&product(&slopes, &kernel.f_flatten(1, 3)?)?, gradient)?,
                false => Tensor::new(),
            };
            let of_kernel = match needed[1] {
                true => product(&slopes.f_transpose(0, 1)?, &pixels(input)?)?.f_view_as(kernel)?,
                false => Tensor::new(),
            };
            return Ok([of_input, of_kernel, Tensor::new()]);
        }
        let [of_input, _, _] =
            convolution_backward(self, gradient, input, kernel, [needed[0], false, false])?;
        let [of_kernel, of_bias] =
            self.weight_gradients(gradient, input, kernel, [needed[1], needed[2]])?;
        Ok([of_input, of_kernel, of_bias])
    }

    /// The gradients of kernel and bias, `f32`, as far as they are `needed`: sums over parts of the batch, added in
    /// order. oneDNN itself splits the batch by the number of threads, so its sum depends on that number.
    fn weight_gradients(
        &self,
        gradient: &Tensor,
        input: &Tensor,
        kernel: &Tensor,
        needed: [bool; 2],
    ) -> Result<[Tensor; 2]> {
        let kernel = kernel.f_detach()?;
        let images = gradient.size()[0] as usize;
        let parts = blocks(images, (images / WEIGHT_BLOCK).max(2))
            .map(|(first, end)| {
                let part = |of: &Tensor| of.f_narrow(0, first as i64, (end - first) as i64);
                Ok((part(gradient)?, part(input)?, kernel.shallow_clone()))
            })
            .collect::<Result<Vec<_>>>()?;
        let found = each_on_one_thread(parts, |(gradient, input, kernel)| {
            let needed = [false, needed[0], needed[1]];
            let [_, of_kernel, of_bias] =
                convolution_backward(self, &gradient, &input, &kernel, needed)?;
            Ok([of_kernel, of_bias])
        })?;
        let mut sums = [Tensor::new(), Tensor::new()];
        for found in found {
            for (sum, more) in sums.iter_mut().zip(found).filter(|(_, more)| more.defined()) {
                let more = cast(&more, Kind::Float)?;
                *sum = if sum.defined() { sum.f_add_(&more)? } else { more };
            }
        }
        Ok(sums)
    }

    /// The gradient of the input, without the border of zeros that was added to it.
    fn without_added(&self, gradient: Tensor) -> Result<Tensor> {
        if !gradient.defined() || self.added == [0; 4] {
            return Ok(gradient);
        }
        let ([left, right, top, bottom], size) = (self.added, gradient.size());
        let rows = gradient.f_narrow(2, top, size[2] - top - bottom)?;
        Ok(rows.f_narrow(3, left, size[3] - left - right)?)
    }
}

/// `kernel` in channels-last memory if `input` is. Otherwise libtorch would copy it so time and again: for the output, for
/// the gradient of the input, and for each part of the kernel's gradient.
fn in_order_of(kernel: Tensor, input: &Tensor) -> Result<Tensor> {
    let layout = ChannelsLast::of(input);
    let [width, channels] = [layout.width, layout.channels].map(|side| side as i64);
    let strides = [layout.image() as i64, 1, width * channels, channels];
    // As libtorch sees it: where a side is 1, other strides are the same memory, but not channels last to it.
    match input.stride() == strides {
        true => Ok(kernel.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?),
        false => Ok(kernel),
    }
}

/// The pixels of images as rows; needs no copy for channels-last memory.
fn pixels(images: &Tensor) -> Result<Tensor> {
    Ok(images.f_permute([0, 2, 3, 1])?.f_reshape([-1, images.size()[1]])?)
}

/// The inverse of [`pixels`], for the shape of these images.
fn image_of(pixels: &Tensor, images: &Tensor) -> Result<Tensor> {
    let size = images.size();
    let image = pixels.f_view([size[0], size[2], size[3], pixels.size()[1]])?;
    Ok(image.f_permute([0, 3, 1, 2])?)
}

/// `at::convolution_backward`: the gradients of input, kernel and bias, those that are `needed`.
fn convolution_backward(
    geometry: &Geometry,
    gradient: &Tensor,
    input: &Tensor,
    kernel: &Tensor,
    needed: [bool; 3],
) -> Result<[Tensor; 3]> {
    if needed == [false; 3] {
        return Ok([(); 3].map(|()| Tensor::new()));
    }
    let (strides, padding) = ([geometry.strides; 2], geometry.padding);
    let (dilation, output_padding) = ([1i64, 1], [0i64, 0]);
    let mask = needed.map(i32::from);
    let filters = [kernel.size()[0]];
    let bias_sizes = filters.as_ptr();
    let mut found: [*mut c_void; 3] = [null_mut(); 3];
    let [of_input, of_kernel, of_bias] = &mut found;
    // SAFETY: the three tensors live through the call, and a tensor of tch is a pointer to one of libtorch, which is
    // what a handle is; each list comes with its length; and the results are new tensors that are ours.
    let status = unsafe {
        aoti_torch_cpu_convolution_backward(
            gradient.as_ptr().cast(),
            input.as_ptr().cast(),
            kernel.as_ptr().cast(),
            if needed[2] { &raw const bias_sizes } else { null() },
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
            geometry.groups,
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
    use tch::Device;

    use super::*;

    /// Images and kernels of several shapes: the output and all gradients, with the kernel as it is and reordered.
    #[test]
    fn the_order_of_a_kernel_s_memory_changes_no_bit() {
        tch::manual_seed(9);
        let options = (Kind::Float, Device::Cpu);
        for (kind, [channels, filters, side]) in [
            (Kind::BFloat16, [24, 40, 3]),
            (Kind::BFloat16, [3, 8, 5]),
            (Kind::BFloat16, [1, 32, 3]),
            (Kind::Float, [24, 40, 3]),
        ] {
            let images = Tensor::randn([40, 9, 7, channels], options).permute([0, 3, 1, 2]);
            let (images, geometry) = (images.to_kind(kind), Geometry::same(side / 2));
            let plain = Tensor::randn([filters, channels, side, side], options).to_kind(kind);
            let ordered = in_order_of(plain.shallow_clone(), &images).unwrap();
            assert!(plain.is_contiguous());
            assert_eq!(ordered.is_contiguous(), channels == 1);
            let [as_is, reordered] = [plain, ordered].map(|kernel| {
                let output = geometry.forward(&images, &kernel, None).unwrap();
                let [of_input, of_kernel, of_bias] =
                    geometry.backward(&output, &images, &kernel, [true; 3]).unwrap();
                [output, of_input, of_kernel, of_bias]
            });
            for (as_is, reordered) in as_is.iter().zip(&reordered) {
                assert!(as_is.equal(reordered), "{kind:?} {channels} {filters} {side}");
            }
        }
    }

    #[test]
    fn a_kernel_stays_as_it_is_for_images_in_another_order() {
        let options = (Kind::Float, Device::Cpu);
        let kernel = || Tensor::zeros([2, 3, 3, 3], options);
        let images = Tensor::zeros([4, 3, 5, 6], options);
        assert!(in_order_of(kernel(), &images).unwrap().is_contiguous());
        // One pixel an image: both orders at once.
        let images = Tensor::zeros([4, 3, 1, 1], options);
        assert!(in_order_of(kernel(), &images).unwrap().is_contiguous());
    }
}
