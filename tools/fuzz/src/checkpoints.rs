//! Checkpoints of a training.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use helpers::data::Split;
use helpers::prelude::*;
use helpers::training::{Callbacks, History};
use helpers::{Error, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{bounded, scratch, write};
use crate::models;
use crate::npy::{array, two_classes};

const EPOCHS: usize = 2;

/// Takes the input as the checkpoint of a training that now goes on. It counts as one of this very training, whatever it
/// says: otherwise it would never get past that check.
pub(crate) fn run(input: &[u8]) {
    let folder = scratch();
    let undisturbed = undisturbed();
    write(&folder, "checkpoint.safetensors", &renewed(input, &undisturbed.training));
    match train(&folder, input.len()) {
        Err(Error::Diverged { .. }) => {}
        Err(error) => panic!("no checkpoint may stop a training: {error}"),
        Ok((history, weights)) => {
            let epochs = history.epochs_run();
            assert!((1..=EPOCHS).contains(&epochs), "{epochs} epochs of {EPOCHS}");
            if models::parts(input).is_none() {
                assert!(weights == undisturbed.weights, "a checkpoint that is none was used");
            }
        }
    }
}

/// Writes the checkpoint that this training leaves.
///
/// # Errors
/// If it cannot be written.
pub fn write_checkpoint(path: &Path) -> std::io::Result<()> {
    let folder = scratch();
    train(&folder, 1 << 20).expect("a training of two epochs");
    fs::copy(folder.path().join("checkpoint.safetensors"), path).map(|_| ())
}

/// The same training without a checkpoint before it.
struct Undisturbed {
    training: Value,
    weights: Vec<u8>,
}

fn undisturbed() -> &'static Undisturbed {
    static UNDISTURBED: OnceLock<Undisturbed> = OnceLock::new();
    UNDISTURBED.get_or_init(|| {
        let folder = scratch();
        let (_, weights) = train(&folder, 1 << 20).expect("a training of two epochs");
        let checkpoint = fs::read(folder.path().join("checkpoint.safetensors"));
        let (header, _) = models::parts(&checkpoint.expect("a checkpoint")).expect("its header");
        Undisturbed { training: header["__metadata__"]["training"].clone(), weights }
    })
}

/// A checkpoint that says it is of this training.
fn renewed(input: &[u8], training: &Value) -> Vec<u8> {
    let Some((mut header, data)) = models::parts(input) else { return input.to_vec() };
    if let Some(Value::Object(metadata)) = header.get_mut("__metadata__") {
        metadata.insert("training".to_owned(), training.clone());
    }
    models::sealed(&models::joined(&header, data))
}

/// Trains a small network with a checkpoint in the folder; gives the tensors it ends with.
fn train(folder: &TempDir, bytes: usize) -> Result<(History, Vec<u8>)> {
    let split = split();
    let shape = split.train.dataset().image_shape();
    let mut model =
        Sequential::new(shape).flatten().dense(2).batch_normalization().dense(2).build(1)?;
    let checkpoint = folder.path().join("checkpoint.safetensors");
    let callbacks = Callbacks::default().backup_and_restore(checkpoint);
    let config = FitConfig { epochs: EPOCHS, batch_size: 4, ..FitConfig::default() };
    let history = bounded(bytes, || model.fit_with(split, config, callbacks))?;
    let path = folder.path().join("model.safetensors");
    model.save(&path)?;
    let model = fs::read(path).expect("it was just written");
    let (_, tensors) = models::parts(&model).expect("a model file");
    Ok((history, tensors.to_vec()))
}

/// Sixteen images of four pixels.
fn split() -> &'static Split {
    static SPLIT: OnceLock<Split> = OnceLock::new();
    SPLIT.get_or_init(|| {
        let folder = scratch();
        let pixels: Vec<u8> = (0..64u8).map(|index| index.wrapping_mul(37)).collect();
        write(&folder, "X.npy", &array("|u1", &[16, 2, 2], &pixels));
        write(&folder, "y.npy", &array("|u1", &[16], &two_classes(16)));
        let config =
            SplitConfig { test_size: 0.25, validation_size: 0.25, random_state: 1, stratify: true };
        let dataset = Dataset::load(folder.path()).expect("data that fit");
        dataset.split(config).expect("a split that fits")
    })
}
