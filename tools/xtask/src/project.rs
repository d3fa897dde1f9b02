//! Where things are in the repository.

use std::cell::RefCell;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use crate::failure::Failure;

/// The repository, wherever in it the command was given.
#[derive(Debug)]
pub(crate) struct Project {
    root: PathBuf,
    /// Held while `.tools` or `data` is changed.
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
        let path = self.tools("lock");
        let failed = |error| Failure::of_file("write", &path, &error);
        fs::create_dir_all(self.tools("")).map_err(failed)?;
        let file = File::create(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                println!(
                    "another xtask, or a program that it started, is at work; waiting for its end"
                );
                file.lock().map_err(failed)?;
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        self.lock.replace(Some(file));
        Ok(Lock(self))
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
pub(crate) struct Lock<'a>(&'a Project);

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        self.0.lock.replace(None);
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
    let fresh = path.with_file_name(format!(".{name}.{}", process::id()));
    let mut file = File::create(&fresh)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    drop(file);
    match written.and_then(|()| fs::rename(&fresh, path)) {
        Ok(()) => Ok(()),
        Err(error) => {
            let _ = fs::remove_file(&fresh);
            Err(error)
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
