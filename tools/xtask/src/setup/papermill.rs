//! papermill_rust, the project's own package, in the Python environment.

use std::fs;

use crate::failure::Failure;
use crate::files::files;
use crate::process;
use crate::project::Project;
use crate::setup::SetupStep;
use crate::setup::stamp::Stamp;

const SOURCE: &str = "tools/papermill_rust";

/// The step that installs the package.
pub(crate) fn step(project: &Project) -> SetupStep {
    let stamp = Stamp::new(project, "papermill")
        .with_content(project, "tools/xtask/python/requirements.txt")
        .with_content(project, SOURCE);
    SetupStep::new("Rust for papermill", stamp, project.python("papermill"), |project, step| {
        // Building leaves files beside the source; so it is built from a copy.
        let copy = project.temporary("papermill_rust-")?;
        let source = project.path(SOURCE);
        for file in files(&source) {
            let target = copy.path().join(file.strip_prefix(&source).unwrap_or(&file));
            let copied = target
                .parent()
                .map_or(Ok(()), fs::create_dir_all)
                .and_then(|()| fs::copy(&file, &target));
            copied.map_err(|error| Failure::of_file("copy to", &target, &error))?;
        }
        let mut pip = project.command(project.python("python"));
        pip.args([
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-index",
            "--no-deps",
        ])
        .args(["--no-build-isolation", "--force-reinstall"])
        .arg(copy.path());
        process::run(project, step, "installing papermill_rust", &mut pip, "papermill")?;
        Ok("installed".to_owned())
    })
}
