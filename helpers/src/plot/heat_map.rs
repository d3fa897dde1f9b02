//! Tables of numbers as pictures: confusion matrices and heat maps.

use ndarray::Array2;
use plotters::style::text_anchor::{HPos, VPos};

use super::axes::{Axis, Panel};
use super::figure::Figure;
use super::page::{Page, Rect, Text, draw};
use super::style::{Color, GREY, INK, NAME_SIZE, RULE, TICK_SIZE, WHITE, blues, ink_on};
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
        Cell { lines, shade: Some(share(row, column).sqrt()), framed: row == column }
    };
    let right: u64 = (0..classes).map(|class| matrix[(class, class)]).sum();
    let all = totals.iter().sum::<u64>().max(1);
    let worst = (0..classes)
        .flat_map(|row| (0..classes).map(move |column| (row, column)))
        .filter(|(row, column)| row != column)
        .max_by_key(|&pair| (matrix[pair], std::cmp::Reverse(pair)));
    let mut alt = format!(
        "Confusion matrix of {classes} classes: {} of {} images on the diagonal.",
        with_thousands(right as f64, 0),
        with_thousands(all as f64, 0)
    );
    if let Some((row, column)) = worst.filter(|&pair| matrix[pair] > 0) {
        alt += &format!(
            " Most frequent confusion: {} taken for {}, {} images.",
            clean_text(&class_names[row]),
            clean_text(&class_names[column]),
            matrix[(row, column)]
        );
    }
    let ticks = [0.0_f64, 0.05, 0.2, 0.5, 1.0];
    let scale = ticks.iter().map(|&tick| (tick.sqrt(), format!("{:.0}%", 100.0 * tick))).collect();
    let table = Table {
        title: "Confusion matrix: images and share of class",
        row_axis: "True class",
        column_axis: "Predicted class",
        rows: class_names,
        columns: class_names,
        scale,
    };
    table.draw(alt, cell)
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
        self.check_shapes()?;
        let by_value = |a: &(_, &f64), b: &(_, &f64)| a.1.total_cmp(b.1);
        let finite = || self.values.indexed_iter().filter(|(_, value)| value.is_finite());
        // Of equal values the first is the best; `max_by` would take the last.
        let highest = finite().reduce(|a, b| if by_value(&b, &a).is_gt() { b } else { a });
        let (Some(low), Some(high)) = (finite().min_by(by_value), highest) else {
            return Err(Error::Drawing {
                message: "the heat map holds no finite number; run at least one trial".to_owned(),
            });
        };
        let best = if self.lowest_is_best { low.0 } else { high.0 };
        let (low, high) = (*low.1, *high.1);
        let span = if high > low { high - low } else { 1.0 };
        let text = |value: f64| {
            with_thousands(if self.percent { 100.0 * value } else { value }, self.digits)
        };
        // Not to the ends of the scale: the differences are often small.
        let shade = |part: f64| 0.08 + 0.77 * part;
        let cell = |row: usize, column: usize| {
            let value = self.values[(row, column)];
            if !value.is_finite() {
                return Cell { lines: vec!["–".to_owned()], shade: None, framed: false };
            }
            let mut lines = vec![text(value)];
            let spread = self.spread.as_ref().map(|spread| spread[(row, column)]);
            lines.extend(spread.filter(|s| s.is_finite()).map(|s| format!("± {}", text(s))));
            let framed = (row, column) == best;
            Cell { lines, shade: Some(shade((value - low) / span)), framed }
        };
        let parts = (0..5).map(|step| f64::from(step) / 4.0);
        let scale = parts.map(|part| (shade(part), text(low + part * span))).collect();
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
        let table = Table {
            title: &self.title,
            row_axis: &self.row_axis,
            column_axis: &self.column_axis,
            rows: &self.rows,
            columns: &self.columns,
            scale,
        };
        table.draw(alt, cell)
    }

    fn check_shapes(&self) -> Result<()> {
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
        Ok(())
    }
}

/// What one cell holds.
struct Cell {
    lines: Vec<String>,
    /// Its position on the colour scale, or none for white.
    shade: Option<f64>,
    framed: bool,
}

/// What stands around the cells.
struct Table<'a> {
    title: &'a str,
    row_axis: &'a str,
    column_axis: &'a str,
    rows: &'a [String],
    columns: &'a [String],
    /// Positions on the colour scale and their text.
    scale: Vec<(f64, String)>,
}

/// The widest name of a row or a column.
const WIDEST_NAME: f64 = 260.0;

