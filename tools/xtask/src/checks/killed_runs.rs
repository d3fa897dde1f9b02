//! Checks that the quick submission, killed several times and resumed, has the same results as without kills.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::failure::Failure;
use crate::files::{files, is_hidden, remove};
use crate::hash::sha256;
use crate::notebooks::export_folder;
use crate::process;
use crate::progress::Step;
use crate::project::Project;

/// Makes the quick submission again, with `kills` kills, and compares its results with those in `export/quick`, which
/// stay. Returns the number of files that were compared.
///
/// # Errors
/// If a run fails, files differ in more than durations, or a page is incomplete.
pub(crate) fn run(project: &Project, step: &mut Step, kills: usize) -> Result<usize, Failure> {
    let quick = export_folder(project, true);
    // Not in `.tools/tmp`: each set-up empties that folder.
    let first = project.tools("before-kills");
    let moved = |from: &Path, to: &Path| {
        remove(to).and_then(|()| fs::rename(from, to)).map_err(|e| Failure::of_file("move", to, &e))
    };
    moved(&quick, &first)?;
    let outcome = run_killed(project, step, kills).and_then(|()| compare(&first, &quick));
    moved(&first, &quick)?;
    outcome
}

/// When a run is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// This long after its start.
    After(Duration),
    /// While it writes its pages.
    AtThePages,
}

impl Moment {
    /// The moment of one of several kills; the last one is while the pages are written.
    fn of(kill: usize, kills: usize) -> Moment {
        if kill + 1 == kills {
            return Moment::AtThePages;
        }
        // Multiples of the golden ratio spread the kills: while a cell is compiled, inside an epoch, while a file is
        // written.
        let share = (kill as f64 * 0.618_033_988_75).fract();
        Moment::After(Duration::from_secs_f64(8.0 + 30.0 * share))
    }
}

/// One whole run, restarted after each kill.
fn run_killed(project: &Project, step: &mut Step, kills: usize) -> Result<(), Failure> {
    let mut killed = 0;
    loop {
        let mut command = quick_submission(project)?;
        if killed == kills {
            let what = format!("the quick submission after {kills} kills");
            process::run(project, step, &what, &mut command, "test-killed-runs")?;
            return Ok(());
        }
        let moment = Moment::of(killed, kills);
        let export = export_folder(project, true);
        // In its own process group, so that papermill is killed with it, as in a power cut. Kernels end with papermill.
        let child = command.process_group(0).stdout(Stdio::null()).spawn();
        let mut child = child.map_err(|error| {
            Failure::new(format!("cannot start {}: {error}", process::show(project, &command)))
        })?;
        let show = || step.update(&format!("kill {} of {kills}", killed + 1));
        match ends_before(&mut child, &export, moment, show) {
            // The run ended before the kill: it is repeated from the beginning, or only its pages if the kill was meant
            // for them.
            Some(status) if status.success() => {
                let missed = match moment {
                    Moment::After(_) => vec![export],
                    Moment::AtThePages => pages(&export),
                };
                for path in missed {
                    remove(&path).map_err(|error| Failure::of_file("remove", &path, &error))?;
                }
                continue;
            }
            Some(status) => {
                return Err(Failure::new(format!("the quick submission failed ({status})"))
                    .advice("`cargo xtask submission --quick` shows why"));
            }
            None => {}
        }
        let group = format!("-{}", child.id());
        let done = Command::new("kill").args(["-KILL", "--", &group]).status();
        child.wait().map_err(|error| Failure::new(format!("lost a program: {error}")))?;
        if !done.is_ok_and(|status| status.success()) {
            return Err(Failure::new("cannot kill a submission"));
        }
        whole_pages(&export)?;
        killed += 1;
    }
}

fn quick_submission(project: &Project) -> Result<Command, Failure> {
    let program = env::current_exe()
        .map_err(|error| Failure::new(format!("cannot tell where this program is: {error}")))?;
    let mut command = project.command(program);
    command.args(["submission", "--quick", "--resume"]);
    Ok(command)
}

/// The exit status of `child`, if it ended before `moment`.
fn ends_before(
    child: &mut Child,
    export: &Path,
    moment: Moment,
    mut show: impl FnMut(),
) -> Option<ExitStatus> {
    let start = Instant::now();
    let has_come = || match moment {
        Moment::After(duration) => start.elapsed() >= duration,
        Moment::AtThePages => !pages(export).is_empty(),
    };
    while !has_come() {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(50));
        show();
    }
    None
}

/// The pages that exist.
fn pages(export: &Path) -> Vec<PathBuf> {
    let is_page = |path: &PathBuf| path.extension() == Some("html".as_ref()) && !is_hidden(path);
    files(export).into_iter().filter(is_page).collect()
}

/// Checks that each existing page is complete; returns their names.
fn whole_pages(export: &Path) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for path in pages(export) {
        let text = fs::read(&path).map_err(|error| Failure::of_file("read", &path, &error))?;
        let name = path.strip_prefix(export).unwrap_or(&path).display().to_string();
        if !text.trim_ascii_end().ends_with(b"</html>") {
            return Err(Failure::new(format!("a kill left half a page: {name}")));
        }
        names.push(name);
    }
    names.sort();
    Ok(names)
}

