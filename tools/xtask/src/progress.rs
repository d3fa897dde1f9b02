//! The progress of the steps: everything that this program prints.
//!
//! On a terminal a step is one line that is redrawn. Elsewhere (CI, a file) it is a line when the step has run for a
//! while, one every fifteen seconds, and one at its end.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::termios::tcgetwinsize;

/// Time between two lines of a step without a terminal.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The column at which a step's detail starts.
const DETAIL: usize = 34;
/// Moves to the first column and clears the line.
const CLEAR: &str = "\r\x1b[2K";

/// True if only the answer goes to stdout, and everything else to stderr.
static ANSWER_ALONE: AtomicBool = AtomicBool::new(false);

/// Sends everything but [`answer`] to stderr from now on: for commands whose answer another program may read.
pub(crate) fn keep_stdout_for_the_answer() {
    ANSWER_ALONE.store(true, Ordering::Relaxed);
}

fn is_for_the_answer_alone() -> bool {
    ANSWER_ALONE.load(Ordering::Relaxed)
}

/// Prints a line of the answer to stdout.
pub(crate) fn answer(text: &str) {
    print_out(&format!("{text}\n"));
}

/// Prints a line.
pub(crate) fn say(text: &str) {
    print(&format!("{text}\n"));
}

/// Prints an error.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "error: {text}");
}

fn print(text: &str) {
    if is_for_the_answer_alone() {
        // If nobody reads the notes, the command goes on without them.
        let _ = io::stderr().write_all(text.as_bytes());
    } else {
        print_out(text);
    }
}

/// Prints `text` and flushes. Ends this program with SIGPIPE's status if nothing reads its output any more (`| head
/// -1`).
fn print_out(text: &str) {
    let mut out = io::stdout().lock();
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if printed.is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
        // The status that a shell reports after SIGPIPE.
        process::exit(141);
    }
}

/// The steps of one command, numbered.
#[derive(Debug)]
pub(crate) struct Progress {
    of: usize,
    begun: usize,
}

impl Progress {
    pub(crate) fn new(of: usize) -> Progress {
        Progress { of, begun: 0 }
    }

    /// The next step.
    pub(crate) fn step(&mut self, title: &str) -> Step {
        self.begun += 1;
        let width = self.of.to_string().len();
        let head = format!("[{:>width$}/{}] {title}", self.begun, self.of);
        Step::new(head)
    }
}

/// A step, from its beginning to `done`; if it is dropped before, it has failed.
#[derive(Debug)]
pub(crate) struct Step {
    head: String,
    start: Instant,
    last: Option<Instant>,
    terminal: bool,
    ended: bool,
}

