//! The files of models, metrics and figures in `export/`.
//!
//! ```text
//! export/metrics/NAME.json          Metrics, one file for each notebook that trains
//! export/models/NAME.safetensors    weights, the configuration in their metadata
//! export/predictions/NAME.json      Predictions on the test part, for the comparison
//! export/predictions/NAME.npy       the probabilities behind them, for Python
//! export/figures/NAME.png           pictures, where a notebook saves one
//! export/history/NAME.json, .csv    the record of a training, epoch by epoch
//! ```
//!
//! Start at [`Artifacts::new`]. Every file is written whole or not at all.

pub mod comparison;
pub mod folder;
pub mod metrics;
mod names;
pub mod predictions;
mod provenance;
pub mod run;

pub use comparison::{by_accuracy, compare_predictions};
pub use folder::Artifacts;
pub use metrics::{Denoising, Metrics, Scores, SplitSizes};
pub(crate) use names::{display_name, name_in_sentence};
pub use predictions::Predictions;
pub use run::{DenoisingResult, ModelResult, ModelResults, Run, TestResult};

pub use crate::system::environment::{Environment, code_version};

#[cfg(test)]
pub(crate) mod tests;
