//! Axes: from values to places on the page, round numbers along them, grid, names, legend.

use super::page::{Across, Canvas, Down, Marker, Point, Rect, TextStyle};
use super::style::{GREY, GRID, INK, NAME_SIZE, RULE, SeriesStyle, TICK_SIZE, TITLE_SIZE, WHITE};
use crate::{Error, Result};

/// An axis: its name with the unit, the range it shows, and whether it is logarithmic.
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
    /// Most ticks that fit.
    pub(crate) most_ticks: usize,
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
            most_ticks: 8,
        }
    }

    /// The axis that shows these values, with a margin on both sides.
    ///
    /// # Errors
    /// If no value is a finite number, or one is not above 0 on a logarithmic axis.
    pub(crate) fn around(
        name: &str,
        values: impl IntoIterator<Item = f64>,
        log: bool,
    ) -> Result<Axis> {
        let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        if values.is_empty() {
            return Err(Error::Drawing {
                message: format!(
                    "nothing to draw along `{name}`: expected at least one finite number"
                ),
            });
        }
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if log && low <= 0.0 {
            return Err(Error::Drawing {
                message: format!(
                    "`{name}` is logarithmic and holds {low}, expected numbers above 0; draw it linear"
                ),
            });
        }
        let mut axis = Axis::new(name, low, high);
        axis.log = log;
        let (low, high) = (axis.along(low), axis.along(high));
        let margin = if high > low {
            0.05 * (high - low)
        } else if low == 0.0 {
            0.1
        } else {
            0.1 * low.abs()
        };
        axis.low = axis.back(low - margin);
        axis.high = axis.back(high + margin);
        Ok(axis)
    }

    /// The axis for shares, in percent: the margin ends shortly behind 0 and 100%.
    pub(crate) fn of_shares(mut self) -> Axis {
        self.percent = true;
        let room = 0.02 * (self.high - self.low);
        if (0.0..=1.0).contains(&self.low.max(0.0)) && self.high >= 0.0 {
            self.low = self.low.max(-room);
            self.high = self.high.min(1.0 + room).max(self.low + 1e-6);
        }
        self
    }

    fn along(&self, value: f64) -> f64 {
        if self.log { value.log10() } else { value }
    }

    fn back(&self, place: f64) -> f64 {
        if self.log { 10_f64.powf(place) } else { place }
    }

    /// Where a value lies, 0 at the low end and 1 at the high end.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let (low, high) = (self.along(self.low), self.along(self.high));
        (self.along(value) - low) / (high - low).max(f64::MIN_POSITIVE)
    }

    /// Round values inside the range, with their text.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        if self.log { self.log_ticks() } else { self.even_ticks() }
    }

    fn even_ticks(&self) -> Vec<(f64, String)> {
        let span = self.high - self.low;
        if !(span.is_finite() && span > 0.0) {
            return vec![(self.low, format!("{}", self.low))];
        }
        let rough = span / self.most_ticks.max(2) as f64;
        let power = 10_f64.powf(rough.log10().floor());
        let mut step = [1.0, 2.0, 5.0, 10.0]
            .map(|factor| factor * power)
            .into_iter()
            .find(|step| span / step <= self.most_ticks as f64)
            .unwrap_or(10.0 * power);
        if self.whole {
            step = step.max(1.0).round();
        }
        let shown = if self.percent { 100.0 * step } else { step };
        let digits = (-(shown * 1.000_001).log10().floor()).max(0.0) as usize;
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last)
            .map(|place| {
                let value = place as f64 * step;
                (value, self.text(value, digits))
            })
            .collect()
    }

    fn text(&self, value: f64, digits: usize) -> String {
        let shown = if self.percent { 100.0 * value } else { value };
        if shown != 0.0 && !(1e-4..1e7).contains(&shown.abs()) {
            let text = format!("{shown:e}");
            return text.replace('-', "−");
        }
        crate::text::with_thousands(shown, digits)
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
        let first = self.along(self.low).floor() as i32;
        let last = self.along(self.high).ceil() as i32;
        let mut ticks = Vec::new();
        for power in first..=last {
            for factor in factors {
                let value = factor * 10_f64.powi(power);
                if value < self.low * 0.999_999 || value > self.high * 1.000_001 {
                    continue;
                }
                let shown = if self.percent { 100.0 * value } else { value };
                let digits = (-shown.log10().floor()).max(0.0) as usize
                    + usize::from(*factor == 1.5 && shown < 10.0);
                let text = self.text(value, digits);
                ticks.push((value, text));
            }
        }
        ticks
    }
}

/// An area with axes in which series are drawn.
pub(crate) struct Panel {
    /// Where the data is drawn.
    pub(crate) area: Rect,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
}

/// Which lines of the grid are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grid {
    Horizontal,
    Both,
}

