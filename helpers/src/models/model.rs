//! A built network: its weights, and how it turns images into predictions.

use std::fmt;
use std::ops::Range;
use std::time::Instant;

use ndarray::Array2;
use tch::{Kind, Tensor};

use super::plan::Plan;
use super::precision::Precision;
use super::sequential::Sequential;
use super::summary::{Summary, SummaryRow};
use super::trained_on::TrainedOn;
use crate::data::Subset;
use crate::data::batches::{BatchSource, ImageSource, Mirrored, Normalization};
use crate::engine::{Engine, Layers};
use crate::error::{Error, Result};
use crate::layers::{Weight, cast, largest_output, show_shape};
use crate::system::device::{Device, manual_seed};
use crate::system::interrupt::InterruptGuard;
use crate::system::memory::{Memory, keep_freed_memory};
use crate::system::threads::AdaptiveThreads;
use crate::text::clean_text;

/// Images per batch of a prediction, at most and at the least.
const IMAGES_AT_ONCE: [usize; 2] = [16, 512];
/// Bytes that one layer makes of a batch, at most. Of EfficientNet-Lite0's features for images of 96 pixels there are 989 a
/// second with it (112 images at once), 855 with 256 images; with 64, 40 and 32 MB 976, 962 and 944 (medians of four or five
/// rounds on two Zen 4 cores).
const LARGEST_OUTPUT: usize = 48 << 20;

/// A network with weights: `fit` trains it, `predict` uses it, `evaluate` scores it.
pub struct Model {
    network: Sequential,
    rows: Vec<SummaryRow>,
    pub(crate) weights: Vec<Weight>,
    /// For each layer, the index after its last weight.
    ends: Vec<usize>,
    /// Output shape of each layer, for one image.
    shapes: Vec<Vec<i64>>,
    /// How pixels are normalised for the network; `fit` computes it from its training images.
    pub(crate) normalization: Option<Normalization>,
    pub(crate) precision: Precision,
    /// Where the weights are; never [`Device::Auto`].
    pub(super) device: Device,
    /// True if predictions average each image with its mirror image.
    pub(super) mirrored: bool,
    /// The images that the weights were trained on.
    pub(crate) trained_on: Vec<TrainedOn>,
}

impl Sequential {
    /// Checks the chain and draws the first weights from `seed`, the same on any [`Device`].
    ///
    /// # Errors
    /// If a layer does not fit what comes before it, or has a setting it cannot have (the message names the layer), or
    /// there is not enough memory.
    pub fn build(self, seed: u64) -> Result<Model> {
        let plan = Plan::new(&self)?;
        plan.check_room(Memory::now())?;
        manual_seed(seed as i64);
        let weights = plan.specs.iter().map(|spec| spec.draw()).collect::<Result<_>>()?;
        let mut model = Model::assemble(self, plan, weights);
        model.set_device(Device::Auto)?;
        Ok(model)
    }
}

impl Model {
    /// Joins a plan and its weights.
    pub(super) fn assemble(network: Sequential, plan: Plan, weights: Vec<Weight>) -> Model {
        let Plan { rows, ends, shapes, .. } = plan;
        Model {
            network,
            rows,
            weights,
            ends,
            shapes,
            normalization: None,
            precision: Precision::Auto,
            device: Device::Cpu,
            mirrored: false,
            trained_on: Vec::new(),
        }
    }

    /// The layers with their output shapes and numbers of parameters.
    pub fn summary(&self) -> Summary {
        let trainable = self.count_trainable();
        let non_trainable = self.count_params() - trainable;
        Summary { rows: self.rows.clone(), trainable, non_trainable, device: self.device }
    }

    /// Values a prediction has for each image: the number of classes for a classifier.
    pub fn outputs(&self) -> usize {
        self.output_shape().iter().product::<i64>() as usize
    }

    /// The network's settings.
    pub fn network(&self) -> &Sequential {
        &self.network
    }

