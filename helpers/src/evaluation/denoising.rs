//! How close denoised images are to the clean ones; and a linear denoiser to compare with.
//!
//! Images are rows, `(N, H × W × C)`, channels last, pixels in 0..=1. Start at [`Quality::of`] and
//! [`LinearDenoiser::fit`].

use std::fmt;

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::data::batches::BatchSource;
use crate::data::noise::{DenoisedImages, GaussianNoise, NoisyImages};
use crate::data::{ImageShape, Subset};
use crate::display::Bar;
use crate::system::interrupt::InterruptGuard;
use crate::system::memory::Memory;
use crate::text::duration;
use crate::{Error, Result};

/// Peak signal-to-noise ratio in dB of a mean squared error, for pixels whose largest value is 1; infinite for 0.
pub fn psnr_db(mse: f64) -> f64 {
    -10.0 * mse.log10()
}

/// How close images are to the clean ones.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// How many images were compared.
    pub images: usize,
    /// Mean squared error over all values of all images.
    pub mse: f64,
    /// PSNR of `mse`, the main score; infinite for equal images.
    #[serde(with = "crate::text::decibels")]
    pub psnr_db: f64,
    /// Mean of the images' own PSNR: higher, since a decibel gained on an easy image weighs as much as one on a hard
    /// image.
    #[serde(with = "crate::text::decibels")]
    pub mean_image_psnr_db: f64,
    /// Mean structural similarity (Wang et al. 2004), 1 for equal images: scikit-image's `structural_similarity` with
    /// its defaults and `data_range=1`, that is a uniform window of 7 × 7 pixels, the mean over channels.
    pub ssim: f64,
}

impl Quality {
    /// Compares `restored` with the clean images.
    ///
    /// # Errors
    /// If there is no image, or the two differ in size or number.
    pub fn of(clean: &Subset, restored: &Array2<f32>) -> Result<Quality> {
        let shape = clean.dataset().image_shape();
        let (mut squares, mut decibels, mut similarity) = (0.0, 0.0, 0.0);
        for pair in pairs(clean, restored)? {
            let (clean, restored) = pair?;
            let mse = mean_squared_error(&clean, &restored);
            squares += mse;
            decibels += psnr_db(mse);
            similarity += ssim(shape, &clean, &restored);
        }
        let images = clean.len() as f64;
        Ok(Quality {
            images: clean.len(),
            mse: squares / images,
            psnr_db: psnr_db(squares / images),
            mean_image_psnr_db: decibels / images,
            ssim: similarity / images,
        })
    }
}

impl Quality {
    /// True when the images are equal to the clean ones, up to the rounding of `f32`: they differ by less than a
    /// hundredth of a grey level.
    pub fn is_exact(&self) -> bool {
        self.psnr_db >= EXACT_DB
    }
}

/// Images above this PSNR count as equal: it is 40 dB above the PSNR of a difference of one grey level, 1/255.
const EXACT_DB: f64 = 88.0;

impl fmt::Debug for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quality { images, mse, psnr_db, ssim, .. } = self;
        write!(f, "Quality: PSNR {psnr_db:.2} dB, MSE {mse:.5}, SSIM {ssim:.3} on {images} images")
    }
}

/// The PSNR of each image by itself, in dB.
///
/// # Errors
/// As [`Quality::of`].
pub fn image_psnr_db(clean: &Subset, restored: &Array2<f32>) -> Result<Vec<f64>> {
    let psnr = |pair: Result<(Vec<f64>, Vec<f64>)>| {
        pair.map(|(clean, restored)| psnr_db(mean_squared_error(&clean, &restored)))
    };
    pairs(clean, restored)?.map(psnr).collect()
}

/// Clean and restored values of one image after the other.
fn pairs<'a>(
    clean: &'a Subset,
    restored: &'a Array2<f32>,
) -> Result<impl Iterator<Item = Result<(Vec<f64>, Vec<f64>)>> + 'a> {
    if clean.is_empty() {
        return Err(Error::NothingToScore);
    }
    let expected = (clean.len(), clean.dataset().image_shape().pixels());
    if restored.dim() != expected {
        return Err(Error::parameter(
            "restored",
            format!("of shape {expected:?}, a row for each clean image"),
            format!("{:?}", restored.dim()),
            "denoise and score the same images",
        ));
    }
    Ok((0..clean.len()).map(|position| {
        let clean = clean.image(position)?.iter().map(|&level| f64::from(level) / 255.0).collect();
        Ok((clean, restored.row(position).iter().map(|&value| f64::from(value)).collect()))
    }))
}

