//! One kernel from start to end: its front, evcxr behind it, and its own copy of the warm build.
//!
//! evcxr's build folder must have one user only. So each kernel gets a folder in `sessions/` and
//! holds a lock on `NAME.lock` beside it. The lock goes with the process, however it ends: a folder
//! whose lock is free belongs to nobody, and the next kernel removes it.

use std::env;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use crate::Outcome;
use crate::build_folder;
use crate::environment::{LIBTORCH_VARIABLE, environment};
use crate::files::{lock, remove};
use crate::front::diagnostics::DIAGNOSTICS_VARIABLE;
use crate::front::inner::Place;
use crate::front::{self, Prepared};
use crate::parent;
use crate::paths::Paths;
use crate::runner::BACKTRACE_VARIABLE;
use crate::template::Stamp;

/// A Unix socket's path has room for some hundred bytes.
const LONGEST_SOCKET_FOLDER: usize = 70;

/// Runs one kernel until Jupyter ends it; `ready`: one that is started before anybody asks for it.
pub(crate) fn serve(paths: &Paths, connection_file: &Path, ready: bool) -> Outcome {
    let Some(built) = Stamp::read(&paths.template()) else {
        return Err("the Rust kernel has no warm build yet; run `cargo xtask setup`".into());
    };
    let root = paths.root().to_owned();
    front::serve(paths, connection_file, move || {
        let prepare = || prepare(&Paths::find(Some(root))?, &built, ready);
        prepare().map_err(|error: Box<dyn std::error::Error>| {
            format!("the kernel does not start: {error}")
        })
    })
}

/// In the process behind the front: evcxr as it is, until the front ends.
pub(crate) fn serve_behind_front() -> Outcome {
    silence_stdout()?;
    parent::end_with_it();
    // evcxr_jupyter reads the connection file's name from the command line by itself.
    Ok(evcxr_jupyter::main()?)
}

fn prepare(paths: &Paths, built: &Stamp, ready: bool) -> Outcome<Prepared> {
    if Stamp::now(paths)? != *built {
        eprintln!(
            "note: helpers or its dependencies changed since the kernel's warm build: the first cell compiles \
             what changed; `cargo xtask setup` makes later kernels quick again"
        );
    }
    let session = Session::start(paths)?;
    let helpers = paths.helpers();
    let configuration =
        build_folder::write_configuration(&session.folder, ready.then_some(&*helpers))?;
    let compiling = Arc::new(AtomicBool::new(false));
    build_folder::keep_lock_file(session.folder.clone(), compiling.clone());
    let diagnostics = session.folder.join("diagnostics");

    // Somebody may have chosen other values, but for the libtorch that the warm build was made for: with another one all
    // is compiled anew. Cargo sets one for whatever it starts.
    let wanted = |name: &str| name == LIBTORCH_VARIABLE || env::var_os(name).is_none();
    let variables = environment(paths).into_iter().filter(|(name, _)| wanted(name));
    let own = [
        (BACKTRACE_VARIABLE, env::var("RUST_BACKTRACE").unwrap_or_else(|_| "0".to_owned())),
        ("EVCXR_TMPDIR", session.folder.display().to_string()),
        ("EVCXR_CONFIG_DIR", configuration.display().to_string()),
        // evcxr_jupyter brings the kernelspec it finds up to date; here it finds none, and so leaves
        // a kernelspec that the user has installed elsewhere alone.
        ("JUPYTER_PATH", configuration.display().to_string()),
        (DIAGNOSTICS_VARIABLE, diagnostics.display().to_string()),
    ];
    let environment = variables.chain(own).map(|(name, value)| (name.to_owned(), value)).collect();
    Ok(Prepared {
        place: Place { sockets: session.sockets.path().to_owned(), environment },
        generated: session.folder.join("src/lib.rs"),
        diagnostics,
        compiling,
        _session: Box::new(session),
    })
}

/// The build folder of one kernel, removed with the value.
struct Session {
    folder: PathBuf,
    lock_file: PathBuf,
    _lock: File,
    /// Where the front and evcxr meet, a folder for its owner alone.
    sockets: TempDir,
}

impl Session {
    fn start(paths: &Paths) -> Outcome<Session> {
        let sessions = paths.sessions();
        fs::create_dir_all(&sessions)?;
        let (folder, lock_file, own) = {
            let _alone = lock(&paths.kernel().join("sessions.lock"))?;
            remove_stale(&sessions)?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let folder = sessions.join(format!("{}-{}", process::id(), now.as_micros()));
            let lock_file = folder.with_extension("lock");
            let own = lock(&lock_file)?;
            (folder, lock_file, own)
        };
        fs::create_dir_all(&folder)?;
        // In the session's folder one that is left behind is removed with it.
        let sockets = match folder.as_os_str().len() <= LONGEST_SOCKET_FOLDER {
            true => tempfile::Builder::new().prefix("sockets-").tempdir_in(&folder)?,
            false => tempfile::Builder::new().prefix("rust-kernel-").tempdir()?,
        };
        let session = Session { folder, lock_file, _lock: own, sockets };
        let shared = File::create(paths.kernel().join("template.lock"))?;
        shared.lock_shared()?;
        build_folder::copy(&paths.template(), &session.folder)?;
        Ok(session)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What stays behind is removed by the next kernel.
        let _ = remove(&self.folder).and_then(|()| fs::remove_file(&self.lock_file));
    }
}

/// Removes what kernels that were killed have left.
fn remove_stale(sessions: &Path) -> io::Result<()> {
    for entry in fs::read_dir(sessions)? {
        let path = entry?.path();
        let lock_file = path.with_extension("lock");
        let in_use = File::open(&lock_file).is_ok_and(|lock| lock.try_lock().is_err());
        if in_use {
            continue;
        }
        remove(&path.with_extension(""))?;
        if lock_file.exists() {
            fs::remove_file(&lock_file)?;
        }
    }
    Ok(())
}

/// The kernel's own standard output holds nothing but evcxr's notes on its configuration. What cells
/// print does not come this way.
fn silence_stdout() -> io::Result<()> {
    let nothing = File::options().write(true).open("/dev/null")?;
    // SAFETY: both descriptors are open; `dup2` makes standard output another name of the first.
    match unsafe { libc::dup2(nothing.as_raw_fd(), libc::STDOUT_FILENO) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sessions_without_a_living_kernel_are_stale() {
        let sessions = tempfile::tempdir().unwrap();
        let path = |name: &str| sessions.path().join(name);
        for name in ["alive", "killed", "lockless"] {
            fs::create_dir(path(name)).unwrap();
        }
        let alive = lock(&path("alive.lock")).unwrap();
        drop(lock(&path("killed.lock")).unwrap());

        remove_stale(sessions.path()).unwrap();

        let mut left: Vec<_> = fs::read_dir(sessions.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["alive", "alive.lock"]);
        drop(alive);
    }
}
