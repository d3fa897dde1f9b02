//! What a template was built from, so that one can tell whether it still fits.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use crate::Outcome;
use crate::layout::Layout;
use crate::template;

/// Raised when templates of an older kernel must not be used any longer.
const FORMAT: u32 = 2;

/// The state of all inputs of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Versions of this kernel and of the compiler, and the settings. Another value means a build from
    /// nothing.
    pub(crate) base: String,
    /// The sources of helpers and the versions of what it uses. Another value means that cargo compiles
    /// what changed.
    pub(crate) sources: String,
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
        base.update(template::profile());
        base.update(layout.root().as_os_str().as_encoded_bytes());
        let mut sources = Sha256::new();
        sources.update(locked_for_helpers(&fs::read_to_string(layout.lock_file())?));
        add_folder(&mut sources, &layout.helpers())?;
        Ok(Stamp {
            base: format!("{:x}", base.finalize()),
            sources: format!("{:x}", sources.finalize()),
        })
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

/// The part of a lock file that concerns helpers: a new version of what only xtask or the kernel uses
/// must not cost a build of everything.
fn locked_for_helpers(lock_file: &str) -> String {
    let packages: Vec<Package> =
        lock_file.split("[[package]]").skip(1).map(Package::read).collect();
    let mut needed = BTreeSet::new();
    let mut waiting = vec!["helpers"];
    while let Some(wanted) = waiting.pop() {
        // A dependency is written as its name, with the version where the name alone is not enough.
        let mut words = wanted.split(' ');
        let (name, version) = (words.next(), words.next());
        for (index, package) in packages.iter().enumerate() {
            let is_meant = Some(package.name) == name
                && version.is_none_or(|version| version == package.version);
            if is_meant && needed.insert(index) {
                waiting.extend(&package.dependencies);
            }
        }
    }
    needed.into_iter().map(|index| packages[index].text).collect()
}

/// One entry of a lock file.
struct Package<'a> {
    name: &'a str,
    version: &'a str,
    dependencies: Vec<&'a str>,
    text: &'a str,
}

impl<'a> Package<'a> {
    fn read(text: &'a str) -> Package<'a> {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""));
            line.and_then(|line| line.strip_suffix('"')).unwrap_or_default()
        };
        let dependencies =
            text.lines().filter_map(|line| line.strip_prefix(" \"")?.strip_suffix("\","));
        Package {
            name: field("name"),
            version: field("version"),
            dependencies: dependencies.collect(),
            text,
        }
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

    const LOCK_FILE: &str = r#"
version = 4

[[package]]
name = "helpers"
version = "0.1.0"
dependencies = [
 "image",
 "rand 0.8.5",
]

[[package]]
name = "image"
version = "1.0.0"

[[package]]
name = "rand"
version = "0.8.5"

[[package]]
name = "rand"
version = "0.9.0"

[[package]]
name = "xtask"
version = "0.1.0"
dependencies = [
 "rand 0.9.0",
]
"#;

    #[test]
    fn only_what_helpers_needs_of_the_lock_file_counts() {
        let before = locked_for_helpers(LOCK_FILE);
        assert_eq!(before, locked_for_helpers(&LOCK_FILE.replace("0.9.0", "0.9.1")));
        assert_ne!(before, locked_for_helpers(&LOCK_FILE.replace("0.8.5", "0.8.6")));
        assert_ne!(before, locked_for_helpers(&LOCK_FILE.replace("1.0.0", "1.0.1")));
        assert!(!before.contains("xtask"), "{before}");
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
