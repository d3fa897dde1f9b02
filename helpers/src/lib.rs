//! Deep learning on image data, for Rust notebooks: Keras's words for models and training, scikit-learn's for splits
//! and search.
//!
//! The rooms, in the order a project meets them (which of them may use which: `docs/architecture.md`):
//!
//! - [`data`]: `X.npy` and `y.npy` become a [`data::Dataset`], split and served in batches
//! - [`layers`]: what each layer does, a file each, and kernel initializers
//! - [`models`]: the `Sequential` builder, and the `Model` that it builds
//! - [`architectures`]: ready-made networks for the course's tasks
//! - [`training`]: `fit`, early stopping, learning-rate schedules, `History`
//! - [`features`]: outputs of frozen layers for each image, computed once
//! - [`evaluation`]: accuracy with its interval, confusion matrix, per-class report
//! - [`tuning`]: parameter grids, folds and the grid search
//! - [`report`]: tables and sentences about data, trainings, scores and searches
//! - [`plot`]: pictures that show themselves in a notebook
//! - [`display`]: what a cell shows: HTML tables and PNG pictures
//! - [`text`]: how text from elsewhere, numbers and durations are written
//! - [`artifacts`]: where models, metrics and figures are kept
//! - [`error`]: what went wrong, what was expected, and what to do
//!
//! A notebook starts with `use helpers::prelude::*;`.

// Errors carry a text and do not panic: `clippy.toml` lists the calls of tch that would panic.
#![cfg_attr(not(test), warn(clippy::expect_used, clippy::panic, clippy::unwrap_used))]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test may panic"))]

pub mod architectures;
pub mod artifacts;
pub mod data;
pub mod display;
mod engine;
pub mod error;
pub mod evaluation;
pub mod features;
pub mod layers;
pub mod models;
pub mod plot;
pub mod prelude;
pub mod report;
pub mod system;
pub mod text;
pub mod training;
pub mod tuning;

pub use error::{Error, Result};
