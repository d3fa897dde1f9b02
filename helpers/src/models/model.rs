//! A built network: its weights, and how it turns images into predictions.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::backpropagation::{self, Recording};
use super::frozen::{Frozen, FrozenNorm, frozen_depthwise};
use super::fused::{Dropout, Normalized, relu6_};
use super::init::Initializer;
use super::layers::{self, Layer, show_shape};
use super::precision::Precision;
use super::sequential::Sequential;
use super::summary::{Summary, SummaryRow};
use super::trained_on::TrainedOn;
use crate::data::Subset;
use crate::data::batches::{ImageSource, Normalization, Source};
use crate::error::{Error, Result};
use crate::system::interrupt::InterruptGuard;
use crate::system::memory::Memory;
use crate::text::clean_text;

/// Images a prediction takes through the network at once.
const PREDICT_BATCH: usize = 512;

/// A tensor of a model: a weight that training changes, or a running statistic.
pub(crate) struct Weight {
    /// Unique in the model: the layer's name, then `kernel`, `bias`, `gamma`, `beta`, `moving_mean`, `moving_variance`.
    pub name: String,
    /// `f32`, contiguous.
    pub tensor: Tensor,
    /// Whether the optimiser may change it; never true for a running statistic.
    pub trainable: bool,
    /// Whether weight decay applies: to kernels, not to biases and normalisation.
    pub decay: bool,
}

/// What a layer became: the places of its weights in [`Model::weights`].
pub(crate) enum Node {
    /// `input`: values of one image that go in.
    Conv2d {
        kernel: usize,
        bias: Option<usize>,
        strides: i64,
        groups: i64,
        input: i64,
    },
    BatchNorm {
        gamma: usize,
        momentum: f64,
        epsilon: f64,
    },
    /// `input`: values of one image that go in.
    Dense {
        kernel: usize,
        bias: Option<usize>,
        input: i64,
    },
    Residual(Vec<Node>),
    Block(Vec<Node>),
    Plain(Layer),
}

/// What a weight will be, before anything is allocated.
struct Blueprint {
    name: String,
    shape: Vec<i64>,
    initializer: Initializer,
    trainable: bool,
    decay: bool,
}

/// A checked network without weights.
struct Plan {
    nodes: Vec<Node>,
    blueprints: Vec<Blueprint>,
    rows: Vec<SummaryRow>,
    ends: Vec<usize>,
    shapes: Vec<Vec<i64>>,
    output: Vec<i64>,
}

/// A network with weights: trained by `fit`, asked by `predict`, scored by `evaluate`.
pub struct Model {
    network: Sequential,
    nodes: Vec<Node>,
    rows: Vec<SummaryRow>,
    pub(crate) weights: Vec<Weight>,
    /// For each layer, the place after its last weight.
    ends: Vec<usize>,
    /// What comes out of each layer for one image.
    shapes: Vec<Vec<i64>>,
    output: Vec<i64>,
    /// How pixels become the network's input; `fit` takes it from its training images.
    pub(crate) normalization: Option<Normalization>,
    pub(crate) precision: Precision,
    /// What the weights have learnt from.
    pub(crate) trained_on: Vec<TrainedOn>,
}

/// What a model file says about itself.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelConfig {
    format: u32,
    network: Sequential,
    normalization: Option<Normalization>,
    precision: Precision,
    /// Names of the weights that were frozen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    frozen: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    trained_on: Vec<TrainedOn>,
}

/// The only layout of [`ModelConfig`] so far.
const FORMAT: u32 = 1;

impl Model {
    /// Builds `network` with first weights drawn from `seed`.
    pub(crate) fn new(network: Sequential, seed: u64) -> Result<Model> {
        let plan = Plan::new(&network)?;
        plan.check_room(Memory::now())?;
        tch::manual_seed(seed as i64);
        let weights = plan.blueprints.iter().map(Blueprint::draw).collect();
        Ok(Model::assemble(network, plan, weights))
    }

    fn assemble(network: Sequential, plan: Plan, weights: Vec<Weight>) -> Model {
        let Plan { nodes, rows, ends, shapes, output, .. } = plan;
        Model {
            network,
            nodes,
            rows,
            weights,
            ends,
            shapes,
            output,
            normalization: None,
            precision: Precision::Auto,
            trained_on: Vec::new(),
        }
    }

    /// The layers with their output shapes and numbers of parameters.
    pub fn summary(&self) -> Summary {
        let trainable = self.count_trainable();
        Summary {
            rows: self.rows.clone(),
            trainable,
            non_trainable: self.count_params() - trainable,
        }
    }

    /// The number of all parameters, running statistics included, as Keras's `count_params`.
    pub fn count_params(&self) -> usize {
        self.weights.iter().map(|weight| weight.tensor.numel()).sum()
    }

    /// The number of parameters that training changes.
    pub fn count_trainable(&self) -> usize {
        self.weights
            .iter()
            .filter(|weight| weight.trainable)
            .map(|weight| weight.tensor.numel())
            .sum()
    }

    /// Values a prediction has for each image: the number of classes for a classifier.
    pub fn outputs(&self) -> usize {
        self.output.iter().product::<i64>() as usize
    }

    /// The network's settings.
    pub fn network(&self) -> &Sequential {
        &self.network
    }

    /// Freezes every layer: `fit` changes nothing until [`Model::unfreeze_from`], and batch normalisation keeps its
    /// statistics, as in Keras.
    pub fn freeze(&mut self) {
        self.set_trainable(|_, _| false);
    }

