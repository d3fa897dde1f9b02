//! A line chart as SVG, for running cells: it is only text, made in some microseconds.
//!
//! The figures of a finished page come from `plot`. Here axes and words have the colour of the page's own text, so that
//! they can be read on a dark page, too; the two lines differ in dashes and marks as well as in colour.

use std::fmt::Write;

use crate::text::{counted, escape_sentence};

/// The colour of the train part in every picture; it can be told from [`VALIDATION`] by colour-blind readers.
pub(crate) const TRAIN: [u8; 3] = [0, 114, 178];
/// The colour of the validation part in every picture.
pub(crate) const VALIDATION: [u8; 3] = [213, 94, 0];

/// Width and height in CSS pixels; the area of the data is below.
const SIZE: (f64, f64) = (360.0, 230.0);
const AREA: [f64; 4] = [52.0, 30.0, 350.0, 190.0];
/// Lines with more points than this have no marks.
const MOST_MARKED: usize = 60;
/// Lines with more points than this are thinned out, because several points share one pixel.
const MOST_DRAWN: usize = 400;

/// A point of a line; left out if it is not finite.
pub(crate) type Point = (f64, f64);

/// The train and the validation part's values over the epochs.
pub(crate) struct Chart<'a> {
    /// The title above the chart.
    pub(crate) title: &'a str,
    /// The name of the upright axis with its unit.
    pub(crate) values: &'a str,
    /// Whether the values are fractions, written as percent.
    pub(crate) percent: bool,
    /// Where the best epoch's label is: below lines that rise, above lines that fall.
    pub(crate) rises: bool,
    pub(crate) train: &'a [Point],
    pub(crate) validation: &'a [Point],
    /// The best epoch, counted from 1.
    pub(crate) best: usize,
}

impl Chart<'_> {
    /// The chart as an `svg` element; empty while there is nothing to draw.
    pub(crate) fn to_svg(&self) -> String {
        let finite = |point: &&Point| point.1.is_finite();
        let drawn = || self.train.iter().chain(self.validation).filter(finite);
        let Some((mut low, mut high)) = range(drawn().map(|point| point.1)) else {
            return String::new();
        };
        let margin = if high - low > 1e-9 * high.abs() {
            0.05 * (high - low)
        } else {
            (0.1 * high.abs()).max(1e-3)
        };
        (low, high) = (low - margin, high + margin);
        if self.percent {
            (low, high) = (low.max(0.0), high.min(1.0));
        }
        let last = drawn().map(|point| point.0).fold(1.0, f64::max);
        let room = (0.03 * (last - 1.0)).max(0.5);
        let scales = [
            Scale::new(1.0 - room, last + room, AREA[0], AREA[2]),
            Scale::new(low, high, AREA[3], AREA[1]),
        ];
        let (width, height) = SIZE;
        let (title, label) = (escape_sentence(self.title), escape_sentence(&self.label()));
        let mut svg = format!(
            "<svg role=\"img\" aria-label=\"{label}\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             style=\"max-width:100%;height:auto\" font-size=\"11\" fill=\"currentColor\" stroke-linejoin=\"round\">\
             <title>{label}</title><text x=\"4\" y=\"14\" font-size=\"13\" font-weight=\"bold\">{title}</text>"
        );
        self.axes(&mut svg, &scales);
        series(&mut svg, &scales, self.train, TRAIN, Mark::Round);
        series(&mut svg, &scales, self.validation, VALIDATION, Mark::Square);
        self.best_epoch(&mut svg, &scales);
        legend(&mut svg);
        svg + "</svg>"
    }

    /// A description of the chart.
    fn label(&self) -> String {
        let value = |points: &[Point], epoch: usize| match points.get(epoch - 1) {
            Some(point) if !point.1.is_finite() => "no number".to_owned(),
            Some(point) if self.percent => format!("{:.1}%", 100.0 * point.1),
            Some(point) => format!("{:.4}", point.1),
            None => "none".to_owned(),
        };
        let (epochs, best) = (self.train.len(), self.best.max(1));
        format!(
            "{}, {}, over {}. In the last: train {}, validation {}. Best epoch {best}: validation {}.",
            self.title,
            self.values,
            counted(epochs, "epoch"),
            value(self.train, epochs.max(1)),
            value(self.validation, epochs.max(1)),
            value(self.validation, best),
        )
    }

    fn axes(&self, svg: &mut String, [x, y]: &[Scale; 2]) {
        let [left, top, right, bottom] = AREA;
        let (mut grid, mut texts) = (String::new(), String::new());
        let shown = if self.percent { 100.0 } else { 1.0 };
        let step = tick_step(y.high - y.low, 6.0);
        let digits = (-(shown * step * 1.000_001).log10().floor()).clamp(0.0, 12.0) as usize;
        for tick in ticks(y, step) {
            let at = y.at(tick);
            let _ = write!(grid, "M{left} {at:.1}H{right}");
            let (text, at) = (shown * tick, at + 4.0);
            let _ = write!(
                texts,
                "<text x=\"{:.1}\" y=\"{at:.1}\" text-anchor=\"end\">{text:.digits$}</text>",
                left - 6.0
            );
        }
        for tick in ticks(x, tick_step(x.high - x.low, 8.0).max(1.0).round()) {
            let (at, below) = (x.at(tick), bottom + 15.0);
            let _ = write!(
                texts,
                "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{tick:.0}</text>"
            );
        }
        let _ = write!(
            svg,
            "<path d=\"{grid}\" stroke=\"currentColor\" opacity=\".15\"/>\
             <path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"currentColor\" opacity=\".6\"/>{texts}\
             <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"12\" text-anchor=\"middle\">Epoch</text>\
             <text transform=\"translate(13 {:.1})rotate(-90)\" font-size=\"12\" text-anchor=\"middle\">{}</text>",
            (left + right) / 2.0,
            bottom + 33.0,
            (top + bottom) / 2.0,
            escape_sentence(self.values),
        );
    }

    /// A vertical line at the best epoch, with a star and its number.
    fn best_epoch(&self, svg: &mut String, [x, y]: &[Scale; 2]) {
        let Some(&(epoch, value)) =
            self.best.checked_sub(1).and_then(|index| self.validation.get(index))
        else {
            return;
        };
        let [_, top, right, bottom] = AREA;
        let at = x.at(epoch);
        let text = if self.rises { bottom - 6.0 } else { top + 12.0 };
        // Left of the line if there is no room on its right.
        let (anchor, beside) =
            if at + 85.0 > right { ("end", at - 5.0) } else { ("start", at + 5.0) };
        let _ = write!(
            svg,
            "<path d=\"M{at:.1} {top}V{bottom}\" stroke=\"currentColor\" stroke-dasharray=\"2 3\" opacity=\".7\"/>\
             <text x=\"{beside:.1}\" y=\"{text:.1}\" text-anchor=\"{anchor}\">best: epoch {}</text>",
            self.best
        );
        if value.is_finite() {
            let _ = write!(
                svg,
                "<text x=\"{at:.1}\" y=\"{:.1}\" font-size=\"19\" text-anchor=\"middle\">★</text>",
                y.at(value) + 6.5
            );
        }
    }
}