    /// Index of the layer of this name, counted from 0.
    pub(crate) fn layer_index(&self, layer: &str) -> Result<usize> {
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
    pub(crate) fn layer_name(&self, index: usize) -> &str {
        &self.rows[index].name
    }

    /// How many layers at the start give a constant output for the same image during training: they are frozen and
    /// without dropout.
    pub(crate) fn fixed_layers(&self) -> usize {
        let trained = self.weights.iter().position(|weight| weight.trainable);
        let trained = trained.unwrap_or(self.weights.len());
        let layers = self.network.layers().iter().zip(&self.ends);
        layers.take_while(|(layer, end)| **end <= trained && !layer.is_random()).count()
    }

    /// The input shape of this layer, for one image.
    pub(crate) fn input_of(&self, layer: usize) -> &[i64] {
        if layer == 0 { self.network.input_shape() } else { self.output_of(layer - 1) }
    }

    /// The output shape of this layer, for one image: channels, rows and columns, or a number of values.
    pub(crate) fn output_of(&self, layer: usize) -> &[i64] {
        &self.shapes[layer]
    }

    /// The output shape for one image: a value per class, or channels, rows and columns of an image.
    pub fn output_shape(&self) -> &[i64] {
        self.input_of(self.shapes.len())
    }

    /// Sets the number format of predictions; initially it is that of the training.
    pub fn set_precision(&mut self, precision: Precision) {
        self.precision = precision;
    }

    /// Where this network computes: a GPU where there is one, until [`Model::set_device`] moves it.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Moves the network to a device, on which it is then trained and predicts: PyTorch's `model.to(device)`.
    ///
    /// # Errors
    /// If libtorch does not find the device, or the weights do not fit into its memory.
    pub fn set_device(&mut self, device: Device) -> Result<()> {
        let device = device.resolve()?;
        for weight in &mut self.weights {
            if weight.tensor.device() != device.tch() {
                let moved = weight.tensor.f_detach()?.f_to(device.tch())?;
                weight.tensor = moved.f_set_requires_grad(weight.trainable)?;
            }
        }
        self.device = device;
        Ok(())
    }

    /// Has [`Model::predict`] average the probabilities of each image and of its mirror image (left and right), or not:
    /// test-time augmentation (Krizhevsky et al. 2012). Predictions then take twice as long.
    ///
    /// It is for classifiers that were trained on mirrored images, too, and is saved with the model.
    pub fn average_mirrored(&mut self, mirrored: bool) {
        self.mirrored = mirrored;
    }

    /// True if predictions average each image with its mirror image ([`Model::average_mirrored`]).
    pub(crate) fn averages_mirrored(&self) -> bool {
        self.mirrored
    }

    /// The weights of the first `layers` layers.
    pub(crate) fn weights_before(&self, layers: usize) -> &[Weight] {
        &self.weights[..if layers == 0 { 0 } else { self.ends[layers - 1] }]
    }

    /// The weights of this layer.
    pub(super) fn weights_of(&self, layer: usize) -> &[Weight] {
        &self.weights[self.weights_before(layer).len()..self.ends[layer]]
    }

    /// Class probabilities, a row for each image: the softmax of the network's outputs, or with
    /// [`Model::average_mirrored`] the mean of two.
    ///
    /// # Errors
    /// If the images differ in shape from what the model was built for, there is not enough memory, the user interrupts it
    /// (SIGINT), or a value of `X.npy` is wrong, which may be found only now.
    pub fn predict(&self, images: &Subset) -> Result<Probabilities> {
        self.check_images(images)?;
        let source = ImageSource::new(images, self.normalization(), Default::default());
        let source = source.on(self.device)?;
        let mut probabilities = self.probabilities(&source)?;
        if self.mirrored {
            let mirrored = self.probabilities(&Mirrored(&source))?;
            probabilities = probabilities.f_add(&mirrored)?.f_div_scalar(2.0)?;
        }
        let values = Vec::<f32>::try_from(probabilities.f_flatten(0, -1)?)?;
        let table = Array2::from_shape_vec((images.len(), self.outputs()), values);
        Ok(Probabilities(table.map_err(Error::internal)?))
    }

    fn probabilities(&self, source: &dyn BatchSource) -> Result<Tensor> {
        Ok(self.outputs_for(source)?.f_softmax(-1, Kind::Float)?)
    }

    /// Images per second of [`Model::predict`]: the median of three passes over these images.
    ///
    /// A first pass is not timed, because the first prediction of a process also sets up libtorch: its threads, its
    /// memory, and its kernels for each batch size. The figure is steadier with more images; a test part has enough.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict_speed(&self, images: &Subset) -> Result<f64> {
        images_per_second(images.len(), || self.predict(images).map(drop))
    }

    /// The network's outputs for everything in `source`, in order, `f32`, nothing dropped.
    pub(crate) fn outputs_for(&self, source: &dyn BatchSource) -> Result<Tensor> {
        self.outputs_of(self.network.layers().len(), source)
    }

    /// The outputs of the first `depth` layers, as [`Model::outputs_for`].
    pub(crate) fn outputs_of(&self, depth: usize, source: &dyn BatchSource) -> Result<Tensor> {
        let guard = InterruptGuard::new();
        let predictor = self.predictor(source.first_layer()..depth, self.precision)?;
        keep_freed_memory();
        let at_once = self.images_at_once(source.first_layer()..depth, self.precision);
        let positions: Vec<usize> = (0..source.len()).collect();
        let (mut batches, mut threads) = (Vec::new(), AdaptiveThreads::new());
        threads.enter();
        for batch in positions.chunks(at_once) {
            guard.check("prediction", "run it again")?;
            let (inputs, _) = source.batch(batch, false, self.precision.kind())?;
            let outputs = cast(&predictor.outputs(&inputs)?, Kind::Float)?;
            if batches.is_empty() {
                check_room(&outputs, batch.len(), source.len())?;
            }
            batches.push(outputs);
            threads.after_batch(batch.len());
        }
        source.check()?;
        Ok(Tensor::f_cat(&batches, 0)?)
    }

