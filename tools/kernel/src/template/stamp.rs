//! What a template was built from, to decide whether it is still up to date.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::crates::Crates;
use crate::outcome::Outcome;
use crate::paths::{Paths, STAMP};
use crate::state::{look, manifests, sources_of};
use crate::template::library;
use crate::template::profile::profile;

/// Raised when templates of an older kernel must not be used any longer.
const FORMAT: u32 = 5;

/// The state of all inputs of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Digest of the versions of kernel and compiler, the profile and the repository's path. If it changes, the
    /// template is rebuilt from nothing.
    pub(crate) base: String,
    /// Digest of helpers' sources, the lock file, the added crates and the variable store. If it changes, cargo compiles
    /// what changed.
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
        sources.update(library::STORE);
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

/// Adds name, time and content. Cargo decides by modification time what to compile: a file that was only touched must
/// change the stamp too, or every kernel would compile helpers again.
fn add_file(hash: &mut Sha256, file: &Path) -> io::Result<()> {
    hash.update(look(file)?);
    hash.update(fs::read(file)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::state::State;

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
    fn a_template_without_stamp_is_not_whole() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Stamp::read(folder.path()), None);
        let stamp = Stamp { base: "one".to_owned(), sources: "two".to_owned() };
        stamp.write(folder.path()).unwrap();
        assert_eq!(Stamp::read(folder.path()), Some(stamp));
    }
}
