//! Notebooks and their runs through papermill.
//!
//! - `notebook`: a notebook file and its parameters
//! - `plan`: which notebooks run, with which values; `paths`: values that are paths
//! - `run`: one after the other; `records`: what made the results that are there, so that a run can be resumed

mod notebook;
pub(crate) mod paths;
mod plan;
mod records;
mod run;

use std::path::PathBuf;
use std::process::Command;

pub(crate) use notebook::Notebook;
pub(crate) use plan::Plan;
pub(crate) use run::run;

use crate::project::Project;

/// Where the results of a full or a quick run go.
pub(crate) fn export_folder(project: &Project, quick: bool) -> PathBuf {
    project.path(if quick { "export/quick" } else { "export" })
}

/// A program of Jupyter that reads and writes nothing in the home directory.
pub(crate) fn jupyter(project: &Project, program: &str) -> Command {
    let mut command = project.command(project.python(program));
    for (variable, folder) in [
        ("JUPYTER_CONFIG_DIR", "config"),
        ("JUPYTER_DATA_DIR", "data"),
        ("JUPYTER_RUNTIME_DIR", "runtime"),
        ("IPYTHONDIR", "ipython"),
    ] {
        command.env(variable, project.tools("jupyter").join(folder));
    }
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}
