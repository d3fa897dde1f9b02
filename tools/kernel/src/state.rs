//! The state of helpers' sources by file name, time and length: quick enough to compare for each cell.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::files::digest;
use crate::outcome::Outcome;
use crate::paths::Paths;

/// The state of helpers, to be compared with its state when the template was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// Digest of the files that decide how cargo resolves dependencies.
    pub(crate) manifests: String,
    /// Digest of all sources and those files.
    all: String,
}

impl State {
    pub(crate) fn now(paths: &Paths) -> Outcome<State> {
        let manifests = State::of_manifests(paths)?;
        let mut looks = vec![manifests.clone()];
        for file in sources_of(&paths.helpers())? {
            looks.push(look(&file)?);
        }
        Ok(State { manifests, all: digest(looks.iter().map(String::as_bytes)) })
    }

    pub(crate) fn of_manifests(paths: &Paths) -> Outcome<String> {
        let looks: Vec<String> =
            manifests(paths).iter().map(|file| look(file)).collect::<io::Result<_>>()?;
        Ok(digest(looks.iter().map(String::as_bytes)))
    }

    /// Reads the state that was written to this folder.
    pub(crate) fn read(folder: &Path) -> Option<State> {
        let text = fs::read_to_string(folder.join("state")).ok()?;
        let (manifests, all) = text.trim_end().split_once('\n')?;
        Some(State { manifests: manifests.to_owned(), all: all.to_owned() })
    }

    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        fs::write(folder.join("state"), format!("{}\n{}\n", self.manifests, self.all))
    }
}

/// The files that decide how cargo resolves dependencies of helpers.
pub(crate) fn manifests(paths: &Paths) -> Vec<PathBuf> {
    let workspace = paths.root().join("Cargo.toml");
    vec![paths.lock_file(), paths.helpers().join("Cargo.toml"), workspace]
}

/// All files of helpers except its tests, in order; not only Rust files, because the build script reads the others.
pub(crate) fn sources_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut files = Vec::new();
    for entry in entries {
        let name = entry.file_name();
        if name == "target" || name == "tests" {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => files.extend(sources_of(&entry.path())?),
            false => files.push(entry.path()),
        }
    }
    Ok(files)
}

/// Name, time and length of a file.
pub(crate) fn look(file: &Path) -> io::Result<String> {
    let about = fs::metadata(file)?;
    let modified = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{} {} {}", file.display(), modified.as_nanos(), about.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(State::read(folder.path()), None);
        let state = State { manifests: "one".to_owned(), all: "two".to_owned() };
        state.write(folder.path()).unwrap();
        assert_eq!(State::read(folder.path()), Some(state));
    }
}
