//! Reading regular files only, and writing files whole or not at all.
//!
//! Pipes and devices are refused, because reading them may never end. Writing goes to a [`PendingFile`] beside the
//! target, which is renamed when it is complete; the next write removes what a killed process left behind.
//! Start at [`write_atomically`] and [`read_regular`].

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// Writes a file whole or not at all, and creates its folder where that is missing.
///
/// A reader never sees half a file, even after a power cut. Of two writers at once, the last one wins.
///
/// # Errors
/// If the folder cannot be created or written.
pub fn write_atomically(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    write_to(PendingFile::new(path), path, bytes)
}

/// The same for a folder of very many files: leftovers of killed writers stay until [`remove_leftovers`] is called.
/// Looking for them before each of 100,000 files takes more than ten times as long as writing the files.
///
/// # Errors
/// If the folder cannot be created or written.
pub(crate) fn write_among_many(path: &Path, bytes: &[u8]) -> Result<()> {
    write_to(PendingFile::among_many(path), path, bytes)
}

fn write_to(file: io::Result<PendingFile>, path: &Path, bytes: &[u8]) -> Result<()> {
    let write = |mut file: PendingFile| {
        file.write_all(bytes)?;
        file.persist()
    };
    file.and_then(write).map_err(|source| Error::Io {
        action: "write",
        path: path.to_owned(),
        source,
        advice: "check that the folder can be written and the disk has room".into(),
    })
}

/// Why a file was not read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The operating system refused.
    Io(io::Error),
    /// It is not a regular file of at most that many bytes; says what it is.
    Other(String),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        ReadError::Io(error)
    }
}

impl ReadError {
    /// Converts it to an error about the file at `path`, which should hold what is `expected`.
    pub(crate) fn into_error(self, path: &Path, expected: &str, advice: &str) -> Error {
        let (path, advice) = (path.to_owned(), advice.to_owned());
        match self {
            ReadError::Io(source) => Error::Io { action: "read", path, source, advice },
            ReadError::Other(found) => {
                Error::File { path, expected: expected.to_owned(), found, advice }
            }
        }
    }
}

/// Opens a regular file, or a link to one; also returns its length.
pub(crate) fn open_regular(path: &Path) -> Result<(File, u64), ReadError> {
    // Checked before opening: opening a pipe waits for a writer, and opening a device may do anything.
    check_regular(&fs::metadata(path)?)?;
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // If a pipe has replaced the file since the check, opening it must not block.
        options.custom_flags(libc::O_NONBLOCK);
    }
    let file = options.open(path)?;
    let about = file.metadata()?;
    check_regular(&about)?;
    Ok((file, about.len()))
}

fn check_regular(about: &Metadata) -> Result<(), ReadError> {
    let found = match about.is_dir() {
        _ if about.is_file() => return Ok(()),
        true => "a folder",
        false => "something that is no regular file",
    };
    Err(ReadError::Other(found.to_owned()))
}

/// Reads a regular file of at most `most` bytes.
pub(crate) fn read_regular(path: &Path, most: u64) -> Result<Vec<u8>, ReadError> {
    let (file, length) = open_regular(path)?;
    if length > most {
        return Err(ReadError::Other(format!("{length} bytes, more than {most}")));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length as usize).map_err(|_| {
        ReadError::Other(format!("{length} bytes, for which there is no room in memory"))
    })?;
    file.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length {
        return Err(ReadError::Other("that it got shorter while it was read".to_owned()));
    }
    Ok(bytes)
}

/// Fills `bytes` from this offset of the file; other threads may read the file at the same time.
pub(crate) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset);
    #[cfg(not(unix))]
    {
        use std::io::Seek;
        // All readers of a file share one position, which seeking moves, so they take turns.
        static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut file = file;
        file.seek(io::SeekFrom::Start(offset))?;
        file.read_exact(bytes)
    }
}

/// Asks the system to read these bytes of the file soon, without waiting for them. Only a hint.
pub(crate) fn read_ahead(file: &File, offset: u64, bytes: usize) {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        // SAFETY: a plain system call for an open file. A refusal does no harm.
        unsafe {
            libc::posix_fadvise(
                file.as_raw_fd(),
                offset as libc::off_t,
                bytes as libc::off_t,
                libc::POSIX_FADV_WILLNEED,
            );
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, offset, bytes);
}

/// A pending file younger than this never counts as left behind: it may be created but not locked yet.
const LEFT_AFTER: Duration = Duration::from_secs(60);

const SUFFIX: &str = ".part";

/// A temporary file beside its target. If it is dropped before [`PendingFile::persist`], it is removed.
///
/// Its name is `.TARGET.XXXXXX.part`, and it is locked while it is written; the lock ends with the process.
pub(crate) struct PendingFile {
    file: NamedTempFile,
    folder: PathBuf,
    target: PathBuf,
}

impl PendingFile {
    /// Starts a file that will become `target`: creates its folder, and removes leftovers of killed writers.
    pub(crate) fn new(target: &Path) -> io::Result<PendingFile> {
        remove_leftovers(folder_of(target), &start_of(target));
        PendingFile::among_many(target)
    }

