//! Lines that are printed while a cell runs: those that stay, and those that tell how far it has come.

use std::time::{Duration, Instant};

use super::PROGRESS;
use crate::text::clean_sentence;

/// Prints a line that may hold text from elsewhere (a path, an error, a class name): it stays one line and is never a
/// marker of evcxr's protocol.
pub(crate) fn print_line(text: &str) {
    println!("{}", clean_sentence(text));
}

/// Prints how far something has come: of interest while it runs, and no longer.
fn print_progress(text: &str) {
    println!("{PROGRESS}{}", clean_sentence(text));
}

/// Prints progress now and then in work of many steps: a notebook shows whole lines only, as they are printed.
pub(crate) struct Ticker {
    steps: usize,
    interval: Duration,
    started: Instant,
    last: Instant,
}

impl Ticker {
    /// Begins work of so many steps; a line is printed at most once in `interval`.
    pub(crate) fn new(steps: usize, interval: Duration) -> Ticker {
        let now = Instant::now();
        Ticker { steps, interval, started: now, last: now }
    }

    /// Prints what `line` makes of the share that is done and of the seconds that remain, if it is time for a line and
    /// the work is not over.
    pub(crate) fn tick(&mut self, done: usize, line: impl FnOnce(f64, f64) -> String) {
        if done == 0 || done >= self.steps || self.last.elapsed() < self.interval {
            return;
        }
        self.last = Instant::now();
        let elapsed = self.started.elapsed().as_secs_f64();
        let remaining = elapsed * (self.steps - done) as f64 / done as f64;
        print_progress(&line(done as f64 / self.steps as f64, remaining));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_made_only_when_it_is_time_and_work_remains() {
        let mut made = Vec::new();
        let mut ticker = Ticker::new(4, Duration::ZERO);
        for done in 0..=4 {
            ticker.tick(done, |share, _| {
                made.push(share);
                String::new()
            });
        }
        assert_eq!(made, [0.25, 0.5, 0.75]);
        let mut rare = Ticker::new(4, Duration::from_secs(3600));
        rare.tick(2, |_, _| unreachable!("an hour has not passed"));
    }
}
