//! The step for what no rule knows: the layer's own forward, differentiated by libtorch's autograd.

use std::ops::Range;

use tch::{Kind, Tensor};

use super::chain::{Backward, Forward, Step};
use crate::error::Result;
use crate::layers::{Layer, Weight};

/// A layer through its reference.
pub(super) struct ReferenceStep {
    pub layer: Layer,
    /// Indices of its weights.
    pub weights: Range<usize>,
    pub training: bool,
    /// True when something before it is trained.
    pub needs_input_grad: bool,
}

/// The inputs and the output of a graph that autograd differentiates.
struct ReferenceTape {
    /// The input, if its gradient is needed, then the weights that are trained.
    leaves: Vec<Tensor>,
    /// Indices of the trained weights.
    trained: Vec<usize>,
    output: Tensor,
}

impl Step for ReferenceStep {
    fn forward(&self, input: Tensor, weights: &[Weight], record: bool) -> Result<Forward> {
        let own = &weights[self.weights.clone()];
        if !record {
            let output = self.layer.forward(&input, own, self.training)?;
            return Ok(Forward { output, kept: None });
        }
        let leaf = input.f_detach()?.f_set_requires_grad(self.needs_input_grad)?;
        let output = tch::with_grad(|| self.layer.forward(&leaf, own, self.training))?;
        let trained: Vec<usize> =
            self.weights.clone().filter(|&index| weights[index].trainable).collect();
        let of_weights = trained.iter().map(|&index| weights[index].tensor.shallow_clone());
        let leaves = self.needs_input_grad.then_some(leaf).into_iter().chain(of_weights).collect();
        let detached = output.f_detach()?;
        Ok(Forward::recorded(detached, ReferenceTape { leaves, trained, output }))
    }
}

impl Backward for ReferenceTape {
    fn backward(
        self: Box<Self>,
        gradient: Tensor,
        needs_input_grad: bool,
        gradients: &mut [Tensor],
    ) -> Result<Tensor> {
        if !self.output.requires_grad() {
            // Nothing trained affects this output.
            return Ok(Tensor::new());
        }
        // The derivative of this sum is the gradient that came back.
        let sum = tch::with_grad(|| -> Result<Tensor> {
            Ok(self.output.f_mul(&gradient)?.f_sum(Kind::Float)?)
        })?;
        let mut found = Tensor::f_run_backward(&[sum], &self.leaves, false, false)?.into_iter();
        let of_input = if needs_input_grad { found.next() } else { None };
        for (index, of_weight) in self.trained.into_iter().zip(found) {
            gradients[index] = of_weight;
        }
        Ok(of_input.unwrap_or_default())
    }
}
