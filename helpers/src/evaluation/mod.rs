//! Scores of a trained model: loss and accuracy with its interval ([`Evaluation`]), the confusion matrix and the scores of
//! each class ([`classification_report`]), and whether two models differ by more than chance ([`Comparison`]).

pub mod compare;
pub mod confusion;
pub mod metrics;
mod model;

pub use compare::{Comparison, Comparisons, mcnemar_exact};
pub use confusion::{ClassScores, ClassificationReport, classification_report, confusion_matrix};
pub use metrics::{Evaluation, most_probable, wilson_interval};
