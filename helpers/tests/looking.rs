//! Looking closer: every picture of what a trained network does, drawn once for a small one. `FIGURES=some/folder cargo
//! test -p helpers --test all looking` keeps them to look at.

use std::path::Path;
use std::sync::OnceLock;

use helpers::architectures::{AutoencoderConfig, CnnConfig, DenseConfig};
use helpers::artifacts::Predictions;
use helpers::data::Split;
use helpers::evaluation::Evaluation;
use helpers::models::Model;
use helpers::plot::Figure;
use helpers::prelude::*;
use helpers::training::Callbacks;

fn sample() -> Dataset {
    Dataset::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample")).unwrap()
}

/// A convolutional network that has learnt a little, and what it learnt from.
fn trained() -> (Model, Split) {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let split = sample().split(SplitConfig::default()).unwrap();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let network = CnnConfig { filters: [16, 24, 32, 32], dense: 64, ..CnnConfig::default() };
        let shape = split.train.dataset().image_shape();
        let mut model = network.network(shape, 10).build(1).unwrap();
        model.fit(&split, FitConfig { epochs: 6, ..FitConfig::default() }).unwrap();
        model.save(folder.path().join("cnn")).unwrap();
        folder
    });
    (Model::load(folder.path().join("cnn")).unwrap(), split)
}

/// Checks what holds for every figure, and keeps it when asked to.
fn keep(figure: &Figure, name: &str, words: &[&str]) {
    for words in words {
        assert!(figure.alt_text().contains(words), "{name}: {}", figure.alt_text());
    }
    let (width, _) = figure.size();
    assert!(width <= 900, "{name}: {width} wide, which a page would make smaller");
    assert!(figure.png().len() < 200_000, "{name}: {} bytes", figure.png().len());
    if let Some(folder) = std::env::var_os("FIGURES") {
        figure.save(Path::new(&folder).join(format!("{name}.png"))).unwrap();
    }
}

#[test]
fn calibration_before_and_after_temperature_scaling() {
    let (model, split) = trained();
    let found = model.calibrate(&split).unwrap();
    let probabilities = model.predict(&split.test).unwrap();
    let before = Calibration::new(&probabilities, &split.test.labels(), 15).unwrap();
    assert_eq!((found.before.ece, found.before.images()), (before.ece, 480));
    // Six epochs with smoothed targets promise too little.
    assert!(
        found.scaling.temperature < 1.0 && found.scaling.loss_after < found.scaling.loss_before
    );
    assert!(found.after.ece < found.before.ece, "{}", found.sentence());
    let words = format!("after temperature scaling {:.2}%", 100.0 * found.after.ece);
    keep(&found.plot().unwrap(), "reliability", &["as the network gives them", &words]);
    assert!(helpers::plot::plot_reliability(&[]).unwrap_err().to_string().contains("at least one"));
}

#[test]
fn what_goes_on_inside() {
    let (model, split) = trained();
    let probabilities = model.predict(&split.test).unwrap();
    let y_true = split.test.labels();
    let mut shown = most_confident_mistakes(&probabilities, &y_true, 6).unwrap();
    let y_pred = argmax(&probabilities).unwrap();
    shown.extend((0..y_true.len()).filter(|&i| y_true[i] == y_pred[i]).take(6));
    let figure = plot_grad_cam(&model, &split.test, &probabilities, &shown).unwrap();
    keep(
        &figure,
        "grad_cam",
        &["Grad-CAM of layer relu_3 over 12 images", " right (", " instead of "],
    );
    let figure = plot_filters(&model).unwrap();
    keep(&figure, "filters", &["The 16 filters of the first convolution, 3 × 3"]);
    let figure = plot_feature_maps(&model, &split.test, 5).unwrap();
    keep(&figure, "feature_maps", &["relu, 28 × 28 × 16", "relu_3, 7 × 7 × 32"]);
    let dense = DenseConfig::default().network(split.test.dataset().image_shape(), 10);
    let dense = dense.build(1).unwrap();
    let text = plot_filters(&dense).unwrap_err().to_string();
    assert!(text.contains("one with a convolution"), "{text}");
    assert!(plot_feature_maps(&dense, &split.test, 5).is_err());
    let text = plot_feature_maps(&model, &split.test, 5000).unwrap_err().to_string();
    assert!(text.contains("indices below 480"), "{text}");
}

