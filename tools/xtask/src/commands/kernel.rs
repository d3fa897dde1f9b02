//! `cargo xtask kernel`: manages which crates the kernel's warm build includes in addition to those of helpers, so that
//! a `:dep` for them does not have to compile.

use crate::commands::setup;
use crate::failure::Failure;
use crate::flags::{Action, Kernel};
use crate::process;
use crate::progress::{Progress, say};
use crate::project::Project;

/// Adds or removes a crate, or lists them.
pub(crate) fn run(project: &Project, flags: &Kernel) -> Result<(), Failure> {
    let mut kernel = project.command(project.tools("kernel/notebook-kernel"));
    let (word, title) = match (flags.action, flags.name.as_deref()) {
        (Action::List, None) => ("list", "Crates"),
        (Action::Add, Some(_)) => ("add", "Adding a crate"),
        (Action::Remove, Some(_)) => ("remove", "Removing a crate"),
        (Action::List, Some(name)) => {
            return Err(Failure::new(format!(
                "`cargo xtask kernel list` takes no name, got `{name}`"
            )));
        }
        (Action::Add | Action::Remove, None) => {
            return Err(Failure::new("a crate's name is missing").advice(
                "write `cargo xtask kernel add itertools`, or `itertools@0.14` for a version",
            ));
        }
    };
    kernel.arg(word).args(&flags.name).arg("--repository").arg(project.root());
    if flags.action != Action::List {
        setup::run(project, None)?;
    }
    let mut progress = Progress::new(1);
    let mut step = progress.step(title);
    let what = "changing the kernel's warm build";
    let output =
        process::run_watched(project, &mut step, what, &mut kernel, "kernel-crates", |_| {
            "compiling".to_owned()
        })?;
    let lines = output.lines().filter(|line| !line.starts_with("kernel template:"));
    let told: Vec<&str> = lines.collect();
    step.done("done");
    told.into_iter().for_each(say);
    Ok(())
}
