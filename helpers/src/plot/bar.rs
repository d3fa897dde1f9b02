//! Bars with their values.

use plotters::style::text_anchor::{HPos, VPos};

use super::axes::{Axis, Chart, LegendEntry, Sign, bar};
use super::figure::Figure;
use super::page::{Rect, Text};
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
        let many = self.series.len() > 1;
        let (thickness, between) = if many { (13.0, 11.0) } else { (19.0, 9.0) };
        let group = thickness * self.series.len() as f64 + between;
        let y = Axis::of_names("", self.names.clone()).reversed();
        let all = || self.series.iter().flat_map(|(_, values)| values).copied();
        let length = |value: f64| if value.is_finite() { self.factor * value } else { 0.0 };
        let longest = all().map(length).fold(0.0, f64::max);
        let end = if longest > 0.0 { 1.04 * longest } else { 1.0 };
        let mut x = Axis::new(&self.value_name, 0.0, end);
        x.whole = self.digits == Some(0);
        let entry = |(index, (name, _)): (usize, &(String, Vec<f64>))| {
            (name.clone(), SeriesStyle::of_part(name, index), Sign::Block(index))
        };
        let entries: Vec<LegendEntry> = self.series.iter().enumerate().map(entry).collect();
        let style = Text::new(TICK_SIZE).anchor(HPos::Left, VPos::Center);
        let beside = style.widest(all().map(|value| self.text(value)), 200.0).max(48.0);
        let width = 498.0 + y.clone().with_names(420.0).room_left() + beside;
        let height = group * self.names.len() as f64 + x.room_below() + 6.0;
        let chart = Chart {
            title: &self.title,
            axes: (x, y),
            legends: [if many { &entries } else { &[] }; 2],
            desk: (width, height + 42.0),
            phone: height + 16.0,
            beside,
            alt: self.alt(),
        };
        chart.draw(|panel, _| {
            for (index, (series, values)) in self.series.iter().enumerate() {
                for (row, &value) in values.iter().enumerate() {
                    let top = row as f64 + (between / 2.0 + thickness * index as f64) / group;
                    let (left, upper) = panel.place((0.0, top));
                    let end = panel.place((length(value), top + (thickness - 1.5) / group));
                    let area = Rect::new(left, upper, end.0 - left, end.1 - upper);
                    bar(panel.page, area, SeriesStyle::of_part(series, index).color, index)?;
                    let end = (area.right() + 6.0, area.centre().1);
                    panel.page.text_on_white(&self.text(value), end, style)?;
                }
            }
            Ok(())
        })
    }

    fn check(&self) -> Result<()> {
        let names = self.names.len();
        for (series, values) in &self.series {
            let (series, count) = (clean_text(series), values.len());
            if count != names {
                return Err(Error::drawing(format!(
                    "series `{series}` has {count} values for {names} names; give one for each"
                )));
            }
            if values.iter().any(|&value| value < 0.0) {
                return Err(Error::drawing(format!(
                    "series `{series}` holds a value below 0; bars start at 0, draw a line chart"
                )));
            }
        }
        match self.series.is_empty() || names == 0 {
            true => Err(Error::drawing("the bar chart is empty; add names and one series")),
            false => Ok(()),
        }
    }

    fn alt(&self) -> String {
        let told = self.series.iter().map(|(series, values)| {
            let values = self.names.iter().zip(values);
            let values = values.map(|(name, &value)| format!("{name} {}", self.text(value)));
            format!("{series}: {}", values.collect::<Vec<_>>().join(", "))
        });
        let told = told.collect::<Vec<_>>().join("; ");
        format!("{} ({}). {told}.", self.title, self.value_name)
    }
}