#[test]
fn three_models_beside_each_other() {
    let split = sample().split(SplitConfig::default()).unwrap();
    let y_true = split.test.labels();
    // Each is wrong on every third image but the last one, which is wrong on every second.
    let model = |name: &str, wrong: &dyn Fn(usize) -> bool| {
        let other = |i: usize| (y_true[i] + 1 + (i % 2) as i64) % 10;
        let said = |i: usize| if wrong(i) { other(i) } else { y_true[i] };
        let y_pred: Vec<i64> = (0..y_true.len()).map(said).collect();
        Predictions::new(name, &split.test, &y_pred, true).unwrap()
    };
    let models = [
        model("baseline", &|i| i % 3 == 0),
        model("cnn", &|i| i % 3 == 1),
        model("transfer", &|i| i % 2 == 0),
    ];
    let figure = plot_confusions(&models, split.test.dataset().class_names()).unwrap();
    let finds =
        ["dense network finds T-shirt/top", "; convolutional network finds", "EfficientNet finds"];
    keep(&figure, "confusions", &finds);
    // On a narrow page the names of the rows stand beside each matrix.
    let html = figure.to_html();
    let rows = html.split("data-parts=\"").nth(1).unwrap().split('"').next().unwrap();
    let rows: Vec<&str> = rows.split(':').nth(1).unwrap().split(';').collect();
    let names = rows[0].split('+').next().unwrap();
    assert!(names.starts_with("0.0,0.0,"), "{rows:?}");
    assert!(
        rows.len() == 4 && rows[..3].iter().all(|row| row.starts_with(&format!("{names}+"))),
        "{rows:?}"
    );
    let figure = plot_only_one_right(&split.test, &models, 8).unwrap();
    // Of 480 images the dense network alone is right where i % 3 == 1 and i is even: 80 times.
    keep(&figure, "only_one_right", &["dense network alone on 80", "EfficientNet alone on 0"]);
    let text = plot_only_one_right(&split.validation, &models, 8).unwrap_err().to_string();
    assert!(text.contains("labels"), "{text}");
    assert!(plot_confusions(&[], &[]).is_err());
}

#[test]
fn augmentation_is_seen_before_training() {
    let dataset = sample();
    let augmentation = Augmentation { horizontal_flip: true, shift: 0.08, erase: 0.5 };
    let show = |seed| show_augmented(&dataset, 12, &augmentation, 11, seed).unwrap();
    keep(&show(1), "augmented", &["the original and 11 versions"]);
    assert_eq!(show(1).png(), show(1).png());
    assert_ne!(show(1).png(), show(2).png());
    let too_far = Augmentation { shift: 2.0, ..augmentation };
    let text = show_augmented(&dataset, 12, &too_far, 11, 1).unwrap_err().to_string();
    assert!(text.contains("`shift` must be"), "{text}");
}

#[test]
fn one_half_of_the_drawn_predictions_is_wrong() {
    let probabilities = ndarray::Array2::from_shape_fn((10, 2), |(_, class)| [0.75, 0.25][class]);
    let y_true = [0, 0, 0, 0, 0, 0, 0, 1, 1, 1];
    let drawn = right_and_wrong(&probabilities, &y_true, 5, 42).unwrap();
    assert_eq!(drawn.iter().map(|&i| y_true[i]).collect::<Vec<_>>(), [0, 0, 0, 1, 1]);
    assert_eq!(right_and_wrong(&probabilities, &y_true, 20, 42).unwrap().len(), 10);
}

#[test]
fn last_features_lie_on_a_map() {
    let (model, split) = trained();
    let figure = plot_last_features(&model, &split.test, 400, 42).unwrap();
    keep(&figure, "last_features", &["The last features of 400 images (t-SNE)", "10 classes"]);
    assert_eq!(model.last_features(&split.test).unwrap().dim(), (480, 64));
    let text = plot_last_features(&model, &split.test, 1, 42).unwrap_err().to_string();
    assert!(text.contains("perplexity"), "{text}");
}

#[test]
fn doubtful_labels_are_found_by_networks_that_have_not_seen_them() {
    let dataset = sample().take_stratified(600, 1).unwrap();
    let images = dataset.subset((0..600).collect()).unwrap();
    let network = DenseConfig { hidden: vec![64], ..DenseConfig::default() };
    let network = network.network(dataset.image_shape(), 10);
    let folds = StratifiedKFold { n_splits: 3, ..StratifiedKFold::default() };
    let config = FitConfig { epochs: 8, ..FitConfig::default() };
    let predict = || cross_val_predict(&network, &images, folds, &config).unwrap();
    let probabilities = predict();
    assert_eq!(probabilities, predict());
    let scored = Evaluation::from_probabilities(&probabilities, &images.labels()).unwrap();
    assert!((0.5..0.95).contains(&scored.accuracy), "{scored}");
    let issues = find_label_issues(&images.labels(), &probabilities).unwrap();
    assert!(!issues.is_empty());
    let figure = plot_label_issues(&images, &issues, 10).unwrap();
    let names = dataset.class_names();
    let first = format!("{}, seen as {}", names[issues[0].label], names[issues[0].suggested]);
    keep(&figure, "label_issues", &["Doubtful labels", &first]);
    assert!(label_issues_sentence(&issues, 600, names).contains("of 600 labels are doubtful"));
    let none = plot_label_issues(&images, &[], 10).unwrap();
    assert_eq!(none.alt_text(), "No label to show: none is doubtful.");
}