fn mean_squared_error(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / a.len() as f64
}

/// Mean structural similarity of two images; the window shrinks to the image where that is smaller.
fn ssim(shape: ImageShape, a: &[f64], b: &[f64]) -> f64 {
    let ImageShape { height, width, channels } = shape;
    let side = 7.min(height).min(width);
    let side = if side.is_multiple_of(2) { side - 1 } else { side };
    let pixels = (side * side) as f64;
    // An unbiased variance, as scikit-image takes; a window of one pixel has none.
    let unbiased = if side > 1 { pixels / (pixels - 1.0) } else { 1.0 };
    let (c1, c2) = (0.01f64 * 0.01, 0.03f64 * 0.03);
    let mut total = 0.0;
    for channel in 0..channels {
        let plane = |of: &dyn Fn(usize) -> f64| -> Vec<f64> {
            let values: Vec<f64> =
                (0..height * width).map(|at| of(at * channels + channel)).collect();
            window_means(&values, height, width, side)
        };
        let (mean_a, mean_b) = (plane(&|at| a[at]), plane(&|at| b[at]));
        let (aa, bb, ab) =
            (plane(&|at| a[at] * a[at]), plane(&|at| b[at] * b[at]), plane(&|at| a[at] * b[at]));
        let mut sum = 0.0;
        for at in 0..mean_a.len() {
            let (x, y) = (mean_a[at], mean_b[at]);
            let (var_x, var_y, both) = (
                unbiased * (aa[at] - x * x),
                unbiased * (bb[at] - y * y),
                unbiased * (ab[at] - x * y),
            );
            sum += (2.0 * x * y + c1) * (2.0 * both + c2)
                / ((x * x + y * y + c1) * (var_x + var_y + c2));
        }
        total += sum / mean_a.len() as f64;
    }
    total / channels as f64
}

/// Means of all windows of `side × side` pixels that lie inside the image.
fn window_means(values: &[f64], height: usize, width: usize, side: usize) -> Vec<f64> {
    let across: Vec<f64> = values
        .chunks_exact(width)
        .flat_map(|row| row.windows(side).map(|window| window.iter().sum::<f64>()))
        .collect();
    let columns = width - side + 1;
    let mut means = Vec::with_capacity((height - side + 1) * columns);
    for row in 0..=height - side {
        for column in 0..columns {
            let sum: f64 = (row..row + side).map(|row| across[row * columns + column]).sum();
            means.push(sum / (side * side) as f64);
        }
    }
    means
}

/// The best linear denoiser through a bottleneck: reduced-rank regression (Izenman 1975) of clean on noisy images.
///
/// Of all maps that encode an image linearly into a few numbers and decode it linearly, it has the least squared error
/// on its training images. One fit serves every size of bottleneck.
pub struct LinearDenoiser {
    noise: GaussianNoise,
    frame: Frame,
    /// Means of the noisy and of the clean images, `(1, D)`.
    means: [Tensor; 2],
    /// The least-squares map, projected on the directions in which its predictions vary most, strongest first, `(D,
    /// directions)`.
    encoder: Tensor,
    /// The same directions in the clean image, `(D, directions)`.
    decoder: Tensor,
}

/// Least number of noisy images per value of an image: with fewer the fit would memorise their noise.
const IMAGES_A_VALUE: usize = 64;

/// Images of more values are fitted in the space that [`SPAN`] of them span.
const LARGEST: usize = 4096;

/// How many images span it.
const SPAN: usize = 2048;

/// Images per batch.
const BATCH: usize = 512;

