//! Axes with round numbers, and the panel of plotters that series, marks and a legend are drawn in.

use plotters::chart::ChartBuilder;
use plotters::coord::combinators::BindKeyPoints;
use plotters::style::TRANSPARENT;
use plotters::style::text_anchor::{HPos, VPos};

use super::figure::{Figure, NARROW, Screen};
use super::page::{Page, Rect, Text, draw};
use super::style::{
    BORDER, Color, Dash, GREY, GRID, INK, Marker, NAME_SIZE, Point, RULE, SeriesStyle, TICK_SIZE,
    TITLE_SIZE, WHITE,
};
use crate::display::chart::tick_step;
use crate::text::with_thousands;
use crate::{Error, Result};

/// Most ticks that fit along an axis.
const MOST_TICKS: f64 = 8.0;

/// An axis: its name with the unit, the range it shows, and how its values are written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Axis {
    pub(crate) name: String,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) log: bool,
    /// Values are counts: no tick lies between two whole numbers.
    pub(crate) whole: bool,
    /// Names instead of numbers, starting at `low`; an empty one has no tick.
    names: Vec<String>,
    /// Most ticks, about.
    most_ticks: f64,
}

impl Axis {
    pub(crate) fn new(name: &str, low: f64, high: f64) -> Axis {
        let (log, whole, names) = (false, false, Vec::new());
        Axis { name: name.to_owned(), low, high, log, whole, names, most_ticks: MOST_TICKS }
    }

    /// An axis of names, each a unit wide, the first one at its low end.
    pub(crate) fn of_names(name: &str, names: Vec<String>) -> Axis {
        let high = names.len() as f64;
        Axis { names, ..Axis::new(name, 0.0, high) }
    }

    /// The axis in the opposite direction.
    pub(crate) fn reversed(self) -> Axis {
        Axis { low: self.high, high: self.low, ..self }
    }

    /// The axis with at most about so many ticks.
    pub(crate) fn with_ticks(self, most_ticks: f64) -> Axis {
        Axis { most_ticks, ..self }
    }

    /// The axis with so many ticks that their texts stand beside each other in this width.
    pub(crate) fn within(mut self, width: f64) -> Axis {
        while self.ticks().len() as f64 * (self.widest_tick() + 8.0) > width {
            let fewer = Axis { most_ticks: self.most_ticks - 1.0, ..self.clone() };
            if fewer.most_ticks < 2.0 || fewer.ticks().len() < 2 {
                break;
            }
            self = fewer;
        }
        self
    }

    /// The axis that shows these values, with a margin on both sides.
    ///
    /// # Errors
    /// If no value is a finite number, one is not above 0 on a logarithmic axis, or their difference is no number.
    pub(crate) fn around(
        name: &str,
        values: impl IntoIterator<Item = f64>,
        log: bool,
    ) -> Result<Axis> {
        let refused = |message: String| Err(Error::drawing(message));
        let (low, high) = values
            .into_iter()
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if low > high {
            return refused(format!(
                "nothing to draw along `{name}`: expected at least one finite number"
            ));
        }
        if log && low <= 0.0 {
            return refused(format!(
                "`{name}` is logarithmic and holds {low}, expected numbers above 0; draw it linear"
            ));
        }
        let mut axis = Axis { log, ..Axis::new(name, low, high) };
        let (start, end) = (axis.along(low), axis.along(high));
        let size = start.abs().max(end.abs());
        // Numbers that only differ by rounding get the margin of a single number.
        let margin = if end - start > 1e-9 * size {
            0.05 * (end - start)
        } else if size < 1e-300 {
            0.1
        } else {
            0.1 * size
        };
        (axis.low, axis.high) = (axis.back(start - margin), axis.back(end + margin));
        if !(axis.high - axis.low).is_finite() {
            return refused(format!(
                "`{name}` holds {low:e} and {high:e}, too far apart or too large to draw; leave out such numbers"
            ));
        }
        Ok(axis)
    }

    /// The axis with names of at most this width.
    pub(crate) fn with_names(mut self, widest: f64) -> Axis {
        let style = self.tick_style();
        for name in &mut self.names {
            *name = style.fitted(name, widest).1;
        }
        self
    }

    /// The axis with this share of its length more at both ends.
    pub(crate) fn longer(mut self, share: f64) -> Axis {
        let (low, high) = (self.along(self.low), self.along(self.high));
        let more = share * (high - low);
        (self.low, self.high) = (self.back(low - more), self.back(high + more));
        self
    }

