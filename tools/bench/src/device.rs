//! Whether a network computes on a GPU what it computes on the processor. Without a GPU the code for one runs on the
//! processor.

use std::path::PathBuf;

use helpers::Result;
use helpers::data::Split;
use helpers::models::{Device, Model, Precision};
use helpers::prelude::*;
use helpers::training::{Callback, Callbacks, TrainingState};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::network::Network;

/// Most difference of a class's probability or of a pixel, in 32 bits.
const OUTPUTS: f64 = 1e-3;
/// Most length of the gradients' difference as a share of their length, in 32 bits. Where rounding moves a value to the
/// other side of a ReLU, its whole gradient comes or goes: on a processor those of the CNN of `driver.py` over 280 and
/// 774 images differ by 1.3% and 1.9%.
const GRADIENTS: f64 = 0.05;
/// Most difference of an epoch's loss as a share of it: bf16 has 8 bits, and differences grow from step to step.
const LOSSES: f64 = 0.1;

/// A network without dropout, whose draws differ between devices.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    /// The folder with X.npy and y.npy.
    data: PathBuf,
    /// An empty folder, for models and checkpoints.
    folder: PathBuf,
    network: Network,
    /// Images to take from the data.
    images: usize,
    /// Epochs of the short training, at least 2.
    epochs: usize,
    batch_size: usize,
    learning_rate: f64,
    seed: u64,
}

/// What one device computed.
struct Outcome {
    device: Device,
    split: Split,
    outputs: Vec<f32>,
    /// The gradients of the first step, from the moments in its checkpoint.
    gradients: Vec<f32>,
    /// Training loss, validation loss and seconds of each epoch.
    epochs: Vec<[f64; 3]>,
    /// Outputs of the trained network, and its file.
    trained: Vec<f32>,
    file: PathBuf,
}

impl Spec {
    /// Computes the same on both, and gives for each check what was found and what is allowed.
    pub(crate) fn run(self) -> Result<Value> {
        let found = Device::Cuda.resolve();
        let missing = found.as_ref().err().map(ToString::to_string);
        let here = self.on(Device::Cpu, "here")?;
        let there = self.on(found.unwrap_or(Device::CpuReference), "there")?;
        let parts =
            |of: &Split| [&of.train, &of.validation, &of.test].map(|part| part.indices().to_vec());
        let same = parts(&here.split) == parts(&there.split);
        let pairs = here.epochs.iter().zip(&there.epochs);
        let losses = pairs.flat_map(|(a, b)| [0, 1].map(|of| (a[of] - b[of]).abs() / a[of]));
        let rises = [&here, &there].map(|one| one.epochs[self.epochs - 1][0] / one.epochs[0][0]);
        let (resumed, moved) = self.resumed(&here, &there)?;
        let checks = [
            ("split", f64::from(!same), 0.0),
            ("outputs", apart(&here.outputs, &there.outputs), OUTPUTS),
            ("gradients, augmented", share(&here.gradients, &there.gradients), GRADIENTS),
            ("losses", largest(losses), LOSSES),
            ("last loss by first", largest(rises), 1.0),
            ("model file, to the processor", self.moved(&there, here.device)?, OUTPUTS),
            ("model file, from the processor", self.moved(&here, there.device)?, OUTPUTS),
            ("checkpoint is used", f64::from(!moved), 0.0),
            ("loss after checkpoint", resumed, LOSSES),
        ];
        let checks = checks.map(|(name, found, at_most)| {
            // Not a number is no pass.
            json!({"check": name, "found": found, "at_most": at_most, "passed": found <= at_most})
        });
        Ok(json!({
            "device": there.device.to_string(),
            "missing": missing,
            "checks": checks,
            "epochs": {"here": here.epochs, "there": there.epochs},
        }))
    }

