//! The inside of a network: its first filters, the feature maps of an image, and the regions that decide a prediction.

use ndarray::{Array1, Array2};
use tch::Kind;

use super::figure::Figure;
use super::image_grid::{
    check_indices, class_name, list, nothing_to_show, random_indices, verdict,
};
use super::scatter::plot_scatter;
use super::style::{Color, INK, NAME_SIZE, diverging, inferno};
use super::tiles::{Lines, Tile, centred, draw_tiles, grey, grid, tile};
use crate::data::{ImageShape, NoisyImages, Subset};
use crate::error::{Error, Result};
use crate::evaluation::metrics::{argmax, check_lengths};
use crate::evaluation::{Tsne, principal_components};
use crate::layers::show_shape;
use crate::models::{Model, Precision};
use crate::text::thousands;

/// Grad-CAM (Selvaraju et al. 2017; see [`Model::grad_cam`]) for the images of these indices, first those that are
/// predicted correctly, then the others, with the map of the true class below that of the predicted one.
///
/// The brighter a region, the more it speaks for the class. The layer is that of [`Model::grad_cam_layer`].
///
/// - `probabilities`: for all of `images`, shape `(N, classes)`, from `predict`
///
/// # Errors
/// If there is nothing to show, an index is not among the images, `probabilities` does not belong to them, or no layer
/// of the network outputs images.
pub fn plot_grad_cam(
    model: &Model,
    images: &Subset,
    probabilities: &Array2<f32>,
    indices: &[usize],
) -> Result<Figure> {
    const COLUMNS: usize = 6;
    let dataset = images.dataset();
    check_lengths(images.len(), probabilities.nrows())?;
    check_indices(indices, images.len())?;
    let (y_true, y_pred) = (images.labels(), argmax(probabilities)?);
    let wrong = |&index: &usize| y_true[index] != y_pred[index];
    let (wrong, right): (Vec<usize>, Vec<usize>) = indices.iter().partition(|index| wrong(index));
    let (mut rows, mut described) = (Vec::new(), Vec::new());
    for chunk in right.chunks(COLUMNS).chain(wrong.chunks(COLUMNS)) {
        let rows_of = chunk.iter().map(|&index| images.indices()[index]).collect();
        let shown = dataset.subset(rows_of)?;
        let plain = shown.indices().iter().map(|&image| tile(dataset, image, Vec::new()));
        rows.push(("image".to_owned(), plain.collect::<Result<Vec<Tile>>>()?));
        let overlays = |classes: &[i64], lines: &mut dyn FnMut(usize) -> Lines| {
            let classes: Vec<i64> = chunk.iter().map(|&index| classes[index]).collect();
            let maps = model.grad_cam(&shown, &classes)?.maps;
            let tile = |(row, &index)| overlay(&shown, row, &maps, lines(index));
            chunk.iter().enumerate().map(tile).collect::<Result<Vec<Tile>>>()
        };
        let predicted = overlays(&y_pred, &mut |index| {
            let classes = [y_true[index] as usize, y_pred[index] as usize];
            let probability = probabilities[(index, classes[1])];
            let (lines, words) = verdict(dataset.class_names(), classes, probability);
            described.push(words);
            lines
        })?;
        rows.push(("predicted class".to_owned(), predicted));
        if wrong.contains(&chunk[0]) {
            let truth = overlays(&y_true, &mut |index| {
                let probability = 100.0 * probabilities[(index, y_true[index] as usize)];
                let name = class_name(dataset, images.indices()[index]);
                grey(format!("{name} {probability:.0}%"))
            })?;
            rows.push(("true class".to_owned(), truth));
        }
    }
    let title = "Where the network looks: the brighter, the more a place speaks for the class";
    let layer = model.grad_cam_layer()?;
    let alt =
        format!("Grad-CAM of layer {layer} over {} images: {}.", indices.len(), list(described));
    draw_tiles(dataset.image_shape(), title, &rows, 84.0, alt)
}