    /// How many images to take through these layers at once: fewer where a layer makes much of an image, so that the next
    /// one finds some of it in the cache.
    pub(crate) fn images_at_once(&self, layers: Range<usize>, precision: Precision) -> usize {
        let input = self.input_of(layers.start);
        let values = largest_output(&self.network.layers()[layers], input).max(1) as usize;
        let images = LARGEST_OUTPUT / (values * precision.kind().elt_size_in_bytes());
        let [least, most] = IMAGES_AT_ONCE;
        (images / least * least).clamp(least, most)
    }

    /// These layers, compiled for predictions in this number format.
    pub(crate) fn predictor(
        &self,
        layers: Range<usize>,
        precision: Precision,
    ) -> Result<Predictor<'_>> {
        let layers = self.engine_layers(layers);
        let engine = Engine::for_predictions(layers, &self.weights, precision.kind())?;
        Ok(Predictor { engine, weights: &self.weights })
    }

    /// The layers from `layer` on, compiled for training.
    pub(crate) fn training_engine(&self, layer: usize) -> Result<Engine> {
        let layers = self.engine_layers(layer..self.network.layers().len());
        Engine::for_training(layers, &self.weights, self.precision.kind())
    }

    fn engine_layers(&self, layers: Range<usize>) -> Layers<'_> {
        Layers {
            input: self.input_of(layers.start),
            first_weight: self.weights_before(layers.start).len(),
            device: self.device,
            layers: &self.network.layers()[layers],
        }
    }

    pub(crate) fn normalization(&self) -> Normalization {
        self.normalization.clone().unwrap_or_default()
    }

    /// An error unless `images` have the shape that this model was built for.
    pub(crate) fn check_images(&self, images: &Subset) -> Result<()> {
        let shape = images.dataset().image_shape();
        let found = [shape.channels as i64, shape.height as i64, shape.width as i64];
        if self.network.input_shape() == found {
            return Ok(());
        }
        Err(Error::DataShape {
            expected: show_shape(self.network.input_shape()),
            found: show_shape(&found),
        })
    }

    /// An error unless this model has as many outputs as `images` have classes.
    pub(crate) fn check_classes(&self, images: &Subset) -> Result<()> {
        let classes = images.dataset().classes();
        if self.output_shape() == [classes as i64] {
            return Ok(());
        }
        Err(Error::DataShape {
            expected: format!("{} classes (its outputs)", show_shape(self.output_shape())),
            found: format!("{classes} classes"),
        })
    }

    /// An error unless the output has the shape of the input.
    pub(crate) fn check_restores_images(&self) -> Result<()> {
        let input = self.network.input_shape();
        if self.output_shape() == input {
            return Ok(());
        }
        let expected = format!("one that gives images as it takes them, {}", show_shape(input));
        let advice = "`AutoencoderConfig` describes one";
        Err(Error::parameter("network", expected, show_shape(self.output_shape()), advice))
    }
}

/// Layers of a model, compiled for predictions.
pub(crate) struct Predictor<'a> {
    engine: Engine,
    weights: &'a [Weight],
}

impl Predictor<'_> {
    /// What the layers make of a prepared batch, in their number format.
    pub(crate) fn outputs(&self, input: &Tensor) -> Result<Tensor> {
        self.engine.predict(input, self.weights)
    }
}

/// Checks that there is memory for the outputs of all images, estimated from those of a first batch. They exist three
/// times: batch by batch, joined, and as an array.
pub(crate) fn check_room(outputs: &Tensor, batch: usize, images: usize) -> Result<()> {
    let one_image = outputs.numel().div_ceil(batch.max(1)) as u64;
    let work = "what comes out of the network for all images";
    let advice =
        "take fewer images, with a smaller `sample`, or smaller ones, with a smaller `input_size`";
    Memory::now().require(3 * 4 * one_image * images as u64, work, advice)
}

/// Images per second of a pass over this many: the median of three, after one that is not timed.
pub(crate) fn images_per_second(images: usize, pass: impl Fn() -> Result<()>) -> Result<f64> {
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

/// The result of `predict`: an array of shape `(N, classes)` whose rows add up to 1.
///
/// A type of its own, because a notebook cannot keep a variable whose type belongs to another crate; it dereferences to
/// the [`ndarray::Array2`] inside.
#[derive(Clone, PartialEq)]
pub struct Probabilities(Array2<f32>);

impl Probabilities {
    pub(crate) fn new(table: Array2<f32>) -> Probabilities {
        Probabilities(table)
    }
}

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
            show_shape(self.network.input_shape()),
            show_shape(self.output_shape()),
            self.network.layers().len(),
            self.count_params()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slow pass before the three and the slowest of them are not what is given.
    #[test]
    fn a_speed_is_the_median_of_three_passes_after_one_that_is_not_timed() {
        let passes = std::cell::Cell::new(0);
        let naps = [200, 1, 100, 20];
        let speed = images_per_second(1000, || {
            std::thread::sleep(std::time::Duration::from_millis(naps[passes.get()]));
            passes.set(passes.get() + 1);
            Ok(())
        });
        assert_eq!(passes.get(), 4);
        // At most 1000 images in 20 ms; a machine under load only makes it less.
        let speed = speed.unwrap();
        assert!(speed > 0.0 && speed <= 50_000.0, "{speed}");
    }
}
