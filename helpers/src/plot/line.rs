//! Curves: a training run's history, lines over any axis, clouds of points by class.

use ndarray::Array2;

use super::axes::{
    Axis, Grid, LegendEntry, LegendKind, Panel, legend, legend_apart, legend_size, marker_step,
};
use super::figure::Figure;
use super::page::{Across, Canvas, Down, Point, Rect, TextStyle};
use super::style::{GREY, INK, NAME_SIZE, PALETTE, SeriesStyle, TICK_SIZE, part_style};
use crate::evaluation::metrics::check_classes;
use crate::training::history::{EpochRow, History, Metric, Phase, Record};
use crate::{Error, Result};

impl<R: Record> History<R> {
    /// Loss and accuracy (of a denoiser: PSNR) an epoch, side by side, for the train and the validation part, the best
    /// epoch marked, and where a later phase began ([`History::followed_by`]).
    ///
    /// # Errors
    /// If the history is empty.
    pub fn plot(&self) -> Result<Figure> {
        if self.epochs.is_empty() {
            return Err(Error::Drawing {
                message: "the history has no epoch; train for at least one".to_owned(),
            });
        }
        let rows: Vec<EpochRow> = self.epochs.iter().map(Record::row).collect();
        let epochs: Vec<f64> = rows.iter().map(|row| row.epoch as f64).collect();
        let column = |value: fn(&EpochRow) -> f64| -> Vec<f64> { rows.iter().map(value).collect() };
        let best = rows.iter().find(|row| row.epoch == self.best_epoch);
        let mut canvas = Canvas::new(900.0, 350.0)?;
        let (loss_name, metric_title, metric_name) = match R::METRIC {
            Metric::Accuracy => ("Loss (nats)", "Accuracy per epoch", "Accuracy (%)"),
            Metric::Psnr => ("Mean squared error", "PSNR per epoch", "PSNR (dB)"),
        };
        let halves = [
            ("Loss per epoch", loss_name, column(|r| r.loss), column(|r| r.val_loss)),
            (metric_title, metric_name, column(|r| r.metric), column(|r| r.val_metric)),
        ];
        for (place, (title, name, train, validation)) in halves.into_iter().enumerate() {
            let rises = place == 1;
            let outer = Rect::new(8.0 + 450.0 * place as f64, 4.0, 434.0, 340.0);
            let mut x = Axis::around("Epoch", epochs.iter().copied(), false)?;
            x.whole = true;
            x.most_ticks = 9;
            // There is no epoch 0.
            x.low = x.low.max(epochs[0] - 0.9);
            let mut y = Axis::around(name, train.iter().chain(&validation).copied(), false)?;
            if rises && R::METRIC == Metric::Accuracy {
                y = y.of_shares();
            }
            let panel = Panel::draw(&mut canvas, outer, title, x, y, Grid::Horizontal);
            let mut drawn = Vec::new();
            for phase in &self.phases {
                drawn.extend(draw_phase(&mut canvas, &panel, phase));
            }
            if let Some(best) = best {
                let at = panel.at_x(best.epoch as f64);
                canvas.line(
                    &[(at, panel.area.top), (at, panel.area.bottom())],
                    1.2,
                    GREY,
                    Some((2.0, 3.0)),
                );
                drawn.extend(
                    (0..40).map(|step| {
                        (at, panel.area.top + panel.area.height * f64::from(step) / 39.0)
                    }),
                );
            }
            for (values, part) in [(&train, "train"), (&validation, "validation")] {
                let points: Vec<Point> =
                    epochs.iter().zip(values).map(|(&x, &y)| panel.at((x, y))).collect();
                draw_series(&mut canvas, &points, part_style(part, 0));
                drawn.extend(densely(&points));
            }
            for phase in &self.phases {
                drawn.extend(name_phase(&mut canvas, &panel, phase, rises));
            }
            if let Some(best) = best {
                let value = if rises { best.val_metric } else { best.val_loss };
                let at = panel.at((best.epoch as f64, value));
                canvas.marker(super::page::Marker::Star, at, 6.0, INK);
                let text = format!("best: epoch {}", best.epoch);
                let style = TextStyle::new(TICK_SIZE).color(INK);
                let width = canvas.text_width(&text, style);
                let fits = at.0 + 6.0 + width < panel.area.right();
                let across = if fits { Across::Left } else { Across::Right };
                let x = if fits { at.0 + 6.0 } else { at.0 - 6.0 };
                // Where the curves are not: losses fall, metrics rise.
                let y = if rises { panel.area.bottom() - 8.0 } else { panel.area.top + 12.0 };
                canvas.text_on_white(&text, (x, y), style.anchor(across, Down::Baseline));
                let left = if fits { x } else { x - width };
                drawn.extend((0..=8).map(|step| (left + width * f64::from(step) / 8.0, y - 4.0)));
            }
            let entry = |name: &str| LegendEntry {
                name: name.to_owned(),
                style: part_style(name, 0),
                kind: LegendKind::LineAndMarker,
            };
            legend_apart(&mut canvas, &[entry("train"), entry("validation")], panel.area, &drawn);
        }
        let (what, reached) = match (R::METRIC, best) {
            (Metric::Accuracy, Some(best)) => {
                ("accuracy", format!("validation accuracy {:.2}%", 100.0 * best.val_metric))
            }
            (Metric::Psnr, Some(best)) => {
                ("PSNR", format!("validation PSNR {:.2} dB", best.val_metric))
            }
            (Metric::Accuracy, None) => ("accuracy", String::new()),
            (Metric::Psnr, None) => ("PSNR", String::new()),
        };
        let phases: String = self
            .phases
            .iter()
            .map(|Phase { name, first_epoch }| format!("; {name} from epoch {first_epoch} on"))
            .collect();
        let alt = match (rows.last(), best) {
            (Some(last), Some(best)) => format!(
                "Loss and {what} per epoch for train and validation over {} epochs{phases}. Best epoch {}: validation loss \
                 {:.digits$}, {reached}. Last epoch: training loss {:.digits$}, validation loss {:.digits$}.",
                rows.len(),
                best.epoch,
                best.val_loss,
                last.loss,
                last.val_loss,
                digits = R::METRIC.loss_digits(),
            ),
            _ => format!("Loss and {what} per epoch."),
        };
        canvas.finish(alt)
    }
}