    /// Sets the layer of this name and all after it free to be trained, except batch normalisation, which stays as it
    /// is: Keras's guide to fine-tuning keeps it in inference mode too. Layers before are left as they are.
    ///
    /// # Errors
    /// If no layer has this name; [`Model::summary`] lists them.
    pub fn unfreeze_from(&mut self, layer: &str) -> Result<()> {
        let place = self.layer_place(layer)?;
        let first = if place == 0 { 0 } else { self.ends[place - 1] };
        let before: Vec<bool> = self.weights.iter().map(|weight| weight.trainable).collect();
        self.set_trainable(|place, name| {
            let normalization = name.ends_with(".gamma") || name.ends_with(".beta");
            if place >= first { !normalization } else { before[place] }
        });
        Ok(())
    }

    /// Freezes every layer of this kind, such as `depthwise_conv2d`, also inside blocks.
    ///
    /// # Errors
    /// If the network has no such layer with weights; [`Layer::kind`] names them.
    pub fn freeze_kind(&mut self, kind: &str) -> Result<()> {
        let of_kind: Vec<bool> =
            self.weights.iter().map(|weight| is_of(&weight.name, kind)).collect();
        if !of_kind.contains(&true) {
            return Err(Error::parameter(
                "kind",
                "a kind of layer that this network has",
                format!("`{}`", clean_text(kind)),
                "`conv2d`, `depthwise_conv2d`, `batch_norm` and `dense` have weights",
            ));
        }
        let before: Vec<bool> = self.weights.iter().map(|weight| weight.trainable).collect();
        self.set_trainable(|place, _| before[place] && !of_kind[place]);
        Ok(())
    }

    /// Where the layer of this name stands, counted from 0.
    pub(crate) fn layer_place(&self, layer: &str) -> Result<usize> {
        self.rows.iter().position(|row| row.name == layer).ok_or_else(|| {
            Error::parameter(
                "layer",
                "the name of a layer",
                format!("`{}`", clean_text(layer)),
                "`summary()` lists the names",
            )
        })
    }

    /// The name of a layer.
    pub(crate) fn layer_name(&self, place: usize) -> &str {
        &self.rows[place].name
    }

    /// How many layers, from the first on, give the same for the same image at every step of training: frozen and
    /// without dropout.
    pub(crate) fn fixed_layers(&self) -> usize {
        let trained = self.weights.iter().position(|weight| weight.trainable);
        let trained = trained.unwrap_or(self.weights.len());
        self.network
            .layers
            .iter()
            .zip(&self.ends)
            .take_while(|(layer, end)| **end <= trained && !layer.is_random())
            .count()
    }

    /// What comes out of this layer for one image: channels, rows, columns, or so many values.
    pub(crate) fn shape_behind(&self, layer: usize) -> &[i64] {
        &self.shapes[layer]
    }

    /// The weights of the first `layers` layers.
    pub(crate) fn weights_before(&self, layers: usize) -> &[Weight] {
        &self.weights[..if layers == 0 { 0 } else { self.ends[layers - 1] }]
    }

    /// Asks for each weight, by place and name, whether training may change it; running statistics never are.
    pub(super) fn set_trainable(&mut self, trainable: impl Fn(usize, &str) -> bool) {
        for (place, weight) in self.weights.iter_mut().enumerate() {
            weight.trainable = !is_statistic(&weight.name) && trainable(place, &weight.name);
            weight.tensor = weight.tensor.detach().set_requires_grad(weight.trainable);
        }
    }

    /// The names of the weights that are frozen.
    fn frozen(&self) -> Vec<String> {
        let frozen = |weight: &&Weight| !weight.trainable && !is_statistic(&weight.name);
        self.weights.iter().filter(frozen).map(|weight| weight.name.clone()).collect()
    }

    /// Class probabilities, a row for each image: the softmax of the network's outputs.
    ///
    /// # Errors
    /// If the images differ in shape from what the model was built for, or somebody interrupts it (SIGINT).
    pub fn predict(&self, images: &Subset) -> Result<Probabilities> {
        self.check_images(images)?;
        let source = ImageSource::new(images, self.normalization(), Default::default());
        let logits = self.outputs_for(&source)?;
        let probabilities = logits.f_softmax(-1, Kind::Float)?;
        let values = Vec::<f32>::try_from(probabilities.f_flatten(0, -1)?)?;
        let table = Array2::from_shape_vec((images.len(), self.outputs()), values);
        Ok(Probabilities(table.expect("one row an image")))
    }

