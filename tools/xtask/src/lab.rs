//! `cargo xtask lab`: JupyterLab on the notebooks.

use std::os::unix::process::CommandExt;
use std::process::Stdio;

use crate::failure::Failure;
use crate::notebooks::jupyter;
use crate::project::Project;

/// Becomes JupyterLab; comes back only if it cannot start. It listens on this machine alone and wants
/// its token, which the address that it opens and prints holds.
pub(crate) fn run(project: &Project, options: &[String]) -> Result<(), Failure> {
    let mut lab = jupyter(project, "jupyter");
    lab.args(["lab", "--notebook-dir", "notebooks", "--ServerApp.ip=127.0.0.1"]);
    // Jupyter refuses to run as root, which a container has nobody else for.
    lab.arg("--allow-root").args(options).stdin(Stdio::inherit());
    println!("JupyterLab starts; Ctrl-C ends it");
    let error = lab.exec();
    Err(Failure::new(format!("cannot start JupyterLab: {error}"))
        .advice("run `cargo xtask setup`, then try again"))
}
