//! A built network: its weights, and how it turns images into predictions.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::init::Initializer;
use super::layers::{self, Layer, show_shape};
use super::precision::Precision;
use super::sequential::Sequential;
use super::summary::{Summary, SummaryRow};
use crate::data::Subset;
use crate::data::batches::{ImageSource, Normalization, Source};
use crate::error::{Error, Result};

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
enum Node {
    Conv2d { kernel: usize, bias: Option<usize>, strides: i64, groups: i64 },
    BatchNorm { gamma: usize, momentum: f64, epsilon: f64 },
    Dense { kernel: usize, bias: Option<usize> },
    Residual(Vec<Node>),
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
    output: Vec<i64>,
}

/// A network with weights: trained by `fit`, asked by `predict`, scored by `evaluate`.
pub struct Model {
    network: Sequential,
    nodes: Vec<Node>,
    rows: Vec<SummaryRow>,
    pub(crate) weights: Vec<Weight>,
    output: Vec<i64>,
    /// How pixels become the network's input; `fit` takes it from its training images.
    pub(crate) normalization: Option<Normalization>,
    pub(crate) precision: Precision,
}

/// What a model file says about itself.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelConfig {
    format: u32,
    network: Sequential,
    normalization: Option<Normalization>,
    precision: Precision,
}

/// The only layout of [`ModelConfig`] so far.
const FORMAT: u32 = 1;

impl Model {
    /// Builds `network` with first weights drawn from `seed`.
    pub(crate) fn new(network: Sequential, seed: u64) -> Result<Model> {
        let plan = Plan::new(&network)?;
        tch::manual_seed(seed as i64);
        let weights = plan.blueprints.iter().map(Blueprint::draw).collect();
        Ok(Model::assemble(network, plan, weights))
    }

    fn assemble(network: Sequential, plan: Plan, weights: Vec<Weight>) -> Model {
        let Plan { nodes, rows, output, .. } = plan;
        Model {
            network,
            nodes,
            rows,
            weights,
            output,
            normalization: None,
            precision: Precision::Auto,
        }
    }

    /// The layers with their output shapes and numbers of parameters.
    pub fn summary(&self) -> Summary {
        let count =
            |weights: &mut dyn Iterator<Item = &Weight>| weights.map(|w| w.tensor.numel()).sum();
        Summary {
            rows: self.rows.clone(),
            trainable: count(&mut self.weights.iter().filter(|w| w.trainable)),
            non_trainable: count(&mut self.weights.iter().filter(|w| !w.trainable)),
        }
    }

    /// The number of all parameters, running statistics included, as Keras's `count_params`.
    pub fn count_params(&self) -> usize {
        self.weights.iter().map(|weight| weight.tensor.numel()).sum()
    }

    /// Values a prediction has for each image: the number of classes for a classifier.
    pub fn outputs(&self) -> usize {
        self.output.iter().product::<i64>() as usize
    }

    /// The network's settings.
    pub fn network(&self) -> &Sequential {
        &self.network
    }

    /// Class probabilities, `(N, classes)`: the softmax of the network's outputs.
    ///
    /// # Errors
    /// If the images differ in shape from what the model was built for.
    pub fn predict(&self, images: &Subset) -> Result<Array2<f32>> {
        self.check_images(images)?;
        let source = ImageSource::new(images, self.normalization(), Default::default());
        let logits = self.outputs_for(&source)?;
        let probabilities = logits.f_softmax(-1, Kind::Float)?;
        let values = Vec::<f32>::try_from(probabilities.f_flatten(0, -1)?)?;
        Ok(Array2::from_shape_vec((images.len(), self.outputs()), values)
            .expect("one row an image"))
    }

