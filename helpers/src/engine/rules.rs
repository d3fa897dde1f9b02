//! The rules: which neighbouring layers are computed as one step.
//!
//! The first rule of the table that fits takes its layers; then the rules are applied to the remaining layers.
//!
//! | rule | layers | one step because |
//! | --- | --- | --- |
//! | `relu6_depthwise` | ReLU6, then `depthwise` | the gradient is masked while it is computed, not in a pass of its own |
//! | `depthwise` | depthwise convolution, frozen normalisation, ReLU6 if there | one pass instead of three; a few products a pixel are bound by memory |
//! | `folded_convolution` | convolution without bias, frozen normalisation | the normalisation is a factor on the kernel and a bias |
//! | `normalization` | normalisation, ReLU if there, then max pooling 2 × 2 or dropout if there | two passes each way instead of a dozen |
//! | `relu6` | ReLU6 | in place after a convolution, which does not need its output again |
//! | `upsampled_convolution` | upsampling by 2, convolution of 5 × 5 or more | kernel values that meet equal pixels are added first: a third of the products |
//! | `convolution`, `dense` | the layer | libtorch's products without autograd around them |
//! | `residual` | the layers inside, compiled by these rules | |
//! | `dropout` | dropout after something else | the mask is a hash of the index, drawn again and not kept |
//! | `simple` | ReLU, sigmoid, pooling, shapes | libtorch's operation and its derivative |
//! | `reference` | anything else | the layer's own forward, differentiated by autograd |
//!
//! A normalisation is *frozen* when its weights are not trained; a depthwise convolution is fused while training only if its
//! kernel is frozen too. Blocks are opened up first; dropout that drops nothing is left out.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use tch::Kind;

use super::chain::{Chain, ChainStep, ResidualStep, Step};
use super::channels::Channels;
use super::convolution::ConvolutionStep;
use super::depthwise::{Depthwise, DepthwiseStep};
use super::dropout::DropoutStep;
use super::frozen::FrozenNormalization;
use super::kernel_and_bias::{KernelAndBias, in_kind};
use super::normalization::{After, NormalizationStep};
use super::reference::ReferenceStep;
use super::relu6::Relu6Step;
use super::simple::{DenseStep, SimpleStep};
use super::upsampled::{FACTOR, KernelShape, UpsampledConvolutionStep};
use crate::error::Result;
use crate::layers::{Layer, Weight};

/// The context of a rule, besides the layers.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub weights: &'a [Weight],
    /// The number format of the products.
    pub kind: Kind,
    pub training: bool,
    /// True when something before is trained.
    pub needs_input_grad: bool,
    /// True when the input is a new tensor from a convolution, which nothing else uses.
    pub fresh: bool,
}

/// A layer of the chain; blocks are expanded to their layers.
pub(super) struct Item<'a> {
    layer: &'a Layer,
    /// Indices of its weights.
    weights: Range<usize>,
    /// The shape that comes in, without the number of images.
    input: Vec<i64>,
}

/// What a rule makes of the first layers.
struct Match {
    /// How many layers it takes.
    layers: usize,
    step: Box<dyn Step>,
    /// True when the output is a new tensor from a convolution, which nothing else uses.
    fresh: bool,
}

type Rule = fn(&Context, &[Item]) -> Result<Option<Match>>;

const RULES: [(&str, Rule); 11] = [
    ("relu6_depthwise", relu6_depthwise),
    ("depthwise", depthwise),
    ("folded_convolution", folded_convolution),
    ("normalization", normalization),
    ("relu6", relu6),
    ("upsampled_convolution", upsampled_convolution),
    ("convolution", convolution),
    ("dense", dense),
    ("residual", residual),
    ("dropout", dropout),
    ("simple", simple),
];

/// The layers of a chain, with the weights from `first_weight` on.
pub(super) fn items<'a>(
    layers: &'a [Layer],
    input: &[i64],
    first_weight: usize,
    training: bool,
) -> Vec<Item<'a>> {
    let (mut input, mut next, mut items) = (input.to_vec(), first_weight, Vec::new());
    for layer in layers {
        // Built networks have valid shapes.
        let Ok(output) = layer.output_shape(&input) else { break };
        let weights = next..next + layer.weights(&input).len();
        next = weights.end;
        match layer {
            Layer::Block(block) => {
                items.extend(self::items(&block.layers, &input, weights.start, training));
            }
            Layer::Dropout(layer) if !training || layer.rate == 0.0 => {}
            _ => items.push(Item { layer, weights, input }),
        }
        input = output;
    }
    items
}

/// Compiles these layers by the rules.
pub(super) fn compile(context: Context, items: &[Item]) -> Result<Chain> {
    compile_by(&RULES, context, items)
}

/// Compiles these layers without a rule: each is its reference, which computes on any device.
pub(super) fn references(context: Context, items: &[Item]) -> Result<Chain> {
    compile_by(&[], context, items)
}

