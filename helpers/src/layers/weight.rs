//! Weights: a layer's specification, and the tensors of a model.

use tch::{Kind, Tensor};

use super::{Initializer, cast};
use crate::error::Result;

/// The specification of a weight, before memory is allocated.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WeightSpec {
    /// `kernel`, `bias`, `gamma`, …; preceded by the layer's name.
    pub name: String,
    /// Its shape, one number per dimension.
    pub shape: Vec<i64>,
    /// How its values are first drawn.
    pub initializer: Initializer,
    /// False for a running statistic, which training updates without a gradient.
    pub trainable: bool,
    /// True when weight decay applies to it.
    pub decay: bool,
}

/// A tensor of a model: a weight that training changes, or a running statistic.
pub(crate) struct Weight {
    /// Unique in the model: the layer's name, then `kernel`, `bias`, `gamma`, `beta`, `moving_mean`, `moving_variance`.
    pub name: String,
    /// `f32`, contiguous.
    pub tensor: Tensor,
    /// True when the optimiser may change it; never for a running statistic.
    pub trainable: bool,
    /// True when weight decay applies, see [`WeightSpec::kernel`].
    pub decay: bool,
    /// The values in bf16, contiguous, if they are kept: see [`Weight::keep_rounded`].
    pub rounded: Option<Tensor>,
}

impl Weight {
    pub(crate) fn new(
        name: impl Into<String>,
        tensor: Tensor,
        trainable: bool,
        decay: bool,
    ) -> Weight {
        Weight { name: name.into(), tensor, trainable, decay, rounded: None }
    }

    /// The values in this number format; not copied if they are kept in it.
    pub(crate) fn in_kind(&self, kind: Kind) -> Result<Tensor> {
        match &self.rounded {
            Some(rounded) if rounded.kind() == kind => Ok(rounded.shallow_clone()),
            _ => cast(&self.tensor, kind),
        }
    }

    /// Keeps the values of a trained weight in bf16, too, if that is `kind`: the optimiser then writes both in one pass, and
    /// a forward converts nothing. Whoever else changes the weight must set `rounded` to `None`.
    pub(crate) fn keep_rounded(&mut self, kind: Kind) -> Result<()> {
        self.rounded = match self.trainable && kind == Kind::BFloat16 {
            true => Some(self.tensor.f_detach()?.f_to_kind(kind)?),
            false => None,
        };
        Ok(())
    }
}

impl WeightSpec {
    /// A weight that training changes.
    pub(super) fn new(name: &str, shape: &[i64], initializer: Initializer) -> WeightSpec {
        let (name, shape) = (name.to_owned(), shape.to_vec());
        WeightSpec { name, shape, initializer, trainable: true, decay: false }
    }

    /// A kernel: weight decay applies to it, and not to biases and normalisation.
    pub(super) fn kernel(shape: &[i64], initializer: Initializer) -> WeightSpec {
        WeightSpec { decay: true, ..WeightSpec::new("kernel", shape, initializer) }
    }

    /// A running statistic.
    pub(super) fn statistic(name: &str, shape: &[i64], initializer: Initializer) -> WeightSpec {
        WeightSpec { trainable: false, ..WeightSpec::new(name, shape, initializer) }
    }

    /// Number of values; none if it overflows `i64`.
    pub(crate) fn values(&self) -> Option<i64> {
        self.shape.iter().try_fold(1i64, |product, &side| product.checked_mul(side))
    }

    /// The weight with its first values, drawn from libtorch's generator.
    pub(crate) fn draw(&self) -> Result<Weight> {
        self.with(self.initializer.draw(&self.shape)?)
    }

    /// The weight with these values.
    pub(crate) fn with(&self, tensor: Tensor) -> Result<Weight> {
        let tensor = tensor.f_set_requires_grad(self.trainable)?;
        let WeightSpec { trainable, decay, .. } = *self;
        Ok(Weight::new(&self.name, tensor, trainable, decay))
    }
}

/// True for a weight of this name that is a running statistic of batch normalisation.
pub(crate) fn is_statistic(name: &str) -> bool {
    name.ends_with(".moving_mean") || name.ends_with(".moving_variance")
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn a_trained_weight_that_is_kept_in_bf16_is_not_converted_again() {
        let weight = |trainable| {
            let tensor = Tensor::ones([3], (Kind::Float, Device::Cpu));
            Weight::new("w", tensor.set_requires_grad(trainable), trainable, false)
        };
        let mut trained = weight(true);
        trained.keep_rounded(Kind::BFloat16).unwrap();
        let kept = trained.rounded.as_ref().unwrap();
        assert_eq!(trained.in_kind(Kind::BFloat16).unwrap().data_ptr(), kept.data_ptr());
        assert_eq!(trained.in_kind(Kind::Float).unwrap().data_ptr(), trained.tensor.data_ptr());
        for (mut other, kind) in [(weight(false), Kind::BFloat16), (weight(true), Kind::Float)] {
            other.keep_rounded(kind).unwrap();
            assert!(other.rounded.is_none());
        }
    }
}
