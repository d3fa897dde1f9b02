//! One kernel's own copy of the warm build, from its start to its end.
//!
//! evcxr's build directory must have one user only. So each kernel gets a folder in `sessions/` and
//! holds a lock on `NAME.lock` beside it. The lock goes with the process, however it ends: a folder
//! whose lock is free belongs to nobody, and the next kernel removes it.

use std::env;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Outcome;
use crate::interrupt;
use crate::layout::{LIBTORCH_VARIABLE, Layout, set_environment};
use crate::runtime::{self, BACKTRACE_VARIABLE};
use crate::stamp::Stamp;
use crate::template::{lock, remove};

/// Runs one kernel until Jupyter ends it; `ready`: one that is started before anybody asks for it.
pub(crate) fn serve(layout: &Layout, ready: bool) -> Outcome {
    let Some(built) = Stamp::read(&layout.template()) else {
        return Err("the Rust kernel has no warm build yet; run `cargo xtask setup`".into());
    };
    if Stamp::now(layout)? != built {
        eprintln!(
            "note: helpers or its dependencies changed since the kernel's warm build: the first cell compiles \
             what changed; `cargo xtask setup` makes later kernels quick again"
        );
    }
    let session = Session::start(layout)?;
    let helpers = layout.helpers();
    let configuration = write_configuration(&session.folder, ready.then_some(&*helpers))?;

    // Somebody may have chosen other values, but for the libtorch that the warm build was made for: with another one all
    // is compiled anew. Cargo sets one for whatever it starts.
    let wanted = |name: &str| name == LIBTORCH_VARIABLE || env::var_os(name).is_none();
    let environment = layout.environment().into_iter().filter(|(name, _)| wanted(name));
    set_environment(environment.collect::<Vec<_>>());
    set_environment([
        (BACKTRACE_VARIABLE, env::var("RUST_BACKTRACE").unwrap_or_default()),
        ("EVCXR_TMPDIR", session.folder.display().to_string()),
        ("EVCXR_CONFIG_DIR", configuration.display().to_string()),
        // evcxr_jupyter brings the kernelspec it finds up to date; here it finds none, and so leaves
        // a kernelspec that the user has installed elsewhere alone.
        ("JUPYTER_PATH", configuration.display().to_string()),
    ]);
    silence_stdout()?;
    interrupt::pass_on(&session.folder);
    keep_lock_file(session.folder.clone());
    runtime::end_with_parent();
    let result = evcxr_jupyter::main();
    drop(session);
    Ok(result?)
}

/// What every notebook begins with; `helpers` is that crate's folder.
pub(crate) fn first_cell(helpers: &Path) -> String {
    format!(":dep helpers = {{ path = \"{}\" }}\nuse helpers::prelude::*;", helpers.display())
}

