//! Errors about the files of a data set, and how their contents are quoted in them.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// What to do when X.npy or y.npy is not there.
pub(super) const MISSING: &str =
    "`cargo xtask data` fetches X.npy and y.npy, or put your own there";
/// What is expected of a file in use.
pub(super) const UNCHANGED: &str = "the file to stay as it was";
pub(super) const SAVE_AGAIN: &str = "save the array again with np.save";
pub(super) const CUT_OFF: &str = "it was cut off; copy or save it again";

/// An [`Error::File`].
pub(super) fn wrong(path: &Path, expected: &str, found: String, advice: &str) -> Error {
    Error::File {
        path: path.to_owned(),
        expected: expected.to_owned(),
        found,
        advice: advice.to_owned(),
    }
}

/// An [`Error::File`] that several are told of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FileFault {
    path: PathBuf,
    expected: String,
    found: String,
    advice: String,
}

impl From<Error> for FileFault {
    fn from(error: Error) -> FileFault {
        match error {
            Error::File { path, expected, found, advice } => {
                FileFault { path, expected, found, advice }
            }
            // Checks of values have no other error.
            other => FileFault {
                path: PathBuf::new(),
                expected: "a file that can be checked".to_owned(),
                found: other.to_string(),
                advice: SAVE_AGAIN.to_owned(),
            },
        }
    }
}

impl From<&FileFault> for Error {
    fn from(fault: &FileFault) -> Error {
        let FileFault { path, expected, found, advice } = fault.clone();
        Error::File { path, expected, found, advice }
    }
}

/// An [`Error::Io`]; `missing` says what to do when the file is not there.
pub(super) fn unreadable(path: &Path, source: std::io::Error, missing: &str) -> Error {
    let advice = match source.kind() {
        ErrorKind::NotFound => missing,
        ErrorKind::PermissionDenied => "make it readable with chmod +r",
        _ => "copy it again",
    };
    Error::Io { action: "read", path: path.to_owned(), source, advice: advice.to_owned() }
}

/// Text from a file as one short line that cannot be mistaken for anything else.
pub(super) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(60).collect();
    format!("{shown:?}{}", if shown.len() < text.len() { "…" } else { "" })
}

/// A `bool` array with a byte that is neither 0 nor 1; every other accepted type can hold any bytes.
pub(super) fn no_truth_values(path: &Path) -> Error {
    wrong(path, "truth values of 0 or 1", "bytes that are neither".to_owned(), SAVE_AGAIN)
}

/// A shape as NumPy prints it: `(2, 3)`, `(2,)`, `()`.
pub(crate) fn shown_shape(shape: &[usize]) -> String {
    match shape {
        [one] => format!("({one},)"),
        _ => format!("({})", shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    }
}
