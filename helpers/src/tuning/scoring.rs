//! The scores of a trial on one part, and the metric that ranks it.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::data::Subset;
use crate::error::Result;
use crate::evaluation::{Evaluation, argmax, confusion_matrix, top_k_accuracy};
use crate::models::Model;

/// The scores on one part, by every metric that can rank trials.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Score {
    /// Images scored.
    pub images: usize,
    /// Mean cross-entropy.
    pub loss: f64,
    /// Share of images that are right, in 0..=1.
    pub accuracy: f64,
    /// Mean over the classes of the share of their images that are right; scikit-learn's `balanced_accuracy_score`.
    pub balanced_accuracy: f64,
    /// Mean over the classes of their F1; scikit-learn's `f1_score` with `average="macro"`.
    pub f1_macro: f64,
    /// Share of images whose class is among the two most probable; scikit-learn's `top_k_accuracy_score`.
    pub top_k_accuracy: f64,
}

impl Score {
    /// Scores predicted probabilities, with scikit-learn's defaults: classes without an image and without a prediction
    /// do not count.
    ///
    /// - `probabilities`: shape `(N, classes)`, rows that add up to 1
    /// - `y_true`: class ids in `0..classes`, shape `(N,)`
    ///
    /// # Errors
    /// As [`Evaluation::from_probabilities`].
    pub fn from_probabilities(probabilities: &Array2<f32>, y_true: &[i64]) -> Result<Score> {
        let Evaluation { images, loss, accuracy, .. } =
            Evaluation::from_probabilities(probabilities, y_true)?;
        let classes = probabilities.ncols();
        let matrix = confusion_matrix(y_true, &argmax(probabilities)?, classes)?;
        let (mut recalls, mut f1s) = (Vec::new(), Vec::new());
        for class in 0..classes {
            let right = matrix[(class, class)] as f64;
            let (support, called) = (matrix.row(class).sum(), matrix.column(class).sum());
            if support > 0 {
                recalls.push(right / support as f64);
            }
            if support + called > 0 {
                f1s.push(2.0 * right / (support + called) as f64);
            }
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        Ok(Score {
            images,
            loss,
            accuracy,
            balanced_accuracy: mean(&recalls),
            f1_macro: mean(&f1s),
            top_k_accuracy: top_k_accuracy(y_true, probabilities, 2)?,
        })
    }

    /// The scores of a model on a part.
    pub(super) fn of(model: &Model, part: &Subset) -> Result<Score> {
        model.check_classes(part)?;
        let probabilities = model.predict(part)?;
        Score::from_probabilities(&probabilities, &part.labels())
    }
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
    /// The mean share of images that are classified correctly, each class counted once.
    BalancedAccuracy,
    /// The mean F1, each class counted once.
    F1Macro,
    /// Share of images whose class is among the two most probable.
    TopKAccuracy,
}

impl Scoring {
    pub(super) const ALL: [Scoring; 5] = [
        Scoring::Accuracy,
        Scoring::NegLogLoss,
        Scoring::BalancedAccuracy,
        Scoring::F1Macro,
        Scoring::TopKAccuracy,
    ];

    /// scikit-learn's name.
    pub fn name(self) -> &'static str {
        match self {
            Scoring::Accuracy => "accuracy",
            Scoring::NegLogLoss => "neg_log_loss",
            Scoring::BalancedAccuracy => "balanced_accuracy",
            Scoring::F1Macro => "f1_macro",
            Scoring::TopKAccuracy => "top_k_accuracy",
        }
    }

    /// Whether it lies in 0..=1, and is shown in percent.
    pub(crate) fn is_share(self) -> bool {
        self != Scoring::NegLogLoss
    }

    /// Whether each epoch of a training has it, on its validation part.
    pub(super) fn is_of_epochs(self) -> bool {
        matches!(self, Scoring::Accuracy | Scoring::NegLogLoss)
    }

    /// This metric of a part's scores.
    pub(super) fn of(self, score: &Score) -> f64 {
        match self {
            Scoring::Accuracy => score.accuracy,
            Scoring::NegLogLoss => -score.loss,
            Scoring::BalancedAccuracy => score.balanced_accuracy,
            Scoring::F1Macro => score.f1_macro,
            Scoring::TopKAccuracy => score.top_k_accuracy,
        }
    }
}
