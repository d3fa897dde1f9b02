//! What a template was built from, so that one can tell whether it still fits.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use crate::Outcome;
use crate::layout::Layout;
use crate::template::PROFILE;

/// Raised when templates of an older kernel must not be used any longer.
const FORMAT: u32 = 1;

/// The state of all inputs of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Versions: of this kernel, of the compiler, of all dependencies, and what they are built with.
    /// Another value means a build from nothing.
    pub(crate) base: String,
    /// The sources of helpers. Another value means that helpers alone is compiled.
    pub(crate) helpers: String,
}

impl Stamp {
    /// The inputs as they are now.
    pub(crate) fn now(layout: &Layout) -> Outcome<Stamp> {
        let compiler = Command::new("rustc")
            .arg("-vV")
            .output()
            .map_err(|error| format!("cannot run rustc: {error}"))?;
        let mut base = Sha256::new();
        base.update(FORMAT.to_le_bytes());
        base.update(env!("CARGO_PKG_VERSION"));
        base.update(&compiler.stdout);
        base.update(fs::read(layout.lock_file())?);
        base.update(PROFILE);
        base.update(layout.root().as_os_str().as_encoded_bytes());
        let mut helpers = Sha256::new();
        add_folder(&mut helpers, &layout.helpers())?;
        Ok(Stamp {
            base: format!("{:x}", base.finalize()),
            helpers: format!("{:x}", helpers.finalize()),
        })
    }

    /// The stamp that `template` was finished with; none if it is missing or not whole.
    pub(crate) fn read(template: &Path) -> Option<Stamp> {
        let text = fs::read_to_string(template.join("stamp")).ok()?;
        let (base, helpers) = text.trim_end().split_once('\n')?;
        Some(Stamp { base: base.to_owned(), helpers: helpers.to_owned() })
    }

    pub(crate) fn write(&self, template: &Path) -> io::Result<()> {
        fs::write(template.join("stamp"), format!("{}\n{}\n", self.base, self.helpers))
    }
}

/// Adds names, times and contents of all files. Cargo decides by time what it compiles anew: a file
/// that was only touched must give another stamp too, or every kernel would compile helpers again.
fn add_folder(hash: &mut Sha256, folder: &Path) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        if name == "target" || name == "tests" {
            continue;
        }
        hash.update(name.as_encoded_bytes());
        if entry.file_type()?.is_dir() {
            add_folder(hash, &entry.path())?;
        } else {
            let modified =
                entry.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            hash.update(modified.as_nanos().to_le_bytes());
            hash.update(fs::read(entry.path())?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(folder: &Path) -> String {
        let mut hash = Sha256::new();
        add_folder(&mut hash, folder).unwrap();
        format!("{:x}", hash.finalize())
    }

    #[test]
    fn a_touched_file_changes_the_stamp() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("src")).unwrap();
        let source = folder.path().join("src/lib.rs");
        fs::write(&source, "pub fn one() {}").unwrap();
        let before = hash_of(folder.path());
        assert_eq!(before, hash_of(folder.path()));
        fs::File::options().write(true).open(&source).unwrap().set_modified(UNIX_EPOCH).unwrap();
        assert_ne!(before, hash_of(folder.path()));
    }

    #[test]
    fn a_template_without_stamp_is_not_whole() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Stamp::read(folder.path()), None);
        let stamp = Stamp { base: "one".to_owned(), helpers: "two".to_owned() };
        stamp.write(folder.path()).unwrap();
        assert_eq!(Stamp::read(folder.path()), Some(stamp));
    }
}
