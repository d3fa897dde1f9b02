//! Class names of the HTML, which other programs look for. The inline styles are for JupyterLab, which does not have
//! our style sheet.

/// The class of a [`Table`](super::Table).
pub const TABLE: &str = "helpers-table";
/// A head or a cell of a column of numbers, aligned right.
pub const NUMBER: &str = "number";
/// A cell whose shade shows how good its number is, beside [`NUMBER`].
pub const SHADED: &str = "shaded";
/// The row marked as the best one.
pub const BEST: &str = "best";
/// The first of the rows of totals or means, below a line.
pub const TOTAL: &str = "total";
/// The progress of a cell: a bar and words.
pub const PROGRESS_BAR: &str = "helpers-progress";
/// The line that takes the place of a bar when the work has ended.
pub const ENDED: &str = "helpers-ended";
/// The results of a running cell: charts, and folded lines.
pub const LIVE: &str = "helpers-live";
