//! The source of a cell, as evcxr writes it.

use std::borrow::Cow;
use std::sync::LazyLock;

use ra_ap_syntax::ast::{self, AstNode, HasModuleItem};
use ra_ap_syntax::{Edition, SourceFile};
use regex::Regex;
use serde_json::{Value, json};

use crate::files::digest;
use crate::link::ERROR_AT;

/// The library that cells are linked with (`template/library/mod.rs`).
pub(crate) const LIBRARY: &str = "notebook_library";

const STORE_BEGINS: &str = "mod evcxr_internal_runtime {\n";
const STORE_ENDS: &str = "Box::into_raw(Box::new(VariableStore::new()))\n}\n}\n";
/// Digest of the variable store that evcxr 0.22 pastes into cells, which our library replaces. The store of another
/// version is left in place, which only costs each cell a tenth of a second.
const STORE_DIGEST: &str = "d2e8e4d4198a5bf6d55ed01642a56922a17661af18546b9e1725d8f3d1738cae";

/// The source, using the variable store of the library; line numbers do not change.
pub(super) fn linked_with_library(source: &str) -> String {
    match with_store_of_library(source) {
        Some(source) => source,
        // At the end: a cell may begin with attributes.
        None => format!("{source}\nextern crate {LIBRARY} as _;\n"),
    }
}

fn with_store_of_library(source: &str) -> Option<String> {
    let begin = source.find(STORE_BEGINS)?;
    let end = begin + source[begin..].find(STORE_ENDS)? + STORE_ENDS.len();
    let store = &source[begin..end];
    if digest([store.as_bytes()]) != STORE_DIGEST {
        return None;
    }
    let lines = "\n".repeat(store.matches('\n').count());
    let (before, after) = (&source[..begin], &source[end..]);
    Some(format!("{before}use {LIBRARY}::store as evcxr_internal_runtime;{lines}{after}"))
}

/// How evcxr's own store tells that a variable has another type.
const COMPARED: &str = "v.downcast_ref::<T>().is_none()";

/// Has evcxr's own store, where a cell has it, compare sizes as well, for the reason that `template/library/store.rs`
/// gives.
pub(super) fn with_sizes_compared(source: &str) -> String {
    let Some(at) = source.find(STORE_BEGINS) else { return source.to_owned() };
    let (before, after) = source.split_at(at);
    let sizes = format!("({COMPARED} || std::mem::size_of_val(&**v) != std::mem::size_of::<T>())");
    format!("{before}{}", after.replacen(COMPARED, &sizes, 1))
}

/// evcxr's error type for `?` in a cell; the head of its conversion, and the statement in it that reports the error.
const ERROR: &str = "struct EvcxrUserCodeError {}";
const MADE: &str = "fn from(error: T) -> Self {";
const SAID: &str = "println!(\"{}\", evcxr_internal_runtime::USER_ERROR_OCCURRED);";
/// The statement that writes the error's text, and the same in one write: the relay takes the last write for it.
const WRITTEN: &str = "eprintln!(\"{}\", error);";
const WRITTEN_AT_ONCE: &str = "let text = format!(\"{}\\n\", error); eprint!(\"{text}\");";

/// Has the conversion also report the place of the `?`. All lines keep their numbers.
pub(super) fn with_place_of_error(source: &str) -> String {
    let Some(at) = source.rfind(ERROR) else { return source.to_owned() };
    let (before, after) = source.split_at(at);
    let says_place = format!(
        "let at = std::panic::Location::caller(); if at.file() == \"src/lib.rs\" \
         {{ println!(\"{ERROR_AT}{{}}:{{}}\", at.line(), at.column()); }} {SAID}"
    );
    let after = after.replacen(MADE, &format!("#[track_caller] {MADE}"), 1);
    let after = after.replacen(WRITTEN, WRITTEN_AT_ONCE, 1);
    format!("{before}{}", after.replacen(SAID, &says_place, 1))
}

/// The start of a cell's function, up to its number.
const FUNCTION: &str = "pub extern \"C\" fn run_user_code_";

