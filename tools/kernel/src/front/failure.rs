//! Why a cell failed, for people and for programs: an error name, a sentence, and a traceback with places in the
//! notebook.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::diagnostics::{self, Diagnostic, is_evcxrs, short_path, without_internals};
use super::locate::{Location, Sources};
use super::names::Names;
use super::notebook::Notebook;
use super::source::{Problem, place_of};
use super::teach::{self, Asked};

const LOST: &str = "all variables are lost with it: run the cells above once more";
/// Signals with a text of their own: the common ways in which a process dies.
const SIGNALS: [(i32, &str, &str); 6] = [
    (libc::SIGABRT, "Aborted", "it aborted (signal 6)"),
    (
        libc::SIGSEGV,
        "SegmentationFault",
        "a segmentation fault (signal 11), which safe Rust does not have",
    ),
    (libc::SIGBUS, "BusError", "a bus error (signal 7)"),
    (
        libc::SIGILL,
        "IllegalInstruction",
        "an instruction that this processor does not know (signal 4)",
    ),
    (libc::SIGFPE, "ArithmeticError", "an arithmetic exception (signal 8)"),
    (libc::SIGKILL, "Killed", "it was killed (signal 9), most likely because the memory was full"),
];

/// All that is known of how a cell ended.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What the panic wrote, and where the statement that led to it begins in evcxr's file.
    pub(crate) panicked: Option<(String, Option<(usize, usize)>)>,
    /// The error's text, and where the `?` stands in evcxr's file.
    pub(crate) returned: Option<(String, Option<(usize, usize)>)>,
    pub(crate) unloadable: Option<String>,
    /// The exit code or signal of the process that ran the cells.
    pub(crate) exited: Option<(Option<i32>, Option<i32>)>,
    /// Contents of the `error` messages that evcxr sent.
    pub(crate) errors: Vec<Value>,
    /// evcxr says that the cell failed.
    pub(crate) refused: bool,
    pub(crate) interrupted: bool,
    /// The cell asked for input, and the client allows no questions.
    pub(crate) asked_in_vain: bool,
    /// evcxr itself is gone.
    pub(crate) without_evcxr: bool,
    pub(crate) last_error: String,
}

/// What an `error` message holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) traceback: Vec<String>,
}

/// What a failure is explained with, and its places are looked up in.
pub(crate) struct Evidence<'a> {
    pub(crate) number: i64,
    pub(crate) code: &'a str,
    /// The source file that evcxr generated from the cell.
    pub(crate) generated: &'a str,
    /// The file with rustc's messages about it.
    pub(crate) diagnostics: &'a Path,
    pub(crate) notebook: &'a Notebook,
    /// The names in helpers; needed for a cell that does not compile.
    pub(crate) names: Option<&'a Names>,
}

impl Failure {
    pub(crate) fn new(name: &str, text: impl Into<String>) -> Failure {
        let text = text.into();
        let traceback = with_name(name, &text);
        Failure { name: name.to_owned(), text, traceback }
    }

    pub(crate) fn content(&self) -> Value {
        json!({ "ename": self.name, "evalue": self.text, "traceback": self.traceback })
    }

    /// For a cell that was interrupted before it ran.
    pub(crate) fn interrupted_before() -> Failure {
        Failure::new(
            "Interrupted",
            "the cell was interrupted before it ran; all variables are as they were",
        )
    }

    /// A cell whose brackets do not fit.
    pub(crate) fn of_shape(problem: &Problem, number: i64, code: &str) -> Failure {
        let at = problem.at;
        let line = code.lines().nth(at.line - 1).unwrap_or_default();
        let width = at.line.to_string().len();
        let blank = " ".repeat(width);
        let mut failure =
            Failure::new("SyntaxError", format!("{} (line {})", problem.message, at.line));
        failure.traceback = vec![
            format!("\x1b[31;1merror\x1b[0m: {}", problem.message),
            format!(
                "{blank}\x1b[34m-->\x1b[0m cell [{number}], line {}, column {}",
                at.line, at.column
            ),
            format!("\x1b[34m{} |\x1b[0m {line}", at.line),
            format!("\x1b[34m{blank} |\x1b[0m {}\x1b[31m^\x1b[0m", " ".repeat(at.column - 1)),
        ];
        failure
    }

