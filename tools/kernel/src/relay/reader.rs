//! Parses the runner's standard output into text, things to show, and lines of evcxr's protocol.
//!
//! A protocol line must match to its last character. Only text that a cell printed without a line break may stand
//! before it. Anything that only resembles one is text.

use crate::link::{Bundle, ERROR_AT};

const PREFIX: &[u8] = b"EVCXR_";
const BEGIN: &str = "EVCXR_BEGIN_CONTENT ";
const END: &str = "EVCXR_END_CONTENT";
const PANIC: &str = "EVCXR_PANIC_NOTIFICATION";
const ERROR: &str = "EVCXR_ERROR_OCCURRED";
const CHANGED_TYPE: &str = "EVCXR_VARIABLE_CHANGED_TYPE:";
/// The front's own: removes what the cell has shown, with ` wait` once something else is shown.
const CLEAR: &str = "EVCXR_CLEAR_OUTPUT";
const INPUT: &str = "EVCXR_INPUT_REQUEST:";
const PASSWORD: &str = "EVCXR_INPUT_REQUEST_PASSWORD:";

/// Most bytes of an incomplete line that are held back because it may become a protocol line.
const LONGEST_MARKER: usize = 512;

/// A part of a cell's output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Shown(Bundle),
    /// What was shown before is removed, or is once something else is shown.
    Clear {
        wait: bool,
    },
    /// The cell panicked; the line for evcxr.
    Panic(String),
    /// Where the `?` stands through which the cell returns, or the statement that panics: line and column, counted from 1.
    ErrorAt(usize, usize),
    /// The cell returned through `?`; the line for evcxr.
    Error(String),
    /// A line that concerns evcxr alone.
    ForEvcxr(String),
    Input {
        prompt: String,
        password: bool,
    },
}

/// Takes bytes as they come; see [`Reader::push`].
#[derive(Default)]
pub(crate) struct Reader {
    /// The incomplete last line.
    tail: Vec<u8>,
    block: Option<Block>,
    /// Something to show, held back in case another MIME type of it follows.
    bundle: Option<Bundle>,
    pieces: Vec<Piece>,
}

/// A thing to show of which the end has not been read.
struct Block {
    /// The line that began it.
    begin: String,
    mime: String,
    bundle: Bundle,
    content: Vec<u8>,
}

