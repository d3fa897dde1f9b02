//! Upsampling by 2 and a convolution, computed on the image before it is enlarged.
//!
//! Nearest-neighbour upsampling makes 2 × 2 equal pixels of each one, so kernel values that meet the same pixel can be
//! added before they are multiplied. Which these are depends on whether an output pixel's row and column are even or
//! odd: four kernels of about half the side, applied to the small image as 4 filters for each filter, give the four
//! pixels, which a pixel shuffle moves to their places (sub-pixel convolution, Shi et al. 2016,
//! <https://arxiv.org/abs/1609.05158>).
//!
//! For a 5 × 5 kernel that is 36 products instead of 100 for four output pixels, and the enlarged image is never
//! written. oneDNN computes filters in groups of 16, so a single filter costs as much as 16; here it becomes four, on a
//! quarter of the pixels. A 3 × 3 kernel would save no products.

use tch::{Kind, Tensor};

use super::chain::{Backward, Forward, Step};
use super::convolution::Geometry;
use super::kernel_and_bias::{Converted, KernelAndBias, TrainedIndices};
use crate::error::Result;
use crate::layers::{Weight, cast};

/// Factor of the upsampling.
pub(super) const FACTOR: usize = 2;
/// Output pixels, and kernels, for each pixel of the small image.
const PHASES: usize = FACTOR * FACTOR;

/// Upsampling by 2, then a convolution with strides of 1, one group and a kernel of odd side.
pub(super) struct UpsampledConvolutionStep {
    pub weights: KernelAndBias,
    pub shape: KernelShape,
}

struct UpsampledConvolutionTape {
    input: Tensor,
    /// The folded kernel.
    kernel: Tensor,
    shape: KernelShape,
    trained: TrainedIndices,
}

impl Step for UpsampledConvolutionStep {
    fn forward(&self, input: Tensor, weights: &[Weight], record: bool) -> Result<Forward> {
        let (kind, shape) = (input.kind(), self.shape);
        let (kernel, bias) = self
            .weights
            .converted(weights, |kernel, bias| shape.fold_weights(kernel, bias, kind))?;
        let phases = shape.geometry().forward(&input, &kernel, bias.as_ref())?;
        let output = phases.f_pixel_shuffle(FACTOR as i64)?;
        let trained = self.weights.trained(weights);
        let tape = record.then(|| UpsampledConvolutionTape { input, kernel, shape, trained });
        Ok(Forward::new(output, tape))
    }
}

impl Backward for UpsampledConvolutionTape {
    fn backward(
        self: Box<Self>,
        gradient: Tensor,
        needs_input_grad: bool,
        gradients: &mut [Tensor],
    ) -> Result<Tensor> {
        let needed = [needs_input_grad, self.trained.kernel.is_some(), self.trained.bias.is_some()];
        let gradient = gradient.f_pixel_unshuffle(FACTOR as i64)?;
        let [of_input, of_kernel, of_bias] =
            self.shape.geometry().backward(&gradient, &self.input, &self.kernel, needed)?;
        if let Some(index) = self.trained.kernel {
            gradients[index] = self.shape.unfold(&of_kernel)?;
        }
        if let Some(index) = self.trained.bias {
            let of_phases = of_bias.f_view([-1, PHASES as i64])?;
            gradients[index] = of_phases.f_sum_dim_intlist(&[1i64][..], false, None::<Kind>)?;
        }
        Ok(of_input)
    }
}

/// The shape of a kernel: `(filters, channels, side, side)`.
#[derive(Debug, Clone, Copy)]
pub(super) struct KernelShape {
    filters: usize,
    channels: usize,
    side: usize,
}

impl KernelShape {
    /// None if `kernel` has another shape, or an even side.
    pub(super) fn of(kernel: &Tensor) -> Option<KernelShape> {
        let size: Vec<usize> = kernel.size().iter().map(|&side| side as usize).collect();
        match size[..] {
            [filters, channels, side, width] if side == width && side % 2 == 1 => {
                Some(KernelShape { filters, channels, side })
            }
            _ => None,
        }
    }

    /// Pixels of the small image that the folded kernels reach beyond the one in their middle.
    fn reach(self) -> usize {
        (self.side / 2).div_ceil(FACTOR)
    }

    /// Side of the folded kernels.
    fn folded_side(self) -> usize {
        2 * self.reach() + 1
    }

