//! Lines: a training run's history, and any values over a common axis.

use plotters::style::text_anchor::{HPos, VPos};

use super::axes::{Axis, LegendEntry, LegendKind, MOST_MARKED, Panel, legend, legend_size, short};
use super::figure::Figure;
use super::page::{Page, Point, Rect, Text, draw};
use super::style::{GREY, INK, Look, Marker, TICK_SIZE};
use crate::text::clean_text;
use crate::training::history::{EpochRow, History, Metric, Phase, Record};
use crate::{Error, Result};

/// The curves of a history.
const PARTS: [&str; 2] = ["train", "validation"];

/// One of the two panels of a history: title, name of the axis, and the train and the validation part's values.
type Half = (&'static str, &'static str, [fn(&EpochRow) -> f64; 2]);

impl<R: Record> History<R> {
    /// Loss and accuracy (of a denoiser: PSNR) an epoch, side by side, for the train and the validation part, the best
    /// epoch marked, and where a later phase began ([`History::followed_by`]).
    ///
    /// # Errors
    /// If the history is empty, or no value of a panel is a finite number.
    pub fn plot(&self) -> Result<Figure> {
        if self.epochs.is_empty() {
            return Err(Error::Drawing {
                message: "the history has no epoch; train for at least one".to_owned(),
            });
        }
        let rows: Vec<EpochRow> = self.epochs.iter().map(Record::row).collect();
        let (loss_name, title, name) = match R::METRIC {
            Metric::Accuracy => ("Loss (nats)", "Accuracy per epoch", "Accuracy (%)"),
            Metric::Psnr => ("Mean squared error", "PSNR per epoch", "PSNR (dB)"),
        };
        let halves: [Half; 2] = [
            ("Loss per epoch", loss_name, [|row| row.loss, |row| row.val_loss]),
            (title, name, [|row| row.metric, |row| row.val_metric]),
        ];
        let entries = PARTS.map(|part| LegendEntry {
            name: part.to_owned(),
            look: Look::of_part(part, 0),
            kind: LegendKind::LineAndMarker,
        });
        let width = (868.0 - legend_size(&entries).0) / 2.0;
        draw((900.0, 340.0), self.alt(&rows), |page| {
            for (half, rises) in halves.into_iter().zip([false, true]) {
                let left = 8.0 + if rises { width + 10.0 } else { 0.0 };
                self.plot_half(page, Rect::new(left, 4.0, width, 330.0), &rows, half, rises)?;
            }
            legend(page, &entries, (2.0 * (width + 10.0) + 4.0, 36.0))
        })
    }

    fn plot_half(
        &self,
        page: &Page<'_>,
        outer: Rect,
        rows: &[EpochRow],
        (title, name, values): Half,
        rises: bool,
    ) -> Result<()> {
        let parts = values.map(|value| -> Vec<Point> {
            rows.iter().map(|row| (row.epoch as f64, value(row))).collect()
        });
        let mut x = Axis::around("Epoch", parts[0].iter().map(|point| point.0), false)?;
        x.whole = true;
        // There is no epoch 0.
        x.low = x.low.max(parts[0][0].0 - 0.9);
        let mut y = Axis::around(name, parts.iter().flatten().map(|point| point.1), false)?;
        if rises && R::METRIC == Metric::Accuracy {
            y = y.of_shares();
        }
        let mut panel = Panel::inside(page, outer, title, (x, y))?;
        let begin = |phase: &Phase| phase.first_epoch as f64 - 0.5;
        for phase in &self.phases {
            panel.upright(begin(phase), INK, Some((7.0, 4.0)))?;
        }
        let best = rows.iter().find(|row| row.epoch == self.best_epoch);
        if let Some(best) = best {
            panel.upright(best.epoch as f64, GREY, Some((2.0, 3.0)))?;
        }
        for (values, part) in parts.iter().zip(PARTS) {
            panel.series(values, Look::of_part(part, 0))?;
        }
        // Texts stand where the curves are not: losses fall, metrics rise.
        let text = Text::new(TICK_SIZE);
        let area = panel.area;
        for phase in &self.phases {
            let y = if rises { area.bottom() - 26.0 } else { area.top + 30.0 };
            panel.beside(begin(phase), y, &phase.name, text)?;
        }
        if let Some(best) = best {
            let at = (best.epoch as f64, values[1](best));
            panel.mark(Marker::STAR, at, 6.0, INK)?;
            let y = if rises { area.bottom() - 8.0 } else { area.top + 12.0 };
            panel.beside(at.0, y, &format!("best: epoch {}", best.epoch), text)?;
        }
        Ok(())
    }