/// Charts in a row, or one below the other on a narrow page.
pub(crate) fn side_by_side(charts: &[Chart]) -> String {
    let charts: String = charts.iter().map(Chart::to_svg).collect();
    // JupyterLab removes the drawings of a notebook that is not trusted, and leaves their texts: size 0 hides these.
    format!("<div style=\"display:flex;flex-wrap:wrap;gap:8px 20px;font-size:0\">{charts}</div>")
}

/// Maps the values of an axis to positions.
struct Scale {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
}

impl Scale {
    fn new(low: f64, high: f64, start: f64, end: f64) -> Scale {
        Scale { low, high, start, end }
    }

    fn at(&self, value: f64) -> f64 {
        self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)
    }
}

/// A mark at each point of a line.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    /// On a solid line.
    Round,
    /// On a dashed line.
    Square,
}

impl Mark {
    /// Attributes of the line, and those of the marks: strokes of length 0, with round or square ends.
    fn attributes(self) -> [&'static str; 2] {
        match self {
            Mark::Round => ["", "stroke-width=\"6\" stroke-linecap=\"round\""],
            Mark::Square => {
                [" stroke-dasharray=\"6 3.5\"", "stroke-width=\"5\" stroke-linecap=\"square\""]
            }
        }
    }
}

fn series(
    svg: &mut String,
    [x, y]: &[Scale; 2],
    points: &[Point],
    [red, green, blue]: [u8; 3],
    mark: Mark,
) {
    let (mut line, mut marks) = (String::new(), String::new());
    let every = points.len().div_ceil(MOST_DRAWN).max(1);
    let mut pen = 'M';
    for (index, &(epoch, value)) in points.iter().enumerate() {
        if index % every != 0 && index + 1 != points.len() {
            continue;
        }
        if !value.is_finite() {
            pen = 'M';
            continue;
        }
        let (across, down) = (x.at(epoch), y.at(value));
        let _ = write!(line, "{pen}{across:.1} {down:.1}");
        if points.len() <= MOST_MARKED {
            let _ = write!(marks, "M{across:.1} {down:.1}h0");
        }
        pen = 'L';
    }
    let [of_line, of_marks] = mark.attributes();
    let _ = write!(
        svg,
        "<g fill=\"none\" stroke=\"#{red:02x}{green:02x}{blue:02x}\"><path d=\"{line}\" stroke-width=\"2\"{of_line}/>\
         <path d=\"{marks}\" {of_marks}/></g>"
    );
}

