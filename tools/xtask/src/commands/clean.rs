//! `cargo xtask clean`: gives space back, and says how much.

use std::fs;
use std::path::PathBuf;

use crate::data::fashion_mnist;
use crate::failure::Failure;
use crate::files::{remove, size};
use crate::progress::{bytes, say};
use crate::project::Project;

/// What runs leave behind.
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

/// Removes what runs left behind, or with `all` everything that the project made.
pub(crate) fn run(project: &Project, all: bool) -> Result<(), Failure> {
    // Neither under a run, nor under a set-up.
    let _runs = (project.lock_runs(false)?, project.lock_runs(true)?);
    let _lock = project.lock()?;
    let mut paths: Vec<PathBuf> = LEFT_BEHIND.iter().map(|name| project.path(name)).collect();
    if all {
        paths = [".tools", "target"].map(|name| project.path(name)).into();
        let of_export = LEFT_BEHIND.iter().filter(|name| name.starts_with("export/"));
        paths.extend(of_export.map(|name| project.path(name)));
        // Somebody's own data was not made here.
        if fashion_mnist::is_there(project) {
            paths.extend(["X.npy", "y.npy", "classes.txt"].map(|n| project.path("data").join(n)));
        }
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
        say("`cargo xtask clean --all` removes .tools/, target/ and the fetched data too");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