/// The image in grey, tinted with the colours of its map.
fn overlay(images: &Subset, row: usize, maps: &Array2<f32>, lines: Lines) -> Result<Tile> {
    const OPACITY: f64 = 0.6;
    let ImageShape { height, width, channels } = images.dataset().image_shape();
    let image = images.image(row)?;
    let grey = image
        .chunks_exact(channels)
        .map(|pixel| pixel.iter().map(|&level| f64::from(level)).sum::<f64>() / channels as f64);
    let mixed = grey.zip(maps.row(row)).flat_map(|(grey, &heat)| {
        inferno(f64::from(heat))
            .map(|level| (OPACITY * f64::from(level) + (1.0 - OPACITY) * grey).round() as u8)
    });
    Ok(Tile { lines, shape: ImageShape { height, width, channels: 3 }, pixels: mixed.collect() })
}

/// The filters of the first convolution: orange where a bright pixel increases the filter's output, blue where it
/// decreases it; each filter has its own scale. Filters for several channels are summed over them.
///
/// # Errors
/// If the network has no convolution.
pub fn plot_filters(model: &Model) -> Result<Figure> {
    let Some(kernel) = model.weights.iter().find(|weight| weight.tensor.dim() == 4) else {
        let advice = "ask a convolutional network";
        return Err(Error::parameter("model", "one with a convolution", "one without", advice));
    };
    let summed = kernel.tensor.f_detach()?.f_to(tch::Device::Cpu)?.f_sum_dim_intlist(
        &[1i64][..],
        false,
        Kind::Float,
    )?;
    let (filters, height, width) = summed.size3()?;
    let values = Vec::<f32>::try_from(summed.f_contiguous()?.f_view([-1])?)?;
    let shape = ImageShape { height: height as usize, width: width as usize, channels: 3 };
    let tiles: Vec<Tile> = values
        .chunks_exact(shape.height * shape.width)
        .map(|filter| {
            let most = filter.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
            colored(shape, filter, |value| diverging(f64::from(value / most)))
        })
        .collect();
    let title = format!(
        "The {filters} filters of the first convolution, {height} × {width}: orange adds, blue takes away"
    );
    let alt = format!("{title}.");
    draw_tiles(shape, &title, &grid(&tiles, 16), 34.0, alt)
}

fn colored(shape: ImageShape, values: &[f32], color: impl Fn(f32) -> Color) -> Tile {
    Tile {
        lines: Vec::new(),
        shape: ImageShape { channels: 3, ..shape },
        pixels: values.iter().flat_map(|&value| color(value)).collect(),
    }
}

/// The feature maps of one image: for some of the network's layers that output images, from the first to the last, the
/// channels with the largest variance, the brighter the larger the value; each map has its own scale.
///
/// Shows the output of activations or, in a network of blocks, of the blocks: at most five of them.
///
/// # Errors
/// If `index` is not among the images, they differ in shape from what the model was built for, or no layer outputs
/// images.
pub fn plot_feature_maps(model: &Model, images: &Subset, index: usize) -> Result<Figure> {
    const CHANNELS: usize = 8;
    check_indices(&[index], images.len())?;
    let (dataset, image) = (images.dataset(), images.indices()[index]);
    let one = dataset.subset(vec![image])?;
    let class = class_name(dataset, image);
    let lines = vec![(centred(NAME_SIZE, INK), class.clone())];
    let mut rows = vec![("image".to_owned(), vec![tile(dataset, image, lines)?])];
    for layer in shown_layers(model) {
        let (channels, height, width) = match *model.output_of(layer) {
            [channels, height, width] => (channels as usize, height as usize, width as usize),
            _ => continue,
        };
        let name = model.layer_name(layer);
        let values = model.activations(&one, name, Precision::Float32)?;
        let (values, _) = values.into_raw_vec_and_offset();
        let mut maps: Vec<&[f32]> = values.chunks_exact(height * width).collect();
        maps.sort_by(|a, b| spread(b).total_cmp(&spread(a)));
        let shape = ImageShape { height, width, channels };
        let tiles = maps.iter().take(CHANNELS).map(|map| {
            let ends = |fold: fn(f32, f32) -> f32| map.iter().copied().reduce(fold).unwrap_or(0.0);
            let (low, high) = (ends(f32::min), ends(f32::max));
            let span = if high > low { high - low } else { 1.0 };
            colored(shape, map, |value| inferno(f64::from((value - low) / span)))
        });
        let label = format!("{name}, {}", show_shape(model.output_of(layer)));
        rows.push((label, tiles.collect()));
    }
    if rows.len() == 1 {
        return Err(nothing_to_show());
    }
    let title = format!("What the layers make of image {}, {class}", thousands(index));
    let alt = format!("{title}: {}.", list(rows.iter().map(|(name, _)| name)));
    draw_tiles(dataset.image_shape(), &title, &rows, 60.0, alt)
}

