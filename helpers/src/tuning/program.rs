//! The program `trial`, which runs trials of a search: one with `trial < spec.json > result.json`, or one after the other
//! with `trial --serve`.
//!
//! Reads a `TrialSpec` from stdin and writes its `TrialResult` to stdout, as one line of JSON. The exit code is 0 only
//! if the result is complete. Messages for people, such as the lines of the training, go to stderr; if something goes
//! wrong, the last one starts with `error: `. With `--serve` each line of stdin is a specification, and each line of
//! stdout its result or a `Failed`; the program ends when its input ends, and in the middle of a trial when the program
//! that started it has ended. `trial --code` prints the version of its code, `trial --device` whether it computes on a
//! GPU.

use std::io::{BufRead, Read, Write};
use std::os::unix::process::parent_id;
use std::process::ExitCode;
use std::time::Duration;

use super::launcher::Failed;
use super::trial::{TrialResult, TrialSpec};
use crate::data::Dataset;
use crate::system::device::about_gpu;
use crate::system::environment::code_version;

/// The most bytes of a specification: enough for a hundred million rows.
const LONGEST: u64 = 1 << 30;

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => run(),
        ["--serve"] => serve(),
        ["--code"] => {
            println!("{}", code_version());
            Ok(())
        }
        ["--device"] => {
            println!("{}", about_gpu());
            Ok(())
        }
        _ => {
            Err("usage: trial < spec.json > result.json, trial --serve, --code or --device".into())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut output = result_output()?;
    let mut text = String::new();
    let read = std::io::stdin().take(LONGEST).read_to_string(&mut text);
    read.map_err(|error| format!("cannot read stdin: {error}"))?;
    if text.len() as u64 == LONGEST {
        return Err(format!("stdin holds more than {LONGEST} bytes, no specification").into());
    }
    let mut line = result_of(text.as_bytes(), &mut None)?;
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()?;
    Ok(())
}

/// Ends this process when its parent has ended, even in the middle of a trial. Otherwise the trials of a notebook that
/// was killed would go on, beside those of the search that resumes it.
fn end_with_parent() {
    let parent = parent_id();
    std::thread::spawn(move || {
        while parent_id() == parent {
            std::thread::sleep(Duration::from_secs(1));
        }
        // SAFETY: `_exit` ends the process at once. Exit handlers must not run: the main thread is still inside
        // libtorch.
        unsafe { libc::_exit(1) }
    });
}

/// Runs one trial after the other until the input ends.
fn serve() -> Result<(), Box<dyn std::error::Error>> {
    end_with_parent();
    let mut output = result_output()?;
    let (mut input, mut loaded) = (std::io::stdin().lock(), None);
    loop {
        let mut text = Vec::new();
        input.by_ref().take(LONGEST).read_until(b'\n', &mut text)?;
        if text.is_empty() {
            return Ok(());
        }
        let mut line = match result_of(&text, &mut loaded) {
            Ok(line) => line,
            Err(error) => serde_json::to_vec(&Failed { error: error.to_string() })?,
        };
        line.push(b'\n');
        output.write_all(&line)?;
        output.flush()?;
    }
}

/// Runs the trial that this text specifies; returns its result as JSON.
fn result_of(
    text: &[u8],
    loaded: &mut Option<Dataset>,
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let spec: TrialSpec = serde_json::from_slice(text)
        .map_err(|error| format!("stdin holds no specification of a trial: {error}"))?;
    let result = spec.run(loaded)?;
    let line = serde_json::to_vec(&result)?;
    // JSON writes NaN as null, which cannot be read back.
    if TrialResult::parse(&line, &result.id).is_none() {
        return Err("a score is no finite number; try a smaller `learning_rate`".into());
    }
    Ok(line)
}

/// Returns the original stdout for the results; everything that is printed from now on goes to stderr.
#[cfg(unix)]
fn result_output() -> std::io::Result<std::fs::File> {
    use std::os::fd::AsFd;
    let given = std::io::stdout().as_fd().try_clone_to_owned()?;
    // SAFETY: both descriptors are open; stdout's buffer is empty, nothing was printed yet.
    if unsafe { libc::dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO) } < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(given.into())
}
