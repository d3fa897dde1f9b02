//! What a cell shows: HTML tables and pictures by evcxr's display protocol, and how far it has come while it runs.
//!
//! A value that ends a cell shows itself through its method `evcxr_display`, which hands [`show`] two texts: HTML for
//! the page, and plain text for the terminal and for logs. Start at [`Table`]; what changes while a cell runs is a
//! [`LiveDisplay`].
//!
//! # A value must not be moved by the expression that shows it
//!
//! evcxr compiles the last expression of a cell as `(expression).evcxr_display()` and then stores every variable. If the
//! expression moves a variable (`table.caption("…")` with a `caption(self)`), the store is refused with E0382; one span
//! of that error lies in the expression, so evcxr gives up on `evcxr_display` and prints `{:?}` instead. Therefore every
//! method of a type that shows itself, and that a cell may end with, takes `&self`: builder methods give a changed copy.
//!
//! # Names that other programs look for
//!
//! The export of the notebooks (`tools/template`) knows what is shown here by the classes of [`class`], and leaves out
//! lines that begin with [`PROGRESS`]. It refuses a page that shows the `{:?}` of a public type, whose `Debug` text begins
//! with its name and `(`, `:` or `{`.

pub(crate) mod chart;
mod live;
mod loading;
mod progress;
mod protocol;
mod show;
mod table;

pub(crate) use live::FRONT;
pub use live::LiveDisplay;
pub(crate) use progress::{Bar, Board, Ticker, print_line};
pub use protocol::{blocks, show};
pub(crate) use show::shows_its_html;
pub use show::{Show, ShowResult};
pub use table::{Cell, Column, Format, Table};

/// Begins each line that is of interest only while a cell runs.
pub const PROGRESS: &str = "… ";

/// Classes of the HTML that is shown: what another program looks for. The styles beside them serve JupyterLab, which
/// knows no style sheet of ours.
pub mod class {
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
}
