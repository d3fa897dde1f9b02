//! `cargo xtask clean`: removes what can be made again, and prints how much space that frees.

use std::fs;
use std::path::{Path, PathBuf};

use crate::data::fashion_mnist;
use crate::failure::Failure;
use crate::files::{files, remove, size};
use crate::notebooks::has_number;
use crate::process;
use crate::progress::{bytes, say};
use crate::project::Project;
use crate::setup::python;

/// What runs leave behind: logs, temporary files, checkpoints, and quick results.
const LEFT_BEHIND: [&str; 10] = [
    ".tools/run",
    ".tools/logs",
    ".tools/tmp",
    ".tools/jupyter",
    ".tools/kernel/sessions",
    ".tools/bench-scratch",
    "export/checkpoints",
    "export/logs",
    "export/trials",
    "export/quick",
];

/// Files that set-up and runs make for later use.
const MADE: [&str; 5] =
    [".tools", "target", "export/models", "export/seeds", "export/submission.pdf"];

/// Removes the files of runs, or with `all` everything that the project made.
pub(crate) fn run(project: &Project, all: bool) -> Result<(), Failure> {
    // Not while notebooks run, and not during a set-up.
    let _runs = (project.lock_runs(false)?, project.lock_runs(true)?);
    let _lock = project.lock()?;
    let mut paths: Vec<PathBuf> = LEFT_BEHIND.iter().map(|name| project.path(name)).collect();
    if all {
        // The other folders are inside `.tools`.
        let of_export = LEFT_BEHIND.iter().filter(|name| name.starts_with("export/"));
        paths = MADE.iter().chain(of_export).map(|name| project.path(name)).collect();
        // The user's own data was not made by this project.
        if fashion_mnist::is_there(project) {
            paths.extend(["X.npy", "y.npy", "classes.txt"].map(|n| project.path("data").join(n)));
        }
        paths.extend(samples(project));
        crumbs(project.root(), &mut paths);
    }
    take_outputs_out(project)?;
    let mut total = 0;
    for path in paths {
        if fs::symlink_metadata(&path).is_err() {
            continue;
        }
        let size = size(&path);
        remove(&path).map_err(|error| Failure::of_file("remove", &path, &error))?;
        say(&format!("removed {:<26} {:>8}", project.show(&path), bytes(size)));
        total += size;
    }
    say(&format!("{} freed", bytes(total)));
    if !all {
        say(
            "`cargo xtask clean --all` removes .tools/, target/, trained models and the fetched data too",
        );
    }
    Ok(())
}

/// The results of runs on a part of the images, `export/sample_4000`.
fn samples(project: &Project) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(project.path("export")).into_iter().flatten().flatten();
    let is_sample =
        |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("sample_");
    entries.filter(is_sample).map(|entry| entry.path())
}

/// Takes the outputs that JupyterLab has saved out of the numbered notebooks; copies and drafts of the user's stay.
fn take_outputs_out(project: &Project) -> Result<(), Failure> {
    let lint = project.path(LINT);
    let mut numbered = files(&project.path("notebooks"));
    numbered.retain(|path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        path.extension() == Some("ipynb".as_ref()) && has_number(&name)
    });
    if numbered.is_empty() || !lint.exists() {
        return Ok(());
    }
    // Without Python no JupyterLab can have saved anything.
    let Ok(python) = python::find(project) else { return Ok(()) };
    let mut fix = project.command(python.program);
    fix.arg(lint).arg("--fix").args(numbered).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = fix.output().map_err(|error| {
        Failure::new(format!("cannot start {}: {error}", process::show(project, &fix)))
    })?;
    // The lint also prints what else is wrong with the notebooks, which does not matter here.
    let text = String::from_utf8_lossy(&output.stdout);
    for path in text.lines().filter_map(|line| line.strip_prefix("fixed: ")) {
        say(&format!("without outputs again: {}", project.show(Path::new(path))));
    }
    Ok(())
}

const LINT: &str = "tools/template/lint_notebooks.py";

/// Temporary files that Python, JupyterLab and killed writers leave in the source folders.
fn crumbs(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let left = match is_folder {
            true => ["__pycache__", ".ipynb_checkpoints", ".pytest_cache"].contains(&&*name),
            false => name.starts_with('.') && name.ends_with(".part"),
        };
        if left {
            found.push(path);
        } else if is_folder && ![".git", ".tools", "target"].contains(&&*name) {
            crumbs(&path, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_fresh_clone_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        let ignored = include_str!("../../../../.gitignore");
        fs::write(project.path(".gitignore"), ignored).unwrap();
        // The locks make `.tools`; data other than Fashion-MNIST stays.
        let made = ignored.lines().filter(|line| *line != "/.tools" && !line.starts_with("/data"));
        for line in made {
            let name =
                if line.ends_with('/') { format!("{line}a") } else { line.replace('*', "a") };
            let path = match name.strip_prefix('/') {
                Some(name) => project.path(name),
                None => project.path("tools/one/tests").join(name),
            };
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let status = || {
            let mut git = Command::new("git");
            git.arg("-C").arg(folder.path()).args([
                "status",
                "--ignored=matching",
                "-uall",
                "--porcelain",
            ]);
            String::from_utf8(git.output().unwrap().stdout).unwrap()
        };
        Command::new("git").args(["init", "-q"]).arg(folder.path()).status().unwrap();
        assert!(status().lines().count() > 10, "{}", status());
        run(&project, true).unwrap();
        assert_eq!(status(), "?? .gitignore\n");
    }

    #[test]
    fn notebooks_lose_their_outputs_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        symlink(Project::find().path("tools"), project.path("tools")).unwrap();
        fs::create_dir_all(project.path("notebooks")).unwrap();
        let notebook = |outputs: Value, count: Value| {
            let cell = json!({"cell_type": "code", "source": "my code", "metadata": {}, "outputs": outputs,
                "execution_count": count});
            json!({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
        };
        let run =
            notebook(json!([{"output_type": "stream", "name": "stdout", "text": "1"}]), json!(7));
        let paths =
            ["06_cnn.ipynb", "06_cnn-Copy1.ipynb"].map(|name| project.path("notebooks").join(name));
        paths.iter().for_each(|path| fs::write(path, run.to_string()).unwrap());
        super::run(&project, false).unwrap();
        let [own, copy] =
            paths.map(|path| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap());
        assert_eq!(own, notebook(json!([]), Value::Null));
        assert_eq!(copy, run, "a copy is the user's");
    }

    #[test]
    fn own_data_and_committed_results_stay() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        for name in
            ["data/X.npy", "data/y.npy", "export/submission.html", "export/quick/a", "target/a"]
        {
            let path = project.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "mine").unwrap();
        }
        run(&project, true).unwrap();
        let left: Vec<String> =
            crate::files::files(folder.path()).iter().map(|path| project.show(path)).collect();
        assert_eq!(left, ["data/X.npy", "data/y.npy", "export/submission.html"]);
    }
}
