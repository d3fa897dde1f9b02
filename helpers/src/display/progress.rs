//! The progress of a cell: a bar that is replaced if the front end can do that, otherwise printed lines.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::class::{ENDED, LIVE, PROGRESS_BAR};
use super::live::LiveDisplay;
use crate::text::{clean_sentence, counted, escape_sentence};

/// The beginning of each line that only matters while a cell runs.
pub const PROGRESS: &str = "… ";

/// Prints a text that may come from elsewhere (a path, an error, a class name) as one line that cannot be a marker of
/// evcxr's protocol.
pub(crate) fn print_line(text: &str) {
    println!("{}", clean_sentence(text));
}

/// Prints a line of progress, which only matters while the cell runs.
fn print_progress(text: &str) {
    println!("{PROGRESS}{}", clean_sentence(text));
}

/// Prints the progress of work with many steps from time to time, if displays cannot be replaced.
pub(crate) struct Ticker {
    steps: usize,
    interval: Duration,
    started: Instant,
    last: Instant,
}

impl Ticker {
    /// Begins work with this many steps; prints at most one line per `interval`.
    pub(crate) fn new(steps: usize, interval: Duration) -> Ticker {
        let now = Instant::now();
        Ticker { steps, interval, started: now, last: now }
    }

    /// Prints the result of `line`, called with the share that is done and the seconds that remain, if it is time for a
    /// line and the work is not finished.
    pub(crate) fn tick(&mut self, done: usize, line: impl FnOnce(f64, f64) -> String) {
        if self.is_due(done) {
            let (share, remaining) = self.left(done);
            print_progress(&line(share, remaining));
        }
    }

    /// Whether `interval` has passed since the last line and the work is not finished.
    fn is_due(&mut self, done: usize) -> bool {
        if done == 0 || done >= self.steps || self.last.elapsed() < self.interval {
            return false;
        }
        self.last = Instant::now();
        true
    }

    /// The share that is done, and the seconds that remain.
    fn left(&self, done: usize) -> (f64, f64) {
        let (done, steps) = (done as f64, self.steps as f64);
        (done / steps, self.started.elapsed().as_secs_f64() * (steps - done) / done)
    }
}

/// Work with many steps: shows a bar, and one line at the end. Short work shows no bar.
pub(crate) struct Bar {
    ticker: Ticker,
    display: LiveDisplay,
    /// The words next to the bar.
    words: String,
}

/// Time between two printed lines, if no bar can be drawn.
const LINES: Duration = Duration::from_secs(10);
/// Time before a bar is drawn, if the work will take as long again; also the time between two updates of it.
const PATIENCE: Duration = Duration::from_millis(700);

impl Bar {
    /// Begins work with this many steps.
    pub(crate) fn new(steps: usize) -> Bar {
        let display = LiveDisplay::new();
        let interval = if display.is_live() { PATIENCE } else { LINES };
        Bar { ticker: Ticker::new(steps, interval), display, words: String::new() }
    }

    /// Shows the bar at once, where it can be replaced.
    pub(crate) fn show(&mut self, words: &str) {
        if self.display.is_live() {
            self.words = words.to_owned();
            self.display.replace(&bar_html(0.0, words), &clean_sentence(words));
        }
    }

    /// Shows the result of `words`, called with the share that is done and the seconds that remain, from time to time.
    pub(crate) fn tick(&mut self, done: usize, words: impl FnOnce(f64, f64) -> String) {
        if !self.display.is_live() {
            self.ticker.tick(done, words);
        } else if self.ticker.is_due(done) {
            let (share, remaining) = self.ticker.left(done);
            if remaining < PATIENCE.as_secs_f64() && !self.display.is_shown() {
                return;
            }
            self.words = words(share, remaining);
            self.display.replace(&bar_html(share, &self.words), &clean_sentence(&self.words));
        }
    }

    /// Ends the work: `line` replaces the bar.
    pub(crate) fn finish(self, line: &str) {
        if !self.display.is_shown() {
            print_line(line);
        }
        self.close(line);
    }

    /// Ends the work; `line` is only shown if the work took long enough for a bar.
    pub(crate) fn close(mut self, line: &str) {
        self.words.clear();
        if self.display.is_shown() {
            self.display.replace(&ended_html(line), &clean_sentence(line));
        }
    }
}

/// If an error or an interrupt ends the work, the bar shows how far it got.
impl Drop for Bar {
    fn drop(&mut self) {
        if !self.words.is_empty() {
            let line = format!("ended early: {}", self.words);
            self.display.replace(&ended_html(&line), &clean_sentence(&line));
        }
    }
}

/// Work with a record: a bar, the results so far, and below them folded lines. If the front end cannot replace
/// displays, only the lines are printed, as they come.
///
/// Bar and record are separate displays, so that an unfolded record stays unfolded when the bar changes.
pub(crate) struct Board {
    bar: LiveDisplay,
    record: LiveDisplay,
    /// What a line is about: `epoch`.
    what: &'static str,
    lines: Vec<String>,
}

/// How many of the last lines the record shows while the work runs.
const LINES_SO_FAR: usize = 100;
/// And at the end, because a search may have a hundred thousand trials.
const LINES_AT_END: usize = 1000;

