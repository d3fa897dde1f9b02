//! What a cell shows: HTML tables and pictures by evcxr's display protocol, and the progress while it runs.
//!
//! The last value of a cell is shown by its method `evcxr_display`, which passes two texts to [`show`]: HTML for the
//! page, and plain text for the terminal and for logs. Start at [`Table`]; for content that changes while a cell runs
//! there is [`LiveDisplay`].
//!
//! # A value must not be moved by the expression that shows it
//!
//! evcxr compiles the last expression of a cell as `(expression).evcxr_display()` and then stores every variable. If
//! the expression moves a variable (`table.caption("…")` with a `caption(self)`), storing it fails with E0382. One span
//! of that error is in the expression, so evcxr does not use `evcxr_display` and prints `{:?}` instead. Therefore every
//! method that a cell may end with, of a type that can be shown, takes `&self`: builder methods return a changed copy.
//!
//! # Names that other programs look for
//!
//! The export of the notebooks (`tools/template`) knows what is shown here by the classes of [`class`], and leaves out
//! lines that begin with [`PROGRESS`]. It refuses a page that shows the `{:?}` of a public type, whose `Debug` text begins
//! with its name and `(`, `:` or `{`.

pub(crate) mod chart;
pub mod class;
mod live;
mod loading;
mod progress;
mod protocol;
mod show;
mod table;

pub(crate) use live::FRONT;
pub use live::LiveDisplay;
pub use progress::PROGRESS;
pub(crate) use progress::{Bar, Board, Ticker, print_line};
pub use protocol::{blocks, show};
pub(crate) use show::shows_its_html;
pub use show::{Show, ShowResult};
pub use table::{Cell, Column, Format, Table};
