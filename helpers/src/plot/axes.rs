//! Axes with round numbers, and the panel of plotters that series, marks and a legend are drawn in.

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::element::Rectangle;
use plotters::series::{DashedLineSeries, LineSeries};
use plotters::style::Color as _;
use plotters::style::text_anchor::{HPos, VPos};

use super::page::{Dash, Mark, Page, Point, Rect, Surface, Text, rgb};
use super::style::{
    BORDER, Color, GREY, GRID, INK, Look, Marker, NAME_SIZE, RULE, TICK_SIZE, TITLE_SIZE, WHITE,
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
    /// Fractions, written as percent.
    pub(crate) percent: bool,
    /// Values are counts: no tick lies between two whole numbers.
    pub(crate) whole: bool,
    /// Names in place of numbers, from `low` on; an empty one stands for none.
    names: Vec<String>,
}

impl Axis {
    pub(crate) fn new(name: &str, low: f64, high: f64) -> Axis {
        Axis {
            name: name.to_owned(),
            low,
            high,
            log: false,
            percent: false,
            whole: false,
            names: Vec::new(),
        }
    }

    /// An axis of names, each a unit wide, the first one at its low end.
    pub(crate) fn of_names(name: &str, names: Vec<String>) -> Axis {
        let high = names.len() as f64;
        Axis { names, ..Axis::new(name, 0.0, high) }
    }

    /// The axis from its other end.
    pub(crate) fn reversed(self) -> Axis {
        Axis { low: self.high, high: self.low, ..self }
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
        let refused = |message: String| Err(Error::Drawing { message });
        let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        if values.is_empty() {
            return refused(format!(
                "nothing to draw along `{name}`: expected at least one finite number"
            ));
        }
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if log && low <= 0.0 {
            return refused(format!(
                "`{name}` is logarithmic and holds {low}, expected numbers above 0; draw it linear"
            ));
        }
        let mut axis = Axis { log, ..Axis::new(name, low, high) };
        let (start, end) = (axis.along(low), axis.along(high));
        let size = start.abs().max(end.abs());
        // Numbers that differ by rounding alone have room around them as one number has.
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

    /// The axis for shares, in percent: the margin ends shortly behind 0 and 100%.
    pub(crate) fn of_shares(mut self) -> Axis {
        self.percent = true;
        let room = 0.02 * (self.high - self.low);
        if self.low <= 1.0 && self.high >= 0.0 {
            self.low = self.low.max(-room);
            self.high = self.high.min(1.0 + room).max(self.low + 1e-6);
        }
        self
    }

    fn along(&self, value: f64) -> f64 {
        if self.log { value.log10() } else { value }
    }

    fn back(&self, position: f64) -> f64 {
        if self.log { 10_f64.powf(position) } else { position }
    }

    /// Where a value lies, 0 at the low end and 1 at the high end.
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
            return vec![(self.low, self.text(self.low, 0))];
        }
        let mut step = tick_step(span, MOST_TICKS);
        if self.whole {
            step = step.max(1.0).round();
        }
        let shown = if self.percent { 100.0 * step } else { step };
        let digits = (-(shown * 1.000_001).log10().floor()).clamp(0.0, 12.0) as usize;
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last)
            .map(|index| index as f64 * step)
            .map(|value| (value, self.text(value, digits)))
            .collect()
    }

    fn log_ticks(&self) -> Vec<(f64, String)> {
        let decades = self.along(self.high) - self.along(self.low);
        let factors: &[f64] = if decades > 3.0 {
            &[1.0]
        } else if decades > 1.2 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0]
        };
        let (first, last) = (self.along(self.low).floor(), self.along(self.high).ceil());
        let step = (decades / MOST_TICKS).ceil().max(1.0) as usize;
        let mut ticks = Vec::new();
        for power in (first as i32..=last as i32).step_by(step) {
            for factor in factors {
                let value = factor * 10_f64.powi(power);
                if value < self.low * 0.999_999 || value > self.high * 1.000_001 {
                    continue;
                }
                let shown = if self.percent { 100.0 * value } else { value };
                let digits = (-shown.log10().floor()).clamp(0.0, 12.0) as usize
                    + usize::from(*factor == 1.5 && shown < 10.0);
                ticks.push((value, self.text(value, digits)));
            }
        }
        ticks
    }

    fn text(&self, value: f64, digits: usize) -> String {
        let shown = if self.percent { 100.0 * value } else { value };
        if shown != 0.0 && !(1e-4..1e7).contains(&shown.abs()) {
            return format!("{shown:e}").replace('-', "−");
        }
        with_thousands(shown, digits)
    }

    fn tick_style(&self) -> Text {
        let color = if self.names.is_empty() { GREY } else { INK };
        Text::new(TICK_SIZE).color(color)
    }

    fn widest_tick(&self) -> f64 {
        let texts: Vec<String> = self.ticks().into_iter().map(|(_, text)| text).collect();
        self.tick_style().widest(&texts, f64::INFINITY)
    }

    /// The width that ticks and name take left of a panel.
    pub(crate) fn room_left(&self) -> f64 {
        let name = if self.name.is_empty() { 4.0 } else { 22.0 };
        name + self.widest_tick() + 2.0 * TICK
    }

    /// The height that ticks and name take below a panel.
    pub(crate) fn room_below(&self) -> f64 {
        if self.name.is_empty() { 24.0 } else { 40.0 }
    }
}

