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
static ARROW: LazyLock<Regex> = LazyLock::new(|| regex(r"^\s*(?:-->|:::) (.*):(\d+):(\d+)$"));
static NUMBERED: LazyLock<Regex> = LazyLock::new(|| regex(r"^(\d+) *(.)"));
static UNNUMBERED: LazyLock<Regex> = LazyLock::new(|| regex(r"^ +(?:\||\.\.\.)"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern that a test has tried")
}

/// evcxr's own type for an error that leaves a cell through `?`.
const ERROR_TYPE: &str = "EvcxrUserCodeError";

/// The text without evcxr's own names.
pub(crate) fn without_internals(text: &str) -> String {
    text.replace(ERROR_TYPE, "CellError")
}

impl Diagnostic {
    /// Whether it refuses the error that a `?` hands out of the cell.
    pub(crate) fn is_of_question_mark(&self) -> bool {
        self.code == "E0277" && self.rendered.contains(ERROR_TYPE)
    }

    /// Whether this is the error that evcxr reports with `message`.
    pub(crate) fn is(&self, message: &str) -> bool {
        let plain = |text: &str| text.replace("`evcxr_variable_store`", "<end of input>");
        plain(&self.message) == message || self.notes.iter().any(|note| plain(note) == message)
    }

    /// The lines to show, and the first place in the notebook that they point to.
    pub(crate) fn show(&self, sources: &Sources) -> (Vec<String>, Option<Location>) {
        let mut lines = Vec::new();
        let mut first = None;
        // Most digits of a line number, in rustc's text and in the one shown.
        let (mut told_width, mut shown_width) = (1, 1);
        // True below a line of code that evcxr added: the markers under it would point at nothing.
        let mut skipping = false;
        for line in self.rendered.trim_end().lines() {
            let plain = COLOUR.replace_all(line, "");
            if plain.contains("long-type-") || plain.contains("consider using `--verbose`") {
                continue;
            }
            if let Some(arrow) = ARROW.captures(&plain) {
                skipping = false;
                let shown = match location_of(&arrow, sources) {
                    Some(location) => {
                        first.get_or_insert(location);
                        let Location { cell, position } = location;
                        format!("cell [{cell}], line {}, column {}", position.line, position.column)
                    }
                    None if is_evcxrs(&arrow[1]) => continue,
                    None => format!("{}:{}:{}", short_path(&arrow[1]), &arrow[2], &arrow[3]),
                };
                let told = format!("{}:{}:{}", &arrow[1], &arrow[2], &arrow[3]);
                lines.push(line.replacen(&told, &shown, 1));
            } else if let Some(numbered) = NUMBERED.captures(&plain) {
                let number = &numbered[1];
                let location = number.parse().ok().and_then(|number| sources.location(number, 1));
                let is_code = &numbered[2] == "|";
                skipping = location.is_none() && is_code;
                if !skipping {
                    // A line that rustc suggests to add above the cell has no number in it.
                    let shown = location
                        .map_or(String::new(), |location| location.position.line.to_string());
                    told_width = told_width.max(number.len());
                    shown_width = shown_width.max(shown.len());
                    // Colour codes hold digits too: split them off before the line number is replaced.
                    let (colours, rest) =
                        line.split_at(COLOURS.find(line).map_or(0, |found| found.end()));
                    lines.push(format!(
                        "{colours}{shown:<0$}{1}",
                        number.len(),
                        &rest[number.len()..]
                    ));
                }
            } else if !(skipping && UNNUMBERED.is_match(&plain)) {
                skipping = false;
                lines.push(line.replace("`evcxr_variable_store`", "<end of input>"));
            }
        }
        let surplus = told_width.saturating_sub(shown_width);
        (lines.iter().map(|line| without_blanks(line, surplus)).collect(), first)
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

/// Whether a path is that of the file that evcxr makes.
pub(crate) fn is_evcxrs(path: &str) -> bool {
    path == "src/lib.rs"
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
