//! `cargo xtask board`: TensorBoard.

use std::os::unix::process::CommandExt;

use crate::failure::Failure;
use crate::files::files;
use crate::flags::Board;
use crate::notebooks::{export_folder, jupyter};
use crate::progress::{Progress, say};
use crate::project::Project;
use crate::setup;

/// Replaces this process by TensorBoard on the existing trainings; returns only if it cannot start.
pub(crate) fn run(project: &Project, flags: &Board) -> Result<(), Failure> {
    let logs = export_folder(project, flags.quick).join("logs");
    if files(&logs).is_empty() {
        let quick = if flags.quick { " --quick" } else { "" };
        return Err(Failure::new(format!("{}/ holds no training", project.show(&logs)))
            .advice(format!("train one first: `cargo xtask run 06{quick}`")));
    }
    let steps = setup::python_steps(project)?;
    let mut progress = Progress::new(steps.len());
    setup::run(project, steps, &mut progress)?;
    let port = flags.port.unwrap_or(6006).to_string();
    say(&format!("http://127.0.0.1:{port}/ shows {}; Ctrl+C ends it", project.show(&logs)));
    let mut board = jupyter(project, "tensorboard");
    // Other machines cannot reach it.
    board.args(["--host", "127.0.0.1", "--port", &port, "--logdir"]).arg(logs);
    Err(Failure::new(format!("cannot start TensorBoard: {}", board.exec())))
}
