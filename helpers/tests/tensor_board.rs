//! TensorBoard's own reader finds what a training wrote, also of one that went on from a checkpoint.

use crate::common;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use helpers::Result;
use helpers::data::Split;
use helpers::models::Model;
use helpers::prelude::*;
use helpers::report::PredictionImages;
use helpers::training::{Callback, Callbacks, TensorBoard, TrainingState};
use serde_json::Value;

fn split() -> Split {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
    let dataset = Dataset::load(folder).unwrap().take_stratified(400, 1).unwrap();
    dataset.split(SplitConfig { random_state: 1, ..SplitConfig::default() }).unwrap()
}

fn config() -> FitConfig {
    FitConfig { epochs: 4, patience: 3, batch_size: 64, ..FitConfig::default() }
}

fn model(split: &Split) -> Model {
    Sequential::new(split.image_shape()).flatten().dense(split.classes()).build(1).unwrap()
}

fn read(folder: &Path) -> Value {
    let printed = common::run_python("tensor_board.py", &[PathBuf::from(folder)]);
    serde_json::from_slice(&printed).unwrap()
}

/// Step and value of each point of a curve.
fn curve(runs: &Value, run: &str, tag: &str) -> Vec<(u64, f64)> {
    let points = runs[run]["scalars"][tag].as_array().unwrap_or_else(|| panic!("{run}: {tag}"));
    points.iter().map(|point| (point[0].as_u64().unwrap(), point[1].as_f64().unwrap())).collect()
}

/// Ends a training after its second epoch, as a switched-off machine does.
struct SwitchedOff;

impl Callback for SwitchedOff {
    fn on_epoch_end(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        match training.epochs().len() {
            2 => Err(helpers::Error::Io {
                action: "read",
                path: "machine".into(),
                source: std::io::Error::other("switched off"),
                advice: "switch it on".to_owned(),
            }),
            _ => Ok(()),
        }
    }
}

#[test]
fn each_epoch_is_there_with_the_settings_and_the_predictions() {
    let (folder, split) = (tempfile::tempdir().unwrap(), split());
    let shown = split.validation.take(6);
    let callbacks = Callbacks::default()
        .silent()
        .with(TensorBoard::new(folder.path()))
        .with(Rc::new(RefCell::new(PredictionImages::new(folder.path(), &shown))));
    let history = model(&split).fit_with(&split, config(), callbacks).unwrap();
    let runs = read(folder.path());
    let expected = |value: fn(&helpers::training::EpochRecord) -> f64| -> Vec<(u64, f64)> {
        let values = history.epochs.iter().map(|epoch| f64::from(value(epoch) as f32));
        (0..).zip(values).collect()
    };
    assert_eq!(curve(&runs, "train", "epoch_loss"), expected(|epoch| epoch.loss));
    assert_eq!(curve(&runs, "train", "epoch_accuracy"), expected(|epoch| epoch.accuracy));
    assert_eq!(curve(&runs, "train", "epoch_learning_rate"), expected(|epoch| epoch.learning_rate));
    assert_eq!(curve(&runs, "validation", "epoch_loss"), expected(|epoch| epoch.val_loss));
    assert_eq!(curve(&runs, "validation", "epoch_accuracy"), expected(|epoch| epoch.val_accuracy));
    assert_eq!(runs["predictions"]["images"]["predictions"], serde_json::json!([0, 1, 2, 3]));
    let settings = &runs["."]["hparams"];
    assert_eq!(
        (&settings["batch_size"], &settings["augmentation.shift"]),
        (&64.0.into(), &0.0.into())
    );
    assert_eq!(settings["augmentation.horizontal_flip"], false);
    assert_eq!(runs["."]["finished"], true);
}

#[test]
fn a_training_that_goes_on_has_all_its_epochs_once() {
    let (folder, split) = (tempfile::tempdir().unwrap(), split());
    let (logs, checkpoint) = (folder.path().join("logs"), folder.path().join("checkpoint"));
    let callbacks = || {
        let callbacks = Callbacks::default().silent().backup_and_restore(&checkpoint);
        callbacks.with(TensorBoard::new(&logs))
    };
    let stopped = model(&split).fit_with(&split, config(), callbacks().with(SwitchedOff));
    stopped.unwrap_err();
    let before = read(&logs);
    assert_eq!(curve(&before, "train", "epoch_loss").len(), 2);
    assert_eq!(before["."]["finished"], false);
    let history = model(&split).fit_with(&split, config(), callbacks()).unwrap();
    let runs = read(&logs);
    let losses: Vec<(u64, f64)> =
        (0..).zip(history.epochs.iter().map(|epoch| f64::from(epoch.loss as f32))).collect();
    assert_eq!(curve(&runs, "train", "epoch_loss"), losses);
    // The epochs lie one after the other in time, too.
    let times: Vec<f64> = runs["train"]["scalars"]["epoch_loss"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point[2].as_f64().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
}
