//! The standard error of the process that runs the cells, held back for a moment: the last that a cell writes there may be
//! the text of the error that ended it, which belongs to the error and not to the output.
//!
//! On Linux each piece is what one call of the cell has written. `?` prints `"{}\n"`: the text, in one piece or more, and a
//! line break of its own; what a cell printed before ends in a line break, too.

use std::time::{Duration, Instant};

/// How long it can take from the text of an error to the line that says what it was.
const HELD: Duration = Duration::from_millis(10);
/// A panic drops all that the cell holds before it says that it was one.
const PANIC_HELD: Duration = Duration::from_secs(1);

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Errors {
    pieces: Vec<Vec<u8>>,
    /// When what is held is told.
    until: Option<Instant>,
}

impl Errors {
    pub(crate) fn push(&mut self, piece: &[u8], now: Instant) {
        self.pieces.push(piece.to_owned());
        let held = if self.panic().is_some() { PANIC_HELD } else { HELD };
        self.until = Some(now + held);
    }

    /// When [`Errors::due`] has something to tell.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// What has waited long enough.
    pub(crate) fn due(&mut self, now: Instant) -> Option<String> {
        self.until.is_some_and(|until| until <= now).then(|| self.all())
    }

    /// All that is held, unless it is a panic.
    pub(crate) fn harmless(&mut self) -> Option<String> {
        (self.until.is_some() && self.panic().is_none()).then(|| self.all())
    }

    pub(crate) fn all(&mut self) -> String {
        self.until = None;
        text(&std::mem::take(&mut self.pieces).concat())
    }

    /// What was printed before the error that a cell returned, and the error's own text.
    pub(crate) fn returned(&mut self) -> (String, String) {
        self.until = None;
        let mut pieces = std::mem::take(&mut self.pieces);
        let before_last = &pieces[..pieces.len().saturating_sub(1)];
        let start =
            before_last.iter().rposition(|piece| piece.ends_with(b"\n")).map_or(0, |at| at + 1);
        let message = pieces.split_off(start).concat();
        (text(&pieces.concat()), text(&message))
    }

    /// What was printed before a panic, and what the panic printed.
    pub(crate) fn panicked(&mut self) -> (String, String) {
        let start = self.panic();
        let mut before = self.all();
        let message = start.map_or(String::new(), |start| before.split_off(start));
        (before, message)
    }

    /// Where the message of the last panic begins.
    fn panic(&self) -> Option<usize> {
        let all = text(&self.pieces.concat());
        let at = all.rmatch_indices("thread '").map(|(at, _)| at).find(|&at| {
            let line = all[at..].lines().next().unwrap_or_default();
            (at == 0 || all[..at].ends_with('\n')) && line.contains(" panicked at ")
        })?;
        // The message begins with an empty line.
        let empty = at > 0 && (at == 1 || all[..at].ends_with("\n\n"));
        Some(if empty { at - 1 } else { at })
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
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
        assert_eq!(errors.due(start), None);
        assert_eq!(errors.due(start + HELD), Some("a warning\n".to_owned()));
        assert_eq!(errors.due(start + HELD), None);
    }
}
