//! `cargo xtask export`: the HTML pages, from the executed notebooks.

use std::path::{Path, PathBuf};

use crate::commands::export_model::here;
use crate::failure::Failure;
use crate::files::size;
use crate::flags::{Export, Submission};
use crate::notebooks::{export_folder, jupyter, paths};
use crate::process;
use crate::progress::{Progress, Step, bytes};
use crate::project::Project;

const EXPORTER: &str = "tools/template/export.py";

/// The texts of the pages that are not in a notebook, and whether the pages are printed as PDF.
#[derive(Debug, Default)]
pub(crate) struct Pages<'a> {
    title: Option<&'a str>,
    author: Option<&'a str>,
    course: Option<&'a str>,
    pdf: bool,
}

impl<'a> Pages<'a> {
    pub(crate) fn of_submission(flags: &'a Submission) -> Pages<'a> {
        Pages {
            title: flags.title.as_deref(),
            author: flags.author.as_deref(),
            course: flags.course.as_deref(),
            pdf: false,
        }
    }

    fn of_export(flags: &'a Export) -> Pages<'a> {
        Pages {
            title: flags.title.as_deref(),
            author: flags.author.as_deref(),
            course: flags.course.as_deref(),
            pdf: flags.pdf,
        }
    }

    /// The exporter's options, as `--name=value`, so that a value may begin with a dash.
    fn options(&self) -> Vec<String> {
        let named = [("title", self.title), ("author", self.author), ("course", self.course)];
        let mut options: Vec<String> = named
            .iter()
            .filter_map(|(name, value)| value.map(|value| format!("--{name}={value}")))
            .collect();
        options.extend(self.pdf.then(|| "--pdf".to_owned()));
        options
    }
}

/// Writes the pages again, from the notebooks in `export/`, `export/quick` or a folder of the user's.
pub(crate) fn run(project: &Project, flags: &Export) -> Result<(), Failure> {
    let folder = match (&flags.from, flags.quick) {
        (Some(_), true) => {
            return Err(Failure::new("`--from` and `--quick` exclude each other"));
        }
        (Some(from), false) => results_in(&paths::without_dots(&here()?.join(from))),
        (None, quick) => export_folder(project, quick),
    };
    let _runs = project.lock_runs(flags.quick)?;
    let step = Progress::new(1).step("Pages");
    write_pages(project, step, &folder, &Pages::of_export(flags))
}

/// The folder itself, or the one for results in a folder with data.
fn results_in(folder: &Path) -> PathBuf {
    let inside = folder.join("export");
    if !holds_notebooks(folder) && holds_notebooks(&inside) { inside } else { folder.to_owned() }
}

fn holds_notebooks(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| path.extension() == Some("ipynb".as_ref()))
}

/// Writes one page a notebook and `submission.html` into the folder with the executed notebooks, under
/// [`Project::lock_runs`].
pub(crate) fn write_pages(
    project: &Project,
    mut step: Step,
    folder: &Path,
    pages: &Pages,
) -> Result<(), Failure> {
    let name = project.show(folder);
    if !holds_notebooks(folder) {
        let quick = if folder == export_folder(project, true) { " --quick" } else { "" };
        return Err(Failure::new(format!("{name}/ holds no executed notebook"))
            .advice(format!("run `cargo xtask run{quick}` first")));
    }
    let mut export = jupyter(project, "python");
    export.args([EXPORTER, "--executed", &name, "--out", &name]).args(pages.options());
    process::run(project, &mut step, "writing the pages", &mut export, "export")?;
    let page = folder.join(if pages.pdf { "submission.pdf" } else { "submission.html" });
    step.done(&format!("{}, {}", project.show(&page), bytes(size(&page))));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_own_data_are_found_by_the_data() {
        let folder = tempfile::tempdir().unwrap();
        let (data, results) = (folder.path(), folder.path().join("export"));
        assert_eq!(results_in(data), data);
        std::fs::create_dir(&results).unwrap();
        std::fs::write(results.join("01_data_loading.ipynb"), "").unwrap();
        assert_eq!(results_in(data), results);
        assert_eq!(results_in(&results), results);
    }

    #[test]
    fn the_exporter_is_told_what_was_given_and_nothing_else() {
        assert!(Pages::default().options().is_empty());
        let (title, author, course) = (Some("A = b"), Some("-x"), Some("Images & more"));
        let pages = Pages { title, author, course, pdf: true };
        let given = ["--title=A = b", "--author=-x", "--course=Images & more", "--pdf"];
        assert_eq!(pages.options(), given);
    }
}