/// A line between the last epoch before a phase and its first one; gives what it covers.
fn draw_phase(canvas: &mut Canvas, panel: &Panel, phase: &Phase) -> Vec<Point> {
    let (at, area) = (panel.at_x(phase.first_epoch as f64 - 0.5), panel.area);
    canvas.line(&[(at, area.top), (at, area.bottom())], 1.2, INK, Some((7.0, 4.0)));
    (0..40).map(|step| (at, area.top + area.height * f64::from(step) / 39.0)).collect()
}

/// The phase's name beside its line, over the curves; gives what it covers.
fn name_phase(canvas: &mut Canvas, panel: &Panel, phase: &Phase, rises: bool) -> Vec<Point> {
    let (at, area) = (panel.at_x(phase.first_epoch as f64 - 0.5), panel.area);
    let style = TextStyle::new(TICK_SIZE).color(INK);
    let width = canvas.text_width(&phase.name, style);
    let fits = at + 6.0 + width < area.right();
    let (across, x) = if fits { (Across::Left, at + 6.0) } else { (Across::Right, at - 6.0) };
    // In the corner of the best epoch's label, a line nearer to the middle.
    let y = if rises { area.bottom() - 26.0 } else { area.top + 30.0 };
    canvas.text_on_white(&phase.name, (x, y), style.anchor(across, Down::Baseline));
    let left = if fits { x } else { x - width };
    (0..=8).map(|step| (left + width * f64::from(step) / 8.0, y - 4.0)).collect()
}

/// Lines through more points are smooth enough without marks.
const MOST_MARKED: usize = 120;

