//! Noise: from clean images to noisy ones.
//!
//! Pixels are in 0..=1, `(H, W, C)` for one image. In training, noise is drawn anew for each batch from libtorch's
//! generator. Elsewhere the noise of an image depends only on the seed and the image's index in its data set, so that
//! batch size, order and choice of images do not change it. Start at [`GaussianNoise::on`].

use std::fmt;

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::{Kind, Tensor};

use super::augment::Augmentation;
use super::batches::{BatchSource, ImageSource, Normalization};
use super::subset::Subset;
use crate::error::{Error, Result};
use crate::system::memory::Memory;
use crate::system::parallel::in_parallel;

/// Noise from a normal distribution, added to each value independently.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GaussianNoise {
    /// Mean of the noise, for pixels in 0..=1.
    pub mean: f64,
    /// Variance of the noise, the square of its standard deviation; 0 or more.
    pub variance: f64,
    /// True to clip noisy values to 0..=1.
    pub clip: bool,
}

impl Default for GaussianNoise {
    /// Mean 0.1, variance 0.3, not clipped: values outside 0..=1 still hold information about the pixel.
    fn default() -> GaussianNoise {
        GaussianNoise { mean: 0.1, variance: 0.3, clip: false }
    }
}

impl GaussianNoise {
    /// Checks the settings.
    ///
    /// # Errors
    /// If the mean is not finite, or the variance is not finite or below 0.
    pub fn check(&self) -> Result<()> {
        if !self.mean.is_finite() {
            return Err(Error::parameter("mean", "finite", self.mean, "0.1 is the task's"));
        }
        if !(self.variance >= 0.0 && self.variance.is_finite()) {
            let advice = "0.3 is the task's; a standard deviation must be squared";
            return Err(Error::parameter("variance", "0 or more, finite", self.variance, advice));
        }
        Ok(())
    }

    /// The standard deviation.
    pub fn std(&self) -> f64 {
        self.variance.sqrt()
    }

    /// These images with noise that `seed` fixes.
    pub fn on(&self, images: &Subset, seed: u64) -> NoisyImages {
        NoisyImages { images: images.clone(), noise: *self, seed }
    }

    /// `pixels` with noise from libtorch's generator.
    fn draw_on(&self, pixels: &Tensor) -> Result<Tensor> {
        let noise = pixels.f_randn_like()?.f_mul_scalar(self.std())?;
        let noisy = pixels.f_add(&noise)?.f_add_scalar(self.mean)?;
        Ok(if self.clip { noisy.f_clamp(0.0, 1.0)? } else { noisy })
    }

    /// Adds noise to the image with this index in its data set.
    fn add_to(&self, pixels: &mut [f32], seed: u64, index: usize) {
        let mut normal = Normal::new(seed, index);
        let (mean, std) = (self.mean, self.std());
        for pair in pixels.chunks_mut(2) {
            for (value, draw) in pair.iter_mut().zip(normal.pair()) {
                let noisy = f64::from(*value) + mean + std * draw;
                *value = if self.clip { noisy.clamp(0.0, 1.0) } else { noisy } as f32;
            }
        }
    }
}

/// Images with noise, which is computed when it is needed.
#[derive(Clone)]
pub struct NoisyImages {
    images: Subset,
    noise: GaussianNoise,
    seed: u64,
}

impl NoisyImages {
    /// How many images there are.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// The images without noise.
    pub fn clean(&self) -> &Subset {
        &self.images
    }

    /// The noise.
    pub fn noise(&self) -> GaussianNoise {
        self.noise
    }