    /// The axis for percent: its margin ends just below 0 and just above 100.
    pub(crate) fn of_percent(mut self) -> Axis {
        let room = 0.02 * (self.high - self.low);
        if self.low <= 100.0 && self.high >= 0.0 {
            self.low = self.low.max(-room);
            self.high = self.high.min(100.0 + room).max(self.low + 1e-4);
        }
        self
    }

    fn along(&self, value: f64) -> f64 {
        if self.log { value.log10() } else { value }
    }

    fn back(&self, position: f64) -> f64 {
        if self.log { 10_f64.powf(position) } else { position }
    }

    /// The position of a value, 0 at the low end and 1 at the high end; limited to what plotters can multiply and add.
    pub(super) fn position(&self, value: f64) -> f64 {
        let (low, high) = (self.along(self.low), self.along(self.high));
        ((self.along(value) - low) / (high - low)).clamp(-1.0, 2.0)
    }

    /// Round values inside the range, with their text.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        if !self.names.is_empty() {
            let names = self.names.iter().enumerate().filter(|(_, name)| !name.is_empty());
            return names.map(|(index, name)| (index as f64 + 0.5, name.clone())).collect();
        }
        if self.log { self.log_ticks() } else { self.even_ticks() }
    }

    /// The ticks of an axis of this length in pixels.
    fn ticks_in_pixels(&self, length: i32) -> Vec<(i32, String)> {
        let at = |value: f64| (self.position(value) * f64::from(length)).round() as i32;
        self.ticks().into_iter().map(|(value, text)| (at(value), text)).collect()
    }

    fn even_ticks(&self) -> Vec<(f64, String)> {
        let span = self.high - self.low;
        if !(span.is_finite() && span > 0.0) {
            return vec![(self.low, tick_text(self.low, 0))];
        }
        let mut step = tick_step(span, self.most_ticks);
        if self.whole {
            step = step.max(1.0).round();
        }
        let digits = (-(step * 1.000_001).log10().floor()).clamp(0.0, 12.0) as usize;
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        let values = (first..=last).map(|index| index as f64 * step);
        values.map(|value| (value, tick_text(value, digits))).collect()
    }

    fn log_ticks(&self) -> Vec<(f64, String)> {
        let (low, high) = (self.along(self.low), self.along(self.high));
        // As if the axis were longer, where fewer ticks fit.
        let factors: &[f64] = match (high - low) * MOST_TICKS / self.most_ticks {
            crowded if crowded > 3.0 => &[1.0],
            crowded if crowded > 1.2 => &[1.0, 2.0, 5.0],
            _ => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
        };
        let step = ((high - low) / self.most_ticks).ceil().max(1.0) as usize;
        let shown = 0.999_999 * self.low..=1.000_001 * self.high;
        let powers = (low.floor() as i32..=high.ceil() as i32).step_by(step);
        let values = powers.flat_map(|power| factors.iter().map(move |factor| (power, factor)));
        let tick = |(power, &factor): (i32, &f64)| {
            let digits = -power + i32::from(factor == 1.5);
            let value = factor * 10_f64.powi(power);
            (value, tick_text(value, digits.clamp(0, 12) as usize))
        };
        values.map(tick).filter(|(value, _)| shown.contains(value)).collect()
    }

    fn tick_style(&self) -> Text {
        let color = if self.names.is_empty() { GREY } else { INK };
        Text::new(TICK_SIZE).color(color)
    }

    fn widest_tick(&self) -> f64 {
        let texts = self.ticks().into_iter().map(|(_, text)| text);
        self.tick_style().widest(texts, f64::INFINITY)
    }

    /// The width needed left of a panel for ticks and name.
    pub(crate) fn room_left(&self) -> f64 {
        let name = if self.name.is_empty() { 4.0 } else { 22.0 };
        name + self.widest_tick() + 2.0 * TICK
    }

    /// The height needed below a panel for ticks and name.
    pub(crate) fn room_below(&self) -> f64 {
        if self.name.is_empty() { 24.0 } else { 40.0 }
    }
}

fn tick_text(value: f64, digits: usize) -> String {
    match value.abs() {
        size if size == 0.0 || (1e-4..1e7).contains(&size) => with_thousands(value, digits),
        _ => format!("{value:e}").replace('-', "−"),
    }
}

/// Length of a tick; its text has twice this distance from the axis.
const TICK: f64 = 4.0;
/// A line with more points than this looks smooth without marks.
pub(crate) const MOST_MARKED: usize = 120;

