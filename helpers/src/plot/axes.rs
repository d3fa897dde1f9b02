//! Axes with round numbers, and the panel of plotters that series, marks and a legend are drawn in.

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::style::TRANSPARENT;
use plotters::style::text_anchor::{HPos, VPos};

use super::figure::NARROW;
use super::page::{Page, Rect, Surface, Text};
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

    /// The position of a value, 0 at the low end and 1 at the high end.
    pub(crate) fn position(&self, value: f64) -> f64 {
        let (low, high) = (self.along(self.low), self.along(self.high));
        (self.along(value) - low) / (high - low)
    }

    /// Round values inside the range, with their text.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        if !self.names.is_empty() {
            let names = self.names.iter().enumerate().filter(|(_, name)| !name.is_empty());
            return names.map(|(index, name)| (index as f64 + 0.5, name.clone())).collect();
        }
        if self.log { self.log_ticks() } else { self.even_ticks() }
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
        let decades = self.along(self.high) - self.along(self.low);
        // As if the axis were longer, where fewer ticks fit.
        let crowded = decades * MOST_TICKS / self.most_ticks;
        let factors: &[f64] = if crowded > 3.0 {
            &[1.0]
        } else if crowded > 1.2 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0]
        };
        let (first, last) = (self.along(self.low).floor(), self.along(self.high).ceil());
        let step = (decades / self.most_ticks).ceil().max(1.0) as usize;
        let mut ticks = Vec::new();
        for power in (first as i32..=last as i32).step_by(step) {
            for factor in factors {
                let value = factor * 10_f64.powi(power);
                if value < self.low * 0.999_999 || value > self.high * 1.000_001 {
                    continue;
                }
                let digits = (-value.log10().floor()).clamp(0.0, 12.0) as usize
                    + usize::from(*factor == 1.5 && value < 10.0);
                ticks.push((value, tick_text(value, digits)));
            }
        }
        ticks
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

/// The interface through which plotters gets an axis' ticks, their positions and texts.
impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        // Limited to slightly outside the area: plotters multiplies and adds these positions.
        let position = self.position(*value).clamp(-1.0, 2.0);
        (f64::from(start) + position * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks().into_iter().map(|(value, _)| value).collect()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        let tick = self.ticks().into_iter().find(|(tick, _)| tick == value);
        tick.map(|(_, text)| text).unwrap_or_default()
    }
}

/// Length of a tick; its text has twice this distance from the axis.
const TICK: f64 = 4.0;
/// A line with more points than this looks smooth without marks.
pub(crate) const MOST_MARKED: usize = 120;

/// An area with axes in which series are drawn.
pub(crate) struct Panel<'a, 'b> {
    pub(crate) page: &'b Page<'a>,
    /// Where the data is drawn.
    pub(crate) area: Rect,
    chart: ChartContext<'b, Surface<'a>, Cartesian2d<Axis, Axis>>,
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
        Panel::at(page, Rect::new(left, top, width, height), title, (x, y))
    }

    /// A panel whose data is drawn in `area`; title, ticks and names are around it.
    pub(crate) fn at(
        page: &'b Page<'a>,
        area: Rect,
        title: &str,
        (x, y): (Axis, Axis),
    ) -> Result<Panel<'a, 'b>> {
        let bold = Text::new(TITLE_SIZE).bold();
        // A title starts at the left of the data; a long one starts further left, so that it ends on the page.
        let (width, height) = page.area.dim_in_pixel();
        let room = f64::from(width) / page.scale - 16.0;
        let (bold, title) = bold.fitted(title, room);
        let start = area.left.min(8.0 + room - bold.width(&title));
        page.text(&title, (start, area.top - 13.0), bold)?;
        let (left, below) = (page.px(y.room_left()), page.px(x.room_below()));
        let mut chart = ChartBuilder::on(&page.area)
            .margin_left(page.px(area.left) - left)
            .margin_top(page.px(area.top))
            .margin_right(width as i32 - page.px(area.right()))
            .margin_bottom(height as i32 - page.px(area.bottom()) - below)
            .y_label_area_size(left)
            .x_label_area_size(below)
            .build_cartesian_2d(x.clone(), y.clone())?;
        // Both ends of a name lie on the page. plotters has one style for both names: the smaller one.
        let (across, down) = area.centre();
        let most = (area.width + 40.0).min(2.0 * (room + 12.0 - across));
        let (name, x_name) = Text::new(NAME_SIZE).fitted(&x.name, most);
        let (name, y_name) = name.fitted(&y.name, (area.height + 70.0).min(2.0 * down - 4.0));
        let mut mesh = chart.configure_mesh();
        mesh.light_line_style(TRANSPARENT)
            .bold_line_style(page.stroke(1.0, GRID))
            .axis_style(page.stroke(1.0, RULE))
            .set_all_tick_mark_size(page.px(TICK))
            .x_label_style(x.tick_style().style(page.scale))
            .y_label_style(y.tick_style().style(page.scale))
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
        mesh.draw()?;
        Ok(Panel { page, area, chart })
    }

    /// The position of a pair of values on the page.
    pub(crate) fn place(&self, values: Point) -> Point {
        let (x, y) = self.chart.backend_coord(&values);
        (f64::from(x) / self.page.scale, f64::from(y) / self.page.scale)
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

/// The width that a legend takes, its border included.
pub(crate) fn legend_width(entries: &[LegendEntry]) -> f64 {
    let names = entries.iter().map(|(name, ..)| name);
    legend_style().widest(names, LEGEND_TEXT) + LEGEND_SIGN + 22.0
}

/// The height that a legend takes, its border included.
fn legend_height(entries: &[LegendEntry]) -> f64 {
    LEGEND_ROW * entries.len() as f64 + 9.0
}

/// A drawing for a phone with a panel of this height below the legend: its size, the part of it for the panel, and the
/// corner of the legend.
pub(crate) fn phone_layout(entries: &[LegendEntry], height: f64) -> (Point, Rect, Point) {
    let top = if entries.is_empty() { 0.0 } else { legend_height(entries) + 4.0 };
    // The panel's own title, for which it keeps room above, is empty; the letters of a name below it reach lower.
    let outer = Rect::new(2.0, top - 22.0, NARROW - 4.0, height + 16.0);
    ((NARROW, top + height), outer, (2.0, 2.0))
}

/// Draws a legend, if it has entries, with its top left corner at a point; it is placed next to a panel, so it never
/// covers data.
pub(crate) fn legend(page: &Page<'_>, entries: &[LegendEntry], (left, top): Point) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let room = f64::from(page.area.dim_in_pixel().0) / page.scale - left - 2.0;
    let widest = LEGEND_TEXT.min(room - LEGEND_SIGN - 22.0);
    let frame = Rect::new(left, top, legend_width(entries).min(room), legend_height(entries));
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
    fn plotters_writes_the_ticks_that_the_axis_has() {
        let epochs = Axis { whole: true, ..Axis::new("", 0.9, 3.1) };
        let ticks = epochs.key_points(8);
        assert_eq!(ticks, [1.0, 2.0, 3.0]);
        assert_eq!(epochs.format_ext(&2.0), "2");
        let names = Axis::of_names("", ["a", "", "c"].map(str::to_owned).to_vec()).reversed();
        assert_eq!(names.key_points(8), [0.5, 2.5]);
        assert_eq!((names.format_ext(&0.5), names.format_ext(&2.5)), ("a".into(), "c".into()));
        // The first name is at the top: the pixel range of plotters' vertical axes starts at the bottom.
        assert!(names.map(&0.5, (300, 0)) < names.map(&2.5, (300, 0)));
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
