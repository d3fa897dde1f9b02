//! Before, noisy and after, side by side.

use ndarray::Array2;

use super::figure::Figure;
use super::image_grid::{ImageRow, compare_images};
use crate::data::{DenoisedImages, GaussianNoise, NoisyImages};
use crate::evaluation::image_psnr_db;
use crate::{Error, Result};

/// The images at these places before the noise, with it, and after each denoiser, with the PSNR of each picture.
///
/// - `denoisers`: name and images of each, shape `(N, H × W × C)`, a row for each image of `noisy`
///
/// # Errors
/// If there is nothing to show, a place is not among the images, or a denoiser gave other images.
pub fn plot_denoised(
    noisy: &NoisyImages,
    denoisers: &[(&str, &DenoisedImages)],
    indices: &[usize],
) -> Result<Figure> {
    let dataset = noisy.clean().dataset();
    if let Some(outside) = indices.iter().find(|&&index| index >= noisy.len()) {
        return Err(Error::Drawing {
            message: format!("image {outside} is not among the {}", noisy.len()),
        });
    }
    let places: Vec<usize> = indices.iter().map(|&index| noisy.clean().indices()[index]).collect();
    let shown = dataset.subset(places)?;
    let picked = |images: &Array2<f32>| -> Vec<Vec<f32>> {
        indices.iter().map(|&index| images.row(index).to_vec()).collect()
    };
    let none = GaussianNoise { mean: 0.0, variance: 0.0, clip: false };
    let before = none.on(&shown, 0).to_array()?;
    let with_noise = noisy.noise().on(&shown, noisy.seed()).to_array()?;
    let row = |name: &str, images: Vec<Vec<f32>>, psnr: Vec<f64>| ImageRow {
        name: name.to_owned(),
        images,
        notes: psnr.iter().map(|psnr| format!("{psnr:.1} dB")).collect(),
    };
    let all = |images: &Array2<f32>| images.rows().into_iter().map(|row| row.to_vec()).collect();
    let mut rows = vec![
        row("before", all(&before), Vec::new()),
        row("noisy", all(&with_noise), image_psnr_db(&shown, &with_noise)?),
    ];
    for (name, images) in denoisers {
        let psnr = image_psnr_db(noisy.clean(), images)?;
        let psnr = indices.iter().map(|&index| psnr[index]).collect();
        rows.push(row(name, picked(images), psnr));
    }
    compare_images("Test images before the noise, with it, and after", dataset.image_shape(), &rows)
}
