//! The probability of predictions against how often they are right.

use plotters::style::text_anchor::{HPos, VPos};

use super::axes::{Axis, Panel, Sign, bar, legend, legend_size};
use super::figure::Figure;
use super::page::{Page, Rect, Text, draw};
use super::style::{INK, NAME_SIZE, SeriesStyle};
use crate::error::{Error, Result};
use crate::evaluation::{Calibrated, Calibration, CalibrationBin};
use crate::text::clean_text;

/// Width of one diagram.
const WIDTH: f64 = 312.0;

/// Reliability diagrams (DeGroot & Fienberg 1983; Guo et al. 2017) side by side, such as before and after temperature
/// scaling: for each range of probabilities the accuracy of its predictions, and below that their share of all
/// predictions.
///
/// Bars that end on the dashed diagonal are calibrated; below it the probabilities are too high. `ECE` is the expected
/// calibration error.
///
/// - `calibrations`: each a name, and the result of [`Calibration::new`]
///
/// # Errors
/// If there are no calibrations.
pub fn plot_reliability(calibrations: &[(&str, &Calibration)]) -> Result<Figure> {
    if calibrations.is_empty() {
        return Err(Error::drawing("there is no calibration to draw; pass at least one"));
    }
    let described: Vec<String> = calibrations
        .iter()
        .map(|(name, found)| format!("{} {:.2}%", clean_text(name), 100.0 * found.ece))
        .collect();
    let alt = format!(
        "Reliability diagrams, accuracy over the probability of the prediction. Expected calibration error: {}.",
        described.join(", ")
    );
    let (bars, line) = (
        SeriesStyle::of(0),
        SeriesStyle { dash: Some((6.0, 3.5)), color: INK, ..SeriesStyle::of(0) },
    );
    let entries = [
        ("accuracy".to_owned(), bars, Sign::Block(0)),
        ("perfectly calibrated".to_owned(), line, Sign::Line),
    ];
    let all = calibrations.iter().flat_map(|(_, found)| found.bins.iter().map(|b| share(b, found)));
    let most = all.fold(0.1, f64::max);
    let (diagrams, named) = (calibrations.len() as f64 * WIDTH, legend_size(&entries).0);
    let figure = draw((12.0 + diagrams + named, 450.0), alt, |page| {
        for (index, (name, found)) in calibrations.iter().enumerate() {
            draw_diagram(page, 8.0 + WIDTH * index as f64, name, (found, most))?;
        }
        legend(page, &entries, (8.0 + diagrams, 36.0))
    })?;
    let part = |index: usize| [WIDTH * index as f64 + 2.0, 0.0, WIDTH, 450.0];
    let beside = vec![[diagrams + 2.0, 30.0, named + 10.0, 64.0]];
    Ok(figure.in_parts("", " ", &[beside, (0..calibrations.len()).map(part).collect()]))
}

impl Calibrated {
    /// The reliability diagrams of the test part, before and after temperature scaling: see [`plot_reliability`].
    ///
    /// # Errors
    /// If the picture cannot be drawn.
    pub fn plot(&self) -> Result<Figure> {
        plot_reliability(&[
            ("as the network gives them", &self.before),
            ("after temperature scaling", &self.after),
        ])
    }
}

/// The part of the images that is in a range.
fn share(bin: &CalibrationBin, found: &Calibration) -> f64 {
    bin.images as f64 / found.images().max(1) as f64
}

/// One diagram; its lower axis ends at the largest share in any diagram.
fn draw_diagram(
    page: &Page<'_>,
    left: f64,
    name: &str,
    (found, most): (&Calibration, f64),
) -> Result<()> {
    let percent = |name: &str| Axis::new(name, 0.0, 100.0);
    let outer = Rect::new(left, 4.0, WIDTH - 12.0, 300.0);
    let panel = Panel::inside(page, outer, name, (percent(""), percent("Accuracy (%)")))?;
    let shown = || found.bins.iter().filter(|bin| bin.images > 0);
    for bin in shown() {
        draw_bar(page, &panel, (bin.low, bin.high), bin.accuracy)?;
    }
    let ends = [panel.place((0.0, 0.0)), panel.place((100.0, 100.0))];
    page.line(&ends, 1.6, INK, Some((6.0, 3.5)))?;
    let at = (panel.area.left + 10.0, panel.area.top + 14.0);
    let style = Text::new(NAME_SIZE).bold().anchor(HPos::Left, VPos::Center);
    page.text_on_white(&format!("ECE {:.2}%", 100.0 * found.ece), at, style)?;
    // The same width as the upper panel, however wide the numbers of its axis are.
    let area = Rect::new(panel.area.left, 330.0, panel.area.width, 74.0);
    let x = percent("Probability of the prediction (%)");
    // More ticks would stand on each other in so low a panel.
    let y = Axis::new("Images (%)", 0.0, 105.0 * most).with_ticks(4.0);
    let below = Panel::at(page, area, "", (x, y))?;
    for bin in shown() {
        draw_bar(page, &below, (bin.low, bin.high), share(bin, found))?;
    }
    Ok(())
}

fn draw_bar(
    page: &Page<'_>,
    panel: &Panel<'_, '_>,
    (low, high): (f64, f64),
    share: f64,
) -> Result<()> {
    let ((left, bottom), (right, top)) =
        (panel.place((100.0 * low, 0.0)), panel.place((100.0 * high, 100.0 * share)));
    let area = Rect::new(left + 0.75, top, (right - left - 1.5).max(0.5), bottom - top);
    bar(page, area, SeriesStyle::of(0).color, 0)
}
