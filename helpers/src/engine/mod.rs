//! The fast path on processors: a chain of layers is compiled once into steps, each with a forward and a backward.
//!
//! libtorch's autograd runs one operation a layer and keeps what each one read. For the layers between products that is
//! memory traffic: batch normalisation, ReLU and pooling after a convolution take a dozen passes over its output there, four
//! here. A training step of notebook 6's network is 2.2 times as fast as PyTorch's best on two cores with AMX, a
//! fine-tuning step of notebook 8's 3.1 times (`docs/performance.md`).
//!
//! - [`rules`](self::rules): which neighbouring layers become one step; read this table first
//! - `chain`: steps, one after the other, and the tape that a training step leaves for its backward
//! - `normalization`, `depthwise`, `relu6`, `dropout`: loops of our own over memory, on libtorch's threads
//! - `convolution`, `upsampled`, `simple`: libtorch's products and derivatives, without autograd between them
//! - `products`: products of matrices whose bits do not depend on the number of threads
//! - `reference`: any other layer through its own forward and autograd
//!
//! [`crate::layers::forward`] is the reference; the tests below compare the engine with it. Work is divided into blocks
//! that do not depend on the number of threads, so results do not either.

mod chain;
mod channels;
mod convolution;
mod depthwise;
mod dropout;
mod frozen;
mod kernel_and_bias;
mod layout;
mod loops;
mod normalization;
mod products;
mod reference;
mod relu6;
mod rules;
mod simple;
mod upsampled;

use std::fmt;

use tch::{Kind, Tensor};

use self::chain::{Chain, ChainTape};
use self::rules::Context;
use crate::error::Result;
use crate::layers::{Layer, Weight, cast};
use crate::system::device::Device;

/// A compiled chain of layers. Its only weights are frozen ones, converted to the number format. So a new engine is
/// compiled whenever layers are frozen or unfrozen, and for each prediction and epoch.
pub(crate) struct Engine {
    chain: Chain,
    kind: Kind,
    device: Device,
}

/// The record of a training step, for its gradients.
pub(crate) struct Tape {
    chain: ChainTape,
    kind: Kind,
}

/// The layers to compile.
#[derive(Clone, Copy)]
pub(crate) struct Layers<'a> {
    /// In order.
    pub layers: &'a [Layer],
    /// The shape of the input, for one image.
    pub input: &'a [i64],
    /// Index in the model's weights of the first one of these layers.
    pub first_weight: usize,
    /// Where the weights are.
    pub device: Device,
}

impl Engine {
    /// Compiles `layers` for predictions in this number format: with running statistics and without dropout.
    pub(crate) fn for_predictions(
        layers: Layers,
        weights: &[Weight],
        kind: Kind,
    ) -> Result<Engine> {
        Engine::compile(layers, weights, kind, false, false)
    }

    /// Compiles `layers` for training in this number format: the batch's statistics, and dropout.
    pub(crate) fn for_training(layers: Layers, weights: &[Weight], kind: Kind) -> Result<Engine> {
        Engine::compile(layers, weights, kind, true, false)
    }

    fn compile(
        layers: Layers,
        weights: &[Weight],
        kind: Kind,
        training: bool,
        needs_input_grad: bool,
    ) -> Result<Engine> {
        let _guard = tch::no_grad_guard();
        let Layers { layers, input, first_weight, device } = layers;
        let items = rules::items(layers, input, first_weight, training);
        let context = Context { weights, kind, training, needs_input_grad, fresh: false };
        let chain = match device.is_fused() {
            true => rules::compile(context, &items)?,
            false => rules::references(context, &items)?,
        };
        Ok(Engine { chain, kind, device })
    }

    /// The output for a batch, in the engine's number format and in the processor's memory.
    pub(crate) fn predict(&self, input: &Tensor, weights: &[Weight]) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let output = self.chain.forward(self.take(input)?, weights, None)?;
        Ok(if self.device.is_fused() { output } else { output.f_to(tch::Device::Cpu)? })
    }

    /// The output for a batch in training, as an `f32` leaf for the loss, whose gradient [`Tape::backward`] reads.
    /// Running statistics are updated.
    pub(crate) fn forward(&self, input: &Tensor, weights: &[Weight]) -> Result<(Tensor, Tape)> {
        let _guard = tch::no_grad_guard();
        let mut chain = ChainTape::default();
        let output = self.chain.forward(self.take(input)?, weights, Some(&mut chain))?;
        let output = cast(&output, Kind::Float)?.f_detach()?.f_set_requires_grad(true)?;
        Ok((output, Tape { chain, kind: self.kind }))
    }

    /// The input in the engine's number format, on its device.
    fn take(&self, input: &Tensor) -> Result<Tensor> {
        match self.device.is_fused() {
            true => cast(input, self.kind),
            false => cast(&input.f_to(self.device.tch())?, self.kind),
        }
    }
}

impl Tape {
    /// The gradient of each weight, by its index, `f32` or bf16; undefined for weights that are not trained. `backward`
    /// must have been called on the loss of `outputs` before.
    pub(crate) fn backward(self, outputs: &Tensor, weights: &[Weight]) -> Result<Vec<Tensor>> {
        Ok(self.gradients(outputs, weights)?.0)
    }

    /// [`Tape::backward`] that also returns the gradient of the input.
    fn gradients(self, outputs: &Tensor, weights: &[Weight]) -> Result<(Vec<Tensor>, Tensor)> {
        let gradient = cast(&outputs.f_grad()?, self.kind)?;
        let _guard = tch::no_grad_guard();
        let mut gradients: Vec<Tensor> = weights.iter().map(|_| Tensor::new()).collect();
        let of_input = self.chain.backward(gradient, &mut gradients)?;
        let fits = |(g, w): (&Tensor, &Weight)| !g.defined() || g.size() == w.tensor.size();
        debug_assert!(gradients.iter().zip(weights).all(fits));
        Ok((gradients, of_input))
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.chain.steps.iter().map(|step| step.rule)).finish()
    }
}

#[cfg(test)]
mod tests;
