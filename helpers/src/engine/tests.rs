//! Every rule against the reference: outputs, gradients of every weight and of the input, running statistics; `f32` and
//! bf16, odd sizes, frozen and trained.

use tch::{Device, Reduction};

use super::*;
use crate::architectures::{AutoencoderConfig, CnnConfig, DenseConfig, TransferConfig};
use crate::data::ImageShape;
use crate::layers::{
    self, AveragePooling2d, BatchNormalization, Block, Conv2d, Cropping2d, Dense, Dropout, Elu,
    Flatten, GaussianNoise, GlobalAveragePooling2d, Initializer, LeakyRelu, MaxPooling2d, Relu,
    Relu6, Reshape, Residual, Resize, Sigmoid, UpSampling2d,
};
use crate::models::{Model, Sequential};
use crate::system::device;

/// A network's layers with weights of their own, and the rules that its training and its predictions should go through.
struct Case {
    layers: Vec<Layer>,
    input: Vec<i64>,
    weights: Vec<Weight>,
}

/// What a step of training leaves.
struct Step {
    outputs: Tensor,
    gradients: Vec<Tensor>,
    of_input: Tensor,
    statistics: Vec<Tensor>,
}

impl Case {
    fn new(layers: Vec<Layer>, input: &[i64]) -> Case {
        tch::manual_seed(7);
        let (mut shape, mut weights) = (input.to_vec(), Vec::new());
        for (index, layer) in layers.iter().enumerate() {
            for spec in layer.weights(&shape) {
                let mut weight = spec.draw().unwrap();
                weight.name = format!("{index}.{}", weight.name);
                // Normalisations whose weights and statistics are not those of a new network, and biases that are not 0.
                if spec.shape.len() == 1 {
                    let values = Tensor::rand(&spec.shape[..], (Kind::Float, Device::Cpu)) + 0.5;
                    weight = spec.with(values).unwrap();
                }
                weights.push(weight);
            }
            shape = layer.output_shape(&shape).unwrap();
        }
        Case { layers, input: input.to_vec(), weights }
    }

    fn of_model(model: Model) -> Case {
        let network = model.network();
        let case = Case::new(network.layers().to_vec(), network.input_shape());
        let trainable: Vec<bool> = model.weights.iter().map(|weight| weight.trainable).collect();
        case.trained(|index| trainable[index])
    }

    /// Trains the weights of these indices alone.
    fn trained(mut self, trained: impl Fn(usize) -> bool) -> Case {
        for (index, weight) in self.weights.iter_mut().enumerate() {
            weight.trainable &= trained(index);
            weight.tensor = weight.tensor.detach().set_requires_grad(weight.trainable);
        }
        self
    }

    fn images(&self, kind: Kind) -> Tensor {
        self.batch(7, kind)
    }

    fn batch(&self, images: i64, kind: Kind) -> Tensor {
        tch::manual_seed(1);
        let options = (Kind::Float, Device::Cpu);
        let images = match self.input[..] {
            [channels, height, width] => {
                Tensor::randn([images, height, width, channels], options).permute([0, 3, 1, 2])
            }
            _ => Tensor::randn([images, self.input[0]], options),
        };
        images.to_kind(kind)
    }