impl LinearDenoiser {
    /// Fits on `images` with this noise; if there are few images, they are used several times with new noise.
    ///
    /// Images of more than 4,096 values are fitted in the space that 2,048 of them span.
    ///
    /// # Errors
    /// If there is no image, the noise has a setting out of range, or there is not enough memory.
    pub fn fit(images: &Subset, noise: GaussianNoise, seed: u64) -> Result<LinearDenoiser> {
        noise.check()?;
        if images.is_empty() {
            return Err(Error::NothingToScore);
        }
        check_room_to_fit(images.dataset().image_shape().pixels(), images.len(), Memory::now())?;
        let frame = Frame::of(&noise.on(images, seed))?;
        let needed = IMAGES_A_VALUE * frame.dimensions();
        let mut sums = Sums::new(frame.dimensions())?;
        let draws = needed.div_ceil(images.len());
        let (mut bar, mut done, all) = (Bar::new(draws * images.len()), 0, draws * images.len());
        let interrupts = InterruptGuard::new();
        for draw in 0..draws as u64 {
            each_batch(&noise.on(images, seed.wrapping_add(draw)), |noisy, clean| {
                interrupts.check("fitting the linear denoiser", "run it again")?;
                done += BATCH.min(all - done);
                bar.tick(done, |share, left| {
                    format!(
                        "linear denoiser: {:.0}% of the images, {} left",
                        100.0 * share,
                        duration(left)
                    )
                });
                sums.add(&frame.enter(&noisy)?, &frame.enter(&clean)?)
            })?;
        }
        bar.close("linear denoiser: fitted");
        let Sums { images, noisy, clean, noisy_noisy, noisy_clean } = sums;
        let mean = |sum: &Tensor| sum.f_div_scalar(images);
        let (noisy_mean, clean_mean) = (mean(&noisy)?, mean(&clean)?);
        let covariance = |products: &Tensor, other: &Tensor| {
            mean(products)?.f_sub(&noisy_mean.f_tr()?.f_matmul(other)?)
        };
        let noisy_noisy = covariance(&noisy_noisy, &noisy_mean)?;
        let noisy_clean = covariance(&noisy_clean, &clean_mean)?;
        // Without noise, constant pixels would make the matrix singular.
        let tiny = 1e-10 * noisy_noisy.f_trace()?.f_double_value(&[])?.max(1e-10);
        let eye = Tensor::f_eye(noisy_noisy.size()[0], (Kind::Double, Device::Cpu))?;
        let noisy_noisy = noisy_noisy.f_add(&eye.f_mul_scalar(tiny)?)?;
        let coefficients = Tensor::f_linalg_solve(&noisy_noisy, &noisy_clean, true)?;
        let predicted = noisy_clean.f_tr()?.f_matmul(&coefficients)?;
        let symmetric = predicted.f_add(&predicted.f_tr()?)?.f_div_scalar(2.0)?;
        let (_, directions) = symmetric.f_linalg_eigh("L")?;
        let decoder = directions.f_flip([1])?;
        let encoder = coefficients.f_matmul(&decoder)?;
        let float = |map: &Tensor| map.f_to_kind(Kind::Float)?.f_contiguous();
        let means = [float(&noisy_mean)?, float(&clean_mean)?];
        let (encoder, decoder) = (float(&encoder)?, float(&decoder)?);
        Ok(LinearDenoiser { noise, frame, means, encoder, decoder })
    }

    /// The noise that it was fitted to remove.
    pub fn noise(&self) -> GaussianNoise {
        self.noise
    }

    /// The denoised images, through a bottleneck of `values`, clipped to 0..=1. `(N, H × W × C)`.
    ///
    /// # Errors
    /// If `values` is 0, or the images have another size than those of the fit.
    pub fn denoise(&self, noisy: &NoisyImages, values: usize) -> Result<DenoisedImages> {
        if values == 0 {
            return Err(Error::parameter("values", "at least 1", values, "78 is a tenth of 784"));
        }
        let pixels = noisy.clean().dataset().image_shape().pixels();
        if pixels != self.frame.pixels {
            let counted = |pixels: usize| format!("{pixels} values for each image");
            let (expected, found) = (counted(self.frame.pixels), counted(pixels));
            return Err(Error::DataShape { expected, found });
        }
        let work = "an array of all denoised images";
        let advice = "take fewer images, with a smaller `sample`";
        Memory::now().require(4 * noisy.len() as u64 * pixels as u64, work, advice)?;
        let directions = values.min(self.frame.dimensions()) as i64;
        let [noisy_mean, clean_mean] = &self.means;
        let encoder = self.encoder.f_narrow(1, 0, directions)?;
        let decoder = self.decoder.f_narrow(1, 0, directions)?.f_tr()?;
        let mut restored = Vec::with_capacity(noisy.len() * pixels);
        each_batch(noisy, |noisy, _| {
            let codes = self.frame.enter(&noisy)?.f_sub(noisy_mean)?.f_matmul(&encoder)?;
            let images = self.frame.leave(&codes.f_matmul(&decoder)?.f_add(clean_mean)?)?;
            restored.extend(Vec::<f32>::try_from(images.f_clamp(0.0, 1.0)?.f_reshape([-1])?)?);
            Ok(())
        })?;
        let rows = Array2::from_shape_vec((noisy.len(), pixels), restored);
        Ok(DenoisedImages(rows.map_err(Error::internal)?))
    }
}

