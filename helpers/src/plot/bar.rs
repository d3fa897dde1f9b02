//! Bars with their values, and accuracy against what it costs.

use super::axes::{Axis, Grid, LegendEntry, LegendKind, Panel, legend, legend_size};
use super::figure::Figure;
use super::line::short;
use super::page::{Across, Canvas, Down, Point, Rect, TextStyle};
use super::style::{
    GREY, GRID, INK, NAME_SIZE, RULE, TICK_SIZE, TITLE_SIZE, WHITE, part_style, series_style,
};
use crate::text::{clean_text, with_thousands};
use crate::{Error, Result};

/// Horizontal bars, one for each name and series, the value at the end of each.
///
/// Horizontal, because names are read without turning one's head. Several series stand below each other in each group
/// and have a legend; those named `train`, `validation` and `test` get the colour those parts have everywhere.
///
/// ```
/// use helpers::plot::BarChart;
/// let names = ["T-shirt/top".to_owned(), "Trouser".to_owned()];
/// let figure = BarChart::new("Images of each class", "Images", &names).bars("images", &[7000.0, 7000.0]).plot()?;
/// # Ok::<(), helpers::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct BarChart {
    title: String,
    value_name: String,
    names: Vec<String>,
    series: Vec<(String, Vec<f64>)>,
    digits: Option<usize>,
    percent: bool,
}

impl BarChart {
    /// An empty chart with a group of bars for each name; `value_name` names the axis, with its unit.
    pub fn new(
        title: impl Into<String>,
        value_name: impl Into<String>,
        names: &[String],
    ) -> BarChart {
        BarChart {
            title: title.into(),
            value_name: value_name.into(),
            names: names.to_vec(),
            series: Vec::new(),
            digits: None,
            percent: false,
        }
    }

    /// The chart with one series more: a value for each name, at least 0.
    pub fn bars(mut self, series: impl Into<String>, values: &[f64]) -> BarChart {
        self.series.push((series.into(), values.to_vec()));
        self
    }

    /// The chart with counts, such as a class's number of images.
    pub fn counts(self, series: impl Into<String>, counts: &[usize]) -> BarChart {
        let values: Vec<f64> = counts.iter().map(|&count| count as f64).collect();
        let mut chart = self.bars(series, &values);
        chart.digits = Some(0);
        chart
    }

    /// The chart with this many digits after the point; without it, about four digits in all.
    pub fn digits(mut self, digits: usize) -> BarChart {
        self.digits = Some(digits);
        self
    }

    /// The chart with its values, which are fractions, written as percent with this many digits after the point.
    pub fn percent(mut self, digits: usize) -> BarChart {
        self.percent = true;
        self.digits = Some(digits);
        self
    }

    fn text(&self, value: f64) -> String {
        let shown = if self.percent { 100.0 * value } else { value };
        match self.digits {
            _ if !value.is_finite() => "–".to_owned(),
            Some(digits) => with_thousands(shown, digits),
            None => short(shown),
        }
    }

