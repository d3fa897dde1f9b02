//! Pictures of the images themselves: with their classes, class by class, with what a model says of them.
//!
//! Small images are enlarged to crisp blocks; the class stands above each. Places (`indices`) count within what is
//! passed: the data set or the part of it.

use ndarray::Array2;

use super::figure::{DENSITY, Figure};
use super::page::{Across, Canvas, Down, Rect, TextStyle};
use super::style::{Color, GREY, TITLE_SIZE, label_color, label_sign};
use crate::data::random::RandomState;
use crate::data::{Dataset, ImageShape, Subset};
use crate::evaluation::metrics::{argmax, check_classes, check_lengths};
use crate::text::{clean_text, thousands};
use crate::{Error, Result};

/// Images with labels: a whole [`Dataset`] or a [`Subset`].
pub trait Images {
    /// Number of images.
    fn images(&self) -> usize;
    /// The data set the images are in.
    fn source(&self) -> &Dataset;
    /// The place in the data set of the image at this place.
    fn place(&self, image: usize) -> usize;
}

impl Images for Dataset {
    fn images(&self) -> usize {
        self.len()
    }

    fn source(&self) -> &Dataset {
        self
    }

    fn place(&self, image: usize) -> usize {
        image
    }
}

impl Images for Subset {
    fn images(&self) -> usize {
        self.len()
    }

    fn source(&self) -> &Dataset {
        self.dataset()
    }

    fn place(&self, image: usize) -> usize {
        self.indices()[image]
    }
}

/// `n` different places among `images`, drawn with a seed; all of them, shuffled, when there are fewer.
///
/// # Errors
/// If `seed` does not fit into 32 bits.
pub fn random_indices(images: usize, n: usize, seed: u64) -> Result<Vec<usize>> {
    let mut places = RandomState::new(seed)?.permutation(images);
    places.truncate(n);
    Ok(places)
}

/// The places of at most `n` wrong predictions, the most confident first; equal ones in their order.
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
/// If there is no place, a place is not among the images, or `columns` is 0.
///
/// ```
/// # use helpers::{data::Dataset, plot::{random_indices, show_images}};
/// # fn show(dataset: Dataset) -> helpers::Result<()> {
/// let figure = show_images(&dataset, &random_indices(dataset.len(), 8, 42)?, 4)?;
/// # Ok(()) }
/// ```
pub fn show_images(images: &impl Images, indices: &[usize], columns: usize) -> Result<Figure> {
    check_indices(indices, images.images())?;
    if columns == 0 {
        return Err(Error::Parameter {
            name: "columns",
            expected: "at least 1".to_owned(),
            got: "0".to_owned(),
            advice: "4 suits eight images".to_owned(),
        });
    }
    let dataset = images.source();
    let labels: Vec<CellLabel> = indices
        .iter()
        .map(|&index| {
            let place = images.place(index);
            let class = dataset.labels()[place] as usize;
            CellLabel { lines: vec![line(&dataset.class_names()[class])], place }
        })
        .collect();
    let title =
        format!("{} of {} images with their class", indices.len(), thousands(images.images()));
    let alt =
        format!("{title}: {}.", list(labels.iter().map(|label| label.lines[0].text.as_str())));
    draw_grid(dataset, &title, &labels, columns, 118.0, alt)
}

/// What varies within each class: a row of `examples` images for every class, drawn with a seed.
///
/// A class with fewer images shows those it has.
///
/// # Errors
/// If there is no image, `examples` is 0, or `seed` does not fit into 32 bits.
pub fn show_classes(images: &impl Images, examples: usize, seed: u64) -> Result<Figure> {
    if images.images() == 0 {
        return Err(nothing_to_show());
    }
    if examples == 0 {
        return Err(Error::Parameter {
            name: "examples",
            expected: "at least 1".to_owned(),
            got: "0".to_owned(),
            advice: "8 show how a class varies".to_owned(),
        });
    }
    let dataset = images.source();
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); dataset.classes()];
    for index in random_indices(images.images(), images.images(), seed)? {
        let place = images.place(index);
        let row = &mut rows[dataset.labels()[place] as usize];
        if row.len() < examples {
            row.push(place);
        }
    }
    let (width, height) = picture_size(dataset.image_shape(), 80.0);
    let name = TextStyle::new(12.0).bold().anchor(Across::Right, Down::Middle);
    let probe = Canvas::new(1.0, 1.0)?;
    let names = dataset.class_names();
    let widest = names
        .iter()
        .map(|text| probe.text_width(text, name))
        .fold(0.0, f64::max)
        .clamp(40.0, 180.0);
    let (left, top, gap) = (widest + 24.0, 40.0, 6.0);
    let title = format!("{examples} images of each class");
    let total_width = left + examples as f64 * (width + gap) + 8.0;
    let total_height = top + rows.len() as f64 * (height + gap) + 8.0;
    let mut canvas = Canvas::new(total_width.max(260.0), total_height)?;
    canvas.text(&title, (left, 24.0), TextStyle::new(TITLE_SIZE).bold());
    for (class, row) in rows.iter().enumerate() {
        let y = top + class as f64 * (height + gap);
        let text = canvas.fitted(&names[class], name, widest);
        canvas.text(&text, (left - 12.0, y + height / 2.0), name);
        for (column, &place) in row.iter().enumerate() {
            let area = Rect::new(left + column as f64 * (width + gap), y, width, height);
            draw_picture(&mut canvas, dataset, place, area)?;
        }
    }
    canvas.finish(format!("{title}, a row for each: {}.", list(names.iter().map(String::as_str))))
}