    /// How many images a second [`Model::predict`] takes: the median of three passes over these images.
    ///
    /// A pass before them is not timed, for the first prediction of a process also pays for what libtorch sets up once:
    /// its threads, its memory, and for each size of a batch the kernels that it picks. The more images, the steadier the
    /// figure; those of a test part are enough.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict_speed(&self, images: &Subset) -> Result<f64> {
        images_a_second(images.len(), || self.predict(images).map(drop))
    }

    /// The network's outputs for everything in `source`, in order, `f32`, nothing dropped.
    pub(crate) fn outputs_for(&self, source: &dyn Source) -> Result<Tensor> {
        self.outputs_of(self.nodes.len(), source)
    }

    /// What comes out of the first `depth` layers, as [`Model::outputs_for`].
    pub(crate) fn outputs_of(&self, depth: usize, source: &dyn Source) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let watch = InterruptGuard::new();
        let positions: Vec<usize> = (0..source.len()).collect();
        let batches = positions
            .chunks(PREDICT_BATCH)
            .enumerate()
            .map(|(place, batch)| {
                watch.check("prediction", "run it again")?;
                let (inputs, _) = source.batch(batch, false)?;
                let outputs = self.forward_through(0..depth, &inputs, false, self.precision);
                let outputs = layers::cast(&outputs, Kind::Float);
                if place == 0 {
                    check_room(&outputs, batch.len(), source.len())?;
                }
                Ok(outputs)
            })
            .collect::<Result<Vec<Tensor>>>()?;
        Ok(Tensor::f_cat(&batches, 0)?)
    }

    /// The network's outputs, `f32`, for a prepared batch that has gone through the first `layer` layers already;
    /// `training` switches dropout and batch statistics on.
    pub(crate) fn forward_from(&self, layer: usize, input: &Tensor, training: bool) -> Tensor {
        let layers = layer..self.nodes.len();
        let output = self.forward_through(layers, input, training, self.precision);
        layers::cast(&output, Kind::Float)
    }

    /// What a training of the layers from `layer` on computes once.
    pub(crate) fn frozen_layers(&self, layer: usize) -> Result<Frozen> {
        Frozen::of(&self.nodes[layer..], &self.weights, self.precision.kind())
    }

    /// The outputs of a training step, as [`Model::forward_from`] gives them, and what [`Model::gradients`] needs.
    pub(crate) fn forward_training(
        &self,
        layer: usize,
        input: &Tensor,
        frozen: &Frozen,
    ) -> Result<(Tensor, Option<Recording>)> {
        if !Recording::knows(&self.nodes[layer..], &self.weights) {
            return Ok((self.forward_from(layer, input, true), None));
        }
        let input = layers::cast(input, self.precision.kind());
        let (output, recording) =
            Recording::forward(&self.nodes[layer..], &self.weights, frozen, input)?;
        // A leaf: autograd goes from the loss to here.
        let output = layers::cast(&output, Kind::Float).f_detach()?.set_requires_grad(true);
        Ok((output, Some(recording)))
    }

    /// The gradient of each weight, `f32` or bf16, once `backward` was called on the loss of these outputs; undefined where
    /// a weight is not trained.
    pub(crate) fn gradients(
        &mut self,
        outputs: &Tensor,
        recording: Option<Recording>,
    ) -> Result<Vec<Tensor>> {
        match recording {
            Some(recording) => {
                let gradient = layers::cast(&outputs.f_grad()?, self.precision.kind());
                recording.backward(gradient, &self.weights)
            }
            None => Ok(self.weights.iter_mut().map(Weight::take_gradient).collect()),
        }
    }

    /// What these layers make of a batch, computed and returned in this number format.
    pub(crate) fn forward_through(
        &self,
        layers: Range<usize>,
        input: &Tensor,
        training: bool,
        precision: Precision,
    ) -> Tensor {
        let input = layers::cast(input, precision.kind());
        self.apply_all(&self.nodes[layers], input, training)
    }

    fn apply_all(&self, mut nodes: &[Node], input: Tensor, training: bool) -> Tensor {
        let mut current = input;
        while let Some((node, behind)) = nodes.split_first() {
            (current, nodes) = match (node, behind) {
                (Node::Conv2d { .. }, [_, rest @ ..])
                    if !training
                        && let Ok(Some(layer)) = frozen_depthwise(node, behind, &self.weights) =>
                {
                    let output = layer.forward(&current).expect("there is room for a batch").0;
                    (output, if layer.relu6() { &rest[1..] } else { rest })
                }
                (Node::Conv2d { kernel, bias: None, strides, groups, .. }, [norm, rest @ ..])
                    if let Some(fixed) = FrozenNorm::of(norm, &self.weights) =>
                {
                    let kernel = fixed.kernel(&self.weights[*kernel].tensor, current.kind());
                    let kernel = kernel.expect("there is room for a kernel");
                    let shift = layers::cast(&fixed.shift, current.kind());
                    let mut output =
                        layers::conv2d_same(&current, &kernel, Some(&shift), *strides, *groups);
                    // The convolution's output is new and needed by nobody else.
                    match rest {
                        [Node::Plain(Layer::Relu6), rest @ ..] if !training => {
                            relu6_(&output);
                            (output, rest)
                        }
                        [Node::Plain(Layer::Relu6), rest @ ..] => (output.relu6_(), rest),
                        rest => (output, rest),
                    }
                }
                (Node::BatchNorm { gamma, epsilon, .. }, _) if !training => {
                    let (follows, rest) = backpropagation::follows(behind, &current, false)
                        .expect("nothing is drawn");
                    let weights = [0, 1, 2, 3].map(|offset| &self.weights[gamma + offset].tensor);
                    let output = Normalized::by_running(&current, weights, *epsilon, follows)
                        .expect("there is room for a batch");
                    (output, rest)
                }
                _ => (self.apply(node, current, training), behind),
            };
        }
        current
    }

    fn apply(&self, node: &Node, input: Tensor, training: bool) -> Tensor {
        let weight = |place: usize| layers::cast(&self.weights[place].tensor, input.kind());
        match node {
            Node::Conv2d { kernel, bias, strides, groups, .. } => layers::conv2d_same(
                &input,
                &weight(*kernel),
                bias.map(weight).as_ref(),
                *strides,
                *groups,
            ),
            Node::Dense { kernel, bias, .. } => {
                input.linear(&weight(*kernel), bias.map(weight).as_ref())
            }
            Node::BatchNorm { gamma, momentum, epsilon } => {
                let [gamma, beta, mean, variance] =
                    [0, 1, 2, 3].map(|offset| &self.weights[gamma + offset]);
                // A frozen layer keeps its statistics too, as in Keras.
                let training = training && gamma.trainable;
                input.batch_norm(
                    Some(&gamma.tensor),
                    Some(&beta.tensor),
                    Some(&mean.tensor),
                    Some(&variance.tensor),
                    training,
                    1.0 - momentum,
                    *epsilon,
                    false,
                )
            }
            Node::Residual(inside) => {
                self.apply_all(inside, input.shallow_clone(), training) + input
            }
            Node::Block(inside) => self.apply_all(inside, input, training),
            Node::Plain(layer) => match *layer {
                Layer::Relu => input.relu(),
                Layer::Relu6 => input.clamp(0.0, 6.0),
                Layer::Sigmoid => input.sigmoid(),
                Layer::MaxPool2d { size } => {
                    input.max_pool2d([size; 2], [size; 2], [0, 0], [1, 1], false)
                }
                Layer::GlobalAveragePool2d => input.mean_dim(&[2i64, 3][..], false, None::<Kind>),
                Layer::UpSampling2d { size } => {
                    let shape = input.size();
                    input.upsample_nearest2d(
                        [shape[2] * size, shape[3] * size],
                        None::<f64>,
                        None::<f64>,
                    )
                }
                Layer::Cropping2d { height, width } => {
                    input.narrow(2, 0, height).narrow(3, 0, width)
                }
                Layer::Dropout { rate } if training && rate > 0.0 => {
                    // The values that a recorded step drops too.
                    let kept = Dropout::draw(rate).and_then(|d| d.apply(&input.ones_like()));
                    input * kept.expect("there is room for a batch")
                }
                Layer::Dropout { .. } => input,
                Layer::Flatten => layers::flatten(&input),
                Layer::Reshape { channels, height, width } => {
                    layers::reshape(&input, channels, height, width)
                }
                Layer::Resize { height, width } => {
                    input.upsample_bilinear2d([height, width], false, None::<f64>, None::<f64>)
                }
                Layer::RepeatChannels { times } => layers::repeat_channels(&input, times),
                Layer::Conv2d { .. }
                | Layer::BatchNorm { .. }
                | Layer::Dense { .. }
                | Layer::Residual(_)
                | Layer::Block { .. } => {
                    unreachable!("layers with weights are nodes of their own")
                }
            },
        }
    }

    /// Checks that there is room to train on batches of so many images that have gone through the first `layer` layers:
    /// for the gradients, two moments and the best weights, and for what each layer keeps of a batch to find its
    /// gradient. It takes more than is asked for here; what does not even fit so is hopeless.
    pub(crate) fn check_room_to_fit(
        &self,
        layer: usize,
        batch: usize,
        memory: Memory,
    ) -> Result<()> {
        let weights = 4 * (self.count_params() + 3 * self.count_trainable()) as u64;
        let kept: i64 = self.nodes[layer..].iter().map(|node| self.kept(node)).sum();
        let bytes = self.precision.kind().elt_size_in_bytes() as u64;
        let batches = (kept as u64).saturating_mul(bytes).saturating_mul(batch as u64);
        let work = format!("training on batches of {batch} images, at the least,");
        let advice = "lower `batch_size`, or take a smaller network or smaller images";
        memory.require(weights.saturating_add(batches), &work, advice)
    }

    /// Values of one image that a node keeps to find its gradient: a product, what goes into it.
    fn kept(&self, node: &Node) -> i64 {
        match node {
            Node::Conv2d { kernel, input, .. } | Node::Dense { kernel, input, .. } => {
                if self.weights[*kernel].trainable { *input } else { 0 }
            }
            Node::Residual(inside) | Node::Block(inside) => {
                inside.iter().map(|node| self.kept(node)).sum()
            }
            Node::BatchNorm { .. } | Node::Plain(_) => 0,
        }
    }

    pub(crate) fn normalization(&self) -> Normalization {
        self.normalization.clone().unwrap_or_default()
    }

    /// All weights and statistics, copied.
    pub(crate) fn snapshot(&self) -> Result<Vec<Tensor>> {
        let _guard = tch::no_grad_guard();
        let copied = |weight: &Weight| {
            let tensor = weight.tensor.f_detach()?;
            let mut copy = tensor.f_empty_like()?;
            copy.f_copy_(&tensor)?;
            Ok(copy)
        };
        self.weights.iter().map(copied).collect()
    }

    /// Puts a [`Model::snapshot`] back.
    pub(crate) fn restore(&mut self, snapshot: &[Tensor]) -> Result<()> {
        let _guard = tch::no_grad_guard();
        for (weight, saved) in self.weights.iter_mut().zip(snapshot) {
            weight.tensor.f_copy_(saved)?;
        }
        Ok(())
    }

    /// Whether `images` have the shape that this model was built for.
    pub(crate) fn check_images(&self, images: &Subset) -> Result<()> {
        let shape = images.dataset().image_shape();
        let found = [shape.channels as i64, shape.height as i64, shape.width as i64];
        if self.network.input == found {
            return Ok(());
        }
        Err(Error::DataShape {
            expected: show_shape(&self.network.input),
            found: show_shape(&found),
        })
    }

    /// Whether this model has as many outputs as `images` have classes.
    pub(crate) fn check_classes(&self, images: &Subset) -> Result<()> {
        let classes = images.dataset().classes();
        if self.output == [classes as i64] {
            return Ok(());
        }
        Err(Error::DataShape {
            expected: format!("{} classes (its outputs)", show_shape(&self.output)),
            found: format!("{classes} classes"),
        })
    }

    /// Whether what comes out has the shape of what goes in.
    pub(crate) fn check_restores_images(&self) -> Result<()> {
        if self.output == self.network.input {
            return Ok(());
        }
        let expected =
            format!("one that gives images as it takes them, {}", show_shape(&self.network.input));
        let advice = "`AutoencoderConfig` describes one";
        Err(Error::parameter("network", expected, show_shape(&self.output), advice))
    }

    /// Writes weights and settings to a safetensors file, from which [`Model::load`] needs nothing else.
    ///
    /// # Errors
    /// If the file cannot be written; a file that was there before stays whole.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let config = ModelConfig {
            format: FORMAT,
            network: self.network.clone(),
            normalization: self.normalization.clone(),
            precision: self.precision,
            frozen: self.frozen(),
            trained_on: self.trained_on.clone(),
        };
        let config = serde_json::to_string(&config).expect("settings are plain values");
        let tensors = self.weights.iter().map(|weight| (weight.name.as_str(), &weight.tensor));
        super::file::write(path.as_ref(), tensors, HashMap::from([("config".to_owned(), config)]))
    }

    /// Reads a model that [`Model::save`] wrote.
    ///
    /// # Errors
    /// If the file cannot be read, is no model file, or its tensors differ from what its settings say.
    pub fn load(path: impl AsRef<Path>) -> Result<Model> {
        let path = path.as_ref();
        let file = super::file::ModelFile::open(path, "run the notebook that makes this file")?;
        let broken = |expected: &str, found: String| Error::File {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found,
            advice: "run the notebook that trains this model again".to_owned(),
        };
        let config: ModelConfig = serde_json::from_str(file.metadata("config")?)
            .map_err(|error| broken("the settings of a model", error.to_string()))?;
        if config.format != FORMAT {
            return Err(broken(
                &format!("a model file of format {FORMAT}"),
                format!("format {}", config.format),
            ));
        }
        let plan = Plan::new(&config.network).map_err(|error| {
            broken("settings of a network that fits together", error.to_string())
        })?;
        let mut weights = Vec::with_capacity(plan.blueprints.len());
        for blueprint in &plan.blueprints {
            let tensor = file.tensor(&blueprint.name, &blueprint.shape)?;
            weights.push(blueprint.with(tensor));
        }
        let mut model = Model::assemble(config.network, plan, weights);
        model.normalization = config.normalization;
        model.precision = config.precision;
        model.trained_on = config.trained_on;
        let frozen: HashSet<&str> = config.frozen.iter().map(String::as_str).collect();
        model.set_trainable(|_, name| !frozen.contains(name));
        Ok(model)
    }
}

