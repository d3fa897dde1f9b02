//! evcxr behind the front, a process of its own on private sockets: sending it requests, and ending it. `launch.rs`
//! starts it.

use std::path::PathBuf;

use serde_json::Value;

use super::outlet::Outlet;
use super::wire::Message;

/// The connection file of the inner evcxr. Started with that file, this program is evcxr; with any other, as by a cell that
/// runs a notebook, it is a new kernel.
pub(crate) const INNER_VARIABLE: &str = "NOTEBOOK_INNER";

/// What evcxr is started with.
#[derive(Clone)]
pub(crate) struct Surroundings {
    /// The folder of its sockets, which only the owner can enter.
    pub(crate) sockets: PathBuf,
    pub(crate) environment: Vec<(String, String)>,
}

pub(crate) struct Inner {
    pub(super) shell: Outlet,
    pub(super) pid: i32,
    /// Each evcxr process has its own number, so that late messages of one that has ended are ignored.
    pub(crate) number: u64,
}

impl Inner {
    /// Sends a request to evcxr.
    pub(crate) fn ask(&self, request: &Message, content: Value) {
        let mut asked = request.clone();
        asked.identities.clear();
        asked.content = content;
        self.shell.send(asked);
    }

    /// Kills the compilers that evcxr has started, so that the cell fails to compile.
    pub(crate) fn end_compilers(&self, relay: Option<i32>) {
        let processes = processes();
        let mut ends = vec![self.pid];
        let mut at = 0;
        while at < ends.len() {
            let parent = ends[at];
            let children =
                processes.iter().filter(|&&(pid, of)| of == parent && Some(pid) != relay);
            ends.extend(children.map(|(pid, _)| *pid));
            at += 1;
        }
        for pid in &ends[1..] {
            // SAFETY: the call takes two numbers.
            unsafe { libc::kill(*pid, libc::SIGKILL) };
        }
    }

    /// Ends evcxr, and with it its relay and the process that runs cells.
    pub(crate) fn kill(&self) {
        // SAFETY: the call takes two numbers. The process leads its group.
        unsafe { libc::kill(-self.pid, libc::SIGKILL) };
    }
}

/// All processes as (id, parent's id); empty where there is no `/proc`.
fn processes() -> Vec<(i32, i32)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let read = |entry: std::fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let text = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // The process name is in brackets and may hold anything, so fields are read after the last bracket.
        let parent = text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((pid, parent))
    };
    entries.filter_map(read).collect()
}
