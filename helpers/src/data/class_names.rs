//! Names of classes: which texts are allowed, and the names in `classes.txt`, one a line in the order of the ids.

use std::collections::BTreeSet;
use std::path::Path;

use super::file_errors::{quoted, unreadable, wrong};
use crate::error::Result;
use crate::system::files::{ReadError, read_regular};

/// Most characters of a name.
const LONGEST_NAME: usize = 200;
/// Largest `classes.txt` that is read, in bytes.
const LARGEST_CLASSES_FILE: u64 = 1 << 20;

/// The lines of `classes.txt`; none when there is no such file.
pub(super) fn read_classes(path: &Path) -> Result<Option<Vec<String>>> {
    let unreadable =
        |source| unreadable(path, source, "mend the link, or remove it: the file may be left out");
    // A dangling link is an error and not a missing file: someone wanted names.
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        _ => {}
    }
    let expected = "a text file with the name of a class on each line";
    let bytes = read_regular(path, LARGEST_CLASSES_FILE).map_err(|unread| match unread {
        ReadError::Io(source) => unreadable(source),
        ReadError::Other(found) => {
            wrong(path, expected, found, "remove it, or write the names alone into a file")
        }
    })?;
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(wrong(
            path,
            expected,
            "bytes that are not UTF-8".to_owned(),
            "save it as UTF-8",
        ));
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text).trim_end();
    let lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    let mut seen = BTreeSet::new();
    for (number, line) in (1..).zip(&lines) {
        if let Err(found) = check_name(line) {
            let advice = "write one printable name a line";
            return Err(wrong(path, expected, format!("{found} in line {number}"), advice));
        }
        if !seen.insert(line) {
            let found = format!("{} a second time in line {number}", quoted(line));
            return Err(wrong(path, "different names", found, "tell the classes apart"));
        }
    }
    Ok(Some(lines))
}

/// The names in `classes.txt` if they fit `found` in y: one per class or, if y holds names itself, the same names.
pub(super) fn choose_names(
    path: &Path,
    lines: Vec<String>,
    found: Vec<String>,
    found_are_names: bool,
) -> Result<Vec<String>> {
    if lines.len() != found.len() {
        let expected = format!("{} names, one for each class in y.npy", found.len());
        return Err(wrong(
            path,
            &expected,
            lines.len().to_string(),
            "write one name a line, or remove the file",
        ));
    }
    if !found_are_names {
        return Ok(lines);
    }
    // Strings in y name their classes themselves; they are numbered in sorted order, as scikit-learn does.
    match lines.iter().find(|line| found.binary_search(line).is_err()) {
        None => Ok(found),
        Some(stranger) => {
            let found = format!("{}, which is no label in y.npy", quoted(stranger));
            Err(wrong(
                path,
                "the strings of y.npy",
                found,
                "remove the file: y.npy names its classes itself",
            ))
        }
    }
}

/// Says why a text cannot be the name of a class.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    if name.trim().is_empty() {
        return Err("nothing but blanks".to_owned());
    }
    if let Some(letter) =
        name.chars().find(|letter| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}'))
    {
        return Err(format!("the control character U+{:04X}", letter as u32));
    }
    let length = name.chars().count();
    if length > LONGEST_NAME {
        return Err(format!("{length} characters, where {LONGEST_NAME} are the most,"));
    }
    Ok(())
}
