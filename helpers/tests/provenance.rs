//! A model says what it was trained on, and is refused for another split: its scores would be too good to be true.

use std::fs;
use std::path::{Path, PathBuf};

use helpers::artifacts::{Artifacts, Metrics, Predictions};
use helpers::data::Split;
use helpers::models::Model;
use helpers::prelude::*;
use helpers::report::comparative_table;
use tempfile::TempDir;

const CLASSES: [&str; 2] = ["ant", "bee"];

/// A folder of 200 images of noise, whose labels nothing in them tells: right answers on unseen images are luck.
fn random_labels(folder: &Path, seed: u64, classes: [&str; 2]) -> PathBuf {
    let mut state = seed;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    let pixels: Vec<u8> = (0..200 * 6 * 6).map(|_| byte()).collect();
    let labels: Vec<u8> = (0..200).map(|_| byte() & 1).collect();
    fs::create_dir_all(folder).unwrap();
    write_npy(&folder.join("X.npy"), "(200, 6, 6)", &pixels);
    write_npy(&folder.join("y.npy"), "(200,)", &labels);
    fs::write(folder.join("classes.txt"), classes.join("\n")).unwrap();
    folder.to_owned()
}

pub(crate) fn write_npy(path: &Path, shape: &str, bytes: &[u8]) {
    let mut header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}");
    header += &" ".repeat(128 - 10 - 1 - header.len());
    let mut file = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    file.extend(header.bytes());
    file.push(b'\n');
    file.extend(bytes);
    fs::write(path, file).unwrap();
}

/// As the notebooks do it: the seed also draws the sample.
fn split(folder: &Path, sample: usize, seed: u64) -> Split {
    let dataset = Dataset::load(folder).unwrap().take_stratified(sample, seed).unwrap();
    dataset.split(SplitConfig { random_state: seed, ..SplitConfig::default() }).unwrap()
}

fn untrained(split: &Split) -> Model {
    let shape = split.train.dataset().image_shape();
    Sequential::new(shape).flatten().dense(8).relu().dense(2).build(1).unwrap()
}

fn brief() -> FitConfig {
    FitConfig { epochs: 2, batch_size: 32, ..FitConfig::default() }
}

/// What notebook 4 leaves behind: model, metrics and predictions of a training on `split`.
fn baseline(folder: &Path, split: &Split) -> Artifacts {
    let artifacts = Artifacts::new(folder);
    let mut model = untrained(split);
    model.fit(split, brief()).unwrap();
    model.save(artifacts.model_path("baseline")).unwrap();
    let (validation, test) =
        (model.evaluate(&split.validation).unwrap(), model.evaluate(&split.test).unwrap());
    let metrics = Metrics::new("baseline", split, split.config.random_state, false)
        .unwrap()
        .config("split", &split.config)
        .unwrap()
        .scores(validation, test);
    artifacts.save_metrics(&metrics).unwrap();
    let y_pred = argmax(&model.predict(&split.test).unwrap()).unwrap();
    let predictions = Predictions::new("baseline", &split.test, &y_pred, false).unwrap();
    artifacts.save_predictions(&predictions).unwrap();
    artifacts
}

/// What is said when everything that notebook 4 left is opened for this split.
fn refusals(artifacts: &Artifacts, split: &Split) -> [String; 3] {
    let metrics = artifacts.load_metrics("baseline").unwrap();
    let predictions = artifacts.load_predictions("baseline").unwrap();
    [
        artifacts.load_model("baseline", split).unwrap_err().to_string(),
        metrics.check_split(split).unwrap_err().to_string(),
        predictions.check_split(split).unwrap_err().to_string(),
    ]
}

#[test]
fn the_split_of_the_training_is_accepted() {
    let folder = TempDir::new().unwrap();
    let data = random_labels(&folder.path().join("data"), 1, CLASSES);
    for (sample, seed) in [(0, 42), (0, 7), (120, 7)] {
        let split_of_training = split(&data, sample, seed);
        let artifacts = baseline(folder.path(), &split_of_training);
        let again = split(&data, sample, seed);
        let model = artifacts.load_model("baseline", &again).unwrap();
        model.check_trained_on(&again).unwrap();
        assert_eq!(model.trained_on()[0].class_names, CLASSES);
        artifacts.load_metrics("baseline").unwrap().check_split(&again).unwrap();
        artifacts.load_predictions("baseline").unwrap().check_split(&again).unwrap();
    }
}

