//! One kernel from start to end: its front, the evcxr behind it, and its own folder.
//!
//! evcxr's build folder may have only one user. So each kernel gets a folder in `sessions/` and holds a lock on
//! `NAME.lock` beside it. The lock ends with the process, however that ends. A folder whose lock is free is no longer
//! in use, and the next kernel removes it.

use std::env;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use evcxr::CommandContext;
use tempfile::TempDir;

use crate::build_folder;
use crate::crates::Crates;
use crate::environment::{LIBTORCH_VARIABLE, environment, remove_environment, set_environment};
use crate::files::{lock, remove};
use crate::front::inner::{INNER_VARIABLE, Surroundings};
use crate::front::{self, Prepared};
use crate::link::{DIAGNOSTICS_VARIABLE, LINK_VARIABLE};
use crate::outcome::Outcome;
use crate::parent;
use crate::paths::Paths;
use crate::runner::{BACKTRACE_VARIABLE, CHILD_VARIABLE};
use crate::template::{self, Stamp};
use crate::toolchain::{self, Mode};

/// A Unix socket's path has room for some hundred bytes.
const LONGEST_SOCKET_FOLDER: usize = 70;

/// Makes the memory allocator of evcxr's analyser return unused memory: 80 MB less of 390, and no slower.
const FRUGAL: [(&str, &str); 3] = [
    ("MIMALLOC_ARENA_EAGER_COMMIT", "0"),
    ("MIMALLOC_PURGE_DELAY", "0"),
    ("MIMALLOC_PURGE_DECOMMITS", "1"),
];

/// For evcxr: the folder in which it compiles, the folder with its settings, and a folder without kernelspecs.
const FOLDER_VARIABLE: &str = "EVCXR_TMPDIR";
const CONFIGURATION_VARIABLE: &str = "EVCXR_CONFIG_DIR";
const KERNELSPECS_VARIABLE: &str = "JUPYTER_PATH";

/// Runs one kernel until Jupyter ends it.
pub(crate) fn serve(paths: &Paths, connection_file: &Path) -> Outcome {
    let root = paths.root().to_owned();
    front::serve(paths, connection_file, move || {
        let prepare = || prepare(&Paths::find(Some(root))?);
        prepare().map_err(|error: Box<dyn std::error::Error>| {
            format!("the kernel cannot run cells: {error}; mend that, then restart the kernel")
        })
    })
}

/// Runs an unchanged evcxr in the process behind the front, until the front ends.
pub(crate) fn serve_evcxr() -> Outcome {
    silence_stdout()?;
    parent::end_with_it();
    // evcxr_jupyter reads the connection file's name from the command line by itself.
    Ok(evcxr_jupyter::main()?)
}

/// Removes the variables of the session in which this process was started, if it was started in one: programs that a cell
/// starts do not belong to the session, another kernel least of all.
pub(crate) fn leave() {
    toolchain::restore_environment();
    remove_environment([
        CHILD_VARIABLE,
        INNER_VARIABLE,
        LINK_VARIABLE,
        FOLDER_VARIABLE,
        CONFIGURATION_VARIABLE,
        KERNELSPECS_VARIABLE,
        DIAGNOSTICS_VARIABLE,
    ]);
}

fn prepare(paths: &Paths) -> Outcome<Prepared> {
    let session = Session::start(paths, None)?;
    let template = session.template.clone();
    // Cached cells beyond the limit only take space, so nobody waits for this.
    thread::spawn(move || toolchain::trim(&template));
    let variables = session.environment(paths)?.into_iter();
    Ok(Prepared {
        surroundings: Surroundings {
            sockets: session.sockets.path().to_owned(),
            environment: variables.map(|(name, value)| (name.to_owned(), value)).collect(),
        },
        generated: session.folder.join("src/lib.rs"),
        diagnostics: session.diagnostics(),
        _session: Box::new(session),
    })
}

/// Runs the first cells of a notebook on `template` without a front; fails if they give a wrong value or cargo compiles
/// them.
pub(crate) fn rehearse(paths: &Paths, template: PathBuf) -> Outcome {
    let crates = Crates::of_template(&template);
    let session = Session::start(paths, Some(template))?;
    set_environment(session.environment(paths)?);
    let (mut context, outputs) = CommandContext::new().map_err(|error| error.to_string())?;
    let printed = thread::spawn(move || outputs.stderr.iter().collect::<Vec<String>>());
    let mut shown = String::new();
    let mut cells =
        vec![":load_config --quiet".to_owned(), build_folder::first_cell(&paths.helpers())];
    cells.extend(crates.asked_for());
    cells.push(template::COUNT.to_owned());
    for cell in &cells {
        let outputs = context.execute(cell).map_err(|error| error.to_string())?;
        shown = outputs.get("text/plain").unwrap_or_default().to_owned();
    }
    drop(context);
    if shown.trim() != "2" {
        return Err(printed.join().unwrap_or_default().join("\n").into());
    }
    if session.folder.join("target").exists() {
        return Err("cells are compiled by cargo".into());
    }
    Ok(())
}

