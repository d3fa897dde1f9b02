//! Layers that are not trained: what is computed once for them, and what goes into one with the layer before.

use std::collections::HashMap;
use std::rc::Rc;

use tch::{Kind, Tensor};

use super::fused::depthwise::Depthwise;
use super::layers::{self, Layer};
use super::model::{Node, Weight};
use crate::error::Result;

/// What stays the same during a training: frozen kernels in the number format of the products, and frozen normalisations.
#[derive(Default)]
pub(crate) struct Frozen {
    kernels: HashMap<usize, Tensor>,
    depthwise: HashMap<usize, Rc<Depthwise>>,
    norms: HashMap<usize, FrozenNorm>,
}

impl Frozen {
    pub(crate) fn of(nodes: &[Node], weights: &[Weight], kind: Kind) -> Result<Frozen> {
        let _guard = tch::no_grad_guard();
        let mut frozen = Frozen::default();
        frozen.add(nodes, weights, kind)?;
        Ok(frozen)
    }

    fn add(&mut self, mut nodes: &[Node], weights: &[Weight], kind: Kind) -> Result<()> {
        while let Some((node, rest)) = nodes.split_first() {
            nodes = rest;
            match node {
                Node::Residual(inside) | Node::Block(inside) => self.add(inside, weights, kind)?,
                Node::Conv2d { kernel: place, bias: None, .. } if !weights[*place].trainable => {
                    if let Some(layer) = frozen_depthwise(node, rest, weights)? {
                        self.depthwise.insert(*place, Rc::new(layer));
                    } else if let Some(norm) = rest.first().and_then(|n| FrozenNorm::of(n, weights))
                    {
                        let kernel = norm.kernel(&weights[*place].tensor, kind)?;
                        self.kernels.insert(*place, kernel);
                    }
                }
                Node::BatchNorm { gamma, .. } => {
                    let norm = FrozenNorm::of(node, weights);
                    self.norms.extend(norm.map(|norm| (*gamma, norm)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The kernel at this place with the normalisation behind it, if both are frozen.
    pub(super) fn kernel(&self, place: usize) -> Option<&Tensor> {
        self.kernels.get(&place)
    }

    /// The depthwise convolution with the kernel at this place and what comes behind it, if all is frozen.
    pub(super) fn depthwise(&self, place: usize) -> Option<&Rc<Depthwise>> {
        self.depthwise.get(&place)
    }

    /// `node`, if it is a frozen normalisation.
    pub(super) fn norm(&self, node: &Node) -> Option<&FrozenNorm> {
        let Node::BatchNorm { gamma, .. } = node else { return None };
        self.norms.get(gamma)
    }
}

/// A batch normalisation with fixed statistics and fixed weights: it multiplies and adds, and a convolution before it can
/// do both, which saves a pass over its output.
pub(super) struct FrozenNorm {
    /// For each filter, in a shape that goes with kernels.
    pub factor: Tensor,
    pub shift: Tensor,
}

impl FrozenNorm {
    /// `node`, if it is one.
    pub(super) fn of(node: &Node, weights: &[Weight]) -> Option<FrozenNorm> {
        let Node::BatchNorm { gamma, epsilon, .. } = node else { return None };
        let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|offset| &weights[gamma + offset]);
        if gamma.trainable || beta.trainable {
            return None;
        }
        let factor = &gamma.tensor * (&variance.tensor + *epsilon).rsqrt();
        let shift = &beta.tensor - &mean.tensor * &factor;
        Some(FrozenNorm { factor: factor.view([-1, 1, 1, 1]), shift })
    }

    /// The kernel of the convolution before it, with the factor in it.
    pub(super) fn kernel(&self, kernel: &Tensor, kind: Kind) -> Result<Tensor> {
        Ok(layers::cast(&kernel.f_mul(&self.factor)?, kind))
    }
}

/// A depthwise convolution with the frozen normalisation behind it and the ReLU6 behind that, if these nodes are that;
/// whether its own kernel is frozen is for the caller to know.
pub(super) fn frozen_depthwise(
    node: &Node,
    behind: &[Node],
    weights: &[Weight],
) -> Result<Option<Depthwise>> {
    let (Node::Conv2d { kernel, bias: None, strides, groups, .. }, Some(next)) =
        (node, behind.first())
    else {
        return Ok(None);
    };
    let kernel = &weights[*kernel].tensor;
    if *groups == 1 || kernel.size()[..2] != [*groups, 1] {
        return Ok(None);
    }
    let Some(norm) = FrozenNorm::of(next, weights) else { return Ok(None) };
    let relu6 = matches!(behind, [_, Node::Plain(Layer::Relu6), ..]);
    let kernel = norm.kernel(kernel, Kind::Float)?;
    Ok(Some(Depthwise::new(&kernel, &norm.shift, *strides, relu6)?))
}
