//! Completion and documentation, answered by evcxr's analyser. The analyser counts the cursor in graphemes and wants it
//! at the end of a name; Jupyter counts code points, and its cursor may be anywhere. This file converts between the
//! two.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use ra_ap_rustc_lexer::{FrontmatterAllowed, TokenKind, is_id_continue, tokenize};
use serde_json::{Value, json};
use unicode_segmentation::UnicodeSegmentation;

/// The empty answer to a completion, for when evcxr is busy or gone.
pub(crate) fn no_completion(request: &Value) -> Value {
    let cursor = &request["cursor_pos"];
    json!({"status": "ok", "matches": [], "cursor_start": cursor, "cursor_end": cursor, "metadata": {}})
}

/// The empty answer to a request for documentation, for when evcxr is busy or gone.
pub(crate) fn no_inspection() -> Value {
    json!({"status": "ok", "found": false, "data": {}, "metadata": {}})
}

/// The request as evcxr needs it: the rest of the name behind the cursor is cut out of the code.
pub(crate) fn completion_for_evcxr(request: &Value) -> Value {
    let (code, cursor) = code_and_cursor(request);
    let (before, after) = code.split_at(cursor);
    let rest = after.trim_start_matches(is_id_continue);
    let mut asked = request.clone();
    asked["code"] = format!("{before}{rest}").into();
    asked["cursor_pos"] = before.graphemes(true).count().into();
    asked
}

/// evcxr's answer with positions in the client's code. Names that are not public come last, as a cell may not use them.
pub(crate) fn completion_from_evcxr(
    request: &Value,
    mut answer: Value,
    private: &HashSet<String>,
) -> Value {
    if answer["status"] != "ok" {
        return no_completion(request);
    }
    let (code, cursor) = code_and_cursor(request);
    let tail = code[cursor..].chars().take_while(|&c| is_id_continue(c)).count();
    let end = code[..cursor].chars().count() + tail;
    let graphemes: Vec<&str> = code.graphemes(true).collect();
    let start = answer["cursor_start"].as_u64().and_then(|start| usize::try_from(start).ok());
    let start = start.unwrap_or(0).min(graphemes.len());
    let start = graphemes[..start].iter().map(|grapheme| grapheme.chars().count()).sum::<usize>();
    answer["cursor_start"] = start.min(end).into();
    answer["cursor_end"] = end.into();

    let is_private = |text: &Value| {
        let text = text.as_str().unwrap_or_default();
        let (name, rest) = text.split_at(text.find(|c| !is_id_continue(c)).unwrap_or(text.len()));
        private.contains(&named(name, rest.starts_with('(')))
    };
    if let Some(matches) = answer["matches"].as_array_mut() {
        matches.sort_by_key(&is_private);
    }
    if let Some(types) = answer["metadata"]["_jupyter_types_experimental"].as_array_mut() {
        // The label shows a method with its arguments.
        types.sort_by_key(|entry| is_private(&entry["text"]));
        for entry in types {
            entry["start"] = start.min(end).into();
            entry["end"] = end.into();
        }
    }
    answer
}

/// The request as evcxr needs it, with the cursor at the end of the name that it touches; among the arguments of a
/// call, at the end of the function's name.
pub(crate) fn inspection_for_evcxr(request: &Value) -> Value {
    let (code, cursor) = code_and_cursor(request);
    let at = name_end(code, cursor).or_else(|| called(code, cursor)).unwrap_or(cursor);
    let mut asked = request.clone();
    asked["cursor_pos"] = code[..at].graphemes(true).count().into();
    asked
}

/// The end of the name that the cursor is in or beside.
fn name_end(code: &str, cursor: usize) -> Option<usize> {
    let after = &code[cursor..];
    let length = after.len() - after.trim_start_matches(is_id_continue).len();
    let beside = code[..cursor].chars().next_back().is_some_and(is_id_continue);
    (length > 0 || beside).then_some(cursor + length)
}

/// The end of the function's name when the cursor is among the arguments of a call.
fn called(code: &str, cursor: usize) -> Option<usize> {
    let mut open = Vec::new();
    let mut at = 0;
    let mut name = None;
    for token in tokenize(&code[..cursor], FrontmatterAllowed::No) {
        let end = at + token.len as usize;
        match token.kind {
            TokenKind::Ident | TokenKind::RawIdent => name = Some(end),
            TokenKind::OpenParen => open.push(name.take()),
            TokenKind::OpenBrace | TokenKind::OpenBracket => open.push(None),
            TokenKind::CloseParen | TokenKind::CloseBrace | TokenKind::CloseBracket => {
                open.pop();
                name = None;
            }
            TokenKind::Whitespace => {}
            _ => name = None,
        }
        at = end;
    }
    open.into_iter().rev().flatten().next()
}

/// The code of a request and the cursor in bytes; Jupyter counts it in code points.
fn code_and_cursor(request: &Value) -> (&str, usize) {
    let code = request["code"].as_str().unwrap_or_default();
    let characters = request["cursor_pos"].as_u64().map_or(usize::MAX, |at| at as usize);
    let cursor = code.char_indices().nth(characters).map_or(code.len(), |(at, _)| at);
    (code, cursor)
}

