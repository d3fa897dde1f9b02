//! Writes the part of the corpus that only helpers can write: model files, a checkpoint, specifications of trials.
//!
//! `cargo run -p fuzz --bin corpus`, after their layout has changed; `corpus/make.py` writes the rest.

use std::fs;
use std::path::{Path, PathBuf};

use helpers::architectures::{CnnConfig, DenseConfig};
use helpers::artifacts::code_version;
use helpers::layers::{BatchNormalization, Relu6, Residual};
use helpers::prelude::*;
use helpers::tuning::trial::TrialSpec;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for name in ["models", "checkpoints", "trials"] {
        fs::create_dir_all(corpus.join(name))?;
    }
    for (name, network) in networks() {
        let mut model = network.build(1)?;
        if name == "cnn" {
            model.freeze_kind("conv2d")?;
        }
        model.save(corpus.join(format!("models/{name}.safetensors")))?;
    }
    fuzz::write_checkpoint(&corpus.join("checkpoints/two_epochs.safetensors"))?;
    write_trials(&corpus)
}

/// A small network for each kind of layer that a file can hold.
fn networks() -> [(&'static str, Sequential); 5] {
    let shape = ImageShape { height: 4, width: 4, channels: 1 };
    let residual = Residual { layers: vec![BatchNormalization::default().into(), Relu6.into()] };
    [
        (
            "dense",
            Sequential::new(shape)
                .flatten()
                .dense(2)
                .batch_normalization()
                .relu()
                .dropout(0.5)
                .dense(2),
        ),
        (
            "cnn",
            Sequential::new(shape)
                .conv2d(2, 3)
                .batch_normalization()
                .relu()
                .max_pooling2d(2)
                .flatten()
                .dense(2),
        ),
        (
            "block",
            Sequential::new(shape)
                .resize(3, 3)
                .repeat_channels(3)
                .block("stem", vec![residual.into()])
                .global_average_pooling2d(),
        ),
        (
            "autoencoder",
            Sequential::new(shape)
                .flatten()
                .dense(3)
                .dense(4)
                .reshape(2, 2, 1)
                .up_sampling2d(2)
                .sigmoid(),
        ),
        ("vectors", Sequential::for_vectors(3).dense(2)),
    ]
}

fn write_trials(corpus: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let dense = DenseConfig { hidden: vec![4], ..DenseConfig::default() };
    let cnn = CnnConfig { filters: [2, 2, 2, 2], dense: 4, ..CnnConfig::default() };
    for (name, network) in [("dense", Network::Dense(dense)), ("cnn", Network::Cnn(cnn))] {
        let spec = TrialSpec {
            code: code_version(),
            network,
            fit: FitConfig { epochs: 1, batch_size: 8, ..FitConfig::default() },
            data: PathBuf::from("data"),
            x_sha256: "0".repeat(64),
            y_sha256: "0".repeat(64),
            train: (0..16).collect(),
            test: (16..24).collect(),
            validation: 0.25,
            threads: 1,
            return_train_score: name == "cnn",
            stage: None,
            cut: None,
            checkpoint: None,
        };
        let text = serde_json::to_string(&spec)?;
        fs::write(corpus.join(format!("trials/{name}.json")), text + "\n")?;
    }
    Ok(())
}
