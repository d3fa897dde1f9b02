//! Files that are read whole, and files that are written whole or not at all.
//!
//! What is read is a regular file of a bearable length: a pipe would be waited for, and a device never ends. What is
//! written goes to a temporary file beside its place, a [`Part`], which takes the name when it is whole; one that a
//! killed process left behind goes when the next one is made.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::error::Error;

/// Why a file was not read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The operating system refused.
    Io(io::Error),
    /// It is something else than a file of at most so many bytes; what it is instead.
    Other(String),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Unread {
        Unread::Io(error)
    }
}

impl Unread {
    /// As an error about the file at `path`, which should hold what is `expected`.
    pub(crate) fn into_error(self, path: &Path, expected: &str, advice: &str) -> Error {
        let (path, advice) = (path.to_owned(), advice.to_owned());
        match self {
            Unread::Io(source) => Error::Io { action: "read", path, source, advice },
            Unread::Other(found) => {
                Error::File { path, expected: expected.to_owned(), found, advice }
            }
        }
    }
}

/// Opens a regular file, or a link to one; gives its length too.
pub(crate) fn open_regular(path: &Path) -> Result<(File, u64), Unread> {
    // Looked at before it is opened: opening a pipe waits for a writer, and opening a device may do anything.
    check_regular(&fs::metadata(path)?)?;
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // Nor is a pipe waited for that took the file's place since.
        options.custom_flags(libc::O_NONBLOCK);
    }
    let file = options.open(path)?;
    let about = file.metadata()?;
    check_regular(&about)?;
    Ok((file, about.len()))
}

fn check_regular(about: &Metadata) -> Result<(), Unread> {
    let found = match about.is_dir() {
        _ if about.is_file() => return Ok(()),
        true => "a folder",
        false => "something that is no regular file",
    };
    Err(Unread::Other(found.to_owned()))
}

/// Reads a regular file of at most `most` bytes.
pub(crate) fn read_regular(path: &Path, most: u64) -> Result<Vec<u8>, Unread> {
    let (file, length) = open_regular(path)?;
    if length > most {
        return Err(Unread::Other(format!("{length} bytes, more than {most}")));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length as usize).map_err(|_| {
        Unread::Other(format!("{length} bytes, for which there is no room in memory"))
    })?;
    file.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length {
        return Err(Unread::Other("that it got shorter while it was read".to_owned()));
    }
    Ok(bytes)
}

/// Fills `bytes` from what stands at `place` of the file, wherever others read.
pub(crate) fn read_at(file: &File, bytes: &mut [u8], place: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_exact_at(file, bytes, place);
    #[cfg(not(unix))]
    {
        use std::io::Seek;
        // The position is the file's, not the handle's: one reader at a time.
        static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut file = file;
        file.seek(io::SeekFrom::Start(place))?;
        file.read_exact(bytes)
    }
}

/// How long ago a part was last written to, at least, before it counts as left behind: a new one is not locked yet.
const LEFT_AFTER: Duration = Duration::from_secs(60);

const END: &str = ".part";

/// A file on its way to its place: it goes if it is dropped before [`Part::finish`].
///
/// Its name is that of the place between dots, then six letters, then `.part`. It is locked while it is written, and
/// the lock ends with the process, however that ends.
pub(crate) struct Part {
    file: NamedTempFile,
    folder: PathBuf,
    place: PathBuf,
}

impl Part {
    /// Begins a file at `place`; makes its folder, and removes what killed writers left of it.
    pub(crate) fn of(place: &Path) -> io::Result<Part> {
        let folder = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(folder)?;
        let mut start = std::ffi::OsString::from(".");
        // A name may have 255 bytes, and fourteen are added here.
        if let Some(name) = place.file_name().filter(|name| name.len() <= 240) {
            start.push(name);
            start.push(".");
            sweep(folder, &start);
        }
        let file = tempfile::Builder::new().prefix(&start).suffix(END).tempfile_in(folder)?;
        // Where locks are unknown, parts that are left behind stay.
        let _ = file.as_file().try_lock();
        Ok(Part { file, folder: folder.to_owned(), place: place.to_owned() })
    }