    /// Draws the chart.
    ///
    /// # Errors
    /// If there is no bar, or a series has more or fewer values than there are names, or a value below 0.
    pub fn plot(&self) -> Result<Figure> {
        for (series, values) in &self.series {
            let message = if values.len() != self.names.len() {
                format!(
                    "has {} values for {} names; give one for each",
                    values.len(),
                    self.names.len()
                )
            } else if values.iter().any(|&value| value < 0.0) {
                "holds a value below 0; bars start at 0, draw a line chart".to_owned()
            } else {
                continue;
            };
            return Err(Error::Drawing {
                message: format!("series `{}` {message}", clean_text(series)),
            });
        }
        if self.series.is_empty() || self.names.is_empty() {
            return Err(Error::Drawing {
                message: "the bar chart is empty; add names and one series".to_owned(),
            });
        }
        let many = self.series.len() > 1;
        let (thickness, between) = if many { (13.0, 11.0) } else { (19.0, 9.0) };
        let group = thickness * self.series.len() as f64 + between;
        let name = TextStyle::new(NAME_SIZE);
        let value = TextStyle::new(TICK_SIZE).color(INK);
        let tick = TextStyle::new(TICK_SIZE).color(GREY);
        let probe = Canvas::new(1.0, 1.0)?;
        let widest = self
            .names
            .iter()
            .map(|text| probe.text_width(text, name))
            .fold(0.0, f64::max)
            .min(220.0);
        let entries: Vec<LegendEntry> = self
            .series
            .iter()
            .enumerate()
            .map(|(place, (series, _))| LegendEntry {
                name: series.clone(),
                style: part_style(series, place),
                kind: LegendKind::Block,
            })
            .collect();
        let beside = if many { legend_size(&probe, &entries).0 + 10.0 } else { 0.0 };
        let area =
            Rect::new(14.0 + widest + 8.0, 40.0, 470.0, group * self.names.len() as f64 + 6.0);
        let total = Rect::new(0.0, 0.0, area.right() + 64.0 + beside, area.bottom() + 48.0);
        let mut canvas = Canvas::new(total.width, total.height)?;
        let highest =
            self.series.iter().flat_map(|(_, values)| values).copied().filter(|v| v.is_finite());
        let highest = highest.fold(0.0, f64::max);
        let mut axis =
            Axis::new(&self.value_name, 0.0, if highest > 0.0 { highest * 1.04 } else { 1.0 });
        axis.percent = self.percent;
        axis.whole = self.digits == Some(0) && !self.percent;
        let title = TextStyle::new(TITLE_SIZE).bold();
        let fitted = canvas.fitted(&self.title, title, total.width - area.left - 10.0);
        canvas.text(&fitted, (area.left, 26.0), title);
        for (at, text) in axis.ticks() {
            let x = area.left + axis.place(at) * area.width;
            canvas.fill_rect(Rect::new(x - 0.5, area.top, 1.0, area.height), GRID);
            canvas.text(&text, (x, area.bottom() + 8.0), tick.anchor(Across::Centre, Down::Top));
        }
        for (row, text) in self.names.iter().enumerate() {
            let top = area.top + between / 2.0 + 3.0 + group * row as f64;
            let middle = top + (group - between) / 2.0;
            let text = canvas.fitted(text, name, widest);
            canvas.text(&text, (area.left - 9.0, middle), name.anchor(Across::Right, Down::Middle));
            for (place, (_, values)) in self.series.iter().enumerate() {
                let y = top + thickness * place as f64;
                let part = axis.place(values[row].max(0.0));
                let bar = Rect::new(area.left, y, area.width * part, thickness - 1.5);
                if values[row].is_finite() {
                    canvas.fill_rect(bar, entries[place].style.color);
                    hatch(&mut canvas, bar, place);
                }
                let end = if values[row].is_finite() { bar.right() } else { area.left };
                let style = value.anchor(Across::Left, Down::Middle);
                canvas.text_on_white(
                    &self.text(values[row]),
                    (end + 6.0, y + thickness / 2.0 - 0.75),
                    style,
                );
            }
        }
        canvas.fill_rect(Rect::new(area.left - 0.5, area.top, 1.0, area.height), RULE);
        let style = TextStyle::new(NAME_SIZE).anchor(Across::Centre, Down::Baseline);
        canvas.text(&self.value_name, (area.centre().0, total.height - 9.0), style);
        if many {
            // Signs of the legend are hatched as the bars are.
            let corner = (total.width - beside, area.top);
            legend(&mut canvas, &entries, corner);
            for place in 0..entries.len() {
                let y = corner.1 + 4.5 + 19.0 * (place as f64 + 0.5);
                hatch(&mut canvas, Rect::new(corner.0 + 15.0, y - 5.5, 16.0, 11.0), place);
            }
        }
        let described: Vec<String> = self
            .series
            .iter()
            .map(|(series, values)| {
                let values: Vec<String> = self
                    .names
                    .iter()
                    .zip(values)
                    .map(|(name, &value)| format!("{name} {}", self.text(value)))
                    .collect();
                format!("{series}: {}", values.join(", "))
            })
            .collect();
        canvas.finish(format!("{} ({}). {}.", self.title, self.value_name, described.join("; ")))
    }
}

/// White lines across a bar that tell its series without colour; none for the first.
fn hatch(canvas: &mut Canvas, bar: Rect, place: usize) {
    if place == 0 {
        return;
    }
    canvas.clip_to(Some(bar));
    let (step, slope) = match place % 3 {
        1 => (7.0, bar.height),
        2 => (5.0, 0.0),
        _ => (7.0, -bar.height),
    };
    let lines = ((bar.width + bar.height) / step) as usize + 2;
    for line in 0..lines {
        let x = bar.left - bar.height + step * line as f64;
        canvas.line(&[(x, bar.bottom()), (x + slope, bar.top)], 1.3, WHITE, None);
    }
    canvas.clip_to(None);
}

