//! Programs that a step runs: their output goes to a log, and their last line is shown.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::Duration;

use crate::failure::Failure;
use crate::progress::Step;
use crate::project::Project;

/// Runs `command` to its end and returns its output.
///
/// `shown` makes the displayed text from the output so far.
///
/// # Errors
/// If the command cannot start, or its exit status is not 0: `what` names its purpose.
pub(crate) fn run_watched(
    project: &Project,
    step: &mut Step,
    what: &str,
    command: &mut Command,
    log: &str,
    shown: impl FnMut(&str) -> String,
) -> Result<String, Failure> {
    let running = start(project, command, log)?;
    finish(project, step, what, command, running, shown)
}

/// [`run_watched`] for a program that is already running.
///
/// # Errors
/// If its exit status is not 0.
pub(crate) fn finish(
    project: &Project,
    step: &mut Step,
    what: &str,
    command: &Command,
    running: Running,
    shown: impl FnMut(&str) -> String,
) -> Result<String, Failure> {
    let log = project.show(&running.log);
    let (status, output) = running.wait(step, shown)?;
    if status.success() {
        return Ok(output);
    }
    let what = format!("{what} failed ({status})");
    Err(Failure::of_command(what, show(project, command), log, &output))
}

/// Runs `command` to its end and shows the last line of its output.
pub(crate) fn run(
    project: &Project,
    step: &mut Step,
    what: &str,
    command: &mut Command,
    log: &str,
) -> Result<String, Failure> {
    run_watched(project, step, what, command, log, last_line)
}

/// A running program with its output in a log; dropping this value ends it.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

/// Starts `command`.
///
/// # Errors
/// If it cannot start, or its log cannot be written.
pub(crate) fn start(
    project: &Project,
    command: &mut Command,
    log: &str,
) -> Result<Running, Failure> {
    let path = project.log(log);
    let open = || {
        fs::create_dir_all(project.tools("logs"))?;
        let file = File::create(&path)?;
        Ok((file.try_clone()?, file))
    };
    let (out, err) = open().map_err(|error| Failure::of_file("write", &path, &error))?;
    let child = command.stdout(out).stderr(err).spawn().map_err(|error| {
        Failure::new(format!("cannot start {}: {error}", show(project, command)))
    })?;
    Ok(Running { child, log: path })
}

impl Running {
    /// Waits for its end; returns its exit status, whatever it is, and its output.
    fn wait(
        mut self,
        step: &mut Step,
        mut shown: impl FnMut(&str) -> String,
    ) -> Result<(ExitStatus, String), Failure> {
        let mut pause = Duration::from_millis(5);
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => {}
                Err(error) => return Err(Failure::new(format!("lost a program: {error}"))),
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(200));
            step.update(&shown(&tail(&self.log)));
        };
        let output = fs::read(&self.log).unwrap_or_default();
        Ok((status, String::from_utf8_lossy(&output).into_owned()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Runs `command` and returns its exit status, whatever it is, and its output.
pub(crate) fn observe(
    project: &Project,
    step: &mut Step,
    command: &mut Command,
    log: &str,
    shown: impl FnMut(&str) -> String,
) -> Result<(ExitStatus, String), Failure> {
    start(project, command, log)?.wait(step, shown)
}

/// The output of a short command; nothing if it cannot start or fails.
pub(crate) fn ask(command: &mut Command) -> Option<String> {
    let output = command.stdin(std::process::Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

/// The command as one would type it in the repository's root.
pub(crate) fn show(project: &Project, command: &Command) -> String {
    let root = format!("{}/", project.root().display());
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| {
        let word = word.to_string_lossy().replace(&root, "");
        let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The last line of an output that is not empty.
pub(crate) fn last_line(output: &str) -> String {
    let mut lines = output.split(['\n', '\r']).map(str::trim);
    lines.rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

/// The end of a log that is being written.
fn tail(path: &Path) -> String {
    let read = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        // Only the last part is read: a build prints a line for each of hundreds of crates.
        file.seek(SeekFrom::Start(length.saturating_sub(1 << 16)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Result<String, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        let mut step = Step::new("test".to_owned());
        run(&project, &mut step, "the script", Command::new("sh").args(["-c", script]), "script")
    }

    #[test]
    fn output_and_errors_are_both_kept() {
        assert_eq!(sh("echo one; echo two >&2").unwrap(), "one\ntwo\n");
    }

    #[test]
    fn a_bad_status_names_the_command_and_its_last_lines() {
        let text = sh("echo started; exit 3").unwrap_err().to_string();
        assert!(text.contains("the script failed (exit status: 3)"), "{text}");
        assert!(text.contains("command: sh -c 'echo started; exit 3'"), "{text}");
        assert!(text.contains("    started"), "{text}");
    }

    #[test]
    fn the_last_line_is_what_a_bar_drew_last() {
        assert_eq!(last_line("a\rExecuting: 1/9\rExecuting: 2/9\r\n\n"), "Executing: 2/9");
    }
}