/// Compares models, metrics, predictions and the histories of trainings; returns the number of files.
fn compare(first: &Path, second: &Path) -> Result<usize, Failure> {
    // The content of the pages is not compared, because it includes the times of the run.
    if whole_pages(first)? != whole_pages(second)? {
        return Err(Failure::new("a second run, killed and resumed, left other pages"));
    }
    let [first, second] = [results(first)?, results(second)?];
    let differing: Vec<&str> = first
        .keys()
        .chain(second.keys())
        .filter(|name| first.get(*name) != second.get(*name))
        .map(String::as_str)
        .collect();
    if first.is_empty() {
        return Err(Failure::new("the notebooks left no metrics that could be compared"));
    }
    if differing.is_empty() {
        return Ok(first.len());
    }
    Err(Failure::new(format!(
        "a second run, killed and resumed, came to other results: {}",
        differing.join(", ")
    ))
    .advice("something depends on more than seed, data, threads and code: find what is drawn or added in another order"))
}

/// The contents of the files in `export` without durations, by name.
fn results(export: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let kept = ["metrics", "models", "predictions", "history"].map(|folder| export.join(folder));
    // The files of frozen features include the time that computing them took.
    let features = export.join("models/features");
    let is_result = |path: &PathBuf| {
        kept.iter().any(|folder| path.starts_with(folder))
            && !path.starts_with(&features)
            && !is_hidden(path)
    };
    let mut results = BTreeMap::new();
    // The CSV files repeat the histories in JSON, durations included.
    let is_csv = |path: &PathBuf| path.extension() == Some("csv".as_ref());
    for path in files(export).into_iter().filter(is_result).filter(|path| !is_csv(path)) {
        let bytes = fs::read(&path).map_err(|error| Failure::of_file("read", &path, &error))?;
        let text = match serde_json::from_slice::<Value>(&bytes) {
            Ok(mut value) => {
                without_durations(&mut value);
                value.to_string()
            }
            Err(_) => sha256(&bytes),
        };
        let name = path.strip_prefix(export).unwrap_or(&path).display().to_string();
        results.insert(name, text);
    }
    Ok(results)
}

fn without_durations(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|name, _| {
                !["seconds", "per_second", "_time"].iter().any(|end| name.ends_with(end))
            });
            map.values_mut().for_each(without_durations);
        }
        Value::Array(values) => values.iter_mut().for_each(without_durations),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_must_be_whole_and_all_there() {
        let [first, second] = [(); 2].map(|()| export(r#"{"accuracy": 0.5}"#, b"model"));
        let write = |folder: &tempfile::TempDir, page: &str| {
            fs::write(folder.path().join("submission.html"), page).unwrap();
        };
        write(&first, "<html>all</html>\n");
        let text = compare(first.path(), second.path()).unwrap_err().to_string();
        assert!(text.contains("other pages"), "{text}");
        write(&second, "<html>al");
        let text = compare(first.path(), second.path()).unwrap_err().to_string();
        assert!(text.contains("half a page: submission.html"), "{text}");
        write(&second, "<html>of another time</html>\n");
        assert_eq!(compare(first.path(), second.path()).unwrap(), 2);
    }

    #[test]
    fn the_last_kill_falls_on_the_pages() {
        let of = |kill, kills| format!("{:?}", Moment::of(kill, kills));
        assert_eq!(of(0, 1), "AtThePages");
        assert_eq!([of(0, 3), of(2, 3)], ["After(8s)", "AtThePages"]);
    }

    fn export(metrics: &str, model: &[u8]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in
            [("metrics/cnn.json", metrics.as_bytes()), ("models/cnn.safetensors", model)]
        {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        folder
    }

    #[test]
    fn durations_may_differ_and_nothing_else() {
        let first = export(r#"{"accuracy": 0.5, "fit_seconds": 1.0}"#, b"model");
        let compared = |metrics, model: &[u8]| compare(first.path(), export(metrics, model).path());
        assert_eq!(compared(r#"{"accuracy": 0.5, "fit_seconds": 2.5}"#, b"model").unwrap(), 2);
        let other = compared(r#"{"accuracy": 0.5000001, "fit_seconds": 1.0}"#, b"model");
        assert!(other.unwrap_err().to_string().contains("metrics/cnn.json"));
        let other = compared(r#"{"accuracy": 0.5, "fit_seconds": 1.0}"#, b"Model");
        assert!(other.unwrap_err().to_string().contains("models/cnn.safetensors"));
        let empty = tempfile::tempdir().unwrap();
        assert!(compare(empty.path(), empty.path()).is_err());
        assert!(compare(first.path(), empty.path()).is_err());
    }

    /// A kill leaves an incomplete temporary file beside the file that was being written.
    #[test]
    fn what_a_killed_writer_left_is_no_result() {
        let [first, second] = [(); 2].map(|()| export(r#"{"accuracy": 0.5}"#, b"model"));
        fs::write(second.path().join("models/.cnn.safetensors.abcdef.part"), b"mod").unwrap();
        assert_eq!(compare(first.path(), second.path()).unwrap(), 2);
    }
}