#[test]
fn more_images_are_worth_something() {
    let dataset = sample().take_stratified(1500, 1).unwrap();
    let split = dataset.split(SplitConfig::default()).unwrap();
    let network = DenseConfig { hidden: vec![64], ..DenseConfig::default() };
    let network = network.network(dataset.image_shape(), 10);
    let config = FitConfig { epochs: 6, ..FitConfig::default() };
    // Each size once and in rising order, as in scikit-learn; what is too large stands for all images.
    let curve = learning_curve(&network, &split, &[5000, 60, 300, 60, 7000], &config).unwrap();
    assert_eq!(curve.train_sizes, [60, 300, split.train.len()]);
    assert!(curve.validation[2].accuracy > curve.validation[0].accuracy, "{}", curve.sentence());
    keep(
        &curve.plot().unwrap(),
        "learning_curve",
        &["Validation accuracy (%) over Training images"],
    );
    let text = learning_curve(&network, &split, &[], &config).unwrap_err().to_string();
    assert!(text.contains("`train_sizes` must be at least one number"), "{text}");
}

#[test]
fn a_denoiser_is_tried_on_other_noise_and_between_codes() {
    let dataset = sample().take_stratified(1000, 1).unwrap();
    let split = dataset.split(SplitConfig::default()).unwrap();
    let noise = GaussianNoise::default();
    let network = AutoencoderConfig::default().network(dataset.image_shape()).unwrap();
    let mut model = network.build(1).unwrap();
    let config = FitConfig { epochs: 3, label_smoothing: 0.0, ..FitConfig::default() };
    let history = model.fit_denoiser(&split, noise, config, Callbacks::default().silent()).unwrap();
    keep(&history.plot_learning_rate().unwrap(), "learning_rate", &["Learning rate over Epoch"]);
    let linear = LinearDenoiser::fit(&split.train, noise, 42).unwrap();
    let variances = [0.05, 0.1, 0.2, 0.3, 0.5, 0.8];
    let levels = NoiseLevels::new(&model, &linear, &split.test, &variances, 42).unwrap();
    // More noise is harder for the input and for both denoisers.
    for psnr in [&levels.noisy, &levels.linear] {
        assert!(psnr.windows(2).all(|pair| pair[1] < pair[0]), "{psnr:?}");
    }
    assert!(levels.network[3] > levels.noisy[3], "{}", levels.sentence());
    keep(&levels.plot().unwrap(), "noise_levels", &["Quality against noise", "noisy input from"]);
    let test = noise.on(&split.test, 42);
    let figure = plot_interpolation(&model, &test, &[(0, 1), (2, 3)], 7).unwrap();
    keep(&figure, "interpolation", &["From one code to another"]);
    let figure = plot_codes(&model, &test).unwrap();
    keep(&figure, "codes", &["% of their variance", "First component", "Second component"]);
    let of_one_value = AutoencoderConfig { rate: 0.002, ..AutoencoderConfig::default() };
    let of_one_value = of_one_value.network(dataset.image_shape()).unwrap().build(1).unwrap();
    assert_eq!(of_one_value.bottleneck().values, 1);
    let figure = plot_codes(&of_one_value, &test).unwrap();
    keep(&figure, "codes_of_one_value", &["100% of their variance", "Class id upwards"]);
    let networks = [0.0125, 0.1].map(|rate| {
        let network = AutoencoderConfig { rate, ..AutoencoderConfig::default() };
        network.network(dataset.image_shape()).unwrap()
    });
    let (folder, config) = (
        tempfile::tempdir().unwrap(),
        FitConfig { epochs: 1, label_smoothing: 0.0, ..FitConfig::default() },
    );
    let sweep = rate_sweep(&networks, &linear, &split, 300, &config, folder.path()).unwrap();
    assert_eq!(sweep.rates, [9.0 / 784.0, 78.0 / 784.0]);
    assert!(sweep.linear[1] > sweep.linear[0], "{}", sweep.sentence());
    keep(&sweep.plot().unwrap(), "rate_sweep", &["Quality against rate"]);
    let text = plot_interpolation(&model, &test, &[(0, 1)], 1).unwrap_err().to_string();
    assert!(text.contains("`steps` must be at least 2, got 1"), "{text}");
}
