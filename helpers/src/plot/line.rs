//! Line charts: the history of a training, and any values over a common axis.

use super::axes::{
    Axis, Chart, LegendEntry, MOST_MARKED, Panel, Sign, is_finite, legend, legend_size,
};
use super::figure::Figure;
use super::page::{Page, Rect, Text, draw};
use super::style::{GREY, INK, Marker, Point, RULE, SeriesStyle, TICK_SIZE};
use crate::text::{clean_text, counted, short};
use crate::training::history::{EpochRow, History, Metric, Phase, Record};
use crate::{Error, Result};

/// The curves of a history.
const PARTS: [&str; 2] = ["train", "validation"];

/// One of the two panels of a history: title, name of the axis, and the train and the validation part's values.
type Half = (&'static str, &'static str, [fn(&EpochRow) -> f64; 2]);

impl<R: Record> History<R> {
    /// Loss and accuracy (for a denoiser: PSNR) per epoch, side by side, for the train and the validation part. The
    /// best epoch is marked, and the beginning of a later phase ([`History::followed_by`]).
    ///
    /// # Errors
    /// If the history is empty, or no value of a panel is a finite number.
    pub fn plot(&self) -> Result<Figure> {
        let rows: Vec<EpochRow> = self.epochs.iter().map(Record::row).collect();
        if rows.is_empty() {
            return Err(Error::drawing("the history has no epoch; train for at least one"));
        }
        let (loss_name, title, name) = match R::METRIC {
            Metric::Accuracy => ("Loss (nats)", "Accuracy per epoch", "Accuracy (%)"),
            Metric::Psnr => ("Mean squared error", "PSNR per epoch", "PSNR (dB)"),
        };
        let halves: [Half; 2] = [
            ("Loss per epoch", loss_name, [|row| row.loss, |row| row.val_loss]),
            (title, name, [|row| row.metric, |row| row.val_metric]),
        ];
        let entries =
            PARTS.map(|part| (part.to_owned(), SeriesStyle::of_part(part, 0), Sign::LineAndMarker));
        let width = (868.0 - legend_size(&entries).0) / 2.0;
        let figure = draw((900.0, 340.0), self.alt(&rows), |page| {
            for (half, rises) in halves.into_iter().zip([false, true]) {
                let left = 8.0 + if rises { width + 10.0 } else { 0.0 };
                self.plot_half(page, Rect::new(left, 4.0, width, 330.0), &rows, half, rises)?;
            }
            legend(page, &entries, (2.0 * (width + 10.0) + 4.0, 36.0))
        })?;
        let (first, second) = (width + 13.0, 2.0 * width + 21.0);
        let halves = vec![[0.0, 0.0, first, 340.0], [first, 0.0, second - first, 340.0]];
        let beside = vec![[second, 30.0, 900.0 - second, 64.0]];
        Ok(figure.in_parts("", " ", &[beside, halves]))
    }

    /// The learning rate at the end of each epoch, on a logarithmic axis where none is 0.
    ///
    /// # Errors
    /// If the history is empty.
    pub fn plot_learning_rate(&self) -> Result<Figure> {
        let rows = || self.epochs.iter().map(Record::row);
        let epochs: Vec<f64> = rows().map(|row| row.epoch as f64).collect();
        let rates: Vec<f64> = rows().map(|row| row.learning_rate).collect();
        let mut chart = LineChart::new("Learning rate per epoch", "Epoch", "Learning rate");
        // A schedule may end at 0, which has no place on a logarithmic axis.
        chart.log_y = rates.iter().all(|&rate| rate > 0.0);
        chart.line("learning rate", &epochs, &rates).plot()
    }

