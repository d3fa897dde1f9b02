//! What is read is what was written, and an error about a missing file names the notebook that
//! makes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::*;
use crate::architectures::AutoencoderConfig;
use crate::data::test_files::{folder as files, npy};
use crate::data::{Dataset, GaussianNoise, Split, SplitConfig};
use crate::evaluation::{Evaluation, LinearDenoiser, classification_report, confusion_matrix};
use crate::models::{Model, Sequential};
use crate::plot::plot_confusion;
use crate::system::write_atomically;
use crate::training::{EpochRecord, FitConfig, History};

fn all_images() -> Dataset {
    Dataset::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample")).unwrap()
}

fn sample_split() -> Split {
    let dataset = all_images().take_stratified(200, 1).unwrap();
    dataset.split(SplitConfig::default()).unwrap()
}

fn evaluation(accuracy: f64) -> Evaluation {
    Evaluation {
        images: 24,
        loss: 0.25,
        accuracy,
        accuracy_ci95: [accuracy - 0.125, accuracy + 0.0625],
    }
}

pub(crate) fn metrics(name: &str, accuracy: f64) -> Metrics {
    let record = EpochRecord {
        epoch: 1,
        loss: 0.5,
        accuracy: 0.8,
        val_loss: 0.4,
        val_accuracy: 0.9,
        learning_rate: 0.001,
        seconds: 1.5,
    };
    let history = History {
        epochs: vec![record],
        best_epoch: 1,
        stopped_early: false,
        fit_seconds: 1.5,
        train_images_per_second: 100.0,
        phases: Vec::new(),
    };
    let split = sample_split();
    Metrics::new(name, &split, 42, false)
        .unwrap()
        .history(&history)
        .parameters(1234)
        .config("split", &split.config)
        .unwrap()
        .scores(evaluation(0.5), evaluation(accuracy))
        .predict_images_per_second(5000.0)
}

#[test]
fn metrics_hold_the_fields_of_the_contract() {
    let value = serde_json::to_value(metrics("cnn", 0.75)).unwrap();
    let fields = [
        "schema",
        "name",
        "quick",
        "dataset",
        "seed",
        "split",
        "config",
        "parameters",
        "epochs_run",
        "best_epoch",
        "validation",
        "test",
        "fit_seconds",
        "train_images_per_second",
        "predict_images_per_second",
        "threads",
        "processor",
        "cpu_capability",
        "versions",
    ];
    let mut missing = fields.to_vec();
    missing.retain(|field| value.get(field).is_none());
    assert_eq!(missing, Vec::<&str>::new());
    assert_eq!(value["test"]["accuracy_ci95"], serde_json::json!([0.625, 0.8125]));
    assert_eq!(value["split"], serde_json::json!({"train": 154, "validation": 22, "test": 24}));
    assert_eq!(value["dataset"]["shape"], serde_json::json!([200, 28, 28]));
    for field in ["x_sha256", "y_sha256"] {
        assert_eq!(value["dataset"][field].as_str().unwrap().len(), 64);
    }
    // The fields of other notebooks are only written if they have a value.
    assert!(value.get("rate").is_none() && value.get("best_params").is_none());
    for part in ["helpers", "tch", "libtorch", "rustc"] {
        let version = value["versions"][part].as_str().unwrap();
        assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{part} {version}");
    }
}

#[test]
fn metrics_are_read_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::new(folder.path());
    let scores = Denoising {
        mse: 0.0125,
        psnr_db: 19.03,
        ssim: 0.71,
        noisy_psnr_db: 7.1,
        linear_psnr_db: 16.9,
    };
    let autoencoder = metrics("autoencoder", 0.5).scores(scores, scores).rate(78.0 / 784.0);
    let best = BTreeMap::from([("dropout".to_owned(), serde_json::json!(0.3))]);
    for saved in [metrics("cnn", 0.75), autoencoder, metrics("tuning", 0.1).best(best, 1.0 / 3.0)] {
        let path = artifacts.save_metrics(&saved).unwrap();
        assert_eq!(path, artifacts.metrics_path(&saved.name));
        assert_eq!(artifacts.load_metrics(&saved.name).unwrap(), saved);
        // The same result is the same file, byte for byte.
        let bytes = fs::read(&path).unwrap();
        artifacts.save_metrics(&saved).unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn metrics_from_before_the_processor_was_kept_are_read() {
    let mut value = serde_json::to_value(metrics("cnn", 0.75)).unwrap();
    value.as_object_mut().unwrap().remove("processor");
    let read: Metrics = serde_json::from_value(value).unwrap();
    assert_eq!(read.environment.processor, "");
}

#[test]
fn a_record_is_kept_twice() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::new(folder.path());
    let history: History = History {
        epochs: Vec::new(),
        best_epoch: 0,
        stopped_early: false,
        fit_seconds: 0.0,
        train_images_per_second: 0.0,
        phases: Vec::new(),
    };
    let written = artifacts.save_history("cnn", &history).unwrap();
    assert_eq!(written, ["json", "csv"].map(|end| artifacts.history_path("cnn", end)));
    assert!(written.iter().all(|path| path.exists()));
    assert!(artifacts.save_history("../cnn", &history).is_err());
}

