//! The hash of all sources that decide a bit of a result. A checkpoint and a kept trial hold it: those of other code are
//! not used. Shared by the build script and `tests/source_hash.rs`.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// What only shows results, or says what went wrong: files and folders of `src`. All others count.
const SHOWS: [&str; 8] =
    ["artifacts", "display", "error.rs", "lib.rs", "plot", "prelude.rs", "report", "text.rs"];

/// SHA-256 of the names and contents of all Rust files below `src` that decide a bit, in the order of their names.
///
/// # Errors
/// If a folder or file cannot be read: a hash of less than all would call other code the same.
pub(crate) fn source_hash(src: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    for file in counted_files(src)? {
        let name = file.strip_prefix(src).map_err(io::Error::other)?;
        let (name, text) = (name.to_string_lossy().replace('\\', "/"), std::fs::read(&file)?);
        // Lengths keep neighbours apart.
        for part in [name.as_bytes(), &text] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    Ok(format!("{:x}", hash.finalize()))
}

/// The files that [`source_hash`] reads.
///
/// # Errors
/// If a folder cannot be read.
pub(crate) fn counted_files(src: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![src.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
            if folder == src && SHOWS.iter().any(|shows| name == *shows) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
