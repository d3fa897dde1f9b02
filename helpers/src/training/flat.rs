//! AdamW on tensors of any device: a few operations update all weights at once.

use tch::{Kind, Tensor};

use super::adam::{BETA_1, BETA_2, EPSILON, Factors, Moments};
use super::average::Followers;
use crate::error::Result;
use crate::layers::Weight;

/// All trained weights in one tensor, and their moments in two more. To start an operation takes a GPU as long as to
/// update a whole layer, so a step should have few operations.
pub(super) struct FlatWeights {
    /// Indices of the trained weights in the order of these tensors: first those that decay, then the others.
    order: Vec<usize>,
    values: Tensor,
    first: Tensor,
    second: Tensor,
    /// The moving average of the values; none before the first step that updates it.
    average: Option<Tensor>,
    /// How many values decay.
    decaying: i64,
}

impl FlatWeights {
    /// Moves the trained weights into one tensor; each of `weights` becomes a view of its part.
    pub(super) fn new(weights: &mut [Weight]) -> Result<FlatWeights> {
        let (decaying, others): (Vec<usize>, Vec<usize>) = (0..weights.len())
            .filter(|&index| weights[index].trainable)
            .partition(|&index| weights[index].decay);
        let length = |of: &[usize]| of.iter().map(|&i| weights[i].tensor.numel() as i64).sum();
        let decaying_values = length(&decaying);
        let order = [decaying, others].concat();
        let values = joined(order.iter().map(|&index| weights[index].tensor.f_detach()))?;
        for (&index, view) in order.iter().zip(views(&values, &order, weights)?) {
            weights[index].tensor = view.f_set_requires_grad(true)?;
        }
        Ok(FlatWeights {
            first: values.f_zeros_like()?,
            second: values.f_zeros_like()?,
            order,
            values,
            average: None,
            decaying: decaying_values,
        })
    }

    /// One step of AdamW. A missing gradient counts as 0.
    pub(super) fn step(
        &mut self,
        weights: &[Weight],
        gradients: &[Tensor],
        step: Factors<f64>,
        followers: Option<Followers>,
    ) -> Result<()> {
        let _guard = tch::no_grad_guard();
        if self.order.is_empty() {
            return Ok(());
        }
        let gradient = joined(self.order.iter().map(|&index| match gradients[index].defined() {
            true => gradients[index].f_to_kind(Kind::Float),
            false => weights[index].tensor.f_zeros_like(),
        }))?;
        let _ = self.first.f_lerp_(&gradient, 1.0 - BETA_1)?;
        let _ = self.second.f_lerp_(&gradient.f_square()?, 1.0 - BETA_2)?;
        let mut update = self.second.f_sqrt()?;
        update = update.f_mul_scalar_(step.root)?.f_add_scalar_(EPSILON)?;
        update = self.first.f_div(&update)?.f_mul_scalar_(step.size)?;
        let _ = self.values.f_narrow(0, 0, self.decaying)?.f_mul_scalar_(step.keep)?;
        let _ = self.values.f_sub_(&update)?;
        if let Some(Followers { values, share }) = followers {
            if self.average.is_none() {
                let average = joined(self.order.iter().map(|&index| values[index].f_detach()))?;
                for (&index, view) in self.order.iter().zip(views(&average, &self.order, weights)?)
                {
                    values[index] = view;
                }
                self.average = Some(average);
            }
            if let Some(average) = &mut self.average {
                let _ = average.f_lerp_(&self.values, share)?;
            }
        }
        Ok(())
    }

    /// The moments of each weight; empty for those that are not trained.
    pub(super) fn moments(&self, weights: &[Weight]) -> Result<Vec<Moments>> {
        let mut found = vec![Moments::default(); weights.len()];
        let both = [&self.first, &self.second].map(|of| views(of, &self.order, weights));
        let [first, second] = both;
        for ((&index, first), second) in self.order.iter().zip(first?).zip(second?) {
            let values = |of: Tensor| Vec::<f32>::try_from(of.f_view([-1])?);
            found[index] = (values(first)?, values(second)?);
        }
        Ok(found)
    }

    /// Replaces the moments, which are in the order of [`FlatWeights::moments`].
    pub(super) fn set_moments(&mut self, moments: &[Moments]) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let order = &self.order;
        for (tensor, of) in [
            (&mut self.first, (|both: &Moments| &both.0) as fn(&Moments) -> &Vec<f32>),
            (&mut self.second, |both: &Moments| &both.1),
        ] {
            let parts = order.iter().map(|&index| Tensor::f_from_slice(of(&moments[index])));
            tensor.f_copy_(&joined(parts)?)?;
        }
        Ok(())
    }
}

