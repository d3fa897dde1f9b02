//! The paths of the repository.

use std::cell::{Cell, RefCell};
use std::env;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use tempfile::TempDir;

use crate::failure::Failure;
use crate::progress::say;

/// The repository, found from any folder in it.
#[derive(Debug)]
pub(crate) struct Project {
    root: PathBuf,
    /// Held while `.tools` or `data` is changed, or notebooks run.
    lock: RefCell<Option<File>>,
    /// True once the user was told that the file system has no locks.
    told: Cell<bool>,
}

impl Project {
    /// The repository that this program was built in.
    pub(crate) fn find() -> Project {
        // Cargo sets the variable for `cargo xtask`; the constant is for a binary that is started directly.
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));
        let root = Path::new(&manifest).join("../..");
        Project::at(&root.canonicalize().unwrap_or(root))
    }

    /// The repository in this folder.
    pub(crate) fn at(root: &Path) -> Project {
        Project { root: root.to_owned(), lock: RefCell::default(), told: Cell::default() }
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

    /// `path` relative to the repository.
    pub(crate) fn show(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// A new folder in `.tools/tmp`, on the file system of its final place; dropping the value removes it.
    pub(crate) fn temporary(&self, name: &str) -> Result<TempDir, Failure> {
        let folder = self.tools("tmp");
        fs::create_dir_all(&folder)
            .and_then(|()| tempfile::Builder::new().prefix(name).tempdir_in(&folder))
            .map_err(|error| Failure::of_file("write in", &folder, &error))
    }

    /// A program that starts in the root, without the variables that cargo set for `cargo xtask`.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        // The program's stdin is the lock's file, which is empty like /dev/null. So a program that outlives a killed
        // xtask keeps the lock until it ends.
        let lock = self.lock.borrow().as_ref().and_then(|file| file.try_clone().ok());
        command.stdin(lock.map_or_else(process::Stdio::null, process::Stdio::from));
        // A cargo that is started here must behave as if a user had started it.
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
        // A user's Python settings must not affect the project's environment.
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
                say(&format!("{busy}; waiting for its end"));
                file.lock().map_err(failed)?;
            }
            Err(TryLockError::Error(error)) if has_no_locks(&error) => {
                self.say_once_that_there_are_no_locks();
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let held = file.try_clone().map_err(failed)?;
        self.lock.replace(Some(file));
        Ok(Lock { project: self, _held: held })
    }

    fn say_once_that_there_are_no_locks(&self) {
        if !self.told.replace(true) {
            let folder = self.show(&self.tools(""));
            say(&format!("the file system of {folder} has no locks: run one xtask at a time here"));
        }
    }

    /// The dynamic loader's variable, with libtorch's folder first.
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

    /// The cargo that started this program, with the project's libtorch only.
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

/// True if the file system has no locks, as Lustre without `flock` and NFS without its lock daemon.
fn has_no_locks(error: &io::Error) -> bool {
    // Rust has no name for "no locks available", which is 37 on Linux and 77 on macOS.
    let no_daemon = if cfg!(target_os = "macos") { 77 } else { 37 };
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(no_daemon)
}

/// Makes other xtasks wait until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock<'a> {
    project: &'a Project,
    /// A second handle of the same lock: taking another lock does not release it.
    _held: File,
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        self.project.lock.replace(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_system_without_locks_is_no_failure_and_a_full_disk_is_one() {
        let is_no_failure = |code| has_no_locks(&io::Error::from_raw_os_error(code));
        // ENOSYS, EOPNOTSUPP, ENOLCK; ENOSPC, EIO, EACCES.
        assert_eq!([38, 95, 37].map(is_no_failure), [true; 3]);
        assert_eq!([28, 5, 13].map(is_no_failure), [false; 3]);
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
}
