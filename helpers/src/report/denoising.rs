//! The quality of denoised images, as tables and sentences.

use super::shows_its_table;
use crate::display::{Cell, Column, Table};
use crate::evaluation::Quality;
use crate::text::{decibels_text, thousands};

impl Quality {
    /// The scores as a table of one row.
    pub fn table(&self) -> Table {
        compare_denoisers(&[("images", *self)])
    }
}

shows_its_table!(Quality);

/// How close a network's images are to the clean ones, compared with the best linear denoiser with a code of as many
/// `values` and with the noisy input; as a sentence.
pub fn denoising_sentence(
    network: &Quality,
    linear: &Quality,
    noisy: &Quality,
    values: usize,
) -> String {
    let images = thousands(network.images);
    let reached = if network.is_exact() {
        format!("The autoencoder gives back all {images} test images exactly")
    } else {
        format!("The autoencoder reaches {:.2} dB on {images} test images", network.psnr_db)
    };
    let linear = beside(
        network,
        linear,
        &format!("the best linear denoiser with a code of {values} values"),
    );
    let noisy = match noisy.is_exact() {
        true => "; the input has no noise that could be taken away".to_owned(),
        false => format!(" and {}", beside(network, noisy, "the noisy input")),
    };
    format!("{reached}, {linear}{noisy}.")
}

/// `1.20 dB above NAME`, or other words if one of the two is exact.
fn beside(images: &Quality, other: &Quality, name: &str) -> String {
    let difference = images.psnr_db - other.psnr_db;
    match (images.is_exact(), other.is_exact()) {
        (true, true) => format!("as does {name}"),
        (true, false) => format!("where {name} reaches {:.2} dB", other.psnr_db),
        (false, true) => format!("where {name} is exact"),
        (false, false) if difference.abs() < 0.005 => format!("as much as {name}"),
        (false, false) if difference < 0.0 => format!("{:.2} dB below {name}", -difference),
        (false, false) => format!("{difference:.2} dB above {name}"),
    }
}

/// The difference between two PSNRs as text: `0.52 dB`.
pub fn gain_text(from_db: f64, to_db: f64) -> String {
    match (from_db.is_infinite(), to_db.is_infinite()) {
        (true, true) => "nothing (its images are exact)".to_owned(),
        (false, true) => "all there is (its images become exact)".to_owned(),
        _ => decibels_text(to_db - from_db),
    }
}

/// Denoisers side by side, a row for each in the order given; the highest PSNR is marked.
pub fn compare_denoisers(denoisers: &[(&str, Quality)]) -> Table {
    let mut table = Table::new([
        Column::text("Denoiser"),
        Column::decimal("MSE", 5),
        Column::decimal("PSNR", 2).unit("dB"),
        Column::decimal("Mean PSNR of an image", 2).unit("dB"),
        Column::decimal("SSIM", 3),
    ]);
    for (name, quality) in denoisers {
        let Quality { mse, psnr_db, mean_image_psnr_db, ssim, .. } = *quality;
        let mut row = vec![Cell::from(*name)];
        row.extend([mse, psnr_db, mean_image_psnr_db, ssim].map(Cell::from));
        table.push(row);
    }
    let best = (0..denoisers.len())
        .max_by(|&a, &b| denoisers[a].1.psnr_db.total_cmp(&denoisers[b].1.psnr_db));
    match best {
        Some(best) if denoisers.len() > 1 => table.best(best),
        _ => table,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::psnr_db;

    fn quality(mse: f64) -> Quality {
        let psnr_db = psnr_db(mse);
        Quality { images: 1200, mse, psnr_db, mean_image_psnr_db: psnr_db, ssim: 0.5 }
    }

    #[test]
    fn the_sentence_says_how_many_decibels_lie_between() {
        let [good, better] = [quality(0.01), quality(0.001)];
        assert_eq!(
            denoising_sentence(&better, &good, &quality(1.0), 78),
            "The autoencoder reaches 30.00 dB on 1,200 test images, 10.00 dB above the best linear denoiser with a code \
             of 78 values and 30.00 dB above the noisy input."
        );
        let below = denoising_sentence(&good, &better, &quality(1.0), 78);
        assert!(below.contains("images, 10.00 dB below the best linear denoiser"), "{below}");
        let equal = denoising_sentence(&good, &good, &quality(1.0), 78);
        assert!(equal.contains("images, as much as the best linear denoiser"), "{equal}");
    }

    /// Without noise the input differs from the clean images by the rounding of `f32` alone: some 160 dB.
    #[test]
    fn nothing_is_said_to_be_above_an_input_without_noise() {
        for noiseless in [0.0, 1e-16] {
            let text = denoising_sentence(&quality(0.01), &quality(0.001), &quality(noiseless), 78);
            assert!(text.ends_with("; the input has no noise that could be taken away."), "{text}");
        }
    }

    #[test]
    fn equal_images_are_said_to_be_equal() {
        let text = denoising_sentence(&quality(0.0), &quality(0.0), &quality(0.1), 6);
        assert_eq!(
            text,
            "The autoencoder gives back all 1,200 test images exactly, as does the best linear denoiser with a code of 6 \
             values and where the noisy input reaches 10.00 dB."
        );
        assert_eq!(decibels_text(psnr_db(0.0)), "infinitely many dB (the images are equal)");
        assert_eq!(gain_text(20.0, 19.999), "0.00 dB");
        assert_eq!(gain_text(10.0, f64::INFINITY), "all there is (its images become exact)");
        assert_eq!(gain_text(f64::INFINITY, f64::INFINITY), "nothing (its images are exact)");
        assert_eq!(gain_text(20.0, 19.5), "-0.50 dB");
        assert!(quality(0.0).to_string().contains('∞'));
    }
}
