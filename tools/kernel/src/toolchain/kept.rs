//! A cache of compiled cells, shared by all sessions on a template.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::files::{digest, write_whole};
use crate::toolchain::folders::folder;

/// Most bytes that the cached cells of a template take. A cell takes some tens of kilobytes.
const LARGEST: u64 = 200 << 20;

/// The result of compiling a cell.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Library,
    /// It did not compile; holds the compiler's messages.
    Refusal,
}

fn file(template: &Path, key: &str, kind: Kind) -> PathBuf {
    let extension = match kind {
        Kind::Library => "so",
        Kind::Refusal => "json",
    };
    cells(template).join(format!("{key}.{extension}"))
}

fn cells(template: &Path) -> PathBuf {
    folder(template).join("cells")
}

/// Caches a result; if the folder is full or read-only, nothing is cached.
pub(super) fn keep(template: &Path, key: &str, kind: Kind, content: &[u8]) {
    let mut whole = digest([content]).into_bytes();
    whole.push(b'\n');
    whole.extend_from_slice(content);
    let _ = write_whole(&file(template, key, kind), &whole);
}

/// The cached result, if its checksum is right.
pub(super) fn find(template: &Path, key: &str, kind: Kind) -> Option<Vec<u8>> {
    let path = file(template, key, kind);
    let whole = fs::read(&path).ok()?;
    let end = whole.iter().position(|&byte| byte == b'\n')?;
    let (said, content) = (&whole[..end], &whole[end + 1..]);
    if said != digest([content]).as_bytes() {
        let _ = fs::remove_file(path);
        return None;
    }
    // Marks the entry as just used: the oldest entries are removed first.
    let _ = fs::File::options()
        .append(true)
        .open(path)
        .and_then(|file| file.set_modified(SystemTime::now()));
    Some(content.to_vec())
}

/// Removes the least recently used entries above the limit.
pub(crate) fn trim(template: &Path) -> io::Result<()> {
    trim_to(&cells(template), LARGEST)
}

fn trim_to(cells: &Path, largest: u64) -> io::Result<()> {
    let mut all = Vec::new();
    for entry in fs::read_dir(cells)? {
        let (path, about) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
        all.push((about.modified()?, about.len(), path));
    }
    all.sort_unstable();
    let mut total: u64 = all.iter().map(|(_, length, _)| length).sum();
    for (_, length, path) in all {
        if total <= largest {
            break;
        }
        // Another kernel may have been quicker.
        let _ = fs::remove_file(path);
        total -= length;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn what_is_kept_is_found_again() {
        let template = tempfile::tempdir().unwrap();
        keep(template.path(), "a", Kind::Library, b"one\ntwo");
        assert_eq!(find(template.path(), "a", Kind::Library).unwrap(), b"one\ntwo");
        assert!(find(template.path(), "a", Kind::Refusal).is_none());
        assert!(find(template.path(), "b", Kind::Library).is_none());
    }

    #[test]
    fn a_damaged_cell_is_compiled_again() {
        let template = tempfile::tempdir().unwrap();
        keep(template.path(), "a", Kind::Library, b"library");
        let path = file(template.path(), "a", Kind::Library);
        for damage in [&b""[..], b"no line", b"0123\nlibrary"] {
            fs::write(&path, damage).unwrap();
            assert!(find(template.path(), "a", Kind::Library).is_none());
        }
        let whole = [digest([&b"library"[..]]).as_bytes(), b"\nlibrar"].concat();
        fs::write(&path, whole).unwrap();
        assert!(find(template.path(), "a", Kind::Library).is_none());
        assert!(!path.exists(), "it would be read in vain again");
    }

    #[test]
    fn nothing_is_kept_where_nothing_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let template = folder.path().join("a file");
        fs::write(&template, "").unwrap();
        keep(&template, "a", Kind::Library, b"library");
        assert!(find(&template, "a", Kind::Library).is_none());
    }

    #[test]
    fn the_oldest_go_first() {
        let template = tempfile::tempdir().unwrap();
        for (age, key) in [(1, "new"), (3, "old"), (2, "middle")] {
            keep(template.path(), key, Kind::Library, b"0123456789");
            let file = fs::File::options()
                .append(true)
                .open(file(template.path(), key, Kind::Library))
                .unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(10 - age)).unwrap();
        }
        let length = fs::metadata(file(template.path(), "new", Kind::Library)).unwrap().len();

        trim_to(&cells(template.path()), 2 * length).unwrap();

        let has = |key: &str| file(template.path(), key, Kind::Library).exists();
        assert_eq!([has("new"), has("middle"), has("old")], [true, true, false]);
    }
}