/// Names of fields and functions that are private in a crate and not also the name of something public.
pub(crate) fn private_names(sources: &Path) -> HashSet<String> {
    let (mut public, mut private) = (HashSet::new(), HashSet::new());
    read_folder(sources, &mut public, &mut private);
    private.retain(|name| !public.contains(name));
    private
}

fn read_folder(folder: &Path, public: &mut HashSet<String>, private: &mut HashSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            read_folder(&path, public, private);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap_or_default();
            // Test modules are not part of the crate's interface.
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            for line in text.lines() {
                read_line(line.trim_start(), public, private);
            }
        }
    }
}

/// Records the name if the line declares a function or a field; relies on rustfmt's layout, visibility and name first.
fn read_line(line: &str, public: &mut HashSet<String>, private: &mut HashSet<String>) {
    let (names, rest) = match line.strip_prefix("pub ") {
        Some(rest) => (public, rest),
        None => (
            private,
            line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub(super) ")).unwrap_or(line),
        ),
    };
    let rest = ["const ", "unsafe ", "async "]
        .iter()
        .fold(rest, |rest, word| rest.strip_prefix(word).unwrap_or(rest));
    let (is_function, rest) = match rest.strip_prefix("fn ") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let length = rest.len() - rest.trim_start_matches(is_id_continue).len();
    let (name, after) = rest.split_at(length);
    let is_field = after.starts_with(": ") && after.ends_with(',');
    if !name.is_empty() && (is_function || is_field) {
        names.insert(named(name, is_function));
    }
}

/// The key under which a name is kept: a field and a function may have the same name.
fn named(name: &str, is_function: bool) -> String {
    if is_function { format!("{name}()") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request with the cursor at `|`.
    fn request(code: &str) -> Value {
        let at = code.chars().position(|c| c == '|').unwrap();
        json!({"code": code.replace('|', ""), "cursor_pos": at})
    }

    #[test]
    fn positions_behind_flags_are_code_points() {
        let request = request("let s = \"🇩🇪🇫🇷\"; value_lon|");
        let asked = completion_for_evcxr(&request);
        // Two flags are two graphemes and four code points.
        assert_eq!(asked["cursor_pos"], 23);
        let answer = json!({"status": "ok", "matches": ["value_long"], "cursor_start": 14, "cursor_end": 23,
            "metadata": {"_jupyter_types_experimental": [{"text": "value_long", "start": 14, "end": 23}]}});
        let answer = completion_from_evcxr(&request, answer, &HashSet::new());
        assert_eq!((&answer["cursor_start"], &answer["cursor_end"]), (&json!(16), &json!(25)));
        assert_eq!(answer["metadata"]["_jupyter_types_experimental"][0]["start"], 16);
    }

    #[test]
    fn in_the_middle_of_a_name_its_beginning_is_completed_and_all_of_it_replaced() {
        let request = request("let n = data|set.len();");
        let asked = completion_for_evcxr(&request);
        assert_eq!(asked["code"], "let n = data.len();");
        assert_eq!(asked["cursor_pos"], 12);
        let answer =
            json!({"status": "ok", "matches": ["database"], "cursor_start": 8, "cursor_end": 12});
        let answer = completion_from_evcxr(&request, answer, &HashSet::new());
        assert_eq!((&answer["cursor_start"], &answer["cursor_end"]), (&json!(8), &json!(15)));
    }

    #[test]
    fn what_is_private_comes_last() {
        let private = ["weights".to_owned(), "step()".to_owned()].into();
        let answer = json!({"status": "ok", "matches": ["weights", "fit(split)", "step()", "len()"],
            "cursor_start": 0, "cursor_end": 0, "metadata": {}});
        let answer = completion_from_evcxr(&request("|"), answer, &private);
        assert_eq!(answer["matches"], json!(["fit(split)", "len()", "weights", "step()"]));
    }

    #[test]
    fn documentation_is_asked_for_at_the_end_of_a_name() {
        let at = |code: &str| inspection_for_evcxr(&request(code))["cursor_pos"].clone();
        assert_eq!(at("cnn.fi|t(&split)"), 7);
        assert_eq!(at("cnn.fit|(&split)"), 7);
        assert_eq!(at("cnn.fit(|)"), 7);
        assert_eq!(at("cnn.fit(&split, |)"), 7);
        assert_eq!(at("cnn.fit(FitConfig { epochs: 3, |"), 7);
        assert_eq!(at("1 + |"), 4);
    }

    #[test]
    fn names_are_private_that_nobody_offers() {
        let folder = tempfile::tempdir().unwrap();
        let source = "pub struct Model {\n    pub name: String,\n    weights: Vec<f32>,\n    len: usize,\n}\n\
            pub(crate) fn step(&self) {}\n    pub fn len(&self) -> usize {\n fn len(&self) {}\n\
            #[cfg(test)]\nmod tests { fn used() {} }\n";
        fs::write(folder.path().join("lib.rs"), source).unwrap();
        let names = private_names(folder.path());
        assert_eq!(names, ["weights".to_owned(), "len".to_owned(), "step()".to_owned()].into());
    }
}
