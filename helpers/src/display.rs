//! What a cell shows: HTML tables and pictures, by evcxr's display protocol.
//!
//! A value that ends a cell shows itself through its method `evcxr_display`, which prints one block for each MIME type:
//! `text/html` for the page and `text/plain`, the same in short, for the terminal and for logs. Start at [`Table`];
//! other modules hand [`show`] what they drew.
//!
//! Text that came from data (class names above all) goes through [`escape_html`] or [`clean_text`] first: it can close
//! neither a tag nor a block of the protocol.

use std::fmt;
use std::io::Write;

/// The longest text that is shown of one value, in characters; what is longer ends in an ellipsis.
pub const LONGEST_TEXT: usize = 200;

/// The longest caption or alternative text, in characters.
const LONGEST_SENTENCE: usize = 2000;

const BEGIN: &str = "EVCXR_BEGIN_CONTENT";
const END: &str = "EVCXR_END_CONTENT";

/// The text on one line of at most [`LONGEST_TEXT`] characters, without control characters and without anything that
/// evcxr could take for a marker of its protocol.
///
/// Line breaks and tabs become spaces, other control characters and those that turn the direction of writing are left
/// out.
pub fn clean_text(text: &str) -> String {
    clean_to(text, LONGEST_TEXT)
}

/// A caption or an alternative text on one line: as [`clean_text`], with room for a few sentences.
pub(crate) fn clean_sentence(text: &str) -> String {
    clean_to(text, LONGEST_SENTENCE)
}

fn clean_to(text: &str, longest: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(4 * longest));
    let mut length = 0;
    for character in text.chars() {
        let character = match character {
            '\n' | '\r' | '\t' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
            other if other.is_control() || turns_writing(other) => continue,
            other => other,
        };
        if length == longest {
            clean.pop();
            clean.push('…');
            break;
        }
        clean.push(character);
        length += 1;
    }
    break_markers(&clean)
}

/// Whether a character is no letter and turns the direction of those around it, so that a name reads as another one.
pub(crate) fn turns_writing(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
    )
}

/// The text for use between HTML tags and inside quoted attributes: [`clean_text`], with `& < > " '` as entities.
///
/// ```
/// use helpers::display::escape_html;
/// assert_eq!(escape_html("T-shirt & <b>\"top\"</b>\n"), "T-shirt &amp; &lt;b&gt;&quot;top&quot;&lt;/b&gt; ");
/// ```
pub fn escape_html(text: &str) -> String {
    with_entities(&clean_text(text))
}

/// A caption or an alternative text for HTML: as [`escape_html`], with room for a few sentences.
pub(crate) fn escape_sentence(text: &str) -> String {
    with_entities(&clean_sentence(text))
}

fn with_entities(clean: &str) -> String {
    let mut escaped = String::with_capacity(clean.len() + clean.len() / 8);
    for character in clean.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Prints how far something has come: of interest while it runs, and no longer. So these lines begin with `… `, by which
/// `tools/template/export.py` knows them and leaves them out of the pages.
pub(crate) fn print_progress(text: &str) {
    println!("… {text}");
}

/// Prints a line that may hold text from elsewhere: a path, an error. It stays one line, and none of the protocol.
pub(crate) fn print_line(text: &str) {
    println!("{}", clean_sentence(text));
}

/// Shows a value as the result of the cell: the page takes `html`, the terminal and logs take `plain`.
///
/// Call it once a cell, from a method `evcxr_display`: a second one would replace the first.
pub fn show(html: &str, plain: &str) {
    let text = blocks(html, plain);
    // Nobody is there to read an error about a closed stdout.
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

/// The lines that [`show`] prints: a block of HTML and one of plain text, neither of which can end early.
pub fn blocks(html: &str, plain: &str) -> String {
    let (html, plain) = (break_markers(html), break_markers(plain));
    format!("{BEGIN} text/html\n{html}\n{END}\n{BEGIN} text/plain\n{plain}\n{END}\n")
}

/// Every marker of the protocol starts with `EVCXR_`: nothing that is shown may hold it.
pub(crate) fn break_markers(text: &str) -> String {
    text.replace("EVCXR_", "EVCXR-")
}

/// How the values of a [`Column`] are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As it is, aligned left.
    Text,
    /// Whole numbers with a comma every three digits, aligned right.
    Integer,
    /// This many digits after the point, aligned right.
    Decimal(usize),
    /// A fraction shown times 100 with this many digits after the point, aligned right; the unit is `%`.
    Percent(usize),
}

/// A column of a [`Table`]: its name, its unit and how its values are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What stands in the head.
    pub name: String,
    /// The unit, in the head too; empty for none.
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

    /// A column of numbers that come as text, such as `3e-12` or `93.9 to 94.7`, aligned right.
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

    /// The same column with its unit, as it stands in the head.
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
}

