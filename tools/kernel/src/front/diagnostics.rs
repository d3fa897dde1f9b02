//! rustc's own messages about a cell, with line numbers of the cell in place of those of evcxr's generated file.
//!
//! evcxr's version of a compile error holds less than rustc's. The stand-in for rustc (`toolchain`) keeps rustc's
//! output in a file of the session, and it is shown from there.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::locate::{Location, Sources};

/// Something that rustc found wrong.
#[derive(Debug)]
pub(crate) struct Diagnostic {
    pub(crate) message: String,
    pub(crate) code: String,
    /// As rustc prints it in a terminal, with colours.
    rendered: String,
    /// Texts of rustc's notes; evcxr sometimes shows one of them as the message.
    notes: Vec<String>,
}

/// The errors that rustc found in the last cell; empty if rustc did not run.
pub(crate) fn read(file: &Path) -> Vec<Diagnostic> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter_map(|json| read_one(&json))
        .collect()
}

fn read_one(json: &Value) -> Option<Diagnostic> {
    // cargo puts rustc's message inside one of its own.
    let json = if json["message"].is_object() { &json["message"] } else { json };
    let message = json["message"].as_str()?;
    if json["level"] != "error" || message.starts_with("aborting due to") {
        return None;
    }
    let children = json["children"].as_array().into_iter().flatten();
    Some(Diagnostic {
        message: message.to_owned(),
        code: json["code"]["code"].as_str().unwrap_or_default().to_owned(),
        rendered: json["rendered"].as_str()?.to_owned(),
        notes: children.filter_map(|child| child["message"].as_str().map(str::to_owned)).collect(),
    })
}

static COLOUR: LazyLock<Regex> = LazyLock::new(|| regex("\x1b\\[[0-9;]*m"));
static COLOURS: LazyLock<Regex> = LazyLock::new(|| regex("^(?:\x1b\\[[0-9;]*m)*"));
static COLOURS_AND_BLANKS: LazyLock<Regex> =
    LazyLock::new(|| regex("^((?:\x1b\\[[0-9;]*m)*) *((?:\x1b\\[[0-9;]*m)*)"));
