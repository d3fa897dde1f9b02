//! The progress of an import, on stderr: on a terminal a line that is redrawn, elsewhere a line every fifteen seconds.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Moves to the first column and clears the line.
const CLEAR: &str = "\r\x1b[2K";

/// How far an import is.
pub(crate) struct Progress {
    /// The number of all pictures, of those that are read, and how many of these an earlier call had read.
    of: usize,
    done: usize,
    before: usize,
    begun: Instant,
    told: Option<Instant>,
    terminal: bool,
}

impl Progress {
    pub(crate) fn new(of: usize, before: usize) -> Progress {
        let terminal = io::stderr().is_terminal();
        Progress { of, done: before, before, begun: Instant::now(), told: None, terminal }
    }

    /// One more picture was read.
    pub(crate) fn one_more(&mut self) {
        self.done += 1;
        let (pause, elapsed) = (if self.terminal { 500 } else { 15_000 }, self.begun.elapsed());
        let is_early = self.told.is_some_and(|told| told.elapsed() < Duration::from_millis(pause));
        if is_early || elapsed < Duration::from_secs(1) {
            return;
        }
        self.told = Some(Instant::now());
        let text = sentence(self.done, self.before, self.of, elapsed);
        // If nobody reads stderr, the import goes on.
        let _ = match self.terminal {
            true => write!(io::stderr(), "{CLEAR}{text}"),
            false => writeln!(io::stderr(), "{text}"),
        };
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal && self.told.is_some() {
            let _ = write!(io::stderr(), "{CLEAR}");
        }
    }
}

fn sentence(done: usize, before: usize, of: usize, elapsed: Duration) -> String {
    let speed = (done - before) as f64 / elapsed.as_secs_f64();
    let left = duration((of - done) as f64 / speed);
    format!("{done} of {of} pictures, {speed:.*} a second, ETA {left}", usize::from(speed < 10.0))
}

/// A duration for people: `41 s`, `5 min 12 s`, `1 h 03 min`.
fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_of_this_call() {
        // 100 of 1,100 were there before: 200 in 100 s leave 800 for 400 s.
        let text = sentence(300, 100, 1_100, Duration::from_secs(100));
        assert_eq!(text, "300 of 1100 pictures, 2.0 a second, ETA 6 min 40 s");
        let text = sentence(1_000, 0, 4_000_000, Duration::from_secs(4));
        assert_eq!(text, "1000 of 4000000 pictures, 250 a second, ETA 4 h 26 min");
    }
}