impl Reader {
    /// Takes more bytes; returns the parts that are complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let (line, after) = rest.split_at(end + 1);
            rest = after;
            if self.tail.is_empty() {
                self.line(line);
            } else {
                self.tail.extend_from_slice(line);
                let line = std::mem::take(&mut self.tail);
                self.line(&line);
            }
        }
        self.tail.extend_from_slice(rest);
        if self.block.is_none() {
            self.tell_beginning_of_line();
        }
        std::mem::take(&mut self.pieces)
    }

    /// True while [`Reader::settle`] would return something.
    pub(crate) fn holds_a_bundle(&self) -> bool {
        self.bundle.is_some() && self.block.is_none() && self.tail.is_empty()
    }

    /// Returns what was held back in case more of it follows.
    pub(crate) fn settle(&mut self) -> Vec<Piece> {
        self.tell_bundle();
        std::mem::take(&mut self.pieces)
    }

    /// Returns everything left at the end of a cell, and what was shown last if nothing followed: it may be the cell's
    /// value.
    pub(crate) fn finish(&mut self) -> (Vec<Piece>, Option<Bundle>) {
        if let Some(block) = self.block.take() {
            // It never ended, so it was text.
            self.tell_bundle();
            self.text(format!("{}\n", block.begin).as_bytes());
            self.text(&block.content);
        }
        let tail = std::mem::take(&mut self.tail);
        self.text(&tail);
        (std::mem::take(&mut self.pieces), self.bundle.take())
    }

    fn line(&mut self, line: &[u8]) {
        let content = &line[..line.len() - 1];
        if let Some(block) = &mut self.block {
            if content == END.as_bytes() {
                self.end_block();
                return;
            }
            // A panic may come in the middle of a block, and tells its place first.
            if content != PANIC.as_bytes() && !is_place(content) {
                block.content.extend_from_slice(line);
                return;
            }
            self.end_block();
        }
        let Some(at) = marker_at(content) else {
            self.text(line);
            return;
        };
        self.text(&content[..at]);
        // A marker is ASCII up to where its own text begins.
        self.marker(String::from_utf8_lossy(&content[at..]).into_owned());
    }

    fn marker(&mut self, line: String) {
        if let Some((mime, bundle)) = line.strip_prefix(BEGIN).and_then(read_begin) {
            self.block = Some(Block { begin: line, mime, bundle, content: Vec::new() });
            return;
        }
        self.tell_bundle();
        let input = |prompt: &str, password| Piece::Input { prompt: prompt.to_owned(), password };
        let piece = if let Some((line, column)) = line.strip_prefix(ERROR_AT).and_then(read_at) {
            Piece::ErrorAt(line, column)
        } else if let Some(prompt) = line.strip_prefix(PASSWORD) {
            input(prompt, true)
        } else if let Some(prompt) = line.strip_prefix(INPUT) {
            input(prompt, false)
        } else {
            match line.as_str() {
                line if is_clear(line) => Piece::Clear { wait: line != CLEAR },
                PANIC => Piece::Panic(line),
                ERROR => Piece::Error(line),
                _ => Piece::ForEvcxr(line),
            }
        };
        self.pieces.push(piece);
    }

    fn end_block(&mut self) {
        let Some(Block { mime, bundle, mut content, .. }) = self.block.take() else { return };
        if content.last() == Some(&b'\n') {
            content.pop();
        }
        let content = String::from_utf8_lossy(&content).into_owned();
        match &mut self.bundle {
            Some(held)
                if held.id == bundle.id
                    && held.update == bundle.update
                    && !held.data.contains_key(&mime) =>
            {
                held.data.insert(mime, content);
            }
            _ => {
                self.tell_bundle();
                let mut bundle = bundle;
                bundle.data.insert(mime, content);
                self.bundle = Some(bundle);
            }
        }
    }

    fn tell_bundle(&mut self) {
        self.pieces.extend(self.bundle.take().map(Piece::Shown));
    }

    fn text(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.tell_bundle();
        let text = String::from_utf8_lossy(bytes);
        match self.pieces.last_mut() {
            Some(Piece::Text(before)) => before.push_str(&text),
            _ => self.pieces.push(Piece::Text(text.into_owned())),
        }
    }

    /// Releases the start of an incomplete line, except what may become a protocol line and an incomplete character.
    fn tell_beginning_of_line(&mut self) {
        let mut until = possible_marker(&self.tail).unwrap_or(self.tail.len());
        if let Err(error) = std::str::from_utf8(&self.tail[..until])
            && error.error_len().is_none()
        {
            until = error.valid_up_to();
        }
        let rest = self.tail.split_off(until);
        let beginning = std::mem::replace(&mut self.tail, rest);
        self.text(&beginning);
    }
}

/// Where a line of the protocol begins in this line.
fn marker_at(line: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = find(&line[from..], PREFIX).map(|at| at + from) {
        if is_marker(&line[at..]) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

fn is_marker(line: &[u8]) -> bool {
    let Ok(line) = std::str::from_utf8(line) else { return line.starts_with(INPUT.as_bytes()) };
    line == PANIC
        || line == ERROR
        || is_clear(line)
        || line.starts_with(INPUT)
        || line.starts_with(PASSWORD)
        || line.strip_prefix(CHANGED_TYPE).is_some_and(is_name)
        || is_place(line.as_bytes())
        || line.strip_prefix(BEGIN).is_some_and(|rest| read_begin(rest).is_some())
}

fn is_clear(line: &str) -> bool {
    matches!(line.strip_prefix(CLEAR), Some("" | " wait"))
}

fn is_place(line: &[u8]) -> bool {
    let line = std::str::from_utf8(line).unwrap_or_default();
    line.strip_prefix(ERROR_AT).is_some_and(|rest| read_at(rest).is_some())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '#')
}

/// Line and column: `12:5`.
fn read_at(rest: &str) -> Option<(usize, usize)> {
    let (line, column) = rest.split_once(':')?;
    Some((line.parse().ok()?, column.parse().ok()?))
}

/// The MIME type of a thing to show, and how it is to be shown: `text/html display_id=chart update`.
fn read_begin(rest: &str) -> Option<(String, Bundle)> {
    let mut words = rest.split(' ');
    let mime = words
        .next()
        .filter(|mime| mime.split_once('/').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty()))?;
    let mut bundle = Bundle::default();
    for word in words {
        match word.strip_prefix("display_id=") {
            Some(id) if !id.is_empty() => bundle.id = Some(id.to_owned()),
            _ if word == "update" => bundle.update = true,
            _ => return None,
        }
    }
    bundle.update &= bundle.id.is_some();
    Some((mime.to_owned(), bundle))
}