    /// Predicts with the first weights, makes one step on one batch, and trains from the first weights again.
    fn on(&self, device: Device, name: &str) -> Result<Outcome> {
        let dataset = Dataset::load(&self.data)?.take_stratified(self.images, self.seed)?;
        let split =
            dataset.split(SplitConfig { random_state: self.seed, ..SplitConfig::default() })?;
        let mut model = self.first(&split, device)?;
        let outputs = self.outputs(&mut model, &split)?;

        let path = self.folder.join(format!("{name}.step"));
        let batch = Split { train: split.train.take(self.batch_size), ..split.clone() };
        let step = FitConfig { epochs: 1, precision: Precision::Float32, ..self.settings() };
        self.fit(&mut model, &batch, step, Callbacks::new().backup_and_restore(&path))?;
        let mut gradients = Vec::new();
        for (name, moment) in tch::Tensor::read_safetensors(&path)? {
            if name.starts_with("first/") {
                gradients.push((name, Vec::<f32>::try_from(moment)?));
            }
        }
        gradients.sort_by(|one, other| one.0.cmp(&other.0));
        let gradients = gradients.into_iter().flat_map(|(_, values)| values).collect();

        let mut model = self.first(&split, device)?;
        let epochs = self.fit(&mut model, &split, self.settings(), Callbacks::new())?;
        let file = self.folder.join(format!("{name}.safetensors"));
        model.save(&file)?;
        let trained = self.outputs(&mut model, &split)?;
        Ok(Outcome { device, split, outputs, gradients, epochs, trained, file })
    }

    /// The network with its first weights, on `device`.
    fn first(&self, split: &Split, device: Device) -> Result<Model> {
        let mut model = self.network.build(split.dataset(), self.seed)?;
        model.set_device(device)?;
        Ok(model)
    }

    fn settings(&self) -> FitConfig {
        FitConfig {
            epochs: self.epochs,
            batch_size: self.batch_size,
            learning_rate: self.learning_rate,
            augmentation: Augmentation { horizontal_flip: true, shift: 0.1, erase: 0.3 },
            seed: self.seed,
            ..FitConfig::default()
        }
    }

    fn fit(
        &self,
        model: &mut Model,
        split: &Split,
        settings: FitConfig,
        callbacks: Callbacks,
    ) -> Result<Vec<[f64; 3]>> {
        if let Network::Autoencoder { noise, .. } = self.network {
            let history = model.fit_denoiser(split, noise, settings, callbacks)?;
            return Ok(history
                .epochs
                .iter()
                .map(|of| [of.loss, of.val_loss, of.seconds])
                .collect());
        }
        let history = model.fit_with(split, settings, callbacks)?;
        Ok(history.epochs.iter().map(|of| [of.loss, of.val_loss, of.seconds]).collect())
    }

    /// Probabilities or denoised pixels of the validation part, computed in 32 bits.
    fn outputs(&self, model: &mut Model, split: &Split) -> Result<Vec<f32>> {
        model.set_precision(Precision::Float32);
        Ok(match self.network {
            Network::Autoencoder { noise, .. } => {
                model.denoise(&noise.on(&split.validation, self.seed))?.iter().copied().collect()
            }
            _ => model.predict(&split.validation)?.iter().copied().collect(),
        })
    }

    /// How far the outputs of a saved network are from its own on another device.
    fn moved(&self, from: &Outcome, device: Device) -> Result<f64> {
        let mut model = Model::load(&from.file)?;
        model.set_device(device)?;
        Ok(apart(&from.trained, &self.outputs(&mut model, &from.split)?))
    }

    /// Trains an epoch on the GPU and the others on the processor: how far the last loss is from the GPU's own, and whether
    /// the first epoch was taken over. Its seconds would differ if it had been trained again.
    fn resumed(&self, here: &Outcome, there: &Outcome) -> Result<(f64, bool)> {
        let path = self.folder.join("moved.checkpoint");
        let callbacks = || Callbacks::new().backup_and_restore(&path);
        let mut model = self.first(&there.split, there.device)?;
        let before =
            self.fit(&mut model, &there.split, self.settings(), callbacks().with(OneEpoch))?;
        // From one kind of processor to another no checkpoint goes.
        let next = if there.device == Device::Cuda { here.device } else { there.device };
        let mut model = self.first(&there.split, next)?;
        let whole = self.fit(&mut model, &there.split, self.settings(), callbacks())?;
        let [last, own] = [whole[self.epochs - 1][0], there.epochs[self.epochs - 1][0]];
        Ok(((last - own).abs() / own, before.len() == 1 && whole[0] == before[0]))
    }
}