    fn plot_half(
        &self,
        page: &Page<'_>,
        outer: Rect,
        rows: &[EpochRow],
        (title, name, values): Half,
        rises: bool,
    ) -> Result<()> {
        let shares = rises && R::METRIC == Metric::Accuracy;
        let factor = if shares { 100.0 } else { 1.0 };
        let parts = values.map(|value| -> Vec<Point> {
            rows.iter().map(|row| (row.epoch as f64, factor * value(row))).collect()
        });
        let mut x = Axis::around("Epoch", parts[0].iter().map(|point| point.0), false)?;
        x.whole = true;
        // There is no epoch 0.
        x.low = x.low.max(parts[0][0].0 - 0.9);
        let y = Axis::around(name, parts.iter().flatten().map(|point| point.1), false)?;
        let y = if shares { y.of_percent() } else { y };
        let panel = Panel::inside(page, outer, title, (x, y))?;
        // Texts are placed away from the curves: losses fall, metrics rise.
        let area = panel.area;
        let y =
            |metric: f64, loss: f64| if rises { area.bottom() - metric } else { area.top + loss };
        let phases = self.phases.iter().map(|phase| (phase.first_epoch as f64 - 0.5, &phase.name));
        let best = rows.iter().position(|row| row.epoch == self.best_epoch);
        let best = best.map(|index| parts[1][index]);
        for (begin, _) in phases.clone() {
            panel.upright(begin, INK, Some((7.0, 4.0)))?;
        }
        if let Some((epoch, _)) = best {
            panel.upright(epoch, GREY, Some((2.0, 3.0)))?;
        }
        for (values, part) in parts.iter().zip(PARTS) {
            panel.series(values, SeriesStyle::of_part(part, 0))?;
        }
        for (begin, name) in phases {
            panel.beside(begin, y(26.0, 30.0), name, Text::new(TICK_SIZE))?;
        }
        if let Some(best) = best {
            panel.mark(Marker::STAR, best, 6.0, INK)?;
            let text = format!("best: epoch {}", best.0);
            panel.beside(best.0, y(8.0, 12.0), &text, Text::new(TICK_SIZE))?;
        }
        Ok(())
    }

    fn alt(&self, rows: &[EpochRow]) -> String {
        let best = rows.iter().find(|row| row.epoch == self.best_epoch);
        let metric = best.map_or(f64::NAN, |best| best.val_metric);
        let (what, reached) = match R::METRIC {
            Metric::Accuracy => ("accuracy", format!("{:.2}%", 100.0 * metric)),
            Metric::Psnr => ("PSNR", format!("{metric:.2} dB")),
        };
        let (Some(last), Some(best)) = (rows.last(), best) else {
            return format!("Loss and {what} per epoch.");
        };
        let phase = |phase: &Phase| format!("; {} from epoch {} on", phase.name, phase.first_epoch);
        format!(
            "Loss and {what} per epoch for train and validation over {}{}. Best epoch {}: validation loss \
             {:.digits$}, validation {what} {reached}. Last epoch: training loss {:.digits$}, validation loss \
             {:.digits$}.",
            counted(rows.len(), "epoch"),
            self.phases.iter().map(phase).collect::<String>(),
            best.epoch,
            best.val_loss,
            last.loss,
            last.val_loss,
            digits = R::METRIC.loss_digits(),
        )
    }
}

/// Lines over a common axis, such as quality against rate or a learning rate over its steps.
///
/// Series named `train`, `validation` and `test` have the look of those parts.
///
/// ```
/// use helpers::plot::LineChart;
/// let figure = LineChart::new("Quality against rate", "Bottleneck (values)", "PSNR (dB)")
///     .log_x()
///     .line("network", &[16.0, 32.0, 64.0, 128.0], &[16.8, 17.9, 18.8, 19.4])
///     .line("linear denoiser", &[16.0, 32.0, 64.0, 128.0], &[15.1, 16.0, 16.7, 17.1])
///     .plot()?;
/// # Ok::<(), helpers::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LineChart {
    title: String,
    x_name: String,
    y_name: String,
    log_x: bool,
    log_y: bool,
    series: Vec<Series>,
    /// The points of each grey line.
    faint: Vec<Vec<Point>>,
    /// x, low and high end of each interval.
    intervals: Vec<[f64; 3]>,
}

/// Points with a name.
#[derive(Debug, Clone, PartialEq)]
struct Series {
    name: String,
    x: Vec<f64>,
    y: Vec<f64>,
    /// With a line through them.
    is_line: bool,
}

impl Series {
    fn sign(&self) -> Sign {
        match self.is_line {
            false => Sign::Marker,
            true if self.x.len() > MOST_MARKED => Sign::Line,
            true => Sign::LineAndMarker,
        }
    }
}

