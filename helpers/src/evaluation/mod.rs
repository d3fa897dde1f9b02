//! Scores of a trained model.

pub mod metrics;

pub use metrics::{Evaluation, wilson_interval};