/// Images a second of a pass that takes so many: the median of three, after one that is not timed.
pub(super) fn images_a_second(images: usize, pass: impl Fn() -> Result<()>) -> Result<f64> {
    pass()?;
    let mut seconds = [0.0; 3];
    for second in &mut seconds {
        let started = Instant::now();
        pass()?;
        *second = started.elapsed().as_secs_f64();
    }
    seconds.sort_by(f64::total_cmp);
    Ok(images as f64 / seconds[1])
}

/// What `predict` gives: an array of shape `(N, classes)` whose rows add up to 1.
///
/// A type of its own because a notebook can keep no variable whose type is another crate's; it is used as the
/// [`ndarray::Array2`] inside.
#[derive(Clone, PartialEq)]
pub struct Probabilities(Array2<f32>);

impl std::ops::Deref for Probabilities {
    type Target = Array2<f32>;

    fn deref(&self) -> &Array2<f32> {
        &self.0
    }
}

impl fmt::Debug for Probabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Probabilities: {} images, {} classes", self.nrows(), self.ncols())
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Model: {} in, {} out, {} layers, {} parameters",
            show_shape(&self.network.input),
            show_shape(&self.output),
            self.network.layers.len(),
            self.count_params()
        )
    }
}

impl Weight {
    /// What autograd has found; the next step begins without it.
    fn take_gradient(&mut self) -> Tensor {
        let gradient = self.tensor.grad();
        self.tensor = self.tensor.detach().set_requires_grad(self.trainable);
        gradient
    }
}