impl Panel {
    /// Draws title, grid and axes inside `outer`, and returns where the data goes.
    pub(crate) fn draw(
        canvas: &mut Canvas,
        outer: Rect,
        title: &str,
        x: Axis,
        y: Axis,
        grid: Grid,
    ) -> Panel {
        let tick = TextStyle::new(TICK_SIZE).color(GREY);
        let y_ticks = y.ticks();
        let widest =
            y_ticks.iter().map(|(_, text)| canvas.text_width(text, tick)).fold(0.0, f64::max);
        let left = outer.left + if y.name.is_empty() { 4.0 } else { 22.0 } + widest + 8.0;
        let top = outer.top + if title.is_empty() { 8.0 } else { 32.0 };
        let bottom = outer.bottom() - if x.name.is_empty() { 24.0 } else { 44.0 };
        let area = Rect::new(left, top, outer.right() - 12.0 - left, bottom - top);
        let panel = Panel { area, x, y };
        panel.title(canvas, title);
        let down = grid == Grid::Both;
        for (value, text) in &y_ticks {
            let at = panel.at_y(*value);
            canvas.fill_rect(Rect::new(area.left, at - 0.5, area.width, 1.0), GRID);
            canvas.text(text, (area.left - 7.0, at), tick.anchor(Across::Right, Down::Middle));
        }
        for (value, text) in panel.x.ticks() {
            let at = panel.at_x(value);
            if down {
                canvas.fill_rect(Rect::new(at - 0.5, area.top, 1.0, area.height), GRID);
            } else {
                canvas.fill_rect(Rect::new(at - 0.5, area.bottom(), 1.0, 4.0), RULE);
            }
            canvas.text(&text, (at, area.bottom() + 8.0), tick.anchor(Across::Centre, Down::Top));
        }
        panel.rules(canvas);
        panel.names(canvas, outer);
        panel
    }

    pub(crate) fn title(&self, canvas: &mut Canvas, title: &str) {
        let style = TextStyle::new(TITLE_SIZE).bold();
        // Short ones start where the data starts; long ones where the panel does not end before them.
        let title = canvas.fitted(title, style, self.area.right() + 8.0);
        let start = self.area.left.min(self.area.right() + 8.0 - canvas.text_width(&title, style));
        canvas.text(&title, (start, self.area.top - 13.0), style);
    }

    pub(crate) fn rules(&self, canvas: &mut Canvas) {
        let area = self.area;
        canvas.fill_rect(Rect::new(area.left - 0.5, area.top, 1.0, area.height + 0.5), RULE);
        canvas.fill_rect(
            Rect::new(area.left - 0.5, area.bottom() - 0.5, area.width + 0.5, 1.0),
            RULE,
        );
    }

    pub(crate) fn names(&self, canvas: &mut Canvas, outer: Rect) {
        let style = TextStyle::new(NAME_SIZE);
        let (x, y) = self.area.centre();
        let name = canvas.fitted(&self.x.name, style, self.area.width + 40.0);
        canvas.text(&name, (x, outer.bottom() - 5.0), style.anchor(Across::Centre, Down::Baseline));
        let name = canvas.fitted(&self.y.name, style, outer.height);
        canvas.text(
            &name,
            (outer.left + 4.0, y),
            style.upwards().anchor(Across::Centre, Down::Top),
        );
    }

    pub(crate) fn at_x(&self, value: f64) -> f64 {
        self.area.left + self.x.place(value) * self.area.width
    }

    pub(crate) fn at_y(&self, value: f64) -> f64 {
        self.area.bottom() - self.y.place(value) * self.area.height
    }

    pub(crate) fn at(&self, (x, y): Point) -> Point {
        (self.at_x(x), self.at_y(y))
    }
}

/// What a legend says of one series.
pub(crate) struct LegendEntry {
    pub(crate) name: String,
    pub(crate) style: SeriesStyle,
    pub(crate) kind: LegendKind,
}

/// What stands before a name in the legend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LegendKind {
    Line,
    LineAndMarker,
    Marker,
    Block,
}

const LEGEND_ROW: f64 = 19.0;
const LEGEND_SIGN: f64 = 34.0;

/// Width and height that a legend takes, its border included.
pub(crate) fn legend_size(canvas: &Canvas, entries: &[LegendEntry]) -> (f64, f64) {
    let style = TextStyle::new(NAME_SIZE - 0.5);
    let widest =
        entries.iter().map(|entry| canvas.text_width(&entry.name, style)).fold(0.0, f64::max);
    (widest.min(LEGEND_TEXT) + LEGEND_SIGN + 22.0, LEGEND_ROW * entries.len() as f64 + 9.0)
}

/// Widest text of a legend.
const LEGEND_TEXT: f64 = 220.0;