    /// The network's outputs for everything in `source`, in order, `f32`, nothing dropped.
    pub(crate) fn outputs_for(&self, source: &dyn Source) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let positions: Vec<usize> = (0..source.len()).collect();
        let batches = positions
            .chunks(PREDICT_BATCH)
            .map(|batch| Ok(self.forward(&source.batch(batch, false)?.0, false)))
            .collect::<Result<Vec<Tensor>>>()?;
        Ok(Tensor::f_cat(&batches, 0)?)
    }

    /// The network's outputs for one prepared batch, `f32`; `training` switches dropout and batch statistics on.
    pub(crate) fn forward(&self, input: &Tensor, training: bool) -> Tensor {
        let kind = self.precision.kind();
        let mut current = layers::cast(input, kind);
        for node in &self.nodes {
            current = self.apply(node, current, training);
        }
        layers::cast(&current, Kind::Float)
    }

    fn apply(&self, node: &Node, input: Tensor, training: bool) -> Tensor {
        let weight = |place: usize| layers::cast(&self.weights[place].tensor, input.kind());
        match node {
            Node::Conv2d { kernel, bias, strides, groups } => layers::conv2d_same(
                &input,
                &weight(*kernel),
                bias.map(weight).as_ref(),
                *strides,
                *groups,
            ),
            Node::Dense { kernel, bias } => {
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
                let mut current = input.shallow_clone();
                for node in inside {
                    current = self.apply(node, current, training);
                }
                current + input
            }
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
                Layer::Dropout { rate } if training && rate > 0.0 => input.dropout(rate, true),
                Layer::Dropout { .. } => input,
                Layer::Flatten => layers::flatten(&input),
                Layer::Reshape { channels, height, width } => {
                    layers::reshape(&input, channels, height, width)
                }
                Layer::Conv2d { .. }
                | Layer::BatchNorm { .. }
                | Layer::Dense { .. }
                | Layer::Residual(_) => {
                    unreachable!("layers with weights are nodes of their own")
                }
            },
        }
    }

    pub(crate) fn normalization(&self) -> Normalization {
        self.normalization.clone().unwrap_or_default()
    }

    /// All weights and statistics, copied.
    pub(crate) fn snapshot(&self) -> Vec<Tensor> {
        let _guard = tch::no_grad_guard();
        self.weights.iter().map(|weight| weight.tensor.detach().copy()).collect()
    }

    /// Puts a [`Model::snapshot`] back.
    pub(crate) fn restore(&mut self, snapshot: &[Tensor]) {
        let _guard = tch::no_grad_guard();
        for (weight, saved) in self.weights.iter_mut().zip(snapshot) {
            weight.tensor.copy_(saved);
        }
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
        let file = super::file::ModelFile::open(path)?;
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
        let plan = Plan::new(&config.network)?;
        let mut weights = Vec::with_capacity(plan.blueprints.len());
        for blueprint in &plan.blueprints {
            let tensor = file.tensor(&blueprint.name, &blueprint.shape)?;
            weights.push(blueprint.with(tensor));
        }
        let mut model = Model::assemble(config.network, plan, weights);
        model.normalization = config.normalization;
        model.precision = config.precision;
        Ok(model)
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
        if network.input.iter().any(|&side| side < 1) {
            return Err(Error::DataShape {
                expected: "images with at least one pixel".to_owned(),
                found: show_shape(&network.input),
            });
        }
        let mut planner = Planner { counts: HashMap::new(), blueprints: Vec::new() };
        let (mut nodes, mut rows, mut shape) = (Vec::new(), Vec::new(), network.input.clone());
        for (place, layer) in network.layers.iter().enumerate() {
            let problem =
                |problem| Error::Layer { position: place + 1, layer: layer.kind(), problem };
            let output = layer.output_shape(&shape).map_err(problem)?;
            let first = planner.blueprints.len();
            let name = planner.name(layer);
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
            shape = output;
        }
        Ok(Plan { nodes, blueprints: planner.blueprints, rows, output: shape })
    }
}

/// Names layers as Keras does (`dense`, `dense_1`, …) and lists the weights they need.
struct Planner {
    counts: HashMap<&'static str, usize>,
    blueprints: Vec<Blueprint>,
}

impl Planner {
    fn name(&mut self, layer: &Layer) -> String {
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
        let values = shape.iter().try_fold(1i64, |product, &side| product.checked_mul(side));
        if values.is_none_or(|values| values > MOST_VALUES) {
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
                Node::Conv2d { kernel, bias, strides, groups }
            }
            Layer::Dense { units, use_bias, kernel_initializer } => {
                let kernel = self.add(
                    format!("{name}.kernel"),
                    &[units, shape[0]],
                    kernel_initializer,
                    true,
                )?;
                Node::Dense { kernel, bias: self.bias(name, units, use_bias)? }
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
            Layer::Residual(ref inside) => {
                let mut nodes = Vec::with_capacity(inside.len());
                let mut current = shape.to_vec();
                for (place, layer) in inside.iter().enumerate() {
                    nodes.push(self.node(
                        layer,
                        &format!("{name}.{place}.{}", layer.kind()),
                        &current,
                    )?);
                    current = layer.output_shape(&current)?;
                }
                Node::Residual(nodes)
            }
            ref plain => Node::Plain(plain.clone()),
        })
    }

    fn bias(&mut self, name: &str, units: i64, use_bias: bool) -> Result<Option<usize>, String> {
        if !use_bias {
            return Ok(None);
        }
        self.add(format!("{name}.bias"), &[units], Initializer::Zeros, true).map(Some)
    }
}

/// No single kernel may be larger: 8 GiB of `f32`.
const MOST_VALUES: i64 = 1 << 31;
