//! EfficientNet-Lite with its ImageNet weights, and a new head.
//!
//! Lite0 is EfficientNet-B0 (Tan & Le 2019) without squeeze-and-excitation and with ReLU6 in place of swish: a stem,
//! inverted residual blocks (Sandler et al. 2018) in seven stages, and a top. Lite1 has more blocks, Lite2 wider ones, too.
//! The layers are `resize`, `repeat_channels` (for grey images), `stem`, `block_1` to `block_16` (or `block_21`), `top`,
//! `global_average_pooling2d`, `dropout` and `dense`, the new head.
//!
//! Start at [`TransferConfig::pretrained`]; then [`Model::freeze`], [`Model::unfreeze_from`] and [`Model::features`].

use std::path::{Path, PathBuf};

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
    /// Which of the pretrained networks.
    pub variant: EfficientNet,
    /// Images are resized to this many pixels a side, at least 32; the weights were trained at 224 (Lite1: 240, Lite2: 260).
    pub input_size: usize,
    /// Share of the features dropped before the last layer, in 0..1.
    pub dropout: f64,
}

impl Default for TransferConfig {
    fn default() -> TransferConfig {
        TransferConfig { variant: EfficientNet::Lite0, input_size: 96, dropout: 0.2 }
    }
}

/// The pretrained networks, from the quickest to the most accurate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum EfficientNet {
    /// 3.4 million weights below the head; 75.1% of ImageNet's validation images right, as published.
    #[default]
    #[serde(rename = "efficientnet_lite0")]
    Lite0,
    /// More blocks: 4.1 million weights; 76.7%.
    #[serde(rename = "efficientnet_lite1")]
    Lite1,
    /// More and wider blocks: 4.8 million weights; 77.6%.
    #[serde(rename = "efficientnet_lite2")]
    Lite2,
}

impl EfficientNet {
    /// The names that [`EfficientNet::from_name`] takes.
    pub const NAMES: [&'static str; 3] =
        ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"];

    /// The network of this name.
    ///
    /// # Errors
    /// If the name is none of [`EfficientNet::NAMES`].
    pub fn from_name(name: &str) -> Result<EfficientNet> {
        let all = [EfficientNet::Lite0, EfficientNet::Lite1, EfficientNet::Lite2];
        all.into_iter().find(|variant| variant.name() == name).ok_or_else(|| {
            let expected = format!("one of {}", EfficientNet::NAMES.join(", "));
            Error::parameter("variant", expected, name, "`efficientnet_lite0` is the quickest")
        })
    }

    /// Its name, which is the name of its file of weights, too.
    pub fn name(self) -> &'static str {
        EfficientNet::NAMES[self as usize]
    }

    /// Its file in the folder of weights that `cargo xtask setup` makes.
    pub fn weights(self, folder: impl AsRef<Path>) -> PathBuf {
        folder.as_ref().join(self.name()).with_extension("safetensors")
    }

    /// The stages. The paper scales the depth of those between the first and the last, and the width of all.
    fn stages(self) -> Vec<Stage> {
        let (width, depth) = match self {
            EfficientNet::Lite0 => (1.0, 1.0),
            EfficientNet::Lite1 => (1.0, 1.1),
            EfficientNet::Lite2 => (1.1, 1.2),
        };
        let last = STAGES.len() - 1;
        let scaled = |(index, stage): (usize, &Stage)| Stage {
            blocks: match index {
                0 => stage.blocks,
                _ if index == last => stage.blocks,
                _ => (stage.blocks as f64 * depth).ceil() as usize,
            },
            // To the nearest multiple of eight. The paper rounds up where rounding down would lose more than a tenth: that
            // happens in no stage of these networks.
            filters: (stage.filters as f64 * width / 8.0).round() as i64 * 8,
            ..*stage
        };
        STAGES.iter().enumerate().map(scaled).collect()
    }
}

/// One of the seven stages: blocks of the same width.
struct Stage {
    blocks: usize,
    kernel_size: i64,
    /// Strides of the first block; the others have strides 1.
    strides: i64,
    /// Factor by which a block widens its channels.
    expansion: i64,
    filters: i64,
}

