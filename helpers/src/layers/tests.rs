//! Every layer's reference against PyTorch: outputs, gradients of input and weights, running statistics.
//! `tests/reference/layers.py` writes the cases.

use std::collections::BTreeSet;

use tch::Device;

use super::*;

#[derive(Deserialize)]
struct Values {
    shape: Vec<i64>,
    values: Vec<f32>,
}

#[derive(Deserialize)]
struct Case {
    layer: Layer,
    training: bool,
    input: Values,
    weights: Vec<Values>,
    output: Values,
    slopes: Values,
    of_input: Values,
    of_weights: Vec<Option<Values>>,
    weights_after: Vec<Values>,
}

impl Values {
    fn tensor(&self) -> Tensor {
        Tensor::from_slice(&self.values).view(&self.shape[..])
    }
}

fn close(name: &str, what: &str, ours: &Tensor, theirs: &Values) {
    let theirs = theirs.tensor();
    assert_eq!(ours.size(), theirs.size(), "{name}: {what}");
    let apart = (ours - &theirs).abs().max().double_value(&[]);
    let scale = theirs.abs().max().double_value(&[]).max(1.0);
    assert!(apart <= 1e-5 * scale, "{name}: {what}: {apart:e} of {scale}");
}

#[test]
fn every_layer_is_pytorch_s() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../../tests/reference/layers.json")).unwrap();
    let mut tried = BTreeSet::new();
    for case in &cases {
        let (kind, shape) = (case.layer.kind(), &case.input.shape[1..]);
        tried.insert(case.layer.name());
        let name = format!("{kind} on {}", show_shape(shape));
        let specs = case.layer.weights(shape);
        assert_eq!(specs.len(), case.weights.len(), "{name}");
        let weights: Vec<Weight> = specs
            .iter()
            .zip(&case.weights)
            .map(|(spec, values)| spec.with(values.tensor()).unwrap())
            .collect();
        let input = case.input.tensor().set_requires_grad(true);
        let output = case.layer.forward(&input, &weights, case.training).unwrap();
        assert_eq!(output.size()[1..], case.layer.output_shape(shape).unwrap(), "{name}");
        close(&name, "output", &output, &case.output);
        (&output * case.slopes.tensor()).sum(Kind::Float).backward();
        close(&name, "gradient of the input", &input.grad(), &case.of_input);
        for ((weight, gradient), after) in
            weights.iter().zip(&case.of_weights).zip(&case.weights_after)
        {
            if let (Some(gradient), true) = (gradient, weight.trainable) {
                close(&name, &weight.name, &weight.tensor.grad(), gradient);
            }
            close(&name, &weight.name, &weight.tensor.detach(), after);
        }
    }
    let all: BTreeSet<&str> = Layer::NAMES.iter().copied().collect();
    assert_eq!(tried, all, "a layer has no case in tests/reference/layers.py");
}

/// A layer is in the list by being written and read, so that a model file holds it.
#[test]
fn a_layer_is_read_as_it_was_written() {
    let residual = Residual { layers: vec![Relu6.into(), Elu { alpha: 1.0 }.into()] };
    let block = Block { name: "stem".to_owned(), layers: vec![residual.into(), Flatten.into()] };
    let layer = Layer::from(block);
    let text = serde_json::to_string(&layer).unwrap();
    assert_eq!(serde_json::from_str::<Layer>(&text).unwrap(), layer, "{text}");
    assert!(serde_json::from_str::<Layer>(r#"{"elu":{"alpha":1.0,"beta":2}}"#).is_err());
}

/// `forward` of a chain hands each layer its own weights.
#[test]
fn a_chain_runs_through_its_layers_in_order() {
    let dense = |units| Dense { units, use_bias: true, kernel_initializer: Initializer::Ones };
    let layers: Vec<Layer> = vec![dense(2).into(), Relu.into(), dense(1).into()];
    let mut weights = Vec::new();
    for (layer, input) in [(&layers[0], 3), (&layers[2], 2)] {
        weights.extend(layer.weights(&[input]).iter().map(|spec| spec.draw().unwrap()));
    }
    let input = Tensor::ones([1, 3], (Kind::Float, Device::Cpu));
    let output = forward(&layers, &input, &weights, false).unwrap();
    assert_eq!(output.double_value(&[0, 0]), 6.0);
}
