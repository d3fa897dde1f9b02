//! A chain of compiled steps, and the tape that a training step leaves for its backward.

use tch::Tensor;

use crate::error::Result;
use crate::layers::Weight;

/// One layer, or several neighbours computed as one.
pub(super) trait Step {
    /// The output for a batch; with `record` also what the backward needs.
    fn forward(&self, input: Tensor, weights: &[Weight], record: bool) -> Result<Forward>;
}

/// What a step records in its forward, with its backward.
pub(super) trait Backward {
    /// The gradient of the step's input; may be undefined if `needs_input_grad` is false. The gradients of weights are
    /// written to their index in `gradients`.
    fn backward(
        self: Box<Self>,
        gradient: Tensor,
        needs_input_grad: bool,
        gradients: &mut [Tensor],
    ) -> Result<Tensor>;
}

/// The result of a step's forward.
pub(super) struct Forward {
    pub output: Tensor,
    /// None if the gradient passes through unchanged.
    pub kept: Option<Box<dyn Backward>>,
}

impl Forward {
    /// An output, and the tape that its backward needs; none if it is not recorded.
    pub(super) fn new(output: Tensor, tape: Option<impl Backward + 'static>) -> Forward {
        Forward { output, kept: tape.map(|tape| Box::new(tape) as Box<dyn Backward>) }
    }

    /// An output whose backward needs `tape`.
    pub(super) fn recorded(output: Tensor, tape: impl Backward + 'static) -> Forward {
        Forward::new(output, Some(tape))
    }
}

/// A step, the rule that made it, and whether it or anything before it is trained.
pub(super) struct ChainStep {
    /// The name of the rule that made it.
    pub rule: &'static str,
    pub step: Box<dyn Step>,
    /// True when something before it is trained.
    pub needs_input_grad: bool,
    /// True when the step or something before it is trained, so that it must be recorded.
    pub records: bool,
}

/// Steps, one after the other.
#[derive(Default)]
pub(super) struct Chain {
    pub steps: Vec<ChainStep>,
    /// True when the output is a new tensor from a convolution, which nothing else uses.
    pub fresh: bool,
}

/// The record of a training step's forward, for its backward.
#[derive(Default)]
pub(super) struct ChainTape {
    kept: Vec<(Box<dyn Backward>, bool)>,
}

impl Chain {
    /// The output for a batch; records on `tape` what is trained.
    pub(super) fn forward(
        &self,
        input: Tensor,
        weights: &[Weight],
        mut tape: Option<&mut ChainTape>,
    ) -> Result<Tensor> {
        let mut current = input;
        for ChainStep { step, needs_input_grad, records, .. } in &self.steps {
            let tape = tape.as_deref_mut().filter(|_| *records);
            let Forward { output, kept } = step.forward(current, weights, tape.is_some())?;
            if let (Some(tape), Some(kept)) = (tape, kept) {
                tape.kept.push((kept, *needs_input_grad));
            }
            current = output;
        }
        Ok(current)
    }
}

impl ChainTape {
    /// The gradient of the chain's input; undefined if nothing before the chain is trained. Each step's memory is freed
    /// as soon as its backward is done.
    pub(super) fn backward(self, gradient: Tensor, gradients: &mut [Tensor]) -> Result<Tensor> {
        let mut gradient = gradient;
        for (kept, needs_input_grad) in self.kept.into_iter().rev() {
            gradient = kept.backward(gradient, needs_input_grad, gradients)?;
        }
        Ok(gradient)
    }
}

/// Layers whose output is added to their input.
pub(super) struct ResidualStep {
    pub inside: Chain,
}

struct ResidualTape {
    inside: ChainTape,
}

impl Step for ResidualStep {
    fn forward(&self, input: Tensor, weights: &[Weight], record: bool) -> Result<Forward> {
        let mut tape = ChainTape::default();
        let inside =
            self.inside.forward(input.shallow_clone(), weights, record.then_some(&mut tape))?;
        // Every block of EfficientNet-Lite0 ends in a convolution: adding in place saves a pass that writes a new
        // tensor.
        let output = match self.inside.fresh {
            true => { inside }.f_add_(&input)?,
            false => inside.f_add(&input)?,
        };
        Ok(Forward::recorded(output, ResidualTape { inside: tape }))
    }
}

impl Backward for ResidualTape {
    fn backward(
        self: Box<Self>,
        gradient: Tensor,
        needs_input_grad: bool,
        gradients: &mut [Tensor],
    ) -> Result<Tensor> {
        let through = self.inside.backward(gradient.shallow_clone(), gradients)?;
        Ok(if needs_input_grad { through.f_add(&gradient)? } else { through })
    }
}