    fn layers(&self) -> Layers<'_> {
        let (layers, input, device) = (&self.layers, &self.input, device::Device::Cpu);
        Layers { layers, input, first_weight: 0, device }
    }

    /// With the gradient of the input where it trains.
    fn compile(&self, kind: Kind, training: bool) -> Engine {
        Engine::compile(self.layers(), &self.weights, kind, training, training).unwrap()
    }

    /// As a training compiles it, whose images need no gradient.
    fn compile_for_training(&self, kind: Kind) -> Engine {
        Engine::for_training(self.layers(), &self.weights, kind).unwrap()
    }

    /// As a GPU would compute it.
    fn compile_without_rules(&self, kind: Kind) -> Engine {
        let layers = Layers { device: device::Device::CpuReference, ..self.layers() };
        Engine::for_training(layers, &self.weights, kind).unwrap()
    }

    fn statistics(&self) -> Vec<Tensor> {
        self.weights.iter().map(|weight| weight.tensor.detach().copy()).collect()
    }

    fn restore(&self, statistics: &[Tensor]) {
        let _guard = tch::no_grad_guard();
        for (weight, saved) in self.weights.iter().zip(statistics) {
            weight.tensor.shallow_clone().copy_(saved);
        }
    }

    fn step(&self, kind: Kind) -> Step {
        self.step_on(&self.images(kind))
    }

    fn step_on(&self, images: &Tensor) -> Step {
        self.step_by(&self.compile(images.kind(), true), images)
    }

    fn step_by(&self, engine: &Engine, images: &Tensor) -> Step {
        let (outputs, tape) = engine.forward(images, &self.weights).unwrap();
        loss(&outputs).backward();
        let (gradients, of_input) = tape.gradients(&outputs, &self.weights).unwrap();
        Step { outputs: outputs.detach(), gradients, of_input, statistics: self.statistics() }
    }

    /// By the layers' own forward, one after the other, and autograd over all of them.
    fn reference_step(&self, kind: Kind) -> Step {
        self.reference_of(&self.layers, kind, |outputs| outputs)
    }

    /// That of `layers` alone, and of what comes after them.
    fn reference_of(&self, layers: &[Layer], kind: Kind, after: impl Fn(Tensor) -> Tensor) -> Step {
        let input = self.images(kind).set_requires_grad(true);
        let outputs = layers::forward(layers, &input, &self.weights, true).unwrap();
        let outputs = after(outputs.to_kind(Kind::Float));
        let trained: Vec<usize> =
            (0..self.weights.len()).filter(|&index| self.weights[index].trainable).collect();
        let mut leaves = vec![input];
        leaves.extend(trained.iter().map(|&index| self.weights[index].tensor.shallow_clone()));
        let mut found = Tensor::run_backward(&[loss(&outputs)], &leaves, false, false).into_iter();
        let of_input = found.next().unwrap();
        let mut gradients: Vec<Tensor> = self.weights.iter().map(|_| Tensor::new()).collect();
        for (index, gradient) in trained.into_iter().zip(found) {
            gradients[index] = gradient;
        }
        Step { outputs: outputs.detach(), gradients, of_input, statistics: self.statistics() }
    }

    /// Holds training and predictions against the reference in both number formats, and the rules against `rules`.
    fn check(&self, rules: &str) {
        self.check_within(rules, 0.06);
    }

    /// As [`Case::check`], with another tolerance for bf16: rounding adds up in deep networks.
    fn check_within(&self, rules: &str, narrow: f64) {
        assert_eq!(format!("{:?}", self.compile(Kind::Float, true)), rules);
        for (kind, tolerance) in [(Kind::Float, 2e-4), (Kind::BFloat16, narrow)] {
            let before = self.statistics();
            let theirs = self.reference_step(kind);
            self.restore(&before);
            let ours = self.step(kind);
            self.restore(&before);
            close("input", &ours.of_input, &theirs.of_input, tolerance);
            self.compare(&ours, &theirs, tolerance);
            let ours = self.step_by(&self.compile_for_training(kind), &self.images(kind));
            self.restore(&before);
            self.compare(&ours, &theirs, tolerance);
            let ours = self.step_by(&self.compile_without_rules(kind), &self.images(kind));
            self.restore(&before);
            // In bf16 libtorch rounds the sums of a bias, by which it differs from itself in the reference.
            self.compare(&ours, &theirs, if kind == Kind::Float { tolerance } else { 0.25 });
            let predicted =
                self.compile(kind, false).predict(&self.images(kind), &self.weights).unwrap();
            let _guard = tch::no_grad_guard();
            let expected =
                layers::forward(&self.layers, &self.images(kind), &self.weights, false).unwrap();
            assert_eq!(predicted.kind(), kind);
            close("predictions", &predicted, &expected, tolerance);
        }
    }

    /// Two steps in all but the gradient of the input.
    fn compare(&self, ours: &Step, theirs: &Step, tolerance: f64) {
        close("outputs", &ours.outputs, &theirs.outputs, tolerance);
        for (index, weight) in self.weights.iter().enumerate() {
            let name = format!("{} {}", weight.name, weight.tensor.size().len());
            assert_eq!(ours.gradients[index].defined(), weight.trainable, "{name}");
            if weight.trainable {
                close(&name, &ours.gradients[index], &theirs.gradients[index], tolerance);
            }
            close(&name, &ours.statistics[index], &theirs.statistics[index], tolerance);
        }
    }
}