    fn alt(&self, rows: &[EpochRow]) -> String {
        let best = rows.iter().find(|row| row.epoch == self.best_epoch);
        let what = match R::METRIC {
            Metric::Accuracy => "accuracy",
            Metric::Psnr => "PSNR",
        };
        let (Some(last), Some(best)) = (rows.last(), best) else {
            return format!("Loss and {what} per epoch.");
        };
        let reached = match R::METRIC {
            Metric::Accuracy => format!("{:.2}%", 100.0 * best.val_metric),
            Metric::Psnr => format!("{:.2} dB", best.val_metric),
        };
        let phases: String = self
            .phases
            .iter()
            .map(|Phase { name, first_epoch }| format!("; {name} from epoch {first_epoch} on"))
            .collect();
        format!(
            "Loss and {what} per epoch for train and validation over {} epochs{phases}. Best epoch {}: validation loss \
             {:.digits$}, validation {what} {reached}. Last epoch: training loss {:.digits$}, validation loss \
             {:.digits$}.",
            rows.len(),
            best.epoch,
            best.val_loss,
            last.loss,
            last.val_loss,
            digits = R::METRIC.loss_digits(),
        )
    }
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
                        clean_text(name),
                        x.len(),
                        y.len()
                    ),
                });
            }
        }
        let xs = || self.series.iter().flat_map(|series| series.x.iter().copied());
        let ys = self.series.iter().flat_map(|series| series.y.iter().copied());
        let mut x = Axis::around(&self.x_name, xs(), self.log_x)?;
        let mut y = Axis::around(&self.y_name, ys, self.log_y)?;
        x.whole = xs().all(|value| value.fract() == 0.0);
        if self.percent_y {
            y = y.of_shares();
        }
        let ends = (x.low, x.high);
        let entries: Vec<LegendEntry> = self.series.iter().enumerate().map(Series::entry).collect();
        let many = entries.len() > 1;
        let width = 720.0;
        let beside = if many { legend_size(&entries).0 } else { 0.0 };
        draw((width + beside, 400.0), self.alt(), |page| {
            let outer = Rect::new(8.0, 4.0, width - 16.0, 390.0);
            let mut panel = Panel::inside(page, outer, &self.title, (x, y))?;
            for (series, entry) in self.series.iter().zip(&entries) {
                if series.level {
                    let level = [(ends.0, series.y[0]), (ends.1, series.y[0])];
                    panel.line(&level, 1.8, entry.look)?;
                } else {
                    panel.series(&series.points(), entry.look)?;
                }
            }
            for series in &self.series {
                series.write_labels(&panel)?;
            }
            if many { legend(page, &entries, (width - 8.0, panel.area.top)) } else { Ok(()) }
        })
    }

    fn alt(&self) -> String {
        let described =
            self.series.iter().map(|series| match (series.y.first(), series.y.last()) {
                (Some(first), Some(last)) if !series.level => {
                    format!("{} from {} to {}", series.name, short(*first), short(*last))
                }
                (Some(level), _) => format!("{} at {}", series.name, short(*level)),
                _ => series.name.clone(),
            });
        let described: Vec<String> = described.collect();
        format!("{}: {} over {}; {}.", self.title, self.y_name, self.x_name, described.join(", "))
    }
}

impl Series {
    fn entry((index, series): (usize, &Series)) -> LegendEntry {
        let mut look = Look::of_part(&series.name, index);
        let mut kind = LegendKind::LineAndMarker;
        if series.level {
            look.dash = look.dash.or(Some((8.0, 3.0)));
        }
        if series.level || series.y.len() > MOST_MARKED {
            kind = LegendKind::Line;
        }
        LegendEntry { name: series.name.clone(), look, kind }
    }

    fn points(&self) -> Vec<Point> {
        self.x.iter().copied().zip(self.y.iter().copied()).collect()
    }

    fn write_labels(&self, panel: &Panel<'_, '_>) -> Result<()> {
        let style = Text::new(TICK_SIZE).anchor(HPos::Center, VPos::Bottom);
        for ((x, y), label) in self.points().into_iter().zip(&self.labels) {
            if x.is_finite() && y.is_finite() {
                let (x, y) = panel.place((x, y));
                panel.page.text_on_white(label, (x, y - 9.0), style)?;
            }
        }
        Ok(())
    }
}