    pub(crate) fn as_file(&self) -> &File {
        self.file.as_file()
    }

    /// Puts the file to its place, safe from a power cut: it is synced, renamed, and its folder is synced.
    pub(crate) fn finish(self) -> io::Result<()> {
        // Temporary files are private to their user; results are as readable as any other file.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            self.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        }
        self.as_file().sync_all()?;
        self.file.persist(&self.place).map_err(|error| error.error)?;
        #[cfg(unix)]
        File::open(&self.folder)?.sync_all()?;
        Ok(())
    }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Removes the parts in `folder` whose names begin with `start` and whose writers are gone.
pub(crate) fn sweep(folder: &Path, start: &OsStr) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let is_part = name.starts_with(start.as_encoded_bytes()) && name.ends_with(END.as_bytes());
        if is_part && entry.file_type().is_ok_and(|kind| kind.is_file()) && is_left(&entry.path()) {
            // One that stays takes room and does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether nobody writes to this part any more.
fn is_left(part: &Path) -> bool {
    let Ok(file) = File::options().read(true).write(true).open(part) else { return false };
    let age = file.metadata().and_then(|about| about.modified()).ok();
    age.and_then(|time| time.elapsed().ok()).is_some_and(|age| age >= LEFT_AFTER)
        && file.try_lock().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_killed_writer_left_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let old = |name: &str| {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(SystemTime::now() - 2 * LEFT_AFTER).unwrap();
            file
        };
        old(".model.aaaaaa.part");
        let at_work = old(".model.bbbbbb.part");
        at_work.try_lock().unwrap();
        File::create(folder.path().join(".model.cccccc.part")).unwrap();
        old(".other.aaaaaa.part");
        old(".model.aaaaaa");
        old("model.aaaaaa.part");
        let mut part = Part::of(&folder.path().join("model")).unwrap();
        part.write_all(b"whole").unwrap();
        part.finish().unwrap();
        assert_eq!(
            names(folder.path()),
            [
                ".model.aaaaaa",
                ".model.bbbbbb.part",
                ".model.cccccc.part",
                ".other.aaaaaa.part",
                "model",
                "model.aaaaaa.part",
            ]
        );
        assert_eq!(fs::read(folder.path().join("model")).unwrap(), b"whole");
    }

    #[test]
    fn a_part_is_locked_while_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let part = Part::of(&folder.path().join("model")).unwrap();
        part.as_file().set_modified(SystemTime::now() - 2 * LEFT_AFTER).unwrap();
        assert!(!is_left(part.file.path()));
        // That of a process that was killed is not.
        let (file, path) = part.file.keep().unwrap();
        assert!(!is_left(&path));
        drop(file);
        assert!(is_left(&path));
    }

    #[test]
    fn the_longest_name_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x".repeat(255));
        Part::of(&path).unwrap().finish().unwrap();
        assert_eq!(names(folder.path()).len(), 1);
    }

    #[test]
    fn only_regular_files_of_a_bearable_length_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read_regular(&path, 5).unwrap(), b"12345");
        let found = |path: &Path, most| match read_regular(path, most).unwrap_err() {
            Unread::Other(found) => found,
            Unread::Io(error) => panic!("{error}"),
        };
        assert_eq!(found(&path, 4), "5 bytes, more than 4");
        assert_eq!(found(folder.path(), 5), "a folder");
        #[cfg(unix)]
        assert_eq!(found(Path::new("/dev/zero"), 5), "something that is no regular file");
        let missing = read_regular(&folder.path().join("nothing"), 5);
        assert!(
            matches!(missing, Err(Unread::Io(error)) if error.kind() == io::ErrorKind::NotFound)
        );
    }
}
