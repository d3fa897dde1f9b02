//! Frozen batch normalisation: a factor and a shift for each channel, which can be folded into the convolution before
//! it.

use tch::{Kind, Tensor};

use super::kernel_and_bias::Converted;
use crate::error::Result;
use crate::layers::{BatchNormalization, Weight, cast};

/// A batch normalisation with fixed statistics and weights. It only multiplies and adds; folded into the kernel and
/// bias of the convolution before it, it saves a pass over the output.
pub(super) struct FrozenNormalization {
    /// For each filter, in a shape that broadcasts over kernels.
    pub factor: Tensor,
    pub shift: Tensor,
}

impl FrozenNormalization {
    /// Of a layer with these weights: gamma, beta, running mean and variance. None if one of them is trained.
    pub(super) fn of(
        layer: &BatchNormalization,
        weights: &[Weight],
    ) -> Result<Option<FrozenNormalization>> {
        let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|index| &weights[index]);
        if gamma.trainable || beta.trainable {
            return Ok(None);
        }
        let inverse = variance.tensor.f_add_scalar(layer.epsilon)?.f_rsqrt()?;
        let factor = gamma.tensor.f_mul(&inverse)?;
        let shift = beta.tensor.f_sub(&mean.tensor.f_mul(&factor)?)?;
        Ok(Some(FrozenNormalization { factor: factor.f_view([-1, 1, 1, 1])?, shift }))
    }

    /// The kernel of the convolution before it, multiplied by the factor, and the shift as its bias.
    pub(super) fn fold(&self, kernel: &Weight, kind: Kind) -> Result<Converted> {
        let kernel = cast(&kernel.tensor.f_mul(&self.factor)?, kind)?;
        Ok((kernel, Some(cast(&self.shift, kind)?)))
    }
}