#[test]
fn what_is_missing_names_the_notebook_that_makes_it() {
    let artifacts = Artifacts::new("nowhere");
    let errors = [
        (artifacts.load_metrics("baseline").unwrap_err(), "notebook 04_baseline_model makes it"),
        (artifacts.find_model("cnn").unwrap_err(), "notebook 06_cnn_training makes it"),
        (
            artifacts.load_predictions("transfer").unwrap_err(),
            "notebook 08_transfer_learning makes it",
        ),
        (artifacts.load_metrics("mine").unwrap_err(), "the notebook that saves `mine` makes it"),
    ];
    for (error, expected) in errors {
        let text = error.to_string();
        assert!(text.contains(expected) && text.contains("nowhere"), "{text}");
    }
}

#[test]
fn damaged_files_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::new(folder.path());
    let path = artifacts.metrics_path("cnn");
    write_atomically(&path, b"{\"schema\": 2}").unwrap();
    let text = artifacts.load_metrics("cnn").unwrap_err().to_string();
    assert!(
        text.contains("expected metrics of schema 1, found schema 2; run notebook 06_cnn_training"),
        "{text}"
    );
    write_atomically(&path, b"{\"schema\": 1, \"name\":").unwrap();
    let text = artifacts.load_metrics("cnn").unwrap_err().to_string();
    assert!(text.contains("found EOF while parsing"), "{text}");
}

#[test]
fn a_score_that_is_no_number_is_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut broken = metrics("cnn", 0.75);
    broken.test = Some(Evaluation { loss: f64::NAN, ..evaluation(0.5) }.into());
    let text = Artifacts::new(folder.path()).save_metrics(&broken).unwrap_err().to_string();
    assert!(text.starts_with("`metrics` must be finite numbers"), "{text}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn names_stay_inside_the_folder() {
    let artifacts = Artifacts::new("export");
    for name in ["", "../secret", "a/b", "a\nb", "é"] {
        let text = artifacts.load_metrics(name).unwrap_err().to_string();
        assert!(text.starts_with("`name` must be letters, digits, `_` and `-`"), "{text}");
    }
}

#[test]
fn models_of_other_splits_are_not_compared() {
    let mut other = metrics("cnn", 0.75);
    other.seed = 43;
    let text = by_accuracy(&[metrics("baseline", 0.625), other]).unwrap_err().to_string();
    assert!(
        text.contains("run notebook 04_baseline_model and notebook 06_cnn_training again"),
        "{text}"
    );
}

#[test]
fn predictions_of_the_same_images_are_compared() {
    let (folder, split) = (tempfile::tempdir().unwrap(), sample_split());
    let artifacts = Artifacts::new(folder.path());
    let truth = split.test.labels();
    let mut wrong = truth.clone();
    for class in &mut wrong[..10] {
        *class = (*class + 1) % 10;
    }
    for (name, y_pred) in [("cnn", &truth), ("baseline", &wrong)] {
        artifacts
            .save_predictions(&Predictions::new(name, &split.test, y_pred, false).unwrap())
            .unwrap();
    }
    let models = ["cnn", "baseline"].map(|name| artifacts.load_predictions(name).unwrap());
    let compared = compare_predictions(&models).unwrap();
    assert_eq!((compared.pairs[0].only_first, compared.pairs[0].better()), (10, Some("cnn")));
    // The predictions for the validation part belong to other images.
    let labels = split.validation.labels();
    let other = Predictions::new("transfer", &split.validation, &labels, false).unwrap();
    let text = compare_predictions(&[models[0].clone(), other]).unwrap_err().to_string();
    assert!(text.contains("`cnn` and `transfer`, made for others"), "{text}");
    // A list that is too short is refused.
    assert!(Predictions::new("cnn", &split.test, &truth[1..], false).is_err());
}