/// The source with the number removed from its function's name, which the kernel's runner also finds.
pub(super) fn with_function_without_number(source: &str) -> String {
    let Some((before, after)) = source.rsplit_once(FUNCTION) else { return source.to_owned() };
    format!("{before}{FUNCTION}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// The name of a cell's function.
pub(crate) fn without_number(function: &str) -> &str {
    function.trim_end_matches(|c: char| c.is_ascii_digit())
}

/// The function in which evcxr checks a cell, from its first parameter on to the end of them: the kept variables.
const CHECKED: &str = "async fn evcxr_analysis_wrapper(\n";
const CHECKED_ENDS: &str = ") -> Result<(), EvcxrUserCodeError> {";

/// The source that evcxr has checked, with kept references that last: evcxr writes the type of `let name = "Ann";` as
/// `&str`, and then every check fails because `name` might not be kept. What a function takes stays as it is.
pub(super) fn with_lasting_references(source: &str) -> String {
    static REFERENCE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new("&([^'])").expect("a pattern that a test has tried"));
    let Some((before, rest)) = source.split_once(CHECKED) else { return source.to_owned() };
    let Some(end) = rest.find(CHECKED_ENDS) else { return source.to_owned() };
    let (parameters, after) = rest.split_at(end);
    let lasting: String = parameters
        .split_inclusive('\n')
        .map(|line| match line.contains("fn(") || line.contains("Fn") {
            true => Cow::Borrowed(line),
            false => REFERENCE.replace_all(line, "&'static $1"),
        })
        .collect();
    format!("{before}{CHECKED}{lasting}{after}")
}

/// Orders a cell's lines in the same way in every session: evcxr writes variables and items in the order of a hash
/// table.
pub(super) struct Order<'a> {
    lines: Vec<&'a str>,
    /// For each index, the line that comes there.
    order: Vec<usize>,
}

impl<'a> Order<'a> {
    pub(super) fn of(source: &'a str) -> Order<'a> {
        let lines: Vec<&str> = source.lines().collect();
        let mut order: Vec<usize> = Vec::with_capacity(lines.len());
        for mut block in blocks(source, lines.len()) {
            sort_variables(&lines, &mut block);
            order.append(&mut block);
        }
        Order { lines, order }
    }

    pub(super) fn key(&self, more: &[&str]) -> String {
        let lines = self.order.iter().map(|&line| self.lines[line].as_bytes());
        digest(more.iter().map(|text| text.as_bytes()).chain(lines))
    }

    /// For each line of the cell, its index in this order.
    pub(super) fn indices(&self) -> Vec<usize> {
        let mut indices = vec![0; self.order.len()];
        for (index, &line) in self.order.iter().enumerate() {
            indices[line] = index;
        }
        indices
    }
}

/// Whether all lines that a compiler's message is about are the same in two cells that differ only in the order of
/// their lines; `one` and `two` are the indices of those lines.
pub(super) fn is_about_same_lines(message: &Value, one: &[usize], two: &[usize]) -> bool {
    match message {
        Value::Array(all) => all.iter().all(|message| is_about_same_lines(message, one, two)),
        Value::Object(fields) => {
            let is_of_cell = fields.get("file_name").and_then(Value::as_str) == Some("src/lib.rs");
            let line = |name: &str| {
                let line = fields.get(name).and_then(Value::as_u64)?;
                usize::try_from(line).ok()?.checked_sub(1)
            };
            let same = |start: usize, end: usize| {
                one.get(start..=end).is_some_and(|indices| Some(indices) == two.get(start..=end))
            };
            let is_same = match (is_of_cell, line("line_start"), line("line_end")) {
                (true, Some(start), Some(end)) => same(start, end),
                _ => true,
            };
            is_same && fields.values().all(|message| is_about_same_lines(message, one, two))
        }
        _ => true,
    }
}

/// The lines of each item, items sorted by their text; a single block where the order matters or cannot be determined.
fn blocks(source: &str, lines: usize) -> Vec<Vec<usize>> {
    let as_it_is = || vec![(0..lines).collect()];
    let file = SourceFile::parse(source, Edition::Edition2024).tree();
    let order_matters =
        |item: &ast::Item| matches!(item, ast::Item::MacroRules(_) | ast::Item::MacroCall(_));
    if file.items().any(|item| order_matters(&item)) {
        return as_it_is();
    }
    // Each item together with the lines between it and the previous one.
    let mut ends: Vec<usize> = Vec::new();
    for item in file.items() {
        let end = usize::from(item.syntax().text_range().end());
        let (upto, rest) = source.split_at(end);
        if !rest.trim_start_matches([' ', '\t']).starts_with('\n') {
            return as_it_is();
        }
        ends.push(upto.matches('\n').count() + 1);
    }
    let Some(first) = file.items().next() else { return as_it_is() };
    let head = source[..usize::from(first.syntax().text_range().start())].matches('\n').count();
    let mut items: Vec<Vec<usize>> = Vec::new();
    let mut begin = head;
    for end in ends {
        items.push((begin..end).collect());
        begin = end;
    }
    let text: Vec<&str> = source.lines().collect();
    items.sort_by_cached_key(|item| item.iter().map(|&line| text[line]).collect::<Vec<_>>());
    let mut all = vec![(0..head).collect()];
    all.extend(items);
    all.push((begin..lines).collect());
    all
}

/// Sorts neighbouring lines that each load or store one variable.
fn sort_variables(lines: &[&str], block: &mut [usize]) {
    let kind = |line: usize| -> Option<u8> {
        let text = lines[line];
        if text.starts_with("vars_ok &= evcxr_variable_store.check_variable::<") {
            Some(0)
        } else if text.starts_with("let ")
            && text.contains(" = evcxr_variable_store.take_variable::<")
        {
            Some(1)
        } else if text.starts_with("evcxr_variable_store.put_variable::<") {
            Some(2)
        } else {
            None
        }
    };
    for run in block.chunk_by_mut(|&a, &b| kind(a).is_some() && kind(a) == kind(b)) {
        if kind(run[0]).is_some() {
            run.sort_by_key(|&line| lines[line]);
        }
    }
}

/// Whether a cell compiles to the same result anywhere and at any time.
pub(super) fn is_kept(source: &str) -> bool {
    // `include_str!`, `env!` and what is like them read files and variables.
    !source.contains("include") && !source.contains("env!")
}

/// The compiler's messages in what it wrote to standard error.
pub(super) fn messages(said: &str) -> impl Iterator<Item = Value> {
    said.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["$message_type"] == "diagnostic")
}

