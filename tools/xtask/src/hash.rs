//! SHA-256 of bytes, files and folders.

use std::fs;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::files::files;

/// The SHA-256 of a file, or of the names and contents of all files in a folder.
pub(crate) fn hash_of(path: &Path) -> String {
    if path.is_dir() {
        let mut hash = Sha256::new();
        for file in files(path) {
            let name = file.strip_prefix(path).unwrap_or(&file);
            if name.components().any(|part| IGNORED.iter().any(|word| part.as_os_str() == *word)) {
                continue;
            }
            hash.update(name.as_os_str().as_encoded_bytes());
            hash.update([0]);
            hash.update(sha256_of_file(&file).unwrap_or_default());
        }
        return format!("{:x}", hash.finalize());
    }
    sha256_of_file(path).unwrap_or_else(|_| "missing".to_owned())
}

/// Folders that Python makes in the source folders.
const IGNORED: [&str; 4] = ["__pycache__", "build", ".pytest_cache", ".hypothesis"];

/// The SHA-256 of a file's content.
pub(crate) fn sha256_of_file(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut fs::File::open(path)?, &mut hash)?;
    Ok(format!("{:x}", hash.finalize()))
}

/// The SHA-256 of bytes.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_changes_its_hash_with_a_name_or_a_content() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.py");
        fs::write(&file, "1").unwrap();
        let first = hash_of(folder.path());
        fs::write(&file, "2").unwrap();
        let second = hash_of(folder.path());
        fs::rename(&file, folder.path().join("b.py")).unwrap();
        let third = hash_of(folder.path());
        assert!(first != second && second != third && first != third);
        fs::create_dir(folder.path().join("__pycache__")).unwrap();
        fs::write(folder.path().join("__pycache__/b.pyc"), "").unwrap();
        assert_eq!(hash_of(folder.path()), third);
    }
}