    /// The same without removing leftovers.
    fn among_many(target: &Path) -> io::Result<PendingFile> {
        let (folder, start) = (folder_of(target), start_of(target));
        fs::create_dir_all(folder)?;
        let file = tempfile::Builder::new().prefix(&start).suffix(SUFFIX).tempfile_in(folder)?;
        // Without file locks leftovers are never removed, which is harmless.
        let _ = file.as_file().try_lock();
        Ok(PendingFile { file, folder: folder.to_owned(), target: target.to_owned() })
    }

    pub(crate) fn as_file(&self) -> &File {
        self.file.as_file()
    }

    /// Renames the file to its target, safe against a power cut: the file is synced first, its folder afterwards.
    pub(crate) fn persist(self) -> io::Result<()> {
        // Temporary files are private to their user; a result gets the permissions of other files.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            self.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        }
        self.as_file().sync_all()?;
        self.file.persist(&self.target).map_err(|error| error.error)?;
        #[cfg(unix)]
        sync_folder(&self.folder)?;
        Ok(())
    }
}

/// Syncs a folder. Some network file systems cannot do this, which is no error: the file has its name all the same.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        Err(error) => match error.raw_os_error() {
            Some(libc::EINVAL | libc::ENOTSUP | libc::ENOSYS) => Ok(()),
            _ => Err(error),
        },
        Ok(()) => Ok(()),
    }
}

impl Write for PendingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn folder_of(target: &Path) -> &Path {
    target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The start of a pending file's name.
fn start_of(target: &Path) -> OsString {
    let mut start = OsString::from(".");
    // A name may have 255 bytes, and the temporary one has fourteen more.
    if let Some(name) = target.file_name().filter(|name| name.len() <= 240) {
        start.push(name);
        start.push(".");
    }
    start
}

/// Removes the pending files in `folder` whose names begin with `start` and whose writers are gone.
pub(crate) fn remove_leftovers(folder: &Path, start: &OsStr) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let is_pending =
            name.starts_with(start.as_encoded_bytes()) && name.ends_with(SUFFIX.as_bytes());
        if is_pending
            && entry.file_type().is_ok_and(|kind| kind.is_file())
            && is_left_behind(&entry.path())
        {
            // A leftover that cannot be removed only takes space.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// True when no process writes to this pending file any more.
fn is_left_behind(path: &Path) -> bool {
    let Ok(file) = File::options().read(true).write(true).open(path) else { return false };
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
        let mut pending = PendingFile::new(&folder.path().join("model")).unwrap();
        pending.write_all(b"whole").unwrap();
        pending.persist().unwrap();
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
    fn a_pending_file_is_locked_while_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let pending = PendingFile::new(&folder.path().join("model")).unwrap();
        pending.as_file().set_modified(SystemTime::now() - 2 * LEFT_AFTER).unwrap();
        assert!(!is_left_behind(pending.file.path()));
        // That of a process that was killed is not.
        let (file, path) = pending.file.keep().unwrap();
        assert!(!is_left_behind(&path));
        drop(file);
        assert!(is_left_behind(&path));
    }

    #[test]
    fn the_longest_name_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x".repeat(255));
        PendingFile::new(&path).unwrap().persist().unwrap();
        assert_eq!(names(folder.path()).len(), 1);
    }

    #[test]
    fn only_regular_files_of_a_bearable_length_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read_regular(&path, 5).unwrap(), b"12345");
        let found = |path: &Path, most| match read_regular(path, most).unwrap_err() {
            ReadError::Other(found) => found,
            ReadError::Io(error) => panic!("{error}"),
        };
        assert_eq!(found(&path, 4), "5 bytes, more than 4");
        assert_eq!(found(folder.path(), 5), "a folder");
        #[cfg(unix)]
        assert_eq!(found(Path::new("/dev/zero"), 5), "something that is no regular file");
        let missing = read_regular(&folder.path().join("nothing"), 5);
        assert!(
            matches!(missing, Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound)
        );
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/file.bin");
        write_atomically(&path, b"first").unwrap();
        write_atomically(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_reader_beside_two_writers_never_sees_half_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cnn.json");
        let contents = [vec![b'a'; 100_000], vec![b'b'; 70_000]];
        write_atomically(&path, &contents[0]).unwrap();
        let mut reads = 0;
        std::thread::scope(|scope| {
            let writers = contents.each_ref().map(|content| {
                scope.spawn(|| (0..50).for_each(|_| write_atomically(&path, content).unwrap()))
            });
            while writers.iter().any(|writer| !writer.is_finished()) {
                let found = fs::read(&path).unwrap();
                assert!(contents.contains(&found), "{} bytes", found.len());
                reads += 1;
            }
        });
        assert!(reads > 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_cannot_be_synced_is_no_failure() {
        let folder = Path::new("/proc");
        let refused = File::open(folder).unwrap().sync_all().unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EINVAL));
        sync_folder(folder).unwrap();
        assert!(sync_folder(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::create_dir(&path).unwrap();
        let text = write_atomically(&path, b"x").unwrap_err().to_string();
        assert!(text.starts_with("cannot write ") && text.ends_with("the disk has room"), "{text}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
