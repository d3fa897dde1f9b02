//! What a person asks for.

use std::path::PathBuf;

use serde::Serialize;

use crate::picture::Fit;

/// What a person asks for.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    /// A folder with a subfolder for each class, a CSV file, or arrays as they are.
    pub source: PathBuf,
    /// Pixels a side of each picture.
    pub side: usize,
    /// Whether pictures become grey.
    pub grey: bool,
    /// What becomes of a picture that is no square.
    pub fit: Fit,
    /// Where the files go.
    pub into: PathBuf,
}
