//! `cargo xtask export`: the HTML pages, from the executed notebooks.

use crate::failure::Failure;
use crate::files::size;
use crate::notebooks::{export_folder, jupyter};
use crate::process;
use crate::progress::{Progress, Step, bytes};
use crate::project::Project;

const EXPORTER: &str = "tools/template/export.py";

/// The pages anew, from what is in `export/` or `export/quick`.
pub(crate) fn run(project: &Project, quick: bool) -> Result<(), Failure> {
    let _runs = project.lock_runs(quick)?;
    write_pages(project, Progress::new(1).step("Pages"), quick)
}

/// Writes one page a notebook and `submission.html` into `export/` or `export/quick`, under [`Project::lock_runs`].
pub(crate) fn write_pages(project: &Project, mut step: Step, quick: bool) -> Result<(), Failure> {
    let folder = export_folder(project, quick);
    let name = project.show(&folder);
    let executed = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| entry.path().extension() == Some("ipynb".as_ref()));
    if !executed {
        let quick = if quick { " --quick" } else { "" };
        return Err(Failure::new(format!("{name}/ holds no executed notebook"))
            .advice(format!("run `cargo xtask run{quick}` first")));
    }
    let mut export = jupyter(project, "python");
    export.args([EXPORTER, "--executed", &name, "--out", &name]);
    process::run(project, &mut step, "writing the pages", &mut export, "export")?;
    let page = folder.join("submission.html");
    step.done(&format!("{}, {}", project.show(&page), bytes(size(&page))));
    Ok(())
}
