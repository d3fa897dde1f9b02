//! The settings of an import.

use std::path::PathBuf;

use serde::Serialize;

use crate::picture::Fit;

/// The settings of an import.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    /// A folder with a subfolder for each class, a CSV file, or a file with arrays.
    pub source: PathBuf,
    /// Side length of each picture in pixels.
    pub side: usize,
    /// Whether pictures are converted to grey.
    pub grey: bool,
    /// How a picture that is not square is fitted.
    pub fit: Fit,
    /// The folder for the files.
    pub into: PathBuf,
}