/// One model of [`plot_accuracy_cost`].
#[derive(Debug, Clone, PartialEq)]
pub struct CostPoint {
    /// Name of the model.
    pub name: String,
    /// What it costs, in the unit of the axis.
    pub cost: f64,
    /// Its accuracy, in 0..=1.
    pub accuracy: f64,
    /// The accuracy's 95% interval, low and high.
    pub interval: [f64; 2],
}

/// Accuracy against cost, a point with its 95% interval for each model; up and to the left is better.
///
/// The cost axis is logarithmic where the dearest model costs more than four times the cheapest.
///
/// # Errors
/// If there is no model, or a number is not finite.
pub fn plot_accuracy_cost(title: &str, cost_name: &str, points: &[CostPoint]) -> Result<Figure> {
    if let Some(point) = points.iter().find(|point| {
        !(point.cost.is_finite()
            && point.accuracy.is_finite()
            && point.interval.iter().all(|end| end.is_finite()))
    }) {
        return Err(Error::Drawing {
            message: format!(
                "model `{}` has a cost or an accuracy that is no finite number; run its notebook again",
                clean_text(&point.name)
            ),
        });
    }
    let costs = || points.iter().map(|point| point.cost);
    let low = costs().fold(f64::INFINITY, f64::min);
    let high = costs().fold(0.0, f64::max);
    let mut x = Axis::around(cost_name, costs(), low > 0.0 && high > 4.0 * low)?;
    // Room for the names, which stand beside the points.
    if x.log {
        let margin = (high / low).powf(0.18);
        (x.low, x.high) = (low / margin, high * margin);
    } else {
        let margin = 0.18 * (high - low).max(0.2 * high.abs()).max(f64::MIN_POSITIVE);
        (x.low, x.high) = (low - margin, high + margin);
    }
    let y =
        Axis::around("Test accuracy (%)", points.iter().flat_map(|point| point.interval), false)?
            .of_shares();
    let mut canvas = Canvas::new(720.0, 400.0)?;
    let outer = Rect::new(8.0, 4.0, 704.0, 390.0);
    let panel = Panel::draw(&mut canvas, outer, title, x, y, Grid::Both);
    let mut placed: Vec<Rect> = Vec::new();
    for (place, point) in points.iter().enumerate() {
        let style = series_style(place);
        let at = panel.at((point.cost, point.accuracy));
        let ends = point.interval.map(|end| panel.at((point.cost, end)));
        canvas.line(&ends, 1.8, style.color, None);
        for (x, y) in ends {
            canvas.line(&[(x - 6.0, y), (x + 6.0, y)], 1.8, style.color, None);
        }
        canvas.marker(style.marker, at, 5.5, style.color);
        let text = TextStyle::new(NAME_SIZE).bold().color(style.color);
        let width = canvas.text_width(&point.name, text);
        // Right of the point where there is room, else left of it; below a name that is already there.
        let right = at.0 + 12.0 + width < panel.area.right();
        let left = if right { at.0 + 12.0 } else { at.0 - 12.0 - width };
        let mut frame = Rect::new(left, at.1 - 8.0, width, 16.0);
        while placed.iter().any(|other| overlaps(other, &frame)) {
            frame.top += 4.0;
        }
        let corner: Point = (frame.left, frame.centre().1);
        canvas.text_on_white(&point.name, corner, text.anchor(Across::Left, Down::Middle));
        placed.push(frame);
    }
    let described: Vec<String> = points
        .iter()
        .map(|point| {
            let [low, high] = point.interval;
            format!(
                "{} {:.2}% ({} to {:.2}) at {}",
                point.name,
                100.0 * point.accuracy,
                format_args!("{:.2}", 100.0 * low),
                100.0 * high,
                short(point.cost)
            )
        })
        .collect();
    canvas.finish(format!(
        "{title}: test accuracy with 95% intervals over {cost_name}; {}.",
        described.join(", ")
    ))
}

fn overlaps(a: &Rect, b: &Rect) -> bool {
    a.left < b.right() && b.left < a.right() && a.top < b.bottom() && b.top < a.bottom()
}
