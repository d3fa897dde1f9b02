//! Completion and documentation, answered by evcxr's analyser. The analyser counts the cursor in graphemes and wants it
//! at the end of a name; Jupyter counts code points, and its cursor may be anywhere. This file converts between the
//! two.

use std::collections::{BTreeSet, HashSet};

use ra_ap_rustc_lexer::{FrontmatterAllowed, TokenKind, is_id_continue, tokenize};
use serde_json::{Value, json};
use unicode_segmentation::UnicodeSegmentation;

use super::names::{Names, named};
use super::notebook::Notebook;
use super::source::declared;

/// Answers a completion while evcxr runs a cell: after a dot with the public functions and fields of helpers, elsewhere
/// with its public items and the variables that cells have declared.
pub(crate) fn completion_from_names(request: &Value, names: &Names, notebook: &Notebook) -> Value {
    let (code, cursor) = code_and_cursor(request);
    let before = code[..cursor].trim_end_matches(is_id_continue);
    let prefix = &code[before.len()..cursor];
    let mut matches: BTreeSet<&str> = BTreeSet::new();
    if before.ends_with('.') {
        matches.extend(names.members());
    } else if !prefix.is_empty() && !before.ends_with(':') {
        matches.extend(names.items());
        matches.extend(notebook.latest().flat_map(|ran| declared(&ran.code)));
    }
    matches.retain(|name| name.starts_with(prefix) && *name != prefix);
    let start = before.chars().count();
    let end = start + code[before.len()..].chars().take_while(|&c| is_id_continue(c)).count();
    let (start, end) =
        if matches.is_empty() { (cursor_of(request), cursor_of(request)) } else { (start, end) };
    json!({"status": "ok", "matches": matches, "cursor_start": start, "cursor_end": end, "metadata": {}})
}

/// Answers a request for documentation while evcxr runs a cell, from helpers' sources.
pub(crate) fn inspection_from_names(request: &Value, names: &Names) -> Value {
    let (code, cursor) = code_and_cursor(request);
    let end = name_end(code, cursor).or_else(|| called(code, cursor)).unwrap_or(cursor);
    let start = code[..end].trim_end_matches(is_id_continue).len();
    let data = match names.documentation(&code[start..end]) {
        Some(text) => json!({"text/plain": text, "text/markdown": text}),
        None => json!({}),
    };
    let found = data != json!({});
    json!({"status": "ok", "found": found, "data": data, "metadata": {}})
}

fn cursor_of(request: &Value) -> usize {
    let (code, cursor) = code_and_cursor(request);
    code[..cursor].chars().count()
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
        let cursor = cursor_of(request);
        return json!({"status": "ok", "matches": [], "cursor_start": cursor, "cursor_end": cursor, "metadata": {}});
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
    // After a dot private names are left out, unless nothing else matches: a type of the cell's own may have a field of
    // that name. Elsewhere a variable may have it, so it comes last.
    let of_a_value = code.chars().take(start).last() == Some('.');
    if let Some(matches) = answer["matches"].as_array_mut() {
        if of_a_value && !matches.iter().all(&is_private) {
            matches.retain(|name| !is_private(name));
        }
        matches.sort_by_key(&is_private);
    }
    if let Some(types) = answer["metadata"]["_jupyter_types_experimental"].as_array_mut() {
        // The label shows a method with its arguments.
        let is_private = |entry: &Value| is_private(&entry["text"]);
        if of_a_value && !types.iter().all(is_private) {
            types.retain(|entry| !is_private(entry));
        }
        types.sort_by_key(is_private);
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
    fn behind_a_dot_what_is_private_is_left_out() {
        let private = ["weights".to_owned(), "step()".to_owned()].into();
        let complete = |matches: Value| {
            let answer = json!({"status": "ok", "matches": matches, "cursor_start": 2, "cursor_end": 2,
                "metadata": {}});
            completion_from_evcxr(&request("x.|"), answer, &private)["matches"].clone()
        };
        assert_eq!(complete(json!(["weights", "len()", "step()"])), json!(["len()"]));
        assert_eq!(complete(json!(["weights"])), json!(["weights"]), "of a type of the cell's own");
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
    fn while_a_cell_runs_names_are_completed_and_explained_from_the_sources() {
        let folder = tempfile::tempdir().unwrap();
        let source = "/// Learns.\npub fn fit(&mut self) {\n}\n/// A network.\npub struct Model {\n    pub fields: u8,\n    kept: u8,\n}\n";
        std::fs::write(folder.path().join("lib.rs"), source).unwrap();
        let names = Names::read(folder.path());
        let mut notebook = Notebook::default();
        notebook.ran(1, "let model_of_mine = load()?;", true);
        let complete = |code: &str| {
            let answer = completion_from_names(&request(code), &names, &notebook);
            (
                answer["matches"].clone(),
                answer["cursor_start"].clone(),
                answer["cursor_end"].clone(),
            )
        };
        assert_eq!(complete("ü = x.f|"), (json!(["fields", "fit"]), json!(6), json!(7)));
        assert_eq!(complete("mo|d"), (json!(["model_of_mine"]), json!(0), json!(3)));
        assert_eq!(complete("Mod|"), (json!(["Model"]), json!(0), json!(3)));
        assert_eq!(complete("std::ve|"), (json!([]), json!(7), json!(7)));
        let found = inspection_from_names(&request("cnn.fi|t("), &names);
        assert_eq!(found["data"]["text/plain"], "```rust\npub fn fit(&mut self)\n```\n\nLearns.");
        assert_eq!(inspection_from_names(&request("kept|"), &names)["found"], false);
    }
}
