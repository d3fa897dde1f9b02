//! Pictures of the images: with their classes, class by class, with a model's predictions, and before and after a
//! denoiser.
//!
//! Small images are enlarged without smoothing. Indices count within the value that is passed: the data set or a part
//! of it.

use std::borrow::Cow;

use ndarray::{Array2, Axis};
use plotters::style::text_anchor::{HPos, VPos};

use super::figure::Figure;
use super::page::{Text, draw};
use super::style::{GREY, INK, NAME_SIZE, RIGHT, TITLE_SIZE, WRONG};
use super::tiles::{Lines, Tile, centred, draw_tiles, grey, grid, tile, tile_of};
use crate::data::batches::ImageSource;
use crate::data::random_state::RandomState;
use crate::data::{Augmentation, Dataset, DenoisedImages, NoisyImages, Normalization, Subset};
use crate::evaluation::image_psnr_db;
use crate::evaluation::metrics::{argmax, check_lengths};
use crate::models::Model;
use crate::system::device::manual_seed;
use crate::text::{clean_text, thousands};
use crate::{Error, Result};

/// Images with labels: a whole [`Dataset`] or a [`Subset`].
pub trait Images {
    /// The data set that holds the images, and their indices in it.
    fn images(&self) -> (&Dataset, Cow<'_, [usize]>);
}

impl Images for Dataset {
    fn images(&self) -> (&Dataset, Cow<'_, [usize]>) {
        (self, (0..self.len()).collect())
    }
}

impl Images for Subset {
    fn images(&self) -> (&Dataset, Cow<'_, [usize]>) {
        (self.dataset(), self.indices().into())
    }
}

/// `n` different indices among `images`, drawn with a seed; all of them, shuffled, when there are fewer.
///
/// # Errors
/// If `seed` does not fit into 32 bits.
pub fn random_indices(images: usize, n: usize, seed: u64) -> Result<Vec<usize>> {
    let mut indices = RandomState::new(seed)?.permutation(images);
    indices.truncate(n);
    Ok(indices)
}

/// Images in a grid, the class above each.
///
/// # Errors
/// If there is no index, one is not among the images, or `columns` is 0.
///
/// ```
/// # use helpers::{data::Dataset, plot::{random_indices, show_images}};
/// # fn show(dataset: Dataset) -> helpers::Result<()> {
/// let figure = show_images(&dataset, &random_indices(dataset.len(), 8, 42)?, 4)?;
/// # Ok(()) }
/// ```
pub fn show_images(images: &impl Images, indices: &[usize], columns: usize) -> Result<Figure> {
    let (dataset, all) = images.images();
    check_indices(indices, all.len())?;
    if columns == 0 {
        return Err(Error::parameter("columns", "at least 1", 0, "4 suits eight images"));
    }
    let tile = |&index: &usize| {
        let line = (centred(NAME_SIZE, INK), class_name(dataset, all[index]));
        tile(dataset, all[index], vec![line])
    };
    let tiles = indices.iter().map(tile).collect::<Result<Vec<Tile>>>()?;
    let title = format!("{} of {} images with their class", indices.len(), thousands(all.len()));
    let alt = format!("{title}: {}.", list(tiles.iter().map(|tile| &tile.lines[0].1)));
    draw_tiles(dataset.image_shape(), &title, &grid(&tiles, columns), 92.0, alt)
}

/// What varies within each class: a row of `examples` images for every class, drawn with a seed.
///
/// A class with fewer images has a shorter row.
///
/// # Errors
/// If there is no image, `examples` is 0, or `seed` does not fit into 32 bits.
pub fn show_classes(images: &impl Images, examples: usize, seed: u64) -> Result<Figure> {
    let (dataset, all) = images.images();
    if all.is_empty() {
        return Err(nothing_to_show());
    }
    if examples == 0 {
        return Err(Error::parameter("examples", "at least 1", 0, "8 show how a class varies"));
    }
    let names = dataset.class_names();
    let mut rows: Vec<(String, Vec<Tile>)> =
        names.iter().map(|name| (name.clone(), Vec::new())).collect();
    for index in random_indices(all.len(), all.len(), seed)? {
        let (_, tiles) = &mut rows[dataset.labels()[all[index]] as usize];
        if tiles.len() < examples {
            tiles.push(tile(dataset, all[index], Vec::new())?);
        }
    }
    let title = format!("{examples} images of each class");
    let alt = format!("{title}, a row for each: {}.", list(names));
    draw_tiles(dataset.image_shape(), &title, &rows, 80.0, alt)
}

/// Indices of right and of wrong predictions, half of `n` each, drawn with a seed, the right ones first; fewer where there
/// are fewer.
///
/// - `probabilities`: shape `(N, classes)`
/// - `y_true`: class ids, shape `(N,)`
///
/// # Errors
/// If the lengths differ, a row does not add up to 1, or `seed` does not fit into 32 bits.
pub fn right_and_wrong(
    probabilities: &Array2<f32>,
    y_true: &[i64],
    n: usize,
    seed: u64,
) -> Result<Vec<usize>> {
    check_lengths(y_true.len(), probabilities.nrows())?;
    let y_pred = argmax(probabilities)?;
    let mut drawn = Vec::new();
    for (right, n) in [(true, n.div_ceil(2)), (false, n / 2)] {
        let is_of_part = |&image: &usize| (y_true[image] == y_pred[image]) == right;
        let part: Vec<usize> = (0..y_true.len()).filter(is_of_part).collect();
        drawn.extend(random_indices(part.len(), n, seed)?.into_iter().map(|index| part[index]));
    }
    Ok(drawn)
}

/// An image and its augmented versions: the image itself, then the versions that the network may see in as many epochs.
///
/// Seeds libtorch's generator with `seed`; `fit` seeds it again.
///
/// # Errors
/// If `index` is not among the images, a setting of the augmentation is out of range, or `versions` is 0.
pub fn show_augmented(
    images: &impl Images,
    index: usize,
    augmentation: &Augmentation,
    versions: usize,
    seed: u64,
) -> Result<Figure> {
    let (dataset, all) = images.images();
    check_indices(&[index], all.len())?;
    augmentation.check()?;
    if versions == 0 {
        return Err(Error::parameter("versions", "at least 1", 0, "11 fill two rows"));
    }
    let one = dataset.subset(vec![all[index]])?;
    manual_seed(seed as i64);
    let source = ImageSource::new(&one, Normalization::default(), *augmentation);
    let changed = source.pixels(&vec![0; versions], true)?.f_permute([0, 2, 3, 1])?;
    let values = Vec::<f32>::try_from(changed.f_contiguous()?.f_view([-1])?)?;
    let shape = dataset.image_shape();
    let mut tiles = vec![tile(dataset, all[index], grey("original"))?];
    let versions_of = values.chunks_exact(shape.pixels());
    tiles.extend(versions_of.map(|pixels| tile_of(pixels, shape, grey(""))));
    let class = class_name(dataset, all[index]);
    let title = format!("What augmentation makes of an image ({class})");
    let alt = format!("{title}: the original and {versions} versions.");
    draw_tiles(shape, &title, &grid(&tiles, 6), 92.0, alt)
}

/// A model's predictions for images: the predicted class in blue with a tick if it is right, in red with a cross and
/// the true class if it is wrong, and its probability.
///
/// - `probabilities`: for all of `images`, shape `(N, classes)`, from `predict`
/// - `indices`: which images to show; where there is none, as among the mistakes of a perfect model, the figure says so
///
/// # Errors
/// If `probabilities` does not belong to `images`, or an index is not among them.
pub fn plot_predictions(
    images: &impl Images,
    probabilities: &Array2<f32>,
    indices: &[usize],
) -> Result<Figure> {
    let (dataset, all) = images.images();
    check_lengths(all.len(), probabilities.nrows())?;
    if indices.is_empty() {
        return nothing("No prediction to show: there is none of this kind.");
    }
    check_indices(indices, all.len())?;
    let names = dataset.class_names();
    if probabilities.ncols() != names.len() {
        return Err(Error::drawing(format!(
            "the probabilities are of {} classes, the images of {}; predict these images with a model for them",
            probabilities.ncols(),
            names.len()
        )));
    }
    let y_pred = argmax(probabilities)?;
    let (mut right, mut described, mut tiles) = (0, Vec::new(), Vec::new());
    for &index in indices {
        let (predicted, truth) = (y_pred[index] as usize, dataset.labels()[all[index]] as usize);
        let (lines, words) = verdict(names, [truth, predicted], probabilities[(index, predicted)]);
        right += usize::from(predicted == truth);
        described.push(words);
        tiles.push(tile(dataset, all[index], lines)?);
    }
    let title = "Predicted class and its probability: ✓ right in blue, ✗ wrong in red";
    let columns =
        if indices.len() <= 4 { indices.len() } else { indices.len().div_ceil(2).clamp(4, 6) };
    let alt = format!("{right} of {} predictions right: {}.", indices.len(), described.join(", "));
    draw_tiles(dataset.image_shape(), title, &grid(&tiles, columns), 92.0, alt)
}

/// The images of these indices before the noise, with it, and after each denoiser, with the PSNR of each picture.
///
/// - `denoisers`: name and images of each, shape `(N, H × W × C)`, a row for each image of `noisy`
///
/// # Errors
/// If there is nothing to show, an index is not among the images, or a denoiser's output is for other images.
pub fn plot_denoised(
    noisy: &NoisyImages,
    denoisers: &[(&str, &DenoisedImages)],
    indices: &[usize],
) -> Result<Figure> {
    let (dataset, all) = noisy.clean().images();
    check_indices(indices, all.len())?;
    let shown = dataset.subset(indices.iter().map(|&index| all[index]).collect())?;
    let with_noise = noisy.noise().on(&shown, noisy.seed()).to_array()?;
    let psnr = image_psnr_db(&shown, &with_noise)?;
    let mut versions = vec![("noisy", with_noise, psnr)];
    for &(name, images) in denoisers {
        let psnr = image_psnr_db(noisy.clean(), images)?;
        let psnr = indices.iter().map(|&index| psnr[index]).collect();
        versions.push((name, images.select(Axis(0), indices), psnr));
    }
    let before = shown.indices().iter().map(|&image| tile(dataset, image, Vec::new()));
    let mut rows = vec![("before".to_owned(), before.collect::<Result<Vec<Tile>>>()?)];
    let mut described = vec!["before".to_owned()];
    for (name, images, psnr) in versions {
        let text = |&psnr: &f64| match psnr.is_finite() {
            true => format!("{psnr:.1} dB"),
            false => "equal".to_owned(),
        };
        let psnr: Vec<String> = psnr.iter().map(text).collect();
        described.push(format!("{name} ({})", psnr.join(", ")));
        let tiles = images.rows().into_iter().zip(psnr);
        let tiles = tiles.map(|(image, psnr)| tile_of(image, dataset.image_shape(), grey(psnr)));
        rows.push((name.to_owned(), tiles.collect()));
    }
    let title = "Test images before the noise, with it, and after";
    let alt = format!("{title}: {} images, in rows {}.", indices.len(), list(&described));
    draw_tiles(dataset.image_shape(), title, &rows, 92.0, alt)
}

/// A path from one image to another along the straight line between their codes: one row per pair, with the clean
/// images at its ends and the decoded codes between them.
///
/// - `pairs`: indices of the images, which are encoded with their noise
/// - `steps`: number of decoded pictures, those of both codes included; at least 2
///
/// # Errors
/// If there is no pair, an index is not among the images, `steps` is below 2, or the model's output has another size.
pub fn plot_interpolation(
    model: &Model,
    noisy: &NoisyImages,
    pairs: &[(usize, usize)],
    steps: usize,
) -> Result<Figure> {
    let (dataset, all) = noisy.clean().images();
    let ends: Vec<usize> = pairs.iter().flat_map(|&(from, to)| [from, to]).collect();
    check_indices(&ends, all.len())?;
    if steps < 2 {
        return Err(Error::parameter("steps", "at least 2", steps, "7 show the way"));
    }
    let shown = dataset.subset(ends.iter().map(|&index| all[index]).collect())?;
    let codes = model.encode(&noisy.noise().on(&shown, noisy.seed()))?;
    let share = |step: usize| step as f32 / (steps - 1) as f32;
    let on_the_way = |(row, value): (usize, usize)| {
        let (pair, part) = (row / steps, share(row % steps));
        (1.0 - part) * codes[(2 * pair, value)] + part * codes[(2 * pair + 1, value)]
    };
    let way = Array2::from_shape_fn((pairs.len() * steps, codes.ncols()), on_the_way);
    let images = model.decode(&way)?;
    let shape = dataset.image_shape();
    let (mut rows, mut described) = (Vec::new(), Vec::new());
    for pair in 0..pairs.len() {
        let [from, to] = [2 * pair, 2 * pair + 1].map(|end| shown.indices()[end]);
        let names = [from, to].map(|image| class_name(dataset, image));
        described.push(names.join(" to "));
        let [first, last] = names.map(grey);
        let mut tiles = vec![tile(dataset, from, first)?];
        for step in 0..steps {
            let part = grey(format!("{:.0}%", 100.0 * share(step)));
            tiles.push(tile_of(images.row(pair * steps + step), shape, part));
        }
        tiles.push(tile(dataset, to, last)?);
        rows.push((String::new(), tiles));
    }
    let title = "From one code to another: clean images at the ends, decoded codes between them";
    let alt = format!("{title}: {}.", list(described));
    draw_tiles(shape, title, &rows, 64.0, alt)
}

/// The name of an image's class.
pub(super) fn class_name(dataset: &Dataset, image: usize) -> String {
    clean_text(&dataset.class_names()[dataset.labels()[image] as usize])
}

/// The predicted class, its probability, and the true class if it differs: marked by colour and sign, and as a
/// description.
pub(super) fn verdict(
    names: &[String],
    [truth, predicted]: [usize; 2],
    probability: f32,
) -> (Lines, String) {
    let [said, true_name] = [predicted, truth].map(|class| clean_text(&names[class]));
    let percent = format!("{:.0}%", 100.0 * probability);
    let (color, title, described) = match predicted == truth {
        true => (RIGHT, format!("✓ {said}"), format!("{said} right ({percent})")),
        false => (WRONG, format!("✗ {said}"), format!("{said} instead of {true_name} ({percent})")),
    };
    let below = if predicted == truth { percent } else { format!("{percent}, true: {true_name}") };
    let style = centred(NAME_SIZE, color);
    (vec![(style.bold(), title), (style, below)], described)
}

pub(super) fn check_indices(indices: &[usize], images: usize) -> Result<()> {
    if indices.is_empty() {
        return Err(nothing_to_show());
    }
    match indices.iter().find(|&&index| index >= images) {
        Some(outside) => Err(Error::parameter(
            "indices",
            format!("indices below {images}, the number of images"),
            outside,
            "indices count within the part that is shown",
        )),
        None => Ok(()),
    }
}

/// A figure that says why there is no picture.
pub(super) fn nothing(text: &str) -> Result<Figure> {
    let style = Text::new(TITLE_SIZE).color(GREY).anchor(HPos::Center, VPos::Center);
    draw((520.0, 56.0), text, |page| page.text(text, (260.0, 28.0), style))
}

pub(super) fn nothing_to_show() -> Error {
    Error::drawing("there is no image to show; pass at least one index")
}

/// Names for an alternative text.
pub(super) fn list<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> String {
    names.into_iter().map(|name| clean_text(name.as_ref())).collect::<Vec<_>>().join(", ")
}
