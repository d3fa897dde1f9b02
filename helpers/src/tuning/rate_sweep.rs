//! How much a smaller code costs a denoiser.

use std::fmt;
use std::path::Path;

use crate::architectures::AutoencoderConfig;
use crate::data::{GaussianNoise, Split, Subset};
use crate::display::print_line;
use crate::error::{Error, Result};
use crate::evaluation::{LinearDenoiser, Quality};
use crate::training::{Callbacks, FitConfig};

/// PSNR on the validation part against the rate of compression, of networks and of the best linear denoisers.
#[derive(Clone, PartialEq)]
pub struct RateSweep {
    /// Values of the code over values of the image, in the order of the sizes.
    pub rates: Vec<f64>,
    /// PSNR of each network, in dB.
    pub network: Vec<f64>,
    /// PSNR of the best linear denoiser with as small a code, in dB.
    pub linear: Vec<f64>,
}

/// Trains a network of each size by itself, from new weights, on the first `images` of the training part, and scores it on the
/// validation part. The test part is not looked at.
///
/// - `sizes`: the smallest code first, as [`AutoencoderConfig::smaller`] gives them
/// - `checkpoints`: the folder where a training that is stopped goes on from
///
/// # Errors
/// If there is no size, one does not fit the images, or as [`Model::fit_denoiser`](crate::models::Model::fit_denoiser).
pub fn rate_sweep(
    sizes: &[AutoencoderConfig],
    linear: &LinearDenoiser,
    split: &Split,
    noise: GaussianNoise,
    images: usize,
    config: &FitConfig,
    checkpoints: impl AsRef<Path>,
) -> Result<RateSweep> {
    config.check()?;
    if sizes.is_empty() {
        let advice = "`AutoencoderConfig::smaller` gives some";
        return Err(Error::parameter("sizes", "at least one", "none", advice));
    }
    let train: &Subset = &split.train;
    let few = train.indices()[..images.min(train.len())].to_vec();
    let few = Split { train: train.dataset().subset(few)?, ..split.clone() };
    let validation = noise.on(&split.validation, config.seed);
    let mut sweep = RateSweep { rates: Vec::new(), network: Vec::new(), linear: Vec::new() };
    for size in sizes {
        let network = size.network(train.dataset().image_shape())?;
        let mut model = network.build(config.seed)?;
        let code = model.bottleneck();
        let checkpoint = checkpoints.as_ref().join(format!("sweep_{}.safetensors", code.values));
        let callbacks = Callbacks::default().silent().backup_and_restore(checkpoint);
        model.fit_denoiser(&few, noise, config.clone(), callbacks)?;
        let by_network = model.denoise(&validation)?;
        let by_linear = linear.denoise(&validation, code.values)?;
        let [network, linear] =
            [&by_network, &by_linear].map(|of| Quality::of(&split.validation, of));
        let (network, linear) = (network?.psnr_db, linear?.psnr_db);
        print_line(&format!("{code}: {network:.2} dB, linear {linear:.2} dB"));
        sweep.rates.push(code.rate());
        sweep.network.push(network);
        sweep.linear.push(linear);
    }
    Ok(sweep)
}

impl fmt::Debug for RateSweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RateSweep: {} rates", self.rates.len())
    }
}
