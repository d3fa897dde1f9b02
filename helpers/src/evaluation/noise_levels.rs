//! A denoiser at other noise levels than the one it was trained on.

use std::fmt;

use ndarray::Array2;

use super::denoising::{LinearDenoiser, Quality};
use crate::data::{GaussianNoise, Subset};
use crate::error::{Error, Result};
use crate::models::Model;

/// PSNR in dB against the noise: of the noisy images, of a linear denoiser's and of a network's.
#[derive(Clone, PartialEq)]
pub struct NoiseLevels {
    /// Variances of the noise, in the order given.
    pub variances: Vec<f64>,
    /// PSNR of the noisy images, one for each variance.
    pub noisy: Vec<f64>,
    /// PSNR of the linear denoiser's output.
    pub linear: Vec<f64>,
    /// PSNR of the network's output.
    pub network: Vec<f64>,
    /// The variance that both were trained on.
    pub trained: f64,
}

impl NoiseLevels {
    /// Denoises the same images with noise of each of these variances.
    ///
    /// - `linear`: fitted to the noise that both denoisers were trained on; its mean holds for all variances
    ///
    /// # Errors
    /// If there is no variance or one is below 0, there is no image, or the images have another size than those that the
    /// denoisers were fitted on.
    pub fn new(
        model: &Model,
        linear: &LinearDenoiser,
        images: &Subset,
        variances: &[f64],
        seed: u64,
    ) -> Result<NoiseLevels> {
        if variances.is_empty() {
            let advice = "such as [0.05, 0.1, 0.2, 0.3, 0.5, 0.8]";
            return Err(Error::parameter("variances", "at least one", "none", advice));
        }
        let noise = linear.noise();
        let mut found = NoiseLevels {
            variances: variances.to_vec(),
            noisy: Vec::new(),
            linear: Vec::new(),
            network: Vec::new(),
            trained: noise.variance,
        };
        let values = model.bottleneck().values;
        for &variance in variances {
            let noise = GaussianNoise { variance, ..noise };
            noise.check()?;
            let noisy = noise.on(images, seed);
            let psnr = |restored: &Array2<f32>| Quality::of(images, restored).map(|q| q.psnr_db);
            found.noisy.push(psnr(&noisy.to_array()?)?);
            let by_linear = linear.denoise(&noisy, values)?;
            let by_network = model.denoise(&noisy)?;
            found.linear.push(psnr(&by_linear)?);
            found.network.push(psnr(&by_network)?);
        }
        Ok(found)
    }
}

impl fmt::Debug for NoiseLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoiseLevels: {} variances", self.variances.len())
    }
}
