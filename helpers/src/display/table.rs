//! A table with columns, units, rows and a caption; as HTML and as aligned text.

use std::fmt;

use super::chart;
use super::class::{BEST, NUMBER, SHADED, TABLE, TOTAL};
use super::{show, shows_its_html};
use crate::text::{clean_sentence, clean_text, escape_html, escape_sentence, with_thousands};

/// The format of the values of a [`Column`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text as it is, aligned left.
    Text,
    /// Whole numbers with a comma every three digits, aligned right.
    Integer,
    /// This many digits after the point, aligned right.
    Decimal(usize),
    /// Fractions, multiplied by 100, with this many digits after the point, aligned right; the unit is `%`.
    Percent(usize),
}

/// A column of a [`Table`]: its name, its unit and how its values are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name in the header.
    pub name: String,
    /// The unit, also in the header; empty for none.
    pub unit: String,
    /// How values are written.
    pub format: Format,
}

impl Column {
    fn new(name: impl Into<String>, unit: &str, format: Format) -> Column {
        Column { name: name.into(), unit: unit.to_owned(), format }
    }

    /// A column of text.
    pub fn text(name: impl Into<String>) -> Column {
        Column::new(name, "", Format::Text)
    }

    /// A column of numbers that are already text, such as `3e-12` or `93.9 to 94.7`, aligned right.
    pub fn number_text(name: impl Into<String>) -> Column {
        Column::new(name, "", Format::Integer)
    }

    /// A column of whole numbers.
    pub fn integer(name: impl Into<String>) -> Column {
        Column::new(name, "", Format::Integer)
    }

    /// A column of numbers with `digits` after the point.
    pub fn decimal(name: impl Into<String>, digits: usize) -> Column {
        Column::new(name, "", Format::Decimal(digits))
    }

    /// A column of fractions shown as percent, with `digits` after the point.
    pub fn percent(name: impl Into<String>, digits: usize) -> Column {
        Column::new(name, "%", Format::Percent(digits))
    }

    /// The same column with a unit, which is also in the header.
    pub fn unit(mut self, unit: impl Into<String>) -> Column {
        self.unit = unit.into();
        self
    }

    fn head(&self) -> String {
        if self.unit.is_empty() {
            self.name.clone()
        } else {
            format!("{} ({})", self.name, self.unit)
        }
    }

    /// The class attribute and the alignment of the column's cells.
    fn class_and_alignment(&self) -> (String, &'static str) {
        match self.format {
            Format::Text => (String::new(), "left"),
            _ => (format!(" class=\"{NUMBER}\""), "right"),
        }
    }
}

/// One value of a [`Table`].
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Text, shown as it is in any column.
    Text(String),
    /// A number, in the format of its column.
    Number(f64),
    /// A number on the colour of the train part, and how strong that is: from 0, pale, to 1, where it is also bold.
    Shaded(f64, f64),
    /// No value; shown as a dash.
    Missing,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

impl From<&String> for Cell {
    fn from(text: &String) -> Cell {
        Cell::Text(text.clone())
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Cell {
        Cell::Number(number)
    }
}

impl From<f32> for Cell {
    fn from(number: f32) -> Cell {
        Cell::Number(number.into())
    }
}

macro_rules! cell_from_integer {
    ($($integer:ty),*) => {$(
        impl From<$integer> for Cell {
            fn from(number: $integer) -> Cell {
                Cell::Number(number as f64)
            }
        }
    )*};
}
cell_from_integer!(i32, i64, u32, u64, usize);

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or(Cell::Missing, Into::into)
    }
}

impl Cell {
    /// The class and the style of a shaded cell; nothing for others.
    fn shade(&self) -> (String, String) {
        let Cell::Shaded(_, strength) = self else { return Default::default() };
        let [red, green, blue] = chart::TRAIN;
        // Text in the page's own colour can be read on half of the colour, on a light page and on a dark one.
        let opacity = 0.05 + 0.45 * strength;
        let bold = if *strength >= 1.0 { ";font-weight:bold" } else { "" };
        let style = format!(";background:rgba({red},{green},{blue},{opacity:.2}){bold}");
        (format!(" class=\"{NUMBER} {SHADED}\""), style)
    }