/// Whether a message names a place in the code, or is none of an error.
pub(super) fn is_about_code(message: &Value) -> bool {
    let is_summary =
        message["message"].as_str().is_some_and(|text| text.starts_with("aborting due to"));
    let has_place = message["spans"].as_array().is_some_and(|spans| !spans.is_empty());
    message["level"] != "error" || is_summary || has_place
}

/// A message as evcxr must hear it; none for a warning, which evcxr shows as an error once there is one.
///
/// evcxr shows a value by its method `evcxr_display`, and by `{:?}` if the value's own line has the error that there is
/// none. `ShowResult` in helpers' prelude offers the method, so for `let x = 5; x` the error is that the number's type is
/// still open, with a help in the line of the `let`: evcxr would blame that line. Without the help it goes on to `{:?}`,
/// and the compiler chooses the type as in any program.
pub(super) fn for_evcxr(message: &Value) -> Option<Cow<'_, Value>> {
    if message["level"] == "warning" {
        return None;
    }
    let is_of_value = message["code"]["code"] == "E0689"
        && message["message"].as_str().is_some_and(|text| text.contains("`evcxr_display`"));
    if !is_of_value {
        return Some(Cow::Borrowed(message));
    }
    let mut message = message.clone();
    message["children"] = json!([]);
    Some(Cow::Owned(message))
}

/// What the compiler wrote to standard error, as evcxr must hear it.
pub(super) fn said_for_evcxr(said: &str) -> String {
    let lines = said.lines().filter_map(|line| match serde_json::from_str::<Value>(line) {
        Ok(message) => Some(format!("{}\n", for_evcxr(&message)?)),
        Err(_) => Some(format!("{line}\n")),
    });
    lines.collect()
}

/// A message as cargo passes it on.
pub(super) fn as_cargo_says(message: &Value) -> String {
    format!("{{\"reason\":\"compiler-message\",\"message\":{message}}}")
}

/// An error message of our own, in the compiler's form.
pub(super) fn own_message(text: &str) -> String {
    let message = serde_json::json!({
        "$message_type": "diagnostic", "message": text, "code": null, "level": "error",
        "spans": [], "children": [], "rendered": format!("error: {text}\n"),
    });
    as_cargo_says(&message)
}

