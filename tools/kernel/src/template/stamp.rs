//! What a template was built from, so that one can tell whether it still fits.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use crate::Outcome;
use crate::paths::Paths;
use crate::template::profile::profile;

/// Raised when templates of an older kernel must not be used any longer.
const FORMAT: u32 = 3;

/// The state of all inputs of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Versions of this kernel and of the compiler, and the settings. Another value means a build from
    /// nothing.
    pub(crate) base: String,
    /// The sources of helpers and the lock file. Another value means that cargo compiles what changed.
    pub(crate) sources: String,
}

impl Stamp {
    /// The inputs as they are now.
    pub(crate) fn now(paths: &Paths) -> Outcome<Stamp> {
        let compiler = Command::new("rustc")
            .arg("-vV")
            .output()
            .map_err(|error| format!("cannot run rustc: {error}"))?;
        let mut base = Sha256::new();
        base.update(FORMAT.to_le_bytes());
        base.update(env!("CARGO_PKG_VERSION"));
        base.update(&compiler.stdout);
        base.update(profile());
        base.update(paths.root().as_os_str().as_encoded_bytes());
        let mut sources = Sha256::new();
        // Whatever changes in it: the build script of helpers reads it.
        add_file(&mut sources, &paths.lock_file())?;
        add_folder(&mut sources, &paths.helpers())?;
        Ok(Stamp { base: hex::encode(base.finalize()), sources: hex::encode(sources.finalize()) })
    }

    /// The stamp that `template` was finished with; none if it is missing or not whole.
    pub(crate) fn read(template: &Path) -> Option<Stamp> {
        let text = fs::read_to_string(template.join("stamp")).ok()?;
        let (base, sources) = text.trim_end().split_once('\n')?;
        Some(Stamp { base: base.to_owned(), sources: sources.to_owned() })
    }

    pub(crate) fn write(&self, template: &Path) -> io::Result<()> {
        fs::write(template.join("stamp"), format!("{}\n{}\n", self.base, self.sources))
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
            add_file(hash, &entry.path())?;
        }
    }
    Ok(())
}

fn add_file(hash: &mut Sha256, file: &Path) -> io::Result<()> {
    let modified = fs::metadata(file)?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    hash.update(modified.as_nanos().to_le_bytes());
    hash.update(fs::read(file)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touched_file_changes_the_stamp() {
        let root = tempfile::tempdir().unwrap();
        let [source, manifest, lock_file] =
            ["helpers/src/lib.rs", "helpers/Cargo.toml", "Cargo.lock"]
                .map(|name| root.path().join(name));
        fs::create_dir_all(source.parent().unwrap()).unwrap();
        for file in [&source, &manifest, &lock_file] {
            fs::write(file, "").unwrap();
        }
        let paths = Paths::find(Some(root.path().to_owned())).unwrap();
        for file in [source, manifest, lock_file] {
            let before = Stamp::now(&paths).unwrap();
            assert_eq!(before, Stamp::now(&paths).unwrap());
            fs::File::options().write(true).open(&file).unwrap().set_modified(UNIX_EPOCH).unwrap();
            assert_ne!(before, Stamp::now(&paths).unwrap(), "{}", file.display());
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
