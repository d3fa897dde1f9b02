//! Noise is what it says, scores and the linear denoiser are NumPy's, and the autoencoder learns.
//!
//! `denoising.py` makes small images and computes the references when the tests run.

use crate::common;

use std::fs;
use std::path::Path;

use helpers::architectures::{AutoencoderConfig, DenseConfig};
use helpers::data::Split;
use helpers::evaluation::{Quality, image_psnr_db, principal_components, psnr_db};
use helpers::models::{Model, Precision};
use helpers::prelude::*;
use helpers::training::Callbacks;
use ndarray::Array2;
use serde::Deserialize;

/// `images` of the committed sample.
fn sample(images: usize) -> Subset {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
    Dataset::load(folder).unwrap().subset((0..images).collect()).unwrap()
}

/// All images of a data set that `denoising.py` made.
fn made(folder: &Path, name: &str) -> Subset {
    let dataset = Dataset::load(folder.join(name)).unwrap();
    dataset.subset((0..dataset.len()).collect()).unwrap()
}

fn make() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    common::run_python("denoising.py", &["make".as_ref(), folder.path().as_os_str()]);
    folder
}

/// The answer of `denoising.py` about these rows.
fn ask<T: serde::de::DeserializeOwned>(
    task: &str,
    shape: ImageShape,
    rows: &[(&str, &Array2<f32>)],
) -> T {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{} {} {}", shape.height, shape.width, shape.channels);
    fs::write(folder.path().join("shape.txt"), text).unwrap();
    for (name, rows) in rows {
        let bytes: Vec<u8> = rows.iter().flat_map(|value| value.to_le_bytes()).collect();
        fs::write(folder.path().join(format!("{name}.f32")), bytes).unwrap();
    }
    let answer = common::run_python("denoising.py", &[task.as_ref(), folder.path().as_os_str()]);
    serde_json::from_slice(&answer).unwrap()
}

/// The images as rows, without noise.
fn clean_rows(images: &Subset) -> Array2<f32> {
    GaussianNoise { mean: 0.0, variance: 0.0, clip: false }.on(images, 0).to_array().unwrap()
}

/// Mean and variance of the noise alone.
fn moments(noise: GaussianNoise, images: &Subset) -> (f64, f64) {
    let difference = noise.on(images, 7).to_array().unwrap() - clean_rows(images);
    let values = difference.len() as f64;
    let mean = difference.iter().map(|&value| f64::from(value)).sum::<f64>() / values;
    let squares = difference.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>();
    (mean, squares / values)
}

/// 784,000 draws: the mean is known to 0.0006, the variance to 0.0005 (one standard error each); five are allowed.
#[test]
fn the_default_noise_has_mean_a_tenth_and_variance_three_tenths() {
    let (mean, variance) = moments(GaussianNoise::default(), &sample(1000));
    assert!((mean - 0.1).abs() < 0.003, "mean {mean}");
    assert!((variance - 0.3).abs() < 0.0025, "variance {variance}");
    let (mean, variance) =
        moments(GaussianNoise { mean: -0.5, variance: 0.01, clip: false }, &sample(100));
    assert!((mean + 0.5).abs() < 0.002 && (variance - 0.01).abs() < 0.0003, "{mean} {variance}");
}

/// Skewness 0 and kurtosis 3, and neighbours that know nothing of each other.
#[test]
fn the_noise_is_normal_and_each_value_has_its_own() {
    let images = sample(1000);
    let noise = GaussianNoise { mean: 0.0, variance: 1.0, clip: false };
    let draws = noise.on(&images, 3).to_array().unwrap() - clean_rows(&images);
    let moment = |power: i32| draws.iter().map(|&value| f64::from(value).powi(power)).sum::<f64>();
    let values = draws.len() as f64;
    assert!((moment(3) / values).abs() < 0.02, "{}", moment(3) / values);
    assert!((moment(4) / values - 3.0).abs() < 0.06, "{}", moment(4) / values);
    for step in [1, 2, 28, 784] {
        let flat = draws.as_slice().unwrap();
        let pairs = flat.iter().zip(&flat[step..]).map(|(&a, &b)| f64::from(a) * f64::from(b));
        let correlation = pairs.sum::<f64>() / values;
        assert!(correlation.abs() < 0.006, "values {step} apart: {correlation}");
    }
}

#[test]
fn fixed_noise_knows_the_image_and_the_seed_and_nothing_else() {
    let dataset = sample(600).dataset().clone();
    let images = |indices: Vec<usize>| dataset.subset(indices).unwrap();
    let noise = GaussianNoise::default();
    // More than one batch against single images, in another order.
    let all = noise.on(&images((0..600).collect()), 7).to_array().unwrap();
    for index in [599, 513, 512, 0] {
        let alone = noise.on(&images(vec![index]), 7).to_array().unwrap();
        assert_eq!(alone.row(0), all.row(index), "image {index}");
    }
    let turned = noise.on(&images(vec![5, 3]), 7).to_array().unwrap();
    assert_eq!((turned.row(0), turned.row(1)), (all.row(5), all.row(3)));
    // Nor does libtorch's generator matter, which others draw from too.
    tch::manual_seed(1);
    assert_eq!(noise.on(&images(vec![3]), 7).to_array().unwrap().row(0), all.row(3));
    assert_ne!(noise.on(&images(vec![3]), 8).to_array().unwrap().row(0), all.row(3));
}

