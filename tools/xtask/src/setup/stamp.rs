//! What a step's product was made from, so that a second call can skip the step.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::files::{remove, write_whole};
use crate::hash::hash_of;
use crate::project::Project;

/// A step's inputs as lines of `name value`; `.tools/stamps/STEP` has those of the last success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    step: &'static str,
    text: String,
}

impl Stamp {
    /// The inputs of `step`. The path of `.tools` is always among them: products contain absolute
    /// paths, so a moved or copied folder must be set up again.
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

    /// Whether the last success had the same inputs.
    pub(crate) fn matches(&self, project: &Project) -> bool {
        fs::read_to_string(self.path(project)).is_ok_and(|text| text == self.text)
    }

    /// Forgets the last success; to be called before the product is changed.
    pub(crate) fn clear(&self, project: &Project) -> io::Result<()> {
        remove(&self.path(project))
    }

    /// Saves the inputs; to be called when the product is complete.
    pub(crate) fn keep(&self, project: &Project) -> io::Result<()> {
        write_whole(&self.path(project), self.text.as_bytes())
    }

    fn path(&self, project: &Project) -> PathBuf {
        project.tools("stamps").join(self.step)
    }
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
}
