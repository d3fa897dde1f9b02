//! What the front hears of: whoever reads sockets or waits for a process sends it these.

use std::path::PathBuf;

use tokio::sync::mpsc;

use super::inner::{Inner, Place};
use super::wire::Message;
use crate::link::{Order, Report};

/// Which socket a message came through; evcxr's by the number of that evcxr.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    Shell,
    Control,
    Stdin,
    InnerShell(u64),
    InnerIopub(u64),
}

/// Something that has happened.
pub(crate) enum Event {
    Received(Channel, Message),
    /// The session's folder is there, or why not.
    Prepared(Result<Prepared, String>),
    InnerStarted(u64, Result<Inner, String>),
    InnerEnded(u64, Option<i32>),
    /// A line that evcxr has written to its standard error.
    Said(u64, String),
    RelayStarted(u128, mpsc::UnboundedSender<Order>),
    Told(u128, Report),
    RelayEnded(u128),
    Interrupted,
    /// The kernel is to end.
    Terminated,
}

/// A session as the front needs it.
pub(crate) struct Prepared {
    pub(crate) place: Place,
    /// The file that evcxr makes of a cell.
    pub(crate) generated: PathBuf,
    /// What rustc said of it.
    pub(crate) diagnostics: PathBuf,
    /// Kept until the kernel ends.
    pub(crate) _session: Box<dyn Send>,
}
