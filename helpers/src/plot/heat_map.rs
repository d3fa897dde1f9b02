//! Tables of numbers as pictures: confusion matrices and heat maps.

use ndarray::Array2;

use super::figure::Figure;
use super::page::{Across, Canvas, Down, Rect, TextStyle};
use super::style::{Color, GREY, NAME_SIZE, RULE, TICK_SIZE, TITLE_SIZE, WHITE, blues, ink_on};
use crate::text::{clean_text, with_thousands};
use crate::{Error, Result};

/// A confusion matrix: how many images of each true class (rows) were given each class (columns), with the share of
/// the true class below.
///
/// Cells are shaded by that share, by its square root, so that rare confusions are seen too; empty cells hold no
/// image. With many classes the numbers make way for the shades.
///
/// - `matrix`: shape `(classes, classes)`, as [`confusion_matrix`](crate::evaluation::confusion_matrix) counts
///
/// # Errors
/// If the matrix is not square or has another size than there are names.
pub fn plot_confusion(matrix: &Array2<u64>, class_names: &[String]) -> Result<Figure> {
    let classes = class_names.len();
    if matrix.dim() != (classes, classes) || classes == 0 {
        return Err(Error::Drawing {
            message: format!(
                "the matrix has shape {:?} and there are {classes} class names, expected a square of that size; pass \
                 the names of the data set it was counted on",
                matrix.dim()
            ),
        });
    }
    let totals: Vec<u64> = matrix.rows().into_iter().map(|row| row.sum()).collect();
    let share = |row: usize, column: usize| match totals[row] {
        0 => 0.0,
        total => matrix[(row, column)] as f64 / total as f64,
    };
    let cell = |row: usize, column: usize| {
        let count = matrix[(row, column)];
        let mut lines = Vec::new();
        if count > 0 {
            lines.push(with_thousands(count as f64, 0));
            lines.push(percent(share(row, column)));
        }
        Drawn { lines, shade: Some(share(row, column).sqrt()), framed: row == column }
    };
    let right: u64 = (0..classes).map(|class| matrix[(class, class)]).sum();
    let all = totals.iter().sum::<u64>().max(1);
    let worst = (0..classes)
        .flat_map(|row| (0..classes).map(move |column| (row, column)))
        .filter(|(row, column)| row != column)
        .max_by_key(|&place| (matrix[place], std::cmp::Reverse(place)));
    let mut alt = format!(
        "Confusion matrix of {classes} classes: {} of {} images on the diagonal.",
        with_thousands(right as f64, 0),
        with_thousands(all as f64, 0)
    );
    if let Some((row, column)) = worst.filter(|&place| matrix[place] > 0) {
        alt += &format!(
            " Most frequent confusion: {} taken for {}, {} images.",
            clean_text(&class_names[row]),
            clean_text(&class_names[column]),
            matrix[(row, column)]
        );
    }
    let ticks = [0.0_f64, 0.05, 0.2, 0.5, 1.0];
    let scale = ticks.iter().map(|&tick| (tick.sqrt(), format!("{:.0}%", 100.0 * tick))).collect();
    draw(
        &Frame {
            title: "Confusion matrix",
            row_axis: "True class",
            column_axis: "Predicted class",
            rows: class_names,
            columns: class_names,
            scale_name: "Share of the true class",
            scale,
        },
        cell,
        alt,
    )
}

/// `3.4%`, `12%`, `<0.1%`.
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent < 0.1 {
        "<0.1%".to_owned()
    } else if percent < 9.95 {
        format!("{percent:.1}%")
    } else {
        format!("{percent:.0}%")
    }
}

/// A value for each pair of two settings, such as the score of each combination of a grid search, with its spread.
///
/// The best value is framed; values that are no numbers are left white.
///
/// ```
/// use helpers::plot::HeatMap;
/// use ndarray::array;
/// let figure = HeatMap::new("Validation accuracy (%)", array![[0.871, 0.874], [0.869, 0.866]])
///     .rows("Dropout", ["0.1", "0.3"])
///     .columns("Kernel initializer", ["glorot_uniform", "he_normal"])
///     .spread(array![[0.002, 0.001], [0.003, 0.002]])
///     .percent(2)
///     .plot()?;
/// # Ok::<(), helpers::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    title: String,
    row_axis: String,
    column_axis: String,
    rows: Vec<String>,
    columns: Vec<String>,
    values: Array2<f64>,
    spread: Option<Array2<f64>>,
    percent: bool,
    digits: usize,
    lowest_is_best: bool,
}