/// The build folder of one kernel, removed with the value.
struct Session {
    folder: PathBuf,
    lock_file: PathBuf,
    _lock: File,
    /// The folder of the sockets between front and evcxr, private to its owner.
    sockets: TempDir,
    /// The warm build that cells are linked with; it stays as long as the lock on it is held.
    template: PathBuf,
    _template_lock: File,
}

impl Session {
    /// Starts on `template`, or on the current one.
    fn start(paths: &Paths, template: Option<PathBuf>) -> Outcome<Session> {
        let (template, template_lock) = hold_template(paths, template)?;
        let cannot = |error: io::Error| cannot_write(paths, &error);
        let sessions = paths.sessions();
        fs::create_dir_all(&sessions).map_err(cannot)?;
        let (folder, lock_file, own) = {
            let _alone = lock(&paths.kernel().join("sessions.lock")).map_err(cannot)?;
            remove_stale(&sessions).map_err(cannot)?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let folder = sessions.join(format!("{}-{}", process::id(), now.as_micros()));
            let lock_file = folder.with_extension("lock");
            let own = lock(&lock_file).map_err(cannot)?;
            (folder, lock_file, own)
        };
        fs::create_dir_all(&folder).map_err(cannot)?;
        // A sockets folder inside the session's folder is removed together with it if it is left behind.
        let sockets = match folder.as_os_str().len() <= LONGEST_SOCKET_FOLDER {
            true => {
                tempfile::Builder::new().prefix("sockets-").tempdir_in(&folder).map_err(cannot)?
            }
            false => tempfile::Builder::new().prefix("rust-kernel-").tempdir()?,
        };
        let versions = build_folder::kept_lock_file(&template);
        fs::copy(versions, folder.join("Cargo.lock")).map_err(cannot)?;
        toolchain::install(&folder).map_err(cannot)?;
        let _template_lock = template_lock;
        Ok(Session { folder, lock_file, _lock: own, sockets, template, _template_lock })
    }

    /// The environment of evcxr and of everything that it starts.
    fn environment(&self, paths: &Paths) -> Outcome<Vec<(&'static str, String)>> {
        let built = Stamp::read(&self.template);
        let now = Stamp::now(paths)?;
        if built.as_ref() != Some(&now) {
            eprintln!(
                "note: helpers or its dependencies changed since the kernel's warm build: the first cell compiles \
                 what changed; `cargo xtask setup` makes later kernels quick again"
            );
        }
        let mode = mode(built.as_ref(), &now);
        let configuration = build_folder::write_configuration(&self.folder)
            .map_err(|error| cannot_write(paths, &error))?;
        // Values that are set already win, except for `LIBTORCH`: with another libtorch than the warm build's
        // everything would be compiled anew, and cargo sets this variable for every program it starts.
        let is_needed = |name: &str| name == LIBTORCH_VARIABLE || env::var_os(name).is_none();
        let mut variables = environment(paths);
        variables.retain(|(name, _)| is_needed(name));
        variables.extend(toolchain::environment(&self.folder, &self.template, mode));
        variables.extend(FRUGAL.map(|(name, value)| (name, value.to_owned())));
        let backtrace = env::var("RUST_BACKTRACE").unwrap_or_else(|_| "0".to_owned());
        variables.extend([
            (BACKTRACE_VARIABLE, backtrace),
            (FOLDER_VARIABLE, self.folder.display().to_string()),
            (CONFIGURATION_VARIABLE, configuration.display().to_string()),
            // evcxr_jupyter updates the kernelspec that it finds. Here it finds none, so it does not touch a kernelspec
            // that the user has installed elsewhere.
            (KERNELSPECS_VARIABLE, configuration.display().to_string()),
            (DIAGNOSTICS_VARIABLE, self.diagnostics().display().to_string()),
        ]);
        Ok(variables)
    }

    fn diagnostics(&self) -> PathBuf {
        self.folder.join("diagnostics")
    }
}

