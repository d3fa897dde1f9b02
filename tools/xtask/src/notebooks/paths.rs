//! Parameters that are paths: a user means them relative to the current folder, a notebook relative to its own folder.

use std::env;
use std::path::{Component, Path, PathBuf};

use crate::data::fashion_mnist;
use crate::failure::Failure;
use crate::flags::Parameter;
use crate::notebooks::notebook::Notebook;
use crate::project::Project;

/// The given parameters, with paths relative to the notebooks' folder.
///
/// # Errors
/// If `data` is a folder that does not exist.
pub(crate) fn seen_from_notebooks(
    project: &Project,
    notebooks: &[Notebook],
    given: &[Parameter],
) -> Result<Vec<Parameter>, Failure> {
    let here = env::current_dir()
        .map_err(|error| Failure::new(format!("cannot tell the current folder: {error}")))?;
    given.iter().map(|parameter| seen_from(project, notebooks, parameter, &here)).collect()
}

/// The folder for the results of the user's own data: beside the data, so that the results of the project's data stay.
/// Its path is that from `notebooks/`. None for the project's data, or if the parameters name no data or already name
/// the folder for results.
pub(crate) fn beside_own_data(
    project: &Project,
    given: &[Parameter],
    quick: bool,
) -> Option<String> {
    let value = |name: &str| given.iter().rfind(|one| one.name == name).map(|one| &one.value);
    let data = value("data").filter(|_| value("export").is_none())?;
    let folder = without_dots(&project.path("notebooks").join(data));
    let is_projects = folder == project.path("data/sample")
        || (folder == project.path("data") && fashion_mnist::is_there(project));
    let quick = if quick { "/quick" } else { "" };
    (!is_projects).then(|| format!("{data}/export{quick}"))
}

fn seen_from(
    project: &Project,
    notebooks: &[Notebook],
    given: &Parameter,
    here: &Path,
) -> Result<Parameter, Failure> {
    let declared = notebooks.iter().flat_map(Notebook::parameters);
    let is_path = declared.filter(|one| one.name == given.name).any(|one| one.is_path());
    if !is_path {
        return Ok(given.clone());
    }
    let path = without_dots(&here.join(&given.value));
    if given.name == "data" && !path.is_dir() {
        return Err(missing(project, &given.value, &path));
    }
    let value = match path.strip_prefix(project.root()) {
        // Relative, since it is kept in the executed notebook.
        Ok(inside) => Path::new("..").join(inside),
        Err(_) => path,
    };
    // Removes the trailing slash that joining an empty path leaves.
    let value: PathBuf = value.components().collect();
    Ok(Parameter { name: given.name.clone(), value: value.to_string_lossy().into_owned() })
}

fn missing(project: &Project, value: &str, path: &Path) -> Failure {
    let failure = Failure::new(format!("`-p data {value}`: there is no folder {}", path.display()));
    let from_notebooks = without_dots(&project.path("notebooks").join(value));
    match from_notebooks.is_dir() {
        true => failure.advice(format!(
            "a path is taken from the folder that you stand in; there is {}",
            from_notebooks.display()
        )),
        false => failure.advice(
            "name a folder with X.npy and y.npy; a relative path is taken from the folder that you stand in",
        ),
    }
}

/// `path` without `.` and `..`, whether it exists or not.
pub(crate) fn without_dots(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::notebooks::notebook::tests::notebook;

    fn seen(project: &Project, name: &str, value: &str, here: &str) -> Result<String, Failure> {
        let cells = [("data", "\"../data\""), ("export", "\"../export\""), ("note", "\"a/b\"")];
        let given = Parameter { name: name.to_owned(), value: value.to_owned() };
        let here = without_dots(&project.path(here));
        seen_from(project, &[notebook("01_data_loading", &cells, &[])], &given, &here)
            .map(|seen| seen.value)
    }

    #[test]
    fn a_path_is_taken_from_where_the_person_stands() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        fs::create_dir_all(project.path("data/sample")).unwrap();
        let data = |value: &str, here: &str| seen(&project, "data", value, here).unwrap();
        assert_eq!(data("data/sample", ""), "../data/sample");
        assert_eq!(data("./data/sample/", ""), "../data/sample");
        assert_eq!(data("sample", "data"), "../data/sample");
        assert_eq!(data("../data/sample", "notebooks"), "../data/sample");
        assert_eq!(data(".", ""), "..");
        assert_eq!(data("..", ""), folder.path().parent().unwrap().to_string_lossy());
        assert_eq!(data("/", ""), "/");
        assert_eq!(seen(&project, "export", "results/new", "").unwrap(), "../results/new");
        assert_eq!(seen(&project, "note", "c/d", "").unwrap(), "c/d", "its default is no path");
    }

    #[test]
    fn results_of_own_data_go_beside_the_data() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        let place = |given: &[(&str, &str)], quick| {
            let given = given.iter().map(|(name, value)| Parameter {
                name: (*name).to_owned(),
                value: (*value).to_owned(),
            });
            beside_own_data(&project, &given.collect::<Vec<_>>(), quick)
        };
        assert_eq!(place(&[("data", "/home/me/mine")], false).unwrap(), "/home/me/mine/export");
        assert_eq!(place(&[("data", "../mine")], true).unwrap(), "../mine/export/quick");
        assert_eq!(place(&[("data", "../data/sample")], false), None);
        assert_eq!(place(&[("data", "../mine"), ("export", "../out")], false), None);
        assert_eq!(place(&[("epochs", "3")], false), None);
        // In `data` lie a person's own arrays, or none.
        assert_eq!(place(&[("data", "../data")], false).unwrap(), "../data/export");
    }

    #[test]
    fn data_that_is_not_there_is_refused_with_what_is() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        fs::create_dir_all(project.path("data/sample")).unwrap();
        let text = |value: &str| seen(&project, "data", value, "").unwrap_err().to_string();
        let nowhere = text("mine");
        assert!(nowhere.contains("`-p data mine`: there is no folder /"), "{nowhere}");
        assert!(nowhere.contains("what to do: name a folder with X.npy and y.npy"), "{nowhere}");
        let as_before = text("../data/sample");
        let there = project.path("data/sample").display().to_string();
        assert!(as_before.ends_with(&format!("there is {there}")), "{as_before}");
    }
}
