//! A checked network without weights: names, shapes, and the weights that each layer needs.

use std::collections::HashMap;

use super::sequential::Sequential;
use super::summary::SummaryRow;
use crate::error::{Error, Result};
use crate::layers::{Layer, WeightSpec, show_shape};
use crate::system::memory::Memory;

/// Most values of a single kernel, or of a layer's output for one image: 8 GiB of `f32`.
const MOST_VALUES: i64 = 1 << 31;

/// A checked network without weights.
pub(super) struct Plan {
    /// A row of the summary for each layer.
    pub rows: Vec<SummaryRow>,
    /// All weights, in order, under their full names.
    pub specs: Vec<WeightSpec>,
    /// For each layer, the index after its last weight.
    pub ends: Vec<usize>,
    /// Output shape of each layer, for one image.
    pub shapes: Vec<Vec<i64>>,
}

impl Plan {
    /// Checks that the layers fit together, and names them.
    pub(super) fn new(network: &Sequential) -> Result<Plan> {
        let input = network.input_shape();
        if !matches!(input.len(), 1 | 3) || input.iter().any(|&side| side < 1) {
            return Err(Error::DataShape {
                expected: "images with at least one pixel, or vectors with at least one value"
                    .to_owned(),
                found: show_shape(input),
            });
        }
        let mut names = Names::default();
        let mut plan = Plan { rows: vec![], specs: vec![], ends: vec![], shapes: vec![] };
        let mut shape = input.to_vec();
        for (index, layer) in network.layers().iter().enumerate() {
            let problem =
                |problem| Error::Layer { position: index + 1, layer: layer.kind(), problem };
            shape = plan.add(layer, &shape, &mut names).map_err(problem)?;
        }
        Ok(plan)
    }

    /// Adds a layer with this input shape; returns its output shape.
    fn add(
        &mut self,
        layer: &Layer,
        input: &[i64],
        names: &mut Names,
    ) -> std::result::Result<Vec<i64>, String> {
        let output = layer.output_shape(input)?;
        if !fits(output.iter().try_fold(1i64, |product, &side| product.checked_mul(side))) {
            return Err(format!(
                "its output of {} values does not fit into memory; make it smaller",
                show_shape(&output)
            ));
        }
        let name = names.next(layer);
        if self.rows.iter().any(|row| row.name == name) {
            return Err(format!("another layer is called `{name}` already"));
        }
        let specs = layer.weights(input);
        if let Some(large) = specs.iter().find(|spec| !fits(spec.values())) {
            return Err(format!(
                "its {} of {} values does not fit into memory; make it narrower",
                large.name,
                show_shape(&large.shape)
            ));
        }
        let parameters = specs.iter().filter_map(WeightSpec::values).sum::<i64>() as usize;
        self.specs.extend(
            specs
                .into_iter()
                .map(|spec| WeightSpec { name: format!("{name}.{}", spec.name), ..spec }),
        );
        self.ends.push(self.specs.len());
        self.shapes.push(output.clone());
        let output_shape = show_shape(&output);
        self.rows.push(SummaryRow { name, kind: layer.kind(), output_shape, parameters });
        Ok(output)
    }

    /// Checks that there is room for the weights.
    pub(super) fn check_room(&self, memory: Memory) -> Result<()> {
        let bytes = 4 * self.specs.iter().filter_map(WeightSpec::values).sum::<i64>() as u64;
        let advice = "make its layers narrower, or pool before them";
        memory.require(bytes, "a network of these layers", advice)
    }
}

/// True if the count did not overflow and is at most [`MOST_VALUES`].
fn fits(values: Option<i64>) -> bool {
    values.is_some_and(|values| values <= MOST_VALUES)
}

/// Names layers as Keras does: `dense`, `dense_1`, …; a block has its own name.
#[derive(Default)]
struct Names {
    counts: HashMap<&'static str, usize>,
}

impl Names {
    fn next(&mut self, layer: &Layer) -> String {
        if let Layer::Block(block) = layer {
            return block.name.clone();
        }
        let kind = layer.kind();
        let count = self.counts.entry(kind).or_insert(0);
        *count += 1;
        if *count == 1 { kind.to_owned() } else { format!("{kind}_{}", *count - 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ImageShape;

    #[test]
    fn a_layer_that_does_not_fit_is_named() {
        let grey = || Sequential::new(ImageShape { height: 4, width: 4, channels: 1 });
        let cases: Vec<(Sequential, &str)> = vec![
            (
                grey().dense(3),
                "layer 1 (dense): takes a vector, got 4 × 4 × 1; put `flatten()` before it",
            ),
            (
                grey().flatten().conv2d(2, 3),
                "layer 2 (conv2d): takes images, but what comes before gives a vector of 16",
            ),
            (
                grey().max_pooling2d(2).max_pooling2d(4),
                "layer 2 (max_pooling2d): blocks of 4 × 4 do not fit into 2 × 2 pixels",
            ),
            (grey().dropout(1.0), "layer 1 (dropout): `rate` must lie in 0..1, got 1"),
            (grey().conv2d(0, 3), "layer 1 (conv2d): `filters` must be at least 1, got 0"),
            (grey().flatten().dense(1 << 40), "does not fit into memory"),
            (
                grey().flatten().reshape(2, 2, 3),
                "layer 2 (reshape): 2 × 2 × 3 needs a vector of that many values, got 16",
            ),
        ];
        for (network, expected) in cases {
            let message = network.build(0).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    /// 10 × 8 weights and 8 biases, then 8 × 2 and 2: 106 values.
    #[test]
    fn weights_that_do_not_fit_into_memory_are_not_drawn() {
        let network = Sequential::for_vectors(10).dense(8).dense(2);
        let plan = Plan::new(&network).unwrap();
        let check = |available| plan.check_room(Memory { available: Some(available) });
        check(4 * 106).unwrap();
        let text = check(4 * 106 - 1).unwrap_err().to_string();
        let expected = "not enough memory: a network of these layers takes 424 bytes, and 423 bytes are available; \
                        make its layers narrower, or pool before them";
        assert_eq!(text, expected);
    }
}
