//! Where in an image a network sees a class: Grad-CAM.

use std::fmt;

use ndarray::Array2;
use tch::{Kind, Tensor};

use super::metrics::{check_classes, check_lengths};
use crate::data::Subset;
use crate::data::batches::ImageSource;
use crate::error::{Error, Result};
use crate::layers::forward;
use crate::models::Model;

/// Where in each image a class is seen: Grad-CAM (Selvaraju et al. 2017).
#[derive(Clone, PartialEq)]
pub struct GradCam {
    /// The layer whose channels were weighed.
    pub layer: String,
    /// Rows and columns of that layer's output, which limit the detail of a map.
    pub resolution: [usize; 2],
    /// A map for each image, `(N, H × W)` of the image, from 0 to 1: higher where the image speaks more for the class.
    pub maps: Array2<f32>,
}

/// Least rows and columns of a layer whose map shows a place. The last layer of notebook 8's network has 3 × 3, and its
/// maps were all the same: one corner.
const FINE_ENOUGH: i64 = 5;
/// Images per batch.
const BATCH: usize = 64;

impl Model {
    /// What speaks for these classes in these images, by [`Model::grad_cam_layer`]: Grad-CAM (Selvaraju et al. 2017).
    ///
    /// Each channel of the layer is weighted by the mean gradient of the class's output (before the softmax) with
    /// respect to it. The weighted sum without its negative values is scaled to 0..=1 and to the size of the image, as
    /// in the package `pytorch-grad-cam`.
    ///
    /// - `classes`: for each image the class to explain, such as the predicted or the true one
    ///
    /// # Errors
    /// If no layer outputs an image, there is no image, the lengths differ, a class does not exist, or the images
    /// differ in shape from what the model was built for.
    pub fn grad_cam(&self, images: &Subset, classes: &[i64]) -> Result<GradCam> {
        self.grad_cam_at(images, classes, &self.grad_cam_layer()?)
    }

    /// The last layer whose output is an image of at least 5 × 5: it has the most processed features that still have a
    /// position. If all outputs are smaller, the last image. Pooling layers are skipped, as they only make the map
    /// coarser.
    ///
    /// # Errors
    /// If no layer outputs an image.
    pub fn grad_cam_layer(&self) -> Result<String> {
        let layers = self.network().layers();
        let suits = |index: usize, least: i64| match *self.output_of(index) {
            [_, height, width] => {
                height.min(width) >= least && !layers[index].kind().contains("pooling")
            }
            _ => false,
        };
        let last = |least| (0..layers.len()).rev().find(|&index| suits(index, least));
        match last(FINE_ENOUGH).or_else(|| last(1)) {
            Some(index) => Ok(self.layer_name(index).to_owned()),
            None => Err(Error::parameter(
                "model",
                "one with a layer that gives an image, such as a convolution",
                "one whose layers give vectors alone",
                "ask a convolutional network",
            )),
        }
    }

    /// [`Model::grad_cam`] for another layer.
    ///
    /// # Errors
    /// As [`Model::grad_cam`], or if no layer with this name outputs images.
    pub fn grad_cam_at(&self, images: &Subset, classes: &[i64], layer: &str) -> Result<GradCam> {
        self.check_images(images)?;
        check_lengths(classes.len(), images.len())?;
        check_classes(classes, self.outputs())?;
        let index = self.layer_index(layer)?;
        let [_, height, width] = *self.output_of(index) else {
            let advice = "`summary()` lists what comes out of each layer";
            return Err(Error::parameter("layer", "one that gives images", layer, advice));
        };
        let source = ImageSource::new(images, self.normalization(), Default::default());
        let shape = images.dataset().image_shape();
        let size = [shape.height as i64, shape.width as i64];
        let positions: Vec<usize> = (0..images.len()).collect();
        let mut values = Vec::new();
        for (batch, classes) in positions.chunks(BATCH).zip(classes.chunks(BATCH)) {
            let map = self.class_map(&source.pixels(batch, false)?, classes, index + 1)?;
            let map = stretched(&map)?.f_upsample_bilinear2d(size, false, None, None)?;
            values.extend(Vec::<f32>::try_from(stretched(&map)?.f_flatten(0, -1)?)?);
        }
        let maps = Array2::from_shape_vec((images.len(), shape.height * shape.width), values);
        Ok(GradCam {
            layer: layer.to_owned(),
            resolution: [height as usize, width as usize],
            maps: maps.map_err(Error::internal)?,
        })
    }

    /// The weighted sum of the channels after the first `depth` layers, without negative values, `(N, 1, h, w)`.
    fn class_map(&self, input: &Tensor, classes: &[i64], depth: usize) -> Result<Tensor> {
        let (first, rest) = self.network().layers().split_at(depth);
        let below = self.weights_before(depth);
        let device = self.device().tch();
        let channels = {
            let _guard = tch::no_grad_guard();
            forward(first, &input.f_to(device)?, below, false)?
                .f_detach()?
                .f_set_requires_grad(true)?
        };
        let outputs =
            tch::with_grad(|| forward(rest, &channels, &self.weights[below.len()..], false))?;
        let classes = Tensor::f_from_slice(classes)?.f_view([-1, 1])?.f_to(device)?;
        let asked = tch::with_grad(|| outputs.f_gather(1, &classes, false)?.f_sum(Kind::Float))?;
        let gradients = Tensor::f_run_backward(&[asked], &[&channels], false, false)?;
        let weights = gradients[0].f_mean_dim(&[2i64, 3][..], true, None::<Kind>)?;
        let sum = weights.f_mul(&channels.f_detach()?)?;
        Ok(sum.f_sum_dim_intlist(&[1i64][..], true, None::<Kind>)?.f_relu()?)
    }
}

