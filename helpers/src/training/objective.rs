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
/// Batches count once [`Totals::settle`] has read their sums from the device. On a GPU that is done rarely: reading a
/// value waits until the GPU has finished everything before it.
#[derive(Default)]
pub(super) struct Totals {
    images: usize,
    loss: f64,
    correct: f64,
    /// The batches that do not count yet: their images; the sum of their losses and their right predictions, on the
    /// device, `(2,)`, `f64`.
    unread: Option<(usize, Tensor)>,
}

impl Totals {
    /// Reads the sums of the batches since the last call.
    ///
    /// # Errors
    /// If the device cannot be read.
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

    /// Adds a batch to `totals`, where [`Totals::settle`] makes it count.
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

    /// The number of right predictions, if there are classes; the mean loss; the number of images.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_read_late_are_those_read_at_once() {
        let objective = Objective::CrossEntropy { label_smoothing: 0.1 };
        // Two images without a preference, of which argmax takes class 0; one with probabilities of 1/2, 1/4 and 1/4.
        let alike = Tensor::from_slice(&[0f32; 6]).view([2, 3]);
        let sure = Tensor::from_slice(&[2f32.ln(), 0.0, 0.0]).view([1, 3]);
        let (mut at_once, mut late) = (Totals::default(), Totals::default());
        for (outputs, targets) in [(alike, vec![0i64, 1]), (sure, vec![1])] {
            let targets = Tensor::from_slice(&targets);
            objective.count(&outputs, &targets, None, &mut at_once).unwrap();
            at_once.settle().unwrap();
            objective.count(&outputs, &targets, None, &mut late).unwrap();
        }
        assert_eq!(late.loss(), 0.0);
        late.settle().unwrap();
        assert_eq!(at_once.loss().to_bits(), late.loss().to_bits());
        // Weighted by images, and without smoothing.
        assert!((late.loss() - (2.0 * 3f64.ln() + 4f64.ln()) / 3.0).abs() < 1e-6);
        assert_eq!(late.metric(Metric::Accuracy), 1.0 / 3.0);
        assert_eq!(at_once.metric(Metric::Accuracy), 1.0 / 3.0);
    }
}