/// Has evcxr's analyser look at what cells use most, and does nothing.
const LOOK_AROUND: &str = "
let looked = if false {
    let dataset = Dataset::load(\"\")?;
    let split = dataset.split(SplitConfig::default())?;
    let table = dataset.table();
    split.train.len() + table.to_text().len()
} else {
    0
};
";

/// Writes the configuration that evcxr reads at its start, and gives the folder to name to it.
///
/// evcxr first compiles a cell of its own, without dependencies, and cargo then forgets the locked
/// versions of all others. The first command puts the lock file back, so that helpers is built from
/// the tested versions, and without asking the registry.
///
/// With `helpers`, a kernel goes through what a notebook begins with and forgets it again. What takes
/// most of that time is reading helpers and all it depends on; evcxr keeps what it has read.
pub(crate) fn write_configuration(build: &Path, helpers: Option<&Path>) -> io::Result<PathBuf> {
    let kept = kept_lock_file(build);
    let folder = build.join("configuration");
    fs::create_dir_all(&folder)?;
    let mut first = format!("!cp {} {}\n", quote(&kept), quote(&build.join("Cargo.lock")));
    let mut then = "";
    if let Some(helpers) = helpers {
        first += &(first_cell(helpers) + LOOK_AROUND);
        then = ":clear";
    }
    // evcxr runs the one before the other, each like a cell.
    fs::write(folder.join("init.evcxr"), first)?;
    fs::write(folder.join("prelude.rs"), then)?;
    fs::write(folder.join("evcxr.toml"), "[evcxr]\nopt_level = \"0\"\n")?;
    Ok(folder)
}

/// Where the locked versions of a build directory are kept.
pub(crate) fn kept_lock_file(build: &Path) -> PathBuf {
    build.join("configuration/Cargo.lock")
}

/// Puts the locked versions back whenever cargo has forgotten them, as it does when it compiles a cell that uses no crate.
/// What is compiled for `:dep helpers` after that would be other versions, and take minutes.
fn keep_lock_file(build: PathBuf) {
    let (lock_file, kept) = (build.join("Cargo.lock"), kept_lock_file(&build));
    thread::spawn(move || {
        loop {
            // A cell takes longer to compile once cargo has read and written the file.
            thread::sleep(Duration::from_millis(50));
            if has_no_dependency(&lock_file) {
                // Without it the next `:dep` is slow, and nothing else.
                let fresh = build.join("Cargo.lock.kept");
                let _ = fs::copy(&kept, &fresh).and_then(|_| fs::rename(&fresh, &lock_file));
            }
        }
    });
}

/// If this lock file is that of a package that depends on nothing, which is a short one.
fn has_no_dependency(lock_file: &Path) -> bool {
    fs::metadata(lock_file).is_ok_and(|about| about.len() < 400)
        && fs::read_to_string(lock_file).is_ok_and(|text| text.matches("[[package]]").count() == 1)
}

/// A path as one word of a shell command.
fn quote(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// A build directory of one kernel, removed with the value.
struct Session {
    folder: PathBuf,
    lock_file: PathBuf,
    _lock: File,
}

impl Session {
    fn start(layout: &Layout) -> Outcome<Session> {
        let sessions = layout.sessions();
        fs::create_dir_all(&sessions)?;
        let (folder, lock_file, own) = {
            let _alone = lock(&layout.kernel().join("sessions.lock"))?;
            remove_stale(&sessions)?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let folder = sessions.join(format!("{}-{}", process::id(), now.as_micros()));
            let lock_file = folder.with_extension("lock");
            let own = lock(&lock_file)?;
            (folder, lock_file, own)
        };
        let session = Session { folder, lock_file, _lock: own };
        let shared = File::create(layout.kernel().join("template.lock"))?;
        shared.lock_shared()?;
        copy_build(&layout.template(), &session.folder)?;
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

/// Copies a build directory so that cargo finds everything in it fresh: with all times kept.
///
/// What the compiler made, nearly all of it, is linked instead: the compiler only ever replaces such
/// files. Others may be written in place, so they are copied.
pub(crate) fn copy_build(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_build(&source, &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else if !is_only_replaced(&source) || fs::hard_link(&source, &target).is_err() {
            fs::copy(&source, &target)?;
            let modified = entry.metadata()?.modified()?;
            File::options().append(true).open(&target)?.set_modified(modified)?;
        }
    }
    Ok(())
}

fn is_only_replaced(file: &Path) -> bool {
    let extension = file.extension().and_then(|extension| extension.to_str());
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let is_build_script =
        name.starts_with("build-script-build") || name.starts_with("build_script_build");
    matches!(extension, Some("rlib" | "rmeta" | "a" | "so"))
        || is_build_script && extension.is_none()
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
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_copy_links_libraries_and_keeps_times() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("deps")).unwrap();
        fs::write(from.join("deps/libhelpers.rlib"), "library").unwrap();
        fs::write(from.join("deps/helpers.d"), "list").unwrap();
        let list = File::options().append(true).open(from.join("deps/helpers.d")).unwrap();
        list.set_modified(UNIX_EPOCH).unwrap();

        copy_build(&from, &to).unwrap();

        let inode = |path: PathBuf| fs::metadata(path).unwrap().ino();
        assert_eq!(
            inode(from.join("deps/libhelpers.rlib")),
            inode(to.join("deps/libhelpers.rlib"))
        );
        assert_ne!(inode(from.join("deps/helpers.d")), inode(to.join("deps/helpers.d")));
        assert_eq!(
            fs::metadata(to.join("deps/helpers.d")).unwrap().modified().unwrap(),
            UNIX_EPOCH
        );
    }

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

    #[test]
    fn the_configuration_puts_the_lock_file_back() {
        let folder = tempfile::tempdir().unwrap();
        let build = folder.path().join("it's here");
        fs::create_dir_all(build.join("configuration")).unwrap();
        fs::write(kept_lock_file(&build), "tested versions").unwrap();
        let configuration = write_configuration(&build, None).unwrap();
        fs::write(build.join("Cargo.lock"), "none").unwrap();

        let command = fs::read_to_string(configuration.join("init.evcxr")).unwrap();
        let status = process::Command::new("sh").arg("-c").arg(&command[1..]).status().unwrap();

        assert!(status.success());
        assert_eq!(fs::read_to_string(build.join("Cargo.lock")).unwrap(), "tested versions");
    }
}
