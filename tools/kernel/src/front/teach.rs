//! Hints for people who are new to notebooks, which rustc and evcxr cannot give: one sentence for each of the most
//! frequent mistakes.

use std::sync::LazyLock;

use regex::Regex;

use super::names::Names;
use super::notebook::Notebook;
use super::source::declares;

/// How to get this project's crate, for a cell that runs in a fresh kernel.
const SET_UP: &str = "the set-up cell (`:dep helpers = …` and `use helpers::prelude::*;`) has not run in this kernel; run the \
    cells above first";

static MISSING: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^cannot find (?:value|function|type|trait|macro|struct, variant or union type|function, tuple struct or tuple variant|attribute|derive macro)[^`]* `([^`]+)`",
    )
});
static UNRESOLVED: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"unresolved import|unresolved module|undeclared (?:type|crate or module)|cannot find (?:type|module or crate|crate)|can't find crate",
    )
});
static UNNAMED: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^Couldn't automatically determine type of variable `([^`]+)`"));
static CLOSURE: LazyLock<Regex> = LazyLock::new(|| regex(r"^The variable `([^`]+)` is a closure"));
static NO_TYPE: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"^(?:The variable `([^`]+)` has type `|Failed to determine type of variable `([^`]+)`)")
});
static BORROW: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^The variable `([^`]+)` contains a reference"));
static IMMUTABLE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^cannot assign twice to immutable variable `(\w+)`|^cannot (?:borrow|assign to) `(\w+)`.*, as it is not declared as mutable|, as `(\w+)` is not declared as mutable",
    )
});
static CRATE: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"^(?:unresolved import|cannot find module or crate|can't find crate for) `([a-z_0-9]+)`")
});
/// Errors about borrows that end too soon.
const BORROWS: [&str; 5] = ["E0597", "E0716", "E0521", "E0310", "E0700"];

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern that a test has tried")
}

/// The hint for an error without a text that leaves a cell.
pub(crate) const WITHOUT_TEXT: &str = "an error that leaves a cell through `?` is shown by its text, so its type needs `Display`; \
    give it a text: `.map_err(|error| format!(\"{error:?}\"))?`";

/// The hint for a `return` outside of any function.
pub(crate) const RETURN: &str =
    "`return` leaves a function, and a cell is none: its value is its last line, without `;`";

/// An error of a cell, and what is known of it.
pub(crate) struct Asked<'a> {
    pub(crate) message: &'a str,
    /// rustc's error code; empty if the message is evcxr's.
    pub(crate) code: &'a str,
    /// rustc says where the missing name could be imported from.
    pub(crate) is_importable: bool,
    pub(crate) cell: &'a str,
    pub(crate) notebook: &'a Notebook,
    /// The names in helpers.
    pub(crate) names: Option<&'a Names>,
}

fn name(pattern: &Regex, message: &str) -> Option<String> {
    let found = pattern.captures(message)?;
    found.iter().skip(1).flatten().next().map(|name| name.as_str().to_owned())
}

/// The variable that evcxr cannot keep, and a sentence for evcxr's, which tells how to write for evcxr.
pub(crate) fn reworded(message: &str) -> Option<(String, String)> {
    let name = |pattern: &Regex| name(pattern, message);
    let (name, what) = if let Some(name) = name(&BORROW) {
        (name, "borrows from another variable, and a borrow cannot be kept from cell to cell")
    } else if let Some(name) = name(&CLOSURE) {
        (name, "is a closure, whose type has no name, so it cannot be kept for later cells")
    } else {
        let what =
            "has a type that is not known or has no name, so it cannot be kept for later cells";
        (name(&UNNAMED).or_else(|| name(&NO_TYPE))?, what)
    };
    let sentence = format!("`{name}` {what}");
    Some((name, sentence))
}

/// The hint for this error, if there is one.
pub(crate) fn hint(asked: &Asked) -> Option<String> {
    let Asked { message, code, notebook, .. } = *asked;
    let name = |pattern: &Regex| name(pattern, message);
    if name(&BORROW).is_some() {
        return Some(OWN.to_owned());
    }
    if BORROWS.contains(&code) {
        return Some(format!(
            "a variable here borrows from another variable, and a borrow cannot be kept from cell to cell; {OWN}"
        ));
    }
    if let Some(name) = name(&CLOSURE) {
        return Some(format!(
            "write a function (`fn {name}(…) -> … {{ … }}`), or the type of a function, if it uses no other variable \
             (`let {name}: fn(i32) -> i32 = |x| …`), or put what uses it into the same cell, between braces"
        ));
    }
    if let Some(name) = name(&UNNAMED).or_else(|| name(&NO_TYPE)) {
        return Some(format!(
            "write it (`let {name}: Vec<f64> = …`), or end the line with what you need of it: `.collect::<Vec<_>>()`"
        ));
    }
    if let Some(name) = name(&IMMUTABLE).filter(|name| !declares(asked.cell, name)) {
        let setter = notebook.setter(&name)?;
        return Some(format!(
            "cell [{setter}] sets `{name}` without `mut`; write `let mut {name} = …` there and run it again, or set it anew \
             in this cell: `let mut {name} = {name};`"
        ));
    }
    if let Some(name) = name(&MISSING) {
        if let Some(told) = notebook.what_became_of(&name) {
            return Some(told);
        }
        let is_of_helpers = asked.names.is_some_and(|names| names.has_item(&name));
        // A notebook of this project begins with the set-up cell; one where other cells went well is no such notebook.
        let may_be = is_of_helpers || !notebook.has_begun() && !asked.is_importable;
        return (may_be && !notebook.has_dependency("helpers")).then(|| SET_UP.to_owned());
    }
    if let Some(name) = name(&CRATE).filter(|name| name != "helpers") {
        return Some(format!(
            "a crate is named at the head of a cell: `:dep {name} = \"*\"`, or its version for the `*`"
        ));
    }
    let without_set_up = UNRESOLVED.is_match(message) && !notebook.has_dependency("helpers");
    let may_be = message.contains("helpers") || !notebook.has_begun() && !asked.is_importable;
    (without_set_up && may_be).then(|| SET_UP.to_owned())
}

/// What to do about a borrow.
const OWN: &str = "keep a value of its own (`.clone()`, `.to_owned()`, `.collect::<Vec<_>>()`), or borrow and use it within one \
    cell, between braces: `{ … }`";

#[cfg(test)]
mod tests {
    use super::*;

    fn asked<'a>(message: &'a str, code: &'a str, notebook: &'a Notebook) -> Asked<'a> {
        Asked { message, code, is_importable: false, cell: "", notebook, names: None }
    }

    fn told(message: &str, code: &str, notebook: &Notebook) -> String {
        hint(&asked(message, code, notebook)).unwrap_or_default()
    }

    #[test]
    fn the_mistakes_of_newcomers_get_a_sentence() {
        let mut notebook = Notebook::default();
        let missing = "cannot find value `dataset` in this scope";
        assert!(told(missing, "E0425", &notebook).starts_with("the set-up cell"));
        let macro_missing = "cannot find macro `prnt` in this scope";
        assert!(told(macro_missing, "", &notebook).starts_with("the set-up cell"));
        notebook.ran(1, ":dep helpers = { path = \"../helpers\" }\nlet dataset = 1;", true);
        notebook.ran(2, "drop(dataset)", true);
        assert!(told(missing, "E0425", &notebook).contains("moved away in cell [2]"));
        assert_eq!(told("cannot find value `other` in this scope", "E0425", &notebook), "");
        assert!(
            told("`x` does not live long enough", "E0597", &notebook)
                .contains("a borrow cannot be kept")
        );
        assert_eq!(told("mismatched types", "E0308", &notebook), "");
        let crate_missing = "unresolved import `rand`";
        assert!(told(crate_missing, "E0432", &notebook).contains("`:dep rand = \"*\"`"));
        assert_eq!(told("unresolved import `std::colections`", "E0432", &notebook), "");
    }

    #[test]
    fn a_variable_that_cannot_be_kept_gets_a_sentence_and_what_to_do() {
        let notebook = Notebook::default();
        for (message, sentence, hint) in [
            (
                "The variable `a` contains a reference with a non-static lifetime so\ncan't be persisted.",
                "`a` borrows from another variable",
                "keep a value of its own",
            ),
            (
                "The variable `a` is a closure, which cannot be persisted.\nYou can however",
                "`a` is a closure, whose type has no name",
                "write a function (`fn a(",
            ),
            (
                "The variable `a` has type `impl Iterator` which cannot be persisted.",
                "`a` has a type that is not known or has no name",
                "write it (`let a: Vec<f64>",
            ),
            (
                "Couldn't automatically determine type of variable `a`.\nPlease give it",
                "`a` has a type that is not known or has no name",
                "write it (`let a: Vec<f64>",
            ),
        ] {
            let (name, reworded) = reworded(message).unwrap();
            assert_eq!((name.as_str(), reworded.starts_with(sentence)), ("a", true), "{reworded}");
            assert!(told(message, "", &notebook).starts_with(hint), "{message}");
        }
        assert_eq!(reworded("mismatched types"), None);
    }

    #[test]
    fn a_variable_of_another_cell_that_may_not_change_tells_which() {
        let mut notebook = Notebook::default();
        notebook.ran(3, "let x = 1;", true);
        for message in [
            "cannot assign twice to immutable variable `x`",
            "cannot borrow `x` as mutable, as it is not declared as mutable",
            "cannot borrow `x.items` as mutable, as `x` is not declared as mutable",
            "cannot assign to `x`, as it is not declared as mutable",
            "cannot assign to `x.y`, as `x` is not declared as mutable",
        ] {
            let told = told(message, "E0596", &notebook);
            assert!(told.starts_with("cell [3] sets `x` without `mut`"), "{message}: {told}");
            let asked = Asked { cell: "let x = 1;", ..asked(message, "E0596", &notebook) };
            assert_eq!(hint(&asked), None, "rustc shows the place");
        }
    }

    #[test]
    fn only_a_notebook_of_helpers_is_told_of_the_set_up_cell() {
        let mut notebook = Notebook::default();
        let missing = "cannot find type `HashMap` in this scope";
        let importable = Asked { is_importable: true, ..asked(missing, "E0433", &notebook) };
        assert_eq!(hint(&importable), None, "rustc says what to import");
        notebook.ran(1, "1 + 1", true);
        assert_eq!(told(missing, "E0433", &notebook), "");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("lib.rs"), "pub struct Dataset;\n").unwrap();
        let names = Names::read(folder.path());
        let missing = "cannot find type `Dataset` in this scope";
        let asked = Asked { names: Some(&names), ..asked(missing, "E0433", &notebook) };
        assert!(hint(&asked).unwrap().starts_with("the set-up cell"));
        assert!(
            told("unresolved import `helpers`", "E0432", &notebook).starts_with("the set-up cell")
        );
    }
}
