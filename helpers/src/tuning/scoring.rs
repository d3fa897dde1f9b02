//! The scores of a trial on one part, and the metric that ranks it.

use serde::{Deserialize, Serialize};

/// Loss and accuracy on one part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Images scored.
    pub images: usize,
    /// Mean cross-entropy.
    pub loss: f64,
    /// Share of images that are right, in 0..=1.
    pub accuracy: f64,
}

/// The metric that ranks trials; higher is better, as with all of scikit-learn's scorers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scoring {
    /// Share of images that are classified correctly.
    #[default]
    Accuracy,
    /// The mean cross-entropy, negative.
    NegLogLoss,
}

impl Scoring {
    pub(super) const ALL: [Scoring; 2] = [Scoring::Accuracy, Scoring::NegLogLoss];

    /// scikit-learn's name.
    pub fn name(self) -> &'static str {
        match self {
            Scoring::Accuracy => "accuracy",
            Scoring::NegLogLoss => "neg_log_loss",
        }
    }

    /// This metric of a part's scores.
    pub(super) fn of(self, score: &Score) -> f64 {
        match self {
            Scoring::Accuracy => score.accuracy,
            Scoring::NegLogLoss => -score.loss,
        }
    }
}