impl HeatMap {
    /// The map of these values, shape `(rows, columns)`; the title says what they are, with their unit.
    pub fn new(title: impl Into<String>, values: Array2<f64>) -> HeatMap {
        let (rows, columns) = values.dim();
        let count = |n: usize| (0..n).map(|place| place.to_string()).collect();
        HeatMap {
            title: title.into(),
            row_axis: String::new(),
            column_axis: String::new(),
            rows: count(rows),
            columns: count(columns),
            values,
            spread: None,
            percent: false,
            digits: 3,
            lowest_is_best: false,
        }
    }

    /// The map with the name of what varies from row to row, and its values.
    pub fn rows<T: Into<String>>(
        mut self,
        axis: impl Into<String>,
        names: impl IntoIterator<Item = T>,
    ) -> HeatMap {
        self.row_axis = axis.into();
        self.rows = names.into_iter().map(Into::into).collect();
        self
    }

    /// The map with the name of what varies from column to column, and its values.
    pub fn columns<T: Into<String>>(
        mut self,
        axis: impl Into<String>,
        names: impl IntoIterator<Item = T>,
    ) -> HeatMap {
        self.column_axis = axis.into();
        self.columns = names.into_iter().map(Into::into).collect();
        self
    }

    /// The map with a standard deviation under each value, of the same shape.
    pub fn spread(mut self, spread: Array2<f64>) -> HeatMap {
        self.spread = Some(spread);
        self
    }

    /// The map with its values, which are fractions, written as percent with this many digits after the point.
    pub fn percent(mut self, digits: usize) -> HeatMap {
        self.percent = true;
        self.digits = digits;
        self
    }

    /// The map with this many digits after the point.
    pub fn digits(mut self, digits: usize) -> HeatMap {
        self.digits = digits;
        self
    }

    /// The map with the frame around its lowest value, for losses.
    pub fn lowest_is_best(mut self) -> HeatMap {
        self.lowest_is_best = true;
        self
    }

    /// Draws the map.
    ///
    /// # Errors
    /// If the names or the spread do not fit the shape of the values, or no value is a finite number.
    pub fn plot(&self) -> Result<Figure> {
        let shape = self.values.dim();
        let spread = self.spread.as_ref().map_or(shape, Array2::dim);
        if (self.rows.len(), self.columns.len()) != shape || spread != shape {
            return Err(Error::Drawing {
                message: format!(
                    "the values have shape {shape:?}, with {} row names, {} column names and a spread of shape \
                     {spread:?}; all must agree",
                    self.rows.len(),
                    self.columns.len()
                ),
            });
        }
        let finite = || self.values.indexed_iter().filter(|(_, value)| value.is_finite());
        let by_value = |a: &(_, &f64), b: &(_, &f64)| a.1.total_cmp(b.1);
        let (Some(low), Some(high)) = (finite().min_by(by_value), finite().first_max(by_value))
        else {
            return Err(Error::Drawing {
                message: "the heat map holds no finite number; run at least one trial".to_owned(),
            });
        };
        let best = if self.lowest_is_best { low.0 } else { high.0 };
        let (low, high) = (*low.1, *high.1);
        let span = if high > low { high - low } else { 1.0 };
        let text = |value: f64| {
            let shown = if self.percent { 100.0 * value } else { value };
            with_thousands(shown, self.digits)
        };
        let cell = |row: usize, column: usize| {
            let value = self.values[(row, column)];
            if !value.is_finite() {
                return Drawn { lines: vec!["–".to_owned()], shade: None, framed: false };
            }
            let mut lines = vec![text(value)];
            if let Some(spread) =
                self.spread.as_ref().map(|s| s[(row, column)]).filter(|s| s.is_finite())
            {
                lines.push(format!("± {}", text(spread)));
            }
            let place = (value - low) / span;
            // Not to the ends of the scale: the differences are often small.
            Drawn { lines, shade: Some(0.08 + 0.77 * place), framed: (row, column) == best }
        };
        let scale = (0..5)
            .map(|step| {
                let place = f64::from(step) / 4.0;
                (0.08 + 0.77 * place, text(low + place * span))
            })
            .collect();
        let alt = format!(
            "{}: {} by {}; best {} at {} and {}, range {} to {}.",
            self.title,
            self.row_axis,
            self.column_axis,
            text(self.values[best]),
            self.rows[best.0],
            self.columns[best.1],
            text(low),
            text(high)
        );
        draw(
            &Frame {
                title: &self.title,
                row_axis: &self.row_axis,
                column_axis: &self.column_axis,
                rows: &self.rows,
                columns: &self.columns,
                scale_name: "",
                scale,
            },
            cell,
            alt,
        )
    }
}