/// A line with its marks, as many as can be told apart.
fn draw_series(canvas: &mut Canvas, points: &[Point], style: SeriesStyle) {
    canvas.line(points, 2.0, style.color, style.dash);
    let step = marker_step(points.len());
    if points.len() > MOST_MARKED {
        return;
    }
    for (place, &point) in points.iter().enumerate() {
        if (place % step == 0 || place + 1 == points.len()) && point.1.is_finite() {
            canvas.marker(style.marker, point, 3.4, style.color);
        }
    }
}

/// Points along a line, close enough to see what a legend would cover.
fn densely(points: &[Point]) -> Vec<Point> {
    points
        .windows(2)
        .flat_map(|pair| {
            let ((ax, ay), (bx, by)) = (pair[0], pair[1]);
            (0..=8).map(move |step| {
                let t = f64::from(step) / 8.0;
                (ax + t * (bx - ax), ay + t * (by - ay))
            })
        })
        .chain(points.iter().copied())
        .collect()
}

/// One line of a [`LineChart`].
#[derive(Debug, Clone, PartialEq)]
struct Series {
    name: String,
    x: Vec<f64>,
    y: Vec<f64>,
    /// A level that crosses the whole chart.
    level: bool,
    labels: Vec<String>,
}

/// Lines over a common axis, such as quality against rate or a learning rate over its steps.
///
/// Series named `train`, `validation` and `test` get the look those parts have everywhere.
///
/// ```
/// use helpers::plot::LineChart;
/// let figure = LineChart::new("Quality against rate", "Bottleneck (values)", "PSNR (dB)")
///     .log_x()
///     .line("network", &[16.0, 32.0, 64.0, 128.0], &[16.8, 17.9, 18.8, 19.4])
///     .level("noisy input", 7.2)
///     .plot()?;
/// # Ok::<(), helpers::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LineChart {
    title: String,
    x_name: String,
    y_name: String,
    log_x: bool,
    log_y: bool,
    percent_y: bool,
    series: Vec<Series>,
}

impl LineChart {
    /// An empty chart; the names of the axes hold their units.
    pub fn new(
        title: impl Into<String>,
        x_name: impl Into<String>,
        y_name: impl Into<String>,
    ) -> LineChart {
        LineChart {
            title: title.into(),
            x_name: x_name.into(),
            y_name: y_name.into(),
            log_x: false,
            log_y: false,
            percent_y: false,
            series: Vec::new(),
        }
    }

    /// The chart with a logarithmic x axis.
    pub fn log_x(mut self) -> LineChart {
        self.log_x = true;
        self
    }

    /// The chart with a logarithmic y axis.
    pub fn log_y(mut self) -> LineChart {
        self.log_y = true;
        self
    }

    /// The chart with its values, which are fractions, written as percent.
    pub fn percent_y(mut self) -> LineChart {
        self.percent_y = true;
        self
    }

    /// The chart with one line more, through the points `(x[i], y[i])`; a value that is no number interrupts it.
    pub fn line(mut self, name: impl Into<String>, x: &[f64], y: &[f64]) -> LineChart {
        self.series.push(Series {
            name: name.into(),
            x: x.to_vec(),
            y: y.to_vec(),
            level: false,
            labels: Vec::new(),
        });
        self
    }

    /// The chart with a text at each point of the last line.
    pub fn labels(mut self, labels: impl IntoIterator<Item = String>) -> LineChart {
        if let Some(series) = self.series.last_mut() {
            series.labels = labels.into_iter().collect();
        }
        self
    }

    /// The chart with a level line at `y`, for what the others are compared with.
    pub fn level(mut self, name: impl Into<String>, y: f64) -> LineChart {
        self.series.push(Series {
            name: name.into(),
            x: Vec::new(),
            y: vec![y],
            level: true,
            labels: Vec::new(),
        });
        self
    }