/// Where a protocol line may begin in an incomplete line.
fn possible_marker(tail: &[u8]) -> Option<usize> {
    let start = tail.len().saturating_sub(LONGEST_MARKER);
    (start..tail.len()).find(|&at| {
        let rest = &tail[at..];
        let length = rest.len().min(PREFIX.len());
        rest[..length] == PREFIX[..length]
    })
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Piece {
        Piece::Text(text.to_owned())
    }

    /// All pieces of an output that comes in chunks of `size` bytes, neighbouring text joined.
    fn read(output: &[u8], size: usize) -> Vec<Piece> {
        let mut reader = Reader::default();
        let mut pieces: Vec<Piece> =
            output.chunks(size).flat_map(|chunk| reader.push(chunk)).collect();
        let (rest, value) = reader.finish();
        pieces.extend(rest.into_iter().chain(value.map(Piece::Shown)));
        let mut joined: Vec<Piece> = Vec::new();
        for piece in pieces {
            match (joined.last_mut(), piece) {
                (Some(Piece::Text(before)), Piece::Text(after)) => before.push_str(&after),
                (_, piece) => joined.push(piece),
            }
        }
        joined
    }

    #[test]
    fn text_and_markers_come_apart_wherever_the_output_is_cut() {
        let output = b"one\nloading ... EVCXR_ERROR_AT:12:5\nEVCXR_ERROR_OCCURRED\n\
            EVCXR_BEGIN_CONTENT text/html display_id=bar\n<b>\nEVCXR_END_CONTENT\n\
            EVCXR_BEGIN_CONTENT text/plain display_id=bar\nb\n\nEVCXR_END_CONTENT\n\
            EVCXR_BEGIN_CONTENT text/plain display_id=bar update\nc\nEVCXR_END_CONTENT\n\
            EVCXR_VARIABLE_CHANGED_TYPE:dataset\nlast";
        let bundle = |data: &[(&str, &str)], update| {
            let data = data.iter().map(|(mime, text)| ((*mime).to_owned(), (*text).to_owned()));
            Piece::Shown(Bundle { data: data.collect(), id: Some("bar".to_owned()), update })
        };
        let expected = [
            text("one\nloading ... "),
            Piece::ErrorAt(12, 5),
            Piece::Error("EVCXR_ERROR_OCCURRED".to_owned()),
            bundle(&[("text/html", "<b>"), ("text/plain", "b\n")], false),
            bundle(&[("text/plain", "c")], true),
            Piece::ForEvcxr("EVCXR_VARIABLE_CHANGED_TYPE:dataset".to_owned()),
            text("last"),
        ];
        for size in [1, 2, 7, 64, 4096] {
            assert_eq!(read(output, size), expected, "in chunks of {size}");
        }
    }

    #[test]
    fn what_resembles_the_protocol_is_text() {
        for line in [
            "EVCXR_EXECUTION_COMPLETE\n",
            "EVCXR_END_CONTENT\n",
            "EVCXR_BEGIN_CONTENT nothing\n",
            "EVCXR_BEGIN_CONTENT text/html of a class\n",
            "EVCXR_PANIC_NOTIFICATION.\n",
            "EVCXR_ERROR_AT:12:five\n",
            "EVCXR_CLEAR_OUTPUT at once\n",
            "EVCXR_\n",
            "class 3: EVCXR_ERROR_OCCURRED, 12 images\n",
        ] {
            for size in [1, 5, 4096] {
                assert_eq!(read(line.as_bytes(), size), [text(line)]);
            }
        }
    }

    #[test]
    fn what_was_shown_is_removed_where_a_cell_asks_for_it() {
        let output = b"one\nEVCXR_CLEAR_OUTPUT\ntwo\nEVCXR_CLEAR_OUTPUT wait\n";
        let expected = [
            text("one\n"),
            Piece::Clear { wait: false },
            text("two\n"),
            Piece::Clear { wait: true },
        ];
        for size in [1, 9, 4096] {
            assert_eq!(read(output, size), expected);
        }
    }

    #[test]
    fn a_thing_to_show_that_never_ends_is_told_at_the_end_of_the_cell() {
        let begun = "EVCXR_BEGIN_CONTENT text/html\nhalf a table\n";
        assert_eq!(read(begun.as_bytes(), 9), [text(begun)]);
    }

    #[test]
    fn a_panic_ends_what_is_being_shown() {
        let output = b"EVCXR_BEGIN_CONTENT text/plain\nhalf\nEVCXR_PANIC_NOTIFICATION\n";
        let pieces = read(output, 4096);
        assert!(matches!(&pieces[..], [Piece::Shown(_), Piece::Panic(_)]), "{pieces:?}");
        let output =
            b"EVCXR_BEGIN_CONTENT text/plain\nhalf\nEVCXR_ERROR_AT:3:1\nEVCXR_PANIC_NOTIFICATION\n";
        let pieces = read(output, 4096);
        assert!(
            matches!(&pieces[..], [Piece::Shown(_), Piece::ErrorAt(3, 1), Piece::Panic(_)]),
            "{pieces:?}"
        );
    }

    #[test]
    fn the_beginning_of_a_line_is_told_at_once() {
        let mut reader = Reader::default();
        assert_eq!(reader.push(b"three words"), [text("three words")]);
        // What may become a marker waits for more.
        assert_eq!(reader.push(b" E"), [text(" ")]);
        assert_eq!(reader.push(b"VE\n"), [text("EVE\n")]);
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_and_half_a_character_waits() {
        assert_eq!(read(b"caf\xe9\n", 4096), [text("caf\u{fffd}\n")]);
        let mut reader = Reader::default();
        assert_eq!(reader.push("caf\u{e9}".as_bytes().split_at(4).0), [text("caf")]);
        assert_eq!(reader.push(b"\xa9!"), [text("\u{e9}!")]);
    }

    #[test]
    fn the_last_thing_shown_is_the_value_and_those_before_are_not() {
        let show =
            |text: &str| format!("EVCXR_BEGIN_CONTENT text/plain\n{text}\nEVCXR_END_CONTENT\n");
        let value = |output: &str| {
            let mut reader = Reader::default();
            let before = reader.push(output.as_bytes()).len();
            let (rest, value) = reader.finish();
            (before + rest.len(), value.map(|value| value.data["text/plain"].clone()))
        };
        assert_eq!(value(&(show("first") + &show("second"))), (1, Some("second".to_owned())));
        // What text follows was no value.
        assert_eq!(value(&(show("first") + "text")), (2, None));
    }

    #[test]
    fn things_of_one_name_but_of_one_kind_do_not_join() {
        let output = b"EVCXR_BEGIN_CONTENT text/plain\n1\nEVCXR_END_CONTENT\n\
            EVCXR_BEGIN_CONTENT text/plain\n2\nEVCXR_END_CONTENT\n";
        assert_eq!(read(output, 4096).len(), 2);
        let apart = b"EVCXR_BEGIN_CONTENT text/html\n1\nEVCXR_END_CONTENT\nand\n\
            EVCXR_BEGIN_CONTENT text/plain\n2\nEVCXR_END_CONTENT\n";
        assert_eq!(read(apart, 4096).len(), 3);
    }
}
