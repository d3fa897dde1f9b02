//! Tables of numbers as pictures: confusion matrices and heat maps.

use ndarray::Array2;
use plotters::style::text_anchor::{HPos, VPos};

use super::axes::{Axis, Panel};
use super::figure::{Figure, NARROW, Screen};
use super::page::{Page, Rect, Text, draw};
use super::style::{Color, GREY, INK, NAME_SIZE, RULE, TICK_SIZE, WHITE, blues, ink_on};
use crate::evaluation::{Confusion, most_confused};
use crate::text::{clean_text, with_thousands};
use crate::{Error, Result};

/// A confusion matrix: how many images of each true class (rows) were given each class (columns), with the share of
/// the true class below.
///
/// Cells are shaded by the square root of that share, so that rare confusions are visible, too; empty cells have no
/// image. With many classes the cells have no numbers.
///
/// - `matrix`: shape `(classes, classes)`, from [`confusion_matrix`](crate::evaluation::confusion_matrix)
///
/// # Errors
/// If the matrix is not square or has another size than there are names.
pub fn plot_confusion(matrix: &Array2<u64>, class_names: &[String]) -> Result<Figure> {
    let classes = class_names.len();
    if matrix.dim() != (classes, classes) || classes == 0 {
        return Err(Error::drawing(format!(
            "the matrix has shape {:?} and there are {classes} class names, expected a square of that size; pass \
             the names of the data set it was counted on",
            matrix.dim()
        )));
    }
    let totals: Vec<u64> = matrix.rows().into_iter().map(|row| row.sum()).collect();
    // A phone has no room for the counts, and for percent without a sign.
    let cell = |screen: Screen, at: (usize, usize)| {
        let share = matrix[at] as f64 / totals[at.0].max(1) as f64;
        let lines = match (matrix[at], screen) {
            (0, _) => Vec::new(),
            (count, Screen::Desk) => vec![with_thousands(count as f64, 0), percent(share)],
            (_, Screen::Phone) => whole_percent(share),
        };
        MapCell { lines, shade: Some(share.sqrt()), framed: at.0 == at.1 }
    };
    let right: u64 = (0..classes).map(|class| matrix[(class, class)]).sum();
    let all = totals.iter().sum::<u64>().max(1);
    let mut alt = format!(
        "Confusion matrix of {classes} classes: {} of {} images on the diagonal.",
        with_thousands(right as f64, 0),
        with_thousands(all as f64, 0)
    );
    if let Some(&Confusion { truth, predicted, images }) = most_confused(matrix).first() {
        let [truth, predicted] = [truth, predicted].map(|class| clean_text(&class_names[class]));
        alt +=
            &format!(" Most frequent confusion: {truth} taken for {predicted}, {images} images.");
    }
    let ticks = [0.0_f64, 0.05, 0.2, 0.5, 1.0];
    let scale = ticks.map(|tick| (tick.sqrt(), format!("{:.0}%", 100.0 * tick)));
    let [rows, columns]: [Side; 2] =
        ["True class", "Predicted class"].map(|axis| (axis.to_owned(), class_names.to_vec()));
    Figure::for_each_screen("Confusion matrix: percent of the true class", |screen| {
        let (title, name) = match screen {
            Screen::Desk => ("Confusion matrix", "Share of the true class"),
            Screen::Phone => ("", ""),
        };
        let sides = [&rows, &columns];
        draw_table(screen, title, sides, (name, &scale[..]), alt.clone(), |at| cell(screen, at))
    })
}

/// `3.4%`, `12%`, `<0.1%`.
pub(super) fn percent(share: f64) -> String {
    match 100.0 * share {
        percent if percent < 0.1 => "<0.1%".to_owned(),
        percent if percent < 9.95 => format!("{percent:.1}%"),
        percent => format!("{percent:.0}%"),
    }
}

/// The line of a small cell: percent without a sign, none below half a percent.
pub(super) fn whole_percent(share: f64) -> Vec<String> {
    if share < 0.005 { Vec::new() } else { vec![format!("{:.0}", 100.0 * share)] }
}

/// A value for each pair of two settings, such as the score of each combination of a grid search, with its spread.
///
/// The highest value is framed; values that are no numbers are left white.
///
/// ```
/// use helpers::plot::HeatMap;
/// use ndarray::array;
/// let names = |names: [&str; 2]| names.map(str::to_owned).to_vec();
/// let map = HeatMap {
///     title: "Validation accuracy (%)".to_owned(),
///     rows: ("Dropout".to_owned(), names(["0.1", "0.3"])),
///     columns: ("Kernel initializer".to_owned(), names(["glorot_uniform", "he_normal"])),
///     values: array![[0.871, 0.874], [0.869, 0.866]],
///     spread: array![[0.002, 0.001], [0.003, 0.002]],
///     percent: true,
///     digits: 2,
/// };
/// let figure = map.plot()?;
/// # Ok::<(), helpers::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    /// The quantity, with its unit.
    pub title: String,
    /// The parameter of the rows, and its values.
    pub rows: (String, Vec<String>),
    /// The parameter of the columns, and its values.
    pub columns: (String, Vec<String>),
    /// Shape `(rows, columns)`.
    pub values: Array2<f64>,
    /// The standard deviation shown under each value; not shown where it is NaN.
    pub spread: Array2<f64>,
    /// Whether the values are fractions, written as percent.
    pub percent: bool,
    /// Digits after the point.
    pub digits: usize,
}

