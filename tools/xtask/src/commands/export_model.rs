//! `cargo xtask export-model`: a trained model for other programs.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::flags::ExportModel;
use crate::notebooks::{export_folder, jupyter};
use crate::process;
use crate::progress::{Progress, bytes, say};
use crate::project::Project;
use crate::setup;

/// Writes the model as ONNX; paths are relative to the current folder.
pub(crate) fn run(project: &Project, flags: &ExportModel) -> Result<(), Failure> {
    let here = here()?;
    let model = find_model(project, &flags.model, &here)?;
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
    say(&process::last_line(&output));
    Ok(())
}

/// The current folder of the user.
pub(super) fn here() -> Result<PathBuf, Failure> {
    env::current_dir()
        .map_err(|error| Failure::new(format!("cannot tell the current folder: {error}")))
}

/// The model file for a path, or for the name that a notebook gave it.
///
/// # Errors
/// If there is none; the message lists the existing models.
pub(super) fn find_model(project: &Project, word: &OsStr, here: &Path) -> Result<PathBuf, Failure> {
    let folder = export_folder(project, false).join("models");
    let path = here.join(word);
    let mut named = folder.join(word).into_os_string();
    named.push(".safetensors");
    let found = [path, PathBuf::from(named)].into_iter().find(|path| path.is_file());
    found.ok_or_else(|| {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension() == Some("safetensors".as_ref()))
            .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
            .collect();
        names.sort();
        let shown = word.display();
        Failure::new(format!("there is no model `{shown}`")).advice(match names.is_empty() {
            true => "name a model file, or train one first: `cargo xtask run 06` trains `cnn`"
                .to_owned(),
            false => format!("take one of {}, or the path of a model file", names.join(", ")),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_meant_by_its_name_or_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        let here = folder.path().join("here");
        let find = |word: &str| find_model(&project, OsStr::new(word), &here);
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
}
