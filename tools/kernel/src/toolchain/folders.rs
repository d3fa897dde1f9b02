//! Folders of the stand-ins in a session, and of what was recorded in a template.

use std::path::{Path, PathBuf};

/// The tools that are replaced by stand-ins.
pub(super) const TOOLS: [&str; 3] = ["cargo", "rustc", "rustup"];

/// The name under which cargo calls this program to compile a cell.
pub(super) const WRAPPER: &str = "notebook-cell";

/// The folder of a template that holds what was recorded.
pub(crate) fn folder(template: &Path) -> PathBuf {
    template.join("toolchain")
}

/// Set as `CARGO_HOME`: the analyser looks for tools in `CARGO_HOME/bin` before it looks at `PATH`.
pub(super) fn home(session: &Path) -> PathBuf {
    session.join("tools")
}

pub(super) fn bin(session: &Path) -> PathBuf {
    home(session).join("bin")
}
