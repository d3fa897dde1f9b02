//! Mixing two training images: mixup and CutMix.

use tch::{Device, Kind, Tensor};

use super::config::FitConfig;
use crate::error::{Error, Result};

/// Mixes each image of a batch with another one of the batch. Draws come from libtorch's generator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mixing {
    mixup: f64,
    cutmix: f64,
}

/// The other half of a mixed batch's targets, besides the images' own classes.
pub(super) struct Mixed {
    /// Class ids of the images that were mixed in.
    pub partners: Tensor,
    /// The share of each image's own class in its target; the partner's is the rest.
    pub share: f64,
}

impl Mixing {
    pub(super) fn of(config: &FitConfig) -> Mixing {
        Mixing { mixup: config.mixup, cutmix: config.cutmix }
    }

    /// Whether nothing is to be mixed.
    pub(super) fn is_none(self) -> bool {
        self.mixup <= 0.0 && self.cutmix <= 0.0
    }

    /// The mixed batch and what to add to its targets; unchanged if nothing is to be mixed. If both kinds are set, each
    /// batch gets one of them, at even odds.
    ///
    /// # Errors
    /// If CutMix gets inputs without rows and columns, or libtorch refuses.
    pub(super) fn mix(self, inputs: Tensor, targets: &Tensor) -> Result<(Tensor, Option<Mixed>)> {
        let cuts = match (self.mixup > 0.0, self.cutmix > 0.0) {
            (false, false) => return Ok((inputs, None)),
            (true, true) => uniform()? < 0.5,
            (_, cuts) => cuts,
        };
        let share = beta(if cuts { self.cutmix } else { self.mixup })?;
        let order = Tensor::f_randperm(inputs.size()[0], (Kind::Int64, Device::Cpu))?;
        let order = order.f_to(inputs.device())?;
        let partners = targets.f_index_select(0, &order)?;
        let others = inputs.f_index_select(0, &order)?;
        let (inputs, share) = match cuts {
            true => cut(inputs, &others, share)?,
            false => (inputs.f_lerp(&others, 1.0 - share)?, share),
        };
        Ok((inputs, Some(Mixed { partners, share })))
    }
}

/// Copies a rectangle of `others`, about `1 - share` of the area, into `inputs` at the same position. Returns the share
/// of `inputs` that is left, which is larger where the rectangle is cut off at the border.
fn cut(inputs: Tensor, others: &Tensor, share: f64) -> Result<(Tensor, f64)> {
    let [_, _, height, width] = inputs.size()[..] else {
        let (expected, advice) = ("0 where inputs have no rows and columns", "`mixup` needs none");
        return Err(Error::parameter("cutmix", expected, "more", advice));
    };
    let of_side = (1.0 - share).sqrt();
    let between = |side: i64| -> Result<(i64, i64)> {
        let half = (side as f64 * of_side) as i64 / 2;
        let centre = (uniform()? * side as f64) as i64;
        let (from, to) = ((centre - half).max(0), (centre + half).min(side));
        Ok((from, to - from))
    };
    let ((top, tall), (left, wide)) = (between(height)?, between(width)?);
    let part = |whole: &Tensor| whole.f_narrow(2, top, tall)?.f_narrow(3, left, wide);
    part(&inputs)?.f_copy_(&part(others)?)?;
    Ok((inputs, 1.0 - (tall * wide) as f64 / (height * width) as f64))
}

/// A draw from 0..1.
fn uniform() -> Result<f64> {
    Ok(Tensor::f_rand([1], (Kind::Double, Device::Cpu))?.f_double_value(&[0])?)
}

