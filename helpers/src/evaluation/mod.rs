//! Scores of a trained model: loss and accuracy with its interval ([`Evaluation`]), the confusion matrix and the scores of
//! each class ([`classification_report`]).

pub mod confusion;
pub mod metrics;
mod model;

pub use confusion::{ClassScores, ClassificationReport, classification_report, confusion_matrix};
pub use metrics::{Evaluation, most_probable, wilson_interval};
