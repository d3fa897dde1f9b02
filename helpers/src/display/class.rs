//! Classes of the HTML that is shown: what another program looks for. The styles beside them serve JupyterLab, which
//! knows no style sheet of ours.

/// A [`Table`](super::Table).
pub const TABLE: &str = "helpers-table";
/// A head or a cell of a column of numbers, aligned right.
pub const NUMBER: &str = "number";
/// The row marked as the best one.
pub const BEST: &str = "best";
/// The first of the rows of totals or means, below a line.
pub const TOTAL: &str = "total";
/// How far a cell has come: a bar and words.
pub const PROGRESS_BAR: &str = "helpers-progress";
/// What was found while a cell ran: charts, and lines that are folded away.
pub const LIVE: &str = "helpers-live";
