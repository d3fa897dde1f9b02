//! Points: coloured by class, and accuracy against cost.

use ndarray::Array2;
use plotters::style::Color as _;
use plotters::style::text_anchor::{HPos, VPos};

use super::axes::{Axis, Chart, LegendEntry, Panel, Sign, is_finite};
use super::figure::{Figure, Screen};
use super::page::{Rect, Text, rgb};
use super::style::{INK, NAME_SIZE, Point, SeriesStyle};
use crate::evaluation::metrics::check_classes;
use crate::text::{clean_text, short};
use crate::{Error, Result};

/// Points in the plane by class, such as the codes of an autoencoder: a colour and a mark for each class, its name at
/// the middle of its points.
///
/// - `points`: shape `(N, 2)`; points that are not finite are left out
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
        return Err(Error::drawing(format!(
            "the points have shape {:?} and there are {} labels, expected ({1}, 2); take two columns",
            points.dim(),
            labels.len()
        )));
    }
    check_classes(labels, class_names.len())?;
    let points: Vec<Point> =
        points.rows().into_iter().map(|row| (f64::from(row[0]), f64::from(row[1]))).collect();
    let x = Axis::around(x_name, points.iter().map(|point| point.0), false)?;
    let y = Axis::around(y_name, points.iter().map(|point| point.1), false)?;
    let entries = markers(class_names);
    // With more classes than fit into the legend there is none, and the names are only in the chart.
    const MOST_ENTRIES: usize = 24;
    let legends = [if entries.len() <= MOST_ENTRIES { &entries[..] } else { &[] }; 2];
    let alt = format!(
        "{title}: {} points of {} classes, {x_name} across and {y_name} upwards.",
        labels.len(),
        class_names.len()
    );
    let (desk, phone, axes) = ((658.0, 520.0), 350.0, (x, y));
    Chart { title, axes, legends, desk, phone, beside: 0.0, alt }.draw(|panel, _| {
        draw_points(panel, &points, labels)?;
        name_clouds(panel, &middles(panel, &points, labels, class_names))
    })
}

/// An entry of the legend for each name, with the mark of its index.
fn markers<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<LegendEntry> {
    let names = names.into_iter().enumerate();
    names.map(|(index, name)| (name.clone(), SeriesStyle::of(index), Sign::Marker)).collect()
}

/// Draws the points in their order, so that no class covers all others.
fn draw_points(panel: &Panel<'_, '_>, points: &[Point], labels: &[i64]) -> Result<()> {
    let radius = if labels.len() > 2000 { 1.8 } else { 2.6 };
    for (&at, &label) in points.iter().zip(labels).filter(|(at, _)| is_finite(**at)) {
        let SeriesStyle { color, marker, .. } = SeriesStyle::of(label as usize);
        panel.page.shape(marker, panel.place(at), radius, rgb(color).mix(0.6))?;
    }
    Ok(())
}

