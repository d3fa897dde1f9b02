//! Scores of a trained model.

pub mod metrics;
mod model;

pub use metrics::{Evaluation, wilson_interval};