/// A path as a compiler's argument; cargo's arguments are text.
pub(super) fn text(path: &std::path::Path) -> Cow<'_, str> {
    path.to_string_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRAPPED: &str = "fn run_user_code_1() {\n\
        let a = evcxr_variable_store.take_variable::<u8>(stringify!(a));\n\
        let b = evcxr_variable_store.take_variable::<u8>(stringify!(b));\n\
        let sum = a + b;\n\
        evcxr_variable_store.put_variable::<u8>(stringify!(a), a);\n\
        evcxr_variable_store.put_variable::<u8>(stringify!(b), b);\n\
        }\n";

    fn swapped(text: &str, one: &str, two: &str) -> String {
        text.replace(one, "@").replace(two, one).replace('@', two)
    }

    fn key(source: &str) -> String {
        Order::of(source).key(&[])
    }

    #[test]
    fn the_order_of_variables_makes_no_difference() {
        let lines: Vec<&str> = WRAPPED.lines().collect();
        let other = swapped(&swapped(WRAPPED, lines[1], lines[2]), lines[4], lines[5]);
        assert_ne!(other, WRAPPED);
        assert_eq!(key(&other), key(WRAPPED));
        assert_ne!(key(&swapped(WRAPPED, lines[3], lines[4])), key(WRAPPED));
        assert_ne!(key(&WRAPPED.replace("a + b", "a - b")), key(WRAPPED));
    }

    #[test]
    fn the_order_of_items_makes_no_difference() {
        let head = "#![allow(dead_code)]\n";
        let items = ["use a::b;\n", "fn one() {\n    two()\n}\n", "/// Second.\nfn two() {}\n"];
        let sources = [[0, 1, 2], [2, 0, 1], [1, 2, 0]]
            .map(|order| format!("{head}{}{WRAPPED}", order.map(|at: usize| items[at]).concat()));
        assert_eq!(key(&sources[0]), key(&sources[1]));
        assert_eq!(key(&sources[0]), key(&sources[2]));
        assert_ne!(key(&sources[0]), key(&sources[0].replace("two()\n", "one()\n")));
    }

    #[test]
    fn macros_are_used_below_where_they_are_made() {
        let (one, two) = ("macro_rules! m { () => {} }\n", "fn f() {}\n");
        assert_ne!(key(&format!("{one}{two}")), key(&format!("{two}{one}")));
    }

    #[test]
    fn all_lines_are_there_once() {
        for source in [
            "",
            "\n",
            "let x = 1;",
            WRAPPED,
            "use a;\n\nuse b; use c;\nfn f(\n",
            "fn f() {} fn g() {}\n",
        ] {
            let mut order = Order::of(source).order;
            order.sort_unstable();
            assert_eq!(order, (0..source.lines().count()).collect::<Vec<_>>(), "{source}");
        }
    }

    #[test]
    fn a_message_is_about_its_lines_alone() {
        let lines: Vec<&str> = WRAPPED.lines().collect();
        let other = swapped(WRAPPED, lines[4], lines[5]);
        let same = |start: u64, end: u64| {
            let one = json!({"file_name": "src/lib.rs", "line_start": start, "line_end": end});
            let message =
                json!({"spans": [], "children": [{"spans": [{"expansion": {"span": one}}]}]});
            is_about_same_lines(
                &message,
                &Order::of(WRAPPED).indices(),
                &Order::of(&other).indices(),
            )
        };
        // About `put_variable` of `a` or `b`, which have changed their places, and about the line before.
        assert!(!same(5, 5) && !same(6, 6) && !same(1, 7));
        assert!(same(4, 4) && same(1, 4));
        assert!(!same(6, 900), "no such line");
    }

    #[test]
    fn another_evcxrs_store_stays_where_it_is() {
        let source = format!(
            "#![allow(x)]\n{STORE_BEGINS}pub struct VariableStore {{}}\n{STORE_ENDS}fn f() {{}}\n"
        );
        let linked = linked_with_library(&source);
        assert!(linked.starts_with(&source), "{linked}");
        assert!(linked.ends_with("extern crate notebook_library as _;\n"));
    }

    #[test]
    fn the_store_in_a_cell_compares_sizes_as_well() {
        let source =
            format!("fn f() {{}}\n{STORE_BEGINS}    && {COMPARED}\n{STORE_ENDS}fn g() {{}}\n");
        let compared = with_sizes_compared(&source);
        assert_eq!(compared.lines().count(), source.lines().count());
        assert!(
            compared.contains(&format!("&& ({COMPARED} || std::mem::size_of_val(&**v) != ")),
            "{compared}"
        );
        assert_eq!(with_sizes_compared("fn f() {}\n"), "fn f() {}\n", "the library's store");
    }

    #[test]
    fn a_cell_is_the_same_whenever_it_is_run() {
        let cell = |number: u32| {
            format!("fn f() {{}}\npub extern \"C\" fn run_user_code_{number}(\nx: u8) {{}}\n")
        };
        let one = with_function_without_number(&cell(1));
        assert_eq!(one, with_function_without_number(&cell(23)));
        assert!(one.contains(&format!("fn {}(", without_number("run_user_code_23"))), "{one}");
        assert_eq!(with_function_without_number("fn f() {}"), "fn f() {}");
    }

    #[test]
    fn an_error_says_where_it_was_returned_and_lines_stay() {
        let source = format!(
            "fn f() {{}}\n{ERROR}\nimpl<T: A> From<T> for EvcxrUserCodeError {{\n{MADE}\n{WRITTEN}\n{SAID}\nX\n}}\n}}\n{WRITTEN}\n"
        );
        let told = with_place_of_error(&source);
        assert_eq!(told.lines().count(), source.lines().count());
        assert!(told.contains("#[track_caller] fn from(error: T)"), "{told}");
        assert!(
            told.contains("println!(\"EVCXR_ERROR_AT:{}:{}\", at.line(), at.column())"),
            "{told}"
        );
        assert!(told.contains(&format!("{WRITTEN_AT_ONCE}\n")), "{told}");
        assert!(told.ends_with(&format!("\n{WRITTEN}\n")), "a cell's own line");
        assert_eq!(with_place_of_error("fn f() {}\n"), "fn f() {}\n", "another evcxr's");
    }

    #[test]
    fn kept_references_last_where_a_cell_is_checked() {
        let source = "fn f(x: &str) {}\nasync fn evcxr_analysis_wrapper(\nname: &str,\nmut pairs: Vec<(&str, &mut u8)>,\n\
            kept: &'static u8,\nhalf: fn(&str) -> u8,\n) -> Result<(), EvcxrUserCodeError> {\nlet y: &str = name;\n}";
        let lasting = source
            .replace("name: &str", "name: &'static str")
            .replace("Vec<(&str, &mut u8)>", "Vec<(&'static str, &'static mut u8)>");
        assert_eq!(with_lasting_references(source), lasting);
        assert_eq!(with_lasting_references("fn f(x: &str) {}\n"), "fn f(x: &str) {}\n");
    }

    #[test]
    fn evcxr_hears_of_errors_and_of_a_number_without_its_help() {
        let error = |text: &str, code: &str| json!({"level": "error", "message": text, "code": {"code": code}, "spans": [1], "children": [2]});
        let warning = json!({"level": "warning", "message": "unused macro definition"});
        assert!(for_evcxr(&warning).is_none());
        let number = error(
            "can't call method `evcxr_display` on ambiguous numeric type `{integer}`",
            "E0689",
        );
        let heard = for_evcxr(&number).unwrap();
        assert_eq!((&heard["spans"], &heard["children"]), (&json!([1]), &json!([])));
        // A cell's own call keeps its help.
        let own = error("can't call method `pow` on ambiguous numeric type `{integer}`", "E0689");
        assert_eq!(*for_evcxr(&own).unwrap(), own);
        let said = format!("{warning}\n{number}\nwarning: two\n");
        assert_eq!(said_for_evcxr(&said), format!("{heard}\nwarning: two\n"));
    }

    #[test]
    fn a_full_disk_is_no_mistake_of_the_code() {
        let message = |level: &str, text: &str, spans: Value| json!({ "level": level, "message": text, "spans": spans });
        assert!(!is_about_code(&message(
            "error",
            "failed to write libctx.so: No space left",
            json!([])
        )));
        assert!(is_about_code(&message("error", "mismatched types", json!([{}]))));
        assert!(is_about_code(&message("error", "aborting due to 1 previous error", json!([]))));
        assert!(is_about_code(&message("warning", "unused", json!([]))));
    }

    #[test]
    fn what_reads_files_is_compiled_each_time() {
        assert!(is_kept("let environment = 1;"));
        assert!(!is_kept("const TEXT: &str = include_str!(\"a\");"));
        assert!(!is_kept("let home = env!(\"HOME\");"));
    }
}
