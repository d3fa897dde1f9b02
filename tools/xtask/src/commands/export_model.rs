//! `cargo xtask export-model`: a trained model for other programs.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::flags::ExportModel;
use crate::notebooks::{export_folder, jupyter};
use crate::process;
use crate::progress::{Progress, answer, bytes, keep_stdout_for_the_answer};
use crate::project::Project;
use crate::setup;

/// Writes the model as ONNX; paths are relative to the current folder.
pub(crate) fn run(project: &Project, flags: &ExportModel) -> Result<(), Failure> {
    keep_stdout_for_the_answer();
    let here = here()?;
    let model = find_model(project, &flags.model, flags.quick, &here)?;
    let target = match &flags.into {
        Some(path) => here.join(path),
        None => model.with_extension("onnx"),
    };
    let steps = setup::python_steps(project)?;
    let mut progress = Progress::new(steps.len() + 1);
    setup::run(project, steps, &mut progress)?;
    let mut step = progress.step("ONNX");
    let mut export = jupyter(project, "python");
    export.arg("tools/export_model/export_model.py").args([&model, &target]);
    let output =
        process::run(project, &mut step, "writing the model", &mut export, "export-model")?;
    step.done(&bytes(crate::files::size(&target)));
    answer(&process::last_line(&output));
    Ok(())
}

/// The current folder of the user.
pub(super) fn here() -> Result<PathBuf, Failure> {
    env::current_dir()
        .map_err(|error| Failure::new(format!("cannot tell the current folder: {error}")))
}

/// The model file for a path, or for the name that a notebook gave it, in a full run or a quick one.
///
/// # Errors
/// If there is none; the message lists the existing models.
pub(super) fn find_model(
    project: &Project,
    word: &OsStr,
    quick: bool,
    here: &Path,
) -> Result<PathBuf, Failure> {
    let file = |quick: bool| {
        let mut name = word.to_owned();
        name.push(".safetensors");
        export_folder(project, quick).join("models").join(name)
    };
    let found = [here.join(word), file(quick)].into_iter().find(|path| path.is_file());
    found.ok_or_else(|| {
        let names = models_in(&export_folder(project, quick).join("models"));
        let (shown, option) = (word.display(), if quick { " --quick" } else { "" });
        let failure = Failure::new(format!("there is no model `{shown}`"));
        failure.advice(match (!quick && file(true).is_file(), names.is_empty()) {
            (true, _) => format!(
                "a quick run has left one, which means little: `--quick` takes {}; a full run of its notebook makes \
                 the real one",
                project.show(&file(true))
            ),
            (false, true) => format!(
                "name a model file, or train one first: `cargo xtask run 06{option}` trains `cnn`"
            ),
            (false, false) => {
                format!("take one of {}, or the path of a model file", names.join(", "))
            }
        })
    })
}

/// The names of the models in a folder.
fn models_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension() == Some("safetensors".as_ref()))
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_meant_by_its_name_or_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        let here = folder.path().join("here");
        let find = |word: &str| find_model(&project, OsStr::new(word), false, &here);
        let nothing = find("cnn").unwrap_err().to_string();
        assert!(
            nothing.contains("no model `cnn`") && nothing.contains("cargo xtask run 06"),
            "{nothing}"
        );
        let models = project.path("export/models");
        fs::create_dir_all(&models).unwrap();
        fs::create_dir(&here).unwrap();
        fs::write(models.join("cnn.safetensors"), "").unwrap();
        fs::write(here.join("mine.safetensors"), "").unwrap();
        assert_eq!(find("cnn").unwrap(), models.join("cnn.safetensors"));
        assert_eq!(find("mine.safetensors").unwrap(), here.join("mine.safetensors"));
        let other = find("cnm").unwrap_err().to_string();
        assert!(other.ends_with("take one of cnn, or the path of a model file"), "{other}");
    }

    #[test]
    fn the_model_of_a_quick_run_is_named_and_taken_on_request() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        let models = project.path("export/quick/models");
        fs::create_dir_all(&models).unwrap();
        fs::write(models.join("cnn.safetensors"), "").unwrap();
        let find = |word: &str, quick| find_model(&project, OsStr::new(word), quick, folder.path());
        let text = find("cnn", false).unwrap_err().to_string();
        assert!(text.contains("`--quick` takes export/quick/models/cnn.safetensors"), "{text}");
        assert_eq!(find("cnn", true).unwrap(), models.join("cnn.safetensors"));
        let text = find("cnm", true).unwrap_err().to_string();
        assert!(text.ends_with("take one of cnn, or the path of a model file"), "{text}");
    }
}
