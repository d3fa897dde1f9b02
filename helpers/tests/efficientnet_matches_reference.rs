//! EfficientNet-Lite gives what an independent PyTorch implementation gives with the same weights, block by block:
//! `reference/efficientnet.json`, made by the script beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use helpers::models::Precision;
use helpers::prelude::*;
use safetensors::SafeTensors;
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    /// Places in the committed sample.
    images: Vec<usize>,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    variant: EfficientNet,
    input_size: usize,
    layers: BTreeMap<String, Kept>,
}

/// What is kept of a layer's output.
#[derive(Deserialize)]
struct Kept {
    /// For each image, the values at indices 0, 7919, 7919 × 2, … modulo `width`.
    values: Vec<Vec<f64>>,
    /// For each image, the sum of all its values.
    sums: Vec<f64>,
    width: usize,
}

const STEP: usize = 7919;
const TOLERANCE: f64 = 1e-4;

/// Whether two values differ by more than `f32` arithmetic explains; values above 1 are compared by their ratio.
fn differ(value: f64, expected: f64) -> bool {
    (value - expected).abs() > TOLERANCE * expected.abs().max(1.0)
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder with the pretrained weights.
fn weights() -> PathBuf {
    here().join("../.tools/weights")
}

/// The first disagreement with the reference, from the stem on; `weights` is the folder of the files.
fn first_difference(weights: &Path) -> Result<(), String> {
    let text = fs::read_to_string(here().join("tests/reference/efficientnet.json")).unwrap();
    let reference: Reference = serde_json::from_str(&text).unwrap();
    let dataset = Dataset::load(here().join("../data/sample")).unwrap();
    let images = dataset.subset(reference.images).unwrap();
    for run in &reference.runs {
        let (variant, input_size) = (run.variant, run.input_size);
        let config = TransferConfig { variant, input_size, ..TransferConfig::default() };
        let file = variant.weights(weights);
        let model = config.pretrained(dataset.image_shape(), 10, file, 0).unwrap();
        let blocks = (1..=run.layers.len() - 3).map(|number| format!("block_{number}"));
        let ends = ["top", "global_average_pooling2d"].map(str::to_owned);
        for layer in [String::from("stem")].into_iter().chain(blocks).chain(ends) {
            let place = format!("{layer} of {} at {input_size} × {input_size}", variant.name());
            let ours = model.activations(&images, &layer, Precision::Float32).unwrap();
            let theirs = &run.layers[&layer];
            if ours.ncols() != theirs.width {
                return Err(format!("{place}: {} values, not {}", ours.ncols(), theirs.width));
            }
            for (image, row) in ours.outer_iter().enumerate() {
                for (step, &expected) in theirs.values[image].iter().enumerate() {
                    let value = f64::from(row[step * STEP % theirs.width]);
                    if differ(value, expected) {
                        return Err(format!("{place}: {value}, not {expected}"));
                    }
                }
                let mean =
                    row.iter().map(|&value| f64::from(value)).sum::<f64>() / row.len() as f64;
                let expected = theirs.sums[image] / row.len() as f64;
                if differ(mean, expected) {
                    return Err(format!("{place}: a mean of {mean}, not {expected}"));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn every_block_agrees_with_the_reference() {
    assert!(weights().exists(), "the weights are not there; run `cargo xtask setup` first");
    first_difference(&weights()).unwrap();
}

/// Blocks 7 and 8 have the same shapes, so that nothing but their outputs tells their weights apart.
#[test]
fn weights_that_are_off_by_one_block_are_noticed() {
    let bytes = fs::read(EfficientNet::Lite0.weights(weights())).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let swapped = |name: &str| {
        if let Some(rest) = name.strip_prefix("_blocks.6.") {
            format!("_blocks.7.{rest}")
        } else if let Some(rest) = name.strip_prefix("_blocks.7.") {
            format!("_blocks.6.{rest}")
        } else {
            name.to_owned()
        }
    };
    let tensors = file.iter().map(|(name, tensor)| (swapped(name), tensor));
    let folder = tempfile::tempdir().unwrap();
    let path = EfficientNet::Lite0.weights(folder.path());
    fs::write(&path, safetensors::serialize(tensors, None).unwrap()).unwrap();
    let difference = first_difference(folder.path()).unwrap_err();
    assert!(difference.starts_with("block_7 of efficientnet_lite0 at"), "{difference}");
}
