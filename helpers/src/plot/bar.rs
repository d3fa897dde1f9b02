//! Bars with their values.

use plotters::style::text_anchor::{HPos, VPos};

use super::axes::{Axis, LegendEntry, Panel, Sign, bar, legend, legend_width, phone_layout};
use super::figure::{Figure, NARROW, Screen};
use super::page::{Rect, Text, draw};
use super::style::{SeriesStyle, TICK_SIZE};
use crate::text::{clean_text, short, with_thousands};
use crate::{Error, Result};

/// Horizontal bars, one for each name and series, the value at the end of each.
///
/// Horizontal, so that the names are easy to read. The bars of several series are below each other in each group, and
/// there is a legend; series named `train`, `validation` and `test` have the colour of those parts.
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
    /// Digits after the point; without it, about four digits in all.
    digits: Option<usize>,
    /// The factor for the displayed values: 100 for percent.
    factor: f64,
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
            factor: 1.0,
        }
    }

    /// Adds a series: a value for each name, at least 0.
    pub fn bars(mut self, series: impl Into<String>, values: &[f64]) -> BarChart {
        self.series.push((series.into(), values.to_vec()));
        self
    }

    /// Adds a series of counts, such as a class's number of images.
    pub fn counts(self, series: impl Into<String>, counts: &[usize]) -> BarChart {
        let values: Vec<f64> = counts.iter().map(|&count| count as f64).collect();
        let mut chart = self.bars(series, &values);
        chart.digits = Some(0);
        chart
    }

    /// Shows the values, which are fractions, as percent with this many digits after the point.
    pub fn percent(mut self, digits: usize) -> BarChart {
        self.factor = 100.0;
        self.digits = Some(digits);
        self
    }

    fn text(&self, value: f64) -> String {
        match self.digits {
            _ if !value.is_finite() => "–".to_owned(),
            Some(digits) => with_thousands(self.factor * value, digits),
            None => short(self.factor * value),
        }
    }

    /// Draws the chart.
    ///
    /// # Errors
    /// If there is no bar, or a series has more or fewer values than there are names, or a value below 0.
    pub fn plot(&self) -> Result<Figure> {
        self.check()?;
        Figure::for_each_screen(&self.title, |screen| self.drawn(screen))
    }

    fn drawn(&self, screen: Screen) -> Result<Figure> {
        let many = self.series.len() > 1;
        let (thickness, between) = if many { (13.0, 11.0) } else { (19.0, 9.0) };
        let group = thickness * self.series.len() as f64 + between;
        let widest_name = if screen == Screen::Phone { 120.0 } else { 420.0 };
        let fitted = |name: &String| Text::new(TICK_SIZE).fitted(name, widest_name).1;
        let y = Axis::of_names("", self.names.iter().map(fitted).collect()).reversed();
        let all = || self.series.iter().flat_map(|(_, values)| values).copied();
        let length = |value: f64| if value.is_finite() { self.factor * value } else { 0.0 };
        let longest = all().map(length).fold(0.0, f64::max);
        let mut x =
            Axis::new(&self.value_name, 0.0, if longest > 0.0 { 1.04 * longest } else { 1.0 });
        x.whole = self.digits == Some(0);
        let entry = |(index, (name, _)): (usize, &(String, Vec<f64>))| {
            (name.clone(), SeriesStyle::of_part(name, index), Sign::Block(index))
        };
        let entries: Vec<LegendEntry> = self.series.iter().enumerate().map(entry).collect();
        let named: &[LegendEntry] = if many { &entries } else { &[] };
        let value_style = Text::new(TICK_SIZE).anchor(HPos::Left, VPos::Center);
        let room = value_style.widest(all().map(|value| self.text(value)), 200.0).max(48.0);
        let height = group * self.names.len() as f64 + 6.0;
        let left = 10.0 + y.room_left();
        let (title, area, width, corner) = match screen {
            Screen::Desk => {
                let area = Rect::new(left, 40.0, 470.0, height);
                let beside = if many { legend_width(named) + 10.0 } else { 0.0 };
                let width = area.right() + room + 16.0 + beside;
                (self.title.as_str(), area, width, (width - beside, area.top))
            }
            Screen::Phone => {
                // With the widest names and values there is none.
                let width = NARROW.max(left + 80.0 + room + 10.0);
                let length = width - left - room - 10.0;
                x = x.within(length);
                let ((_, top), _, corner) = phone_layout(named, 8.0);
                ("", Rect::new(left, top, length, height), width, corner)
            }
        };
        let size = (width, area.bottom() + x.room_below() + 6.0);
        draw(size, self.alt(), |page| {
            let panel = Panel::at(page, area, title, (x, y))?;
            for (index, (series, values)) in self.series.iter().enumerate() {
                for (row, &value) in values.iter().enumerate() {
                    let top = row as f64 + (between / 2.0 + thickness * index as f64) / group;
                    let (left, upper) = panel.place((0.0, top));
                    let end = panel.place((length(value), top + (thickness - 1.5) / group));
                    let area = Rect::new(left, upper, end.0 - left, end.1 - upper);
                    bar(page, area, SeriesStyle::of_part(series, index).color, index)?;
                    let end = (area.right() + 6.0, area.centre().1);
                    page.text_on_white(&self.text(value), end, value_style)?;
                }
            }
            legend(page, named, corner)
        })
    }

    fn check(&self) -> Result<()> {
        let refused = |message: String| Err(Error::drawing(message));
        for (series, values) in &self.series {
            let series = clean_text(series);
            if values.len() != self.names.len() {
                return refused(format!(
                    "series `{series}` has {} values for {} names; give one for each",
                    values.len(),
                    self.names.len()
                ));
            }
            if values.iter().any(|&value| value < 0.0) {
                return refused(format!(
                    "series `{series}` holds a value below 0; bars start at 0, draw a line chart"
                ));
            }
        }
        if self.series.is_empty() || self.names.is_empty() {
            return refused("the bar chart is empty; add names and one series".to_owned());
        }
        Ok(())
    }

    fn alt(&self) -> String {
        let described = self.series.iter().map(|(series, values)| {
            let values = self.names.iter().zip(values);
            let values = values.map(|(name, &value)| format!("{name} {}", self.text(value)));
            format!("{series}: {}", values.collect::<Vec<_>>().join(", "))
        });
        let described: Vec<String> = described.collect();
        format!("{} ({}). {}.", self.title, self.value_name, described.join("; "))
    }
}
