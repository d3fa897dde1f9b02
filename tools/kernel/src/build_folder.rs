//! A folder that evcxr builds in: its configuration, its locked versions, copies of it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

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

/// Where the locked versions of a build folder are kept.
pub(crate) fn kept_lock_file(build: &Path) -> PathBuf {
    build.join("configuration/Cargo.lock")
}

/// Puts the locked versions back whenever cargo has forgotten them, and keeps those that a cell has added.
///
/// Cargo forgets what the package before it does not need: a cell that uses no crate, and evcxr's check of a `:dep`, which
/// asks about a package with that one dependency. What is compiled next would be other versions of everything: it takes
/// minutes, and every variable of a type of helpers is lost.
pub(crate) fn keep_lock_file(build: PathBuf, compiling: Arc<AtomicBool>) {
    let (lock_file, kept) = (build.join("Cargo.lock"), kept_lock_file(&build));
    thread::spawn(move || {
        let mut seen = None;
        loop {
            // Between cargo's answer about a `:dep` and the next time that it reads the file pass some ten milliseconds.
            let pause = if compiling.load(Ordering::Relaxed) { 2 } else { 50 };
            thread::sleep(Duration::from_millis(pause));
            let now =
                fs::metadata(&lock_file).ok().map(|about| (about.modified().ok(), about.ino()));
            if now.is_some() && now != seen {
                // Without it the next `:dep` is slow, and nothing else.
                let _ = settle_lock_file(&lock_file, &kept);
                seen =
                    fs::metadata(&lock_file).ok().map(|about| (about.modified().ok(), about.ino()));
            }
        }
    });
}

/// Of the lock file and the one that is kept the fuller one stays, in both places.
fn settle_lock_file(lock_file: &Path, kept: &Path) -> io::Result<()> {
    let (now, before) = (fs::read_to_string(lock_file)?, fs::read_to_string(kept)?);
    if now == before || now.is_empty() {
        return Ok(());
    }
    let (locked, known) = (packages(&now), packages(&before));
    let (from, to) = match known.is_subset(&locked) {
        true => (lock_file, kept),
        false => (kept, lock_file),
    };
    let fresh = to.with_extension("lock.new");
    fs::copy(from, &fresh)?;
    fs::rename(fresh, to)
}

/// The packages that a lock file names, with their versions, but for evcxr's own.
fn packages(lock_file: &str) -> BTreeSet<(&str, &str)> {
    lock_file
        .split("[[package]]\n")
        .skip(1)
        .filter_map(|package| {
            let mut lines = package.lines();
            let name = lines.next()?.strip_prefix("name = ")?;
            let version = lines.next()?.strip_prefix("version = ")?;
            Some((name, version))
        })
        .filter(|(name, _)| *name != "\"ctx\"" && *name != "\"evcxr_dummy_validate_dep\"")
        .collect()
}

/// A path as one word of a shell command.
fn quote(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// Copies a build folder so that cargo finds everything in it fresh: with all times kept.
///
/// What the compiler made, nearly all of it, is linked instead: the compiler only ever replaces such
/// files. Others may be written in place, so they are copied.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&source, &target)?;
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

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_copy_links_libraries_and_keeps_times() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("deps")).unwrap();
        fs::write(from.join("deps/libhelpers.rlib"), "library").unwrap();
        fs::write(from.join("deps/helpers.d"), "list").unwrap();
        let list = File::options().append(true).open(from.join("deps/helpers.d")).unwrap();
        list.set_modified(UNIX_EPOCH).unwrap();

        copy(&from, &to).unwrap();

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

    /// A lock file with these packages.
    fn locked(packages: &[(&str, &str)]) -> String {
        let text = |(name, version): &(&str, &str)| {
            format!("\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n")
        };
        packages.iter().map(text).collect()
    }

    #[test]
    fn versions_are_kept_and_new_ones_added() {
        let folder = tempfile::tempdir().unwrap();
        let (lock_file, kept) = (folder.path().join("Cargo.lock"), folder.path().join("kept"));
        let all = locked(&[("ctx", "1.0.0"), ("helpers", "0.1.0"), ("tch", "0.26.0")]);
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        for forgetful in [
            locked(&[("ctx", "1.0.0")]),
            locked(&[("evcxr_dummy_validate_dep", "0.0.1"), ("itertools", "0.13.0")]),
            locked(&[("ctx", "1.0.0"), ("helpers", "0.1.0"), ("tch", "0.27.0")]),
        ] {
            fs::write(&kept, &all).unwrap();
            fs::write(&lock_file, forgetful).unwrap();
            settle_lock_file(&lock_file, &kept).unwrap();
            assert_eq!((read(&lock_file), read(&kept)), (all.clone(), all.clone()));
        }
        let more = all.clone() + &locked(&[("itertools", "0.13.0")]);
        fs::write(&lock_file, &more).unwrap();
        settle_lock_file(&lock_file, &kept).unwrap();
        assert_eq!((read(&lock_file), read(&kept)), (more.clone(), more));
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
        let status = Command::new("sh").arg("-c").arg(&command[1..]).status().unwrap();

        assert!(status.success());
        assert_eq!(fs::read_to_string(build.join("Cargo.lock")).unwrap(), "tested versions");
    }
}
