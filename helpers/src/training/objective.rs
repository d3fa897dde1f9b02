//! What training makes smaller, and the sums over an epoch.

use tch::{Kind, Reduction, Tensor};

use super::history::Metric;
use crate::error::Result;

/// What training makes smaller.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Objective {
    /// Between class ids and logits.
    CrossEntropy { label_smoothing: f64 },
    /// Between clean images and outputs.
    MeanSquaredError,
}

/// Sums over the images of an epoch.
#[derive(Default)]
pub(super) struct Totals {
    images: usize,
    loss: f64,
    correct: f64,
}

impl Totals {
    /// The mean loss over the images so far.
    pub(super) fn loss(&self) -> f64 {
        self.loss / self.images.max(1) as f64
    }

    /// The mean squared error is one over all images, so its PSNR is theirs too.
    pub(super) fn metric(&self, metric: Metric) -> f64 {
        match metric {
            Metric::Accuracy => self.correct / self.images.max(1) as f64,
            Metric::Psnr => -10.0 * self.loss().log10(),
        }
    }
}

impl Objective {
    /// The mean loss over a batch, to be differentiated while training, and its value; adds the batch to `totals`.
    ///
    /// # Errors
    /// If libtorch refuses: targets and outputs do not fit, or memory is short.
    pub(super) fn loss(
        self,
        outputs: &Tensor,
        targets: &Tensor,
        training: bool,
        totals: &mut Totals,
    ) -> Result<(Tensor, f64)> {
        let loss = match self {
            Objective::CrossEntropy { label_smoothing } => {
                let smoothing = if training { label_smoothing } else { 0.0 };
                let predicted = outputs.f_detach()?.f_argmax(-1, false)?;
                let correct = predicted.f_eq_tensor(targets)?.f_sum(Kind::Int64)?;
                totals.correct += correct.f_int64_value(&[])? as f64;
                outputs.f_cross_entropy_loss(
                    targets,
                    None::<&Tensor>,
                    Reduction::Mean,
                    -100,
                    smoothing,
                )?
            }
            Objective::MeanSquaredError => outputs.f_mse_loss(targets, Reduction::Mean)?,
        };
        let images = targets.size()[0] as usize;
        let value = loss.f_double_value(&[])?;
        totals.images += images;
        totals.loss += value * images as f64;
        Ok((loss, value))
    }
}
