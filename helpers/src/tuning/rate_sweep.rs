//! How much quality a denoiser loses with a smaller code.

use std::fmt;
use std::path::Path;

use crate::data::Split;
use crate::error::{Error, Result};
use crate::evaluation::{LinearDenoiser, Quality};
use crate::models::Sequential;
use crate::text::decibels_text;
use crate::training::FitConfig;
use crate::training::callbacks::Trainings;

/// PSNR on the validation part against the rate of compression, of networks and of the best linear denoisers.
#[derive(Clone, PartialEq)]
pub struct RateSweep {
    /// Number of values in the code divided by that in the image, in the order of the sizes.
    pub rates: Vec<f64>,
    /// PSNR of each network, in dB.
    pub network: Vec<f64>,
    /// PSNR of the best linear denoiser with a code of the same size, in dB.
    pub linear: Vec<f64>,
}

/// Trains a network of each size from new weights on the first `images` of the training part (0 for all), and scores it
/// on the validation part. The test part is not used.
///
/// - `networks`: autoencoders, from the smallest code to the largest; [`smaller_codes`] helps to choose
/// - `linear`: fitted to the noise that the networks are trained on
/// - `checkpoints`: the folder with checkpoints, from which a stopped training is resumed
///
/// # Errors
/// If there is no network, one does not fit the images, or as [`Model::fit_denoiser`](crate::models::Model::fit_denoiser).
pub fn rate_sweep(
    networks: &[Sequential],
    linear: &LinearDenoiser,
    split: &Split,
    images: usize,
    config: &FitConfig,
    checkpoints: impl AsRef<Path>,
) -> Result<RateSweep> {
    config.check()?;
    if networks.is_empty() {
        let advice = "give one for each size of code";
        return Err(Error::parameter("networks", "at least one", "none", advice));
    }
    let noise = linear.noise();
    let few = Split { train: split.train.take(images), ..split.clone() };
    let validation = noise.on(&split.validation, config.seed);
    let mut sweep = RateSweep { rates: Vec::new(), network: Vec::new(), linear: Vec::new() };
    let mut trainings = Trainings::new(networks.len());
    for network in networks {
        let mut model = network.clone().build(config.seed)?;
        let code = model.bottleneck();
        let checkpoint = checkpoints.as_ref().join(format!("sweep_{}.safetensors", code.values));
        let callbacks = trainings.callbacks().backup_and_restore(checkpoint);
        model.fit_denoiser(&few, noise, config.clone(), callbacks)?;
        let by_network = model.denoise(&validation)?;
        let by_linear = linear.denoise(&validation, code.values)?;
        let [network, linear] =
            [&by_network, &by_linear].map(|of| Quality::of(&split.validation, of));
        let (network, linear) = (network?.psnr_db, linear?.psnr_db);
        let (by_network, by_linear) = (decibels_text(network), decibels_text(linear));
        trainings.ended(&format!("{code}: {by_network}, linear {by_linear}"));
        sweep.rates.push(code.rate());
        sweep.network.push(network);
        sweep.linear.push(linear);
    }
    trainings.finish();
    Ok(sweep)
}

/// Sizes of smaller codes: `code` divided by each of these numbers, rounded down, without zeros and repeats.
///
/// # Errors
/// If a divisor is not above 0, or no code is left.
pub fn smaller_codes(code: usize, divisors: &[f64]) -> Result<Vec<usize>> {
    let mut codes = Vec::new();
    for &divisor in divisors {
        if !(divisor > 0.0 && divisor.is_finite()) {
            let advice = "16 makes a code of a sixteenth";
            return Err(Error::parameter("divisors", "numbers above 0", divisor, advice));
        }
        let smaller = (code as f64 / divisor) as usize;
        if smaller > 0 && !codes.contains(&smaller) {
            codes.push(smaller);
        }
    }
    if codes.is_empty() {
        let advice = "1 is the size of the code itself";
        let expected = "numbers of which one leaves a value of the code";
        return Err(Error::parameter("divisors", expected, format!("{divisors:?}"), advice));
    }
    Ok(codes)
}

impl fmt::Debug for RateSweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RateSweep: {} rates", self.rates.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smaller_codes_are_whole_and_different() {
        assert_eq!(smaller_codes(78, &[16.0, 8.0, 4.0, 2.0, 1.0]).unwrap(), [4, 9, 19, 39, 78]);
        assert_eq!(smaller_codes(6, &[16.0, 8.0, 4.0, 2.0, 1.0]).unwrap(), [1, 3, 6]);
        assert_eq!(smaller_codes(1, &[1.6, 1.0]).unwrap(), [1]);
        for wrong in [0.0, -1.0, f64::NAN] {
            let text = smaller_codes(6, &[wrong]).unwrap_err().to_string();
            assert!(text.starts_with("`divisors` must be numbers above 0"), "{text}");
        }
        assert!(smaller_codes(6, &[16.0]).unwrap_err().to_string().contains("one leaves a value"));
    }
}
