//! What training makes smaller, and the sums over an epoch.

use tch::{Kind, Reduction, Tensor};

use super::history::Metric;
use super::mixing::Mixed;
use crate::error::Result;

/// What training makes smaller.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Objective {
    /// Between class ids and logits.
    CrossEntropy { label_smoothing: f64 },
    /// Between clean images and outputs.
    MeanSquaredError,
}

/// Sums over the images of an epoch. Those of the loss are of the plain one, whatever training makes smaller: nothing
/// smoothed, and of a mixed image the class with the larger share, so that training and validation can be compared.
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
    /// What training makes smaller, the mean over a batch, to be differentiated.
    ///
    /// # Errors
    /// If libtorch refuses: targets and outputs do not fit, or memory is short.
    pub(super) fn loss(
        self,
        outputs: &Tensor,
        targets: &Tensor,
        mixed: Option<&Mixed>,
    ) -> Result<Tensor> {
        let of = |targets| self.loss_for(outputs, targets);
        Ok(match mixed {
            None => of(targets)?,
            // The same as the cross-entropy of the mixed classes, which is linear in them.
            Some(Mixed { partners, share }) => of(targets)?
                .f_mul_scalar(*share)?
                .f_add(&of(partners)?.f_mul_scalar(1.0 - share)?)?,
        })
    }

    fn loss_for(self, outputs: &Tensor, targets: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Objective::CrossEntropy { label_smoothing: smoothing } => {
                let weight = None::<&Tensor>;
                outputs.f_cross_entropy_loss(targets, weight, Reduction::Mean, -100, smoothing)?
            }
            // Image by image: libtorch cuts the sum over a whole batch among its threads, and its last bits depend on how
            // many those are.
            Objective::MeanSquaredError => outputs
                .f_mse_loss(targets, Reduction::None)?
                .f_flatten(1, -1)?
                .f_mean_dim(&[1i64][..], false, Kind::Float)?
                .f_mean(Kind::Float)?,
        })
    }

    /// Adds a batch to `totals`.
    ///
    /// # Errors
    /// As [`Objective::loss`].
    pub(super) fn count(
        self,
        outputs: &Tensor,
        targets: &Tensor,
        mixed: Option<&Mixed>,
        totals: &mut Totals,
    ) -> Result<()> {
        let (outputs, mut plain) = (outputs.f_detach()?, self);
        let targets = match mixed {
            Some(Mixed { partners, share }) if *share < 0.5 => partners,
            _ => targets,
        };
        if let Objective::CrossEntropy { label_smoothing } = &mut plain {
            *label_smoothing = 0.0;
            let correct = outputs.f_argmax(-1, false)?.f_eq_tensor(targets)?;
            totals.correct += correct.f_sum(Kind::Int64)?.f_int64_value(&[])? as f64;
        }
        let images = targets.size()[0] as usize;
        totals.images += images;
        totals.loss += plain.loss_for(&outputs, targets)?.f_double_value(&[])? * images as f64;
        Ok(())
    }
}
