//! The convolutional autoencoder that takes noise off images.
//!
//! Its input is a noisy image, `(H, W, C)` of any size; its output is a clean one of the same size, in 0..=1. Between
//! them is a code of few values. Start at [`AutoencoderConfig::network`]; `Model::fit_denoiser` trains it.

use std::fmt;

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::data::ImageShape;
use crate::data::noise::{DenoisedImages, NoisyImages};
use crate::error::{Error, Result};
use crate::layers::{Flatten, Initializer, Layer};
use crate::models::model::images_per_second;
use crate::models::{Model, Precision, Sequential};

/// Settings of the autoencoder. Each layer but the code and the last is followed by batch normalisation and ReLU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoencoderConfig {
    /// Values of the code for each value of the image, above 0 and at most 1; [`AutoencoderConfig::code`] rounds down.
    pub rate: f64,
    /// Filters of the first convolution, at half of the image's size, and of all deeper ones.
    pub filters: [usize; 2],
    /// Units of the dense layers before and after the code; the code is never wider.
    pub dense: usize,
}

impl Default for AutoencoderConfig {
    fn default() -> AutoencoderConfig {
        AutoencoderConfig { rate: 0.1, filters: [32, 64], dense: 512 }
    }
}

/// Convolutions halve the image until its longer side has at most this many pixels.
const SMALLEST: usize = 8;

impl AutoencoderConfig {
    /// Values of the code for images of this shape.
    ///
    /// # Errors
    /// If `rate` lies outside 0..=1, or leaves no value at all.
    pub fn code(&self, shape: ImageShape) -> Result<usize> {
        let values = shape.pixels();
        let code = (self.rate * values as f64).floor();
        if !(self.rate <= 1.0 && code >= 1.0) {
            let least = format!("from {:.4} (one value) to 1", 1.0 / values as f64);
            return Err(Error::parameter("rate", least, self.rate, "0.1 keeps a tenth"));
        }
        Ok((code as usize).min(self.dense))
    }

    /// The network for images of this shape.
    ///
    /// # Errors
    /// As [`AutoencoderConfig::code`].
    pub fn network(&self, shape: ImageShape) -> Result<Sequential> {
        let code = self.code(shape)?;
        let [first, deeper] = self.filters;
        let (mut height, mut width, mut halvings) = (shape.height, shape.width, 0);
        let mut network = Sequential::new(shape).kernel_initializer(Initializer::HeNormal);
        while halvings == 0 || height.max(width) > SMALLEST {
            // A wide first kernel averages more noise away.
            let (filters, side) = if halvings == 0 { (first, 5) } else { (deeper, 3) };
            network = network.conv2d_strided(filters, side, 2).batch_normalization().relu();
            (height, width, halvings) = (height.div_ceil(2), width.div_ceil(2), halvings + 1);
        }
        network = network.flatten().dense(self.dense).batch_normalization().relu();
        network = network.dense(code);
        network = network.dense(self.dense).batch_normalization().relu();
        network = network.dense(height * width * deeper).batch_normalization().relu();
        network = network.reshape(height, width, deeper);
        for _ in 1..halvings {
            network = network.up_sampling2d(2).conv2d(first, 3).batch_normalization().relu();
        }
        network = network.up_sampling2d(2).conv2d(shape.channels, 5);
        if [height << halvings, width << halvings] != [shape.height, shape.width] {
            network = network.cropping2d(shape.height, shape.width);
        }
        Ok(network.sigmoid())
    }
}

/// The narrowest layer of a network.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bottleneck {
    /// Number of layers up to it, including itself.
    pub layers: usize,
    /// Its values per image.
    pub values: usize,
    /// Values of the image.
    pub image_values: usize,
}

impl Bottleneck {
    /// Values of the bottleneck divided by values of the image.
    pub fn rate(&self) -> f64 {
        self.values as f64 / self.image_values as f64
    }
}

impl fmt::Display for Bottleneck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bottleneck { values, image_values, .. } = self;
        write!(f, "{values} of {image_values} values, a rate of {:.4}", self.rate())
    }
}

impl fmt::Debug for Bottleneck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bottleneck: {self}")
    }
}

impl Model {
    /// The first layer with the fewest values, found from the network itself.
    pub fn bottleneck(&self) -> Bottleneck {
        let network = self.network();
        let image_values = values(network.input_shape());
        let mut narrowest = Bottleneck { layers: 0, values: image_values, image_values };
        for layer in 0..network.layers().len() {
            let values = values(self.output_of(layer));
            if values < narrowest.values {
                narrowest = Bottleneck { layers: layer + 1, values, image_values };
            }
        }
        narrowest
    }

    /// The images without their noise, a row for each, `(N, H × W × C)`, channels last.
    ///
    /// # Errors
    /// If the images differ in shape from what the model was built for, or its output has another size.
    pub fn denoise(&self, noisy: &NoisyImages) -> Result<DenoisedImages> {
        self.check_images(noisy.clean())?;
        self.check_restores_images()?;
        Ok(DenoisedImages(rows(&self.outputs_for(&noisy.source(Default::default()))?)?))
    }

