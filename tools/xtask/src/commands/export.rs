//! `cargo xtask export`: the HTML pages, from the executed notebooks.

use crate::failure::Failure;
use crate::files::size;
use crate::flags::{Export, Submission};
use crate::notebooks::{export_folder, jupyter};
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

/// Writes the pages again, from the notebooks in `export/` or `export/quick`.
pub(crate) fn run(project: &Project, flags: &Export) -> Result<(), Failure> {
    let _runs = project.lock_runs(flags.quick)?;
    let step = Progress::new(1).step("Pages");
    write_pages(project, step, flags.quick, &Pages::of_export(flags))
}

/// Writes one page a notebook and `submission.html` into `export/` or `export/quick`, under [`Project::lock_runs`].
pub(crate) fn write_pages(
    project: &Project,
    mut step: Step,
    quick: bool,
    pages: &Pages,
) -> Result<(), Failure> {
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
    fn the_exporter_is_told_what_was_given_and_nothing_else() {
        assert!(Pages::default().options().is_empty());
        let (title, author, course) = (Some("A = b"), Some("-x"), Some("Images & more"));
        let pages = Pages { title, author, course, pdf: true };
        let given = ["--title=A = b", "--author=-x", "--course=Images & more", "--pdf"];
        assert_eq!(pages.options(), given);
    }
}
