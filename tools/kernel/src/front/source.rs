//! A cell's code, as far as a kernel has to read it itself: where its Rust begins, its brackets, its names.

use ra_ap_rustc_lexer::{FrontmatterAllowed, LiteralKind, TokenKind, tokenize};

/// One level of indentation.
const INDENT: usize = 4;

/// A token: its kind, where it begins in the code, and its text.
pub(crate) type Token<'a> = (TokenKind, usize, &'a str);

/// The line and column of a place in a cell, both counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Position {
    pub(crate) fn of(code: &str, byte: usize) -> Position {
        let before = &code[..byte];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// Whether a cell's brackets, strings and comments are complete.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Whole,
    /// Something is still open, or the last line goes on; `indent` is the indentation of the next line.
    Open {
        indent: usize,
        problem: Option<Problem>,
    },
    /// An error that no further line can repair.
    Wrong(Problem),
}

/// What is wrong with a cell's brackets, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) message: String,
    pub(crate) at: Position,
}

/// The byte where the Rust in a cell begins. evcxr reads lines that start with `:` or `!` itself, up to the first line
/// that is something else, other than a comment or an empty line.
pub(crate) fn rust_start(code: &str) -> usize {
    let mut start = 0;
    for line in code.split_inclusive('\n') {
        let text = line.trim_end();
        let own = text.is_empty()
            || text.starts_with('!')
            || text.starts_with("//")
            || text.trim_start_matches(' ').starts_with(':');
        if !own {
            break;
        }
        start += line.len();
    }
    start
}

/// The tokens of the Rust in a cell, without blanks and comments.
pub(crate) fn tokens(code: &str) -> impl Iterator<Item = Token<'_>> {
    all_tokens(code).filter(|(kind, _, _)| !is_trivia(*kind))
}

fn all_tokens(code: &str) -> impl Iterator<Item = Token<'_>> {
    let mut at = rust_start(code);
    tokenize(&code[at..], FrontmatterAllowed::No).map(move |token| {
        let start = at;
        at += token.len as usize;
        (token.kind, start, &code[start..at])
    })
}

fn is_trivia(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::Whitespace | TokenKind::LineComment { .. } | TokenKind::BlockComment { .. }
    )
}

/// Reads brackets, strings and comments.
pub(crate) fn shape(code: &str) -> Shape {
    let mut open: Vec<(usize, &str)> = Vec::new();
    let mut last = None;
    for (kind, start, text) in all_tokens(code) {
        if let Some(what) = unfinished(kind) {
            let message = format!("{what} begins here and never ends");
            let problem = Some(Problem { message, at: Position::of(code, start) });
            return Shape::Open { indent: 0, problem };
        }
        let opening = match kind {
            TokenKind::OpenParen | TokenKind::OpenBrace | TokenKind::OpenBracket => {
                open.push((start, text));
                continue;
            }
            TokenKind::CloseParen => "(",
            TokenKind::CloseBrace => "{",
            TokenKind::CloseBracket => "[",
            _ if is_trivia(kind) => continue,
            _ => {
                last = Some(kind);
                continue;
            }
        };
        last = None;
        let at = Position::of(code, start);
        match open.pop() {
            Some((_, other)) if other == opening => {}
            Some((opened, other)) => {
                let line = Position::of(code, opened).line;
                let message = format!("`{text}` here does not close the `{other}` of line {line}");
                return Shape::Wrong(Problem { message, at });
            }
            None => {
                return Shape::Wrong(Problem {
                    message: format!("`{text}` here closes nothing"),
                    at,
                });
            }
        }
    }
    if let Some(&(start, bracket)) = open.last() {
        let problem = Problem {
            message: format!("`{bracket}` is opened here and never closed"),
            at: Position::of(code, start),
        };
        return Shape::Open { indent: open.len() * INDENT, problem: Some(problem) };
    }
    if last.is_some_and(goes_on) {
        return Shape::Open { indent: INDENT, problem: None };
    }
    Shape::Whole
}

/// The kind of a token that begins and never ends.
fn unfinished(kind: TokenKind) -> Option<&'static str> {
    let TokenKind::Literal { kind, .. } = kind else {
        let comment = matches!(kind, TokenKind::BlockComment { terminated: false, .. });
        return comment.then_some("a comment");
    };
    let is_string = matches!(
        kind,
        LiteralKind::Str { terminated: false }
            | LiteralKind::ByteStr { terminated: false }
            | LiteralKind::CStr { terminated: false }
            | LiteralKind::RawStr { n_hashes: None }
            | LiteralKind::RawByteStr { n_hashes: None }
            | LiteralKind::RawCStr { n_hashes: None }
    );
    is_string.then_some("a string")
}

/// Whether code cannot end with this token.
fn goes_on(last: TokenKind) -> bool {
    use TokenKind::{And, Comma, Dot, Eq, Lt, Minus, Or, Plus, Slash, Star};
    matches!(last, And | Comma | Dot | Eq | Lt | Minus | Or | Plus | Slash | Star)
}

/// Whether a name occurs in a cell.
pub(crate) fn mentions(code: &str, name: &str) -> bool {
    tokens(code).any(|(kind, _, text)| kind == TokenKind::Ident && text == name)
        // Also in a format string: `{name}` or `{name:…}`.
        || tokens(code).any(|(kind, _, text)| {
            matches!(kind, TokenKind::Literal { .. })
                && [format!("{{{name}}}"), format!("{{{name}:")].iter().any(|word| text.contains(word))
        })
}

