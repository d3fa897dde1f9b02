//! Locks between kernels, and folders that go.

use std::fs::{self, File};
use std::io;
use std::path::Path;

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
