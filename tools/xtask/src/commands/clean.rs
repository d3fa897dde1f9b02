//! `cargo xtask clean`: removes what can be made again, and prints how much space that frees.

use std::fs;
use std::path::{Path, PathBuf};

use crate::data::fashion_mnist;
use crate::failure::Failure;
use crate::files::{remove, size};
use crate::progress::{bytes, say};
use crate::project::Project;

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
        crumbs(project.root(), &mut paths);
    }
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
    use std::process::Command;

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
