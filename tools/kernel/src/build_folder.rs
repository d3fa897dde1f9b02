//! A folder that evcxr builds in: its configuration, its locked versions, copies of it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// What every notebook begins with; `helpers` is that crate's folder.
pub(crate) fn first_cell(helpers: &Path) -> String {
    format!(":dep helpers = {{ path = \"{}\" }}\nuse helpers::prelude::*;", helpers.display())
}

/// Writes the configuration that evcxr reads when it starts; returns the folder that `EVCXR_CONFIG_DIR` must name.
pub(crate) fn write_configuration(build: &Path) -> io::Result<PathBuf> {
    let folder = build.join("configuration");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("evcxr.toml"), "[evcxr]\nopt_level = \"0\"\n")?;
    Ok(folder)
}

/// Where the locked versions of a build folder are kept.
pub(crate) fn kept_lock_file(build: &Path) -> PathBuf {
    build.join("configuration/Cargo.lock")
}

/// Copies a build folder with all modification times, so that cargo finds everything in it up to date.
///
/// Most of what the compiler made is hard-linked instead of copied: the compiler replaces such files and never writes
/// into them. Other files may be written in place, so they are copied.
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
}
