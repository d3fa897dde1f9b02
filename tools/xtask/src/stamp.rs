//! What a step's product was made from, so that a second call can skip the step.

use std::fs;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::project::{Project, files, remove, write_whole};

/// A step's inputs as lines of `name value`; `.tools/stamps/STEP` keeps those of the last success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    step: &'static str,
    text: String,
}

impl Stamp {
    /// The inputs of `step`. The place of `.tools` is always one of them: what set-up makes holds
    /// absolute paths, and a moved or copied folder must be set up again.
    pub(crate) fn new(project: &Project, step: &'static str) -> Stamp {
        let tools = project.path(".tools");
        let tools = tools.canonicalize().unwrap_or(tools);
        Stamp { step, text: String::new() }.with("place", &tools.display().to_string())
    }

    /// Adds an input.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Stamp {
        self.text.push_str(&format!("{name} {}\n", value.replace('\n', " ")));
        self
    }

    /// Adds the content of a file, or of all files in a folder.
    pub(crate) fn with_content(self, project: &Project, relative: &str) -> Stamp {
        let hash = hash_of(&project.path(relative));
        self.with(relative, &hash)
    }

    /// If the last success had the same inputs.
    pub(crate) fn matches(&self, project: &Project) -> bool {
        fs::read_to_string(self.path(project)).is_ok_and(|text| text == self.text)
    }

    /// Forgets the last success: call it before the product is touched.
    pub(crate) fn clear(&self, project: &Project) -> io::Result<()> {
        remove(&self.path(project))
    }

    /// Keeps the inputs: call it when the product is whole.
    pub(crate) fn keep(&self, project: &Project) -> io::Result<()> {
        write_whole(&self.path(project), self.text.as_bytes())
    }

    fn path(&self, project: &Project) -> std::path::PathBuf {
        project.tools("stamps").join(self.step)
    }
}

/// The SHA-256 of a file, or of the names and contents of all files in a folder.
pub(crate) fn hash_of(path: &Path) -> String {
    if path.is_dir() {
        let mut hash = Sha256::new();
        for file in files(path) {
            let name = file.strip_prefix(path).unwrap_or(&file);
            if name.components().any(|part| IGNORED.iter().any(|word| part.as_os_str() == *word)) {
                continue;
            }
            hash.update(name.as_os_str().as_encoded_bytes());
            hash.update([0]);
            hash.update(sha256_of_file(&file).unwrap_or_default());
        }
        return format!("{:x}", hash.finalize());
    }
    sha256_of_file(path).unwrap_or_else(|_| "missing".to_owned())
}

/// Made by Python beside its sources.
const IGNORED: [&str; 4] = ["__pycache__", "build", ".pytest_cache", ".hypothesis"];

/// The SHA-256 of a file's content.
pub(crate) fn sha256_of_file(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut fs::File::open(path)?, &mut hash)?;
    Ok(format!("{:x}", hash.finalize()))
}

/// The SHA-256 of bytes.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_matches_only_the_same_inputs() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        let stamp = |version: &str| Stamp::new(&project, "python").with("version", version);
        assert!(!stamp("3.11").matches(&project));
        stamp("3.11").keep(&project).unwrap();
        assert!(stamp("3.11").matches(&project));
        assert!(!stamp("3.12").matches(&project));
        stamp("3.11").clear(&project).unwrap();
        assert!(!stamp("3.11").matches(&project));
    }

    #[test]
    fn a_stamp_of_another_place_does_not_match() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, two) = (Project::at(one.path()), Project::at(two.path()));
        Stamp::new(&one, "python").keep(&one).unwrap();
        fs::create_dir_all(two.tools("stamps")).unwrap();
        fs::copy(one.tools("stamps/python"), two.tools("stamps/python")).unwrap();
        assert!(!Stamp::new(&two, "python").matches(&two));
    }

    #[test]
    fn a_folder_changes_its_hash_with_a_name_or_a_content() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.py");
        fs::write(&file, "1").unwrap();
        let first = hash_of(folder.path());
        fs::write(&file, "2").unwrap();
        let second = hash_of(folder.path());
        fs::rename(&file, folder.path().join("b.py")).unwrap();
        let third = hash_of(folder.path());
        assert!(first != second && second != third && first != third);
        fs::create_dir(folder.path().join("__pycache__")).unwrap();
        fs::write(folder.path().join("__pycache__/b.pyc"), "").unwrap();
        assert_eq!(hash_of(folder.path()), third);
    }
}
