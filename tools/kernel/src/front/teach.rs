//! Hints for people who are new to notebooks, which rustc and evcxr cannot give: one sentence for each of the most
//! frequent mistakes.

use std::sync::LazyLock;

use regex::Regex;

use super::notebook::Notebook;

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
/// Errors about borrows that end too soon.
const BORROWS: [&str; 5] = ["E0597", "E0716", "E0521", "E0310", "E0700"];

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern that a test has tried")
}

/// The hint for an error without a text that leaves a cell.
pub(crate) const WITHOUT_TEXT: &str = "an error that leaves a cell through `?` is shown by its text, so its type needs `Display`; \
    give it a text: `.map_err(|error| format!(\"{error:?}\"))?`";

/// The hint for this error, if there is one. `code` is rustc's error code, and empty without a diagnostic.
pub(crate) fn hint(message: &str, code: &str, notebook: &Notebook) -> Option<String> {
    let name = |pattern: &Regex| {
        let found = pattern.captures(message)?;
        found.iter().skip(1).flatten().next().map(|name| name.as_str().to_owned())
    };
    if let Some(name) = name(&BORROW) {
        return Some(borrow(&format!("`{name}` borrows")));
    }
    if BORROWS.contains(&code) {
        return Some(borrow("a variable here borrows"));
    }
    if let Some(name) = name(&CLOSURE) {
        return Some(format!(
            "a closure has a type without a name, so `{name}` cannot be kept for later cells; write a function \
             (`fn {name}(…) -> … {{ … }}`), or put what uses it into the same cell, between braces"
        ));
    }
    if let Some(name) = name(&UNNAMED).or_else(|| name(&NO_TYPE)) {
        return Some(format!(
            "a variable is kept for later cells under the name of its type, and that of `{name}` is not known or has no \
             name; write it (`let {name}: Vec<f64> = …`), or end the cell with what you need of it: `.collect::<Vec<_>>()`"
        ));
    }
    if let Some(name) = name(&MISSING) {
        if let Some(told) = notebook.what_became_of(&name) {
            return Some(told);
        }
        return (!notebook.has_dependency("helpers")).then(|| SET_UP.to_owned());
    }
    let without_set_up = UNRESOLVED.is_match(message) && !notebook.has_dependency("helpers");
    without_set_up.then(|| SET_UP.to_owned())
}

fn borrow(who: &str) -> String {
    format!(
        "{who} from another variable, and a borrow cannot be kept from cell to cell; keep a value of its own \
         (`.clone()`, `.to_owned()`, `.collect::<Vec<_>>()`), or borrow and use it within one cell, between braces: `{{ … }}`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mistakes_of_newcomers_get_a_sentence() {
        let mut notebook = Notebook::default();
        let told = |message: &str, code: &str, notebook: &Notebook| {
            hint(message, code, notebook).unwrap_or_default()
        };
        let missing = "cannot find value `dataset` in this scope";
        assert!(told(missing, "E0425", &notebook).starts_with("the set-up cell"));
        let macro_missing = "cannot find macro `prnt` in this scope";
        assert!(told(macro_missing, "", &notebook).starts_with("the set-up cell"));
        notebook.ran(1, ":dep helpers = { path = \"../helpers\" }\nlet dataset = 1;", true);
        notebook.ran(2, "drop(dataset)", true);
        assert!(told(missing, "E0425", &notebook).contains("moved away in cell [2]"));
        assert_eq!(told("cannot find value `other` in this scope", "E0425", &notebook), "");
        let reference = "The variable `first` contains a reference with a non-static lifetime so\ncan't be persisted.";
        assert!(
            told(reference, "", &notebook).starts_with("`first` borrows from another variable")
        );
        assert!(
            told("`x` does not live long enough", "E0597", &notebook)
                .contains("a borrow cannot be kept")
        );
        let unknown = "Couldn't automatically determine type of variable `pairs`.\nPlease give it an explicit type.";
        assert!(told(unknown, "", &notebook).contains("that of `pairs` is not known"));
        let closure = "The variable `half` is a closure, which cannot be persisted.";
        assert!(told(closure, "", &notebook).contains("write a function (`fn half("));
        let private = "The variable `it` has type `impl Iterator` which cannot be persisted.";
        assert!(told(private, "", &notebook).contains("that of `it` is not known or has no name"));
        assert_eq!(told("mismatched types", "E0308", &notebook), "");
    }
}