impl fmt::Debug for LinearDenoiser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinearDenoiser for images of {} values", self.frame.pixels)
    }
}

/// Checks that there is memory for a fit: six square matrices in `f64`, and for large images the rows that span the
/// subspace.
fn check_room_to_fit(pixels: usize, images: usize, memory: Memory) -> Result<()> {
    let (pixels, span) = (pixels as u64, images.min(SPAN) as u64);
    let (dimensions, rows) =
        if pixels <= LARGEST as u64 { (pixels, 0) } else { (span, 3 * 4 * span * pixels) };
    let needed = 6 * 8 * dimensions * dimensions + rows;
    let advice = "take smaller images: halve their sides, and it is a sixteenth";
    memory.require(needed, "the fit of a linear denoiser", advice)
}

/// The coordinates of a fit: pixels, or for large images those in a subspace.
struct Frame {
    pixels: usize,
    /// A point of the subspace and an orthonormal basis of it, `(1, pixels)` and `(pixels, dimensions)`.
    subspace: Option<(Tensor, Tensor)>,
}

impl Frame {
    fn of(noisy: &NoisyImages) -> Result<Frame> {
        let pixels = noisy.clean().dataset().image_shape().pixels();
        if pixels <= LARGEST {
            return Ok(Frame { pixels, subspace: None });
        }
        let step = noisy.len().div_ceil(SPAN);
        let positions: Vec<usize> = (0..noisy.len()).step_by(step).collect();
        let (_, clean) = noisy.source(Default::default()).batch(&positions, false, Kind::Float)?;
        let clean = as_rows(&clean)?;
        let origin = clean.f_mean_dim(&[0i64][..], true, None::<Kind>)?;
        let (basis, _) = Tensor::f_linalg_qr(&clean.f_sub(&origin)?.f_tr()?, "reduced")?;
        Ok(Frame { pixels, subspace: Some((origin, basis)) })
    }

    fn dimensions(&self) -> usize {
        self.subspace.as_ref().map_or(self.pixels, |(_, basis)| basis.size()[1] as usize)
    }

    /// Converts rows of pixels to these coordinates.
    fn enter(&self, rows: &Tensor) -> Result<Tensor> {
        Ok(match &self.subspace {
            Some((origin, basis)) => rows.f_sub(origin)?.f_matmul(basis)?,
            None => rows.shallow_clone(),
        })
    }

    /// Converts these coordinates to rows of pixels.
    fn leave(&self, rows: &Tensor) -> Result<Tensor> {
        Ok(match &self.subspace {
            Some((origin, basis)) => rows.f_matmul(&basis.f_tr()?)?.f_add(origin)?,
            None => rows.shallow_clone(),
        })
    }
}

/// Sums of noisy and clean rows and of their products, in `f64`.
struct Sums {
    images: f64,
    noisy: Tensor,
    clean: Tensor,
    noisy_noisy: Tensor,
    noisy_clean: Tensor,
}

impl Sums {
    fn new(dimensions: usize) -> Result<Sums> {
        let size = dimensions as i64;
        let zeros = |rows: i64| Tensor::f_zeros([rows, size], (Kind::Double, Device::Cpu));
        Ok(Sums {
            images: 0.0,
            noisy: zeros(1)?,
            clean: zeros(1)?,
            noisy_noisy: zeros(size)?,
            noisy_clean: zeros(size)?,
        })
    }

