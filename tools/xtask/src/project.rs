//! Where things are in the repository.

use std::cell::RefCell;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::failure::Failure;

/// The repository, wherever in it the command was given.
#[derive(Debug)]
pub(crate) struct Project {
    root: PathBuf,
    /// Held while `.tools` or `data` is changed, or notebooks run.
    lock: RefCell<Option<File>>,
}

impl Project {
    /// The repository that this program was built in.
    pub(crate) fn find() -> Project {
        // Cargo sets the variable for `cargo xtask`; the constant serves a binary started by hand.
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));
        let root = Path::new(&manifest).join("../..");
        Project { root: root.canonicalize().unwrap_or(root), lock: RefCell::default() }
    }

    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Project {
        Project { root: root.to_owned(), lock: RefCell::default() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// `relative` in the repository.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// `relative` in `.tools`, which holds all that set-up makes.
    pub(crate) fn tools(&self, relative: &str) -> PathBuf {
        self.root.join(".tools").join(relative)
    }

    /// A program of the project's Python environment.
    pub(crate) fn python(&self, program: &str) -> PathBuf {
        self.tools("python/bin").join(program)
    }

    /// The log of one step.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.tools("logs").join(format!("{name}.log"))
    }

    /// `path` as a reader in the repository would write it.
    pub(crate) fn show(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// A fresh, empty folder in `.tools/tmp`, on the file system of what will be renamed out of it.
    pub(crate) fn temporary(&self, name: &str) -> io::Result<PathBuf> {
        let folder = self.tools("tmp").join(format!("{name}-{}", process::id()));
        remove(&folder)?;
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// A program that starts in the root, without the variables that `cargo xtask` itself was given.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        // The lock's file is as empty as the null device, and a program that outlives a killed xtask
        // keeps the next one waiting until it, too, has ended.
        let lock = self.lock.borrow().as_ref().and_then(|file| file.try_clone().ok());
        command.stdin(lock.map_or_else(process::Stdio::null, process::Stdio::from));
        // A cargo below shall decide as if the command were given by hand.
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_")
                || text.starts_with("CARGO_MANIFEST")
                || text == "CARGO_BIN_NAME"
                || text == "CARGO_CRATE_NAME"
                || text == "CARGO_PRIMARY_PACKAGE"
            {
                command.env_remove(&name);
            }
        }
        // Somebody's own Python settings must not reach into the project's environment.
        command.env_remove("PYTHONPATH").env_remove("PYTHONHOME").env("PIP_USER", "0");
        command
    }

    /// Waits until no other xtask changes `.tools` or `data`.
    pub(crate) fn lock(&self) -> Result<Lock<'_>, Failure> {
        self.lock_file("lock", "another xtask, or a program that it started, is at work")
    }

    /// Waits until no other xtask runs notebooks into the same folder: the results of two would be mixed.
    pub(crate) fn lock_runs(&self, quick: bool) -> Result<Lock<'_>, Failure> {
        match quick {
            true => {
                self.lock_file("run-quick.lock", "another xtask runs notebooks into export/quick/")
            }
            false => self.lock_file("run-full.lock", "another xtask runs notebooks into export/"),
        }
    }

    fn lock_file(&self, name: &str, busy: &str) -> Result<Lock<'_>, Failure> {
        let path = self.tools(name);
        let failed = |error| Failure::of_file("write", &path, &error);
        fs::create_dir_all(path.parent().unwrap_or(&self.root)).map_err(failed)?;
        let file = File::create(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                println!("{busy}; waiting for its end");
                file.lock().map_err(failed)?;
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let held = file.try_clone().map_err(failed)?;
        self.lock.replace(Some(file));
        Ok(Lock { project: self, _held: held })
    }

    /// The loader's variable, with libtorch's folder first in it.
    fn loader_path(&self) -> (&'static str, OsString) {
        let name = if cfg!(target_os = "macos") { "DYLD_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };
        let torch = self.tools("torch/torch/lib");
        let given = env::var_os(name).unwrap_or_default();
        let mut folders = vec![torch.clone()];
        folders.extend(
            env::split_paths(&given).filter(|path| *path != torch && !path.as_os_str().is_empty()),
        );
        (name, env::join_paths(folders).unwrap_or_else(|_| torch.into_os_string()))
    }

    /// The cargo that started this program, with the project's libtorch and no other.
    pub(crate) fn cargo(&self) -> Command {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = self.command(cargo);
        for name in ["LIBTORCH_USE_PYTORCH", "LIBTORCH_INCLUDE", "LIBTORCH_LIB", "LIBTORCH_STATIC"]
        {
            command.env_remove(name);
        }
        let (loader, folders) = self.loader_path();
        command.env(loader, folders).env("LIBTORCH", self.tools("libtorch"));
        command
    }
}