/// plotters asks an axis for its ticks and where they are, and how to write them.
impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        // A little outside at most: plotters adds and multiplies what comes out.
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

/// A number with about four digits.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    let digits = if size == 0.0 || size >= 1000.0 {
        0
    } else {
        (3.0 - size.log10().floor()).clamp(0.0, 8.0) as usize
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Length of a tick; its text stands twice as far from the axis.
const TICK: f64 = 4.0;
/// More points than this make a line smooth enough without marks.
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
        // A number may stand at the very end of the axis.
        let right = outer.right() - 12.0_f64.max(x.widest_tick() / 2.0);
        let (width, height) = (right - left, outer.bottom() - x.room_below() - top);
        Panel::at(page, Rect::new(left, top, width, height), title, (x, y))
    }

    /// A panel whose data goes into `area`; title, ticks and names around it.
    pub(crate) fn at(
        page: &'b Page<'a>,
        area: Rect,
        title: &str,
        (x, y): (Axis, Axis),
    ) -> Result<Panel<'a, 'b>> {
        let bold = Text::new(TITLE_SIZE).bold();
        // Short titles start where the data starts, long ones where the page does not end before them.
        let (width, height) = page.area.dim_in_pixel();
        let room = f64::from(width) / page.scale - 16.0;
        let (bold, title) = bold.fitted(title, room);
        let start = area.left.min(8.0 + room - bold.width(&title));
        page.text(&title, (start, area.top - 13.0), bold)?;
        let (left, below) = (page.px(y.room_left()), page.px(x.room_below()));
        let scale = page.scale;
        let (x_ticks, y_ticks) = (x.tick_style().style(scale), y.tick_style().style(scale));
        let names = (x.name.clone(), y.name.clone());
        let named = (!x.names.is_empty(), !y.names.is_empty());
        let mut chart = ChartBuilder::on(&page.area)
            .margin_left(page.px(area.left) - left)
            .margin_top(page.px(area.top))
            .margin_right(width as i32 - page.px(area.right()))
            .margin_bottom(height as i32 - page.px(area.bottom()) - below)
            .y_label_area_size(left)
            .x_label_area_size(below)
            .build_cartesian_2d(x, y)?;
        let mut mesh = chart.configure_mesh();
        mesh.light_line_style(rgb(WHITE).mix(0.0))
            .bold_line_style(page.stroke(1.0, GRID))
            .axis_style(page.stroke(1.0, RULE))
            .set_all_tick_mark_size(page.px(TICK))
            .x_label_style(x_ticks)
            .y_label_style(y_ticks)
            .axis_desc_style(Text::new(NAME_SIZE).style(scale));
        let (style, name) = Text::new(NAME_SIZE).fitted(&names.0, area.width + 40.0);
        mesh.x_desc(name).axis_desc_style(style.style(scale));
        let (_, name) = style.fitted(&names.1, area.height + 70.0);
        mesh.y_desc(name);
        // Lines lead the eye to numbers, not to names.
        if named.0 {
            mesh.disable_x_mesh();
        }
        if named.1 {
            mesh.disable_y_mesh();
        }
        mesh.draw()?;
        Ok(Panel { page, area, chart })
    }

    /// Where a pair of values lies on the page.
    pub(crate) fn place(&self, values: Point) -> Point {
        let (x, y) = self.chart.backend_coord(&values);
        (f64::from(x) / self.page.scale, f64::from(y) / self.page.scale)
    }

    /// Draws a line through pairs of values, interrupted where one is no number.
    pub(crate) fn line(&mut self, values: &[Point], width: f64, look: Look) -> Result<()> {
        let style = self.page.stroke(width, look.color);
        for run in values.split(|&value| !is_finite(value)) {
            match look.dash {
                None => self.chart.draw_series(LineSeries::new(run.to_vec(), style))?,
                Some((on, off)) => {
                    let (on, off) = (self.page.px(on), self.page.px(off));
                    self.chart.draw_series(DashedLineSeries::new(run.to_vec(), on, off, style))?
                }
            };
        }
        Ok(())
    }

    /// Draws a series: a line with as many marks as can be told apart.
    pub(crate) fn series(&mut self, values: &[Point], look: Look) -> Result<()> {
        self.line(values, 2.0, look)?;
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

    /// Draws a mark at a pair of values; none where one is no number.
    pub(crate) fn mark(&self, marker: Marker, at: Point, radius: f64, color: Color) -> Result<()> {
        if is_finite(at) { self.page.mark(marker, self.place(at), radius, color) } else { Ok(()) }
    }

    /// Draws half-transparent marks, each with the look of its point, for clouds of points.
    pub(crate) fn cloud(&mut self, points: &[(Point, Look)], radius: f64) -> Result<()> {
        let radius = radius * self.page.scale;
        let marks = points.iter().filter(|(at, _)| is_finite(*at)).map(|&(at, look)| Mark {
            at,
            marker: look.marker,
            radius,
            color: look.color,
            opacity: 0.6,
        });
        self.chart.draw_series(marks)?;
        Ok(())
    }

    /// Fills the rectangle between two pairs of values; gives its place on the page.
    pub(crate) fn fill(&mut self, from: Point, to: Point, color: Color) -> Result<Rect> {
        let filled = Rectangle::new([from, to], rgb(color).filled());
        self.chart.draw_series(std::iter::once(filled))?;
        let ((left, top), (right, bottom)) = (self.place(from), self.place(to));
        Ok(Rect::new(left.min(right), top.min(bottom), (right - left).abs(), (bottom - top).abs()))
    }

    /// Draws an upright line through the whole panel.
    pub(crate) fn upright(&self, x: f64, color: Color, dash: Dash) -> Result<()> {
        let at = self.place((x, 0.0)).0;
        let (from, to) = ((at, self.area.top), (at, self.area.bottom()));
        self.page.dashed(&[from, to], 1.2, color, dash)
    }

    /// Writes a text right of an upright line through `x`, or left of it where the panel ends.
    pub(crate) fn beside(&self, x: f64, y: f64, text: &str, style: Text) -> Result<()> {
        let (at, width) = (self.place((x, 0.0)).0, style.width(text));
        let fits = at + 6.0 + width < self.area.right();
        let left = if fits { at + 6.0 } else { at - 6.0 - width };
        self.page.text_on_white(text, (left, y), style.anchor(HPos::Left, VPos::Bottom))
    }
}