/// A figure of one panel, with a legend beside it or, on a phone, above it.
pub(crate) struct Chart<'a> {
    pub(crate) title: &'a str,
    pub(crate) axes: (Axis, Axis),
    /// The legend on a desk, and on a phone.
    pub(crate) legends: [&'a [LegendEntry]; 2],
    /// Width and height of the panel on a desk, axes and title included.
    pub(crate) desk: (f64, f64),
    /// Height of the panel on a phone.
    pub(crate) phone: f64,
    /// Width right of the axes for the texts at the ends of bars.
    pub(crate) beside: f64,
    pub(crate) alt: String,
}

impl Chart<'_> {
    /// The figure, with what `paint` draws in the panel.
    pub(crate) fn draw(
        &self,
        paint: impl Fn(&Panel<'_, '_>, Screen) -> Result<()>,
    ) -> Result<Figure> {
        Figure::for_each_screen(self.title, |screen| {
            let (x, y) = self.axes.clone();
            let entries = self.legends[screen as usize];
            let (across, down) = legend_size(entries);
            let (title, x, y, size, outer, corner) = match screen {
                Screen::Desk => {
                    let (width, height) = self.desk;
                    let outer = Rect::new(8.0, 4.0, width - 16.0 - self.beside, height - 10.0);
                    let y = y.with_names(420.0);
                    (self.title, x, y, (width + across, height), outer, (width - 8.0, 36.0))
                }
                Screen::Phone => {
                    let above = if down > 0.0 { down + 4.0 } else { 0.0 };
                    let y = y.with_names(120.0);
                    let x = x.within(NARROW - y.room_left() - 20.0 - self.beside);
                    // The panel's own title, for which it keeps room above, is empty; the letters of a name below it
                    // reach lower.
                    let (width, height) = (NARROW - 4.0 - self.beside, self.phone + 16.0);
                    let outer = Rect::new(2.0, above - 22.0, width, height);
                    ("", x, y, (NARROW, above + self.phone), outer, (2.0, 2.0))
                }
            };
            draw(size, self.alt.clone(), |page| {
                let panel = Panel::inside(page, outer, title, (x, y))?;
                paint(&panel, screen)?;
                legend(page, entries, corner)
            })
        })
    }
}

/// An area with axes in which series are drawn.
pub(crate) struct Panel<'a, 'b> {
    pub(crate) page: &'b Page<'a>,
    /// Where the data is drawn.
    pub(crate) area: Rect,
    axes: (Axis, Axis),
}

impl<'a, 'b> Panel<'a, 'b> {
    /// A panel with its title and axes in this part of the page.
    pub(crate) fn inside(
        page: &'b Page<'a>,
        outer: Rect,
        title: &str,
        (x, y): (Axis, Axis),
    ) -> Result<Panel<'a, 'b>> {
        let (left, top) = (outer.left + y.room_left(), outer.top + 32.0);
        // Room for a number at the very end of the axis.
        let right = outer.right() - 12.0_f64.max(x.widest_tick() / 2.0);
        let (width, height) = (right - left, outer.bottom() - x.room_below() - top);
        // As on a phone beside the widest names and numbers, where a page then shows the drawing for a desk.
        if width < 80.0 {
            return Err(Error::drawing("the names and numbers leave no room for the data"));
        }
        Panel::at(page, Rect::new(left, top, width, height), title, (x, y))
    }

    /// A panel whose data is drawn in `area`; title, ticks and names are around it.
    pub(crate) fn at(
        page: &'b Page<'a>,
        area: Rect,
        title: &str,
        axes: (Axis, Axis),
    ) -> Result<Panel<'a, 'b>> {
        // A title starts at the left of the data; a long one starts further left, so that it ends on the page.
        let room = page.width() - 16.0;
        let (bold, title) = Text::new(TITLE_SIZE).bold().fitted(title, room);
        let start = area.left.min(8.0 + room - bold.width(&title));
        page.text(&title, (start, area.top - 13.0), bold)?;
        draw_axes(page, area, &axes)?;
        Ok(Panel { page, area, axes })
    }

    /// The position of a pair of values on the page, at most its own size outside the panel.
    pub(crate) fn place(&self, (x, y): Point) -> Point {
        let (across, up) = (self.axes.0.position(x), self.axes.1.position(y));
        let Rect { left, width, height, .. } = self.area;
        (left + across * width, self.area.bottom() - up * height)
    }