    fn text(&self, format: Format) -> String {
        match self {
            Cell::Text(text) => clean_text(text),
            Cell::Missing => "–".to_owned(),
            Cell::Number(number) | Cell::Shaded(number, _) if !number.is_finite() => {
                if number.is_nan() {
                    "–".to_owned()
                } else if *number > 0.0 {
                    "∞".to_owned()
                } else {
                    "−∞".to_owned()
                }
            }
            Cell::Number(number) | Cell::Shaded(number, _) => match format {
                Format::Text => number.to_string(),
                Format::Integer => with_thousands(*number, 0),
                Format::Decimal(digits) => with_thousands(*number, digits),
                Format::Percent(digits) => with_thousands(100.0 * number, digits),
            },
        }
    }
}

/// A table that a cell can show: aligned columns with units in the header, a caption, the best row marked.
///
/// ```
/// use helpers::display::{Column, Table};
/// let table = Table::new([Column::text("Model"), Column::percent("Test accuracy", 2), Column::decimal("Training", 0).unit("s")])
///     .row(["CNN".into(), 0.9321.into(), 412.0.into()])
///     .row(["Baseline".into(), 0.9064.into(), 41.0.into()])
///     .best(0)
///     .caption("Test scores.");
/// assert!(table.to_html().contains("Test accuracy (%)"));
/// ```
#[derive(Clone, PartialEq)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    best: Vec<usize>,
    closing: usize,
    caption: String,
}

impl Table {
    /// An empty table with these columns.
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Table {
        Table {
            columns: columns.into_iter().collect(),
            rows: Vec::new(),
            best: Vec::new(),
            closing: 0,
            caption: String::new(),
        }
    }

    /// The table with an additional row; cells that the row lacks are missing.
    pub fn row(&self, cells: impl IntoIterator<Item = Cell>) -> Table {
        self.with(|table| table.push(cells))
    }

    /// Adds a row in place.
    pub fn push(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut row: Vec<Cell> = cells.into_iter().take(self.columns.len()).collect();
        row.resize(self.columns.len(), Cell::Missing);
        self.rows.push(row);
    }

    /// Marks a row (from 0) as the best one, in bold and with a star; several rows can be marked.
    pub fn best(&self, row: usize) -> Table {
        self.with(|table| table.best.push(row))
    }

    /// Draws a line above the last `rows` rows, which are totals or means.
    pub fn rule_above_last(&self, rows: usize) -> Table {
        self.with(|table| table.closing = rows)
    }

    /// The sentence above the table, in italics.
    pub fn caption(&self, caption: impl Into<String>) -> Table {
        self.with(|table| table.caption = caption.into())
    }

    /// Adds the table's number before the caption: `table.label("Table 4.1")`.
    pub fn label(&self, label: &str) -> Table {
        self.with(|table| {
            table.caption = format!("{label}. {}", table.caption).trim_end().to_owned()
        })
    }

    /// A changed copy. The builder methods take `&self`: see the module's documentation.
    fn with(&self, change: impl FnOnce(&mut Table)) -> Table {
        let mut table = self.clone();
        change(&mut table);
        table
    }

    /// Number of rows, without the header.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the table has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as HTML, with all texts escaped.
    pub fn to_html(&self) -> String {
        let mut html =
            format!("<table class=\"{TABLE}\" style=\"border-collapse:collapse;margin:0.5em 0\">");
        if !self.caption.is_empty() {
            html += &format!(
                "<caption style=\"caption-side:top;text-align:left;font-style:italic;padding:0 0 0.4em 0\">{}</caption>",
                escape_sentence(&self.caption)
            );
        }
        html += "<thead><tr>";
        for column in &self.columns {
            let (class, alignment) = column.class_and_alignment();
            html += &format!(
                "<th{class} scope=\"col\" style=\"text-align:{alignment};padding:0.25em 0.9em;border-bottom:2px solid currentColor\">{}</th>",
                escape_html(&column.head())
            );
        }
        html += "</tr></thead><tbody>";
        for (index, row) in self.rows.iter().enumerate() {
            html += &self.row_html(index, row);
        }
        html + "</tbody></table>"
    }

    fn row_html(&self, index: usize, row: &[Cell]) -> String {
        let (best, total) = (self.best.contains(&index), self.closes_at(index));
        let mut html = match (best, total) {
            (true, _) => format!("<tr class=\"{BEST}\" style=\"font-weight:bold\">"),
            (false, true) => format!("<tr class=\"{TOTAL}\">"),
            (false, false) => "<tr>".to_owned(),
        };
        let line = if total { ";border-top:1px solid currentColor" } else { "" };
        for (number, (cell, column)) in row.iter().zip(&self.columns).enumerate() {
            let (of_column, alignment) = column.class_and_alignment();
            let (of_cell, shade) = cell.shade();
            let class = if of_cell.is_empty() { of_column } else { of_cell };
            let star = if best && number == 0 { " ★" } else { "" };
            html += &format!(
                "<td{class} style=\"text-align:{alignment};padding:0.2em 0.9em;font-variant-numeric:tabular-nums{line}{shade}\">{}{star}</td>",
                escape_html(&cell.text(column.format))
            );
        }
        html + "</tr>"
    }

