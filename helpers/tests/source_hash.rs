//! The hash that names the code in checkpoints and kept trials: each file that decides a bit counts.

#[path = "../build/source_hash.rs"]
mod build;

use std::fs;
use std::path::{Path, PathBuf};

use self::build::{counted_files, source_hash};

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All Rust files below a folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => rust_files(&path),
            false => {
                Vec::from_iter(path.extension().is_some_and(|end| end == "rs").then_some(path))
            }
        })
        .collect()
}

#[test]
fn a_byte_of_any_file_that_decides_a_bit_changes_the_hash() {
    let copy = tempfile::tempdir().unwrap();
    for file in rust_files(&src()) {
        let to = copy.path().join(file.strip_prefix(src()).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(file, to).unwrap();
    }
    let before = source_hash(copy.path()).unwrap();
    let counted = counted_files(copy.path()).unwrap();
    for file in rust_files(copy.path()) {
        let text = fs::read(&file).unwrap();
        let mut other = text.clone();
        other[text.len() / 2] ^= 1;
        fs::write(&file, other).unwrap();
        let changed = source_hash(copy.path()).unwrap() != before;
        assert_eq!(changed, counted.contains(&file), "{}", file.display());
        fs::write(&file, text).unwrap();
    }
    assert_eq!(source_hash(copy.path()).unwrap(), before);
}

/// A training runs through these; what only shows its result does not count.
#[test]
fn the_rooms_that_a_training_runs_through_count() {
    let counted = counted_files(&src()).unwrap();
    let rooms = [
        "architectures",
        "data",
        "engine",
        "evaluation",
        "features",
        "layers",
        "models",
        "system",
        "training",
        "tuning",
    ];
    for room in rooms {
        let files = rust_files(&src().join(room));
        assert!(!files.is_empty() && files.iter().all(|file| counted.contains(file)), "{room}");
    }
    assert!(counted.contains(&src().join("engine/loops.rs")));
    assert!(!counted.iter().any(|file| file.starts_with(src().join("plot"))));
}

#[test]
fn a_folder_that_cannot_be_read_is_an_error() {
    assert!(source_hash(Path::new("nowhere")).is_err());
}