fn is_finite((x, y): Point) -> bool {
    x.is_finite() && y.is_finite()
}

/// What a legend says of one series.
pub(crate) struct LegendEntry {
    pub(crate) name: String,
    pub(crate) look: Look,
    pub(crate) kind: LegendKind,
}

/// What stands before a name in the legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LegendKind {
    Line,
    LineAndMarker,
    Marker,
    /// Bars, hatched as those of the series with this index.
    Block(usize),
}

const LEGEND_ROW: f64 = 19.0;
const LEGEND_SIGN: f64 = 34.0;
/// Widest text of a legend.
const LEGEND_TEXT: f64 = 320.0;

fn legend_style() -> Text {
    Text::new(NAME_SIZE - 0.5)
}

/// Width and height that a legend takes, its border included.
pub(crate) fn legend_size(entries: &[LegendEntry]) -> (f64, f64) {
    let names: Vec<String> = entries.iter().map(|entry| entry.name.clone()).collect();
    let widest = legend_style().widest(&names, LEGEND_TEXT);
    (widest + LEGEND_SIGN + 22.0, LEGEND_ROW * entries.len() as f64 + 9.0)
}

/// Draws a legend with its left upper corner at a point; beside a panel it never covers data.
pub(crate) fn legend(page: &Page<'_>, entries: &[LegendEntry], (left, top): Point) -> Result<()> {
    let (width, height) = legend_size(entries);
    let frame = Rect::new(left, top, width, height);
    page.fill(frame, WHITE)?;
    page.frame(frame, 0.75, BORDER)?;
    for (index, entry) in entries.iter().enumerate() {
        let y = top + 4.5 + LEGEND_ROW * (index as f64 + 0.5);
        let (start, end) = (left + 9.0, left + 3.0 + LEGEND_SIGN);
        let middle = ((start + end) / 2.0, y);
        let Look { color, dash, marker } = entry.look;
        match entry.kind {
            LegendKind::Block(series) => {
                let block = Rect::new(middle.0 - 8.0, y - 5.5, 16.0, 11.0);
                page.fill(block, color)?;
                hatch(page, block, series)?;
            }
            LegendKind::Marker => page.mark(marker, middle, 4.2, color)?,
            LegendKind::Line => page.dashed(&[(start, y), (end, y)], 2.0, color, dash)?,
            LegendKind::LineAndMarker => {
                page.dashed(&[(start, y), (end, y)], 2.0, color, dash)?;
                page.mark(marker, middle, 3.6, color)?;
            }
        }
        let style = legend_style().color(INK).anchor(HPos::Left, VPos::Center);
        page.text_in(LEGEND_TEXT, &entry.name, (left + 9.0 + LEGEND_SIGN, y), style)?;
    }
    Ok(())
}

