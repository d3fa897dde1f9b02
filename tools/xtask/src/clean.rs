//! `cargo xtask clean`: gives space back, and says how much.

use std::fs;
use std::path::PathBuf;

use crate::data;
use crate::failure::Failure;
use crate::project::{Project, remove, size};
use crate::screen::bytes;

/// What runs leave behind.
const LEFT: [&str; 9] = [
    ".tools/run",
    ".tools/logs",
    ".tools/tmp",
    ".tools/jupyter",
    ".tools/kernel/sessions",
    ".tools/bench-scratch",
    "export/checkpoints",
    "export/trials",
    "export/quick",
];

/// Removes what runs left behind, or with `all` everything that the project made.
pub(crate) fn run(project: &Project, all: bool) -> Result<(), Failure> {
    let mut paths: Vec<PathBuf> = LEFT.iter().map(|name| project.path(name)).collect();
    if all {
        let made = [".tools", "target", "export/checkpoints", "export/trials", "export/quick"];
        paths = made.map(|name| project.path(name)).into();
        // Somebody's own data was not made here.
        if data::is_fashion_mnist(project) {
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
        println!("removed {:<26} {:>8}", project.show(&path), bytes(size));
        total += size;
    }
    println!("{} freed", bytes(total));
    if !all {
        println!("`cargo xtask clean --all` removes .tools/, target/ and the fetched data too");
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
            crate::project::files(folder.path()).iter().map(|path| project.show(path)).collect();
        assert_eq!(left, ["data/X.npy", "data/y.npy", "export/submission.html"]);
    }
}