impl LineChart {
    /// An empty chart; the names of the axes include their units.
    pub fn new(
        title: impl Into<String>,
        x_name: impl Into<String>,
        y_name: impl Into<String>,
    ) -> LineChart {
        LineChart {
            title: title.into(),
            x_name: x_name.into(),
            y_name: y_name.into(),
            ..LineChart::default()
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

    /// Adds a line through the points `(x[i], y[i])`; a value that is not finite interrupts it.
    pub fn line(self, name: impl Into<String>, x: &[f64], y: &[f64]) -> LineChart {
        self.with(name.into(), [x, y], true)
    }

    /// Adds a mark at each point `(x[i], y[i])`, without a line through them.
    pub fn points(self, name: impl Into<String>, x: &[f64], y: &[f64]) -> LineChart {
        self.with(name.into(), [x, y], false)
    }

    fn with(mut self, name: String, values: [&[f64]; 2], is_line: bool) -> LineChart {
        let [x, y] = values.map(<[f64]>::to_vec);
        self.series.push(Series { name, x, y, is_line });
        self
    }

    /// Adds a thin grey line behind the others, without a name.
    pub fn faint_line(mut self, x: &[f64], y: &[f64]) -> LineChart {
        self.faint.push(x.iter().copied().zip(y.iter().copied()).collect());
        self
    }

    /// Adds a vertical bar from `low[i]` to `high[i]` at each `x[i]`, such as a 95% interval of the first line.
    pub fn intervals(mut self, x: &[f64], low: &[f64], high: &[f64]) -> LineChart {
        let ends = low.iter().zip(high);
        self.intervals.extend(x.iter().zip(ends).map(|(&x, (&low, &high))| [x, low, high]));
        self
    }

    /// Draws the chart.
    ///
    /// # Errors
    /// If a line's `x` and `y` differ in length, or there is no finite number to draw.
    pub fn plot(&self) -> Result<Figure> {
        if let Some(series) = self.series.iter().find(|series| series.x.len() != series.y.len()) {
            return Err(Error::drawing(format!(
                "line `{}` has {} x and {} y; give one y for each x",
                clean_text(&series.name),
                series.x.len(),
                series.y.len()
            )));
        }
        let entry = |(index, series): (usize, &Series)| {
            let look = SeriesStyle::of_part(&series.name, index);
            (series.name.clone(), look, series.sign())
        };
        let entries: Vec<LegendEntry> = self.series.iter().enumerate().map(entry).collect();
        let legends = [if entries.len() > 1 { &entries[..] } else { &[] }; 2];
        // A page shrinks figures that are wider than 840 units, with their text.
        let width = f64::min(720.0, 840.0 - legend_size(legends[0]).0);
        let (title, axes, alt) = (self.title.as_str(), self.axes()?, self.alt());
        let chart =
            Chart { title, axes, legends, desk: (width, 400.0), phone: 280.0, beside: 0.0, alt };
        chart.draw(|panel, _| {
            self.draw_unnamed(panel)?;
            for (Series { x, y, is_line, .. }, (_, look, _)) in self.series.iter().zip(&entries) {
                let mut points = x.iter().copied().zip(y.iter().copied());
                match is_line {
                    true => panel.series(&points.collect::<Vec<_>>(), *look)?,
                    false => {
                        points.try_for_each(|at| panel.mark(look.marker, at, 4.2, look.color))?
                    }
                }
            }
            Ok(())
        })
    }

    fn axes(&self) -> Result<(Axis, Axis)> {
        let faint = || self.faint.iter().flatten();
        let named = self.series.iter().flat_map(|series| &series.x).copied();
        let xs = || named.clone().chain(faint().map(|point| point.0));
        let ends = self.intervals.iter().flat_map(|&[_, low, high]| [low, high]);
        let ys = self.series.iter().flat_map(|series| &series.y).copied().chain(ends);
        let ys = ys.chain(faint().map(|point| point.1));
        let mut x = Axis::around(&self.x_name, xs(), self.log_x)?;
        x.whole = xs().all(|value| value.fract() == 0.0);
        Ok((x, Axis::around(&self.y_name, ys, self.log_y)?))
    }

    /// Draws the grey lines and the intervals.
    fn draw_unnamed(&self, panel: &Panel<'_, '_>) -> Result<()> {
        let page = panel.page;
        for points in &self.faint {
            let finite = points.iter().filter(|at| is_finite(**at));
            let points: Vec<Point> = finite.map(|&at| panel.place(at)).collect();
            page.line(&points, 1.0, RULE, None)?;
            for &(x, y) in &points {
                page.line(&[(x - 2.5, y), (x + 2.5, y)], 2.5, RULE, None)?;
            }
        }
        let finite = |interval: &&[f64; 3]| interval.iter().all(|value| value.is_finite());
        for &[x, low, high] in self.intervals.iter().filter(finite) {
            let ends = [panel.place((x, low)), panel.place((x, high))];
            page.interval(ends, 5.0, 1.6, SeriesStyle::of(0).color)?;
        }
        Ok(())
    }

    fn alt(&self) -> String {
        let told = self.series.iter().map(|Series { name, y, .. }| match (y.first(), y.last()) {
            (Some(first), Some(last)) => {
                format!("{name} from {} to {}", short(*first), short(*last))
            }
            _ => name.clone(),
        });
        let told = told.collect::<Vec<_>>().join(", ");
        let others = match self.faint.len() {
            0 => String::new(),
            count => format!("; and {count} lines without a name"),
        };
        format!("{}: {} over {}; {told}{others}.", self.title, self.y_name, self.x_name)
    }
}