impl Blueprint {
    fn draw(&self) -> Weight {
        self.with(self.initializer.draw(&self.shape))
    }

    fn with(&self, tensor: Tensor) -> Weight {
        let tensor = tensor.set_requires_grad(self.trainable);
        Weight { name: self.name.clone(), tensor, trainable: self.trainable, decay: self.decay }
    }
}

impl Plan {
    fn new(network: &Sequential) -> Result<Plan> {
        if !matches!(network.input.len(), 1 | 3) || network.input.iter().any(|&side| side < 1) {
            return Err(Error::DataShape {
                expected: "images with at least one pixel, or vectors with at least one value"
                    .to_owned(),
                found: show_shape(&network.input),
            });
        }
        let mut planner = Planner { counts: HashMap::new(), blueprints: Vec::new() };
        let (mut nodes, mut rows) = (Vec::new(), Vec::<SummaryRow>::new());
        let (mut ends, mut shapes) = (Vec::new(), Vec::new());
        let mut shape = network.input.clone();
        for (place, layer) in network.layers.iter().enumerate() {
            let problem =
                |problem| Error::Layer { position: place + 1, layer: layer.kind(), problem };
            let output = layer.output_shape(&shape).map_err(problem)?;
            if !fits(&output) {
                return Err(problem(format!(
                    "its output of {} values does not fit into memory; make it smaller",
                    show_shape(&output)
                )));
            }
            let first = planner.blueprints.len();
            let name = planner.name(layer);
            if rows.iter().any(|row| row.name == name) {
                return Err(problem(format!("another layer is called `{name}` already")));
            }
            nodes.push(planner.node(layer, &name, &shape).map_err(problem)?);
            let parameters = planner.blueprints[first..]
                .iter()
                .map(|b| b.shape.iter().product::<i64>() as usize)
                .sum();
            rows.push(SummaryRow {
                name,
                kind: layer.kind(),
                output_shape: show_shape(&output),
                parameters,
            });
            ends.push(planner.blueprints.len());
            shapes.push(output.clone());
            shape = output;
        }
        Ok(Plan { nodes, blueprints: planner.blueprints, rows, ends, shapes, output: shape })
    }
}

