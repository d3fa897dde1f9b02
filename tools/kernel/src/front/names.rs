//! The names in helpers' sources, read line by line as rustfmt writes them: what a cell may use, and its documentation.
//!
//! evcxr's analyser knows all of it, and more, but answers nothing while evcxr runs a cell.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use ra_ap_rustc_lexer::is_id_continue;

/// A name that several types have, as `new`, is explained by the first so many of them.
const MOST: usize = 3;
/// More lines of a head are not shown.
const LONGEST_HEAD: usize = 12;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Names {
    /// Names of fields, and of functions with `()`: those that are offered, and those that are not under any type.
    public: HashSet<String>,
    private: HashSet<String>,
    /// The heads and texts of all public items of a name.
    documented: BTreeMap<String, Vec<String>>,
}

impl Names {
    /// Those of a crate in this folder.
    pub(crate) fn read(sources: &Path) -> Names {
        let mut names = Names::default();
        names.read_folder(sources);
        names.private.retain(|name| !names.public.contains(name));
        names
    }

    /// Names that are private everywhere: no public field or function is called so.
    pub(crate) fn private(&self) -> &HashSet<String> {
        &self.private
    }

    /// Fields and functions that are offered.
    pub(crate) fn members(&self) -> impl Iterator<Item = &str> {
        self.public.iter().map(|name| name.trim_end_matches("()"))
    }

    /// Types, functions and constants that are offered.
    pub(crate) fn items(&self) -> impl Iterator<Item = &str> {
        self.documented.keys().map(String::as_str)
    }

    /// Whether this is one of [`Names::items`].
    pub(crate) fn has_item(&self, name: &str) -> bool {
        self.documented.contains_key(name)
    }

    /// What is said of a name, in Markdown.
    pub(crate) fn documentation(&self, name: &str) -> Option<String> {
        let texts = self.documented.get(name)?;
        Some(texts[..texts.len().min(MOST)].join("\n\n---\n\n"))
    }

    fn read_folder(&mut self, folder: &Path) {
        let mut paths: Vec<_> = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                self.read_folder(&path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap_or_default();
                // Tests use what they like.
                self.read_text(text.split("#[cfg(test)]").next().unwrap_or_default());
            }
        }
    }

    fn read_text(&mut self, text: &str) {
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        let mut said: Vec<&str> = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            if let Some(words) = line.strip_prefix("///") {
                said.push(words.strip_prefix(' ').unwrap_or(words));
                continue;
            }
            self.read_member(line);
            if let Some(name) = item(line) {
                let head = lines[at..].iter().take(LONGEST_HEAD);
                let last = head
                    .clone()
                    .position(|line| line.ends_with(['{', ';']) || line.ends_with("},"));
                let head: Vec<&str> = head.take(last.map_or(1, |last| last + 1)).copied().collect();
                let head = head.join("\n");
                let head = head.trim_end_matches([' ', '{', ';']);
                let text = format!("```rust\n{head}\n```\n\n{}", said.join("\n"));
                self.documented.entry(name.to_owned()).or_default().push(text);
            }
            // An attribute stands between a text and its item.
            if !line.starts_with("#[") {
                said.clear();
            }
        }
    }

    /// A line that declares a function or a field begins with its visibility and name.
    fn read_member(&mut self, line: &str) {
        let (names, rest) = match line.strip_prefix("pub ") {
            Some(rest) => (&mut self.public, rest),
            None => (
                &mut self.private,
                line.strip_prefix("pub(crate) ")
                    .or(line.strip_prefix("pub(super) "))
                    .unwrap_or(line),
            ),
        };
        let rest = without_qualifiers(rest);
        let (is_function, rest) = match rest.strip_prefix("fn ") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (name, after) = split_name(rest);
        let is_field = after.starts_with(": ") && after.ends_with(',');
        if !name.is_empty() && (is_function || is_field) {
            names.insert(named(name, is_function));
        }
    }
}

/// The name of the public item that this line declares.
fn item(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub ")?;
    let constant = rest.strip_prefix("const ").filter(|rest| !rest.starts_with("fn "));
    let rest = without_qualifiers(rest);
    let rest = ["fn ", "struct ", "enum ", "trait ", "type "]
        .iter()
        .find_map(|word| rest.strip_prefix(word));
    let (name, _) = split_name(rest.or(constant)?);
    (!name.is_empty()).then_some(name)
}

fn without_qualifiers(rest: &str) -> &str {
    ["const ", "unsafe ", "async "]
        .iter()
        .fold(rest, |rest, word| rest.strip_prefix(word).unwrap_or(rest))
}

fn split_name(rest: &str) -> (&str, &str) {
    rest.split_at(rest.len() - rest.trim_start_matches(is_id_continue).len())
}

/// A field, or a function, of this name: there may be one of each.
pub(crate) fn named(name: &str, is_function: bool) -> String {
    if is_function { format!("{name}()") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(source: &str) -> Names {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("lib.rs"), source).unwrap();
        Names::read(folder.path())
    }

    #[test]
    fn names_are_private_that_nobody_offers() {
        let source = "pub struct Model {\n    pub name: String,\n    weights: Vec<f32>,\n    len: usize,\n}\n\
            pub(crate) fn step(&self) {}\n    pub fn len(&self) -> usize {\n fn len(&self) {}\n\
            #[cfg(test)]\nmod tests { fn used() {} }\n";
        let private = ["weights".to_owned(), "len".to_owned(), "step()".to_owned()].into();
        assert_eq!(names(source).private(), &private);
    }

    #[test]
    fn an_item_is_explained_by_its_head_and_text() {
        let source = "/// Trains.\n///\n/// # Errors\n/// If not.\n#[must_use]\npub fn fit(\n    &mut self,\n) -> Result<()> {\n    \
            x\n}\n/// Most epochs.\npub const MOST: usize = 3;\n// A comment.\npub struct Bare;\n/// Another.\npub fn fit(x: u8) {\n";
        let names = names(source);
        let fit = names.documentation("fit").unwrap();
        assert!(
            fit.starts_with("```rust\npub fn fit(\n&mut self,\n) -> Result<()>\n```\n\nTrains.\n\n# Errors\nIf not."),
            "{fit}"
        );
        assert!(fit.ends_with("---\n\n```rust\npub fn fit(x: u8)\n```\n\nAnother."), "{fit}");
        assert!(names.documentation("MOST").unwrap().ends_with("Most epochs."));
        assert_eq!(names.documentation("Bare").unwrap(), "```rust\npub struct Bare\n```\n\n");
        assert_eq!(names.documentation("x"), None);
        assert!(names.has_item("Bare") && !names.has_item("x"));
    }
}
