//! Holds back the standard error of the runner for a moment: the last text that a cell writes there may be the message
//! of the error that ended it, which belongs to the error and not to the output.
//!
//! On Linux each piece is one write of the cell. `?` writes the message and a line break at once (`toolchain/cell.rs`), in
//! evcxr's own form as one piece or more. Everything that a cell printed before also ends in a line break.

use std::time::{Duration, Instant};

/// Most time between an error's message and the protocol line that says what it was, while the cell gets processor
/// time.
const HELD: Duration = Duration::from_millis(10);
/// The same when the cell may have lost the processor. A panic also drops the cell's values before it prints that line.
const LONGEST: Duration = Duration::from_secs(1);

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Errors {
    /// Each piece with its time of arrival.
    pieces: Vec<(Instant, Vec<u8>)>,
    /// When to check again which pieces have waited long enough.
    until: Option<Instant>,
}

impl Errors {
    pub(crate) fn push(&mut self, piece: &[u8], now: Instant) {
        self.pieces.push((now, piece.to_owned()));
        self.until.get_or_insert(now + HELD);
    }

    /// When to call [`Errors::due`].
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// The text that has waited long enough. `gone_on` says that the cell does something else since its last write.
    pub(crate) fn due(&mut self, now: Instant, gone_on: bool) -> Option<String> {
        self.until.filter(|until| *until <= now)?;
        let panic = self.panic().is_some();
        let message = self.message();
        let is_due = |(at, (came, _)): &(usize, &(Instant, Vec<u8>))| {
            // Pieces before the last line cannot belong to the message of an error that is just being written.
            let waits = panic || (*at >= message && !gone_on);
            *came + if waits { LONGEST } else { HELD } <= now
        };
        let count = self.pieces.iter().enumerate().take_while(is_due).count();
        let told: Vec<_> = self.pieces.drain(..count).collect();
        self.until = (!self.pieces.is_empty()).then_some(now + HELD);
        (count > 0).then(|| text(&told))
    }

    /// All that is held, unless it is a panic.
    pub(crate) fn harmless(&mut self) -> Option<String> {
        (!self.pieces.is_empty() && self.panic().is_none()).then(|| self.all())
    }

    pub(crate) fn all(&mut self) -> String {
        self.until = None;
        text(&std::mem::take(&mut self.pieces))
    }

    /// Splits what is held at the end of a cell that returned an error: the output before, and the error's message.
    pub(crate) fn returned(&mut self) -> (String, String) {
        self.until = None;
        let message = self.pieces.split_off(self.message());
        (self.all(), text(&message))
    }

    /// The index of the first piece that may belong to an error's message: after the last complete line that is not the
    /// last piece.
    fn message(&self) -> usize {
        let before_last = &self.pieces[..self.pieces.len().saturating_sub(1)];
        before_last.iter().rposition(|(_, piece)| piece.ends_with(b"\n")).map_or(0, |at| at + 1)
    }

    /// Splits what is held at a panic: the output before, and the panic's message.
    pub(crate) fn panicked(&mut self) -> (String, String) {
        let start = self.panic();
        let mut before = self.all();
        let message = start.map_or(String::new(), |start| before.split_off(start));
        (before, message)
    }

    /// Where the message of the last panic begins.
    fn panic(&self) -> Option<usize> {
        let all = text(&self.pieces);
        let at = all.rmatch_indices("thread '").map(|(at, _)| at).find(|&at| {
            let line = all[at..].lines().next().unwrap_or_default();
            (at == 0 || all[..at].ends_with('\n')) && line.contains(" panicked at ")
        })?;
        // The message begins with an empty line.
        let empty = at > 0 && (at == 1 || all[..at].ends_with("\n\n"));
        Some(if empty { at - 1 } else { at })
    }
}

fn text(pieces: &[(Instant, Vec<u8>)]) -> String {
    let bytes: Vec<u8> = pieces.iter().flat_map(|(_, piece)| piece).copied().collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(pieces: &[&str]) -> Errors {
        let mut errors = Errors::default();
        pieces.iter().for_each(|piece| errors.push(piece.as_bytes(), Instant::now()));
        errors
    }

    #[test]
    fn the_text_of_an_error_is_what_came_after_the_last_whole_line() {
        let pair = |before: &str, message: &str| (before.to_owned(), message.to_owned());
        let errors_of = |pieces: &[&str]| errors(pieces).returned();
        assert_eq!(
            errors_of(&["a warning\n", "cannot read ", "x", ": gone", "\n"]),
            pair("a warning\n", "cannot read x: gone\n")
        );
        assert_eq!(errors_of(&["first\nsecond", "\n"]), pair("", "first\nsecond\n"));
        assert_eq!(errors_of(&[]), pair("", ""));
        assert_eq!(
            errors_of(&["1 ", "warning", "\n", "gone", "\n"]),
            pair("1 warning\n", "gone\n")
        );
    }

    #[test]
    fn a_panic_is_told_from_what_was_printed_before() {
        let panic = "\nthread '<unnamed>' (12) panicked at src/lib.rs:3:4:\nno images\n";
        let mut both = errors(&["a warning\n", panic]);
        assert!(both.harmless().is_none(), "a panic waits for what it was");
        assert_eq!(both.panicked(), ("a warning\n".to_owned(), panic.to_owned()));
        let mut none = errors(&["thread 'x' is busy\n"]);
        assert_eq!(none.panicked(), ("thread 'x' is busy\n".to_owned(), String::new()));
    }

    #[test]
    fn what_no_error_follows_is_told_soon() {
        let start = Instant::now();
        let mut errors = Errors::default();
        errors.push(b"a warning\n", start);
        assert_eq!(errors.due(start, true), None);
        assert_eq!(errors.due(start + HELD, true), Some("a warning\n".to_owned()));
        assert_eq!(errors.due(start + HELD, true), None);
    }

    #[test]
    fn an_error_waits_for_a_cell_that_has_lost_the_processor() {
        let start = Instant::now();
        let mut errors = Errors::default();
        for piece in ["a warning\n", "gone", "\n"] {
            errors.push(piece.as_bytes(), start);
        }
        assert_eq!(errors.due(start + HELD, false), Some("a warning\n".to_owned()));
        assert_eq!(errors.due(start + LONGEST / 2, false), None);
        assert_eq!(errors.until(), Some(start + LONGEST / 2 + HELD));
        assert_eq!(errors.returned(), (String::new(), "gone\n".to_owned()));
        errors.push(b"no error", start);
        assert_eq!(errors.due(start + LONGEST, false), Some("no error".to_owned()));
    }

    #[test]
    fn whoever_writes_on_and_on_is_heard_meanwhile() {
        let start = Instant::now();
        let mut errors = Errors::default();
        let mut told = String::new();
        for step in 0..100 {
            let now = start + step * HELD / 2;
            errors.push(b"line\n", now);
            told.extend(errors.due(now, false));
        }
        assert!(told.len() > 90 * "line\n".len(), "{told}");
    }
}