/// Scales each map to 0..=1; a constant map becomes 0.
fn stretched(maps: &Tensor) -> Result<Tensor> {
    let least = maps.f_amin(&[1i64, 2, 3][..], true)?;
    let above = maps.f_sub(&least)?;
    let most = above.f_amax(&[1i64, 2, 3][..], true)?;
    Ok(above.f_div(&most.f_add_scalar(1e-7)?)?)
}

impl fmt::Debug for GradCam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [height, width] = self.resolution;
        let (images, layer) = (self.maps.nrows(), &self.layer);
        write!(f, "GradCam: {images} maps from {layer}, {height} × {width}")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;
    use crate::architectures::{DenseConfig, TransferConfig};
    use crate::data::{Dataset, ImageShape, Normalization};
    use crate::models::Sequential;

    const GREY: ImageShape = ImageShape { height: 28, width: 28, channels: 1 };

    fn here() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    /// The weights that the script beside the reference gives its networks, from the layer of this name on.
    fn fill(model: &mut Model, name: &str) {
        let _guard = tch::no_grad_guard();
        let from = model.weights_before(model.layer_index(name).unwrap()).len();
        for (offset, weight) in model.weights[from..].iter_mut().enumerate() {
            let size = weight.tensor.size();
            let fan_in: i64 = size[1..].iter().product();
            let scale = 2.0 / (fan_in as f64).sqrt();
            let value = |k: i64| (scale * (0.37 * k as f64 + offset as f64).sin()) as f32;
            let values: Vec<f32> = (0..weight.tensor.numel() as i64).map(value).collect();
            weight.tensor.copy_(&Tensor::from_slice(&values).view(&size[..]));
        }
    }

    fn agrees(model: &Model, name: &str, layer: &str) {
        let text = std::fs::read_to_string(here().join("tests/reference/looking.json")).unwrap();
        let reference = &serde_json::from_str::<Value>(&text).unwrap()["grad_cam"];
        let ids = |name: &str| serde_json::from_value::<Vec<i64>>(reference[name].clone()).unwrap();
        let images = ids("images").into_iter().map(|index| index as usize).collect();
        let images = Dataset::load(here().join("../data/sample")).unwrap().subset(images).unwrap();
        let found = model.grad_cam_at(&images, &ids("classes"), layer).unwrap();
        let expected: Vec<Vec<f32>> = serde_json::from_value(reference[name].clone()).unwrap();
        assert_eq!(found.maps.dim(), (expected.len(), expected[0].len()));
        for (found, expected) in found.maps.iter().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 2e-3, "{name}: {found}, not {expected}");
        }
    }

    #[test]
    fn maps_of_a_cnn_agree_with_pytorch_grad_cam() {
        let network = Sequential::new(GREY).conv2d(6, 3).relu().max_pooling2d(2);
        let network = network.conv2d(8, 3).relu().max_pooling2d(2).flatten().dense(10);
        let mut model = network.build(1).unwrap();
        model.normalization = Some(Normalization { mean: vec![0.3], std: vec![0.35] });
        fill(&mut model, "conv2d");
        agrees(&model, "cnn", "relu_1");
        assert_eq!(model.grad_cam_layer().unwrap(), "relu_1");
    }

    #[test]
    fn maps_of_efficientnet_agree_with_pytorch_grad_cam() {
        let weights = here().join("../.tools/weights/efficientnet_lite0.safetensors");
        let config = TransferConfig { input_size: 96, ..TransferConfig::default() };
        let mut model = config.pretrained(GREY, 10, weights, 1).unwrap();
        fill(&mut model, "dense");
        agrees(&model, "efficientnet", "top");
        assert_eq!(
            model.grad_cam_layer().unwrap(),
            "block_11",
            "the last one with 6 x 6, not 3 x 3"
        );
    }

    /// The only channel is the image itself, weighed by the mean of the dense layer's weights: where that is above 0 the
    /// map is the image, where it is below there is nothing.
    #[test]
    fn a_map_by_hand() {
        let network = Sequential::new(GREY).conv2d(1, 1).relu().flatten().dense(2);
        let mut model = network.build(1).unwrap();
        {
            let _guard = tch::no_grad_guard();
            _ = model.weights[0].tensor.fill_(1.0);
            _ = model.weights[1].tensor.fill_(0.0);
            for (class, weight) in [0.5, -0.5].into_iter().enumerate() {
                _ = model.weights[2].tensor.get(class as i64).fill_(weight);
            }
        }
        let dataset = Dataset::load(here().join("../data/sample")).unwrap();
        let images = dataset.subset(vec![7, 7]).unwrap();
        let found = model.grad_cam(&images, &[0, 1]).unwrap();
        let pixels = dataset.image(7).unwrap();
        let most = f32::from(*pixels.iter().max().unwrap());
        for (value, pixel) in found.maps.row(0).iter().zip(pixels.iter()) {
            assert!((value - f32::from(*pixel) / most).abs() < 1e-5);
        }
        assert!(found.maps.row(1).iter().all(|&value| value == 0.0));
    }

    #[test]
    fn a_network_without_images_inside_is_refused() {
        let model = DenseConfig::default().network(GREY, 10).build(1).unwrap();
        let images = Dataset::load(here().join("../data/sample")).unwrap().subset(vec![1]).unwrap();
        let text = model.grad_cam(&images, &[0]).unwrap_err().to_string();
        assert!(text.contains("a layer that gives an image") && text.contains("vectors"), "{text}");
        let text = model.grad_cam_at(&images, &[0], "dense").unwrap_err().to_string();
        assert!(text.contains("`layer` must be one that gives images, got dense"), "{text}");
        let text = model.grad_cam_at(&images, &[10], "dense").unwrap_err().to_string();
        assert!(text.contains("class 10, expected 0 to 9"), "{text}");
    }
}