    /// Draws a series: a line through pairs of values, interrupted where one is not finite, with only as many marks as
    /// stay distinguishable.
    pub(crate) fn series(&self, values: &[Point], look: SeriesStyle) -> Result<()> {
        for run in values.split(|&value| !is_finite(value)) {
            let points: Vec<Point> = run.iter().map(|&value| self.place(value)).collect();
            self.page.line(&points, 2.0, look.color, look.dash)?;
        }
        if values.len() > MOST_MARKED {
            return Ok(());
        }
        let step = values.len().div_ceil(30).max(1);
        for (index, &value) in values.iter().enumerate() {
            if index % step == 0 || index + 1 == values.len() {
                self.mark(look.marker, value, 3.4, look.color)?;
            }
        }
        Ok(())
    }

    /// Draws a mark at a pair of values, unless one is not finite.
    pub(crate) fn mark(&self, marker: Marker, at: Point, radius: f64, color: Color) -> Result<()> {
        if is_finite(at) { self.page.mark(marker, self.place(at), radius, color) } else { Ok(()) }
    }

    /// Draws a vertical line through the whole panel.
    pub(crate) fn upright(&self, x: f64, color: Color, dash: Dash) -> Result<()> {
        let at = self.place((x, 0.0)).0;
        let (from, to) = ((at, self.area.top), (at, self.area.bottom()));
        self.page.line(&[from, to], 1.2, color, dash)
    }

    /// Writes a text right of a vertical line at `x`, or left of it if the panel has no room on its right.
    pub(crate) fn beside(&self, x: f64, y: f64, text: &str, style: Text) -> Result<()> {
        let left = self.left_beside(self.place((x, 0.0)).0, 6.0, style.width(text));
        self.page.text_on_white(text, (left, y), style.anchor(HPos::Left, VPos::Bottom))
    }

    /// The left end of a text of this width, `gap` right of a point or, if the panel has no room there, left of it.
    pub(crate) fn left_beside(&self, at: f64, gap: f64, width: f64) -> f64 {
        if at + gap + width < self.area.right() { at + gap } else { at - gap - width }
    }
}

/// Draws axes with their ticks and names around `area`, and lines of a grid in it.
fn draw_axes(page: &Page<'_>, area: Rect, (x, y): &(Axis, Axis)) -> Result<()> {
    // plotters counts pixels along the axes; where ticks stand, and their texts, is known here.
    let (wide, high) = (page.px(area.width), page.px(area.height));
    let (x_ticks, y_ticks) = (x.ticks_in_pixels(wide), y.ticks_in_pixels(high));
    let positions = |ticks: &[(i32, String)]| ticks.iter().map(|tick| tick.0).collect::<Vec<i32>>();
    let text = |ticks: &[(i32, String)], at: &i32| {
        let tick = ticks.iter().find(|(tick, _)| tick == at);
        tick.map_or_else(String::new, |(_, text)| text.clone())
    };
    let (x_text, y_text) = (|at: &i32| text(&x_ticks, at), |at: &i32| text(&y_ticks, at));
    let (width, height) = page.area.dim_in_pixel();
    let (left, below) = (page.px(y.room_left()), page.px(x.room_below()));
    let mut chart = ChartBuilder::on(&page.area)
        .margin_left(page.px(area.left) - left)
        .margin_top(page.px(area.top))
        .margin_right(width as i32 - page.px(area.left) - wide)
        .margin_bottom(height as i32 - page.px(area.top) - high - below)
        .y_label_area_size(left)
        .x_label_area_size(below)
        .build_cartesian_2d(
            (0..wide).with_key_points(positions(&x_ticks)),
            (0..high).with_key_points(positions(&y_ticks)),
        )?;
    // Both ends of a name lie on the page. plotters has one style for both names: the smaller one.
    let (across, down) = area.centre();
    let most = (area.width + 40.0).min(2.0 * (page.width() - 4.0 - across));
    let (name, x_name) = Text::new(NAME_SIZE).fitted(&x.name, most);
    let (name, y_name) = name.fitted(&y.name, (area.height + 70.0).min(2.0 * down - 4.0));
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(TRANSPARENT)
        .bold_line_style(page.stroke(1.0, GRID))
        .axis_style(page.stroke(1.0, RULE))
        .set_all_tick_mark_size(page.px(TICK))
        .x_label_style(x.tick_style().style(page.scale))
        .y_label_style(y.tick_style().style(page.scale))
        .x_label_formatter(&x_text)
        .y_label_formatter(&y_text)
        .axis_desc_style(name.style(page.scale))
        .x_desc(x_name)
        .y_desc(y_name);
    // Grid lines help to read numbers, not names.
    if !x.names.is_empty() {
        mesh.disable_x_mesh();
    }
    if !y.names.is_empty() {
        mesh.disable_y_mesh();
    }
    Ok(mesh.draw()?)
}