impl Plan {
    /// Checks that there is room for the weights.
    fn check_room(&self, memory: Memory) -> Result<()> {
        let values = |blueprint: &Blueprint| blueprint.shape.iter().product::<i64>() as u64;
        let bytes = 4 * self.blueprints.iter().map(values).sum::<u64>();
        memory.require(
            bytes,
            "a network of these layers",
            "make its layers narrower, or pool before them",
        )
    }
}

/// Checks that there is room for the outputs for all images, told from those for a first batch. They are there three
/// times: batch by batch, joined, and as an array.
pub(crate) fn check_room(outputs: &Tensor, batch: usize, images: usize) -> Result<()> {
    let an_image = outputs.numel().div_ceil(batch.max(1)) as u64;
    let work = "what comes out of the network for all images";
    let advice =
        "take fewer images, with a smaller `sample`, or smaller ones, with a smaller `input_size`";
    Memory::now().require(3 * 4 * an_image * images as u64, work, advice)
}

/// Whether a weight of this name is a running statistic of batch normalisation.
fn is_statistic(name: &str) -> bool {
    name.ends_with(".moving_mean") || name.ends_with(".moving_variance")
}

/// Whether the layer that a weight of this name belongs to is of this kind; it may have a number.
fn is_of(name: &str, kind: &str) -> bool {
    let layer = name.rsplit('.').nth(1).unwrap_or_default();
    let number = layer.strip_prefix(kind).map(|rest| rest.trim_start_matches('_'));
    number.is_some_and(|number| number.chars().all(|c| c.is_ascii_digit()))
}

/// Names layers as Keras does (`dense`, `dense_1`, …) and lists the weights they need.
struct Planner {
    counts: HashMap<&'static str, usize>,
    blueprints: Vec<Blueprint>,
}

impl Planner {
    fn name(&mut self, layer: &Layer) -> String {
        if let Layer::Block { name, .. } = layer {
            return name.clone();
        }
        let kind = layer.kind();
        let count = self.counts.entry(kind).or_insert(0);
        let name = if *count == 0 { kind.to_owned() } else { format!("{kind}_{count}") };
        *count += 1;
        name
    }

    fn add(
        &mut self,
        name: String,
        shape: &[i64],
        initializer: Initializer,
        trainable: bool,
    ) -> Result<usize, String> {
        if !fits(shape) {
            return Err(format!(
                "its kernel of {} values does not fit into memory; make it narrower",
                show_shape(shape)
            ));
        }
        let decay = shape.len() > 1;
        self.blueprints.push(Blueprint {
            name,
            shape: shape.to_vec(),
            initializer,
            trainable,
            decay,
        });
        Ok(self.blueprints.len() - 1)
    }

    fn node(&mut self, layer: &Layer, name: &str, shape: &[i64]) -> Result<Node, String> {
        Ok(match *layer {
            Layer::Conv2d {
                filters,
                kernel_size,
                strides,
                groups,
                use_bias,
                kernel_initializer,
            } => {
                let kernel = [filters, shape[0] / groups, kernel_size, kernel_size];
                let kernel =
                    self.add(format!("{name}.kernel"), &kernel, kernel_initializer, true)?;
                let bias = self.bias(name, filters, use_bias)?;
                let input = shape.iter().product();
                Node::Conv2d { kernel, bias, strides, groups, input }
            }
            Layer::Dense { units, use_bias, kernel_initializer } => {
                let kernel = self.add(
                    format!("{name}.kernel"),
                    &[units, shape[0]],
                    kernel_initializer,
                    true,
                )?;
                Node::Dense { kernel, bias: self.bias(name, units, use_bias)?, input: shape[0] }
            }
            Layer::BatchNorm { momentum, epsilon } => {
                let channels = [shape[0]];
                let gamma =
                    self.add(format!("{name}.gamma"), &channels, Initializer::Ones, true)?;
                self.add(format!("{name}.beta"), &channels, Initializer::Zeros, true)?;
                self.add(format!("{name}.moving_mean"), &channels, Initializer::Zeros, false)?;
                self.add(format!("{name}.moving_variance"), &channels, Initializer::Ones, false)?;
                Node::BatchNorm { gamma, momentum, epsilon }
            }
            Layer::Residual(ref inside) => Node::Residual(self.nodes(inside, name, shape)?),
            Layer::Block { ref layers, .. } => Node::Block(self.nodes(layers, name, shape)?),
            ref plain => Node::Plain(plain.clone()),
        })
    }

