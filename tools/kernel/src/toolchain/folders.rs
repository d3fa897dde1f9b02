//! Where the stand-ins are in a session, and what is known in a template.

use std::path::{Path, PathBuf};

/// The tools that are stood in for.
pub(super) const TOOLS: [&str; 3] = ["cargo", "rustc", "rustup"];

/// The name under which cargo calls this program to compile a cell.
pub(super) const WRAPPER: &str = "notebook-cell";

/// In a template: what is known of it.
pub(crate) fn folder(template: &Path) -> PathBuf {
    template.join("toolchain")
}

/// evcxr finds tools on the path, its analyser in `CARGO_HOME/bin` before that.
pub(super) fn home(session: &Path) -> PathBuf {
    session.join("tools")
}

pub(super) fn bin(session: &Path) -> PathBuf {
    home(session).join("bin")
}