/// Something that weighs each output differently.
fn loss(outputs: &Tensor) -> Tensor {
    let target = (outputs.detach() * 3.0).sin();
    outputs.mse_loss(&target, Reduction::Sum)
}

/// Two tensors that differ by rounding alone: in `f32` everywhere, in bf16 on average.
fn close(name: &str, ours: &Tensor, theirs: &Tensor, tolerance: f64) {
    assert_eq!(ours.size(), theirs.size(), "{name}");
    let (ours, theirs) = (ours.to_kind(Kind::Double), theirs.to_kind(Kind::Double));
    let apart = (&ours - &theirs).abs();
    let (apart, scale) = match tolerance < 0.01 {
        // A bias before a normalisation has no gradient but noise.
        true => (apart.max(), theirs.abs().max().double_value(&[]).max(0.2)),
        false => {
            (apart.mean(Kind::Double), theirs.abs().mean(Kind::Double).double_value(&[]).max(0.2))
        }
    };
    let apart = apart.double_value(&[]) / scale;
    assert!(apart < tolerance, "{name}: {apart:e} of {scale}");
}

fn conv2d(filters: i64, kernel_size: i64, strides: i64, groups: i64, use_bias: bool) -> Layer {
    let kernel_initializer = Initializer::HeNormal;
    Conv2d { filters, kernel_size, strides, groups, use_bias, kernel_initializer }.into()
}

fn dense(units: i64, use_bias: bool) -> Layer {
    Dense { units, use_bias, kernel_initializer: Initializer::HeNormal }.into()
}

fn norm() -> Layer {
    BatchNormalization::default().into()
}

