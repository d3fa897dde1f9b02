//! How long each step took here the last time, which is how long it will about take the next time.
//!
//! `.tools/times/STEP` holds whole seconds. A file that cannot be read or written only makes an estimate worse, so it is
//! no failure.

use std::fs;
use std::path::PathBuf;

use crate::files::write_whole;
use crate::project::Project;

/// Seconds that the step with this title took the last time, at least 1.
pub(super) fn last(project: &Project, title: &str) -> Option<u64> {
    fs::read_to_string(path(project, title)).ok()?.trim().parse().ok().map(|time: u64| time.max(1))
}

/// Keeps the seconds that the step with this title took.
pub(super) fn keep(project: &Project, title: &str, seconds: u64) {
    let _ = write_whole(&path(project, title), format!("{seconds}\n").as_bytes());
}

fn path(project: &Project, title: &str) -> PathBuf {
    let plain = |letter: char| if letter.is_alphanumeric() { letter } else { '-' };
    project.tools("times").join(title.chars().map(plain).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_time_of_a_step_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        let title = "libtorch 2.13.0 (CPU)";
        assert_eq!(last(&project, title), None);
        for seconds in [0, 41] {
            keep(&project, title, seconds);
            assert_eq!(last(&project, title), Some(seconds.max(1)));
        }
        assert_eq!(last(&project, "libtorch 2.13.0 (CUDA)"), None);
        fs::write(path(&project, title), "soon").unwrap();
        assert_eq!(last(&project, title), None);
    }
}