impl Step {
    /// A step outside a list.
    pub(crate) fn new(head: String) -> Step {
        let terminal = match is_for_the_answer_alone() {
            true => io::stderr().is_terminal(),
            false => io::stdout().is_terminal(),
        };
        let mut step = Step { head, start: Instant::now(), last: None, terminal, ended: false };
        step.redraw("");
        step
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Shows `detail`, at most as often as is useful here; it may be called at any rate.
    pub(crate) fn update(&mut self, detail: &str) {
        if self.elapsed() < Duration::from_secs(1) {
            return;
        }
        if self.terminal {
            if self.last.is_none_or(|last| last.elapsed() >= Duration::from_millis(500)) {
                self.last = Some(Instant::now());
                self.redraw(detail);
            }
        } else if self.last.is_none_or(|last| last.elapsed() >= HEARTBEAT) {
            self.last = Some(Instant::now());
            let short: String = detail.chars().take(70).collect();
            say(&line(&self.head, &format!("{} ...", self.with_time(&short))));
        }
    }

    /// Ends the step; if it took more than a second, the time is shown.
    pub(crate) fn done(mut self, detail: &str) {
        let text = self.with_time(detail);
        self.finish(&text);
    }

    /// Ends the step. If it took less than a second, its line disappears.
    pub(crate) fn done_if_long(mut self, detail: &str) {
        if self.elapsed() >= Duration::from_secs(1) {
            return self.done(detail);
        }
        self.ended = true;
        if self.terminal {
            print(CLEAR);
        }
    }

    fn with_time(&self, detail: &str) -> String {
        let elapsed = self.elapsed();
        match (detail.is_empty(), elapsed >= Duration::from_secs(1)) {
            (_, false) => detail.to_owned(),
            (true, true) => duration(elapsed),
            (false, true) => format!("{detail}, {}", duration(elapsed)),
        }
    }

    fn finish(&mut self, text: &str) {
        self.ended = true;
        let clear = if self.terminal { CLEAR } else { "" };
        say(&format!("{clear}{}", line(&self.head, text)));
    }

    fn redraw(&mut self, detail: &str) {
        if self.terminal {
            let text = line(&self.head, &self.with_time(detail));
            print(&format!("{CLEAR}{}", cut(&text, terminal_columns())));
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.ended {
            let text = self.with_time("failed");
            self.finish(&text);
        }
    }
}

fn line(head: &str, detail: &str) -> String {
    format!("{head:<DETAIL$} {detail}").trim_end().to_owned()
}

/// The beginning of a text that fits a terminal of this many columns. A line that reaches the last column could not be
/// redrawn.
fn cut(text: &str, columns: usize) -> String {
    text.chars().take(columns.saturating_sub(1)).collect()
}

/// The terminal's width now; 80 if it does not say.
fn terminal_columns() -> usize {
    let size = match is_for_the_answer_alone() {
        true => tcgetwinsize(io::stderr()),
        false => tcgetwinsize(io::stdout()),
    };
    size.ok().map(|size| usize::from(size.ws_col)).filter(|&columns| columns > 0).unwrap_or(80)
}

/// A duration for people: `0.4 s`, `41 s`, `5 min 12 s`, `1 h 03 min`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// A size for people: `530 MB`, `1.2 GB`.
pub(crate) fn bytes(size: u64) -> String {
    let size = size as f64;
    match size {
        0.0..1e3 => format!("{size:.0} B"),
        1e3..1e6 => format!("{:.0} kB", size / 1e3),
        1e6..1e9 => format!("{:.0} MB", size / 1e6),
        _ => format!("{:.1} GB", size / 1e9),
    }
}

/// How much of a download is there: `312 MB of about 530 MB`.
pub(crate) fn fetched(size: u64, total: u64) -> String {
    match size < total {
        true => format!("fetching, {} of about {}", bytes(size), bytes(total)),
        false => format!("fetching, {}", bytes(size)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_read_well() {
        let time = |seconds: f64| duration(Duration::from_secs_f64(seconds));
        assert_eq!(
            [time(0.42), time(41.7), time(312.0), time(3785.0)],
            ["0.4 s", "41 s", "5 min 12 s", "1 h 03 min"]
        );
        assert_eq!(
            [bytes(76), bytes(530_000_000), bytes(1_240_000_000)],
            ["76 B", "530 MB", "1.2 GB"]
        );
    }

    /// Runs in the process that the next test starts; it does nothing in an ordinary run of the tests.
    #[test]
    fn answering_beside_notes() {
        if std::env::var_os("ANSWER_TEST").is_some() {
            keep_stdout_for_the_answer();
            say("a note");
            Step::new("A step".to_owned()).done("a detail");
            answer("the answer");
        }
    }

    #[test]
    fn a_command_that_answers_prints_nothing_else_to_stdout() {
        let output = process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "progress::tests::answering_beside_notes"])
            .env("ANSWER_TEST", "1")
            .output()
            .unwrap();
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(out.contains("the answer\n"), "{out}");
        assert!(!out.contains("a note") && !out.contains("A step"), "{out}");
        assert!(err.contains("a note\n") && err.contains("a detail\n"), "{err}");
    }

    #[test]
    fn a_download_names_its_total_while_that_is_to_come() {
        let total = 530_000_000;
        assert_eq!(fetched(312_000_000, total), "fetching, 312 MB of about 530 MB");
        assert_eq!(fetched(541_000_000, total), "fetching, 541 MB");
    }

    #[test]
    fn a_redrawn_line_leaves_the_last_column_free() {
        assert_eq!(cut("[1/5] größer", 10), "[1/5] grö");
        assert_eq!(cut("[1/5] Tools", 80), "[1/5] Tools");
    }

    #[test]
    fn details_stand_in_one_column() {
        assert_eq!(line("[1/5] Python environment", "up to date").find("up"), Some(DETAIL + 1));
        assert_eq!(line("[1/5] Tools", ""), "[1/5] Tools");
    }
}