/// What a model predicts for images: the predicted class in blue with a tick when it is right, in red with a cross and
/// the true class when it is wrong, and the probability the model gives it.
///
/// - `probabilities`: of all images of `images`, shape `(N, classes)`, as `predict` gives them
/// - `indices`: which images to show; where there is none, as among the mistakes of a perfect model, the figure says so
///
/// # Errors
/// If `probabilities` does not belong to `images`, or a place is not among them.
pub fn plot_predictions(
    images: &impl Images,
    probabilities: &Array2<f32>,
    indices: &[usize],
) -> Result<Figure> {
    check_lengths(images.images(), probabilities.nrows())?;
    if indices.is_empty() {
        let text = "No prediction to show: there is none of this kind.";
        let mut canvas = Canvas::new(520.0, 56.0)?;
        let style = TextStyle::new(TITLE_SIZE).color(GREY).anchor(Across::Centre, Down::Middle);
        canvas.text(text, (260.0, 28.0), style);
        return canvas.finish(text);
    }
    check_indices(indices, images.images())?;
    let dataset = images.source();
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
    let labels: Vec<CellLabel> = indices
        .iter()
        .map(|&index| {
            let place = images.place(index);
            let (predicted, truth) = (y_pred[index], dataset.labels()[place]);
            let right = predicted == truth;
            let (predicted, truth) = (predicted as usize, truth as usize);
            let percent = format!("{:.0}%", 100.0 * probabilities[(index, predicted)]);
            let color = label_color(right);
            let second = if right {
                LabelLine { text: percent.clone(), color, bold: false }
            } else {
                LabelLine { text: format!("{percent}, true: {}", names[truth]), color, bold: false }
            };
            let first = LabelLine {
                text: format!("{} {}", label_sign(right), names[predicted]),
                color,
                bold: true,
            };
            described.push(if right {
                format!("{} right ({percent})", clean_text(&names[predicted]))
            } else {
                format!(
                    "{} instead of {} ({percent})",
                    clean_text(&names[predicted]),
                    clean_text(&names[truth])
                )
            });
            CellLabel { lines: vec![first, second], place }
        })
        .collect();
    let right = indices.iter().filter(|&&i| y_pred[i] == dataset.labels()[images.place(i)]).count();
    let title =
        String::from("Predicted class and its probability: ✓ right in blue, ✗ wrong in red");
    let columns =
        if indices.len() <= 4 { indices.len() } else { indices.len().div_ceil(2).clamp(4, 6) };
    let alt = format!(
        "{right} of {} predictions right: {}.",
        indices.len(),
        list(described.iter().map(String::as_str))
    );
    draw_grid(dataset, &title, &labels, columns, 142.0, alt)
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
    let (width, height) = picture_size(shape, 92.0);
    let name = TextStyle::new(12.0).bold().anchor(Across::Right, Down::Middle);
    let note = TextStyle::new(11.0).color(GREY).anchor(Across::Centre, Down::Top);
    let probe = Canvas::new(1.0, 1.0)?;
    let widest = rows
        .iter()
        .map(|row| probe.text_width(&row.name, name))
        .fold(0.0, f64::max)
        .clamp(40.0, 180.0);
    let (left, top, gap) = (widest + 24.0, 40.0, 8.0);
    let heights: Vec<f64> = rows
        .iter()
        .map(|row| height + if row.notes.iter().any(|note| !note.is_empty()) { 24.0 } else { gap })
        .collect();
    let total = top + heights.iter().sum::<f64>() + 6.0;
    let mut canvas = Canvas::new(left + columns as f64 * (width + gap) + 6.0, total)?;
    let style = TextStyle::new(TITLE_SIZE).bold();
    let fitted = canvas.fitted(title, style, columns as f64 * (width + gap) + left - 16.0);
    canvas.text(&fitted, (left, 24.0), style);
    let mut y = top;
    for (row, taken) in rows.iter().zip(&heights) {
        let text = canvas.fitted(&row.name, name, widest);
        canvas.text(&text, (left - 12.0, y + height / 2.0), name);
        for (column, image) in row.images.iter().enumerate() {
            let x = left + column as f64 * (width + gap);
            let area = Rect::new(x, y, width, height);
            canvas.image(shape, area, |pixel_row, pixel_column| {
                let at = (pixel_row * shape.width + pixel_column) * shape.channels;
                let value = |channel: usize| {
                    (255.0 * image[at + channel.min(shape.channels - 1)].clamp(0.0, 1.0)).round()
                        as u8
                };
                [value(0), value(1), value(2)]
            });
            canvas.frame(area.grown(0.5), 0.5, FRAME);
            if let Some(text) = row.notes.get(column) {
                canvas.text(text, (x + width / 2.0, y + height + 5.0), note);
            }
        }
        y += taken;
    }
    let described = rows.iter().map(|row| {
        let notes: Vec<&str> =
            row.notes.iter().map(String::as_str).filter(|n| !n.is_empty()).collect();
        if notes.is_empty() {
            row.name.clone()
        } else {
            format!("{} ({})", row.name, notes.join(", "))
        }
    });
    let described: Vec<String> = described.collect();
    canvas.finish(format!(
        "{title}: {columns} images, in rows {}.",
        list(described.iter().map(String::as_str))
    ))
}

