//! Layers made of layers.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Layer, Operation, Weight, WeightSpec, forward, show_shape};
use crate::error::Result;

/// Layers under one name, one after the other; they are frozen and set free together. Keras's nested `Sequential`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Unique in the network; letters, digits and `_`.
    pub name: String,
    /// The layers, in order.
    pub layers: Vec<Layer>,
}

/// The layers inside, their output added to their input (He et al. 2016): Keras's `Add` around a branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Residual {
    /// The layers, in order; their output must have the shape of their input.
    pub layers: Vec<Layer>,
}

/// The output shape of these layers, one after the other.
fn chain_shape(layers: &[Layer], input: &[i64]) -> std::result::Result<Vec<i64>, String> {
    layers.iter().try_fold(input.to_vec(), |shape, layer| {
        layer.output_shape(&shape).map_err(|problem| format!("{}: {problem}", layer.kind()))
    })
}

/// Each layer with its input shape, as long as the layers fit together.
fn with_inputs<'a>(
    layers: &'a [Layer],
    input: &[i64],
) -> impl Iterator<Item = (&'a Layer, Vec<i64>)> {
    let mut shape = Some(input.to_vec());
    layers.iter().map_while(move |layer| {
        let input = shape.take()?;
        shape = layer.output_shape(&input).ok();
        Some((layer, input))
    })
}

/// The weights of all layers, named by index and kind: `2.conv2d.kernel`.
pub(super) fn chain_weights(layers: &[Layer], input: &[i64]) -> Vec<WeightSpec> {
    let named = |(index, (layer, input)): (usize, (&Layer, Vec<i64>))| {
        let prefix = format!("{index}.{}", layer.kind());
        let named =
            move |spec: WeightSpec| WeightSpec { name: format!("{prefix}.{}", spec.name), ..spec };
        layer.weights(&input).into_iter().map(named)
    };
    with_inputs(layers, input).enumerate().flat_map(named).collect()
}

/// The most values that one of these layers, or one inside them, makes of an image.
pub(crate) fn largest_output(layers: &[Layer], input: &[i64]) -> i64 {
    let each = with_inputs(layers, input).map(|(layer, input)| {
        let own = layer.output_shape(&input).map_or(0, |shape| shape.iter().product());
        own.max(largest_output(layer.inner(), &input))
    });
    each.max().unwrap_or(0)
}

/// The sum of the layers' kept values.
pub(super) fn chain_kept_values(layers: &[Layer], input: &[i64], mut weights: &[Weight]) -> i64 {
    with_inputs(layers, input)
        .map(|(layer, input)| {
            let (own, rest) = weights.split_at(layer.weights(&input).len());
            weights = rest;
            layer.kept_values(&input, own)
        })
        .sum()
}

impl Operation for Block {
    fn kind(&self) -> &'static str {
        "block"
    }

    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if self.name.is_empty() || !self.name.chars().all(plain) {
            return Err("a block's `name` has letters, digits and `_` alone".to_owned());
        }
        chain_shape(&self.layers, input)
    }

    fn inner(&self) -> &[Layer] {
        &self.layers
    }

    fn forward(&self, input: &Tensor, weights: &[Weight], training: bool) -> Result<Tensor> {
        forward(&self.layers, input, weights, training)
    }
}

impl Operation for Residual {
    fn kind(&self) -> &'static str {
        "residual"
    }

    fn output_shape(&self, input: &[i64]) -> std::result::Result<Vec<i64>, String> {
        let output = chain_shape(&self.layers, input)?;
        if output != input {
            return Err(format!(
                "what is inside gives {}, which cannot be added to its input of {}",
                show_shape(&output),
                show_shape(input)
            ));
        }
        Ok(output)
    }

    fn inner(&self) -> &[Layer] {
        &self.layers
    }

    fn forward(&self, input: &Tensor, weights: &[Weight], training: bool) -> Result<Tensor> {
        Ok(forward(&self.layers, input, weights, training)?.f_add(input)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;
    use super::super::{Dense, Initializer, Relu};
    use super::*;

    #[test]
    fn a_residual_adds_its_input() {
        let layer = Residual { layers: vec![Relu.into(), Relu.into()] };
        assert_eq!(run(layer, &[-1.0, 2.0], &[2], &[], false), [-1.0, 4.0]);
    }

    #[test]
    fn weights_inside_are_named_by_index_and_kind() {
        let dense = Dense { units: 1, use_bias: true, kernel_initializer: Initializer::Ones };
        let layer = Block { name: "head".to_owned(), layers: vec![Relu.into(), dense.into()] };
        let names: Vec<String> =
            layer.weights(&[2]).into_iter().map(|weight| weight.name).collect();
        assert_eq!(names, ["1.dense.kernel", "1.dense.bias"]);
        assert_eq!(run(layer, &[-1.0, 2.0], &[2], &[&[10.0, 100.0], &[1.0]], false), [201.0]);
    }
}