/// Whether what was recorded with the warm build still holds: a change of helpers or of versions is seen cell by cell, but
/// another compiler, profile or kernel makes all of it worthless.
fn mode(built: Option<&Stamp>, now: &Stamp) -> Mode {
    match built {
        Some(built) if built.base == now.base => Mode::Know,
        _ => Mode::Forget,
    }
}

fn cannot_write(paths: &Paths, error: &io::Error) -> String {
    format!("the kernel cannot write to {}: {error}", paths.kernel().display())
}

/// A complete template, and a lock that keeps it from being removed.
fn hold_template(paths: &Paths, template: Option<PathBuf>) -> Outcome<(PathBuf, File)> {
    let missing = "it has no warm build yet; run `cargo xtask setup`";
    let shared = match File::create(paths.kernel().join("template.lock")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(cannot_write(paths, &error).into());
        }
        opened => opened.map_err(|_| missing)?,
    };
    // The current template cannot be replaced and removed while this lock is held.
    let cannot = |error: io::Error| cannot_write(paths, &error);
    shared.lock_shared().map_err(cannot)?;
    let template = template.or_else(|| template::current(paths)).ok_or(missing)?;
    let lock_file = template::lock_file(&template);
    let held = File::options().create(true).append(true).open(lock_file).map_err(cannot)?;
    held.lock_shared().map_err(cannot)?;
    match Stamp::read(&template) {
        Some(_) => Ok((template, held)),
        None => Err(missing.into()),
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What stays behind is removed by the next kernel.
        let _ = remove(&self.folder).and_then(|()| fs::remove_file(&self.lock_file));
    }
}

/// Removes what kernels that were killed have left, as far as it can be: somebody else's stays, and what a process still writes
/// to goes next time.
fn remove_stale(sessions: &Path) -> io::Result<()> {
    for entry in fs::read_dir(sessions)?.flatten() {
        let path = entry.path();
        let lock_file = path.with_extension("lock");
        let in_use = File::open(&lock_file).is_ok_and(|lock| lock.try_lock().is_err());
        if in_use {
            continue;
        }
        let _ = remove(&path.with_extension("")).and_then(|()| fs::remove_file(&lock_file));
    }
    Ok(())
}

/// Sends standard output to `/dev/null`: only evcxr's notes on its configuration go there, and the output of cells
/// takes another way.
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
    fn another_compiler_makes_what_was_recorded_worthless_and_edited_helpers_do_not() {
        let stamp = |base: &str, sources: &str| Stamp {
            base: base.to_owned(),
            sources: sources.to_owned(),
        };
        let built = stamp("rustc 1", "helpers 1");
        assert_eq!(mode(Some(&built), &stamp("rustc 1", "helpers 1")), Mode::Know);
        assert_eq!(mode(Some(&built), &stamp("rustc 1", "helpers 2")), Mode::Know);
        assert_eq!(mode(Some(&built), &stamp("rustc 2", "helpers 1")), Mode::Forget);
        assert_eq!(mode(None, &stamp("rustc 1", "helpers 1")), Mode::Forget);
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_named_and_no_warm_build_is_asked_for() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("helpers")).unwrap();
        fs::write(root.path().join("helpers/Cargo.toml"), "").unwrap();
        let paths = Paths::find(Some(root.path().to_owned())).unwrap();
        let told = || hold_template(&paths, None).unwrap_err().to_string();
        assert!(told().contains("run `cargo xtask setup`"), "there is none: {}", told());
        // As with a full disk: the lock cannot be opened.
        fs::create_dir_all(paths.kernel().join("template.lock")).unwrap();
        let folder = paths.kernel().display().to_string();
        assert!(
            told().starts_with(&format!("the kernel cannot write to {folder}: ")),
            "{}",
            told()
        );
    }

    #[test]
    fn only_sessions_without_a_living_kernel_are_stale() {
        let sessions = tempfile::tempdir().unwrap();
        let path = |name: &str| sessions.path().join(name);
        for name in ["alive", "killed", "lockless"] {
            fs::create_dir(path(name)).unwrap();
        }
        // A file, which `remove_dir_all` refuses.
        fs::write(path("odd"), "").unwrap();
        let alive = lock(&path("alive.lock")).unwrap();
        drop(lock(&path("killed.lock")).unwrap());

        remove_stale(sessions.path()).unwrap();

        let mut left: Vec<_> = fs::read_dir(sessions.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["alive", "alive.lock", "odd"]);
        drop(alive);
    }
}