static ARROW: LazyLock<Regex> = LazyLock::new(|| regex(r"^\s*(?:-->|:::) (.*):(\d+):(\d+)$"));
// rustc aligns numbers to the right.
static NUMBERED: LazyLock<Regex> = LazyLock::new(|| regex(r"^ *(\d+) +([|+~-])"));
static UNNUMBERED: LazyLock<Regex> = LazyLock::new(|| regex(r"^(?: +\||\.\.\.)"));
static BAR: LazyLock<Regex> = LazyLock::new(|| regex(r"^ *\|$"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern that a test has tried")
}

/// evcxr's own type for an error that leaves a cell through `?`.
const ERROR_TYPE: &str = "EvcxrUserCodeError";

/// The text without evcxr's own names. A cell's last statement without its `;` stands before a function of evcxr's.
pub(crate) fn without_internals(text: &str) -> String {
    text.replace(ERROR_TYPE, "CellError")
        .replace("expected `;`, found keyword `fn`", "expected `;`")
        .replace("*mut VariableStore", "<end of cell>")
}

impl Diagnostic {
    /// Whether it refuses the error that a `?` hands out of the cell.
    pub(crate) fn is_of_question_mark(&self) -> bool {
        self.code == "E0277" && self.rendered.contains(ERROR_TYPE)
    }

    /// Whether it refuses what a `return` hands out of the cell.
    pub(crate) fn is_of_return(&self) -> bool {
        self.code == "E0308"
            && (self.rendered.contains("VariableStore") || self.rendered.contains(ERROR_TYPE))
    }

    /// Whether rustc knows where the name that is missing could be imported from.
    pub(crate) fn offers_import(&self) -> bool {
        self.notes.iter().any(|note| note.starts_with("consider importing"))
    }

    /// Whether this is the error that evcxr reports with `message`.
    pub(crate) fn is(&self, message: &str) -> bool {
        let plain = |text: &str| text.replace("`evcxr_variable_store`", "<end of input>");
        plain(&self.message) == message || self.notes.iter().any(|note| plain(note) == message)
    }

    /// The lines to show, and the first place in the notebook that they point to.
    pub(crate) fn show(&self, sources: &Sources) -> (Vec<String>, Option<Location>) {
        let mut shown = Shown::default();
        for line in self.rendered.trim_end().lines() {
            shown.take(line, sources);
        }
        shown.finish()
    }
}

/// What is shown of rustc's lines so far.
#[derive(Default)]
struct Shown {
    lines: Vec<String>,
    first: Option<Location>,
    /// Most digits of a line number, in rustc's text and in the one shown.
    told_width: usize,
    shown_width: usize,
    /// True below a line of code that evcxr added: the markers under it would point at nothing.
    skipping: bool,
    /// True below the head of another file, whose lines keep their numbers.
    elsewhere: bool,
    /// The head that names a line of evcxr's, which may begin what holds the cell's value, and the index where it stood.
    /// It is shown once the value's place is known.
    head: Option<(usize, String)>,
    value: Option<ValueSpan>,
}

impl Shown {
    fn take(&mut self, line: &str, sources: &Sources) {
        let plain = COLOUR.replace_all(line, "");
        if plain.contains("long-type-") || plain.contains("consider using `--verbose`") {
            return;
        }
        if let Some(arrow) = ARROW.captures(&plain) {
            self.take_head(line, &arrow, sources);
        } else if let Some(numbered) = NUMBERED.captures(&plain) {
            self.take_code(line, &plain, &numbered, sources);
        } else if is_around_value(plain.trim_start_matches([' ', '|', '~'])) {
            // In a suggestion about the value.
        } else if let Some(value) = self.value.take_if(|_| ValueSpan::is_closed_by(&plain)) {
            self.lines.extend(value.markers(&plain, self.skipping));
            self.skipping = false;
        } else if let Some(value) = &self.value {
            self.lines.extend(value.within(&plain).filter(|_| !self.skipping));
        } else if self.skipping && ValueSpan::is_opened_by(&plain) {
            self.value = Some(ValueSpan::default());
        } else if !(self.skipping && UNNUMBERED.is_match(&plain)) {
            self.skipping = false;
            // A note or help without a head is about the cell's file.
            self.elsewhere &= !plain.starts_with(char::is_alphabetic);
            self.lines.push(line.replace("`evcxr_variable_store`", "<end of input>"));
        }
    }

    /// Takes a line that names a file.
    fn take_head(&mut self, line: &str, arrow: &regex::Captures, sources: &Sources) {
        (self.skipping, self.value) = (false, None);
        self.elsewhere = !is_evcxrs(&arrow[1]);
        let told = format!("{}:{}:{}", &arrow[1], &arrow[2], &arrow[3]);
        let shown = match location_of(arrow, sources) {
            Some(location) => {
                self.first.get_or_insert(location);
                location.in_words()
            }
            None if self.elsewhere => {
                format!("{}:{}:{}", short_path(&arrow[1]), &arrow[2], &arrow[3])
            }
            None => {
                self.head = Some((self.lines.len(), line.replacen(&told, EVCXRS_FILE, 1)));
                return;
            }
        };
        self.lines.push(line.replacen(&told, &shown, 1));
    }

    /// Takes a line of code.
    fn take_code(&mut self, line: &str, plain: &str, found: &regex::Captures, sources: &Sources) {
        let number = &found[1];
        let width = found.get(1).map_or(0, |number| number.end());
        self.told_width = self.told_width.max(width);
        if self.elsewhere {
            self.shown_width = self.shown_width.max(width);
            return self.lines.push(line.to_owned());
        }
        let column = |code: &str| code.chars().take_while(|c| c.is_whitespace()).count() + 1;
        let location =
            |column| number.parse().ok().and_then(|number| sources.location(number, column));
        if let Some(value) = &mut self.value {
            let code = ValueSpan::code(plain);
            let Some(location) = location(column(code)).filter(|_| !is_around_value(code)) else {
                self.skipping = true;
                return;
            };
            self.shown_width = self.shown_width.max(location.position.line.to_string().len());
            self.skipping = false;
            if let Some((index, head)) = self.head.take() {
                self.first.get_or_insert(location);
                self.lines.insert(index, head.replacen(EVCXRS_FILE, &location.in_words(), 1));
            }
            return self.lines.push(value.line(location.position.line, width, code));
        }
        // A line that rustc suggests to add above all code may be where another cell's import is.
        let location = location(1).filter(|at| &found[2] != "+" || sources.is_here(*at));
        let code = plain[found[0].len()..].trim();
        self.skipping = location.is_none() && (&found[2] == "|" || is_around_value(code));
        if self.skipping {
            if ValueSpan::is_begun_by(plain) {
                self.value = Some(ValueSpan::default());
            }
            return;
        }
        let shown = location.map_or(String::new(), |location| location.position.line.to_string());
        self.shown_width = self.shown_width.max(shown.len());
        // Colour codes hold digits too: split them off before the line number is replaced.
        let start = COLOURS_AND_BLANKS.captures(line).map_or(0, |found| found[0].len());
        let colours = COLOURS_AND_BLANKS.replace(&line[..start], "$1$2");
        self.lines.push(format!("{colours}{shown:>width$}{}", &line[start + number.len()..]));
    }

    fn finish(mut self) -> (Vec<String>, Option<Location>) {
        let is_empty = |line: &str| BAR.is_match(COLOUR.replace_all(line, "").trim_end());
        let is_help = |line: &str| COLOUR.replace_all(line, "").starts_with("help: ");
        // A suggestion about a line of evcxr's is without its code.
        while self.lines.pop_if(|line| is_empty(line)).is_some() {
            if !self.lines.last().is_some_and(|line| is_empty(line)) {
                self.lines.pop_if(|line| is_help(line));
            }
        }
        let surplus = self.told_width.saturating_sub(self.shown_width.max(1));
        (self.lines.iter().map(|line| without_blanks(line, surplus)).collect(), self.first)
    }
}

/// Whether evcxr adds such a line after a cell's value.
fn is_around_value(code: &str) -> bool {
    [")));", ").evcxr_display();"].contains(&code)
}

/// Code that begins and ends in lines that evcxr added, with the cell's value between them. rustc draws a bracket at its
/// side; shown is the value alone, with the marker under it.
#[derive(Default)]
struct ValueSpan {
    /// The lines of the value that are shown, and the width of their numbers.
    lines: usize,
    width: usize,
    /// The blanks before the value, and its length, if it is one line.
    only: Option<(usize, usize)>,
}

static OPENED: LazyLock<Regex> = LazyLock::new(|| regex(r"^ *\|  +_"));
static BEGUN: LazyLock<Regex> = LazyLock::new(|| regex(r"^ *\d+ +\| / "));
static CLOSED: LazyLock<Regex> = LazyLock::new(|| regex(r"^( *\|) \|_(_*)([\^|-])(.*)$"));
static WITHIN: LazyLock<Regex> = LazyLock::new(|| regex(r"^( *\|) \| ?(.*)$"));

impl ValueSpan {
    /// Whether the bracket begins in this line of markers, below the code.
    fn is_opened_by(plain: &str) -> bool {
        OPENED.is_match(plain)
    }

    /// Whether it begins in this line of code, with its first character.
    fn is_begun_by(plain: &str) -> bool {
        BEGUN.is_match(plain)
    }

    fn is_closed_by(plain: &str) -> bool {
        CLOSED.is_match(plain)
    }

    /// A line of code, without its number and the bracket.
    fn code(plain: &str) -> &str {
        let code = plain.split_once('|').map_or("", |(_, code)| code);
        let code = code.strip_prefix(" |").unwrap_or(code);
        code.strip_prefix(' ').unwrap_or(code)
    }

    /// A line of the value as it is shown.
    fn line(&mut self, number: usize, width: usize, code: &str) -> String {
        let text = code.trim();
        let blanks = code.chars().take_while(|c| c.is_whitespace()).count();
        self.lines += 1;
        self.only = (self.lines == 1).then_some((blanks, text.chars().count()));
        self.width = width;
        format!("\x1b[34m{number:>width$} |\x1b[0m {code}")
    }

    /// A line of markers under a part of the value, without the end of the bracket, which rustc draws below it if words
    /// are in its way.
    fn within(&self, plain: &str) -> Option<String> {
        let line = WITHIN.replace(plain, "\x1b[34m$1\x1b[0m $2").replace(" -^", "  ^");
        WITHIN.is_match(plain).then_some(line)
    }

    /// What is shown for the end of the bracket, where rustc says what is wrong: below the value, or, if the bracket ends
    /// in it, at the same column.
    fn markers(&self, plain: &str, is_behind: bool) -> Option<String> {
        let closed = CLOSED.captures(plain).filter(|_| self.lines > 0)?;
        let (end, rest) = (&closed[3], &closed[4]);
        let marker = match (is_behind, end) {
            (_, "|") => return None,
            (true, _) => {
                let (blanks, length) = self.only.unwrap_or((0, 1));
                format!("{}{} {}", " ".repeat(blanks), "^".repeat(length), rest.trim_start())
            }
            (false, _) => {
                // The end of what only leads to the place that the message is about.
                let end = if end == "-" && rest.starts_with('^') { " " } else { end };
                format!("{}{end}{rest}", " ".repeat(closed[2].len()))
            }
        };
        let bar = format!("{} |", " ".repeat(self.width));
        Some(format!("\x1b[34m{bar}\x1b[0m \x1b[31;1m{}\x1b[0m", marker.trim_end()))
    }
}

/// Removes up to `surplus` blanks before or right after the line's number.
fn without_blanks(line: &str, mut surplus: usize) -> String {
    let mut kept = String::with_capacity(line.len());
    let mut rest = line;
    loop {
        let colours = COLOURS.find(rest).map_or(0, |found| found.end());
        kept += &rest[..colours];
        rest = &rest[colours..];
        match rest.chars().next() {
            Some(' ') if surplus > 0 => surplus -= 1,
            Some(digit) if digit.is_ascii_digit() && surplus > 0 => kept.push(digit),
            _ => return kept + rest,
        }
        rest = &rest[1..];
    }
}

fn location_of(arrow: &regex::Captures, sources: &Sources) -> Option<Location> {
    let number = |at: usize| arrow[at].parse().ok();
    sources.location(number(2)?, number(3)?).filter(|_| is_evcxrs(&arrow[1]))
}

/// The file that evcxr makes.
pub(crate) const EVCXRS_FILE: &str = "src/lib.rs";

/// Whether a path is that of the file that evcxr makes.
pub(crate) fn is_evcxrs(path: &str) -> bool {
    path == EVCXRS_FILE
}

/// The part of a path that starts at the repository or at the crate.
pub(crate) fn short_path(path: &str) -> &str {
    let after = |mark: &str| path.split_once(mark).map(|(_, rest)| rest);
    let of_registry =
        after("/registry/src/").and_then(|rest| rest.split_once('/')).map(|(_, rest)| rest);
    of_registry
        .or_else(|| path.find("/helpers/src/").map(|at| &path[at + 1..]))
        .or_else(|| {
            after("/library/").filter(|_| path.contains("/rustlib/") || path.starts_with("/rustc/"))
        })
        .unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::notebook::Notebook;
    use super::*;

    fn diagnostic(rendered: &str) -> Diagnostic {
        let json = json!({"message": "cannot find value `x` in this scope", "level": "error",
            "code": {"code": "E0425"}, "rendered": rendered, "children": []});
        read_one(&json).unwrap()
    }

    #[test]
    fn lines_and_columns_are_the_cells_own() {
        let generated = "#![allow(unused)]\nfn run() {\nlet a = 1;\nlet b = x + a;\nstore(b);\n}";
        let rendered = "\x1b[1m\x1b[31merror[E0425]\x1b[0m: cannot find value `x` in this scope\n \
            \x1b[34m--> \x1b[0msrc/lib.rs:4:9\n  \x1b[34m|\x1b[0m\n\x1b[34m4\x1b[0m \x1b[34m|\x1b[0m let b = x + a;\n  \
            \x1b[34m|\x1b[0m         \x1b[31m^\x1b[0m not found\n\x1b[34m5\x1b[0m \x1b[34m|\x1b[0m store(b);\n  \
            \x1b[34m|\x1b[0m -------- kept here\n";
        let notebook = Notebook::default();
        let sources = Sources::new(generated, 7, "let a = 1;\nlet b = x + a;", &notebook);
        let (lines, location) = diagnostic(rendered).show(&sources);
        let plain: Vec<String> =
            lines.iter().map(|line| COLOUR.replace_all(line, "").into_owned()).collect();
        assert_eq!(
            plain,
            [
                "error[E0425]: cannot find value `x` in this scope",
                " --> cell [7], line 2, column 9",
                "  |",
                "2 | let b = x + a;",
                "  |         ^ not found",
            ]
        );
        assert_eq!(location.unwrap().position.line, 2);
        assert!(lines[0].starts_with("\x1b[1m\x1b[31merror"), "colours stay: {}", lines[0]);
    }

    /// What is shown of a message about a cell whose value is between evcxr's lines, without colours.
    fn shown_of_value(cell: &str, rendered: &str) -> (Vec<String>, Option<usize>) {
        let generated = format!("{}show(&(\n{cell}\n)));\n", "\n".repeat(98));
        let notebook = Notebook::default();
        let sources = Sources::new(&generated, 7, cell, &notebook);
        let (lines, location) = diagnostic(rendered).show(&sources);
        let plain = lines.iter().map(|line| COLOUR.replace_all(line, "").into_owned()).collect();
        (plain, location.map(|location| location.position.line))
    }

    #[test]
    fn a_value_is_shown_without_the_lines_around_it() {
        let rendered = "error: this will overflow\n   --> src/lib.rs:99:6\n    |\n 99 |   show(&(\n    |  ______^\n\
            100 | | small + 1\n101 | | )));\n    | |_^ attempt to compute `u8::MAX + 1`\n    |\n    = note: denied";
        let (lines, line) = shown_of_value("small + 1", rendered);
        assert_eq!(
            lines,
            [
                "error: this will overflow",
                " --> cell [7], line 1, column 1",
                "  |",
                "1 | small + 1",
                "  | ^^^^^^^^^ attempt to compute `u8::MAX + 1`",
                "  |",
                "  = note: denied",
            ]
        );
        assert_eq!(line, Some(1));
    }

    #[test]
    fn a_marker_in_a_value_stays_at_its_column() {
        let rendered = "error: no\n   --> src/lib.rs:100:7\n    |\n 99 |   show(&(\n    |  ______-\n100 | | small.nothing()\n    \
            | |______-^^^^^^^ not there\nhelp: try\n    |\n100 ~ small.other()\n101 ~ )));\n    |";
        let (lines, _) = shown_of_value("small.nothing()", rendered);
        assert_eq!(lines[1], " --> cell [7], line 1, column 7");
        assert_eq!(lines[3..5], ["1 | small.nothing()", "  |       ^^^^^^^ not there"]);
        assert_eq!(lines[5..], ["help: try", "  |", "1 ~ small.other()"]);
        // With words that are in the way of the bracket's end.
        let end = "| |______-^^^^^^^ not there";
        let below = "| |      -^^^^^^^ not there\n    | |______|\n    |";
        assert_eq!(shown_of_value("small.nothing()", &rendered.replace(end, below)).0[4], lines[4]);
    }

    #[test]
    fn a_value_of_several_lines_keeps_the_markers_in_it() {
        let rendered = "error: no\n   --> src/lib.rs:99:6\n    |\n 50 |   let a = load();\n    |       - first set here\n...\n\
             99 | / (\n100 | | if a {\n    | |    - found here\n101 | |     1\n102 | | }\n103 | | ).evcxr_display();\n    \
            | |_^ wrong\nhelp: consider this\n    |\n 50 | let mut a = load();\n    |     +++\n";
        let generated = format!("{}(\nif a {{\n    1\n}}\n).evcxr_display();\n", "\n".repeat(98));
        let notebook = Notebook::default();
        let sources = Sources::new(&generated, 7, "if a {\n    1\n}", &notebook);
        let (lines, _) = diagnostic(rendered).show(&sources);
        let plain: Vec<_> = lines.iter().map(|line| COLOUR.replace_all(line, "")).collect();
        assert_eq!(
            plain,
            [
                "error: no",
                " --> cell [7], line 1, column 1",
                "  |",
                "1 | if a {",
                "  |    - found here",
                "2 |     1",
                "3 | }",
                "  | ^ wrong",
            ]
        );
    }

    #[test]
    fn numbers_of_other_files_stay() {
        let rendered = "error: no\n    --> src/lib.rs:100:1\n     |\n 100 | small + 1\n     | ^\nnote: here\n    --> \
            /rustc/5/library/core/src/num.rs:2051:1\n     |\n  99 | fn first()\n...\n2051 | fn second()\nhelp: try\n     |\n \
            100 + small\n     |  ~ )));";
        let (lines, _) = shown_of_value("small + 1", rendered);
        assert_eq!(lines[1], "    --> cell [7], line 1, column 1");
        assert_eq!(lines[3], "   1 | small + 1");
        assert_eq!(lines[6], "    --> core/src/num.rs:2051:1");
        assert_eq!(lines[8..11], ["  99 | fn first()", "...", "2051 | fn second()"]);
        assert_eq!(lines[13..], ["   1 + small"]);
    }

    #[test]
    fn a_line_to_add_has_no_number() {
        let rendered = "error: no\n  --> src/lib.rs:12:1\n   |\n12 | map.len();\n   | ^^^\nhelp: consider importing\n   |\n\
            2  + use std::collections::HashMap;\n   |";
        let generated = "\n".repeat(11) + "map.len();";
        let notebook = Notebook::default();
        let sources = Sources::new(&generated, 1, "map.len();", &notebook);
        let (lines, _) = diagnostic(rendered).show(&sources);
        assert_eq!(lines[1], " --> cell [1], line 1, column 1");
        assert_eq!(lines[3], "1 | map.len();");
        assert!(lines.contains(&"  + use std::collections::HashMap;".to_owned()), "{lines:?}");
    }

    #[test]
    fn paths_are_told_from_the_crate_on() {
        assert_eq!(
            short_path("/home/x/.cargo/registry/src/index-1/tch-0.26/src/a.rs"),
            "tch-0.26/src/a.rs"
        );
        assert_eq!(short_path("/home/me/helpers/src/data/npy.rs"), "helpers/src/data/npy.rs");
        assert_eq!(short_path("/rustc/59807616e/library/core/src/option.rs"), "core/src/option.rs");
    }
}
