//! Files and folders: whole writes, moves, lists and sizes.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Removes a file, or a folder with its content; does nothing if it does not exist.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(data) if data.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Moves a file or a folder to `target`, and replaces what is there.
pub(crate) fn replace(fresh: &Path, target: &Path) -> io::Result<()> {
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    if target.is_dir() && fresh.is_dir() {
        // A folder cannot be renamed to one that is not empty: the old one is renamed first.
        let aside = fresh.with_extension("old");
        remove(&aside)?;
        fs::rename(target, &aside)?;
        fs::rename(fresh, target)?;
        return remove(&aside);
    }
    fs::rename(fresh, target)
}

/// Writes a file atomically: a reader sees the old content or the complete new one.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let prefix = format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy());
    remove_abandoned(folder, &prefix);
    let mut file = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(".part")
        // The umask decides, as for other files.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    // Locked while the file is written. Without support for locks, the temporary files of killed writers stay.
    let _ = file.as_file().try_lock();
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Removes the temporary files of killed writers in `folder`, whose names begin like this: those that are not locked. A
/// new one is not locked yet, so those of the last minute stay.
fn remove_abandoned(folder: &Path, prefix: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_part = name.starts_with(prefix) && name.ends_with(".part");
        if !is_part || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let abandoned =
            File::options().read(true).write(true).open(entry.path()).is_ok_and(|file| {
                let written = file.metadata().and_then(|about| about.modified()).ok();
                let age = written.and_then(|time| time.elapsed().ok()).unwrap_or_default();
                age.as_secs() >= 60 && file.try_lock().is_ok()
            });
        if abandoned {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// All files below `folder`, sorted by name; links are not followed.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        match fs::symlink_metadata(&path) {
            Ok(data) if data.is_dir() => found.extend(files(&path)),
            Ok(_) => found.push(path),
            Err(_) => {}
        }
    }
    found
}

/// Whether the file's name begins with a dot, as that of a temporary file of a writer does.
pub(crate) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// The bytes of all files below `path`.
pub(crate) fn size(path: &Path) -> u64 {
    match fs::symlink_metadata(path) {
        Ok(data) if data.is_dir() => files(path)
            .iter()
            .filter_map(|file| fs::symlink_metadata(file).ok())
            .map(|data| data.len())
            .sum(),
        Ok(data) => data.len(),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::Command;
    use std::time::SystemTime;

    use super::*;
    use crate::failure::Failure;

    #[test]
    fn a_folder_takes_the_place_of_a_full_one() {
        let folder = tempfile::tempdir().unwrap();
        let (fresh, place) = (folder.path().join("fresh"), folder.path().join("place"));
        for path in [&fresh, &place] {
            fs::create_dir(path).unwrap();
        }
        fs::write(place.join("old"), "").unwrap();
        fs::write(fresh.join("new"), "").unwrap();
        replace(&fresh, &place).unwrap();
        assert_eq!(files(folder.path()), [place.join("new")]);
    }

    #[test]
    fn a_written_file_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.txt");
        write_whole(&path, b"one").unwrap();
        write_whole(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(files(folder.path()), [path]);
    }

    #[test]
    fn what_a_killed_writer_left_goes_with_the_next_write() {
        let folder = tempfile::tempdir().unwrap();
        let old = |name: &str| {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(SystemTime::now() - std::time::Duration::from_secs(120)).unwrap();
            file
        };
        old(".full.json.7-1.part");
        let at_work = old(".full.json.7-2.part");
        at_work.try_lock().unwrap();
        old(".quick.json.7-3.part");
        let path = folder.path().join("full.json");
        write_whole(&path, b"whole").unwrap();
        let names = files(folder.path());
        let expected = [".full.json.7-2.part", ".quick.json.7-3.part", "full.json"];
        assert_eq!(names, expected.map(|name| folder.path().join(name)));
    }

    /// Runs in the process that the next test starts; it does nothing in an ordinary run of the tests.
    #[test]
    fn writing_on_a_full_disk() {
        let Some(folder) = env::var_os("FULL_DISK_TEST_FOLDER").map(PathBuf::from) else { return };
        let path = folder.join("06_cnn_training.ipynb");
        write_whole(&path, b"short").unwrap();
        let error = write_whole(&path, &[b'x'; 1000]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(fs::read(&path).unwrap(), b"short");
        assert_eq!(files(&folder), [path]);
    }

    #[test]
    fn a_full_disk_leaves_the_old_file_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        // The process cannot write more than 512 bytes to a file, and ignores the signal that would end it.
        let limited = "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"";
        let output = Command::new("sh")
            .args(["-c", limited])
            .arg(env::current_exe().unwrap())
            .args(["--exact", "files::tests::writing_on_a_full_disk"])
            .env("FULL_DISK_TEST_FOLDER", folder.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        assert_eq!(fs::read(folder.path().join("06_cnn_training.ipynb")).unwrap(), b"short");
        let full = io::Error::from_raw_os_error(28);
        let text = Failure::of_file("write", folder.path(), &full).to_string();
        assert!(text.contains(&folder.path().display().to_string()), "{text}");
        assert!(text.contains("what to do: the disk is full: free some space"), "{text}");
    }

    #[test]
    fn writers_at_once_leave_one_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("full.json");
        write_whole(&path, &[b'a'; 5000]).unwrap();
        std::thread::scope(|scope| {
            let write = |content: &'static [u8]| {
                scope.spawn(|| (0..50).for_each(|_| write_whole(&path, content).unwrap()))
            };
            let writers = [write(&[b'a'; 5000]), write(&[b'b'; 5000])];
            while writers.iter().any(|writer| !writer.is_finished()) {
                let found = fs::read(&path).unwrap();
                assert!(found == [b'a'; 5000] || found == [b'b'; 5000]);
            }
        });
        assert_eq!(files(folder.path()), [path]);
    }

    #[test]
    fn removing_what_is_not_there_is_no_error() {
        remove(&tempfile::tempdir().unwrap().path().join("nothing")).unwrap();
    }
}