/// A draw from Beta(`alpha`, `alpha`), as `torch.distributions.Beta` draws it.
fn beta(alpha: f64) -> Result<f64> {
    let both = Tensor::f_from_slice(&[alpha, alpha])?.f_internal_sample_dirichlet()?;
    Ok(both.f_double_value(&[0])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images of 6 × 8 pixels and one channel, all of whose pixels are their class.
    fn batch(images: i64) -> (Tensor, Tensor) {
        let targets = Tensor::arange(images, (Kind::Int64, Device::Cpu));
        let inputs = targets.view([images, 1, 1, 1]).to_kind(Kind::Float);
        (inputs.expand([images, 1, 6, 8], false).contiguous(), targets)
    }

    fn mixed(mixup: f64, cutmix: f64, seed: i64) -> (Tensor, Tensor, Mixed) {
        tch::manual_seed(seed);
        let (inputs, targets) = batch(16);
        let (inputs, mixed) = Mixing { mixup, cutmix }.mix(inputs, &targets).unwrap();
        (inputs, targets, mixed.unwrap())
    }

    #[test]
    fn mixup_weighs_pixels_as_it_weighs_classes() {
        for seed in 0..20 {
            let (inputs, targets, Mixed { partners, share }) = mixed(0.4, 0.0, seed);
            let expected = targets * share + partners * (1.0 - share);
            let apart = (inputs - expected.view([16, 1, 1, 1])).abs().max().double_value(&[]);
            assert!((0.0..=1.0).contains(&share) && apart < 1e-5, "{share} {apart}");
        }
    }

    /// The mean over an image of class `a` with a share of class `b` is as the shares are.
    #[test]
    fn cutmix_weighs_classes_by_the_pixels_that_are_left() {
        let mut whole = 0;
        for seed in 0..50 {
            let (inputs, targets, Mixed { partners, share }) = mixed(0.0, 1.0, seed);
            let expected = &targets * share + &partners * (1.0 - share);
            let means = inputs.mean_dim([1i64, 2, 3].as_slice(), false, Kind::Float);
            assert!((means - expected).abs().max().double_value(&[]) < 1e-5);
            let own = inputs.eq_tensor(&targets.view([16, 1, 1, 1]));
            let other = inputs.eq_tensor(&partners.view([16, 1, 1, 1]));
            assert_eq!(own.logical_or(&other).all().int64_value(&[]), 1);
            whole += i64::from(share == 1.0);
        }
        assert!(whole < 25, "{whole} of 50 without a rectangle");
    }

    #[test]
    fn both_kinds_take_turns() {
        let is_cut = |seed| {
            let (inputs, ..) = mixed(1.0, 1.0, seed);
            inputs.frac().abs().max().double_value(&[]) == 0.0
        };
        let cut = (0..100).filter(|&seed| is_cut(seed)).count();
        assert!((30..70).contains(&cut), "{cut}");
    }

    /// Beta(a, a) has the mean 1/2 and the variance 1 / (4 (2 a + 1)).
    #[test]
    fn shares_are_drawn_from_a_beta_distribution() {
        for alpha in [0.2, 1.0, 4.0] {
            tch::manual_seed(1);
            let draws: Vec<f64> = (0..4000).map(|_| beta(alpha).unwrap()).collect();
            let mean = draws.iter().sum::<f64>() / 4000.0;
            let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / 4000.0;
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 0.03, "{alpha}: {mean}");
            assert!((variance / expected - 1.0).abs() < 0.08, "{alpha}: {variance} {expected}");
        }
    }

    #[test]
    fn without_a_setting_nothing_is_drawn_and_nothing_changes() {
        let (inputs, targets) = batch(4);
        tch::manual_seed(1);
        let nothing = Mixing { mixup: 0.0, cutmix: 0.0 };
        let (same, mixed) = nothing.mix(inputs.copy(), &targets).unwrap();
        let next = uniform().unwrap();
        tch::manual_seed(1);
        assert!(same.equal(&inputs) && mixed.is_none() && next == uniform().unwrap());
    }

    #[test]
    fn a_rectangle_cannot_be_cut_from_a_row_of_values() {
        let inputs = Tensor::zeros([4, 10], (Kind::Float, Device::Cpu));
        let targets = Tensor::zeros([4], (Kind::Int64, Device::Cpu));
        let error = Mixing { mixup: 0.0, cutmix: 1.0 }.mix(inputs, &targets).err().unwrap();
        let text = error.to_string();
        assert!(text.starts_with("`cutmix` must be 0 where inputs have no rows"), "{text}");
    }
}