    /// Why the cell failed; nothing if it went well.
    pub(crate) fn of(outcome: &Outcome, evidence: &Evidence) -> Option<Failure> {
        if outcome.without_evcxr {
            return Some(Failure::new(
                "DeadKernel",
                format!("evcxr, which compiles the cells, has ended, and is started again; {LOST}"),
            ));
        }
        if let Some((code, signal)) = outcome.exited {
            return Some(of_exit(code, signal, outcome));
        }
        if outcome.asked_in_vain {
            return Some(Failure::new(
                "StdinNotImplementedError",
                "the cell reads from standard input, and whoever runs it answers no questions; it was given an end of input",
            ));
        }
        if let Some((message, at)) = &outcome.panicked {
            return Some(of_panic(message, *at, evidence));
        }
        if let Some((message, at)) = &outcome.returned {
            let name = if outcome.interrupted { "Interrupted" } else { "Error" };
            let text = match message.trim_end() {
                "" => last_lines(&outcome.last_error),
                text => text.to_owned(),
            };
            let mut failure = Failure::new(name, text);
            let location = at.and_then(|(line, column)| sources(evidence).location(line, column));
            let lines = location.map(|location| with_line(location, evidence)).unwrap_or_default();
            failure.traceback.splice(0..0, lines);
            return Some(failure);
        }
        if let Some(message) = &outcome.unloadable {
            let text =
                format!("the cell cannot be loaded: {message}; all variables are as they were");
            return Some(Failure::new("LoadError", text));
        }
        if outcome.refused {
            return Some(of_compiling(&outcome.errors, evidence));
        }
        let text =
            "the cell came to its end when it was interrupted; all variables are as it left them";
        outcome.interrupted.then(|| Failure::new("Interrupted", text))
    }
}

fn of_exit(code: Option<i32>, signal: Option<i32>, outcome: &Outcome) -> Failure {
    if outcome.interrupted {
        let text = format!(
            "the cell does not listen to interrupts, so the process that runs cells was ended, and {LOST}"
        );
        return Failure::new("Interrupted", text);
    }
    if outcome.last_error.contains("memory allocation of ") {
        let text =
            format!("there is not so much memory: {}; {LOST}", last_lines(&outcome.last_error));
        return Failure::new("OutOfMemory", text);
    }
    if outcome.last_error.contains("has overflowed its stack") {
        let text = format!(
            "the stack overflowed, as it does when a function calls itself without end; {LOST}"
        );
        return Failure::new("StackOverflow", text);
    }
    let known = signal.and_then(|signal| SIGNALS.iter().find(|(number, ..)| *number == signal));
    let (name, how) = match (known, signal, code) {
        (Some((_, name, how)), ..) => (*name, (*how).to_owned()),
        (None, Some(signal), _) => ("Ended", format!("signal {signal}")),
        (None, None, code) => ("Exited", format!("exit code {}", code.unwrap_or_default())),
    };
    Failure::new(name, format!("the cell ended the process that runs cells: {how}; {LOST}"))
}

static PANIC: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s*thread '[^\n]*' (?:\(\d+\) )?panicked at ([^\n]*?):(\d+):(\d+):\n")
        .expect("a pattern that a test has tried")
});

fn of_panic(message: &str, at: Option<(usize, usize)>, evidence: &Evidence) -> Failure {
    let found = PANIC.captures(message);
    let text = &message[found.as_ref().map_or(0, |found| found[0].len())..];
    let is_hint = |line: &str| line.starts_with("note: run with `RUST_BACKTRACE");
    let text: Vec<&str> = text.lines().filter(|line| !is_hint(line)).collect();
    let text = text.join("\n").trim().to_owned();
    let mut failure =
        Failure::new("Panic", if text.is_empty() { "the cell panicked" } else { &text });
    // The place comes before the message: as in Python, the last line matters most, and some programs show no other.
    let sources = sources(evidence);
    let own = found.as_ref().filter(|found| is_evcxrs(&found[1])).and_then(|found| {
        sources.location(found[2].parse().unwrap_or(0), found[3].parse().unwrap_or(0))
    });
    // A panic in helpers or the standard library is told at the statement of the cell that led to it.
    let location = own.or_else(|| sources.statement(at?.0));
    let place = match (location, found) {
        (Some(location), _) => with_line(location, evidence),
        (None, Some(found)) if !is_evcxrs(&found[1]) => {
            vec![format!("  at {}:{}:{}", short_path(&found[1]), &found[2], &found[3])]
        }
        _ => vec![],
    };
    failure.traceback.splice(0..0, place);
    failure
}