/// The name of each class and the middle of its points.
fn middles<'a>(
    panel: &Panel<'_, '_>,
    points: &[Point],
    labels: &[i64],
    class_names: &'a [String],
) -> Vec<(&'a str, Point)> {
    let middle = |(class, name): (usize, &'a String)| {
        let of_class = || points.iter().zip(labels).filter(|(_, label)| **label == class as i64);
        let x = median(of_class().map(|(point, _)| point.0))?;
        let y = median(of_class().map(|(point, _)| point.1))?;
        Some((name.as_str(), panel.place((x, y))))
    };
    class_names.iter().enumerate().filter_map(middle).collect()
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn cloud_name() -> Text {
    Text::new(NAME_SIZE).bold().anchor(HPos::Center, VPos::Center)
}

/// Writes each name at its point, or as close as possible without an overlap; a line connects a name that was moved
/// with its point.
fn name_clouds(panel: &Panel<'_, '_>, names: &[(&str, Point)]) -> Result<()> {
    const WIDEST: f64 = 240.0;
    let fitted = |(name, _): &(&str, Point)| cloud_name().fitted(name, WIDEST);
    let texts: Vec<(Text, String)> = names.iter().map(fitted).collect();
    let points: Vec<Point> = names.iter().map(|(_, point)| *point).collect();
    let widths: Vec<f64> = texts.iter().map(|(style, text)| style.width(text)).collect();
    let boxes = name_boxes(&widths, &points, panel.area);
    for (rect, point) in boxes.iter().zip(&points) {
        let (x, y) = rect.centre();
        if (x - point.0).abs() > rect.width / 2.0 || (y - point.1).abs() > rect.height / 2.0 {
            panel.page.line(&[(x, y), *point], 1.2, INK, None)?;
        }
    }
    for ((style, text), rect) in texts.iter().zip(&boxes) {
        panel.page.text_on_white(text, rect.centre(), *style)?;
    }
    Ok(())
}

/// The area of each text with its white rim, around its point, or moved where two would overlap.
fn name_boxes(widths: &[f64], points: &[Point], area: Rect) -> Vec<Rect> {
    let (rim, height) = (4.0, 1.3 * NAME_SIZE);
    let around = |(width, &(x, y)): (&f64, &Point)| {
        Rect::new(x - width / 2.0 - rim, y - height / 2.0, width + 2.0 * rim, height)
    };
    let mut boxes: Vec<Rect> = widths.iter().zip(points).map(around).collect();
    spread(&mut boxes, area);
    boxes
}

/// Moves boxes into `area`, and pushes overlapping ones apart, each by half of what is needed, vertically or
/// horizontally, whichever is shorter.
///
/// Deterministic: of two boxes with the same middle the first moves up or left. If there is not enough room for all
/// boxes, some still overlap after a few hundred rounds.
fn spread(boxes: &mut [Rect], area: Rect) {
    let inside = |rect: &mut Rect| {
        rect.left = rect.left.min(area.right() - rect.width).max(area.left);
        rect.top = rect.top.min(area.bottom() - rect.height).max(area.top);
    };
    boxes.iter_mut().for_each(inside);
    // Slightly more than half, so that a row of boxes at the border does not converge for ever.
    let away = |a: f64, b: f64, by: f64| (by / 2.0 + 0.1) * if a <= b { -1.0 } else { 1.0 };
    for _ in 0..300 {
        let mut moved = false;
        for (first, second) in (1..boxes.len()).flat_map(|b| (0..b).map(move |a| (a, b))) {
            let (mut a, mut b) = (boxes[first], boxes[second]);
            let Some((wide, high)) = a.overlap(&b) else { continue };
            moved = true;
            let ((ax, ay), (bx, by)) = (a.centre(), b.centre());
            let (dx, dy) = match high <= wide {
                true => (0.0, away(ay, by, high)),
                false => (away(ax, bx, wide), 0.0),
            };
            (a.left, a.top, b.left, b.top) = (a.left + dx, a.top + dy, b.left - dx, b.top - dy);
            inside(&mut a);
            inside(&mut b);
            (boxes[first], boxes[second]) = (a, b);
        }
        if !moved {
            return;
        }
    }
}

/// One model of [`plot_accuracy_cost`].
#[derive(Debug, Clone, PartialEq)]
pub struct CostPoint {
    /// Name of the model.
    pub name: String,
    /// Its cost, in the unit of the axis.
    pub cost: f64,
    /// Its accuracy, in 0..=1.
    pub accuracy: f64,
    /// The accuracy's 95% interval, low and high.
    pub interval: [f64; 2],
}

/// Accuracy against cost, a point with its 95% interval for each model; up and to the left is better.
///
/// The cost axis is logarithmic if the most expensive model costs more than four times as much as the cheapest.
///
/// # Errors
/// If there is no model, or a number is not finite.
pub fn plot_accuracy_cost(title: &str, cost_name: &str, points: &[CostPoint]) -> Result<Figure> {
    if let Some(point) = points.iter().find(|point| !point.is_finite()) {
        return Err(Error::drawing(format!(
            "model `{}` has a cost or an accuracy that is no finite number; run its notebook again",
            clean_text(&point.name)
        )));
    }
    let costs = || points.iter().map(|point| point.cost);
    let (low, high) = (costs().fold(f64::INFINITY, f64::min), costs().fold(0.0, f64::max));
    // Longer, for the names beside the points.
    let x = Axis::around(cost_name, costs(), low > 0.0 && high > 4.0 * low)?.longer(0.12);
    let ends = points.iter().flat_map(|point| point.interval).map(|end| 100.0 * end);
    let y = Axis::around("Test accuracy (%)", ends, false)?.of_percent();
    let told: Vec<String> = points.iter().map(CostPoint::described).collect();
    let alt =
        format!("{title}: test accuracy with 95% intervals over {cost_name}; {}.", told.join(", "));
    let entries = markers(points.iter().map(|point| &point.name));
    // A phone has no room for names at the points.
    let legends: [&[LegendEntry]; 2] = [&[], &entries];
    let (desk, phone, axes) = ((720.0, 400.0), 280.0, (x, y));
    let chart = Chart { title, axes, legends, desk, phone, beside: 0.0, alt };
    chart.draw(|panel, screen| {
        let looks = || points.iter().enumerate().map(|(index, at)| (at, SeriesStyle::of(index)));
        for (point, look) in looks() {
            let [low, _, high] = point.places(panel);
            panel.page.interval([low, high], 6.0, 1.8, look.color)?;
        }
        if screen == Screen::Desk {
            name_points(panel, points)?;
        }
        // Drawn last, so that no name covers a point.
        looks().try_for_each(|(point, look)| {
            panel.page.mark(look.marker, point.places(panel)[1], 5.5, look.color)
        })
    })
}

/// Writes the name of each point right of it, or left of it if only that side is free.
fn name_points(panel: &Panel<'_, '_>, points: &[CostPoint]) -> Result<()> {
    let bar = |point: &CostPoint| {
        let [(x, low), _, (_, high)] = point.places(panel);
        Rect::new(x - 6.0, high, 12.0, low - high)
    };
    let bars: Vec<Rect> = points.iter().map(bar).collect();
    let is_free = |area: &Rect| {
        area.left > panel.area.left && bars.iter().all(|bar| area.overlap(bar).is_none())
    };
    let (mut names, mut boxes) = (Vec::new(), Vec::new());
    for (index, point) in points.iter().enumerate() {
        let style = Text::new(NAME_SIZE).bold().color(SeriesStyle::of(index).color);
        let (style, name) = style.fitted(&point.name, panel.area.width / 2.0 - 20.0);
        let ([_, (x, y), _], width) = (point.places(panel), style.width(&name));
        let right = Rect::new(panel.left_beside(x, 12.0, width), y - 8.0, width, 16.0);
        let left = Rect { left: x - 12.0 - width, ..right };
        boxes.push(if !is_free(&right) && is_free(&left) { left } else { right });
        names.push((style.anchor(HPos::Left, VPos::Center), name));
    }
    // Names that would overlap are moved apart.
    spread(&mut boxes, panel.area);
    for ((style, name), area) in names.iter().zip(&boxes) {
        panel.page.text_on_white(name, (area.left, area.centre().1), *style)?;
    }
    Ok(())
}

impl CostPoint {
    fn is_finite(&self) -> bool {
        let numbers = [self.cost, self.accuracy, self.interval[0], self.interval[1]];
        numbers.iter().all(|number| number.is_finite())
    }

    /// The low end of the interval, the accuracy and the high end on the page.
    fn places(&self, panel: &Panel<'_, '_>) -> [Point; 3] {
        let [low, high] = self.interval;
        [low, self.accuracy, high].map(|share| panel.place((self.cost, 100.0 * share)))
    }

    /// `cnn 95.17% (94.68 to 95.61) at 2590`.
    fn described(&self) -> String {
        let CostPoint { name, cost, accuracy, interval: [low, high] } = self;
        let [accuracy, low, high] = [accuracy, low, high].map(|share| 100.0 * share);
        format!("{name} {accuracy:.2}% ({low:.2} to {high:.2}) at {}", short(*cost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlapping(boxes: &[Rect]) -> usize {
        let apart = |a: &Rect, b: &Rect| a.overlap(b).is_none();
        let pairs = (0..boxes.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
        pairs.filter(|&(a, b)| !apart(&boxes[a], &boxes[b])).count()
    }

    /// The middles of three classes from a former figure of notebook 11, in which the names overlapped.
    #[test]
    fn names_of_clouds_that_lie_close_do_not_overlap() {
        let area = Rect::new(62.0, 36.0, 574.0, 434.0);
        let widths = ["Trouser", "Dress", "T-shirt/top"].map(|name| cloud_name().width(name));
        let points = [(327.0, 142.0), (361.0, 148.5), (408.0, 157.0)];
        let alone: Vec<Rect> =
            (0..3).flat_map(|i| name_boxes(&widths[i..=i], &points[i..=i], area)).collect();
        assert!(overlapping(&alone) >= 2, "the case is one that overlaps");
        let boxes = name_boxes(&widths, &points, area);
        assert_eq!(overlapping(&boxes), 0, "{boxes:?}");
        for (a, b) in boxes.iter().zip(&alone) {
            let (x, y) = (a.centre().0 - b.centre().0, a.centre().1 - b.centre().1);
            assert!(x.hypot(y) < 30.0, "no name goes far: {boxes:?}");
        }
        assert_eq!(boxes, name_boxes(&widths, &points, area), "the same each time");
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
