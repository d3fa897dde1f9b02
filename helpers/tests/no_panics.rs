//! Clippy refuses the calls of tch that panic, by the list in `clippy.toml`: here the list is held to the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::rooms::rust_files;

/// Each call whose error is passed on has a twin without `f_`, which panics.
#[test]
fn the_twin_of_each_call_that_gives_an_error_is_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = fs::read_to_string(folder.join("clippy.toml")).unwrap();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut missing = BTreeSet::new();
    for file in rust_files(&folder.join("src")) {
        let text = fs::read_to_string(file).unwrap();
        for call in text.split([':', '.']).filter_map(|part| part.strip_prefix("f_")) {
            let name = &call[..call.find(|c| !is_part(c)).unwrap_or(call.len())];
            let listed = |prefix| list.contains(&format!("\"tch::Tensor::{prefix}{name}\""));
            if !(listed("") || listed("g_")) {
                missing.insert(name.to_owned());
            }
        }
    }
    assert!(missing.is_empty(), "clippy.toml lacks the twins of {missing:?}");
}