impl HeatMap {
    /// Draws the map.
    ///
    /// # Errors
    /// If the names or the spread do not fit the shape of the values, or no value is a finite number.
    pub fn plot(&self) -> Result<Figure> {
        let (shape, spread) = (self.values.dim(), self.spread.dim());
        let (rows, columns) = (self.rows.1.len(), self.columns.1.len());
        if (rows, columns) != shape || spread != shape {
            return Err(Error::drawing(format!(
                "the values have shape {shape:?}, with {rows} row names, {columns} column names and a spread of shape \
                 {spread:?}; all must agree"
            )));
        }
        let finite = || self.values.indexed_iter().filter(|(_, value)| value.is_finite());
        // Of equal values the first is the best; `max_by` would take the last.
        let Some((best, &high)) = finite().reduce(|a, b| if b.1 > a.1 { b } else { a }) else {
            return Err(Error::drawing(
                "the heat map holds no finite number; run at least one trial",
            ));
        };
        let low = finite().fold(high, |low, (_, &value)| low.min(value));
        let span = if high > low { high - low } else { 1.0 };
        let text = |value: f64| {
            with_thousands(if self.percent { 100.0 * value } else { value }, self.digits)
        };
        // Not the whole scale: the differences are often small.
        let shade = |part: f64| 0.08 + 0.77 * part;
        let cell = |at: (usize, usize)| {
            let (value, spread) = (self.values[at], self.spread[at]);
            if !value.is_finite() {
                return MapCell { lines: vec!["–".to_owned()], shade: None, framed: false };
            }
            let mut lines = vec![text(value)];
            if spread.is_finite() {
                lines.push(format!("± {}", text(spread)));
            }
            MapCell { lines, shade: Some(shade((value - low) / span)), framed: at == best }
        };
        let parts = (0..5).map(|step| f64::from(step) / 4.0);
        let scale: Vec<_> = parts.map(|part| (shade(part), text(low + part * span))).collect();
        let alt = format!(
            "{}: {} by {}; best {} at {} and {}, range {} to {}.",
            self.title,
            self.rows.0,
            self.columns.0,
            text(high),
            self.rows.1[best.0],
            self.columns.1[best.1],
            text(low),
            text(high)
        );
        let sides = [&self.rows, &self.columns];
        Figure::for_each_screen(&self.title, |screen| {
            let title = if screen == Screen::Desk { self.title.as_str() } else { "" };
            // The title already names the quantity.
            draw_table(screen, title, sides, ("", &scale), alt.clone(), cell)
        })
    }
}

/// The content of one cell.
pub(super) struct MapCell {
    pub(super) lines: Vec<String>,
    /// Its position on the colour scale, or none for white.
    pub(super) shade: Option<f64>,
    pub(super) framed: bool,
}

/// A parameter, and its values: those of rows or of columns.
pub(super) type Side = (String, Vec<String>);

/// Draws cells in rows and columns beside a colour scale.
///
/// - `scale`: the name of the quantity, and positions on the colour scale with their text
fn draw_table(
    screen: Screen,
    title: &str,
    [rows, columns]: [&Side; 2],
    (scale_name, scale): (&str, &[(f64, String)]),
    alt: String,
    cell: impl Fn((usize, usize)) -> MapCell,
) -> Result<Figure> {
    let (across, down) = (columns.1.len() as f64, rows.1.len() as f64);
    let name = Text::new(TICK_SIZE);
    let numbers = name.widest(scale.iter().map(|tick| &tick.1), f64::INFINITY);
    // Cells get smaller the more there are, and have no text if it does not fit.
    let (top, gap, most, room, least) = match screen {
        Screen::Desk => (38.0, 22.0, 260.0, 660.0, if across <= 12.0 { 58.0 } else { 9.0 }),
        Screen::Phone => {
            let names = row_axis(rows, f64::INFINITY, 96.0).room_left();
            (10.0, 10.0, 96.0, NARROW - names - numbers - 50.0, 9.0)
        }
    };
    let width = (room / across).clamp(9.0, 110.0).max(least);
    let height = match screen {
        Screen::Desk => (width * 0.72).clamp(9.0, 50.0),
        // Narrow cells have room for a number in their height.
        Screen::Phone => width.clamp(15.0, 50.0),
    };
    let widest = name.widest(&columns.1, most);
    let turned = widest > width - 4.0;
    let left = 8.0 + row_axis(rows, height, most).room_left();
    let area = Rect::new(left, top, width * across, height * down);
    let below = if turned { widest + 38.0 } else { Axis::new(&columns.0, 0.0, 1.0).room_below() };
    let bar = Rect::new(area.right() + gap, area.top, 14.0, area.height.min(320.0));
    let right = bar.right() + numbers + if scale_name.is_empty() { 16.0 } else { 32.0 };
    draw((right, area.bottom() + below + 8.0), alt, |page| {
        draw_matrix(page, area, title, [rows, columns], (most, turned), cell)?;
        if turned {
            let name = Text::new(NAME_SIZE).anchor(HPos::Center, VPos::Bottom);
            let middle = area.centre().0;
            let fits = 2.0 * middle.min(right - middle) - 4.0;
            page.text_in(fits, &columns.0, (middle, area.bottom() + below), name)?;
        }
        let upwards = Text { upwards: true, ..name.color(GREY).anchor(HPos::Center, VPos::Bottom) };
        page.text(scale_name, (right - 10.0, bar.centre().1), upwards)?;
        draw_scale(page, bar, scale)
    })
}