/// Draws a legend with its left upper corner at a point.
pub(crate) fn legend(canvas: &mut Canvas, entries: &[LegendEntry], (left, top): Point) {
    let (width, height) = legend_size(canvas, entries);
    let frame = Rect::new(left, top, width, height);
    let corners = vec![
        (frame.left, frame.top),
        (frame.right(), frame.top),
        (frame.right(), frame.bottom()),
        (frame.left, frame.bottom()),
    ];
    canvas.fill(&[corners], WHITE, 0.88);
    canvas.frame(frame, 0.75, [205, 205, 205]);
    let style = TextStyle::new(NAME_SIZE - 0.5).color(INK);
    for (place, entry) in entries.iter().enumerate() {
        let y = top + 4.5 + LEGEND_ROW * (place as f64 + 0.5);
        let (start, end) = (left + 9.0, left + 9.0 + LEGEND_SIGN - 6.0);
        let SeriesStyle { color, dash, marker } = entry.style;
        match entry.kind {
            LegendKind::Block => {
                canvas.fill_rect(Rect::new(start + 6.0, y - 5.5, 16.0, 11.0), color)
            }
            LegendKind::Marker => canvas.marker(marker, ((start + end) / 2.0, y), 4.2, color),
            LegendKind::Line => canvas.line(&[(start, y), (end, y)], 2.0, color, dash),
            LegendKind::LineAndMarker => {
                canvas.line(&[(start, y), (end, y)], 2.0, color, dash);
                canvas.marker(marker, ((start + end) / 2.0, y), 3.6, color);
            }
        }
        let name = canvas.fitted(&entry.name, style, LEGEND_TEXT);
        canvas.text(&name, (left + 9.0 + LEGEND_SIGN, y), style.anchor(Across::Left, Down::Middle));
    }
}

/// Draws a legend where it covers the fewest of these points: in a corner of `area` if one is free, else somewhere inside.
pub(crate) fn legend_apart(
    canvas: &mut Canvas,
    entries: &[LegendEntry],
    area: Rect,
    points: &[Point],
) {
    let (width, height) = legend_size(canvas, entries);
    let (left, right) = (area.left + 10.0, area.right() - width - 8.0);
    let (top, bottom) = (area.top + 8.0, area.bottom() - height - 10.0);
    let middle = (left + right) / 2.0;
    let corners = [
        (right, bottom),
        (right, top),
        (left, top),
        (left, bottom),
        (middle, top),
        (middle, bottom),
    ];
    let between = |low: f64, high: f64, step: usize| low + (high - low) * step as f64 / 8.0;
    let inside = (0..=8).flat_map(|row| (0..=8).map(move |column| (row, column)));
    let inside =
        inside.map(|(row, column)| (between(left, right, column), between(top, bottom, row)));
    let covered = |&(x, y): &Point| {
        let frame = Rect::new(x, y, width, height).grown(5.0);
        points
            .iter()
            .filter(|(px, py)| {
                *px > frame.left && *px < frame.right() && *py > frame.top && *py < frame.bottom()
            })
            .count()
    };
    let best = corners.into_iter().chain(inside).min_by_key(covered).unwrap_or((right, top));
    legend(canvas, entries, best);
}

/// The point at which a mark of a legend or a chart starts to look crowded: shows every `n`-th one only.
pub(crate) fn marker_step(points: usize) -> usize {
    points.div_ceil(30).max(1)
}

/// The mark of the series at a place.
pub(crate) fn marker_of(place: usize) -> Marker {
    Marker::ALL[place % Marker::ALL.len()]
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
        let mut percent = Axis::new("", 0.895, 0.947);
        percent.percent = true;
        assert_eq!(texts(&percent), ["90", "91", "92", "93", "94"]);
        let mut epochs = Axis::new("", 0.9, 3.1);
        epochs.whole = true;
        assert_eq!(texts(&epochs), ["1", "2", "3"]);
        let mut log = Axis::new("", 8.0, 160.0);
        log.log = true;
        assert_eq!(texts(&log), ["10", "20", "50", "100"]);
    }

    #[test]
    fn values_lie_between_the_ends() {
        let axis = Axis::around("", [1.0, f64::NAN, 3.0], false).unwrap();
        assert!((axis.place(2.0) - 0.5).abs() < 1e-12);
        assert!(axis.place(1.0) > 0.0 && axis.place(3.0) < 1.0);
        let log = Axis::around("", [1.0, 100.0], true).unwrap();
        assert!((log.place(10.0) - 0.5).abs() < 1e-12);
        // One value alone still has room around it.
        for value in [0.0, 1e-3, -5.0] {
            assert!((Axis::around("", [value], false).unwrap().place(value) - 0.5).abs() < 1e-9);
        }
    }

    #[test]
    fn an_axis_without_values_is_refused() {
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
    }
}