/// Keeps other xtasks waiting while it lives.
#[derive(Debug)]
pub(crate) struct Lock<'a> {
    project: &'a Project,
    /// The same lock once more: taking another one does not give it up.
    _held: File,
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        self.project.lock.replace(None);
    }
}

/// Removes a file or a folder with all in it, if there.
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

/// Puts the folder `fresh` where `place` is; what was there goes.
pub(crate) fn replace(fresh: &Path, place: &Path) -> io::Result<()> {
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent)?;
    }
    if place.is_dir() && fresh.is_dir() {
        // A folder cannot be renamed onto a full one: the old one steps aside first.
        let aside = fresh.with_extension("old");
        remove(&aside)?;
        fs::rename(place, &aside)?;
        fs::rename(fresh, place)?;
        return remove(&aside);
    }
    fs::rename(fresh, place)
}

/// Writes a file so that a reader sees the old content or the whole new one.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::io::Write;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    sweep(path, &format!(".{name}."));
    // Nobody else has the name, not even a process of the same number in another container.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let fresh = path.with_file_name(format!(".{name}.{}-{now}.part", process::id()));
    let mut file = File::create_new(&fresh)?;
    // Where locks are unknown, what a killed writer leaves stays.
    let _ = file.try_lock();
    let written = file.write_all(content).and_then(|()| file.sync_all());
    match written.and_then(|()| fs::rename(&fresh, path)) {
        Ok(()) => Ok(()),
        Err(error) => {
            let _ = fs::remove_file(&fresh);
            Err(error)
        }
    }
}

/// Removes what killed writers left beside `path` under names that begin like this: files that nobody holds a lock on,
/// and that were last written to a minute ago, at least, since a new one is not locked yet.
fn sweep(path: &Path, start: &str) {
    let entries = path.parent().and_then(|folder| fs::read_dir(folder).ok());
    for entry in entries.into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_part = name.starts_with(start) && name.ends_with(".part");
        if !is_part || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let left = File::options().read(true).write(true).open(entry.path()).is_ok_and(|file| {
            let written = file.metadata().and_then(|about| about.modified()).ok();
            let age = written.and_then(|time| time.elapsed().ok()).unwrap_or_default();
            age.as_secs() >= 60 && file.try_lock().is_ok()
        });
        if left {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// All files below `folder`, links not followed, in the order of their names.
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

/// Whether the file's name begins with a dot: what a writer that was killed leaves behind, or one at work has begun.
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
    use super::*;

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

    /// What the process of the next test runs; it does nothing in an ordinary run of the tests.
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
        // No file may grow beyond 512 bytes there, and the signal that would end the process is ignored.
        let limited = "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"";
        let output = Command::new("sh")
            .args(["-c", limited])
            .arg(env::current_exe().unwrap())
            .args(["--exact", "project::tests::writing_on_a_full_disk"])
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
    fn runs_into_one_folder_wait_for_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (Project::at(folder.path()), Project::at(folder.path()));
        let lock = one.lock_runs(false).unwrap();
        let _other_folder = two.lock_runs(true).unwrap();
        let file = File::open(one.tools("run-full.lock")).unwrap();
        assert!(matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
        drop(lock);
        file.try_lock().unwrap();
    }

    #[test]
    fn whoever_needs_two_locks_keeps_both() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        let locks = (project.lock_runs(false).unwrap(), project.lock_runs(true).unwrap());
        let free = |name: &str| File::open(project.tools(name)).unwrap().try_lock().is_ok();
        assert!(!free("run-full.lock") && !free("run-quick.lock"));
        drop(locks);
        assert!(free("run-full.lock") && free("run-quick.lock"));
    }

    #[test]
    fn a_program_that_was_started_under_the_lock_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        let lock = project.lock().unwrap();
        let mut left = project.command("sleep").arg("60").spawn().unwrap();
        drop(lock);
        let file = File::open(project.tools("lock")).unwrap();
        assert!(matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
        left.kill().unwrap();
        left.wait().unwrap();
        file.try_lock().unwrap();
    }

    #[test]
    fn removing_what_is_not_there_is_no_error() {
        remove(&tempfile::tempdir().unwrap().path().join("nothing")).unwrap();
    }
}
