//! Jupyter's programs, and the folder for the results of notebooks.

use std::path::PathBuf;
use std::process::Command;

use crate::project::Project;

/// The folder for the results of a full or a quick run.
pub(crate) fn export_folder(project: &Project, quick: bool) -> PathBuf {
    project.path(if quick { "export/quick" } else { "export" })
}

/// A program of Jupyter that does not use the home directory.
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