/// The stages of Lite0, from table 1 of the paper.
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
    /// feature maps out. Add your own head after it; [`Model::load_imagenet`] reads the weights.
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
        for stage in self.variant.stages() {
            for index in 0..stage.blocks {
                number += 1;
                let layers = stage.block(channels, index == 0);
                network = network.block(&format!("block_{number}"), layers);
                channels = stage.filters;
            }
        }
        Ok(network.block("top", convolution(TOP_FILTERS, 1, 1, 1, true)))
    }

    /// The base with a head of dropout and one dense layer.
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
    /// Reads the ImageNet weights of a network that begins with [`TransferConfig::base`], and freezes those layers; the
    /// head stays trainable.
    ///
    /// # Errors
    /// If the file cannot be read, or its weights do not fit.
    pub fn load_imagenet(&mut self, weights: impl AsRef<Path>) -> Result<()> {
        let advice = "give the file of this network; `cargo xtask setup` makes them";
        let file = ModelFile::of_any_program(weights.as_ref(), advice)?;
        let is_block = |layer: &&Layer| matches!(layer, Layer::Block(block) if block.name.starts_with("block_"));
        let blocks = self.network().layers().iter().filter(is_block).count();
        let names = pretrained_names(blocks);
        if blocks == 0 || self.weights.len() < names.len() {
            let advice = "begin the network with `TransferConfig::base`";
            let found = format!("one of {} weights", self.weights.len());
            return Err(Error::parameter("model", "an EfficientNet-Lite", found, advice));
        }
        let _guard = tch::no_grad_guard();
        for (weight, name) in self.weights.iter_mut().zip(&names) {
            let tensor = file.tensor(name, &weight.tensor.size())?;
            weight.tensor.f_copy_(&tensor)?;
        }
        self.normalization = Some(Normalization { mean: vec![MEAN], std: vec![STD] });
        self.set_trainable(|index, _| index >= names.len())
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

/// The names of the pretrained tensors, in the order of the weights of a network with this many blocks, without the
/// head.
fn pretrained_names(blocks: usize) -> Vec<String> {
    let mut names = Vec::new();
    let mut add = |convolution: String, normalization: String| {
        names.push(format!("{convolution}.weight"));
        for part in ["weight", "bias", "running_mean", "running_var"] {
            names.push(format!("{normalization}.{part}"));
        }
    };
    add("_conv_stem".to_owned(), "_bn0".to_owned());
    for number in 0..blocks {
        let block = format!("_blocks.{number}");
        // The first block does not widen.
        if number > 0 {
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
    use crate::models::precision::Precision;

    const GREY: ImageShape = ImageShape { height: 28, width: 28, channels: 1 };

    const ALL: [EfficientNet; 3] = [EfficientNet::Lite0, EfficientNet::Lite1, EfficientNet::Lite2];

    fn config(variant: EfficientNet) -> TransferConfig {
        TransferConfig { variant, ..TransferConfig::default() }
    }

    /// The size of the published files, with the 1,000 classes of ImageNet and without moving statistics.
    #[test]
    fn the_networks_have_as_many_parameters_as_the_published_ones() {
        for (variant, parameters) in ALL.into_iter().zip([4_652_008, 5_416_680, 6_092_072]) {
            let mut model = config(variant).network(GREY, 1000).unwrap().build(0).unwrap();
            assert_eq!(model.count_trainable(), parameters, "{variant:?}");
            model.freeze().unwrap();
            assert_eq!(model.count_trainable(), 0);
            model.unfreeze_from("dense").unwrap();
            assert_eq!(model.count_trainable(), 1280 * 1000 + 1000);
        }
    }

    /// The largest output is inside a block, which the summary does not show: 96 channels of half the image's side.
    #[test]
    fn a_network_that_makes_much_of_an_image_takes_fewer_at_once() {
        let at_once = |network: Sequential| {
            let model = network.build(0).unwrap();
            model.images_at_once(0..model.network().layers().len(), Precision::Float32)
        };
        for (input_size, images) in [(96, (48 << 20) / (48 * 48 * 96 * 4)), (512, 16)] {
            let config = TransferConfig { input_size, ..TransferConfig::default() };
            assert_eq!(at_once(config.base(GREY).unwrap()), images / 16 * 16);
        }
        assert_eq!(at_once(Sequential::new(GREY).flatten().dense(10)), 512);
    }

    #[test]
    fn every_weight_but_the_head_s_has_a_pretrained_name() {
        for (variant, blocks) in ALL.into_iter().zip([16, 21, 21]) {
            let model = config(variant).network(GREY, 10).unwrap().build(0).unwrap();
            assert_eq!(pretrained_names(blocks).len(), model.weights.len() - 2);
        }
    }

    #[test]
    fn a_network_is_found_by_its_name() {
        for variant in ALL {
            assert_eq!(EfficientNet::from_name(variant.name()).unwrap(), variant);
            assert_eq!(serde_json::to_value(variant).unwrap(), variant.name());
        }
        let error = EfficientNet::from_name("efficientnet_b0").unwrap_err().to_string();
        assert!(error.contains("`variant` must be one of efficientnet_lite0, "), "{error}");
        let file = EfficientNet::Lite2.weights("weights");
        assert_eq!(file, Path::new("weights/efficientnet_lite2.safetensors"));
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
