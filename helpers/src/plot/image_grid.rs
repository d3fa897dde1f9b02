//! Pictures of the images themselves: with their classes, class by class, with what a model says of them, and before
//! and after a denoiser.
//!
//! Small images are enlarged to crisp blocks. Indices count within what is passed: the data set or the part of it.

use ndarray::Array2;
use plotters::style::text_anchor::{HPos, VPos};

use super::figure::{DENSITY, Figure};
use super::page::{Rect, Text, draw};
use super::style::{
    BORDER, Color, GREY, INK, NAME_SIZE, TICK_SIZE, TITLE_SIZE, label_color, label_sign,
};
use crate::data::random_state::RandomState;
use crate::data::{Dataset, DenoisedImages, GaussianNoise, ImageShape, NoisyImages, Subset};
use crate::evaluation::image_psnr_db;
use crate::evaluation::metrics::{argmax, check_classes, check_lengths};
use crate::text::{clean_text, thousands};
use crate::{Error, Result};

/// Images with labels: a whole [`Dataset`] or a [`Subset`].
pub trait Images {
    /// Number of images.
    fn count(&self) -> usize;
    /// The data set the images are in.
    fn dataset(&self) -> &Dataset;
    /// The index in the data set of the image with this index here.
    fn dataset_index(&self, image: usize) -> usize;
}

impl Images for Dataset {
    fn count(&self) -> usize {
        self.len()
    }

    fn dataset(&self) -> &Dataset {
        self
    }

    fn dataset_index(&self, image: usize) -> usize {
        image
    }
}

impl Images for Subset {
    fn count(&self) -> usize {
        self.len()
    }

    fn dataset(&self) -> &Dataset {
        self.dataset()
    }