fn compile_by(
    rules: &[(&'static str, Rule)],
    mut context: Context,
    mut items: &[Item],
) -> Result<Chain> {
    let mut chain = Chain::default();
    while !items.is_empty() {
        let mut found = None;
        for (name, rule) in rules {
            if let Some(matched) = rule(&context, items)? {
                found = Some((*name, matched));
                break;
            }
        }
        let (rule, Match { layers, step, fresh }) =
            found.unwrap_or_else(|| ("reference", reference(&context, &items[0])));
        let (taken, rest) = items.split_at(layers);
        let trained = taken.iter().any(|item| {
            context.weights[item.weights.clone()].iter().any(|weight| weight.trainable)
        });
        let needs_input_grad = context.needs_input_grad;
        let records = needs_input_grad || trained;
        chain.steps.push(ChainStep { rule, step, needs_input_grad, records });
        context = Context { needs_input_grad: records, fresh, ..context };
        chain.fresh = fresh;
        items = rest;
    }
    Ok(chain)
}

/// The first layer, if it is a frozen normalisation.
fn frozen_normalization(context: &Context, items: &[Item]) -> Result<Option<FrozenNormalization>> {
    let Some(Item { layer: Layer::BatchNormalization(layer), weights, .. }) = items.first() else {
        return Ok(None);
    };
    FrozenNormalization::of(layer, &context.weights[weights.clone()])
}

/// The filters of a depthwise convolution fused with the layers after it, and the number of fused layers.
fn depthwise_filters(context: &Context, items: &[Item]) -> Result<Option<(Rc<Depthwise>, usize)>> {
    let Some(Item { layer: Layer::Conv2d(layer), weights, input }) = items.first() else {
        return Ok(None);
    };
    let kernel = &context.weights[weights.start];
    let one_each = layer.groups > 1 && layer.groups == input[0] && layer.filters == input[0];
    // Loops are compiled for each of these sizes.
    let compiled = matches!((layer.kernel_size, layer.strides), (3 | 5, 1 | 2));
    if layer.use_bias || !one_each || !compiled || (context.training && kernel.trainable) {
        return Ok(None);
    }
    let Some(normalization) = frozen_normalization(context, &items[1..])? else { return Ok(None) };
    let relu6 = matches!(items.get(2), Some(Item { layer: Layer::Relu6(_), .. }));
    let (kernel, _) = normalization.fold(kernel, Kind::Float)?;
    let filters = Depthwise::new(&kernel, &normalization.shift, layer.strides, relu6)?;
    Ok(Some((Rc::new(filters), if relu6 { 3 } else { 2 })))
}

fn relu6_depthwise(context: &Context, items: &[Item]) -> Result<Option<Match>> {
    let [Item { layer: Layer::Relu6(_), .. }, rest @ ..] = items else { return Ok(None) };
    let Some((filters, layers)) = depthwise_filters(context, rest)? else { return Ok(None) };
    let step = DepthwiseStep { filters, relu6_before: Some(context.fresh) };
    Ok(Some(Match { layers: 1 + layers, step: Box::new(step), fresh: false }))
}

fn depthwise(context: &Context, items: &[Item]) -> Result<Option<Match>> {
    let Some((filters, layers)) = depthwise_filters(context, items)? else { return Ok(None) };
    let step = DepthwiseStep { filters, relu6_before: None };
    Ok(Some(Match { layers, step: Box::new(step), fresh: false }))
}

fn folded_convolution(context: &Context, items: &[Item]) -> Result<Option<Match>> {
    let [Item { layer: Layer::Conv2d(layer), weights, .. }, rest @ ..] = items else {
        return Ok(None);
    };
    if layer.use_bias {
        return Ok(None);
    }
    let Some(normalization) = frozen_normalization(context, rest)? else { return Ok(None) };
    let fold = |kernel: &Weight, _: Option<&Weight>| normalization.fold(kernel, context.kind);
    let weights = KernelAndBias::new(context.weights, weights, context.training, fold)?;
    let step = ConvolutionStep {
        strides: layer.strides,
        groups: layer.groups,
        weights,
        normalization: Some(normalization),
        pointwise_as_product: context.training,
    };
    Ok(Some(Match { layers: 2, step: Box::new(step), fresh: true }))
}

fn normalization(context: &Context, items: &[Item]) -> Result<Option<Match>> {
    let [Item { layer: Layer::BatchNormalization(layer), weights, input }, rest @ ..] = items
    else {
        return Ok(None);
    };
    let gamma = weights.start;
    let trained = context.weights[gamma].trainable && context.weights[gamma + 1].trainable;
    if context.training && !trained {
        return Ok(None);
    }
    let after = |index: usize| rest.get(index).map(|item| item.layer);
    let relu = matches!(after(0), Some(Layer::Relu(_)));
    let (pool, dropout) = match after(1) {
        Some(Layer::MaxPooling2d(layer)) if relu && input.len() == 3 => {
            (layer.pool_size == 2, None)
        }
        Some(Layer::Dropout(layer)) if relu => (false, Some(layer.rate)),
        _ => (false, None),
    };
    let layers = 1 + usize::from(relu) + usize::from(pool || dropout.is_some());
    let step = NormalizationStep {
        gamma,
        momentum: layer.momentum,
        epsilon: layer.epsilon,
        running: (!context.training)
            .then(|| Channels::of_running_statistics(&context.weights[gamma..], layer.epsilon))
            .transpose()?
            .map(Arc::new),
        after: After { relu, pool, dropout },
    };
    Ok(Some(Match { layers, step: Box::new(step), fresh: false }))
}

fn relu6(context: &Context, items: &[Item]) -> Result<Option<Match>> {
    let [Item { layer: Layer::Relu6(_), .. }, ..] = items else { return Ok(None) };
    let step = Relu6Step { in_place: context.fresh };
    Ok(Some(Match { layers: 1, step: Box::new(step), fresh: false }))
}

fn upsampled_convolution(context: &Context, items: &[Item]) -> Result<Option<Match>> {
    let [
        Item { layer: Layer::UpSampling2d(upsampling), .. },
        Item { layer: Layer::Conv2d(layer), weights, .. },
        ..,
    ] = items
    else {
        return Ok(None);
    };
    let shape = KernelShape::of(&context.weights[weights.start].tensor);
    let fits = upsampling.size == FACTOR as i64 && layer.strides == 1 && layer.groups == 1;
    let Some(shape) = shape.filter(|_| fits && layer.kernel_size >= 5) else { return Ok(None) };
    let fold =
        |kernel: &Weight, bias: Option<&Weight>| shape.fold_weights(kernel, bias, context.kind);
    let weights = KernelAndBias::new(context.weights, weights, context.training, fold)?;
    let step = UpsampledConvolutionStep { weights, shape };
    Ok(Some(Match { layers: 2, step: Box::new(step), fresh: true }))
}

fn convolution(context: &Context, items: &[Item]) -> Result<Option<Match>> {
    let [Item { layer: Layer::Conv2d(layer), weights, .. }, ..] = items else { return Ok(None) };
    let step = ConvolutionStep {
        strides: layer.strides,
        groups: layer.groups,
        weights: kernel_and_bias(context, weights)?,
        normalization: None,
        pointwise_as_product: context.training,
    };
    Ok(Some(Match { layers: 1, step: Box::new(step), fresh: true }))
}

/// Kernel and bias as they are, but in the number format of the products.
fn kernel_and_bias(context: &Context, weights: &Range<usize>) -> Result<KernelAndBias> {
    let convert = |kernel: &Weight, bias: Option<&Weight>| in_kind(kernel, bias, context.kind);
    KernelAndBias::new(context.weights, weights, context.training, convert)
}

fn dense(context: &Context, items: &[Item]) -> Result<Option<Match>> {
    let [Item { layer: Layer::Dense(_), weights, .. }, ..] = items else { return Ok(None) };
    let step = DenseStep { weights: kernel_and_bias(context, weights)? };
    Ok(Some(Match { layers: 1, step: Box::new(step), fresh: false }))
}

fn residual(context: &Context, items: &[Item]) -> Result<Option<Match>> {
    let [Item { layer: Layer::Residual(layer), weights, input }, ..] = items else {
        return Ok(None);
    };
    let items = self::items(&layer.layers, input, weights.start, context.training);
    // The input is added to the output, so the first layer inside may not overwrite it.
    let inside = compile(Context { fresh: false, ..*context }, &items)?;
    Ok(Some(Match { layers: 1, step: Box::new(ResidualStep { inside }), fresh: false }))
}

fn dropout(_: &Context, items: &[Item]) -> Result<Option<Match>> {
    let [Item { layer: Layer::Dropout(layer), .. }, ..] = items else { return Ok(None) };
    let step = DropoutStep { rate: layer.rate };
    Ok(Some(Match { layers: 1, step: Box::new(step), fresh: false }))
}

fn simple(_: &Context, items: &[Item]) -> Result<Option<Match>> {
    let [Item { layer, .. }, ..] = items else { return Ok(None) };
    if !SimpleStep::supports(layer) {
        return Ok(None);
    }
    let step = SimpleStep { layer: (*layer).clone() };
    Ok(Some(Match { layers: 1, step: Box::new(step), fresh: false }))
}

fn reference(context: &Context, item: &Item) -> Match {
    let step = ReferenceStep {
        layer: item.layer.clone(),
        weights: item.weights.clone(),
        training: context.training,
        needs_input_grad: context.needs_input_grad,
    };
    Match { layers: 1, step: Box::new(step), fresh: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_above_lists_all_rules_in_their_order() {
        let rows = include_str!("rules.rs").lines().map_while(|line| line.strip_prefix("//!"));
        let first_cells = rows.filter_map(|line| line.strip_prefix(" | `")?.split(" | ").next());
        let listed: Vec<&str> = first_cells
            .flat_map(|cell| cell.split([',', ' ']))
            .map(|name| name.trim_matches('`'))
            .filter(|name| !name.is_empty())
            .collect();
        let names: Vec<&str> = RULES.iter().map(|(name, _)| *name).chain(["reference"]).collect();
        assert_eq!(listed, names);
    }
}