#[test]
fn convolutions_of_all_shapes() {
    for input in [[1, 12, 12], [3, 9, 14]] {
        Case::new(vec![conv2d(5, 3, 1, 1, true)], &input).check(r#"["convolution"]"#);
        Case::new(vec![conv2d(5, 3, 2, 1, false)], &input).check(r#"["convolution"]"#);
        Case::new(vec![conv2d(4, 5, 2, 1, true)], &input).check(r#"["convolution"]"#);
        Case::new(vec![conv2d(4, 1, 1, 1, false)], &input).check(r#"["convolution"]"#);
        Case::new(vec![conv2d(4, 1, 1, 1, true)], &input).check(r#"["convolution"]"#);
        let twice = vec![conv2d(6, 3, 1, 1, false), conv2d(6, 3, 2, 6, false)];
        Case::new(twice, &input).check(r#"["convolution", "convolution"]"#);
    }
}

#[test]
fn convolutions_of_enlarged_images() {
    let up = |size: i64| -> Layer { UpSampling2d { size }.into() };
    let rule = r#"["upsampled_convolution"]"#;
    for input in [[1, 6, 6], [3, 4, 7], [2, 1, 2]] {
        Case::new(vec![up(2), conv2d(1, 5, 1, 1, true)], &input).check(rule);
        Case::new(vec![up(2), conv2d(3, 5, 1, 1, false)], &input).check(rule);
        Case::new(vec![up(2), conv2d(2, 7, 1, 1, true)], &input).check(rule);
    }
    let layers =
        vec![conv2d(4, 3, 1, 1, true), up(2), conv2d(2, 5, 1, 1, false), norm(), Relu.into()];
    let all = Case::new(layers, &[1, 5, 6]);
    all.check(r#"["convolution", "upsampled_convolution", "normalization"]"#);
    // Frozen, but for what comes before; and the bias alone.
    for trained in [[true, true, false, false], [true, true, false, true]] {
        let layers = vec![conv2d(4, 3, 1, 1, true), up(2), conv2d(2, 5, 1, 1, true)];
        let case = Case::new(layers, &[1, 5, 6]).trained(|index| trained[index]);
        case.check(r#"["convolution", "upsampled_convolution"]"#);
    }
    // What the rule would not speed up, or does not know.
    let others = [(2, 3, 1, 1), (3, 5, 1, 1), (2, 5, 2, 1), (2, 4, 1, 1), (2, 5, 1, 2)];
    for (size, side, strides, groups) in others {
        let layers = vec![up(size), conv2d(2, side, strides, groups, true)];
        Case::new(layers, &[2, 4, 5]).check(r#"["simple", "convolution"]"#);
    }
}

#[test]
fn dense_layers() {
    Case::new(vec![dense(9, true), dense(4, false)], &[13]).check(r#"["dense", "dense"]"#);
}

/// What is frozen is converted once, and of a kernel and its bias one alone may be.
#[test]
fn convolutions_and_dense_layers_that_are_frozen_in_part() {
    for trained in [[false, false], [true, false], [false, true]] {
        let case = |layers, input: &[i64], between: std::ops::Range<usize>| {
            Case::new(layers, input)
                .trained(|index| !between.contains(&index) || trained[index % 2])
        };
        let network = vec![dense(5, true), dense(4, true), dense(2, true)];
        case(network, &[6], 2..4).check(r#"["dense", "dense", "dense"]"#);
        let inside = [conv2d(5, 3, 2, 1, true), conv2d(6, 1, 1, 1, true)];
        let [first, last] = [conv2d(4, 3, 1, 1, true), conv2d(2, 3, 1, 1, true)];
        let network = [vec![first], inside.to_vec(), vec![last]].concat();
        let rules = r#"["convolution", "convolution", "convolution", "convolution"]"#;
        case(network, &[3, 9, 8], 2..6).check(rules);
    }
}

#[test]
fn normalizations_with_what_comes_after_them() {
    let pool = |pool_size| Layer::from(MaxPooling2d { pool_size });
    for input in [[5, 6, 6], [3, 7, 5], [33, 2, 3]] {
        Case::new(vec![norm()], &input).check(r#"["normalization"]"#);
        Case::new(vec![norm(), Relu.into()], &input).check(r#"["normalization"]"#);
        Case::new(vec![norm(), Relu.into(), pool(2)], &input).check(r#"["normalization"]"#);
        Case::new(vec![norm(), pool(2)], &input).check(r#"["normalization", "simple"]"#);
        let relu6 = vec![norm(), Relu6.into()];
        Case::new(relu6, &input).check(r#"["normalization", "relu6"]"#);
    }
    let three = vec![norm(), Relu.into(), pool(3)];
    Case::new(three, &[4, 7, 7]).check(r#"["normalization", "simple"]"#);
    let flat = vec![norm(), Relu.into(), norm()];
    Case::new(flat, &[21]).check(r#"["normalization", "normalization"]"#);
}

#[test]
fn single_layers() {
    let cases: Vec<(Layer, Vec<i64>)> = vec![
        (Relu.into(), vec![11]),
        (Sigmoid.into(), vec![3, 4, 5]),
        (MaxPooling2d { pool_size: 3 }.into(), vec![3, 7, 8]),
        (GlobalAveragePooling2d.into(), vec![3, 7, 8]),
        (UpSampling2d { size: 2 }.into(), vec![3, 3, 4]),
        (Cropping2d { height: 2, width: 3 }.into(), vec![3, 4, 4]),
        (Flatten.into(), vec![3, 4, 5]),
        (Flatten.into(), vec![6]),
        (Reshape { channels: 2, height: 3, width: 4 }.into(), vec![24]),
    ];
    for (layer, input) in cases {
        Case::new(vec![layer], &input).check(r#"["simple"]"#);
    }
    Case::new(vec![Relu6.into()], &[3, 4, 5]).check(r#"["relu6"]"#);
    // Dropout that drops nothing is left out.
    Case::new(vec![Dropout { rate: 0.0 }.into(), dense(3, true)], &[4]).check(r#"["dense"]"#);
}

#[test]
fn what_no_rule_knows_is_left_to_autograd() {
    let cases: Vec<(Layer, Vec<i64>)> = vec![
        (AveragePooling2d { pool_size: 2 }.into(), vec![3, 5, 4]),
        (Elu { alpha: 0.7 }.into(), vec![3, 5, 4]),
        (GaussianNoise { stddev: 0.5 }.into(), vec![3, 5, 4]),
        (LeakyRelu { negative_slope: 0.3 }.into(), vec![3, 5, 4]),
        (Resize { height: 9, width: 7 }.into(), vec![2, 4, 4]),
        (layers::RepeatChannels { times: 3 }.into(), vec![2, 4, 4]),
    ];
    for (layer, input) in cases {
        let network = vec![conv2d(4, 3, 1, 1, true), layer, conv2d(3, 3, 1, 1, true)];
        Case::new(network, &input).check(r#"["convolution", "reference", "convolution"]"#);
    }
}

/// A frozen normalisation that follows no convolution, or one with only gamma or only beta frozen.
#[test]
fn a_frozen_normalization_by_itself_is_left_to_autograd() {
    let network = || vec![dense(5, true), norm(), Relu.into(), dense(2, true)];
    let frozen = Case::new(network(), &[6]).trained(|index| !(2..6).contains(&index));
    frozen.check(r#"["dense", "reference", "simple", "dense"]"#);
    let beta_alone = Case::new(network(), &[6]).trained(|index| index != 2);
    beta_alone.check(r#"["dense", "reference", "simple", "dense"]"#);
}

#[test]
fn frozen_normalizations_go_into_the_convolution() {
    let network = |kernel_size, strides| {
        vec![
            conv2d(5, kernel_size, strides, 1, false),
            norm(),
            Relu6.into(),
            conv2d(2, 3, 1, 1, true),
        ]
    };
    for (kernel_size, strides) in [(1, 1), (3, 1), (3, 2)] {
        // Indices 1 to 4 are the normalisation's, 0 its convolution's kernel.
        for trained in [0, 1] {
            let case = Case::new(network(kernel_size, strides), &[4, 9, 8])
                .trained(|index| index >= 5 || (index == 0 && trained == 1));
            case.check(r#"["folded_convolution", "relu6", "convolution"]"#);
        }
    }
}

#[test]
fn frozen_depthwise_convolutions_take_all_around_them() {
    let network = |relu6_after: bool| {
        let mut layers =
            vec![conv2d(7, 1, 1, 1, true), Relu6.into(), conv2d(7, 3, 1, 7, false), norm()];
        if relu6_after {
            layers.push(Relu6.into());
        }
        layers.extend([conv2d(7, 5, 2, 7, false), norm(), conv2d(3, 1, 1, 1, true)]);
        layers
    };
    for (relu6_after, rules) in [
        (true, r#"["convolution", "relu6_depthwise", "depthwise", "convolution"]"#),
        (false, r#"["convolution", "relu6_depthwise", "depthwise", "convolution"]"#),
    ] {
        // Kernel and bias of the first, then twice a kernel and a normalisation.
        let case = Case::new(network(relu6_after), &[3, 9, 8]);
        case.trained(|index| !(2..12).contains(&index)).check(rules);
    }
    // A depthwise kernel that is trained is a convolution like others.
    let case = Case::new(network(true), &[3, 9, 8]);
    let case = case.trained(|index| !(2..12).contains(&index) || index == 2);
    case.check(
        r#"["convolution", "relu6", "folded_convolution", "relu6_depthwise", "convolution"]"#,
    );
}

/// Frozen layers between trained ones, at the start, and inside what is added to its input.
#[test]
fn blocks_and_residuals() {
    let first = vec![conv2d(6, 3, 2, 1, false), norm(), Relu6.into()];
    let inside =
        vec![conv2d(6, 3, 1, 6, false), norm(), Relu6.into(), conv2d(6, 1, 1, 1, false), norm()];
    let residual = |layers: Vec<Layer>| Layer::from(Residual { layers });
    let block = |name: &str, layers| Layer::from(Block { name: name.to_owned(), layers });
    let network = vec![
        block("first", first),
        block("second", vec![residual(inside.clone())]),
        block("third", vec![Relu6.into(), residual([vec![Relu6.into()], inside].concat())]),
        block("fourth", vec![conv2d(6, 5, 2, 6, false), norm()]),
        GlobalAveragePooling2d.into(),
        dense(3, true),
    ];
    // Five weights each of a convolution with its normalisation: 0, 5 and 10, 15 and 20, 25; then the head.
    for trained in [vec![0, 15, 20], vec![5, 10], vec![20], vec![30]] {
        let case = Case::new(network.clone(), &[1, 11, 11])
            .trained(|index| index >= 30 || trained.contains(&index));
        let compiled = format!("{:?}", case.compile(Kind::Float, true));
        case.check(&compiled);
        assert!(compiled.ends_with(r#""simple", "dense"]"#), "{compiled}");
    }
    let all = Case::new(network, &[1, 11, 11]);
    all.check(
        r#"["convolution", "normalization", "relu6", "residual", "relu6", "residual", "convolution", "normalization", "simple", "dense"]"#,
    );
}

fn grey(side: usize) -> ImageShape {
    ImageShape { height: side, width: side, channels: 1 }
}

#[test]
fn the_networks_of_the_tasks() {
    let check = |network: Sequential| {
        let case = Case::of_model(network.build(3).unwrap());
        let rules = format!("{:?}", case.compile(Kind::Float, true));
        assert!(!rules.contains("reference"), "{rules}");
        case.check_within(&rules, 0.2);
    };
    let cnn = CnnConfig { filters: [4, 5, 6, 7], dense: 9, dropout: 0.0, ..Default::default() };
    // Sides that halve with rests: 30, 15, 7, 3.
    check(cnn.network(grey(30), 3));
    check(cnn.network(ImageShape { height: 20, width: 9, channels: 3 }, 3));
    let dense = DenseConfig { hidden: vec![33, 20], dropout: 0.0, ..DenseConfig::default() };
    check(dense.network(grey(9), 4));
    let autoencoder =
        AutoencoderConfig { filters: [4, 6], dense: 20, ..AutoencoderConfig::default() };
    check(autoencoder.network(grey(28)).unwrap());
    check(autoencoder.network(grey(13)).unwrap());
}

/// The last blocks of a pretrained network, as they are fine-tuned: depthwise filters and normalisations are frozen.
fn fine_tuned() -> Case {
    let config = TransferConfig { input_size: 32, dropout: 0.0, ..TransferConfig::default() };
    let network = config.network(grey(28), 10).unwrap();
    let mut model = network.build(3).unwrap();
    model.freeze().unwrap();
    model.unfreeze_from("block_4").unwrap();
    model.freeze_kind("depthwise_conv2d").unwrap();
    let trainable: Vec<bool> = model.weights.iter().map(|weight| weight.trainable).collect();
    let layers = model.network().layers().to_vec();
    // Statistics as they are in a new network: random ones in 50 layers would let no gradient through.
    let case = Case { layers, input: vec![1, 28, 28], weights: model.weights };
    case.trained(|index| trainable[index])
}

#[test]
fn a_fine_tuned_network() {
    let case = fine_tuned();
    // In bf16 the gradient of the input, after 50 layers of rounding, is off by 0.43.
    case.check_within(&format!("{:?}", case.compile(Kind::Float, true)), 0.6);
}

/// So a training may change it from one batch to the next.
#[test]
fn no_bit_depends_on_the_number_of_threads() {
    let cnn = CnnConfig { filters: [16, 24, 32, 40], dense: 48, ..CnnConfig::default() };
    let dense = DenseConfig { hidden: vec![130, 70], ..DenseConfig::default() };
    let autoencoder =
        AutoencoderConfig { filters: [8, 24], dense: 100, ..AutoencoderConfig::default() };
    let networks = [
        cnn.network(grey(28), 10),
        dense.network(grey(28), 10),
        autoencoder.network(grey(28)).unwrap(),
    ];
    let mut cases: Vec<Case> =
        networks.map(|network| Case::of_model(network.build(3).unwrap())).into();
    cases.push(fine_tuned());
    let before = tch::get_num_threads();
    for (number, case) in cases.iter().enumerate() {
        for kind in [Kind::Float, Kind::BFloat16] {
            let (images, statistics) = (case.batch(50, kind), case.statistics());
            let found = [1, 2, 3].map(|threads| {
                tch::set_num_threads(threads);
                tch::manual_seed(9);
                let Step { outputs, gradients, statistics: after, .. } = case.step_on(&images);
                case.restore(&statistics);
                let predicted = case.compile(kind, false).predict(&images, &case.weights).unwrap();
                let gradients = gradients.into_iter().filter(Tensor::defined);
                Vec::from_iter([outputs, predicted].into_iter().chain(gradients).chain(after))
            });
            for (threads, other) in [2, 3].iter().zip(&found[1..]) {
                for (index, (one, other)) in found[0].iter().zip(other).enumerate() {
                    let same = one.equal(other);
                    assert!(
                        same,
                        "network {number}, {kind:?}, {threads} threads, tensor {index}, {:?}",
                        one.size()
                    );
                }
            }
        }
    }
    tch::set_num_threads(before);
}

/// The mask is in the outputs: a dropped value's gradient is 0, another's is scaled like the value.
#[test]
fn what_is_dropped_forward_is_dropped_backward() {
    let after_relu = vec![norm(), Relu.into(), Dropout { rate: 0.5 }.into()];
    for layers in [vec![Dropout { rate: 0.3 }.into()], after_relu] {
        let case = Case::new(layers.clone(), &[400]);
        for (kind, tolerance) in [(Kind::Float, 2e-4), (Kind::BFloat16, 0.06)] {
            let engine = case.compile(kind, true);
            let (before, input) = (case.statistics(), case.images(kind));
            let ours = case.step_by(&engine, &input);
            let dropped = ours.outputs.eq(0.0);
            let (again, _) = engine.forward(&input, &case.weights).unwrap();
            assert!(!again.eq(0.0).equal(&dropped), "each step drops other values");
            case.restore(&before);
            let share_of =
                |zeros: &Tensor| zeros.to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
            let rate = if layers.len() == 1 { 0.3 } else { 0.5 };
            let mask = dropped.logical_not().to_kind(Kind::Float) / (1.0 - rate);
            let theirs =
                case.reference_of(&layers[..layers.len() - 1], kind, |outputs| outputs * &mask);
            case.compare(&ours, &theirs, tolerance);
            close("input", &ours.of_input, &theirs.of_input, tolerance);
            case.restore(&before);
            // ReLU cuts some off anyway.
            let all = layers::forward(&layers[..layers.len() - 1], &input, &case.weights, true);
            let (share, cut) = (share_of(&dropped), share_of(&all.unwrap().eq(0.0)));
            assert!((share - cut - (1.0 - cut) * rate).abs() < 0.05, "{share} of {cut}");
            case.restore(&before);
            let predicted = case.compile(kind, false).predict(&input, &case.weights).unwrap();
            let reference = layers::forward(&layers, &input, &case.weights, false).unwrap();
            close("predictions", &predicted, &reference.detach(), 0.01);
        }
    }
}

#[test]
fn the_seed_fixes_what_is_dropped() {
    let case = Case::new(vec![Dropout { rate: 0.3 }.into(), dense(3, true)], &[400]);
    let (engine, input) = (case.compile(Kind::Float, true), case.images(Kind::Float));
    let run = |seed| {
        tch::manual_seed(seed);
        engine.forward(&input, &case.weights).unwrap().0
    };
    assert!(run(4).equal(&run(4)) && !run(4).equal(&run(5)));
}

#[test]
fn only_what_is_trained_has_a_gradient() {
    let case = Case::new(vec![dense(5, true), Relu.into(), dense(2, true)], &[6]);
    let case = case.trained(|index| index >= 2);
    let engine = case.compile_for_training(Kind::Float);
    let (outputs, tape) = engine.forward(&case.images(Kind::Float), &case.weights).unwrap();
    loss(&outputs).backward();
    let (gradients, of_input) = tape.gradients(&outputs, &case.weights).unwrap();
    let defined: Vec<bool> = gradients.iter().map(Tensor::defined).collect();
    assert_eq!(defined, [false, false, true, true]);
    assert!(!of_input.defined(), "nothing before is trained");
}