/// The variables that a cell declares by `let`, outside of any block.
pub(crate) fn declared(code: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut depth = 0usize;
    let mut in_pattern = false;
    let mut before = (TokenKind::Semi, "");
    for (kind, _, text) in tokens(code) {
        // In `if let` and `while let`: these names belong to the block.
        let in_condition =
            matches!(before, (TokenKind::Ident, "if" | "while") | (TokenKind::And, _));
        before = (kind, text);
        match kind {
            TokenKind::OpenBrace if !in_pattern => depth += 1,
            TokenKind::CloseBrace if !in_pattern => depth = depth.saturating_sub(1),
            TokenKind::Ident if text == "let" => in_pattern = depth == 0 && !in_condition,
            TokenKind::Eq | TokenKind::Semi | TokenKind::Colon => in_pattern = false,
            TokenKind::Ident if in_pattern && text != "mut" => names.push(text),
            _ => {}
        }
    }
    names
}

/// Whether a cell declares this variable.
pub(crate) fn declares(code: &str, name: &str) -> bool {
    declared(code).contains(&name)
}

/// Whether a cell defines a function, type or the like of this name.
pub(crate) fn defines(code: &str, name: &str) -> bool {
    const WORDS: [&str; 8] = ["fn", "struct", "enum", "trait", "type", "mod", "const", "static"];
    let is_ident = |(kind, _, text): Token, word: &str| kind == TokenKind::Ident && text == word;
    tokens(code)
        .zip(tokens(code).skip(1))
        .any(|(one, two)| is_ident(two, name) && WORDS.iter().any(|word| is_ident(one, word)))
}

/// Where a cell declares this variable, for the last time.
pub(crate) fn place_of(code: &str, name: &str) -> Option<Position> {
    let declared = declared(code).into_iter().rfind(|declared| *declared == name)?;
    // A name is a part of the code.
    Some(Position::of(code, declared.as_ptr().addr() - code.as_ptr().addr()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indent(code: &str) -> Option<usize> {
        match shape(code) {
            Shape::Open { indent, .. } => Some(indent),
            _ => None,
        }
    }

    #[test]
    fn whole_cells_are_whole() {
        for code in [
            "",
            "let x = 1;",
            "let s = \"an ( in a string\"; // and ) in a comment",
            "/* a { and /* another */ */ let c = '(';",
            "let r = r#\"a \" and a (\"#;",
            "fn first<'a>(x: &'a [u8]) -> &'a u8 { &x[0] }",
            "let b = b\"(\"; let c = c\"[\"; let d = b'{';",
            ":dep helpers = { path = \"../helpers\" }\nuse helpers::prelude::*;",
            ":dep half = \"{",
            "!echo '('\n1",
        ] {
            assert_eq!(shape(code), Shape::Whole, "{code}");
        }
    }

    #[test]
    fn open_cells_ask_for_more() {
        assert_eq!(indent("for x in 0..3 {"), Some(4));
        assert_eq!(indent("for x in 0..3 {\n    if x == 1 {"), Some(8));
        assert_eq!(indent("let x = "), Some(4));
        assert_eq!(indent("let s = \"one"), Some(0));
        assert_eq!(indent("/* one"), Some(0));
        assert_eq!(indent("let r = r#\"one\""), Some(0));
    }

    #[test]
    fn the_line_of_a_bracket_is_told() {
        let Shape::Wrong(problem) = shape("let x = (1;\nlet y = [2);") else { panic!() };
        assert_eq!(problem.message, "`)` here does not close the `[` of line 2");
        assert_eq!(problem.at, Position { line: 2, column: 11 });
        let Shape::Wrong(problem) = shape("let é = 1; }") else { panic!() };
        assert_eq!((problem.message.as_str(), problem.at.column), ("`}` here closes nothing", 12));
        let Shape::Open { problem: Some(problem), .. } = shape("let a = 1;\nprintln!(\"{a}\";")
        else {
            panic!()
        };
        assert_eq!(problem.message, "`(` is opened here and never closed");
        assert_eq!(problem.at, Position { line: 2, column: 9 });
    }

    #[test]
    fn names_are_found_as_names() {
        assert!(mentions("println!(\"{}\", dataset.len())", "dataset"));
        assert!(mentions("println!(\"{dataset:?}\")", "dataset"));
        assert!(!mentions("let datasets = \"dataset\"; // dataset", "dataset"));
        assert!(declares("let mut a = 1;", "a"));
        assert!(declares("let (a, b): (i32, i32) = (1, 2);", "b"));
        assert!(!declares("{ let a = 1; }", "a"));
        assert!(!declares("let b = a;", "a"));
        assert!(!declares("if let Some(a) = found() {}", "a"));
        assert!(!declares("while is_there && let Some(a) = next() {}", "a"));
        assert!(defines("#[derive(Debug)]\nstruct A { b: u8 }", "A"));
        assert!(!defines("A::new(); // fn A", "A"));
        let place = place_of("let a = 1;\nlet (b, mut a) = (a, 2);", "a").unwrap();
        assert_eq!((place.line, place.column), (2, 13));
        assert_eq!(place_of("a = 1;", "a"), None);
    }
}