/// Notebook 4 with `-p sample 200` when the results of all images exist.
#[test]
fn a_run_on_a_sample_does_not_replace_the_results_of_all_images() {
    let folder = tempfile::tempdir().unwrap();
    let (all, split) = (all_images(), sample_split());
    let sample = split.train.dataset();
    // The folder is still empty: a sample may use it, and so may the next one.
    let first = Artifacts::for_data(folder.path(), sample);
    assert_eq!(first.folder(), folder.path());
    first.save_metrics(&metrics("baseline", 0.5)).unwrap();
    assert_eq!(Artifacts::for_data(folder.path(), sample).folder(), folder.path());
    // All images may replace a sample's results.
    let full = Artifacts::for_data(folder.path(), &all);
    assert_eq!(full.folder(), folder.path());
    let quick = Metrics { dataset: all.info().unwrap(), quick: true, ..metrics("baseline", 0.75) };
    full.save_metrics(&quick).unwrap();
    assert_eq!(Artifacts::for_data(folder.path(), sample).folder(), folder.path());
    full.save_metrics(&Metrics { quick: false, ..quick }).unwrap();
    let next = Artifacts::for_data(folder.path(), sample);
    assert_eq!(next.folder(), folder.path().join("sample_200"));
    next.save_metrics(&metrics("baseline", 0.5)).unwrap();
    // Each file says which images it is for.
    let read = |artifacts: &Artifacts| artifacts.load_metrics("baseline").unwrap();
    assert_eq!(read(&full).dataset.sampled_from, None);
    let found = read(&next);
    assert_eq!(found.dataset.sampled_from, Some(4000));
    assert!(found.to_string().contains("A run on 200 of 4,000 images."), "{found}");
    // As the notebook asks for it.
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
    for (sample, expected) in [(200, next.folder()), (0, full.folder())] {
        let mut run = Run::new("baseline", folder.path(), false);
        run.load_split(&data, sample, 1).unwrap();
        assert_eq!(run.artifacts().folder(), expected);
    }
}

/// A network of few weights, and settings for a short training.
fn small(split: &Split) -> (Model, FitConfig) {
    let network = Sequential::new(split.image_shape()).flatten().dense(8).relu();
    let config = FitConfig { epochs: 2, patience: 1, ..FitConfig::default() };
    (network.dense(split.classes()).build(1).unwrap(), config)
}

#[test]
fn a_run_keeps_what_it_trained_and_found_and_another_notebook_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
    let mut run = Run::new("cnn", folder.path(), true);
    let split = run.load_split(&data, 200, 1).unwrap();
    let (mut model, config) = small(&split);
    let advice = run.evaluate(&model, &split).unwrap_err().to_string();
    assert!(advice.contains("call `run.fit`"), "{advice}");
    run.config("remark", &"none").unwrap();
    let history = run.fit(&mut model, &split, config).unwrap();
    let kept = run.artifacts().load_metrics("cnn").unwrap();
    assert_eq!((kept.validation, kept.epochs_run), (None, history.epochs_run()));

    let mut later = Run::new("cnn", folder.path(), true);
    let split = later.load_split(&data, 200, 1).unwrap();
    let loaded = later.load_model(&split).unwrap();
    let result = later.evaluate(&loaded, &split).unwrap();
    assert_eq!(*result.probabilities, *model.predict(&split.test).unwrap());
    let accuracy = result.y_true().iter().zip(result.y_pred()).filter(|(a, b)| a == b).count();
    let test = result.metrics.test_evaluation().unwrap();
    assert_eq!((accuracy, 24), ((test.accuracy * 24.0).round() as usize, split.test.len()));
    let settings: Vec<&str> = result.metrics.config.keys().map(String::as_str).collect();
    assert_eq!(settings, ["average_mirrored", "device", "fit", "model", "remark", "split"]);
    let read = later.load_result("cnn", &split).unwrap();
    assert_eq!((&read.metrics, &read.predictions), (&result.metrics, &result.predictions));
    let text = result.findings(std::slice::from_ref(&read)).unwrap();
    let equal = "Its predictions are those of the convolutional network, image for image.";
    assert!(text.contains(equal) && text.contains("Hardest classes: "), "{text}");
    let searched =
        TestResult { metrics: result.metrics.best(BTreeMap::new(), 0.5), ..result.clone() };
    let text = searched.findings(std::slice::from_ref(&read)).unwrap();
    let nothing = "those of the convolutional network: the search changed nothing.";
    assert!(text.contains(nothing), "{text}");
    let mut other = read;
    other.predictions.y_pred[0] = (other.predictions.y_pred[0] + 1) % 10;
    let text = result.findings(&[other]).unwrap();
    assert!(
        text.contains(
            "0.00 points more than the convolutional network. Of 24 images, the convolutional network alone is right on "
        ),
        "{text}"
    );
    let other = later.load_split(&data, 200, 2).unwrap();
    assert!(
        later.load_model(&other).is_err(),
        "a model must not be scored on images that it has learnt"
    );
}