    /// How the folded kernels move over the small image.
    fn geometry(self) -> Geometry {
        Geometry::same(self.reach() as i64)
    }

    /// Calls `add(i, j)` for each kernel value `i` and each folded value `j` that it is added to.
    fn each_part(self, mut add: impl FnMut(usize, usize)) {
        let KernelShape { filters, channels, side } = self;
        let folded = self.folded_side();
        // The folded row that kernel row `u` is added to, for output rows of this parity (`phase`); the same for columns.
        // Rows above the middle are negative, so the division rounds down.
        let row = |phase: usize, u: usize| {
            let shift = phase as i64 + u as i64 - (side / 2) as i64;
            (shift.div_euclid(FACTOR as i64) + self.reach() as i64) as usize
        };
        for filter in 0..filters {
            for channel in 0..channels {
                for (u, v) in (0..side).flat_map(|u| (0..side).map(move |v| (u, v))) {
                    let value = ((filter * channels + channel) * side + u) * side + v;
                    for phase in 0..PHASES {
                        let (down, across) = (phase / FACTOR, phase % FACTOR);
                        let filter = filter * PHASES + phase;
                        let row_index = (filter * channels + channel) * folded + row(down, u);
                        add(value, row_index * folded + row(across, v));
                    }
                }
            }
        }
    }

    /// The four kernels for each kernel, `(4 × filters, channels, r, r)`, and the bias for each of them, in this number
    /// format.
    pub(super) fn fold_weights(
        self,
        kernel: &Weight,
        bias: Option<&Weight>,
        kind: Kind,
    ) -> Result<Converted> {
        let bias = bias.map(|bias| {
            let each = bias.tensor.f_detach()?.f_view([-1, 1])?;
            let repeated = each.f_expand([self.filters as i64, PHASES as i64], false)?;
            cast(&repeated.f_reshape([-1])?, kind)
        });
        Ok((cast(&self.fold(&kernel.tensor)?, kind)?, bias.transpose()?))
    }

    fn fold(self, kernel: &Tensor) -> Result<Tensor> {
        let values = Vec::<f32>::try_from(kernel.f_detach()?.f_reshape([-1])?)?;
        let (filters, channels) = (self.filters * PHASES, self.channels);
        let mut folded = vec![0f32; filters * channels * self.folded_side().pow(2)];
        self.each_part(|value, index| folded[index] += values[value]);
        let sides = [filters, channels, self.folded_side(), self.folded_side()];
        Ok(Tensor::f_from_slice(&folded)?.f_view(sides.map(|side| side as i64))?)
    }

    /// The gradient of the kernel, from that of the folded kernels.
    fn unfold(self, folded: &Tensor) -> Result<Tensor> {
        let slopes = Vec::<f32>::try_from(cast(folded, Kind::Float)?.f_reshape([-1])?)?;
        let KernelShape { filters, channels, side } = self;
        let mut kernel = vec![0f32; filters * channels * side * side];
        self.each_part(|value, index| kernel[value] += slopes[index]);
        let sides = [filters, channels, side, side].map(|side| side as i64);
        Ok(Tensor::f_from_slice(&kernel)?.f_view(sides)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_values_that_meet_one_pixel_are_added() {
        // One filter of one channel, 5 x 5: row u counts 10^u, so that a sum tells its rows.
        let rows: Vec<f32> = (0..25).map(|index| 10f32.powi(index / 5)).collect();
        let kernel = Tensor::from_slice(&rows).view([1, 1, 5, 5]);
        let shape = KernelShape::of(&kernel).unwrap();
        let folded = shape.fold(&kernel).unwrap();
        assert_eq!(folded.size(), [4, 1, 3, 3]);
        let column = |phase: i64, column: i64| -> Vec<f32> {
            Vec::try_from(folded.select(0, phase).select(0, 0).select(1, column)).unwrap()
        };
        // Even output rows: two kernel rows meet the pixel above, two its own, one the pixel below. The same for columns.
        assert_eq!(column(0, 0), [22.0, 2200.0, 20000.0]);
        assert_eq!(column(0, 2), [11.0, 1100.0, 10000.0]);
        // Odd rows and columns: one, two, two.
        assert_eq!(column(3, 0), [1.0, 110.0, 11000.0]);
        assert_eq!(column(3, 1), [2.0, 220.0, 22000.0]);
        assert!(KernelShape::of(&Tensor::zeros([1, 1, 4, 4], tch::kind::FLOAT_CPU)).is_none());
    }
}