impl Board {
    /// An empty record of `what`, such as `epochs`.
    pub(crate) fn new(what: &'static str) -> Board {
        Board {
            bar: LiveDisplay::new(),
            record: LiveDisplay::new(),
            what: what.trim_end_matches('s'),
            lines: Vec::new(),
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.bar.is_live()
    }

    /// Adds a line to the record.
    pub(crate) fn line(&mut self, line: &str) {
        if self.is_live() {
            self.lines.push(clean_sentence(line));
        } else {
            print_line(line);
        }
    }

    /// Whether it is time to move the bar.
    pub(crate) fn is_due(&self) -> bool {
        self.is_live() && self.bar.is_due()
    }

    /// Updates the bar.
    pub(crate) fn bar(&mut self, share: f64, words: &str) {
        if self.is_live() {
            self.bar.replace(&bar_html(share, words), &clean_sentence(words));
        }
    }

    /// Shows the record below the result of `found`, if it is time for it.
    pub(crate) fn record(&mut self, found: impl FnOnce() -> String) {
        if !self.lines.is_empty() && self.record.is_due() {
            self.show_record(&found(), LINES_SO_FAR);
        }
    }

    /// Ends the work: a sentence replaces the bar, and the record shows all lines, or the last ones if there are very
    /// many.
    pub(crate) fn finish(&mut self, sentence: &str, found: impl FnOnce() -> String) {
        if !self.is_live() {
            return;
        }
        self.bar.replace(&ended_html(sentence), &clean_sentence(sentence));
        if !self.lines.is_empty() {
            self.show_record(&found(), LINES_AT_END);
        }
    }

    /// Shows `found` and at most this many of the last lines.
    fn show_record(&mut self, found: &str, most: usize) {
        let lines = &self.lines[self.lines.len().saturating_sub(most)..];
        let last = match lines.len() == self.lines.len() {
            true => String::new(),
            false => format!(", the last {most} of them"),
        };
        let head = counted(self.lines.len(), self.what) + &last;
        self.record.replace(&record_html(found, &head, lines), &lines.join("\n"));
    }
}

/// The results, and lines folded behind `head`.
fn record_html(found: &str, head: &str, lines: &[String]) -> String {
    let mut html = format!(
        "<div class=\"{LIVE}\">{found}<details><summary>{head}</summary><pre style=\"white-space:pre-wrap\">"
    );
    for line in lines {
        html += &escape_sentence(line);
        html.push('\n');
    }
    html + "</pre></details></div>"
}

/// The line that takes the place of a bar.
fn ended_html(line: &str) -> String {
    format!("<div class=\"{ENDED}\">{}</div>", escape_sentence(line))
}

/// A bar with words next to it.
fn bar_html(share: f64, words: &str) -> String {
    let words = escape_sentence(words);
    let mut html = format!("<div class=\"{PROGRESS_BAR}\">");
    let _ = write!(
        html,
        "<progress max=\"1\" value=\"{share:.4}\" aria-label=\"{words}\" style=\"width:14em;max-width:100%;vertical-align:middle\">\
         </progress> {words}</div>"
    );
    html
}

#[cfg(test)]
mod tests {
    use super::super::chart::{Chart, Point, side_by_side};
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

    /// The browser tests of the pages use `tools/template/tests/live.json`. After a change here: `WRITE_LIVE=1 cargo
    /// test -p helpers --lib the_pages_are_tested`.
    #[test]
    fn the_pages_are_tested_with_what_is_shown() {
        let points = |value: fn(f64) -> f64| -> Vec<Point> {
            (1..=18).map(f64::from).map(|epoch| (epoch, value(epoch))).collect()
        };
        let loss = Chart {
            title: "Loss",
            values: "Loss (nats)",
            percent: false,
            rises: false,
            train: &points(|epoch| 0.3 + 1.0 / epoch),
            validation: &points(|epoch| 0.35 + 0.9 / epoch + 0.02 * (epoch - 13.0).max(0.0)),
            best: 13,
        };
        let accuracy = Chart {
            title: "Accuracy",
            values: "Accuracy (%)",
            percent: true,
            rises: true,
            train: &points(|epoch| 0.95 - 0.3 / epoch),
            validation: &points(|epoch| 0.9 - 0.25 / epoch),
            best: 13,
        };
        let lines: Vec<String> = (1..=18)
            .map(|epoch| format!("epoch {epoch:>2}/30  <loss> {:.4}", 1.0 / f64::from(epoch)))
            .collect();
        let record = record_html(&side_by_side(&[loss, accuracy]), "18 epochs", &lines);
        let sentence = "stopped after epoch 18 of 30: no better val_loss for 5 epochs";
        let outputs = [
            [ended_html(sentence), sentence.to_owned()],
            [record, lines.join("\n")],
            [bar_html(0.25, "epoch 8/30, step 1/4, <loss> 0.1"), "epoch 8/30".to_owned()],
        ];
        let text = serde_json::to_string_pretty(&outputs).unwrap() + "\n";
        let kept = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../tools/template/tests/live.json");
        if std::env::var_os("WRITE_LIVE").is_some() {
            std::fs::write(&kept, &text).unwrap();
        }
        let found = std::fs::read_to_string(&kept).unwrap_or_default();
        assert!(found == text, "live.json is an older one; make it again as said above");
    }

    #[test]
    fn a_bar_holds_its_words_as_text() {
        let html = bar_html(0.25, "<b>&");
        assert!(
            html.contains("value=\"0.2500\"") && html.ends_with("</progress> &lt;b&gt;&amp;</div>"),
            "{html}"
        );
    }
}