/// The first of the largest items, where `max_by` takes the last.
trait FirstMaximum: Iterator + Sized {
    fn first_max(
        self,
        compare: impl Fn(&Self::Item, &Self::Item) -> std::cmp::Ordering,
    ) -> Option<Self::Item> {
        self.reduce(|best, item| if compare(&item, &best).is_gt() { item } else { best })
    }
}

impl<I: Iterator> FirstMaximum for I {}

/// What one cell holds.
struct Drawn {
    lines: Vec<String>,
    /// Its place on the colour scale, or none for white.
    shade: Option<f64>,
    framed: bool,
}

/// What stands around the cells.
struct Frame<'a> {
    title: &'a str,
    row_axis: &'a str,
    column_axis: &'a str,
    rows: &'a [String],
    columns: &'a [String],
    scale_name: &'a str,
    /// Places on the colour scale and their text.
    scale: Vec<(f64, String)>,
}

fn draw(frame: &Frame<'_>, cell: impl Fn(usize, usize) -> Drawn, alt: String) -> Result<Figure> {
    let (rows, columns) = (frame.rows.len(), frame.columns.len());
    let probe = Canvas::new(1.0, 1.0)?;
    let name = TextStyle::new(TICK_SIZE).color(GREY);
    let widest = |names: &[String]| {
        names.iter().map(|text| probe.text_width(text, name)).fold(0.0, f64::max).min(150.0)
    };
    // Cells shrink with their number, and lose their text when it no longer fits.
    let width =
        (660.0 / columns as f64).clamp(9.0, 110.0).max(if columns <= 12 { 58.0 } else { 9.0 });
    let height = (width * 0.72).clamp(9.0, 50.0);
    let row_names = widest(frame.rows);
    let turned = widest(frame.columns) > width - 4.0;
    let column_names = if turned { widest(frame.columns) + 10.0 } else { 22.0 };
    let axis = |name: &str| if name.is_empty() { 4.0 } else { 24.0 };
    let left = 8.0 + axis(frame.row_axis) + row_names + 8.0;
    let top = 38.0;
    let area = Rect::new(left, top, width * columns as f64, height * rows as f64);
    let bar_left = area.right() + 22.0;
    let scale_text =
        frame.scale.iter().map(|(_, text)| probe.text_width(text, name)).fold(0.0, f64::max);
    let scale_name = if frame.scale_name.is_empty() { 0.0 } else { 24.0 };
    let bottom = area.bottom() + column_names + axis(frame.column_axis) + 6.0;
    let mut canvas = Canvas::new(bar_left + 14.0 + 8.0 + scale_text + scale_name + 8.0, bottom)?;
    let title = TextStyle::new(TITLE_SIZE).bold();
    let fitted = canvas.fitted(frame.title, title, bar_left + 40.0 - left);
    canvas.text(&fitted, (left, 24.0), title);

    for row in 0..rows {
        for column in 0..columns {
            let drawn = cell(row, column);
            let (x, y) = (left + width * column as f64, top + height * row as f64);
            let background = drawn.shade.map_or(WHITE, blues);
            let square = Rect::new(x + 0.5, y + 0.5, width - 1.0, height - 1.0);
            canvas.fill_rect(square, background);
            let outline: Option<Color> = drawn.framed.then_some([30, 30, 30]);
            if let Some(color) = outline.filter(|_| width >= 20.0) {
                canvas.frame(square, 1.5, color);
            }
            draw_lines(&mut canvas, &drawn.lines, square, background);
        }
    }
    canvas.frame(area.grown(0.5), 1.0, RULE);

    let skip = (13.0 / height).ceil().max(1.0) as usize;
    for (row, text) in frame.rows.iter().enumerate().step_by(skip) {
        let text = canvas.fitted(text, name, 150.0);
        let y = top + height * (row as f64 + 0.5);
        canvas.text(&text, (left - 8.0, y), name.anchor(Across::Right, Down::Middle));
    }
    let skip = if turned { (13.0 / width).ceil().max(1.0) as usize } else { 1 };
    for (column, text) in frame.columns.iter().enumerate().step_by(skip) {
        let text = canvas.fitted(text, name, 150.0);
        let x = left + width * (column as f64 + 0.5);
        if turned {
            let style = name.upwards().anchor(Across::Right, Down::Middle);
            canvas.text(&text, (x, area.bottom() + 7.0), style);
        } else {
            canvas.text(&text, (x, area.bottom() + 8.0), name.anchor(Across::Centre, Down::Top));
        }
    }
    let axis = TextStyle::new(NAME_SIZE);
    let (x, y) = area.centre();
    canvas.text(frame.row_axis, (10.0, y), axis.upwards().anchor(Across::Centre, Down::Top));
    canvas.text(frame.column_axis, (x, bottom - 9.0), axis.anchor(Across::Centre, Down::Baseline));

    // The colour scale, as high as the cells but not higher than readers need.
    let bar = Rect::new(bar_left, area.top, 14.0, area.height.min(320.0));
    let (low, high) = (frame.scale[0].0, frame.scale[frame.scale.len() - 1].0);
    let steps = (bar.height * 2.0) as usize;
    for step in 0..steps {
        let shade = high + (low - high) * (step as f64 + 0.5) / steps as f64;
        canvas.fill_rect(
            Rect::new(bar.left, bar.top + step as f64 / 2.0, bar.width, 0.5),
            blues(shade),
        );
    }
    canvas.frame(bar.grown(0.5), 0.75, RULE);
    for (place, text) in &frame.scale {
        let y = bar.bottom() - (place - low) / (high - low).max(1e-9) * bar.height;
        canvas.text(text, (bar.right() + 6.0, y), name.anchor(Across::Left, Down::Middle));
    }
    // A scale that is shorter than its name goes without.
    if scale_name > 0.0 && canvas.text_width(frame.scale_name, name) <= bar.height + 20.0 {
        let style =
            TextStyle::new(TICK_SIZE).color(GREY).upwards().anchor(Across::Centre, Down::Top);
        canvas.text(frame.scale_name, (bar.right() + scale_text + 14.0, bar.centre().1), style);
    }
    canvas.finish(alt)
}

/// The lines of one cell, the first larger; as many as fit.
fn draw_lines(canvas: &mut Canvas, lines: &[String], area: Rect, background: Color) {
    let (x, y) = area.centre();
    let ink = ink_on(background);
    let sizes = [12.0, 9.5];
    let fits = |canvas: &Canvas, line: &String, size: f64| {
        canvas.text_width(line, TextStyle::new(size)) <= area.width - 3.0
    };
    let both = lines.len() > 1
        && area.height >= 32.0
        && lines.iter().zip(sizes).all(|(line, size)| fits(canvas, line, size));
    let style = |size: f64| TextStyle::new(size).color(ink).anchor(Across::Centre, Down::Middle);
    if both {
        canvas.text(&lines[0], (x, y - 7.0), style(sizes[0]));
        canvas.text(&lines[1], (x, y + 9.0), style(sizes[1]));
    } else if let Some(line) = lines.first() {
        let size = [12.0, 10.0, 8.5]
            .into_iter()
            .find(|&size| fits(canvas, line, size) && area.height > size + 3.0);
        if let Some(size) = size {
            canvas.text(line, (x, y), style(size));
        }
    }
}