pub(crate) fn is_finite((x, y): Point) -> bool {
    x.is_finite() && y.is_finite()
}

/// An entry of the legend: the name of a series, its look, and the sign before the name.
pub(crate) type LegendEntry = (String, SeriesStyle, Sign);

/// The sign before a name in the legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    Line,
    LineAndMarker,
    Marker,
    /// Bars with the hatching of the series with this index.
    Block(usize),
}

const LEGEND_ROW: f64 = 19.0;
const LEGEND_SIGN: f64 = 34.0;
/// Widest text of a legend.
const LEGEND_TEXT: f64 = 320.0;

fn legend_style() -> Text {
    Text::new(NAME_SIZE - 0.5)
}

/// The width and height that a legend takes, its border included; none without an entry.
pub(crate) fn legend_size(entries: &[LegendEntry]) -> (f64, f64) {
    if entries.is_empty() {
        return (0.0, 0.0);
    }
    let widest = legend_style().widest(entries.iter().map(|(name, ..)| name), LEGEND_TEXT);
    (widest + LEGEND_SIGN + 22.0, LEGEND_ROW * entries.len() as f64 + 9.0)
}

/// Draws a legend, if it has entries, with its top left corner at a point; it is placed next to a panel, so it never
/// covers data.
pub(crate) fn legend(page: &Page<'_>, entries: &[LegendEntry], (left, top): Point) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let room = page.width() - left - 2.0;
    let widest = LEGEND_TEXT.min(room - LEGEND_SIGN - 22.0);
    let (width, height) = legend_size(entries);
    let frame = Rect::new(left, top, width.min(room), height);
    page.fill(frame, WHITE)?;
    page.frame(frame, 0.75, BORDER)?;
    for (index, (name, SeriesStyle { color, dash, marker }, sign)) in entries.iter().enumerate() {
        let y = top + 4.5 + LEGEND_ROW * (index as f64 + 0.5);
        let (start, end) = (left + 9.0, left + 3.0 + LEGEND_SIGN);
        let middle = ((start + end) / 2.0, y);
        if matches!(sign, Sign::Line | Sign::LineAndMarker) {
            page.line(&[(start, y), (end, y)], 2.0, *color, *dash)?;
        }
        match sign {
            Sign::Line => {}
            Sign::LineAndMarker => page.mark(*marker, middle, 3.6, *color)?,
            Sign::Marker => page.mark(*marker, middle, 4.2, *color)?,
            Sign::Block(series) => {
                let block = Rect::new(middle.0 - 8.0, y - 5.5, 16.0, 11.0);
                bar(page, block, *color, *series)?;
            }
        }
        let style = legend_style().anchor(HPos::Left, VPos::Center);
        page.text_in(widest, name, (left + 9.0 + LEGEND_SIGN, y), style)?;
    }
    Ok(())
}