/// The values of these tensors, one tensor after the other, `(values,)`; empty if there are none.
fn joined(
    tensors: impl Iterator<Item = std::result::Result<Tensor, tch::TchError>>,
) -> Result<Tensor> {
    let flat = tensors.map(|tensor| tensor?.f_reshape([-1])).collect::<Result<Vec<_>, _>>()?;
    match flat.is_empty() {
        true => Ok(Tensor::f_zeros([0], (Kind::Float, tch::Device::Cpu))?),
        false => Ok(Tensor::f_cat(&flat, 0)?),
    }
}

/// Cuts `flat` into views with the shapes of the weights in `order`.
fn views(flat: &Tensor, order: &[usize], weights: &[Weight]) -> Result<Vec<Tensor>> {
    let mut start = 0;
    order
        .iter()
        .map(|&index| {
            let size = weights[index].tensor.size();
            let length = size.iter().product();
            start += length;
            Ok(flat.f_narrow(0, start - length, length)?.f_view(&size[..])?)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::super::average::MovingAverage;
    use super::super::optimizer::AdamW;
    use super::*;
    use crate::system;

    /// A kernel, a bias, a weight without a gradient and a frozen one.
    fn weights() -> Vec<Weight> {
        tch::manual_seed(2);
        let weight = |name: &str, size: &[i64], trainable, decay| {
            let tensor = Tensor::randn(size, (Kind::Float, Device::Cpu));
            Weight::new(name, tensor.set_requires_grad(trainable), trainable, decay)
        };
        vec![
            weight("bias", &[5], true, false),
            weight("frozen", &[3, 3], false, true),
            weight("kernel", &[7, 5], true, true),
            weight("unused", &[4], true, false),
        ]
    }

    /// Both make twenty steps with a moving average and are restored from a checkpoint after ten.
    #[test]
    fn steps_are_those_of_the_fused_pass() {
        let run = |device| {
            let mut weights = weights();
            let copies = |of: &[Weight]| of.iter().map(|weight| weight.tensor.copy()).collect();
            let mut average = MovingAverage::new(0.9, copies(&weights));
            let mut adam = AdamW::new(&mut weights, 0.05, device).unwrap();
            tch::manual_seed(7);
            for step in 1..=20 {
                let gradients: Vec<Tensor> = weights
                    .iter()
                    .map(|weight| match weight.name.as_str() {
                        "unused" | "frozen" => Tensor::new(),
                        _ => Tensor::randn_like(&weight.tensor).to_kind(Kind::BFloat16),
                    })
                    .collect();
                let followers = Some(average.followers(step));
                adam.step(&mut weights, &gradients, 0.02, followers).unwrap();
                if step == 10 {
                    let (steps, moments) = (adam.steps(), adam.moments(&weights).unwrap());
                    adam = AdamW::new(&mut weights, 0.05, device).unwrap();
                    adam.restore(steps, moments).unwrap();
                }
            }
            let moments = adam.moments(&weights).unwrap();
            let tensors = weights.iter().map(|weight| weight.tensor.detach().copy());
            let averages = average.values.iter().map(|value| value.copy());
            (tensors.chain(averages).collect::<Vec<_>>(), moments)
        };
        let (flat, flat_moments) = run(system::device::Device::CpuReference);
        let (fused, fused_moments) = run(system::device::Device::Cpu);
        for (flat, fused) in flat.iter().zip(&fused) {
            assert!((flat - fused).abs().max().double_value(&[]) < 1e-5);
        }
        for (flat, fused) in flat_moments.iter().zip(&fused_moments) {
            assert_eq!((flat.0.len(), flat.1.len()), (fused.0.len(), fused.1.len()));
            let pairs = flat.0.iter().chain(&flat.1).zip(fused.0.iter().chain(&fused.1));
            assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-6));
        }
    }

    #[test]
    fn a_weight_stays_what_it_was_and_shares_its_memory_with_the_others() {
        let mut weights = weights();
        let before: Vec<Tensor> = weights.iter().map(|weight| weight.tensor.copy()).collect();
        let flat = FlatWeights::new(&mut weights).unwrap();
        for (weight, before) in weights.iter().zip(&before) {
            assert!(weight.tensor.equal(before) && weight.tensor.is_contiguous());
            assert_eq!(weight.tensor.requires_grad(), weight.trainable);
        }
        let _ = flat.values.shallow_clone().fill_(1.0);
        assert_eq!(weights[0].tensor.sum(Kind::Float).double_value(&[]), 5.0);
        assert!(weights[1].tensor.equal(&before[1]));
    }
}
