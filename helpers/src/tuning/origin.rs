//! The conditions that the result of a trial was computed under.

use serde::{Deserialize, Serialize};

use crate::models::Precision;

/// The conditions that a result was computed under: code, threads and precision decide which trial it is the result of,
/// and the last digits depend on the processor, too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// SHA-256 of the trial without code, threads and precision: the same for the same training under other conditions.
    pub task: String,
    /// The version of the code.
    pub code: String,
    /// Number of threads.
    pub threads: usize,
    /// The number format of matrix products.
    pub precision: Precision,
    /// The widest instructions of the processor.
    pub processor: String,
}