/// Draws a bar; its hatching in white (none, vertical, horizontal, both) distinguishes the series without colour.
pub(crate) fn bar(page: &Page<'_>, area: Rect, color: Color, series: usize) -> Result<()> {
    page.fill(area, color)?;
    if series % 2 == 1 {
        for step in 1..(area.width / 7.0).ceil() as usize {
            let x = area.left + 7.0 * step as f64;
            page.line(&[(x, area.top), (x, area.bottom())], 1.3, WHITE, None)?;
        }
    }
    if series % 4 >= 2 {
        let y = area.centre().1;
        page.line(&[(area.left, y), (area.right(), y)], 1.3, WHITE, None)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(
            texts(&Axis::new("", 0.1, 0.42)),
            ["0.10", "0.15", "0.20", "0.25", "0.30", "0.35", "0.40"]
        );
        assert_eq!(
            texts(&Axis::new("", 0.0, 7000.0)),
            ["0", "1,000", "2,000", "3,000", "4,000", "5,000", "6,000", "7,000"]
        );
        assert_eq!(texts(&Axis::new("", -1.0, 1.0)), ["−1.0", "−0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(texts(&Axis::new("", 89.5, 94.7)), ["90", "91", "92", "93", "94"]);
        let epochs = Axis { whole: true, ..Axis::new("", 0.9, 3.1) };
        assert_eq!(texts(&epochs), ["1", "2", "3"]);
        let log = Axis { log: true, ..Axis::new("", 8.0, 160.0) };
        assert_eq!(texts(&log), ["10", "20", "50", "100"]);
    }

    #[test]
    fn ticks_have_room_on_a_phone_too() {
        let images = Axis::new("", 0.0, 54_000.0);
        let width = |axis: &Axis| axis.ticks().len() as f64 * (axis.widest_tick() + 8.0);
        assert!(width(&images) > 200.0);
        let few = images.clone().within(200.0);
        assert!(width(&few) <= 200.0 && few.ticks().len() >= 2, "{:?}", texts(&few));
        // What has room stays, and two ticks do wherever it is.
        assert_eq!(images.clone().within(900.0), images);
        assert!(images.within(1.0).ticks().len() >= 2);
        let log = Axis { log: true, ..Axis::new("", 1000.0, 9_000_000.0) };
        assert!(width(&log.clone().within(200.0)) < width(&log));
    }

    #[test]
    fn ticks_stand_at_their_values_and_the_first_name_at_the_top() {
        let epochs = Axis { whole: true, ..Axis::new("", 0.9, 3.1) };
        let at: Vec<i32> = epochs.ticks_in_pixels(220).into_iter().map(|tick| tick.0).collect();
        assert_eq!(at, [10, 110, 210]);
        let names = Axis::of_names("", ["a", "", "c"].map(str::to_owned).to_vec()).reversed();
        assert_eq!(names.ticks_in_pixels(60), [(50, "a".to_owned()), (10, "c".to_owned())]);
    }

    #[test]
    fn plotters_writes_the_texts_of_the_ticks() {
        let drawn = |high: f64| {
            let axes = (Axis::new("", 0.0, high), Axis::new("", 0.0, 1.0));
            let paint = |page: &Page<'_>| {
                Panel::inside(page, Rect::new(0.0, 0.0, 200.0, 90.0), "", axes).map(|_| ())
            };
            draw((200.0, 90.0), "", paint).unwrap()
        };
        // The ticks are at the same places.
        assert!(drawn(2.0).png() != drawn(2000.0).png() && drawn(2.0).png() == drawn(2.0).png());
    }

    #[test]
    fn values_lie_between_the_ends() {
        let axis = Axis::around("", [1.0, f64::NAN, 3.0], false).unwrap();
        assert!((axis.position(2.0) - 0.5).abs() < 1e-12);
        assert!(axis.position(1.0) > 0.0 && axis.position(3.0) < 1.0);
        let log = Axis::around("", [1.0, 100.0], true).unwrap();
        assert!((log.position(10.0) - 0.5).abs() < 1e-12);
        // A single value also gets a margin.
        for value in [0.0, 1e-3, -5.0, 1e-310] {
            assert!((Axis::around("", [value], false).unwrap().position(value) - 0.5).abs() < 1e-9);
        }
    }

    #[test]
    fn extreme_values_have_few_ticks() {
        let ranges = [
            (0.0, 1e-12),
            (1.0, 1.0 + 1e-15),
            (-1e300, 1e300),
            (1e-200, 1e200),
            (1e15, 1e15 + 2.0),
        ];
        for (low, high) in ranges {
            for (log, whole) in [(false, false), (false, true), (low > 0.0, false)] {
                let axis = Axis::around("", [low, high], log).unwrap();
                let axis = Axis { whole, ..axis };
                let ticks = texts(&axis);
                assert!(ticks.len() < 40, "{low} to {high}: {ticks:?}");
                assert!(ticks.iter().all(|text| text.len() < 30), "{low} to {high}: {ticks:?}");
            }
        }
    }

    #[test]
    fn an_axis_without_values_or_too_long_is_refused() {
        let error = |values: &[f64], log| {
            Axis::around("Loss", values.iter().copied(), log).unwrap_err().to_string()
        };
        assert_eq!(
            error(&[f64::NAN], false),
            "cannot draw: nothing to draw along `Loss`: expected at least one finite number"
        );
        assert!(
            error(&[0.0, 1.0], true)
                .contains("`Loss` is logarithmic and holds 0, expected numbers above 0")
        );
        assert!(error(&[f64::MIN, f64::MAX], false).contains("too far apart or too large to draw"));
    }
}