    /// Draws the chart.
    ///
    /// # Errors
    /// If a line's `x` and `y` differ in length, or there is no finite number to draw.
    pub fn plot(&self) -> Result<Figure> {
        for Series { name, x, y, level, .. } in &self.series {
            if !level && x.len() != y.len() {
                return Err(Error::Drawing {
                    message: format!(
                        "line `{}` has {} x and {} y; give one y for each x",
                        crate::text::clean_text(name),
                        x.len(),
                        y.len()
                    ),
                });
            }
        }
        let mut canvas = Canvas::new(720.0, 400.0)?;
        let xs = self.series.iter().flat_map(|series| series.x.iter().copied());
        let ys = self.series.iter().flat_map(|series| series.y.iter().copied());
        let mut x = Axis::around(&self.x_name, xs, self.log_x)?;
        let mut y = Axis::around(&self.y_name, ys, self.log_y)?;
        x.most_ticks = 9;
        x.whole = self.series.iter().flat_map(|series| &series.x).all(|value| value.fract() == 0.0);
        if self.percent_y {
            y = y.of_shares();
        }
        let panel = Panel::draw(
            &mut canvas,
            Rect::new(8.0, 4.0, 704.0, 390.0),
            &self.title,
            x,
            y,
            Grid::Both,
        );
        let mut drawn = Vec::new();
        let mut entries = Vec::new();
        for (place, series) in self.series.iter().enumerate() {
            let style = part_style(&series.name, place);
            let points: Vec<Point> = if series.level {
                let at = panel.at_y(series.y[0]);
                vec![(panel.area.left, at), (panel.area.right(), at)]
            } else {
                series.x.iter().zip(&series.y).map(|(&x, &y)| panel.at((x, y))).collect()
            };
            if series.level {
                canvas.line(&points, 1.8, style.color, style.dash.or(Some((8.0, 3.0))));
            } else {
                draw_series(&mut canvas, &points, style);
            }
            drawn.extend(densely(&points));
            for (point, label) in points.iter().zip(&series.labels) {
                let text = TextStyle::new(TICK_SIZE).anchor(Across::Centre, Down::Baseline);
                canvas.text_on_white(label, (point.0, point.1 - 9.0), text);
                drawn.push((point.0, point.1 - 12.0));
            }
            entries.push(LegendEntry {
                name: series.name.clone(),
                style: if series.level {
                    SeriesStyle { dash: style.dash.or(Some((8.0, 3.0))), ..style }
                } else {
                    style
                },
                kind: if series.level || series.y.len() > MOST_MARKED {
                    LegendKind::Line
                } else {
                    LegendKind::LineAndMarker
                },
            });
        }
        if entries.len() > 1 {
            legend_apart(&mut canvas, &entries, panel.area, &drawn);
        }
        let names: Vec<String> = self
            .series
            .iter()
            .map(|series| match (series.y.first(), series.y.last()) {
                (Some(first), Some(last)) if !series.level => {
                    format!("{} from {} to {}", series.name, short(*first), short(*last))
                }
                (Some(level), _) => format!("{} at {}", series.name, short(*level)),
                _ => series.name.clone(),
            })
            .collect();
        canvas.finish(format!(
            "{}: {} over {}; {}.",
            self.title,
            self.y_name,
            self.x_name,
            names.join(", ")
        ))
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

/// Points in the plane by class, such as the codes of an autoencoder: a colour and a mark for each class, its name at
/// the middle of its points.
///
/// - `points`: shape `(N, 2)`
/// - `labels`: class ids, shape `(N,)`
///
/// # Errors
/// If the shapes do not fit together, an id lies outside the names, or no point is finite.
pub fn plot_scatter(
    title: &str,
    x_name: &str,
    y_name: &str,
    points: &Array2<f32>,
    labels: &[i64],
    class_names: &[String],
) -> Result<Figure> {
    if points.ncols() != 2 || points.nrows() != labels.len() {
        return Err(Error::Drawing {
            message: format!(
                "the points have shape {:?} and there are {} labels, expected ({1}, 2); take two columns",
                points.dim(),
                labels.len()
            ),
        });
    }
    check_classes(labels, class_names.len())?;
    let mut canvas = Canvas::new(780.0, 520.0)?;
    let column = |place: usize| points.column(place).to_vec().into_iter().map(f64::from);
    let x = Axis::around(x_name, column(0), false)?;
    let y = Axis::around(y_name, column(1), false)?;
    let entries: Vec<LegendEntry> = class_names
        .iter()
        .enumerate()
        .map(|(class, name)| LegendEntry {
            name: name.clone(),
            style: SeriesStyle {
                color: PALETTE[class % PALETTE.len()],
                dash: None,
                marker: super::axes::marker_of(class + class / PALETTE.len()),
            },
            kind: LegendKind::Marker,
        })
        .collect();
    // More classes than fit beside the chart are named in it alone.
    const MOST_ENTRIES: usize = 24;
    let beside =
        if entries.len() <= MOST_ENTRIES { legend_size(&canvas, &entries).0 + 8.0 } else { 0.0 };
    let panel = Panel::draw(
        &mut canvas,
        Rect::new(8.0, 4.0, 764.0 - beside, 510.0),
        title,
        x,
        y,
        Grid::Both,
    );
    canvas.clip_to(Some(panel.area));
    let radius = if labels.len() > 2000 { 1.8 } else { 2.6 };
    // In the order of the points, so that no class covers all others.
    for (point, &label) in points.rows().into_iter().zip(labels) {
        let style = entries[label as usize].style;
        let at = panel.at((f64::from(point[0]), f64::from(point[1])));
        canvas.dot(style.marker, at, radius, style.color, 0.6);
    }
    canvas.clip_to(None);
    let mut names = Vec::new();
    for (class, entry) in entries.iter().enumerate() {
        let mut middle: (Vec<f64>, Vec<f64>) = Default::default();
        for (point, _) in
            points.rows().into_iter().zip(labels).filter(|(_, label)| **label == class as i64)
        {
            middle.0.push(f64::from(point[0]));
            middle.1.push(f64::from(point[1]));
        }
        if let (Some(x), Some(y)) = (median(&mut middle.0), median(&mut middle.1)) {
            names.push((entry.name.as_str(), panel.at((x, y))));
        }
    }
    name_clouds(&mut canvas, &names, panel.area);
    if entries.len() <= MOST_ENTRIES {
        legend(&mut canvas, &entries, (780.0 - beside - 2.0, panel.area.top));
    }
    canvas.finish(format!(
        "{title}: {} points of {} classes, {x_name} across and {y_name} upwards.",
        labels.len(),
        class_names.len()
    ))
}

/// Writes each name at its point, or as near to it as the other names leave room; a line leads from a name that had to
/// move away to its point.
fn name_clouds(canvas: &mut Canvas, names: &[(&str, Point)], area: Rect) {
    let style = TextStyle::new(NAME_SIZE).bold().anchor(Across::Centre, Down::Middle);
    let texts: Vec<String> =
        names.iter().map(|(name, _)| canvas.fitted(name, style, WIDEST_NAME)).collect();
    let points: Vec<Point> = names.iter().map(|(_, point)| *point).collect();
    let boxes = name_boxes(canvas, &texts, &points, area);
    for (place, point) in boxes.iter().zip(&points) {
        let (x, y) = place.centre();
        if (x - point.0).abs() > place.width / 2.0 || (y - point.1).abs() > place.height / 2.0 {
            canvas.line(&[(x, y), *point], 1.2, INK, None);
        }
    }
    for (text, place) in texts.iter().zip(&boxes) {
        canvas.text_on_white(text, place.centre(), style);
    }
}

/// The widest name in a cloud of points.
const WIDEST_NAME: f64 = 160.0;

/// The room that each text takes, white rim included, around its point or beside it where two would overlap.
fn name_boxes(canvas: &Canvas, texts: &[String], points: &[Point], area: Rect) -> Vec<Rect> {
    let style = TextStyle::new(NAME_SIZE).bold();
    let height = 1.3 * NAME_SIZE;
    let mut boxes: Vec<Rect> = texts
        .iter()
        .zip(points)
        .map(|(text, &(x, y))| {
            let width = canvas.text_width(text, style) + 8.0;
            Rect::new(x - width / 2.0, y - height / 2.0, width, height)
        })
        .collect();
    spread(&mut boxes, area);
    boxes
}

/// Pushes boxes that overlap apart, each by half of what is needed, up and down or sideways, whichever is shorter, and
/// keeps them inside `area`.
///
/// Always the same for the same boxes: of two with one middle the first goes up or left. Where there are more boxes than
/// room they are as far apart as a few hundred rounds bring them.
fn spread(boxes: &mut [Rect], area: Rect) {
    for _ in 0..300 {
        let mut moved = false;
        for second in 1..boxes.len() {
            let (before, rest) = boxes.split_at_mut(second);
            let b = &mut rest[0];
            for a in before {
                let (wide, high) = overlap(a, b);
                if wide <= 0.0 || high <= 0.0 {
                    continue;
                }
                moved = true;
                // Half, and a little more, so that a row of boxes does not close in on the border for ever.
                let away =
                    |a: f64, b: f64, by: f64| (by / 2.0 + 0.1) * if a <= b { -1.0 } else { 1.0 };
                let ((ax, ay), (bx, by)) = (a.centre(), b.centre());
                if high <= wide {
                    let step = away(ay, by, high);
                    (a.top, b.top) = (a.top + step, b.top - step);
                } else {
                    let step = away(ax, bx, wide);
                    (a.left, b.left) = (a.left + step, b.left - step);
                }
                for moved in [&mut *a, &mut *b] {
                    moved.left = moved.left.min(area.right() - moved.width).max(area.left);
                    moved.top = moved.top.min(area.bottom() - moved.height).max(area.top);
                }
            }
        }
        if !moved {
            return;
        }
    }
}

/// How far two boxes reach into each other across and down; neither is above 0 for boxes that do not.
fn overlap(a: &Rect, b: &Rect) -> (f64, f64) {
    let wide = a.right().min(b.right()) - a.left.max(b.left);
    let high = a.bottom().min(b.bottom()) - a.top.max(b.top);
    (wide, high)
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlapping(boxes: &[Rect]) -> usize {
        let apart = |a: &Rect, b: &Rect| overlap(a, b).0 <= 0.0 || overlap(a, b).1 <= 0.0;
        let pairs = (0..boxes.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
        pairs.filter(|&(a, b)| !apart(&boxes[a], &boxes[b])).count()
    }

    /// The middles of three classes as they once lay in notebook 11's figure, where the names ran into each other.
    #[test]
    fn names_of_clouds_that_lie_close_do_not_overlap() {
        let canvas = Canvas::new(780.0, 520.0).unwrap();
        let area = Rect::new(62.0, 36.0, 574.0, 434.0);
        let texts = ["Trouser", "Dress", "T-shirt/top"].map(String::from);
        let points = [(327.0, 142.0), (361.0, 148.5), (408.0, 157.0)];
        let alone: Vec<Rect> =
            (0..3).flat_map(|i| name_boxes(&canvas, &texts[i..=i], &points[i..=i], area)).collect();
        assert!(overlapping(&alone) >= 2, "the case is one that overlaps");
        let boxes = name_boxes(&canvas, &texts, &points, area);
        assert_eq!(overlapping(&boxes), 0, "{boxes:?}");
        for (a, b) in boxes.iter().zip(&alone) {
            let (x, y) = (a.centre().0 - b.centre().0, a.centre().1 - b.centre().1);
            assert!(x.hypot(y) < 30.0, "no name goes far: {boxes:?}");
        }
        assert_eq!(boxes, name_boxes(&canvas, &texts, &points, area), "the same each time");
    }

    #[test]
    fn names_with_one_middle_in_a_corner_part_and_stay_inside() {
        let area = Rect::new(0.0, 0.0, 100.0, 100.0);
        let mut boxes = vec![Rect::new(-20.0, -5.0, 40.0, 10.0); 6];
        spread(&mut boxes, area);
        assert_eq!(overlapping(&boxes), 0, "{boxes:?}");
        let inside =
            |b: &Rect| b.left >= 0.0 && b.top >= 0.0 && b.right() <= 100.0 && b.bottom() <= 100.0;
        assert!(boxes.iter().all(inside), "{boxes:?}");
    }
}