fn sources<'a>(evidence: &Evidence<'a>) -> Sources<'a> {
    Sources::new(evidence.generated, evidence.number, evidence.code, evidence.notebook)
}

/// A location, with its line of code.
fn with_line(location: Location, evidence: &Evidence) -> Vec<String> {
    let Location { cell, position } = location;
    let earlier =
        evidence.notebook.latest().find(|ran| ran.number == cell).map(|ran| ran.code.as_str());
    let code = if cell == evidence.number { evidence.code } else { earlier.unwrap_or_default() };
    let line = code.lines().nth(position.line - 1).unwrap_or_default();
    let blank = " ".repeat(position.line.to_string().len());
    vec![
        format!("{blank}\x1b[34m-->\x1b[0m {}", location.in_words()),
        format!("\x1b[34m{} |\x1b[0m {line}", position.line),
    ]
}

fn of_compiling(errors: &[Value], evidence: &Evidence) -> Failure {
    let sources = sources(evidence);
    let mut diagnostics = diagnostics::read(evidence.diagnostics);
    let mut texts: Vec<String> = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    let mut traceback: Vec<String> = Vec::new();
    for error in errors {
        let message = error["evalue"].as_str().unwrap_or_default();
        // Two errors may have the same message, so each diagnostic is used once.
        let at = diagnostics.iter().position(|diagnostic| diagnostic.is(message));
        let diagnostic = at.map(|at| diagnostics.remove(at));
        let reworded = teach::reworded(message);
        let (lines, location) = match (&diagnostic, &reworded) {
            (Some(diagnostic), _) => diagnostic.show(&sources),
            (None, Some((name, sentence))) => at_variable(name, sentence, evidence),
            (None, None) => (in_evcxrs_words(error, evidence.number), None),
        };
        if traceback.windows(lines.len().max(1)).any(|shown| shown == lines) {
            continue;
        }
        let told = reworded.as_ref().map_or(message, |(_, sentence)| sentence);
        texts.push(match location {
            Some(location) if location.cell == evidence.number => {
                format!("{told} (line {})", location.position.line)
            }
            Some(Location { cell, position }) => {
                format!("{told} (cell [{cell}], line {})", position.line)
            }
            None => told.to_owned(),
        });
        let hint = hint(message, diagnostic.as_ref(), evidence);
        hints.extend(hint.filter(|hint| !hints.contains(hint)));
        if !traceback.is_empty() {
            traceback.push(String::new());
        }
        traceback.extend(lines);
    }
    for hint in &hints {
        traceback.push(String::new());
        traceback.push(format!("\x1b[36;1mhelp\x1b[0m: {hint}"));
    }
    let first = texts.first().map_or("the cell cannot be compiled", String::as_str);
    let text = match texts.len() {
        0 | 1 => first.to_owned(),
        count => format!("{first}, and {} more", count - 1),
    };
    let text = hints.first().map_or(text.clone(), |hint| format!("{text}: {hint}"));
    let traceback = traceback.iter().map(|line| without_internals(line)).collect();
    Failure { name: "CompileError".to_owned(), text: without_internals(&text), traceback }
}

fn hint(message: &str, diagnostic: Option<&Diagnostic>, evidence: &Evidence) -> Option<String> {
    if diagnostic.is_some_and(Diagnostic::is_of_question_mark) {
        return Some(teach::WITHOUT_TEXT.to_owned());
    }
    if diagnostic.is_some_and(Diagnostic::is_of_return) {
        return Some(teach::RETURN.to_owned());
    }
    teach::hint(&Asked {
        message,
        code: diagnostic.map_or("", |diagnostic| &diagnostic.code),
        is_importable: diagnostic.is_some_and(Diagnostic::offers_import),
        cell: evidence.code,
        notebook: evidence.notebook,
        names: evidence.names,
    })
}