/// Ends a training after its first epoch.
struct OneEpoch;

impl Callback for OneEpoch {
    fn on_epoch_end(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        training.stop("another device goes on");
        Ok(())
    }
}

/// The largest of these values, or one that is not a number.
fn largest(values: impl IntoIterator<Item = f64>) -> f64 {
    let larger = |most: f64, value: f64| if value > most || value.is_nan() { value } else { most };
    values.into_iter().fold(0.0, larger)
}

/// The largest difference; infinite if the numbers of values differ.
fn apart(one: &[f32], other: &[f32]) -> f64 {
    if one.len() != other.len() {
        return f64::INFINITY;
    }
    largest(one.iter().zip(other).map(|(a, b)| f64::from((a - b).abs())))
}

/// The length of the difference as a share of the length of `one`; infinite if the numbers of values differ.
fn share(one: &[f32], other: &[f32]) -> f64 {
    if one.len() != other.len() {
        return f64::INFINITY;
    }
    let length = |values: &mut dyn Iterator<Item = f32>| {
        values.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt()
    };
    length(&mut one.iter().zip(other).map(|(a, b)| a - b)) / length(&mut one.iter().copied())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_code_for_a_gpu_computes_what_that_for_the_processor_does() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let weights = root.join(".tools/weights/efficientnet_lite0.safetensors");
        assert!(weights.exists(), "the weights are not there; run `cargo xtask setup` first");
        // So little work is done by one thread: two would wait for each other where other programs run.
        tch::set_num_threads(1);
        let cnn = json!({"filters": [8, 8, 16, 16], "dense": 16, "dropout": 0.0});
        let noise = json!({"mean": 0.1, "variance": 0.3});
        let tuned = json!({"weights": weights, "input_size": 32, "dropout": 0.0, "fine_tune_from": "block_15"});
        for (mut network, kind, rate) in [
            (json!({"hidden": [32, 16], "dropout": 0.0}), "dense", 3e-3),
            (cnn, "cnn", 3e-3),
            (
                json!({"rate": 0.1, "filters": [4, 8], "dense": 32, "noise": noise}),
                "autoencoder",
                3e-3,
            ),
            // Larger steps let the fine-tuned network's losses part in bf16.
            (tuned, "transfer", 3e-4),
        ] {
            network["kind"] = kind.into();
            let folder = tempfile::tempdir().unwrap();
            let spec = json!({
                "data": root.join("data/sample"), "folder": folder.path(), "network": network,
                "images": 200, "epochs": 2, "batch_size": 32, "learning_rate": rate, "seed": 1,
            });
            let found = serde_json::from_value::<Spec>(spec).unwrap().run().unwrap();
            for check in found["checks"].as_array().unwrap() {
                assert_eq!(check["passed"], true, "{check} of {network}");
            }
            assert_eq!(found["missing"].is_null(), found["device"] == Device::Cuda.to_string());
        }
    }

    #[test]
    fn other_values_other_lengths_and_what_is_no_number_are_far_apart() {
        assert_eq!(apart(&[1.0, 2.0], &[1.0, 2.5]), 0.5);
        assert!(apart(&[f32::NAN, 1.0], &[1.0, 1.0]).is_nan());
        assert_eq!(share(&[3.0, 4.0], &[3.0, 3.0]), 0.2);
        assert!(share(&[1.0], &[f32::NAN]).is_nan() && apart(&[1.0], &[]).is_infinite());
    }
}
