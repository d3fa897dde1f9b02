//! Messages between the front and the relay: one JSON value per line over a Unix socket. The stand-ins for cargo and
//! rustc reach the front in two other ways: rustc's messages through a file, the reason for using cargo through evcxr's
//! output.

use std::collections::BTreeMap;
use std::{env, fs};

use serde::{Deserialize, Serialize};

/// Tells the relay where the front's socket is.
pub(crate) const LINK_VARIABLE: &str = "NOTEBOOK_LINK";

/// One of the two streams of text that a cell writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    /// As Jupyter calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// One thing to show, in all the forms that the cell gives for it, by MIME type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bundle {
    pub(crate) data: BTreeMap<String, String>,
    /// The name under which it can be replaced later.
    pub(crate) id: Option<String>,
    /// True if it replaces what is shown under that name.
    pub(crate) update: bool,
}

/// Reports of the relay to the front.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The relay has started, as this process.
    Started {
        relay: i32,
    },
    /// A cell is compiled and begins to run.
    Loading,
    Text {
        stream: Stream,
        text: String,
    },
    Shown(Bundle),
    /// What the cell has shown is removed, with `wait` once something else is shown.
    Clear {
        wait: bool,
    },
    /// What the cell showed last, directly before its end.
    Value(Bundle),
    /// The cell panicked: what the panic wrote, and where the statement that led to it begins in evcxr's file, if that is
    /// known.
    Panicked {
        message: String,
        at: Option<(usize, usize)>,
    },
    /// The cell returned an error through `?`: the error's text, and line and column of the `?` in evcxr's file if they are
    /// known.
    Returned {
        message: String,
        at: Option<(usize, usize)>,
    },
    /// The cell cannot be loaded, and so did not run.
    Unloadable {
        message: String,
    },
    /// The cell waits for a line of input.
    Input {
        prompt: String,
        password: bool,
    },
    /// The cell has ended, in whatever way; all of its output was sent before this.
    Ended,
    /// The process that runs the cells is gone.
    Exited {
        code: Option<i32>,
        signal: Option<i32>,
    },
    /// The answer to [`Order::Ping`].
    Pong,
}

/// Orders of the front to the relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Asks for [`Report::Pong`] after every report that was written before.
    Ping,
    /// Whether the next compiled cell may run.
    Allow(bool),
    /// Interrupts the cell that runs.
    Interrupt,
    /// Ends the process that runs the cell.
    Kill,
    /// A line for the cell that waits for one.
    Answer(String),
    /// The cell gets an end of input instead of a line.
    EndOfInput,
}

/// Tells the processes that start rustc where to keep its messages.
pub(crate) const DIAGNOSTICS_VARIABLE: &str = "NOTEBOOK_DIAGNOSTICS";

/// Keeps rustc's messages about a cell; called in the process that compiles it.
pub(crate) fn keep_diagnostics(said: &[u8]) {
    if let Some(file) = env::var_os(DIAGNOSTICS_VARIABLE) {
        // Without the file the error is shown in evcxr's words.
        let _ = fs::write(file, said);
    }
}

/// Begins the line with the place of the `?` through which a cell returns, or of the statement that panics: line and
/// column follow.
pub(crate) const ERROR_AT: &str = "EVCXR_ERROR_AT:";

/// Marks a `Compiling` line that gives the reason why cargo compiles a cell.
pub(crate) const LEFT_TO_CARGO: &str = "this cell with cargo: ";