/// White lines on a bar that tell its series without colour: none for the first, then upright ones, a level one, both.
pub(crate) fn hatch(page: &Page<'_>, bar: Rect, series: usize) -> Result<()> {
    if series % 4 % 2 == 1 {
        for step in 1..(bar.width / 7.0).ceil() as usize {
            let x = bar.left + 7.0 * step as f64;
            page.line(&[(x, bar.top), (x, bar.bottom())], 1.3, WHITE)?;
        }
    }
    if series % 4 >= 2 {
        let y = bar.centre().1;
        page.line(&[(bar.left, y), (bar.right(), y)], 1.3, WHITE)?;
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
        let percent = Axis { percent: true, ..Axis::new("", 0.895, 0.947) };
        assert_eq!(texts(&percent), ["90", "91", "92", "93", "94"]);
        let epochs = Axis { whole: true, ..Axis::new("", 0.9, 3.1) };
        assert_eq!(texts(&epochs), ["1", "2", "3"]);
        let log = Axis { log: true, ..Axis::new("", 8.0, 160.0) };
        assert_eq!(texts(&log), ["10", "20", "50", "100"]);
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
        // The first name is on top: plotters' range of an upright axis begins below.
        assert!(names.map(&0.5, (300, 0)) < names.map(&2.5, (300, 0)));
    }

    #[test]
    fn values_lie_between_the_ends() {
        let axis = Axis::around("", [1.0, f64::NAN, 3.0], false).unwrap();
        assert!((axis.position(2.0) - 0.5).abs() < 1e-12);
        assert!(axis.position(1.0) > 0.0 && axis.position(3.0) < 1.0);
        let log = Axis::around("", [1.0, 100.0], true).unwrap();
        assert!((log.position(10.0) - 0.5).abs() < 1e-12);
        // One value alone still has room around it.
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
            for (log, percent, whole) in
                [(false, false, false), (false, true, true), (low > 0.0, false, false)]
            {
                let axis = Axis::around("", [low, high], log).unwrap();
                let axis = Axis { percent, whole, ..axis };
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