/// The thin line around every image, which shows where a white one ends.
const FRAME: Color = [205, 205, 205];

struct LabelLine {
    text: String,
    color: Color,
    bold: bool,
}

fn line(text: &str) -> LabelLine {
    LabelLine { text: text.to_owned(), color: super::style::INK, bold: false }
}

/// The lines above one image, and where the image is in the data set.
struct CellLabel {
    lines: Vec<LabelLine>,
    place: usize,
}

fn draw_grid(
    dataset: &Dataset,
    title: &str,
    labels: &[CellLabel],
    columns: usize,
    least_cell: f64,
    alt: String,
) -> Result<Figure> {
    let (width, height) = picture_size(dataset.image_shape(), 92.0);
    let columns = columns.min(labels.len());
    let rows = labels.len().div_ceil(columns);
    let lines = labels.iter().map(|label| label.lines.len()).max().unwrap_or(1) as f64;
    let (margin, head, line_height, below) = (10.0, 36.0, 16.0, 3.0);
    let cell_width = (width + 14.0).max(least_cell);
    let cell_height = height + lines * line_height + below + 14.0;
    let title_style = TextStyle::new(TITLE_SIZE).bold();
    let probe = Canvas::new(1.0, 1.0)?;
    let total_width = (2.0 * margin + columns as f64 * cell_width)
        .max(probe.text_width(title, title_style) + 2.0 * margin);
    let mut canvas = Canvas::new(total_width, head + rows as f64 * cell_height + 4.0)?;
    let shift = (total_width - columns as f64 * cell_width) / 2.0;
    canvas.text(
        title,
        (total_width / 2.0, 22.0),
        title_style.anchor(Across::Centre, Down::Baseline),
    );
    for (place, label) in labels.iter().enumerate() {
        let x = shift + (place % columns) as f64 * cell_width;
        let y = head + (place / columns) as f64 * cell_height;
        for (row, line) in label.lines.iter().enumerate() {
            let mut style =
                TextStyle::new(12.0).color(line.color).anchor(Across::Centre, Down::Baseline);
            style.bold = line.bold;
            let text = canvas.fitted(&line.text, style, cell_width - 6.0);
            canvas.text(&text, (x + cell_width / 2.0, y + 11.0 + row as f64 * line_height), style);
        }
        let left = ((x + (cell_width - width) / 2.0) * DENSITY as f64).round() / DENSITY as f64;
        let area = Rect::new(left, y + lines * line_height + below, width, height);
        draw_picture(&mut canvas, dataset, label.place, area)?;
    }
    canvas.finish(alt)
}

fn draw_picture(canvas: &mut Canvas, dataset: &Dataset, place: usize, area: Rect) -> Result<()> {
    let (shape, pixels) = (dataset.image_shape(), dataset.image(place)?);
    canvas.image(shape, area, |row, column| {
        let at = (row * shape.width + column) * shape.channels;
        if shape.channels >= 3 {
            [pixels[at], pixels[at + 1], pixels[at + 2]]
        } else {
            [pixels[at]; 3]
        }
    });
    canvas.frame(area.grown(0.5), 0.5, FRAME);
    Ok(())
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
        Some(outside) => Err(Error::Parameter {
            name: "indices",
            expected: format!("places below {images}, the number of images"),
            got: outside.to_string(),
            advice: "places count within the part that is shown".to_owned(),
        }),
        None => Ok(()),
    }
}

fn nothing_to_show() -> Error {
    Error::Drawing { message: "there is no image to show; pass at least one place".to_owned() }
}

/// The first few names, for an alternative text.
fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(clean_text).collect::<Vec<_>>().join(", ")
}