    /// What fixes the noise.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// All noisy values, a row for each image, `(N, H × W × C)`, channels last.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn to_array(&self) -> Result<Array2<f32>> {
        let positions: Vec<usize> = (0..self.len()).collect();
        let values = self.images.dataset().image_shape().pixels();
        // Memory for the clean images, the noisy ones, a copy in channels-last order, and the array.
        let needed = 4 * 4 * self.len() as u64 * values as u64;
        let work = "an array of all noisy images";
        Memory::now().require(needed, work, "take fewer images, with a smaller `sample`")?;
        let (noisy, _) =
            self.source(Augmentation::default()).batch(&positions, false, Kind::Float)?;
        let noisy = Vec::<f32>::try_from(noisy.f_permute([0, 2, 3, 1])?.f_reshape([-1])?)?;
        Array2::from_shape_vec((self.len(), values), noisy).map_err(Error::internal)
    }

    /// Mean and variance of the noise that was really added, over all values of these images. They differ from the
    /// settings by chance and by clipping.
    ///
    /// # Errors
    /// If there is no image.
    pub fn moments(&self) -> Result<(f64, f64)> {
        if self.is_empty() {
            return Err(Error::NothingToScore);
        }
        let source = self.source(Augmentation::default());
        let positions: Vec<usize> = (0..self.len()).collect();
        let (mut sum, mut squares, mut values) = (0.0, 0.0, 0);
        for positions in positions.chunks(1024) {
            let (noisy, clean) = source.batch(positions, false, Kind::Float)?;
            let added = noisy.f_sub(&clean)?.f_to_kind(Kind::Double)?;
            sum += added.f_sum(Kind::Double)?.f_double_value(&[])?;
            squares += added.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?;
            values += added.numel();
        }
        let mean = sum / values as f64;
        Ok((mean, squares / values as f64 - mean * mean))
    }

    /// Noisy images with the clean ones as targets.
    pub(crate) fn source(&self, augmentation: Augmentation) -> NoisySource<'_> {
        NoisySource {
            clean: ImageSource::new(&self.images, Normalization::default(), augmentation),
            indices: self.images.indices(),
            noise: self.noise,
            seed: self.seed,
        }
    }
}

impl fmt::Debug for NoisyImages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GaussianNoise { mean, variance, .. } = self.noise;
        write!(f, "NoisyImages: {} with noise of mean {mean}, variance {variance}", self.len())
    }
}

/// A denoiser's output: a row for each image, `(N, H × W × C)`, channels last.
///
/// It dereferences to the array inside. A notebook can keep it from cell to cell without naming a type of ndarray.
#[derive(Clone, PartialEq)]
pub struct DenoisedImages(pub(crate) Array2<f32>);

impl std::ops::Deref for DenoisedImages {
    type Target = Array2<f32>;

    fn deref(&self) -> &Array2<f32> {
        &self.0
    }
}

impl fmt::Debug for DenoisedImages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DenoisedImages: {} of {} values", self.nrows(), self.ncols())
    }
}

/// Batches of noisy images and the clean ones that belong to them, both `(B, C, H, W)`.
pub(crate) struct NoisySource<'a> {
    clean: ImageSource<'a>,
    indices: &'a [usize],
    noise: GaussianNoise,
    seed: u64,
}

impl BatchSource for NoisySource<'_> {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn identify(&self, hash: &mut Sha256) -> Result<()> {
        self.clean.identify(hash)?;
        // The noise of an image depends on its index in the data set.
        hash.update(format!("{:?} {} {:?}", self.noise, self.seed, self.indices));
        Ok(())
    }

    fn check(&self) -> Result<()> {
        self.clean.check()
    }

    /// Always `f32`: noise is added before anything is rounded.
    fn batch(&self, positions: &[usize], training: bool, _: Kind) -> Result<(Tensor, Tensor)> {
        let clean = self.clean.pixels(positions, training)?;
        if training {
            return Ok((self.noise.draw_on(&clean)?, clean));
        }
        // Channels last, as the images lie in memory; `copy` keeps the strides.
        let flat = clean.f_permute([0, 2, 3, 1])?.f_contiguous()?;
        let mut noisy = flat.f_empty_like()?;
        noisy.f_copy_(&flat)?;
        let values = flat.numel();
        let out: &mut [f32] = match values {
            // An empty tensor has no memory, and a slice needs an address.
            0 => &mut [],
            // SAFETY: the tensor is new, contiguous, `f32`, of `values` values, and nobody else holds it.
            _ => unsafe { std::slice::from_raw_parts_mut(noisy.data_ptr().cast::<f32>(), values) },
        };
        let images = out.chunks_exact_mut((values / positions.len().max(1)).max(1));
        let NoisySource { noise, seed, indices, .. } = self;
        in_parallel(values, images.zip(positions).collect(), |(image, &position)| {
            noise.add_to(image, *seed, indices[position]);
        });
        Ok((noisy.f_permute([0, 3, 1, 2])?, clean))
    }
}