    /// The layers inside another one, named after it and their places.
    fn nodes(&mut self, inside: &[Layer], name: &str, shape: &[i64]) -> Result<Vec<Node>, String> {
        let mut shape = shape.to_vec();
        let mut nodes = Vec::with_capacity(inside.len());
        for (place, layer) in inside.iter().enumerate() {
            nodes.push(self.node(layer, &format!("{name}.{place}.{}", layer.kind()), &shape)?);
            shape = layer.output_shape(&shape)?;
        }
        Ok(nodes)
    }

    fn bias(&mut self, name: &str, units: i64, use_bias: bool) -> Result<Option<usize>, String> {
        if !use_bias {
            return Ok(None);
        }
        self.add(format!("{name}.bias"), &[units], Initializer::Zeros, true).map(Some)
    }
}

/// No single kernel, and no layer's output for one image, may be larger: 8 GiB of `f32`.
const MOST_VALUES: i64 = 1 << 31;

/// Whether a tensor of this shape has at most [`MOST_VALUES`].
fn fits(shape: &[i64]) -> bool {
    let values = shape.iter().try_fold(1i64, |product, &side| product.checked_mul(side));
    values.is_some_and(|values| values <= MOST_VALUES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ImageShape;
    use tch::Device;

    fn shape(height: usize, width: usize, channels: usize) -> ImageShape {
        ImageShape { height, width, channels }
    }

    /// A batch of one image with one channel, its values row by row.
    fn image(values: &[f32], height: i64, width: i64) -> Tensor {
        Tensor::from_slice(values).view([1, 1, height, width])
    }

    fn set(model: &mut Model, name: &str, values: &[f32]) {
        let _guard = tch::no_grad_guard();
        let weight = model.weights.iter_mut().find(|weight| weight.name == name).unwrap();
        let shape = weight.tensor.size();
        weight.tensor.copy_(&Tensor::from_slice(values).view(&shape[..]));
    }

    fn run(model: &mut Model, input: &Tensor, training: bool) -> Vec<f32> {
        model.precision = Precision::Float32;
        let _guard = tch::no_grad_guard();
        Vec::try_from(model.forward_from(0, input, training).flatten(0, -1)).unwrap()
    }

    #[test]
    fn a_convolution_keeps_the_size_and_pads_with_zeros() {
        let mut model = Sequential::new(shape(2, 3, 1)).conv2d(1, 3).build(0).unwrap();
        set(&mut model, "conv2d.kernel", &[1., 2., 3., 4., 5., 6., 7., 8., 9.]);
        set(&mut model, "conv2d.bias", &[0.5]);
        let output = run(&mut model, &image(&[1., 0., 0., 0., 0., 2.], 2, 3), false);
        // The 1 at the top left meets the kernel's centre, left, ... ; the 2 at the bottom right likewise.
        assert_eq!(
            output,
            [5.5, 4.0 + 2.0 * 9.0 + 0.5, 2.0 * 8.0 + 0.5, 2.5, 1.0 + 2.0 * 6.0 + 0.5, 10.5]
        );
    }

    /// TensorFlow pads an even side of a strided convolution below and to the right alone.
    #[test]
    fn a_strided_convolution_on_an_even_side_pads_after() {
        let mut model = Sequential::new(shape(2, 2, 1)).conv2d_strided(1, 3, 2).build(0).unwrap();
        set(&mut model, "conv2d.kernel", &[1., 2., 3., 4., 5., 6., 7., 8., 9.]);
        let output = run(&mut model, &image(&[1., 10., 100., 1000.], 2, 2), false);
        assert_eq!(output, [1. + 20. + 400. + 5000.]);
    }

    #[test]
    fn pooling_leaves_an_incomplete_block_out() {
        let mut model = Sequential::new(shape(2, 3, 1)).max_pool2d(2).build(0).unwrap();
        assert_eq!(run(&mut model, &image(&[1., 2., 9., 4., 3., 9.], 2, 3), false), [4.0]);
    }

    #[test]
    fn flatten_goes_row_by_row_with_channels_last_and_reshape_undoes_it() {
        let input = Tensor::arange(12, (Kind::Float, Device::Cpu)).view([1, 2, 2, 3]);
        let mut flat = Sequential::new(shape(2, 3, 2)).flatten().build(0).unwrap();
        assert_eq!(
            run(&mut flat, &input, false),
            [0., 6., 1., 7., 2., 8., 3., 9., 4., 10., 5., 11.]
        );
        let mut back = Sequential::new(shape(2, 3, 2)).flatten().reshape(2, 3, 2).build(0).unwrap();
        assert_eq!(
            run(&mut back, &input, false),
            Vec::<f32>::try_from(input.flatten(0, -1)).unwrap()
        );
    }

    #[test]
    fn up_sampling_repeats_pixels() {
        let mut model = Sequential::new(shape(1, 2, 1)).up_sampling2d(2).build(0).unwrap();
        assert_eq!(
            run(&mut model, &image(&[1., 2.], 1, 2), false),
            [1., 1., 2., 2., 1., 1., 2., 2.]
        );
    }

    /// Two values 1 and 3: mean 2, variance 1. The moving statistics take a tenth of the batch's.
    #[test]
    fn batch_norm_uses_the_batch_while_training_and_its_average_afterwards() {
        let mut model = Sequential::for_vectors(1).batch_norm().build(0).unwrap();
        let input = Tensor::from_slice(&[1f32, 3.]).view([2, 1]);
        let scale = 1.0 / (1.0f32 + 1e-3).sqrt();
        let trained = run(&mut model, &input, true);
        assert!(
            (trained[0] + scale).abs() < 1e-6 && (trained[1] - scale).abs() < 1e-6,
            "{trained:?}"
        );
        // PyTorch's moving variance is the unbiased one: 2 here.
        let (mean, variance) = (0.2f32, 0.9 + 0.1 * 2.0f32);
        let later = run(&mut model, &input, false);
        let expected = (1.0 - mean) / (variance + 1e-3).sqrt();
        assert!((later[0] - expected).abs() < 1e-6, "{later:?} {expected}");
    }

    #[test]
    fn a_residual_adds_its_input() {
        let layers = vec![Layer::Relu, Layer::Relu];
        let mut model = Sequential::for_vectors(2).layer(Layer::Residual(layers)).build(0).unwrap();
        let input = Tensor::from_slice(&[-1f32, 2.]).view([1, 2]);
        assert_eq!(run(&mut model, &input, false), [-1.0, 4.0]);
    }

    #[test]
    fn dropout_acts_while_training_alone_and_keeps_the_mean() {
        let mut model = Sequential::for_vectors(10_000).dropout(0.25).build(0).unwrap();
        let input = Tensor::ones([1, 10_000], (Kind::Float, Device::Cpu));
        assert!(run(&mut model, &input, false).iter().all(|&value| value == 1.0));
        let dropped = run(&mut model, &input, true);
        let share = dropped.iter().filter(|&&value| value == 0.0).count() as f32 / 10_000.0;
        assert!((share - 0.25).abs() < 0.02, "{share}");
        assert!(dropped.iter().all(|&value| value == 0.0 || (value - 4.0 / 3.0).abs() < 1e-6));
    }

    /// 3 × 3 × 2 × 4 + 4 weights of the convolution, 4 × 4 of batch normalisation's, 16 × 5 + 5 of the dense layer; the
    /// convolution's bias goes when batch normalisation follows.
    #[test]
    fn parameters_are_counted_as_keras_counts_them() {
        let network = Sequential::new(shape(4, 4, 2)).conv2d(4, 3);
        assert_eq!(network.clone().build(0).unwrap().count_params(), 3 * 3 * 2 * 4 + 4);
        let model = network.batch_norm().max_pool2d(2).flatten().dense(5).build(0).unwrap();
        assert_eq!(model.count_params(), 72 + 16 + 85);
        let summary = model.summary();
        assert_eq!((summary.trainable, summary.non_trainable), (72 + 8 + 85, 8));
        assert_eq!(summary.rows[2].output_shape, "2 × 2 × 4");
    }

    #[test]
    fn a_layer_that_does_not_fit_is_named() {
        let grey = || Sequential::new(shape(4, 4, 1));
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
                grey().max_pool2d(2).max_pool2d(4),
                "layer 2 (max_pool2d): blocks of 4 × 4 do not fit into 2 × 2 pixels",
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

    /// A slow pass before the three and the slowest of them are not what is given.
    #[test]
    fn a_speed_is_the_median_of_three_passes_after_one_that_is_not_timed() {
        let passes = std::cell::Cell::new(0);
        let naps = [200, 1, 100, 20];
        let speed = images_a_second(1000, || {
            std::thread::sleep(std::time::Duration::from_millis(naps[passes.get()]));
            passes.set(passes.get() + 1);
            Ok(())
        });
        assert_eq!(passes.get(), 4);
        // At most 1000 images in 20 ms; a machine under load only makes it less.
        let speed = speed.unwrap();
        assert!(speed > 0.0 && speed <= 50_000.0, "{speed}");
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

    /// Beside 106 weights: as many gradients, first and second moments, and the best ones; for each image 10 values go
    /// into the first layer and 8 into the second. Frozen layers keep nothing.
    #[test]
    fn a_training_that_does_not_fit_into_memory_is_refused() {
        let network = Sequential::for_vectors(10).dense(8).relu().dense(2);
        let mut model = network.build(1).unwrap();
        model.precision = Precision::Float32;
        let check = |model: &Model, layer, available| {
            model.check_room_to_fit(layer, 100, Memory { available: Some(available) })
        };
        let (weights, batch) = (4 * 4 * 106, 4 * 100 * 18);
        check(&model, 0, weights + batch).unwrap();
        let text = check(&model, 0, weights + batch - 1).unwrap_err().to_string();
        let expected = "not enough memory: training on batches of 100 images, at the least, takes 9 kB, and 9 kB are \
                        available; lower `batch_size`, or take a smaller network or smaller images";
        assert_eq!(text, expected);
        check(&model, 2, weights + 4 * 100 * 8).unwrap();
        model.freeze();
        model.unfreeze_from("dense_1").unwrap();
        check(&model, 0, 4 * (106 + 3 * 18) + 4 * 100 * 8).unwrap();
        assert!(check(&model, 0, 4 * (106 + 3 * 18) + 4 * 100 * 8 - 1).is_err());
    }

    #[test]
    fn the_seed_fixes_the_first_weights() {
        let build =
            |seed| Sequential::for_vectors(3).dense(2).build(seed).unwrap().snapshot().unwrap();
        assert!(build(1)[0].equal(&build(1)[0]));
        assert!(!build(1)[0].equal(&build(2)[0]));
    }
}
