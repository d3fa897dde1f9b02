//! Events that the front handles: the tasks that read sockets or wait for processes send them.

use std::path::PathBuf;

use tokio::sync::mpsc;

use super::inner::{Inner, Surroundings};
use super::wire::Message;
use crate::link::{Order, Report};

/// Which socket a message came through; for evcxr's sockets also which evcxr process it came from.
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
    /// The session's folder is ready, or could not be made.
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

/// What the front needs to know about a session.
pub(crate) struct Prepared {
    pub(crate) surroundings: Surroundings,
    /// The source file that evcxr generates from a cell.
    pub(crate) generated: PathBuf,
    /// The file with rustc's messages about it.
    pub(crate) diagnostics: PathBuf,
    /// Kept until the kernel ends.
    pub(crate) _session: Box<dyn Send>,
}