/// The variance of a channel over its places.
fn spread(map: &[f32]) -> f32 {
    let mean = map.iter().sum::<f32>() / map.len() as f32;
    map.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / map.len() as f32
}

/// The last features of some images as a map in two dimensions (t-SNE, see [`Tsne`]), a mark for each image and a
/// colour for each class: images that the network finds similar are close together. Only distances between neighbours
/// have a meaning, not the axes.
///
/// - `most`: maximum number of images, drawn with a seed; 1,500 take some ten seconds
///
/// # Errors
/// If there are fewer than two images, no dense layer comes after another one, `seed` does not fit into 32 bits, or the
/// user interrupts it (SIGINT).
pub fn plot_last_features(
    model: &Model,
    images: &Subset,
    most: usize,
    seed: u64,
) -> Result<Figure> {
    let mut drawn = random_indices(images.len(), most, seed)?;
    drawn.sort_unstable();
    let drawn = drawn.into_iter().map(|index| images.indices()[index]).collect();
    let shown = images.dataset().subset(drawn)?;
    let perplexity = 30.0_f64.min(shown.len() as f64 / 3.0);
    let map = Tsne::fit(&model.last_features(&shown)?, perplexity)?;
    let title = format!("The last features of {} images (t-SNE)", thousands(shown.len()));
    let names = shown.dataset().class_names();
    plot_scatter(&title, "First direction", "Second direction", &map.points, &shown.labels(), names)
}

/// The codes of an autoencoder in their first two principal components, a mark for each image and a colour for each
/// class; the title gives the share of the variance that these two explain. Codes of one value lie on a line for each
/// class.
///
/// # Errors
/// If there are fewer than two images, or they differ in shape from what the model was built for.
pub fn plot_codes(model: &Model, noisy: &NoisyImages) -> Result<Figure> {
    let (codes, labels) = (model.encode(noisy)?, noisy.clean().labels());
    let mut found = principal_components(&codes, codes.ncols().min(2))?;
    let share = 100.0 * found.explained.iter().sum::<f64>();
    let title =
        format!("Codes of {} images: {share:.0}% of their variance", thousands(noisy.len()));
    let upwards = if found.points.ncols() == 2 {
        "Second component"
    } else {
        let classes: Array1<f32> = labels.iter().map(|&label| label as f32).collect();
        found.points.push_column(classes.view()).map_err(Error::internal)?;
        "Class id"
    };
    let names = noisy.clean().dataset().class_names();
    plot_scatter(&title, "First component", upwards, &found.points, &labels, names)
}

/// Up to five layers, evenly spread over those with a non-linearity that output images.
fn shown_layers(model: &Model) -> Vec<usize> {
    const MOST: usize = 5;
    const KINDS: [&str; 5] = ["relu", "relu6", "leaky_relu", "elu", "block"];
    let suits = |&index: &usize| {
        KINDS.contains(&model.network().layers()[index].kind()) && model.output_of(index).len() == 3
    };
    let all: Vec<usize> = (0..model.network().layers().len()).filter(suits).collect();
    let shown = all.len().min(MOST);
    (0..shown).map(|step| all[step * (all.len() - 1) / (shown - 1).max(1)]).collect()
}
