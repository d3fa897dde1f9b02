//! Weights: a layer's specification, and the tensors of a model.

use tch::Tensor;

use super::Initializer;
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
        Ok(Weight { name: self.name.clone(), tensor, trainable, decay })
    }
}

/// True for a weight of this name that is a running statistic of batch normalisation.
pub(crate) fn is_statistic(name: &str) -> bool {
    name.ends_with(".moving_mean") || name.ends_with(".moving_variance")
}