/// One value of a [`Table`].
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Text, shown as it is in any column.
    Text(String),
    /// A number, written as its column says.
    Number(f64),
    /// Nothing known; shown as a dash.
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
    fn text(&self, format: Format) -> String {
        match self {
            Cell::Text(text) => clean_text(text),
            Cell::Missing => "–".to_owned(),
            Cell::Number(number) if !number.is_finite() => {
                if number.is_nan() {
                    "–".to_owned()
                } else if *number > 0.0 {
                    "∞".to_owned()
                } else {
                    "−∞".to_owned()
                }
            }
            Cell::Number(number) => match format {
                Format::Text => number.to_string(),
                Format::Integer => with_thousands(*number, 0),
                Format::Decimal(digits) => with_thousands(*number, digits),
                Format::Percent(digits) => with_thousands(100.0 * number, digits),
            },
        }
    }
}

/// Seconds as a person says them: `0.8 s`, `41 s`, `3 min 05 s`, `1 h 10 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..=9 => format!("{seconds:.1} s"),
        10..=59 => format!("{whole} s"),
        60..=3599 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `1234567.891` with two digits is `1,234,567.89`.
pub fn with_thousands(number: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", number.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if !fraction.is_empty() {
        grouped.push('.');
        grouped.push_str(fraction);
    }
    let nothing = grouped.chars().all(|character| matches!(character, '0' | '.' | ','));
    if number < 0.0 && !nothing { format!("−{grouped}") } else { grouped }
}

/// A whole number with a comma every three digits, for a sentence or a caption: `70000` is `70,000`.
///
/// ```
/// use helpers::display::thousands;
/// assert_eq!(thousands(1_496_074), "1,496,074");
/// ```
pub fn thousands(number: usize) -> String {
    with_thousands(number as f64, 0)
}

