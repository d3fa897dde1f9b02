//! Kernel and bias of a step: as its products take them, and which of the two are trained.

use std::ops::Range;

use tch::{Kind, Tensor};

use crate::error::Result;
use crate::layers::Weight;

/// A kernel and its bias as the products take them.
pub(super) type Converted = (Tensor, Option<Tensor>);

/// The kernel and the bias of a layer.
pub(super) struct KernelAndBias {
    /// Indices among all weights.
    kernel: usize,
    bias: Option<usize>,
    /// Both if they are not trained: converted once instead of for each batch.
    constant: Option<Converted>,
}

/// Indices of a kernel and a bias, if they are trained.
#[derive(Clone, Copy)]
pub(super) struct TrainedIndices {
    pub kernel: Option<usize>,
    pub bias: Option<usize>,
}

impl KernelAndBias {
    /// Those at `own`, the indices of a layer's weights. `convert` is called here if they stay as they are.
    pub(super) fn new(
        weights: &[Weight],
        own: &Range<usize>,
        training: bool,
        convert: impl FnOnce(&Weight, Option<&Weight>) -> Result<Converted>,
    ) -> Result<KernelAndBias> {
        let tensors = &weights[own.clone()];
        let is_trained = training && tensors.iter().any(|weight| weight.trainable);
        let constant = (!is_trained).then(|| convert(&tensors[0], tensors.get(1))).transpose()?;
        let bias = (tensors.len() > 1).then_some(own.start + 1);
        Ok(KernelAndBias { kernel: own.start, bias, constant })
    }

    /// True if neither is trained.
    pub(super) fn are_constant(&self) -> bool {
        self.constant.is_some()
    }

    /// Both for a batch; `convert` is called if one of them is trained.
    pub(super) fn converted(
        &self,
        weights: &[Weight],
        convert: impl FnOnce(&Weight, Option<&Weight>) -> Result<Converted>,
    ) -> Result<Converted> {
        match &self.constant {
            Some((kernel, bias)) => {
                Ok((kernel.shallow_clone(), bias.as_ref().map(Tensor::shallow_clone)))
            }
            None => convert(&weights[self.kernel], self.bias.map(|index| &weights[index])),
        }
    }

    /// Where the backward writes the gradients.
    pub(super) fn trained(&self, weights: &[Weight]) -> TrainedIndices {
        let trained = |index: &usize| weights[*index].trainable;
        TrainedIndices {
            kernel: Some(self.kernel).filter(trained),
            bias: self.bias.filter(trained),
        }
    }
}

/// Converts both to this number format, and does nothing else to them.
pub(super) fn in_kind(kernel: &Weight, bias: Option<&Weight>, kind: Kind) -> Result<Converted> {
    let convert = |weight: &Weight| -> Result<Tensor> { Ok(weight.in_kind(kind)?.f_detach()?) };
    Ok((convert(kernel)?, bias.map(convert).transpose()?))
}