/// Standard normal numbers, a stream of its own for each image: Box and Muller (1958) on SplitMix64.
struct Normal(u64);

impl Normal {
    fn new(seed: u64, index: usize) -> Normal {
        let mut stream = Normal(seed);
        let seed = stream.bits();
        Normal(seed ^ (index as u64 + 1).wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Above 0, at most 1.
    fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    fn pair(&mut self) -> [f64; 2] {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * self.uniform()).sin_cos();
        [radius * cosine, radius * sine]
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::data::Dataset;

    #[test]
    fn what_was_added_has_the_mean_and_the_variance_asked_for() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
        let images = Dataset::load(folder).unwrap().subset((0..200).collect()).unwrap();
        for (mean, variance) in [(0.1, 0.3), (-0.5, 0.01)] {
            let noise = GaussianNoise { mean, variance, clip: false };
            let (found, spread) = noise.on(&images, 1).moments().unwrap();
            // 156,800 draws; five standard errors are allowed.
            assert!((found - mean).abs() < 0.0126 * noise.std(), "mean {found}, not {mean}");
            assert!((spread - variance).abs() < 0.0179 * variance, "variance {spread}");
        }
        // Clipped, black pixels are raised by half of the noise and white ones lowered.
        let clipped = GaussianNoise { clip: true, ..GaussianNoise::default() }.on(&images, 1);
        assert!(clipped.moments().unwrap().1 < 0.25);
        let none = images.dataset().subset(Vec::new()).unwrap();
        assert!(clipped.noise().on(&none, 1).moments().is_err());
    }

    /// Training and `to_array` draw noise by different code. If its distribution differed, the model would be scored on
    /// noise it never saw.
    #[test]
    fn training_gets_the_noise_of_the_settings_and_clean_targets() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
        let images = Dataset::load(folder).unwrap().subset((0..500).collect()).unwrap();
        let positions: Vec<usize> = (0..images.len()).collect();
        let batch = |noise: GaussianNoise| {
            noise
                .on(&images, 1)
                .source(Augmentation::default())
                .batch(&positions, true, Kind::Float)
                .unwrap()
        };
        let clean = ImageSource::new(&images, Normalization::default(), Augmentation::default());
        let clean = clean.pixels(&positions, false).unwrap();
        tch::manual_seed(1);
        for (mean, variance) in [(0.1, 0.3), (-0.5, 0.01)] {
            let noise = GaussianNoise { mean, variance, clip: false };
            let (noisy, targets) = batch(noise);
            assert!(targets.equal(&clean));
            let draws = noisy - targets;
            let found = draws.mean(tch::Kind::Double).double_value(&[]);
            let spread = draws.var(true).double_value(&[]);
            // 392,000 draws; five standard errors are allowed.
            assert!((found - mean).abs() < 0.008 * noise.std(), "mean {found}, not {mean}");
            assert!((spread - variance).abs() < 0.0113 * variance, "variance {spread}");
            assert!(!batch(noise).0.equal(&batch(noise).0), "each batch has its own");
        }
        let (noisy, _) = batch(GaussianNoise { clip: true, ..GaussianNoise::default() });
        assert_eq!((noisy.min().double_value(&[]), noisy.max().double_value(&[])), (0.0, 1.0));
    }
}