    /// The table as lines of text, columns aligned.
    pub fn to_text(&self) -> String {
        let heads: Vec<String> =
            self.columns.iter().map(|column| clean_text(&column.head())).collect();
        let body: Vec<Vec<String>> = self
            .rows
            .iter()
            .enumerate()
            .map(|(index, row)| {
                let mut texts: Vec<String> = row
                    .iter()
                    .zip(&self.columns)
                    .map(|(cell, column)| cell.text(column.format))
                    .collect();
                if self.best.contains(&index)
                    && let Some(first) = texts.first_mut()
                {
                    first.push_str(" ★");
                }
                texts
            })
            .collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                body.iter()
                    .map(|row| &row[column])
                    .chain([&heads[column]])
                    .map(|text| text.chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let line = |texts: &[String]| {
            let mut line = String::new();
            for ((text, column), width) in texts.iter().zip(&self.columns).zip(&widths) {
                if !line.is_empty() {
                    line.push_str("  ");
                }
                line += &match column.format {
                    Format::Text => format!("{text:<width$}"),
                    _ => format!("{text:>width$}"),
                };
            }
            line.trim_end().to_owned()
        };
        let rule = "-".repeat(widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1));
        let mut lines = Vec::new();
        if !self.caption.is_empty() {
            lines.push(clean_sentence(&self.caption));
        }
        lines.push(line(&heads));
        lines.push(rule.clone());
        for (index, row) in body.iter().enumerate() {
            if self.closes_at(index) {
                lines.push(rule.clone());
            }
            lines.push(line(row));
        }
        lines.join("\n")
    }

    /// True for the first row below the line.
    fn closes_at(&self, row: usize) -> bool {
        self.closing > 0 && row > 0 && row + self.closing == self.rows.len()
    }

    /// Shows the table as the result of a cell.
    pub fn evcxr_display(&self) {
        show(&self.to_html(), &self.to_text());
    }
}

shows_its_html!(Table);

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} rows x {} columns)", self.rows.len(), self.columns.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_aligned_right_under_heads_with_units() {
        let table = Table::new([
            Column::text("Model"),
            Column::percent("Accuracy", 1),
            Column::decimal("Time", 0).unit("s"),
        ])
        .row(["CNN".into(), 0.9321.into(), 1234.6.into()])
        .row(["Baseline".into(), 0.9.into(), Cell::Missing])
        .best(0)
        .caption("Scores.");
        let expected = [
            "Scores.",
            "Model     Accuracy (%)  Time (s)",
            "--------------------------------",
            "CNN ★             93.2     1,235",
            "Baseline          90.0         –",
        ];
        assert_eq!(table.to_text(), expected.join("\n"));
        let html = table.to_html();
        assert!(html.contains("text-align:right") && html.contains(">Accuracy (%)</th>"), "{html}");
        assert!(html.contains("<tr class=\"best\" style=\"font-weight:bold\"><td"), "{html}");
        assert!(html.contains("<th class=\"number\" scope=\"col\""), "{html}");
        assert_eq!(format!("{table:?}"), "Table(2 rows x 3 columns)");
    }

    /// A cell that ends in `table.caption("…")` shows the table only if that does not move it.
    #[test]
    fn a_caption_leaves_the_table_where_it_is() {
        let table = Table::new([Column::integer("a")]).row([1.into()]);
        let captioned = table.caption("One.");
        assert_eq!(captioned.to_string(), format!("One.\n{table}"));
        assert_eq!(table.to_string(), "a\n-\n1");
    }

    #[test]
    fn a_short_row_is_filled_and_a_long_one_cut() {
        let table = Table::new([Column::integer("a"), Column::integer("b")]).row([1.into()]).row([
            1.into(),
            2.into(),
            3.into(),
        ]);
        assert_eq!(table.to_text().lines().skip(2).collect::<Vec<_>>(), ["1  –", "1  2"]);
    }

    #[test]
    fn a_line_stands_above_the_means() {
        let table = Table::new([Column::text("a")])
            .row(["x".into()])
            .row(["y".into()])
            .row(["mean".into()]);
        let text = table.rule_above_last(1).to_text();
        assert_eq!(text.lines().collect::<Vec<_>>(), ["a", "----", "x", "y", "----", "mean"]);
    }
}
