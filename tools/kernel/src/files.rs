//! Locks between kernels, removing folders, and writing files whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process;

use sha2::{Digest, Sha256};

/// Waits for the lock on `file`; it is held until the value is dropped or the process ends.
pub(crate) fn lock(file: &Path) -> io::Result<File> {
    let lock = File::create(file)?;
    lock.lock()?;
    Ok(lock)
}

/// Removes a folder; one that is not there is fine.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes a file, and makes its folder. A reader sees either all of it or the old content.
pub(crate) fn write_whole(file: &Path, content: &[u8]) -> io::Result<()> {
    write(file, content, |_| Ok(()))
}

/// [`write_whole`] for a file that must also survive a crash of the machine: waits for the disk.
pub(crate) fn write_lasting(file: &Path, content: &[u8]) -> io::Result<()> {
    write(file, content, File::sync_all)
}

fn write(
    file: &Path,
    content: &[u8],
    finish: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let fresh = file.with_extension(format!("new{}", process::id()));
    let write = |mut new: File| {
        new.write_all(content)?;
        finish(&new)?;
        fs::rename(&fresh, file)
    };
    let written = File::create(&fresh).and_then(write);
    if written.is_err() {
        let _ = fs::remove_file(fresh);
    }
    written
}

/// A SHA-256 over these parts, as hexadecimal digits.
pub(crate) fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("in/a/file.txt");
        write_whole(&file, b"one").unwrap();
        write_whole(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn the_parts_of_a_digest_are_told_apart() {
        assert_ne!(digest([&b"ab"[..], b"c"]), digest([&b"a"[..], b"bc"]));
    }
}