/// The names of both lines with a sample of each, above the right end of the chart.
fn legend(svg: &mut String) {
    let parts =
        [("train", TRAIN, Mark::Round, 190.0), ("validation", VALIDATION, Mark::Square, 260.0)];
    for (name, color, mark, left) in parts {
        let scales = [Scale::new(0.0, 1.0, left, left + 28.0), Scale::new(0.0, 1.0, 10.0, 11.0)];
        series(svg, &scales, &[(0.0, 0.0), (0.5, 0.0), (1.0, 0.0)], color, mark);
        let _ = write!(svg, "<text x=\"{}\" y=\"14\">{name}</text>", left + 35.0);
    }
}

/// The smallest and the largest of these values; none if there are no values.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, value| {
        let (low, high) = range.unwrap_or((value, value));
        Some((value.min(low), value.max(high)))
    })
}

/// The smallest of 1, 2 and 5 times a power of ten that divides `span` into at most `most` steps.
pub(crate) fn tick_step(span: f64, most: f64) -> f64 {
    let power = 10_f64.powf((span / most).log10().floor());
    let steps = [1.0, 2.0, 5.0].map(|factor| factor * power);
    steps.into_iter().find(|step| span / step <= most).unwrap_or(10.0 * power)
}

/// The multiples of `step` on an axis.
fn ticks(scale: &Scale, step: f64) -> impl Iterator<Item = f64> {
    let first = (scale.low / step - 1e-9).ceil() as i64;
    let last = (scale.high / step + 1e-9).floor() as i64;
    (first..=last).map(move |index| index as f64 * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(train: &[f64], validation: &[f64], best: usize) -> String {
        let points = |values: &[f64]| -> Vec<Point> {
            values.iter().enumerate().map(|(index, &value)| (index as f64 + 1.0, value)).collect()
        };
        let (train, validation) = (&points(train)[..], &points(validation)[..]);
        Chart {
            title: "<Loss>",
            values: "Loss (nats)",
            percent: false,
            rises: false,
            train,
            validation,
            best,
        }
        .to_svg()
    }

    /// The data of the `path` elements.
    fn paths(svg: &str) -> Vec<&str> {
        svg.split("<path d=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
    }

    #[test]
    fn a_line_grows_by_a_point_an_epoch_and_marks_the_best() {
        let two = svg(&[1.0, 0.5], &[1.5, 1.0], 2);
        // Grid and axes come first, then each part's line and marks.
        let drawn = paths(&two);
        assert_eq!(drawn[2].matches('L').count(), 1, "{two}");
        assert_eq!(drawn[3].matches("h0").count(), 2, "{two}");
        assert!(two.contains(">best: epoch 2</text>") && two.contains('★'), "{two}");
        let three = svg(&[1.0, 0.5, 0.4], &[1.5, 1.0, 1.1], 2);
        assert_eq!(paths(&three)[2].matches('L').count(), 2);
    }

    #[test]
    fn parts_differ_without_colour_and_words_have_the_pages_own() {
        let svg = svg(&[1.0, 0.5], &[1.5, 1.0], 2);
        assert_eq!(svg.matches("stroke-dasharray=\"6 3.5\"").count(), 2, "line and legend: {svg}");
        assert!(svg.contains("fill=\"currentColor\"") && !svg.contains("<text fill"), "{svg}");
        assert!(
            svg.starts_with(
                "<svg role=\"img\" aria-label=\"&lt;Loss&gt;, Loss (nats), over 2 epochs."
            ),
            "{svg}"
        );
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let broken = svg(&[1.0, f64::NAN, 0.5], &[f64::INFINITY, 1.0, 1.0], 2);
        assert_eq!(paths(&broken)[2].matches('M').count(), 2, "{broken}");
        assert!(!broken.contains("NaN") && !broken.contains("inf"), "{broken}");
        assert_eq!(svg(&[f64::NAN], &[f64::NAN], 0), "");
        assert_eq!(svg(&[], &[], 0), "");
    }

    #[test]
    fn one_epoch_and_equal_values_have_room_around_them() {
        for svg in [svg(&[0.5], &[0.5], 1), svg(&[0.0, 0.0], &[0.0, 0.0], 1)] {
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn a_long_training_stays_a_small_picture() {
        let many: Vec<f64> = (0..100_000).map(|epoch| 1.0 / (1.0 + f64::from(epoch))).collect();
        let svg = svg(&many, &many, 100_000);
        assert!(svg.len() < 30_000, "{}", svg.len());
    }

    #[test]
    fn steps_are_round_and_few() {
        let steps = [1.0, 0.9, 7.0, 30.0, 0.012].map(|span| tick_step(span, 6.0));
        assert_eq!(steps.map(|step| (step * 1e6).round() / 1e6), [0.2, 0.2, 2.0, 5.0, 0.002]);
    }
}