    fn add(&mut self, noisy: &Tensor, clean: &Tensor) -> Result<()> {
        let (noisy, clean) = (noisy.f_to_kind(Kind::Double)?, clean.f_to_kind(Kind::Double)?);
        let sum = |rows: &Tensor| rows.f_sum_dim_intlist(&[0i64][..], true, None::<Kind>);
        self.images += noisy.size()[0] as f64;
        self.noisy = self.noisy.f_add_(&sum(&noisy)?)?;
        self.clean = self.clean.f_add_(&sum(&clean)?)?;
        self.noisy_noisy = self.noisy_noisy.f_add_(&noisy.f_tr()?.f_matmul(&noisy)?)?;
        self.noisy_clean = self.noisy_clean.f_add_(&noisy.f_tr()?.f_matmul(&clean)?)?;
        Ok(())
    }
}

/// Every image once, in order: rows of noisy and of clean pixels.
fn each_batch(
    noisy: &NoisyImages,
    mut work: impl FnMut(Tensor, Tensor) -> Result<()>,
) -> Result<()> {
    let _guard = tch::no_grad_guard();
    let source = noisy.source(Default::default());
    let positions: Vec<usize> = (0..noisy.len()).collect();
    for batch in positions.chunks(BATCH) {
        let (noisy, clean) = source.batch(batch, false, Kind::Float)?;
        work(as_rows(&noisy)?, as_rows(&clean)?)?;
    }
    Ok(())
}

/// `(B, C, H, W)` as `(B, H × W × C)`.
fn as_rows(images: &Tensor) -> Result<Tensor> {
    Ok(images.f_permute([0, 2, 3, 1])?.f_reshape([images.size()[0], -1])?)
}

/// Points projected onto their principal components.
#[derive(Clone, PartialEq)]
pub struct PrincipalComponents {
    /// A row for each point, a column for each component, the widest first.
    pub points: Array2<f32>,
    /// Share of the variance that each component holds, in 0..=1.
    pub explained: Vec<f64>,
}

/// The first `components` principal components of these rows, as scikit-learn's `PCA` up to signs.
///
/// # Errors
/// If there are fewer than two rows, or fewer columns than components.
pub fn principal_components(rows: &Array2<f32>, components: usize) -> Result<PrincipalComponents> {
    if rows.nrows() < 2 || rows.ncols() < components {
        return Err(Error::parameter(
            "rows",
            format!("at least 2, of {components} values or more"),
            format!("{} of {}", rows.nrows(), rows.ncols()),
            "ask for fewer components",
        ));
    }
    let flat: Vec<f32> = rows.iter().copied().collect();
    let all = Tensor::f_from_slice(&flat)?.f_view([rows.nrows() as i64, -1])?;
    let all = all.f_to_kind(Kind::Double)?;
    let centred = all.f_sub(&all.f_mean_dim(&[0i64][..], true, None::<Kind>)?)?;
    let (variances, directions) = centred.f_tr()?.f_matmul(&centred)?.f_linalg_eigh("L")?;
    let variances = Vec::<f64>::try_from(variances.f_flip([0])?)?;
    let total = variances.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let directions = directions.f_flip([1])?.f_narrow(1, 0, components as i64)?;
    let points = centred.f_matmul(&directions)?.f_to_kind(Kind::Float)?;
    let points = Vec::<f32>::try_from(points.f_reshape([-1])?)?;
    let points = Array2::from_shape_vec((rows.nrows(), components), points);
    let explained = variances[..components].iter().map(|variance| variance / total).collect();
    Ok(PrincipalComponents { points: points.map_err(Error::internal)?, explained })
}

impl fmt::Debug for PrincipalComponents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share: f64 = self.explained.iter().sum();
        write!(
            f,
            "PrincipalComponents: {} points, {} components with {:.0}% of the variance",
            self.points.nrows(),
            self.points.ncols(),
            100.0 * share
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fit_that_does_not_fit_into_memory_is_refused() {
        let check = |pixels, images, available| {
            check_room_to_fit(pixels, images, Memory { available: Some(available) })
        };
        check(784, 1_000_000, 6 * 8 * 784 * 784).unwrap();
        let text = check(784, 1_000_000, 29_000_000).unwrap_err().to_string();
        let expected = "not enough memory: the fit of a linear denoiser takes 30 MB, and 29 MB are available; take \
                        smaller images: halve their sides, and it is a sixteenth";
        assert_eq!(text, expected);
        // Large images are fitted in the space that some of them span.
        let needed = 6 * 8 * 2048 * 2048 + 3 * 4 * 2048 * 10_000;
        check(10_000, 70_000, needed).unwrap();
        assert!(check(10_000, 70_000, needed - 1).is_err());
    }
}