/// As in notebook 7, of 202 images of which two show a lynx; the split takes both for the training.
#[test]
fn a_class_that_no_test_image_shows_is_named_once() {
    let folder = tempfile::tempdir().unwrap();
    let pixels: Vec<u8> = (0..202 * 16).map(|pixel| (pixel * 7 % 251) as u8).collect();
    let labels: Vec<u8> = (0..202).map(|image| if image < 200 { image % 2 } else { 2 }).collect();
    let data = files(&npy("|u1", &[202, 4, 4], &pixels), &npy("|u1", &[202], &labels));
    fs::write(data.path().join("classes.txt"), "cat\ndog\nlynx\n").unwrap();
    let mut run = Run::new("cnn", folder.path(), true);
    let split = run.load_split(data.path(), 0, 1).unwrap();
    assert_eq!((split.train.class_counts()[2], split.test.class_counts()[2]), (2, 0));
    let (mut model, config) = small(&split);
    run.fit(&mut model, &split, config).unwrap();
    let result = run.evaluate(&model, &split).unwrap();
    let text = result.findings(&[]).unwrap();
    let missing = " No test image shows lynx: nothing can be said of it here.";
    assert!(text.contains(missing) && !text.contains("lynx ("), "{text}");
    let (report, truth) = (result.report().unwrap(), result.y_true());
    let only_cats = vec![0; truth.len()];
    let names = split.class_names();
    let before = classification_report(truth, &only_cats, names).unwrap();
    let gains = report.gains_over(&before, "the dense network");
    assert!(gains.ends_with(" of 2 classes rises.") && !gains.contains("lynx"), "{gains}");
    let figure = report.plot_gains(&before, ["dense", "convolutional"]).unwrap();
    assert!(!figure.alt_text().contains("lynx"), "{}", figure.alt_text());
    plot_confusion(&confusion_matrix(truth, result.y_pred(), names.len()).unwrap(), names).unwrap();
}

/// A brief training of a small denoiser on 200 images of 8 × 8 pixels, and its scores.
fn denoised(run: &mut Run, pixel: fn(usize) -> u8, noise: GaussianNoise) -> DenoisingResult {
    let pixels: Vec<u8> = (0..200 * 64).map(pixel).collect();
    let labels: Vec<u8> = (0..200).map(|image| image % 2).collect();
    let data = files(&npy("|u1", &[200, 8, 8], &pixels), &npy("|u1", &[200], &labels));
    let split = run.load_split(data.path(), 0, 1).unwrap();
    let network = AutoencoderConfig { filters: [2, 4], dense: 10, ..AutoencoderConfig::default() };
    let mut model = network.network(split.image_shape()).unwrap().build(1).unwrap();
    let config = FitConfig { epochs: 1, patience: 1, ..FitConfig::default() };
    run.fit_denoiser(&mut model, &split, noise, config).unwrap();
    let linear = LinearDenoiser::fit(&split.train, noise, 1).unwrap();
    run.evaluate_denoiser(&model, &linear, &split).unwrap()
}

fn pattern(pixel: usize) -> u8 {
    (pixel * 7 % 251) as u8
}

#[test]
fn a_run_of_a_denoiser_scores_it_beside_the_linear_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new("autoencoder", folder.path(), true);
    let noise = GaussianNoise { mean: 0.1, variance: 0.3, clip: false };
    let result = denoised(&mut run, pattern, noise);
    assert_eq!(result.metrics.rate, Some(6.0 / 64.0));
    assert!(matches!(result.metrics.test, Some(Scores::Denoising(scores))
        if scores.psnr_db == result.network.psnr_db && scores.linear_psnr_db == result.linear.psnr_db));
    assert_eq!(run.artifacts().load_metrics("autoencoder").unwrap(), result.metrics);
    let text = result.findings();
    assert!(
        text.starts_with("A quick run. The autoencoder reaches")
            && text.contains("code of 6 values"),
        "{text}"
    );
}

/// The linear denoiser gives black images back as they are: its PSNR is infinite, which is no failure.
#[test]
fn a_run_of_a_denoiser_on_black_images_keeps_an_infinite_psnr() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new("autoencoder", folder.path(), true);
    let result = denoised(&mut run, |_| 0, GaussianNoise::default());
    assert_eq!(result.linear.psnr_db, f64::INFINITY);
    assert_eq!(run.artifacts().load_metrics("autoencoder").unwrap(), result.metrics);
    let text = result.findings();
    let exact = "where the best linear denoiser with a code of 6 values is exact and ";
    assert!(text.contains(exact), "{text}");
}

#[test]
fn a_run_of_a_denoiser_without_noise_has_nothing_to_take_away() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new("autoencoder", folder.path(), true);
    let noise = GaussianNoise { mean: 0.0, variance: 0.0, clip: false };
    let text = denoised(&mut run, pattern, noise).findings();
    assert!(text.contains("; the input has no noise that could be taken away."), "{text}");
}
