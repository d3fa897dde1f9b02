//! The training objective, and the sums over an epoch.

use tch::{Kind, Reduction, Tensor};

use super::history::Metric;
use super::mixing::Mixed;
use crate::error::Result;

/// The training objective: the loss that training minimises.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Objective {
    /// Between class ids and logits.
    CrossEntropy { label_smoothing: f64 },
    /// Between clean images and outputs.
    MeanSquaredError,
}

/// Sums over the images of an epoch. The loss here is always the plain one, without smoothing and with the class of the
/// larger share for mixed images, so that training and validation can be compared.
///
/// On a GPU a sum stays there until [`Totals::settle`] reads it: reading waits for everything that was asked of the GPU
/// before.
#[derive(Default)]
pub(super) struct Totals {
    images: usize,
    loss: f64,
    correct: f64,
    /// Images, and the sums of their losses and of the right predictions, `(2,)`, `f64`, that are not in the others yet.
    unread: Option<(usize, Tensor)>,
}

impl Totals {
    /// Adds what is still on the device.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn settle(&mut self) -> Result<()> {
        if let Some((images, sums)) = self.unread.take() {
            let sums = Vec::<f64>::try_from(sums)?;
            self.images += images;
            self.loss += sums[0];
            self.correct += sums[1];
        }
        Ok(())
    }

    /// The mean loss over the images so far.
    pub(super) fn loss(&self) -> f64 {
        self.loss / self.images.max(1) as f64
    }

    /// The PSNR of the mean squared error over all images, not the mean of the images' PSNRs.
    pub(super) fn metric(&self, metric: Metric) -> f64 {
        match metric {
            Metric::Accuracy => self.correct / self.images.max(1) as f64,
            Metric::Psnr => -10.0 * self.loss().log10(),
        }
    }
}

impl Objective {
    /// The loss to differentiate: its mean over a batch.
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
            // Equals the cross-entropy with mixed targets, because that is linear in them.
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
            // Per image first: libtorch splits a sum over the whole batch among its threads, so its last bits depend on
            // their number.
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
        let (correct, loss, images) = self.sums(outputs, targets, mixed)?;
        totals.images += images;
        totals.loss += loss.f_double_value(&[])? * images as f64;
        if let Some(correct) = correct {
            totals.correct += correct.f_int64_value(&[])? as f64;
        }
        Ok(())
    }

    /// [`Objective::count`] that reads nothing until [`Totals::settle`].
    ///
    /// # Errors
    /// As [`Objective::loss`].
    pub(super) fn count_later(
        self,
        outputs: &Tensor,
        targets: &Tensor,
        mixed: Option<&Mixed>,
        totals: &mut Totals,
    ) -> Result<()> {
        let (correct, loss, images) = self.sums(outputs, targets, mixed)?;
        let loss = loss.f_to_kind(Kind::Double)?.f_mul_scalar(images as f64)?;
        let correct = match correct {
            Some(correct) => correct.f_to_kind(Kind::Double)?,
            None => loss.f_zeros_like()?,
        };
        let sums = Tensor::f_stack(&[loss, correct], 0)?;
        totals.unread = Some(match totals.unread.take() {
            None => (images, sums),
            Some((before, earlier)) => (before + images, earlier.f_add(&sums)?),
        });
        Ok(())
    }

    /// How many predictions are right, if there are classes; the mean loss; and the number of images.
    fn sums(
        self,
        outputs: &Tensor,
        targets: &Tensor,
        mixed: Option<&Mixed>,
    ) -> Result<(Option<Tensor>, Tensor, usize)> {
        let (outputs, mut plain) = (outputs.f_detach()?, self);
        let targets = match mixed {
            Some(Mixed { partners, share }) if *share < 0.5 => partners,
            _ => targets,
        };
        let mut correct = None;
        if let Objective::CrossEntropy { label_smoothing } = &mut plain {
            *label_smoothing = 0.0;
            let hits = outputs.f_argmax(-1, false)?.f_eq_tensor(targets)?;
            correct = Some(hits.f_sum(Kind::Int64)?);
        }
        Ok((correct, plain.loss_for(&outputs, targets)?, targets.size()[0] as usize))
    }
}
