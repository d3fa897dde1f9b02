//! What a template was built from, so that one can tell whether it still fits.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use crate::crates::Crates;
use crate::files::digest;
use crate::outcome::Outcome;
use crate::paths::Paths;
use crate::template::profile::profile;

/// Written last: a template without it is not whole.
pub(crate) const STAMP: &str = "stamp";

/// Raised when templates of an older kernel must not be used any longer.
const FORMAT: u32 = 5;

/// The state of all inputs of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Versions of this kernel and of the compiler, and the settings. Another value means a build from
    /// nothing.
    pub(crate) base: String,
    /// The sources of helpers, the lock file, and what crates were added. Another value means that cargo compiles what changed.
    pub(crate) sources: String,
}

impl Stamp {
    /// The inputs as they are now.
    pub(crate) fn now(paths: &Paths) -> Outcome<Stamp> {
        Stamp::with(paths, &Crates::of(paths))
    }

    /// The inputs as they are now, but with these crates.
    pub(crate) fn with(paths: &Paths, crates: &Crates) -> Outcome<Stamp> {
        let compiler = Command::new("rustc").arg("-vV").output().map_err(|error| {
            format!("the Rust compiler is gone (rustc: {error}); https://rustup.rs installs it")
        })?;
        let mut base = Sha256::new();
        base.update(FORMAT.to_le_bytes());
        base.update(env!("CARGO_PKG_VERSION"));
        base.update(&compiler.stdout);
        base.update(profile());
        base.update(paths.root().as_os_str().as_encoded_bytes());
        let mut sources = Sha256::new();
        sources.update(crates.text());
        for file in manifests(paths).into_iter().chain(sources_of(&paths.helpers())?) {
            add_file(&mut sources, &file)?;
        }
        Ok(Stamp { base: hex::encode(base.finalize()), sources: hex::encode(sources.finalize()) })
    }

    /// The stamp that `template` was finished with; none if it is missing or not whole.
    pub(crate) fn read(template: &Path) -> Option<Stamp> {
        let text = fs::read_to_string(template.join(STAMP)).ok()?;
        let (base, sources) = text.trim_end().split_once('\n')?;
        Some(Stamp { base: base.to_owned(), sources: sources.to_owned() })
    }

    pub(crate) fn write(&self, template: &Path) -> io::Result<()> {
        fs::write(template.join(STAMP), format!("{}\n{}\n", self.base, self.sources))
    }
}

/// What helpers looks like from outside, to be compared with what it looked like when the template was made: quick enough
/// for each cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// Of the files that decide how cargo resolves dependencies.
    pub(crate) manifests: String,
    /// Of all sources, and those files.
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

    /// As it was written to this folder.
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
fn manifests(paths: &Paths) -> Vec<PathBuf> {
    let workspace = paths.root().join("Cargo.toml");
    vec![paths.lock_file(), paths.helpers().join("Cargo.toml"), workspace]
}

/// All files of helpers but its tests, in order. Whatever changes in them: the build script reads them.
fn sources_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
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
fn look(file: &Path) -> io::Result<String> {
    let about = fs::metadata(file)?;
    let modified = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{} {} {}", file.display(), modified.as_nanos(), about.len()))
}

/// Adds name, time and content. Cargo decides by time what it compiles anew: a file that was only touched must give another
/// stamp too, or every kernel would compile helpers again.
fn add_file(hash: &mut Sha256, file: &Path) -> io::Result<()> {
    hash.update(look(file)?);
    hash.update(fs::read(file)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touched_file_changes_the_stamp() {
        let root = tempfile::tempdir().unwrap();
        let files = ["helpers/src/lib.rs", "helpers/Cargo.toml", "Cargo.lock", "Cargo.toml"]
            .map(|name| root.path().join(name));
        fs::create_dir_all(files[0].parent().unwrap()).unwrap();
        for file in &files {
            fs::write(file, "").unwrap();
        }
        let paths = Paths::find(Some(root.path().to_owned())).unwrap();
        for file in files {
            let before = Stamp::now(&paths).unwrap();
            let state = State::now(&paths).unwrap();
            assert_eq!(before, Stamp::now(&paths).unwrap());
            assert_eq!(state, State::now(&paths).unwrap());
            fs::File::options().write(true).open(&file).unwrap().set_modified(UNIX_EPOCH).unwrap();
            assert_ne!(before, Stamp::now(&paths).unwrap(), "{}", file.display());
            let now = State::now(&paths).unwrap();
            assert_ne!(state, now, "{}", file.display());
            let is_source = file.ends_with("lib.rs");
            assert_eq!(state.manifests == now.manifests, is_source, "{}", file.display());
        }
    }

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(State::read(folder.path()), None);
        let state = State { manifests: "one".to_owned(), all: "two".to_owned() };
        state.write(folder.path()).unwrap();
        assert_eq!(State::read(folder.path()), Some(state));
    }

    #[test]
    fn a_template_without_stamp_is_not_whole() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Stamp::read(folder.path()), None);
        let stamp = Stamp { base: "one".to_owned(), sources: "two".to_owned() };
        stamp.write(folder.path()).unwrap();
        assert_eq!(Stamp::read(folder.path()), Some(stamp));
    }
}
