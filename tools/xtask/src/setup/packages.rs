//! The project's own Python packages in its environment: papermill_rust and keep_outputs.

use std::fs;

use crate::failure::Failure;
use crate::files::files;
use crate::process;
use crate::progress::Step;
use crate::project::Project;
use crate::setup::stamp::Stamp;
use crate::setup::step::SetupStep;

const SOURCES: [&str; 2] = ["tools/papermill_rust", "tools/lab"];

/// The step that installs the packages.
pub(crate) fn step(project: &Project) -> SetupStep {
    let requirements = "tools/xtask/python/requirements.txt";
    let stamp = Stamp::new(project, "packages").with_content(project, requirements);
    let stamp = SOURCES.iter().fold(stamp, |stamp, source| stamp.with_content(project, source));
    SetupStep::new(
        "Papermill and JupyterLab",
        stamp,
        project.python("papermill"),
        |project, step| {
            for source in SOURCES {
                install(project, step, source)?;
            }
            Ok("installed".to_owned())
        },
    )
}

fn install(project: &Project, step: &mut Step, source: &str) -> Result<(), Failure> {
    // A build leaves files in the source folder, so it uses a copy.
    let copy = project.temporary("package-")?;
    let (from, source) = (source, project.path(source));
    for file in files(&source) {
        let target = copy.path().join(file.strip_prefix(&source).unwrap_or(&file));
        let copied = target
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::copy(&file, &target));
        copied.map_err(|error| Failure::of_file("copy to", &target, &error))?;
    }
    let mut pip = project.command(project.python("python"));
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-index", "--no-deps"])
        .args(["--no-build-isolation", "--force-reinstall"])
        .arg(copy.path());
    process::run(project, step, &format!("installing {from}"), &mut pip, "packages").map(drop)
}