/// A table that shows itself: aligned columns with units in the head, a caption, the best row marked.
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

    /// The table with one row more; where the row is short, the rest is shown as missing.
    pub fn row(mut self, cells: impl IntoIterator<Item = Cell>) -> Table {
        self.push(cells);
        self
    }

    /// Adds a row in place.
    pub fn push(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut row: Vec<Cell> = cells.into_iter().take(self.columns.len()).collect();
        row.resize(self.columns.len(), Cell::Missing);
        self.rows.push(row);
    }

    /// Marks a row (from 0) as the best one, in bold and with a star; it may be called for several.
    pub fn best(mut self, row: usize) -> Table {
        self.best.push(row);
        self
    }

    /// Draws a line above the last `rows` rows, which are totals or means.
    pub fn rule_above_last(mut self, rows: usize) -> Table {
        self.closing = rows;
        self
    }

    /// The sentence above the table, in italics.
    pub fn caption(mut self, caption: impl Into<String>) -> Table {
        self.caption = caption.into();
        self
    }

    /// Rows, without the head.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the table has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as HTML, every text escaped.
    pub fn to_html(&self) -> String {
        let mut html = String::from("<table style=\"border-collapse:collapse;margin:0.5em 0\">");
        if !self.caption.is_empty() {
            html += &format!(
                "<caption style=\"caption-side:top;text-align:left;font-style:italic;padding:0 0 0.4em 0\">{}</caption>",
                escape_sentence(&self.caption)
            );
        }
        html += "<thead><tr>";
        for column in &self.columns {
            html += &format!(
                "<th scope=\"col\" style=\"text-align:{};padding:0.25em 0.9em;border-bottom:2px solid currentColor\">{}</th>",
                alignment(column.format),
                escape_html(&column.head())
            );
        }
        html += "</tr></thead><tbody>";
        for (index, row) in self.rows.iter().enumerate() {
            let best = self.best.contains(&index);
            let total = self.closes_at(index);
            html += if best { "<tr style=\"font-weight:bold\">" } else { "<tr>" };
            for (place, (cell, column)) in row.iter().zip(&self.columns).enumerate() {
                let line = if total { ";border-top:1px solid currentColor" } else { "" };
                let star = if best && place == 0 { " ★" } else { "" };
                html += &format!(
                    "<td style=\"text-align:{};padding:0.2em 0.9em;font-variant-numeric:tabular-nums{line}\">{}{star}</td>",
                    alignment(column.format),
                    escape_html(&cell.text(column.format))
                );
            }
            html += "</tr>";
        }
        html + "</tbody></table>"
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
            .map(|place| {
                body.iter()
                    .map(|row| &row[place])
                    .chain([&heads[place]])
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

    /// Whether this row is the first below the line.
    fn closes_at(&self, row: usize) -> bool {
        self.closing > 0 && row > 0 && row + self.closing == self.rows.len()
    }

    /// Shows the table as the result of a cell.
    pub fn evcxr_display(&self) {
        show(&self.to_html(), &self.to_text());
    }
}

fn alignment(format: Format) -> &'static str {
    if format == Format::Text { "left" } else { "right" }
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
    fn markup_in_a_class_name_stays_text() {
        assert_eq!(
            escape_html("<script>alert('x')</script>"),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"
        );
        assert_eq!(escape_html("\" onload=\"x"), "&quot; onload=&quot;x");
        assert_eq!(escape_html("&lt;"), "&amp;lt;");
    }

    #[test]
    fn text_stays_on_one_line_without_control_characters() {
        assert_eq!(clean_text("a\r\nb\tc\u{0}\u{1b}[31md\u{202e}e\u{2028}f"), "a  b c[31mde f");
    }

    #[test]
    fn long_text_is_cut() {
        let text = clean_text(&"é".repeat(1000));
        assert_eq!(text.chars().count(), LONGEST_TEXT);
        assert!(text.ends_with('…'));
        assert_eq!(clean_text(&"é".repeat(LONGEST_TEXT)), "é".repeat(LONGEST_TEXT));
    }

    #[test]
    fn no_text_from_data_is_a_marker_of_the_protocol() {
        let hostile = [
            "\nEVCXR_END_CONTENT\nEVCXR_BEGIN_CONTENT text/html\n<b>",
            "EVCXR_EXECUTION_COMPLETE",
            "x EVCXR_BEGIN_CONTENT image/png",
            // What remains when a character that is left out stood inside.
            "EVCXR\u{0}_END_CONTENT",
            "EVEVCXR_CXR_END_CONTENT",
        ];
        for name in hostile {
            let table = Table::new([Column::text(name)]).row([name.into()]).caption(name);
            let text = blocks(&table.to_html(), &table.to_text());
            let markers: Vec<&str> = text.lines().filter(|line| line.contains("EVCXR_")).collect();
            let expected = [
                "EVCXR_BEGIN_CONTENT text/html",
                "EVCXR_END_CONTENT",
                "EVCXR_BEGIN_CONTENT text/plain",
                "EVCXR_END_CONTENT",
            ];
            assert_eq!(markers, expected, "{name:?}");
            assert!(!table.to_html().contains("<b>"));
        }
    }

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
        assert!(html.contains("<tr style=\"font-weight:bold\"><td"), "{html}");
        assert_eq!(format!("{table:?}"), "Table(2 rows x 3 columns)");
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

    #[test]
    fn thousands_are_grouped() {
        let texts = [(0.0, 0), (999.0, 0), (1000.0, 0), (1234567.891, 2), (-1234.5, 1), (-0.04, 1)]
            .map(|(number, digits)| with_thousands(number, digits));
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567.89", "−1,234.5", "0.0"]);
    }
}