    fn dataset_index(&self, image: usize) -> usize {
        self.indices()[image]
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

/// The indices of at most `n` wrong predictions, the most confident first; equal ones in their order.
///
/// - `probabilities`: shape `(N, classes)`
/// - `y_true`: class ids, shape `(N,)`
///
/// # Errors
/// If the lengths differ, a class lies outside `0..classes`, or a row does not add up to 1.
pub fn most_confident_mistakes(
    probabilities: &Array2<f32>,
    y_true: &[i64],
    n: usize,
) -> Result<Vec<usize>> {
    check_lengths(y_true.len(), probabilities.nrows())?;
    check_classes(y_true, probabilities.ncols())?;
    let y_pred = argmax(probabilities)?;
    let sure = |image: usize| probabilities[(image, y_pred[image] as usize)];
    let mut wrong: Vec<usize> = (0..y_true.len()).filter(|&i| y_true[i] != y_pred[i]).collect();
    wrong.sort_by(|&a, &b| sure(b).total_cmp(&sure(a)).then(a.cmp(&b)));
    wrong.truncate(n);
    Ok(wrong)
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
    check_indices(indices, images.count())?;
    if columns == 0 {
        return Err(Error::parameter("columns", "at least 1", 0, "4 suits eight images"));
    }
    let dataset = images.dataset();
    let tile = |&index: &usize| -> Result<Tile> {
        let image = images.dataset_index(index);
        let class = &dataset.class_names()[dataset.labels()[image] as usize];
        let lines = vec![(centred(NAME_SIZE, INK), class.clone())];
        Ok(Tile { lines, pixels: dataset.image(image)?.to_vec() })
    };
    let tiles = indices.iter().map(tile).collect::<Result<Vec<Tile>>>()?;
    let title =
        format!("{} of {} images with their class", indices.len(), thousands(images.count()));
    let alt = format!("{title}: {}.", list(tiles.iter().map(|tile| tile.lines[0].1.as_str())));
    draw_tiles(dataset.image_shape(), &title, &grid(tiles, columns), 92.0, alt)
}

/// What varies within each class: a row of `examples` images for every class, drawn with a seed.
///
/// A class with fewer images shows those it has.
///
/// # Errors
/// If there is no image, `examples` is 0, or `seed` does not fit into 32 bits.
pub fn show_classes(images: &impl Images, examples: usize, seed: u64) -> Result<Figure> {
    if images.count() == 0 {
        return Err(nothing_to_show());
    }
    if examples == 0 {
        return Err(Error::parameter("examples", "at least 1", 0, "8 show how a class varies"));
    }
    let dataset = images.dataset();
    let names = dataset.class_names();
    let mut rows: Vec<(String, Vec<Tile>)> =
        names.iter().map(|name| (name.clone(), Vec::new())).collect();
    for index in random_indices(images.count(), images.count(), seed)? {
        let image = images.dataset_index(index);
        let (_, tiles) = &mut rows[dataset.labels()[image] as usize];
        if tiles.len() < examples {
            tiles.push(Tile { lines: Vec::new(), pixels: dataset.image(image)?.to_vec() });
        }
    }
    let title = format!("{examples} images of each class");
    let alt = format!("{title}, a row for each: {}.", list(names.iter().map(String::as_str)));
    draw_tiles(dataset.image_shape(), &title, &rows, 80.0, alt)
}

/// What a model predicts for images: the predicted class in blue with a tick when it is right, in red with a cross and
/// the true class when it is wrong, and the probability the model gives it.
///
/// - `probabilities`: of all images of `images`, shape `(N, classes)`, as `predict` gives them
/// - `indices`: which images to show; where there is none, as among the mistakes of a perfect model, the figure says so
///
/// # Errors
/// If `probabilities` does not belong to `images`, or an index is not among them.
pub fn plot_predictions(
    images: &impl Images,
    probabilities: &Array2<f32>,
    indices: &[usize],
) -> Result<Figure> {
    check_lengths(images.count(), probabilities.nrows())?;
    if indices.is_empty() {
        let text = "No prediction to show: there is none of this kind.";
        let style = Text::new(TITLE_SIZE).color(GREY).anchor(HPos::Center, VPos::Center);
        return draw((520.0, 56.0), text, |page| page.text(text, (260.0, 28.0), style));
    }
    check_indices(indices, images.count())?;
    let dataset = images.dataset();
    let names = dataset.class_names();
    if probabilities.ncols() != names.len() {
        return Err(Error::Drawing {
            message: format!(
                "the probabilities are of {} classes, the images of {}; predict these images with a model for them",
                probabilities.ncols(),
                names.len()
            ),
        });
    }
    let y_pred = argmax(probabilities)?;
    let mut described = Vec::new();
    let mut right = 0;
    let mut tiles = Vec::new();
    for &index in indices {
        let image = images.dataset_index(index);
        let (predicted, truth) = (y_pred[index] as usize, dataset.labels()[image] as usize);
        let (said, true_name) = (clean_text(&names[predicted]), clean_text(&names[truth]));
        let percent = format!("{:.0}%", 100.0 * probabilities[(index, predicted)]);
        let first = format!("{} {said}", label_sign(predicted == truth));
        let second = if predicted == truth {
            right += 1;
            described.push(format!("{said} right ({percent})"));
            percent
        } else {
            described.push(format!("{said} instead of {true_name} ({percent})"));
            format!("{percent}, true: {true_name}")
        };
        let color = label_color(predicted == truth);
        let style = centred(NAME_SIZE, color);
        let lines = vec![(style.bold(), first), (style, second)];
        tiles.push(Tile { lines, pixels: dataset.image(image)?.to_vec() });
    }
    let title = "Predicted class and its probability: ✓ right in blue, ✗ wrong in red";
    let columns =
        if indices.len() <= 4 { indices.len() } else { indices.len().div_ceil(2).clamp(4, 6) };
    let alt = format!("{right} of {} predictions right: {}.", indices.len(), described.join(", "));
    draw_tiles(dataset.image_shape(), title, &grid(tiles, columns), 92.0, alt)
}

/// One row of [`compare_images`].
#[derive(Debug, Clone, PartialEq)]
pub struct ImageRow {
    /// What the images of the row are, such as `noisy`.
    pub name: String,
    /// The images, each `height x width x channels` values in 0..=1, channels last; values outside are cut off.
    pub images: Vec<Vec<f32>>,
    /// A short text under each image, or none.
    pub notes: Vec<String>,
}

/// Versions of the same images below each other: before, noisy and after, say, with a note such as the PSNR under each.
///
/// # Errors
/// If there is nothing to show, the rows differ in length, or an image has another size than `shape`.
pub fn compare_images(title: &str, shape: ImageShape, rows: &[ImageRow]) -> Result<Figure> {
    let columns = rows.first().map_or(0, |row| row.images.len());
    if columns == 0 {
        return Err(nothing_to_show());
    }
    for row in rows {
        let wrong = row.images.iter().map(Vec::len).find(|&size| size != shape.pixels());
        if row.images.len() != columns || wrong.is_some() {
            return Err(Error::Drawing {
                message: format!(
                    "row `{}` has {} images of {} values, expected {columns} of {}; give each row the same images",
                    clean_text(&row.name),
                    row.images.len(),
                    wrong.unwrap_or(shape.pixels()),
                    shape.pixels()
                ),
            });
        }
    }
    let described = rows.iter().map(|row| {
        let notes: Vec<&str> =
            row.notes.iter().map(String::as_str).filter(|note| !note.is_empty()).collect();
        if notes.is_empty() {
            row.name.clone()
        } else {
            format!("{} ({})", row.name, notes.join(", "))
        }
    });
    let described: Vec<String> = described.collect();
    let alt = format!(
        "{title}: {columns} images, in rows {}.",
        list(described.iter().map(String::as_str))
    );
    let byte = |&value: &f32| (255.0 * value.clamp(0.0, 1.0)).round() as u8;
    let drawn = |row: &ImageRow| {
        let tile = |(index, image): (usize, &Vec<f32>)| {
            let note = row.notes.get(index).filter(|note| !note.is_empty());
            Tile {
                lines: note
                    .map(|note| (centred(TICK_SIZE, GREY), note.clone()))
                    .into_iter()
                    .collect(),
                pixels: image.iter().map(byte).collect(),
            }
        };
        (row.name.clone(), row.images.iter().enumerate().map(tile).collect())
    };
    let rows: Vec<(String, Vec<Tile>)> = rows.iter().map(drawn).collect();
    draw_tiles(shape, title, &rows, 92.0, alt)
}

/// The images of these indices before the noise, with it, and after each denoiser, with the PSNR of each picture.
///
/// - `denoisers`: name and images of each, shape `(N, H × W × C)`, a row for each image of `noisy`
///
/// # Errors
/// If there is nothing to show, an index is not among the images, or a denoiser gave other images.
pub fn plot_denoised(
    noisy: &NoisyImages,
    denoisers: &[(&str, &DenoisedImages)],
    indices: &[usize],
) -> Result<Figure> {
    let dataset = noisy.clean().dataset();
    if let Some(outside) = indices.iter().find(|&&index| index >= noisy.len()) {
        return Err(Error::Drawing {
            message: format!("image {outside} is not among the {}", noisy.len()),
        });
    }
    let chosen: Vec<usize> = indices.iter().map(|&index| noisy.clean().indices()[index]).collect();
    let shown = dataset.subset(chosen)?;
    let picked = |images: &Array2<f32>| -> Vec<Vec<f32>> {
        indices.iter().map(|&index| images.row(index).to_vec()).collect()
    };
    let none = GaussianNoise { mean: 0.0, variance: 0.0, clip: false };
    let before = none.on(&shown, 0).to_array()?;
    let with_noise = noisy.noise().on(&shown, noisy.seed()).to_array()?;
    let row = |name: &str, images: Vec<Vec<f32>>, psnr: Vec<f64>| ImageRow {
        name: name.to_owned(),
        images,
        notes: psnr.iter().map(|psnr| format!("{psnr:.1} dB")).collect(),
    };
    let all = |images: &Array2<f32>| images.rows().into_iter().map(|row| row.to_vec()).collect();
    let mut rows = vec![
        row("before", all(&before), Vec::new()),
        row("noisy", all(&with_noise), image_psnr_db(&shown, &with_noise)?),
    ];
    for (name, images) in denoisers {
        let psnr = image_psnr_db(noisy.clean(), images)?;
        let psnr = indices.iter().map(|&index| psnr[index]).collect();
        rows.push(row(name, picked(images), psnr));
    }
    compare_images("Test images before the noise, with it, and after", dataset.image_shape(), &rows)
}

/// A picture with its lines of text; without pixels an empty place.
#[derive(Default)]
struct Tile {
    lines: Vec<(Text, String)>,
    /// Shape `(H, W, C)`.
    pixels: Vec<u8>,
}

fn centred(size: f64, color: Color) -> Text {
    Text::new(size).color(color).anchor(HPos::Center, VPos::Bottom)
}

/// Pictures of at least this size in rows, each with its lines above it or, in rows with names, below it.
fn draw_tiles(
    shape: ImageShape,
    title: &str,
    rows: &[(String, Vec<Tile>)],
    least: f64,
    alt: String,
) -> Result<Figure> {
    const LINE: f64 = 16.0;
    const TOP: f64 = 36.0;
    let (width, height) = picture_size(shape, least);
    let name = Text::new(NAME_SIZE).bold().anchor(HPos::Right, VPos::Center);
    let names: Vec<String> = rows.iter().map(|(name, _)| name.clone()).collect();
    let widest_name = name.widest(&names, 300.0);
    let named = widest_name > 0.0;
    let left = if named { widest_name + 20.0 } else { 8.0 };
    let tiles = || rows.iter().flat_map(|(_, tiles)| tiles);
    let lines = tiles().flat_map(|tile| &tile.lines).map(|(style, text)| style.width(text));
    // Twice as wide as its picture a name is cut.
    let gap = if named { 8.0 } else { 16.0 };
    let cell = width + gap;
    let cell = cell.max(lines.fold(0.0, f64::max).min(2.0 * width) + 8.0);
    let text_height =
        |tiles: &[Tile]| tiles.iter().map(|tile| tile.lines.len()).max().unwrap_or(0) as f64 * LINE;
    let columns = rows.iter().map(|(_, tiles)| tiles.len()).max().unwrap_or(0) as f64;
    let bold = centred(TITLE_SIZE, INK).bold();
    let right = (left + columns * cell + 8.0).max(bold.width(title).min(700.0) + 20.0);
    let shift = (right - left - columns * cell) / 2.0;
    let bottom =
        TOP + rows.iter().map(|(_, tiles)| height + text_height(tiles) + 10.0).sum::<f64>();
    draw((right, bottom + 2.0), alt, |page| {
        page.text_in(right - 16.0, title, (right / 2.0, 22.0), bold)?;
        let mut top = TOP;
        for (row, tiles) in rows {
            let texts = text_height(tiles);
            let picture = if named { top } else { top + texts };
            let at = (left + shift - 10.0, picture + height / 2.0);
            page.text_in(widest_name, row, at, name)?;
            for (column, tile) in tiles.iter().enumerate() {
                let middle = left + shift + (column as f64 + 0.5) * cell;
                let first = if named { picture + height + 14.0 } else { top + 10.0 };
                for (line, (style, text)) in tile.lines.iter().enumerate() {
                    page.text_in(cell - 4.0, text, (middle, first + line as f64 * LINE), *style)?;
                }
                // On whole pixels of the figure; the line around it shows where a white one ends.
                let whole = |length: f64| (length * DENSITY as f64).round() / DENSITY as f64;
                let area = Rect::new(whole(middle - width / 2.0), whole(picture), width, height);
                if !tile.pixels.is_empty() {
                    page.fill(area.grown(0.5), BORDER)?;
                    page.image(shape, &tile.pixels, area)?;
                }
            }
            top += height + texts + 10.0;
        }
        Ok(())
    })
}

/// Tiles in rows without names, `columns` in each.
fn grid(tiles: Vec<Tile>, columns: usize) -> Vec<(String, Vec<Tile>)> {
    let mut tiles = tiles.into_iter();
    let row = || {
        let row: Vec<Tile> = tiles.by_ref().take(columns).collect();
        (!row.is_empty()).then(|| (String::new(), row))
    };
    std::iter::from_fn(row).collect()
}

/// The size on the page at which every pixel of the image is a whole number of pixels of the figure, the longer side
/// at least `least` where the image is small; large ones shrink to a fixed size.
fn picture_size(shape: ImageShape, least: f64) -> (f64, f64) {
    const LARGEST: f64 = 130.0;
    let longer = shape.height.max(shape.width).max(1) as f64;
    let density = DENSITY as f64;
    let scale = (least * density / longer).ceil().max(1.0);
    let scale = if longer * scale / density > LARGEST { LARGEST * density / longer } else { scale };
    let side = |pixels: usize| (pixels as f64 * scale).round().max(1.0) / density;
    (side(shape.width), side(shape.height))
}

fn check_indices(indices: &[usize], images: usize) -> Result<()> {
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

fn nothing_to_show() -> Error {
    Error::Drawing { message: "there is no image to show; pass at least one index".to_owned() }
}

/// The first few names, for an alternative text.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(clean_text).collect::<Vec<_>>().join(", ")
}
