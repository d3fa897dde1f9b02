//! EfficientNet-Lite0 with its ImageNet weights, and a new head.
//!
//! The network is EfficientNet-B0 (Tan & Le 2019) without squeeze-and-excitation and with ReLU6 in place of swish: a
//! stem, sixteen inverted residual blocks (Sandler et al. 2018) in seven stages, and a top. Its layers are `resize`,
//! `repeat_channels` (for grey images), `stem`, `block_1` to `block_16`, `top`, `global_average_pooling2d`, `dropout` and
//! `dense`, the new head.
//!
//! Start at [`TransferConfig::pretrained`]; then [`Model::freeze`], [`Model::unfreeze_from`] and [`Model::features`].

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data::{ImageShape, Normalization};
use crate::error::{Error, Result};
use crate::layers::{BatchNormalization, Conv2d, Initializer, Layer, Relu6, Residual};
use crate::models::model_file::ModelFile;
use crate::models::{Model, Sequential};

/// Settings of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransferConfig {
    /// Images are resized to this many pixels a side, at least 32; the weights were trained at 224.
    pub input_size: usize,
    /// Share of the features dropped before the last layer, in 0..1.
    pub dropout: f64,
}

impl Default for TransferConfig {
    fn default() -> TransferConfig {
        TransferConfig { input_size: 96, dropout: 0.2 }
    }
}

/// One of the seven stages: blocks of the same width.
struct Stage {
    blocks: usize,
    kernel_size: i64,
    /// Of the first block; the others keep the size.
    strides: i64,
    /// How many times wider a block is inside.
    expansion: i64,
    filters: i64,
}

/// The stages, from table 1 of the paper.
const STAGES: [Stage; 7] = [
    Stage { blocks: 1, kernel_size: 3, strides: 1, expansion: 1, filters: 16 },
    Stage { blocks: 2, kernel_size: 3, strides: 2, expansion: 6, filters: 24 },
    Stage { blocks: 2, kernel_size: 5, strides: 2, expansion: 6, filters: 40 },
    Stage { blocks: 3, kernel_size: 3, strides: 2, expansion: 6, filters: 80 },
    Stage { blocks: 3, kernel_size: 5, strides: 1, expansion: 6, filters: 112 },
    Stage { blocks: 4, kernel_size: 5, strides: 2, expansion: 6, filters: 192 },
    Stage { blocks: 1, kernel_size: 3, strides: 1, expansion: 6, filters: 320 },
];
const STEM_FILTERS: i64 = 32;
const TOP_FILTERS: i64 = 1280;

/// The pretrained network's own normalisation: `(value - 127) / 128`.
const MEAN: f64 = 127.0 / 255.0;
const STD: f64 = 128.0 / 255.0;

impl TransferConfig {
    /// The network without its head, for images of this shape, as Keras's `include_top=False`: resized images in, 1,280
    /// feature maps out. A head of one's own comes after it, and [`Model::load_imagenet`] reads the weights.
    ///
    /// # Errors
    /// If `input_size` is out of range.
    pub fn base(&self, shape: ImageShape) -> Result<Sequential> {
        if !(32..=1024).contains(&self.input_size) {
            return Err(Error::parameter(
                "input_size",
                "32 to 1024 pixels",
                self.input_size,
                "96 is quick, 224 is what the weights were trained at",
            ));
        }
        let mut network = Sequential::new(shape).resize(self.input_size, self.input_size);
        if shape.channels == 1 {
            network = network.repeat_channels(3);
        }
        network = network.block("stem", convolution(STEM_FILTERS, 3, 2, 1, true));
        let (mut channels, mut number) = (STEM_FILTERS, 0);
        for stage in &STAGES {
            for index in 0..stage.blocks {
                number += 1;
                let layers = stage.block(channels, index == 0);
                network = network.block(&format!("block_{number}"), layers);
                channels = stage.filters;
            }
        }
        Ok(network.block("top", convolution(TOP_FILTERS, 1, 1, 1, true)))
    }

    /// The base with a head of one dense layer behind dropout.
    ///
    /// # Errors
    /// As [`TransferConfig::base`].
    pub fn network(&self, shape: ImageShape, classes: usize) -> Result<Sequential> {
        let base = self.base(shape)?;
        Ok(base.global_average_pooling2d().dropout(self.dropout).dense(classes))
    }

    /// That network with its ImageNet weights, and a head drawn from `seed`.
    ///
    /// # Errors
    /// As [`TransferConfig::base`] and [`Model::load_imagenet`].
    pub fn pretrained(
        &self,
        shape: ImageShape,
        classes: usize,
        weights: impl AsRef<Path>,
        seed: u64,
    ) -> Result<Model> {
        let mut model = self.network(shape, classes)?.build(seed)?;
        model.load_imagenet(weights)?;
        Ok(model)
    }
}

