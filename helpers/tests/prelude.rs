//! The prelude holds what notebooks use, and nothing else.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// The code of all notebooks, comments and strings apart.
fn code_of_notebooks() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../notebooks");
    let mut code = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "ipynb") {
            continue;
        }
        let notebook: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        for cell in notebook["cells"].as_array().unwrap() {
            if cell["cell_type"] == "code" {
                let lines = cell["source"].as_array().unwrap().iter().map(|l| l.as_str().unwrap());
                lines.for_each(|line| code += line.split("//").next().unwrap());
                code.push('\n');
            }
        }
    }
    // What stands between quotation marks is every other piece.
    code.replace("\\\"", "").split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

/// The names that a cell gets from the prelude.
fn names_of_the_prelude() -> Vec<String> {
    let source = include_str!("../src/prelude.rs");
    let code: Vec<&str> = source.lines().filter(|line| !line.starts_with("//")).collect();
    let code = code.join(" ");
    let uses = code.split(';').filter_map(|line| line.trim().strip_prefix("pub use crate::"));
    let listed = uses.flat_map(|path| {
        let names = path.split_once('{').map_or(path, |(_, names)| names.trim_end_matches('}'));
        names.split(',').map(|name| name.rsplit([' ', ':']).next().unwrap_or(name).to_owned())
    });
    // A trait that is there for its method has no name.
    listed.filter(|name| !name.is_empty() && name != "_").collect()
}

#[test]
fn every_name_of_the_prelude_stands_in_a_notebook() {
    let code = code_of_notebooks();
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    let words: std::collections::HashSet<&str> = code.split(|c| !is_name(c)).collect();
    let names = names_of_the_prelude();
    assert!(names.len() > 50 && words.contains("let"), "{names:?}");
    let unused: Vec<&String> = names.iter().filter(|name| !words.contains(name.as_str())).collect();
    assert!(unused.is_empty(), "no notebook uses {unused:?}: take them out of the prelude");
}