#[test]
fn clipped_noise_stays_between_black_and_white() {
    let noise = GaussianNoise { clip: true, ..GaussianNoise::default() };
    let noisy = noise.on(&sample(10), 1).to_array().unwrap();
    assert!(noisy.iter().all(|value| (0.0..=1.0).contains(value)));
    assert!(
        GaussianNoise::default().on(&sample(10), 1).to_array().unwrap().iter().any(|&v| v < 0.0)
    );
}

#[test]
fn noise_that_cannot_be_is_refused() {
    let check = |mean, variance| GaussianNoise { mean, variance, clip: false }.check();
    let text = check(0.1, -0.3).unwrap_err().to_string();
    assert!(text.starts_with("`variance` must be 0 or more, finite, got -0.3"), "{text}");
    let text = check(f64::NAN, 0.3).unwrap_err().to_string();
    assert!(text.starts_with("`mean` must be finite, got NaN"), "{text}");
}

#[derive(Deserialize)]
struct Reference {
    mse: f64,
    psnr_db: f64,
    mean_image_psnr_db: f64,
    ssim: f64,
}

#[test]
fn scores_are_those_of_the_formulas_for_grey_small_and_colour_images() {
    let folder = make();
    let sets = [sample(30), made(folder.path(), "small"), made(folder.path(), "colour")];
    for images in sets {
        let (shape, clean) = (images.dataset().image_shape(), clean_rows(&images));
        for variance in [0.001, 0.3] {
            let noise = GaussianNoise { variance, ..GaussianNoise::default() };
            let restored = noise.on(&images, 2).to_array().unwrap();
            let ours = Quality::of(&images, &restored).unwrap();
            let theirs: Reference =
                ask("score", shape, &[("clean", &clean), ("restored", &restored)]);
            let close =
                |ours: f64, theirs: f64| (ours - theirs).abs() < 1e-5 * theirs.abs().max(0.1);
            assert!(close(ours.mse, theirs.mse), "{ours:?} {}", theirs.mse);
            assert!(close(ours.psnr_db, theirs.psnr_db), "{ours:?} {}", theirs.psnr_db);
            assert!(close(ours.mean_image_psnr_db, theirs.mean_image_psnr_db), "{ours:?}");
            assert!(close(ours.ssim, theirs.ssim), "{shape:?} {ours:?} {}", theirs.ssim);
        }
    }
}

#[test]
fn equal_images_score_one_and_a_hundredth_is_twenty_decibels() {
    let images = sample(3);
    let clean = clean_rows(&images);
    let same = Quality::of(&images, &clean).unwrap();
    assert!(same.mse < 1e-12 && (same.ssim - 1.0).abs() < 1e-6, "{same:?}");
    let off = Quality::of(&images, &(&clean + 0.1)).unwrap();
    assert!((off.mse - 0.01).abs() < 1e-6 && (off.psnr_db - 20.0).abs() < 1e-3, "{off:?}");
    // The mean squared error is pooled first: one image off by 0.3, two right, is 10 log10(3 / 0.09).
    let mut one = clean.clone();
    one.row_mut(0).mapv_inplace(|value| value + 0.3);
    let pooled = Quality::of(&images, &one).unwrap();
    assert!((pooled.psnr_db - 15.2288).abs() < 1e-3, "{pooled:?}");
    assert!((image_psnr_db(&images, &one).unwrap()[0] - 10.4576).abs() < 1e-3);
    let text = Quality::of(&sample(2), &clean).unwrap_err().to_string();
    assert!(text.starts_with("`restored` must be of shape (2, 784)"), "{text}");
}

#[derive(Deserialize)]
struct Rank {
    rank: usize,
    restored: Vec<f32>,
}

#[test]
fn the_linear_denoiser_is_numpys_reduced_rank_regression() {
    let folder = make();
    let images = made(folder.path(), "grey");
    let shape = images.dataset().image_shape();
    // 64 images for each of the 36 values: the fit draws its noise once.
    let train = images.dataset().subset((0..2400).collect()).unwrap();
    let new = images.dataset().subset((2400..2500).collect()).unwrap();
    let noise = GaussianNoise { mean: 0.1, variance: 0.02, clip: false };
    let ours = LinearDenoiser::fit(&train, noise, 11).unwrap();
    let (noisy, unseen) = (noise.on(&train, 11).to_array().unwrap(), noise.on(&new, 12));
    let rows = unseen.to_array().unwrap();
    let theirs: Vec<Rank> =
        ask("linear", shape, &[("noisy", &noisy), ("clean", &clean_rows(&train)), ("new", &rows)]);
    let mut errors = Vec::new();
    for Rank { rank, restored } in theirs {
        let mine = ours.denoise(&unseen, rank).unwrap();
        let furthest = mine.iter().zip(&restored).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(furthest < 1e-4, "rank {rank}: {furthest}");
        errors.push(Quality::of(&new, &mine).unwrap().mse);
    }
    assert!(errors[0] > errors[1] && errors[1] > errors[2], "{errors:?}");
    assert!(ours.denoise(&unseen, 0).is_err());
    let other = ours.denoise(&noise.on(&sample(1), 1), 3).unwrap_err().to_string();
    assert!(other.contains("36 values") && other.contains("784 values"), "{other}");
}

