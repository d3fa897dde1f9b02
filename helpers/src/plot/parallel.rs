//! Parallel coordinates (Inselberg 1985): a vertical axis for each quantity, and a line through all of them for each
//! row.

use plotters::style::text_anchor::{HPos, VPos};

use super::axes::Axis;
use super::figure::Figure;
use super::page::{Page, Rect, Text, draw};
use super::style::{GREY, INK, Marker, NAME_SIZE, RULE, SeriesStyle, TICK_SIZE, TITLE_SIZE, blues};
use crate::text::clean_text;
use crate::{Error, Result};

/// One of the vertical axes: its name, and the names of its values.
#[derive(Debug, Clone)]
pub(crate) struct Coordinate {
    pub(crate) name: String,
    /// Names of the values 0, 1, …, from the bottom; empty for numbers, which get round ticks.
    pub(crate) names: Vec<String>,
}

/// Distance between two axes.
const STEP: f64 = 150.0;
const HEIGHT: f64 = 270.0;

/// Draws rows of values, one for each of `coordinates`. The higher the last value, the darker the line. The row `best`
/// has a line of its own colour and a star. Rows with a value that is not finite are left out.
///
/// # Errors
/// If no row has only finite values.
pub(crate) fn plot_parallel(
    title: &str,
    coordinates: &[Coordinate],
    rows: &[Vec<f64>],
    best: usize,
    alt: String,
) -> Result<Figure> {
    let is_whole = |row: &&Vec<f64>| row.iter().all(|value| value.is_finite());
    let mut order: Vec<usize> =
        (0..rows.len()).filter(|&row| is_whole(&&rows[row]) && row != best).collect();
    let Some(chosen) = rows.get(best).filter(is_whole) else {
        return Err(Error::drawing("nothing to draw: no combination has a score"));
    };
    let last = coordinates.len() - 1;
    // Better rows are drawn over the others.
    order.sort_by(|&a, &b| rows[a][last].total_cmp(&rows[b][last]));
    let drawn: Vec<&Vec<f64>> = rows.iter().filter(is_whole).collect();
    let axis = |index: usize| axis_of(&coordinates[index], &drawn, index);
    let axes = (0..coordinates.len()).map(axis).collect::<Result<Vec<Axis>>>()?;
    let area = Rect::new(90.0, 62.0, STEP * last as f64, HEIGHT);
    let size = (area.right() + 110.0, area.bottom() + 14.0);
    draw(size, alt, |page| {
        let title_style = Text::new(TITLE_SIZE).bold();
        page.text_in(size.0 - 16.0, title, (8.0, 20.0), title_style)?;
        let x = |index: usize| area.left + STEP * index as f64;
        let y =
            |index: usize, value: f64| area.bottom() - axes[index].position(value) * area.height;
        let path = |row: &[f64]| -> Vec<(f64, f64)> {
            row.iter().enumerate().map(|(index, &value)| (x(index), y(index, value))).collect()
        };
        for &row in &order {
            let color = blues(0.3 + 0.7 * axes[last].position(rows[row][last]));
            page.line(&path(&rows[row]), 1.6, color, None)?;
        }
        let look = SeriesStyle::of_part("validation", 1);
        let through = path(chosen);
        page.line(&through, 3.0, look.color, None)?;
        for (index, coordinate) in coordinates.iter().enumerate() {
            let line = Rect::new(x(index), area.top, 0.0, area.height);
            draw_coordinate(page, line, coordinate, (&axes[index], index == 0))?;
        }
        through.iter().try_for_each(|&at| page.mark(Marker::STAR, at, 4.5, look.color))
    })
}

/// The axis of the coordinate with this index, for these rows.
fn axis_of(coordinate: &Coordinate, rows: &[&Vec<f64>], index: usize) -> Result<Axis> {
    let Coordinate { name, names } = coordinate;
    if !names.is_empty() {
        return Ok(Axis::new(name, -0.5, names.len() as f64 - 0.5));
    }
    let values = || rows.iter().map(|row| row[index]);
    let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
    // Logarithmic for values such as learning rates, but not for the score, which is last.
    let is_last = rows.first().is_some_and(|row| index + 1 == row.len());
    Axis::around(name, values(), !is_last && low > 0.0 && high > 30.0 * low)
}

/// Draws a vertical axis with its name above it and its values left of it for the first axis, right of it for the
/// others.
fn draw_coordinate(
    page: &Page<'_>,
    line: Rect,
    Coordinate { name, names }: &Coordinate,
    (axis, is_first): (&Axis, bool),
) -> Result<()> {
    let x = line.left;
    page.line(&[(x, line.top), (x, line.bottom())], 1.2, RULE, None)?;
    let style = Text::new(NAME_SIZE).bold().anchor(HPos::Center, VPos::Bottom);
    let (style, name) = style.fitted(name, STEP - 10.0);
    page.text(&name, (x, line.top - 10.0), style)?;
    let named = names.iter().enumerate().map(|(at, name)| (at as f64, clean_text(name)));
    let (ticks, color) = match names.is_empty() {
        true => (axis.ticks(), GREY),
        false => (named.collect(), INK),
    };
    let (side, left) = if is_first { (HPos::Right, x - 7.0) } else { (HPos::Left, x + 7.0) };
    let style = Text::new(TICK_SIZE).color(color).anchor(side, VPos::Center);
    for (value, text) in ticks {
        let (style, text) = style.fitted(&text, 80.0);
        let y = line.bottom() - axis.position(value) * line.height;
        page.text_on_white(&text, (left, y), style)?;
    }
    Ok(())
}