#[test]
fn another_split_sample_data_set_or_class_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let data = random_labels(&folder.path().join("data"), 1, CLASSES);
    let artifacts = baseline(folder.path(), &split(&data, 0, 42));
    let loose = SplitConfig { stratify: false, ..SplitConfig::default() };
    let renamed = random_labels(&folder.path().join("renamed"), 1, ["zebra", "bee"]);
    let cases: [(&str, Split, &[&str]); 5] = [
        ("seed", split(&data, 0, 7), &["`random_state` 7", "`random_state` 42"]),
        ("sample", split(&data, 120, 42), &["120 images (`sample`)", "200 images"]),
        (
            "stratify",
            Dataset::load(&data).unwrap().split(loose).unwrap(),
            &["`stratify` false", "`stratify` true"],
        ),
        (
            "data",
            split(&random_labels(&folder.path().join("other"), 2, CLASSES), 0, 42),
            &["X.npy"],
        ),
        ("classes", split(&renamed, 0, 42), &["class 0 called `zebra`", "class 0 called `ant`"]),
    ];
    for (case, split, words) in cases {
        let [model, metrics, predictions] = match case {
            // Scores alone say nothing of names.
            "classes" => {
                let predictions = artifacts.load_predictions("baseline").unwrap();
                let refused = predictions.check_split(&split).unwrap_err().to_string();
                assert!(refused.contains(words[0]) && refused.contains(words[1]), "{refused}");
                [
                    artifacts.load_model("baseline", &split).unwrap_err().to_string(),
                    "".into(),
                    refused,
                ]
            }
            _ => refusals(&artifacts, &split),
        };
        for words in words {
            assert!(model.contains(words), "{case}: {model}");
        }
        assert!(model.contains("baseline.safetensors"), "{case}: {model}");
        for message in [&model, &metrics, &predictions].into_iter().filter(|text| !text.is_empty())
        {
            assert!(message.contains("notebook 04_baseline_model"), "{case}: {message}");
        }
    }
}

/// What one split tests on, the other one trains on.
#[test]
fn a_model_that_has_seen_two_splits_of_the_data_is_refused_for_both() {
    let folder = TempDir::new().unwrap();
    let data = random_labels(&folder.path().join("data"), 1, CLASSES);
    let [first, second] = [42, 7].map(|seed| split(&data, 0, seed));
    let mut model = untrained(&first);
    for split in [&first, &second, &second] {
        model.fit(split, brief()).unwrap();
    }
    assert_eq!(model.trained_on().len(), 2, "the same images count once");
    for split in [&first, &second] {
        let message = model.check_trained_on(split).unwrap_err().to_string();
        assert!(
            message.contains("`random_state` 42") && message.contains("`random_state` 7"),
            "{message}"
        );
    }
}

/// Also of a training that went wrong: the weights have moved.
#[test]
fn every_training_leaves_a_record_of_its_images() {
    let folder = TempDir::new().unwrap();
    let data = random_labels(&folder.path().join("data"), 1, CLASSES);
    let split = split(&data, 0, 42);
    let mut model = untrained(&split);
    model.fit_on(&split.train, &split.validation, brief()).unwrap();
    model.check_trained_on(&split).unwrap();
    let mut model = untrained(&split);
    model.fit_on(&split.test, &split.validation, brief()).unwrap();
    let message = model.check_trained_on(&split).unwrap_err().to_string();
    assert!(message.contains("others of the same data set"), "{message}");
    let mut model = untrained(&split);
    let diverging = FitConfig { learning_rate: 1e30, schedule: Schedule::Constant, ..brief() };
    model.fit(&split, diverging).unwrap_err();
    model.check_trained_on(&split).unwrap();
}

/// Two splits of equal sizes: only the settings tell them apart.
#[test]
fn metrics_of_another_split_of_the_same_sizes_are_not_compared() {
    let folder = TempDir::new().unwrap();
    let data = random_labels(&folder.path().join("data"), 1, CLASSES);
    let loose = SplitConfig { stratify: false, ..SplitConfig::default() };
    let metrics = [SplitConfig::default(), loose].map(|config| {
        let split = Dataset::load(&data).unwrap().split(config).unwrap();
        let artifacts = baseline(folder.path(), &split);
        artifacts.load_metrics("baseline").unwrap()
    });
    assert_eq!(metrics[0].split, metrics[1].split);
    let message = comparative_table(&metrics).unwrap_err().to_string();
    assert!(message.contains("differ in them"), "{message}");
    comparative_table(&[metrics[0].clone(), metrics[0].clone()]).unwrap();
}

#[test]
fn a_model_without_a_record_names_the_notebook_to_run_again() {
    let folder = TempDir::new().unwrap();
    let data = random_labels(&folder.path().join("data"), 1, CLASSES);
    let split = split(&data, 0, 42);
    let artifacts = Artifacts::new(folder.path());
    untrained(&split).save(artifacts.model_path("cnn")).unwrap();
    let message = artifacts.load_model("cnn", &split).unwrap_err().to_string();
    assert!(message.contains("found none"), "{message}");
    assert!(message.contains("run notebook 06_cnn_training again"), "{message}");
}

/// As when the cell with the split is changed and run again, and the one with the training is not.
#[test]
fn a_model_is_not_scored_on_images_that_it_was_trained_on() {
    let folder = TempDir::new().unwrap();
    let data = random_labels(&folder.path().join("data"), 1, CLASSES);
    let mut run = Run::new("baseline", folder.path(), true);
    let of_training = run.load_split(&data, 0, 42).unwrap();
    let mut model = untrained(&of_training);
    run.fit(&mut model, &of_training, brief()).unwrap();
    run.evaluate(&model, &of_training).unwrap();
    let kept = || std::fs::read(run.artifacts().metrics_path("baseline")).unwrap();
    let before = kept();
    let other = run.clone().load_split(&data, 0, 7).unwrap();
    let message = run.clone().evaluate(&model, &other).unwrap_err().to_string();
    assert!(message.contains("`random_state` 7"), "{message}");
    assert_eq!(kept(), before);
}