impl Table<'_> {
    fn draw(&self, alt: String, cell: impl Fn(usize, usize) -> Cell) -> Result<Figure> {
        let (rows, columns) = (self.rows.len(), self.columns.len());
        // Cells shrink with their number, and lose their text when it no longer fits.
        let least = if columns <= 12 { 58.0 } else { 9.0 };
        let width = (660.0 / columns as f64).clamp(9.0, 110.0).max(least);
        let height = (width * 0.72).clamp(9.0, 50.0);
        let name = Text::new(TICK_SIZE);
        let widest = name.widest(self.columns, WIDEST_NAME);
        // plotters turns no names of an axis: they are written here.
        let turned = widest > width - 4.0;
        let y = Axis::of_names(self.row_axis, readable(self.rows, height)).reversed();
        let x = match turned {
            true => Axis::of_names("", vec![String::new(); columns]),
            false => Axis::of_names(self.column_axis, readable(self.columns, f64::INFINITY)),
        };
        let area =
            Rect::new(8.0 + y.room_left(), 38.0, width * columns as f64, height * rows as f64);
        let below = if turned { widest + 38.0 } else { x.room_below() };
        let bar = Rect::new(area.right() + 22.0, area.top, 14.0, area.height.min(320.0));
        let scale = Text::new(TICK_SIZE).color(GREY);
        let texts: Vec<String> = self.scale.iter().map(|(_, text)| text.clone()).collect();
        let texts = scale.widest(&texts, f64::INFINITY);
        let right = bar.right() + 16.0 + texts;
        draw((right, area.bottom() + below + 8.0), alt, |page| {
            let panel = Panel::at(page, area, self.title, (x, y))?;
            for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |c| (row, c))) {
                let (left, top) =
                    (area.left + width * column as f64, area.top + height * row as f64);
                let square = Rect::new(left + 0.5, top + 0.5, width - 1.0, height - 1.0);
                draw_cell(page, square, cell(row, column))?;
            }
            page.frame(area, 1.0, RULE)?;
            if turned {
                for (column, text) in readable(self.columns, width).iter().enumerate() {
                    let at = (panel.place((column as f64 + 0.5, 0.0)).0, area.bottom() + 8.0);
                    page.text(text, at, name.upwards().anchor(HPos::Right, VPos::Center))?;
                }
                let at = (area.centre().0, area.bottom() + below);
                page.text(
                    self.column_axis,
                    at,
                    Text::new(NAME_SIZE).anchor(HPos::Center, VPos::Bottom),
                )?;
            }
            self.draw_scale(page, bar)
        })
    }

    /// The colour scale with its values.
    fn draw_scale(&self, page: &Page<'_>, bar: Rect) -> Result<()> {
        let (low, high) = (self.scale[0].0, self.scale[self.scale.len() - 1].0);
        const STEPS: usize = 80;
        for step in 0..STEPS {
            let part = |step: f64| step / STEPS as f64;
            let shade = high + (low - high) * part(step as f64 + 0.5);
            let (top, height) = (bar.top + bar.height * part(step as f64), bar.height * part(1.0));
            page.fill(Rect::new(bar.left, top, bar.width, height), blues(shade))?;
        }
        page.frame(bar.grown(0.5), 0.75, RULE)?;
        let style = Text::new(TICK_SIZE).color(GREY).anchor(HPos::Left, VPos::Center);
        for (position, text) in &self.scale {
            let y = bar.bottom() - (position - low) / (high - low).max(1e-9) * bar.height;
            page.text(text, (bar.right() + 6.0, y), style)?;
        }
        Ok(())
    }
}

/// Names for lines of this height, cut where they are long; between two that would run into each other none.
fn readable(names: &[String], height: f64) -> Vec<String> {
    let step = (13.0 / height).ceil().max(1.0) as usize;
    let fitted = |name: &String| Text::new(TICK_SIZE).fitted(name, WIDEST_NAME).1;
    let kept = names.iter().enumerate();
    kept.map(|(index, name)| if index % step == 0 { fitted(name) } else { String::new() }).collect()
}

/// Draws a cell and the lines of its text, the first larger; as many as fit.
fn draw_cell(page: &Page<'_>, square: Rect, cell: Cell) -> Result<()> {
    let background: Color = cell.shade.map_or(WHITE, blues);
    page.fill(square, background)?;
    if cell.framed && square.width >= 19.0 {
        page.frame(square.grown(-0.75), 1.5, INK)?;
    }
    let (x, y) = square.centre();
    let style =
        |size: f64| Text::new(size).color(ink_on(background)).anchor(HPos::Center, VPos::Center);
    let sizes = [12.0, 9.5];
    let fits = |line: &str, size: f64| style(size).width(line) <= square.width - 3.0;
    if let [first, second] = &cell.lines[..]
        && square.height >= 32.0
        && fits(first, sizes[0])
        && fits(second, sizes[1])
    {
        page.text(first, (x, y - 7.0), style(sizes[0]))?;
        return page.text(second, (x, y + 9.0), style(sizes[1]));
    }
    let Some(line) = cell.lines.first() else { return Ok(()) };
    let sizes = [12.0, 10.0, 8.5].into_iter();
    match sizes.filter(|&size| square.height > size + 3.0).find(|&size| fits(line, size)) {
        Some(size) => page.text(line, (x, y), style(size)),
        None => Ok(()),
    }
}
