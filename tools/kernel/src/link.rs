//! What the front and the relay tell each other: a JSON value a line, over a Unix socket. And what the stand-ins for cargo
//! and rustc tell the front of a cell: rustc's words in a file, and that it is left to cargo in a line that evcxr passes on.

use std::collections::BTreeMap;
use std::{env, fs};

use serde::{Deserialize, Serialize};

/// Names the front's socket to the relay.
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

/// What the relay tells.
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
    /// What the cell showed last, directly before its end.
    Value(Bundle),
    /// The cell panicked; what the panic wrote.
    Panicked {
        message: String,
    },
    /// The cell returned an error through `?`; the error's text.
    Returned {
        message: String,
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
    /// The cell came to its end, in whatever way; all that it printed has been told.
    Ended,
    /// The process that runs the cells is gone.
    Exited {
        code: Option<i32>,
        signal: Option<i32>,
    },
    /// The answer to [`Order::Ping`].
    Pong,
}

/// What the front wants of the relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Order {
    /// To be answered once all has been told that was written before.
    Ping,
    /// The next cell that comes compiled may run, or not.
    Allow(bool),
    /// Interrupts the cell that runs.
    Interrupt,
    /// A line for the cell that waits for one.
    Answer(String),
    /// No line will come.
    EndOfInput,
}

/// Names the file to what starts rustc.
pub(crate) const DIAGNOSTICS_VARIABLE: &str = "NOTEBOOK_DIAGNOSTICS";

/// Keeps what rustc says of a cell, in the process that compiles it.
pub(crate) fn keep_diagnostics(said: &[u8]) {
    if let Some(file) = env::var_os(DIAGNOSTICS_VARIABLE) {
        // Without the file an error is told in evcxr's words.
        let _ = fs::write(file, said);
    }
}

/// What comes between `Compiling` and the reason in a line about a cell that cargo compiles.
pub(crate) const LEFT_TO_CARGO: &str = "this cell with cargo: ";