    /// How many images a second [`Model::denoise`] takes, noise included: measured as by [`Model::predict_speed`].
    ///
    /// # Errors
    /// As [`Model::denoise`].
    pub fn denoise_speed(&self, noisy: &NoisyImages) -> Result<f64> {
        images_per_second(noisy.len(), || self.denoise(noisy).map(drop))
    }

    /// What passes the bottleneck, a row for each image.
    ///
    /// # Errors
    /// If the images differ in shape from what the model was built for.
    pub fn encode(&self, noisy: &NoisyImages) -> Result<Array2<f32>> {
        self.check_images(noisy.clean())?;
        rows(&self.outputs_of(self.bottleneck().layers, &noisy.source(Default::default()))?)
    }
}

impl Model {
    /// The images of these codes, a row for each, `(N, H × W × C)`, channels last: what [`Model::encode`] left out.
    ///
    /// # Errors
    /// If the codes have another length than the model's, or the model outputs images of another size than its input.
    pub fn decode(&self, codes: &Array2<f32>) -> Result<DenoisedImages> {
        self.check_restores_images()?;
        let Bottleneck { layers, values, .. } = self.bottleneck();
        if codes.ncols() != values {
            let expected = format!("codes of {values} values");
            return Err(Error::DataShape { expected, found: format!("{} values", codes.ncols()) });
        }
        let flat: Vec<f32> = codes.iter().copied().collect();
        let codes = Tensor::f_from_slice(&flat)?.f_view([codes.nrows() as i64, -1])?;
        let codes = match *self.input_of(layers) {
            [channels, height, width] => {
                codes.f_view([-1, height, width, channels])?.f_permute([0, 3, 1, 2])?
            }
            _ => codes,
        };
        let layers = layers..self.network().layers().len();
        let images = self.predictor(layers, Precision::Float32)?.outputs(&codes)?;
        Ok(DenoisedImages(rows(&images)?))
    }
}

fn values(shape: &[i64]) -> usize {
    shape.iter().product::<i64>() as usize
}

/// A row for each image, channels last.
fn rows(outputs: &Tensor) -> Result<Array2<f32>> {
    let flat = Layer::from(Flatten).forward(outputs, &[], false)?;
    let (images, values) = flat.size2()?;
    let flat = Vec::<f32>::try_from(flat.f_reshape([-1])?)?;
    Array2::from_shape_vec((images as usize, values as usize), flat).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, GaussianNoise};

    fn built(height: usize, width: usize, channels: usize) -> Model {
        let shape = ImageShape { height, width, channels };
        AutoencoderConfig::default().network(shape).unwrap().build(1).unwrap()
    }

    #[test]
    fn the_code_of_a_default_image_has_78_of_784_values() {
        let bottleneck = built(28, 28, 1).bottleneck();
        assert_eq!((bottleneck.values, bottleneck.image_values), (78, 784));
        assert_eq!(bottleneck.rate(), 78.0 / 784.0);
        assert_eq!(bottleneck.to_string(), "78 of 784 values, a rate of 0.0995");
    }

    #[test]
    fn images_of_any_size_come_out_as_they_went_in_through_at_most_a_tenth() {
        for (height, width, channels) in
            [(28, 28, 1), (8, 8, 1), (4, 4, 1), (32, 20, 3), (37, 51, 3)]
        {
            let model = built(height, width, channels);
            model.check_restores_images().unwrap();
            let bottleneck = model.bottleneck();
            assert!(bottleneck.values >= 1 && bottleneck.rate() <= 0.1, "{bottleneck:?}");
            let input = Tensor::zeros(
                [2, channels as i64, height as i64, width as i64],
                (tch::Kind::Float, tch::Device::Cpu),
            );
            let layers = model.network().layers().len();
            let predictor = model.predictor(0..layers, Precision::Float32).unwrap();
            assert_eq!(predictor.outputs(&input).unwrap().size(), input.size());
        }
    }

    /// Codes go on where `encode` stopped, also where the narrowest layer gives an image.
    #[test]
    fn decoding_a_code_is_the_second_half_of_denoising() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
        let dataset = Dataset::load(folder).unwrap();
        let noise = GaussianNoise::default();
        let noisy = noise.on(&dataset.subset(vec![0, 2, 3]).unwrap(), 1);
        let shape = dataset.image_shape();
        let flat = AutoencoderConfig::default();
        let image = Sequential::new(shape).conv2d_strided(2, 3, 2).up_sampling2d(2).conv2d(1, 3);
        for network in [flat.network(shape), Ok(image)] {
            let mut model = network.unwrap().build(1).unwrap();
            model.precision = Precision::Float32;
            let code = model.encode(&noisy).unwrap();
            assert!(code.ncols() < shape.pixels());
            let (whole, half) = (model.denoise(&noisy).unwrap(), model.decode(&code).unwrap());
            for (a, b) in whole.iter().zip(half.iter()) {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
    }

    #[test]
    fn a_rate_that_leaves_nothing_or_more_than_everything_is_refused() {
        let shape = ImageShape { height: 10, width: 10, channels: 1 };
        for rate in [0.0, 0.009, 1.5, f64::NAN] {
            let config = AutoencoderConfig { rate, ..AutoencoderConfig::default() };
            let text = config.network(shape).unwrap_err().to_string();
            assert!(text.starts_with("`rate` must be from 0.0100 (one value) to 1"), "{text}");
        }
    }
}
