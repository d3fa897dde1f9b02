//! `cargo xtask import`: makes arrays from pictures.

use std::os::unix::process::CommandExt;

use crate::commands::export_model::here;
use crate::failure::Failure;
use crate::flags::Import;
use crate::progress::{Step, keep_stdout_for_the_answer};
use crate::project::Project;
use crate::setup::program;

/// Replaces this process by the program `import`, which cargo builds first; returns only if it cannot start. Paths are
/// relative to the user's current folder.
pub(crate) fn run(project: &Project, flags: Import) -> Result<(), Failure> {
    keep_stdout_for_the_answer();
    let here = here()?;
    let step = Step::new("The program that reads pictures".to_owned());
    let mut import = project.command(program::built(project, step, "import")?);
    import.current_dir(here).arg(&flags.source);
    if flags.grey {
        import.arg("--grey");
    }
    let into = flags.into.unwrap_or_else(|| project.path("data").into());
    let options = [
        ("--size", flags.size),
        ("--fit", flags.fit),
        ("--into", Some(into)),
        ("--images", flags.images),
        ("--labels", flags.labels),
    ];
    for (name, value) in options {
        if let Some(value) = value {
            import.arg(name).arg(value);
        }
    }
    Err(Failure::new(format!("cannot start the program that reads pictures: {}", import.exec())))
}