impl Model {
    /// Reads the ImageNet weights of a network that begins with [`TransferConfig::base`], and freezes all layers that
    /// they belong to; the head after them can be trained.
    ///
    /// # Errors
    /// If the file cannot be read, or its weights do not fit.
    pub fn load_imagenet(&mut self, weights: impl AsRef<Path>) -> Result<()> {
        let advice = "run `cargo xtask setup`, which makes this file";
        let file = ModelFile::of_any_program(weights.as_ref(), advice)?;
        let names = pretrained_names();
        if self.weights.len() < names.len() {
            let advice = "begin the network with `TransferConfig::base`";
            let found = format!("one of {} weights", self.weights.len());
            return Err(Error::parameter("model", "an EfficientNet-Lite0", found, advice));
        }
        let _guard = tch::no_grad_guard();
        for (weight, name) in self.weights.iter_mut().zip(&names) {
            let tensor = file.tensor(name, &weight.tensor.size())?;
            weight.tensor.f_copy_(&tensor)?;
        }
        self.normalization = Some(Normalization { mean: vec![MEAN], std: vec![STD] });
        self.set_trainable(|index, _| index >= names.len());
        Ok(())
    }
}

impl Stage {
    /// An inverted residual block: widen, filter each channel for itself, narrow again.
    fn block(&self, channels: i64, first: bool) -> Vec<Layer> {
        let strides = if first { self.strides } else { 1 };
        let wide = channels * self.expansion;
        let mut layers = Vec::new();
        if self.expansion > 1 {
            layers.extend(convolution(wide, 1, 1, 1, true));
        }
        layers.extend(convolution(wide, self.kernel_size, strides, wide, true));
        layers.extend(convolution(self.filters, 1, 1, 1, false));
        if strides == 1 && channels == self.filters {
            return vec![Residual { layers }.into()];
        }
        layers
    }
}

/// A convolution without bias, batch normalisation, and ReLU6 if `activated`.
fn convolution(
    filters: i64,
    kernel_size: i64,
    strides: i64,
    groups: i64,
    activated: bool,
) -> Vec<Layer> {
    let mut layers: Vec<Layer> = vec![
        Conv2d {
            filters,
            kernel_size,
            strides,
            groups,
            use_bias: false,
            kernel_initializer: Initializer::HeNormal,
        }
        .into(),
        BatchNormalization { momentum: 0.99, epsilon: 1e-3 }.into(),
    ];
    if activated {
        layers.push(Relu6.into());
    }
    layers
}

/// The names of the pretrained tensors, in the order of the network's weights, its head left out.
fn pretrained_names() -> Vec<String> {
    let mut names = Vec::new();
    let mut add = |convolution: String, normalization: String| {
        names.push(format!("{convolution}.weight"));
        for part in ["weight", "bias", "running_mean", "running_var"] {
            names.push(format!("{normalization}.{part}"));
        }
    };
    add("_conv_stem".to_owned(), "_bn0".to_owned());
    let stages = STAGES.iter().flat_map(|stage| std::iter::repeat_n(stage, stage.blocks));
    for (number, stage) in stages.enumerate() {
        let block = format!("_blocks.{number}");
        if stage.expansion > 1 {
            add(format!("{block}._expand_conv"), format!("{block}._bn0"));
        }
        add(format!("{block}._depthwise_conv"), format!("{block}._bn1"));
        add(format!("{block}._project_conv"), format!("{block}._bn2"));
    }
    add("_conv_head".to_owned(), "_bn1".to_owned());
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREY: ImageShape = ImageShape { height: 28, width: 28, channels: 1 };

    /// The paper's implementation counts 4,652,008 with the 1,000 classes of ImageNet, moving statistics left out.
    #[test]
    fn the_network_has_as_many_parameters_as_the_published_one() {
        let mut model = TransferConfig::default().network(GREY, 1000).unwrap().build(0).unwrap();
        assert_eq!(model.count_trainable(), 4_652_008);
        model.freeze();
        assert_eq!(model.count_trainable(), 0);
        model.unfreeze_from("dense").unwrap();
        assert_eq!(model.count_trainable(), 1280 * 1000 + 1000);
    }

    #[test]
    fn every_weight_but_the_head_s_has_a_pretrained_name() {
        let model = TransferConfig::default().network(GREY, 10).unwrap().build(0).unwrap();
        assert_eq!(pretrained_names().len(), model.weights.len() - 2);
    }

    #[test]
    fn missing_weights_say_which_command_makes_them() {
        let error = TransferConfig::default().pretrained(GREY, 10, "nowhere", 0).unwrap_err();
        assert!(error.to_string().contains("`cargo xtask setup`"), "{error}");
    }

    #[test]
    fn weights_of_another_network_are_refused() {
        let mut model = Sequential::new(GREY).flatten().dense(10).build(0).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        model.save(&path).unwrap();
        let error = model.load_imagenet(&path).unwrap_err().to_string();
        assert!(error.contains("begin the network with `TransferConfig::base`"), "{error}");
    }

    #[test]
    fn an_input_too_small_for_five_halvings_is_refused() {
        let config = TransferConfig { input_size: 16, ..TransferConfig::default() };
        let error = config.pretrained(GREY, 10, "nowhere", 0).unwrap_err().to_string();
        assert!(error.contains("`input_size` must be 32 to 1024 pixels, got 16"), "{error}");
    }
}