/// A sentence about a variable of the cell, with the place where it is declared.
fn at_variable(name: &str, sentence: &str, evidence: &Evidence) -> (Vec<String>, Option<Location>) {
    let mut lines = with_name("error", sentence);
    let location =
        place_of(evidence.code, name).map(|position| Location { cell: evidence.number, position });
    lines.extend(location.into_iter().flat_map(|location| with_line(location, evidence)));
    (lines, location)
}

/// Lines for an error that has no diagnostic of rustc: evcxr found it itself, or reworded it.
fn in_evcxrs_words(error: &Value, number: i64) -> Vec<String> {
    let message = error["evalue"].as_str().unwrap_or_default();
    let mut lines = with_name("error", message);
    let traceback = error["traceback"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let traceback: Vec<&str> = traceback.collect();
    // evcxr's own report gives the place as `command_N`, where N is its own count of cells.
    static COMMAND: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"command_\d+:(\d+):(\d+)").expect("a pattern that a test has tried")
    });
    if let Some(found) = traceback.iter().find_map(|line| COMMAND.captures(line)) {
        lines.push(format!(
            " \x1b[34m-->\x1b[0m cell [{number}], line {}, column {}",
            &found[1], &found[2]
        ));
    }
    lines
}

fn with_name(name: &str, text: &str) -> Vec<String> {
    format!("\x1b[31;1m{name}\x1b[0m: {text}").lines().map(str::to_owned).collect()
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    match lines.len() {
        0 => "the cell returned an error without a text".to_owned(),
        count => lines[count.saturating_sub(3)..].join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::{Shape, shape};
    use super::*;

    const GENERATED: &str = "#![allow(unused)]\nfn run() {\nlet x = load();\nx[3]\n}";

    fn failure(outcome: Outcome) -> Option<Failure> {
        let notebook = Notebook::default();
        let evidence = Evidence {
            number: 5,
            code: "let x = load();\nx[3]",
            generated: GENERATED,
            diagnostics: Path::new("/nowhere"),
            notebook: &notebook,
            names: None,
        };
        Failure::of(&outcome, &evidence)
    }

    #[test]
    fn a_panic_tells_the_line_of_the_cell() {
        let message = "\nthread '<unnamed>' (12) panicked at src/lib.rs:4:1:\nindex out of bounds\n\
            note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        let failure =
            failure(Outcome { panicked: Some((message.to_owned(), None)), ..Outcome::default() })
                .unwrap();
        assert_eq!(
            (failure.name.as_str(), failure.text.as_str()),
            ("Panic", "index out of bounds")
        );
        let traceback = failure.traceback.join("\n");
        assert!(traceback.contains("cell [5], line 2, column 1"), "{traceback}");
        assert!(traceback.contains("x[3]") && !traceback.contains("lib.rs"), "{traceback}");
        assert!(traceback.ends_with("Panic\x1b[0m: index out of bounds"), "{traceback}");
    }

    #[test]
    fn a_panic_elsewhere_tells_the_line_of_the_cell_that_led_to_it() {
        for file in ["/home/x/helpers/src/lib.rs", "/rustc/1f/library/core/src/time.rs"] {
            let message = format!("thread 'main' panicked at {file}:4:1:\nno images\nat all\n");
            let panicked = Some((message.clone(), Some((3, 1))));
            let told = failure(Outcome { panicked, ..Outcome::default() }).unwrap();
            assert_eq!(told.text, "no images\nat all");
            let traceback = told.traceback.join("\n");
            assert!(traceback.contains("cell [5], line 1, column 1"), "{traceback}");
            assert!(
                traceback.contains("let x = load();") && !traceback.contains(".rs"),
                "{traceback}"
            );
            // Where no statement is known, as in a cell that cargo has compiled, any place is better than none.
            let panicked = Some((message, None));
            let told = failure(Outcome { panicked, ..Outcome::default() }).unwrap();
            assert_eq!(told.traceback[0], format!("  at {}:4:1", short_path(file)));
        }
    }

    #[test]
    fn how_the_process_ended_is_said_in_words() {
        let of = |code, signal, last_error: &str| {
            let exited = Some((code, signal));
            failure(Outcome { exited, last_error: last_error.to_owned(), ..Outcome::default() })
                .unwrap()
        };
        assert_eq!(of(Some(0), None, "").name, "Exited");
        assert_eq!(of(None, Some(libc::SIGABRT), "").name, "Aborted");
        assert_eq!(
            of(None, Some(libc::SIGABRT), "thread 'main' has overflowed its stack\n").name,
            "StackOverflow"
        );
        let full =
            of(None, Some(libc::SIGABRT), "memory allocation of 70368744177664 bytes failed\n");
        assert_eq!(full.name, "OutOfMemory");
        assert!(full.text.contains("of 70368744177664 bytes failed; all variables"), "{full:?}");
        let killed = of(None, Some(libc::SIGKILL), "");
        assert!(
            killed.text.contains("memory was full") && killed.text.contains("variables are lost")
        );
        let exited = Some((None, Some(libc::SIGINT)));
        let interrupted =
            failure(Outcome { exited, interrupted: true, ..Outcome::default() }).unwrap();
        assert_eq!(interrupted.name, "Interrupted");
        assert!(interrupted.text.contains("does not listen"));
    }

    #[test]
    fn a_good_cell_has_no_failure() {
        assert_eq!(failure(Outcome::default()), None);
    }

    #[test]
    fn an_error_that_came_without_its_text_is_what_was_written_last() {
        let outcome = Outcome {
            returned: Some((String::new(), None)),
            last_error: "one\ngone\n".to_owned(),
            ..Outcome::default()
        };
        assert_eq!(failure(outcome).unwrap().text, "one\ngone");
    }

    #[test]
    fn a_returned_error_tells_the_line_of_the_cell() {
        let returned = Some(("no such file".to_owned(), Some((4, 1))));
        let traceback =
            failure(Outcome { returned, ..Outcome::default() }).unwrap().traceback.join("\n");
        assert!(traceback.contains("cell [5], line 2, column 1"), "{traceback}");
        assert!(traceback.ends_with("no such file"), "{traceback}");
    }

    #[test]
    fn an_error_without_a_text_is_told_to_have_one() {
        let message = "`()` doesn't implement `std::fmt::Display`";
        let rendered = format!(
            "error[E0277]: {message}\n --> src/lib.rs:4:1\n  |\n4 | x[3]\n  | ^^^^\n  = note: required for \
             `EvcxrUserCodeError` to implement `From<()>`\n"
        );
        let said = json!({"message": message, "level": "error", "code": {"code": "E0277"},
            "rendered": rendered, "children": []});
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), said.to_string()).unwrap();
        let notebook = Notebook::default();
        let evidence = Evidence {
            number: 5,
            code: "let x = load();\nx[3]",
            generated: GENERATED,
            diagnostics: file.path(),
            notebook: &notebook,
            names: None,
        };
        let errors = vec![json!({ "evalue": message })];
        let outcome = Outcome { refused: true, errors, ..Outcome::default() };
        let failure = Failure::of(&outcome, &evidence).unwrap();
        assert!(failure.text.contains("(line 2): an error that leaves a cell"), "{}", failure.text);
        let traceback = failure.traceback.join("\n");
        assert!(!traceback.contains("Evcxr") && traceback.contains("`CellError`"), "{traceback}");
    }

    #[test]
    fn a_bracket_is_shown_where_it_is() {
        let code = "let é = 1;\nprintln!(\"{é}\";";
        let Shape::Open { problem: Some(problem), .. } = shape(code) else { panic!() };
        let failure = Failure::of_shape(&problem, 3, code);
        assert_eq!(failure.name, "SyntaxError");
        let traceback = failure.traceback.join("\n");
        assert!(traceback.contains("cell [3], line 2, column 9"), "{traceback}");
        assert!(traceback.ends_with("        \x1b[31m^\x1b[0m"), "{traceback}");
    }
}