fn row_axis((name, values): &Side, height: f64, most: f64) -> Axis {
    Axis::of_names(name, readable(values, height, most)).reversed()
}

/// Draws the cells of a table and the names of its rows and columns.
///
/// - `most`: width of the widest name
/// - `turned`: whether the names of the columns are read from bottom to top, which plotters cannot do for an axis; their
///   parameter is then not named
pub(super) fn draw_matrix(
    page: &Page<'_>,
    area: Rect,
    title: &str,
    [rows, columns]: [&Side; 2],
    (most, turned): (f64, bool),
    cell: impl Fn((usize, usize)) -> MapCell,
) -> Result<()> {
    let (across, down) = (columns.1.len(), rows.1.len());
    let (width, height) = (area.width / across as f64, area.height / down as f64);
    let x = match turned {
        true => Axis::of_names("", vec![String::new(); across]),
        false => Axis::of_names(&columns.0, readable(&columns.1, f64::INFINITY, most)),
    };
    Panel::at(page, area, title, (x, row_axis(rows, height, most)))?;
    for at in (0..down).flat_map(|row| (0..across).map(move |column| (row, column))) {
        let (left, top) = (area.left + width * at.1 as f64, area.top + height * at.0 as f64);
        draw_cell(page, Rect::new(left, top, width, height).grown(-0.5), cell(at))?;
    }
    page.frame(area, 1.0, RULE)?;
    let style = Text::new(TICK_SIZE).anchor(HPos::Right, VPos::Center);
    let style = Text { upwards: true, ..style };
    let names = if turned { readable(&columns.1, width, most) } else { Vec::new() };
    for (column, name) in names.iter().enumerate() {
        let at = (area.left + width * (column as f64 + 0.5), area.bottom() + 8.0);
        page.text(name, at, style)?;
    }
    Ok(())
}

/// Draws the colour scale with its values.
fn draw_scale(page: &Page<'_>, bar: Rect, scale: &[(f64, String)]) -> Result<()> {
    let (low, high) = (scale[0].0, scale[scale.len() - 1].0);
    const STEPS: usize = 80;
    let height = bar.height / STEPS as f64;
    for step in (0..STEPS).map(|step| step as f64) {
        let shade = high + (low - high) * (step + 0.5) / STEPS as f64;
        let area = Rect::new(bar.left, bar.top + height * step, bar.width, height);
        page.fill(area, blues(shade))?;
    }
    page.frame(bar.grown(0.5), 0.75, RULE)?;
    let style = Text::new(TICK_SIZE).color(GREY).anchor(HPos::Left, VPos::Center);
    for (position, text) in scale {
        let y = bar.bottom() - (position - low) / (high - low).max(1e-9) * bar.height;
        page.text(text, (bar.right() + 6.0, y), style)?;
    }
    Ok(())
}

/// Names that fit into lines of this height: those wider than `most` are cut, and those that would overlap are left out.
fn readable(names: &[String], height: f64, most: f64) -> Vec<String> {
    let step = (13.0 / height).ceil().max(1.0) as usize;
    let fitted = |name: &String| Text::new(TICK_SIZE).fitted(name, most).1;
    let kept = names.iter().enumerate();
    kept.map(|(index, name)| if index % step == 0 { fitted(name) } else { String::new() }).collect()
}

/// Draws a cell and as many lines of its text as fit, the first larger.
fn draw_cell(page: &Page<'_>, square: Rect, cell: MapCell) -> Result<()> {
    let background: Color = cell.shade.map_or(WHITE, blues);
    page.fill(square, background)?;
    if cell.framed && square.width >= 19.0 {
        page.frame(square.grown(-0.75), 1.5, INK)?;
    }
    let (x, y) = square.centre();
    let style =
        |size: f64| Text::new(size).color(ink_on(background)).anchor(HPos::Center, VPos::Center);
    let sizes = [12.0, 9.5];
    let fits = |line: &str, size: f64| style(size).width(line) <= square.width - 2.0;
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
