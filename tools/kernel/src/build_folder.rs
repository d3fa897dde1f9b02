//! A folder that evcxr builds in: its configuration, its locked versions, copies of it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
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

/// Puts the locked versions back whenever cargo has forgotten them, as it does when it compiles a cell that uses no crate.
/// What is compiled for `:dep helpers` after that would be other versions, and take minutes.
pub(crate) fn keep_lock_file(build: PathBuf) {
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

/// Whether this lock file is that of a package that depends on nothing, which is a short one.
fn has_no_dependency(lock_file: &Path) -> bool {
    fs::metadata(lock_file).is_ok_and(|about| about.len() < 400)
        && fs::read_to_string(lock_file).is_ok_and(|text| text.matches("[[package]]").count() == 1)
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
    use std::os::unix::fs::MetadataExt;
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