#[derive(Deserialize)]
struct Components {
    points: Vec<f32>,
    explained: Vec<f64>,
}

#[test]
fn principal_components_are_those_of_scikit_learn() {
    let rows = clean_rows(&sample(60));
    let ours = principal_components(&rows, 2).unwrap();
    let shape = ImageShape { height: 28, width: 28, channels: 1 };
    let theirs: Components = ask("components", shape, &[("new", &rows)]);
    for component in 0..2 {
        assert!((ours.explained[component] - theirs.explained[component]).abs() < 1e-6);
        let mine = ours.points.column(component);
        let other: Vec<f32> = theirs.points.iter().skip(component).step_by(2).copied().collect();
        let sign = (mine[0] * other[0]).signum();
        assert!(mine.iter().zip(&other).all(|(a, b)| (a - sign * b).abs() < 1e-3));
    }
    assert!(principal_components(&rows, 785).is_err());
}

#[test]
fn the_autoencoder_learns_and_keeps_the_best_epoch() {
    let dataset = sample(400).dataset().clone();
    let train = dataset.subset((0..300).collect()).unwrap();
    let validation = dataset.subset((300..400).collect()).unwrap();
    let noise = GaussianNoise::default();
    let network = AutoencoderConfig { filters: [8, 16], dense: 64, ..AutoencoderConfig::default() };
    let config =
        FitConfig { epochs: 6, batch_size: 32, learning_rate: 0.003, ..FitConfig::default() };
    let config = FitConfig { precision: Precision::Float32, ..config };
    let build = || network.network(dataset.image_shape()).unwrap().build(1).unwrap();
    let mut model = build();
    let split = Split {
        train,
        validation: validation.clone(),
        test: validation.clone(),
        config: SplitConfig::default(),
    };
    let fit = |model: &mut Model| {
        model.fit_denoiser(&split, noise, config.clone(), Callbacks::default()).unwrap()
    };
    let history = fit(&mut model);
    assert!(history.epochs[5].loss < 0.5 * history.epochs[0].loss, "{history:?}");
    for record in &history.epochs {
        assert!((record.val_psnr_db - psnr_db(record.val_loss)).abs() < 1e-12);
    }
    // The noise of the validation part is that of `on` with the same seed: the best epoch's loss comes back.
    let noisy = noise.on(&validation, config.seed);
    let restored = model.denoise(&noisy).unwrap();
    assert!(model.denoise_speed(&noisy).unwrap() > 0.0, "images a second");
    let quality = Quality::of(&validation, &restored).unwrap();
    assert!((quality.mse - history.best().val_loss).abs() < 1e-5, "{quality:?} {history:?}");
    assert!(restored.iter().all(|value| (0.0..=1.0).contains(value)));
    let input = Quality::of(&validation, &noisy.to_array().unwrap()).unwrap();
    assert!(quality.psnr_db > input.psnr_db + 5.0, "{quality:?} {input:?}");
    assert_eq!(model.encode(&noisy).unwrap().dim(), (100, model.bottleneck().values));
    // The seed fixes noise and order.
    let mut again = build();
    let repeated = fit(&mut again);
    assert_eq!(repeated.best().val_loss.to_bits(), history.best().val_loss.to_bits());
}

#[test]
fn a_network_that_gives_no_images_is_refused() {
    let images = sample(20);
    let mut classifier =
        DenseConfig::default().network(images.dataset().image_shape(), 10).build(1).unwrap();
    let split = images.dataset().split(SplitConfig::default()).unwrap();
    let fitted = classifier.fit_denoiser(
        &split,
        GaussianNoise::default(),
        FitConfig::default(),
        Callbacks::default(),
    );
    let text = fitted.unwrap_err().to_string();
    assert!(text.contains("28 × 28 × 1") && text.contains("got 10;"), "{text}");
}

#[test]
fn a_denoiser_has_no_classes_to_mix() {
    let images = sample(20);
    let network = AutoencoderConfig { filters: [4, 8], dense: 32, rate: 0.02 };
    let shape = images.dataset().image_shape();
    let mut model = network.network(shape).unwrap().build(1).unwrap();
    let split = images.dataset().split(SplitConfig::default()).unwrap();
    for (mixup, cutmix, name) in [(0.2, 0.0, "mixup"), (0.0, 1.0, "cutmix")] {
        let config = FitConfig { mixup, cutmix, ..FitConfig::default() };
        let noise = GaussianNoise::default();
        let fitted = model.fit_denoiser(&split, noise, config, Callbacks::default());
        let text = fitted.unwrap_err().to_string();
        assert!(text.starts_with(&format!("`{name}` must be 0 for a denoiser, got ")), "{text}");
    }
}
