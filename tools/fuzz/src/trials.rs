//! Specifications of trials, as the program `trial` reads them.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use fastrand::Rng;
use helpers::artifacts::code_version;
use helpers::prelude::*;
use helpers::tuning::trial::{TrialResult, TrialSpec};
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{bounded, check_message, scratch, write};
use crate::mutate;
use crate::npy::{array, two_classes};

/// Images, rows and columns of the data that trials run on; the convolutional network needs 8 pixels.
const SHAPE: [usize; 3] = [24, 8, 8];

/// Takes the input as a specification, and runs it if that does not take long.
pub(crate) fn run(input: &[u8]) {
    let Ok(spec) = bounded(input.len(), || serde_json::from_slice::<TrialSpec>(input)) else {
        return;
    };
    let text = serde_json::to_string(&spec).expect("what was read can be written");
    let again: TrialSpec = serde_json::from_str(&text).expect("what was written can be read");
    assert_eq!(again, spec);
    assert_eq!(again.id(), spec.id());
    let moved = TrialSpec { data: PathBuf::from("elsewhere"), ..again };
    assert_eq!(moved.id(), spec.id(), "the folder's name makes another trial");
    if let Err(error) = bounded(input.len(), || spec.check()) {
        return check_message(&error, "must be");
    }
    if is_short(&spec) {
        run_here(spec);
    }
}

/// Runs it with this code, on the data here.
fn run_here(spec: TrialSpec) {
    let data = data();
    let info = Dataset::load(data).expect("data that fit").info().expect("valid data");
    let (x_sha256, y_sha256) = (info.x_sha256, info.y_sha256);
    let code = code_version();
    let data = data.to_owned();
    // A checkpoint's file is removed, wherever the input says it lies.
    let spec = TrialSpec { code, data, x_sha256, y_sha256, checkpoint: None, ..spec };
    match spec.run(&mut None) {
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
        Ok(result) => {
            assert_eq!(result.test.images, spec.test.len());
            assert!((0.0..=1.0).contains(&result.test.accuracy));
            let line = serde_json::to_vec(&result).expect("a result is plain values");
            if result.test.loss.is_finite() {
                assert!(TrialResult::parse(&line, &spec.id()).is_some());
            }
            assert!(TrialResult::parse(&line, "another").is_none());
        }
    }
}

/// Whether a trial takes milliseconds, if it can run at all.
fn is_short(spec: &TrialSpec) -> bool {
    let narrow = match &spec.network {
        Network::Dense(config) => {
            config.hidden.len() <= 3 && config.hidden.iter().all(|&units| units <= 16)
        }
        Network::Cnn(config) => {
            config.filters.iter().all(|&filters| filters <= 8) && config.dense <= 16
        }
    };
    let rows = spec.train.len().max(spec.test.len());
    narrow && spec.fit.epochs <= 2 && rows <= 48 && spec.threads <= 4
}

fn data() -> &'static Path {
    static DATA: OnceLock<TempDir> = OnceLock::new();
    let make = || {
        let folder = scratch();
        let pixels: Vec<u8> = (0..SHAPE.iter().product()).map(|index: usize| index as u8).collect();
        write(&folder, "X.npy", &array("|u1", &SHAPE, &pixels));
        write(&folder, "y.npy", &array("|u1", &SHAPE[..1], &two_classes(SHAPE[0])));
        folder
    };
    DATA.get_or_init(make).path()
}

const TOKENS: &[&str] = &[
    "\"dense\":",
    "\"cnn\":",
    "\"hidden\":[4]",
    "\"reduce_on_plateau\"",
    "\"constant\"",
    "\"he_normal\"",
    "\"Float32\"",
    "null",
    "true",
    "[0,1,2]",
    "{}",
    "\"",
];

/// A changed copy: of its values half of the time, of its text otherwise.
pub(crate) fn mutate(random: &mut Rng, input: &[u8]) -> Vec<u8> {
    match serde_json::from_slice::<Value>(input) {
        Ok(mut value) if random.bool() => {
            mutate::json(random, &mut value);
            value.to_string().into_bytes()
        }
        _ => mutate::bytes(random, input, TOKENS),
    }
}
