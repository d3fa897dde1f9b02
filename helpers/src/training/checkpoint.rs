//! Checkpoints: a training that was stopped, at whatever moment, goes on from its last whole epoch.
//!
//! One file holds what the next epoch depends on: the weights, those of the best epoch, the optimiser's moments, and the
//! record of the epochs. What follows from the record is not in it: the learning rate's course and early stopping are
//! taken through it again; and libtorch's generator is seeded anew for each epoch.

use std::collections::HashMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::Tensor;

use super::fit::{FitConfig, Objective, Progress};
use super::history::{EpochRow, Record};
use crate::artifacts::{Environment, code_version};
use crate::data::batches::Source;
use crate::error::{Error, Result};
use crate::models::file::{self, ModelFile, as_bytes};
use crate::models::model::Model;

/// The only layout of a checkpoint so far.
const FORMAT: u32 = 1;

/// Where the checkpoint of one training is kept.
pub(crate) struct Checkpoint {
    path: PathBuf,
    training: Training,
    /// The most epochs that a record of this training has.
    epochs: usize,
}

/// All that fixes a training's numbers: two that agree in it end with the same weights, bit by bit.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Training {
    format: u32,
    network: String,
    settings: String,
    data: String,
    first_weights: String,
    code: String,
    machine: String,
}

/// What is in a checkpoint beside tensors. Numbers are kept by their bits: text would round them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    steps: u64,
    seconds: u64,
    step_seconds: u64,
    epochs: Vec<[u64; 6]>,
}

impl Checkpoint {
    /// That of the training that starts now; none if the model keeps none.
    pub(crate) fn of(
        model: &Model,
        train: &dyn Source,
        validation: &dyn Source,
        objective: Objective,
        config: &FitConfig,
    ) -> Result<Option<Checkpoint>> {
        let Some(path) = model.backup.clone() else { return Ok(None) };
        let mut data = Sha256::new();
        train.identify(&mut data);
        validation.identify(&mut data);
        let mut weights = Sha256::new();
        for weight in &model.weights {
            weights.update(format!("{} {};", weight.name, weight.trainable));
            weights.update(as_bytes(&weight.tensor)?);
        }
        let settings = serde_json::to_string(config).expect("settings are plain values");
        let Environment { threads, cpu_capability, .. } = Environment::current();
        let training = Training {
            format: FORMAT,
            network: serde_json::to_string(model.network()).expect("settings are plain values"),
            settings: format!("{settings} {objective:?}"),
            data: format!("{:x}", data.finalize()),
            first_weights: format!("{:x}", weights.finalize()),
            code: code_version(),
            machine: format!("{threads} threads, {cpu_capability}"),
        };
        Ok(Some(Checkpoint { path, training, epochs: config.epochs }))
    }

    /// Takes `model` and `progress` to where the checkpoint left them. One that is of another training or damaged is not
    /// used; why is printed.
    pub(crate) fn resume<R: Record>(
        &self,
        model: &mut Model,
        progress: &mut Progress<R>,
        config: &FitConfig,
    ) {
        let path = self.path.display();
        if !self.path.exists() {
            return;
        }
        match self.read(model, progress) {
            Ok(None) => {
                let epochs = progress.epochs.len();
                if progress.is_over(config) {
                    println!(
                        "this very training has ended before, after epoch {epochs}: its result is taken from {path}; \
                         remove that file to train anew"
                    );
                } else {
                    println!("goes on after epoch {epochs}, from the checkpoint {path}");
                }
            }
            Ok(Some(reason)) => println!(
                "the checkpoint {path} is not used: {reason}; training starts anew and replaces it"
            ),
            Err(error) => println!("the checkpoint is not used: {error}"),
        }
    }

    /// Gives why the checkpoint does not belong to this training, if it does not. Changes nothing unless all is read.
    fn read<R: Record>(
        &self,
        model: &mut Model,
        progress: &mut Progress<R>,
    ) -> Result<Option<String>> {
        let advice = "training starts anew and replaces it";
        let file = ModelFile::open(&self.path, advice)?;
        let of: Training = file.json("training")?;
        if let Some(reason) = self.training.difference(&of) {
            return Ok(Some(reason));
        }
        let state: State = file.json("state")?;
        let figures = state.epochs.iter().flatten().chain([&state.seconds, &state.step_seconds]);
        if state.epochs.len() > self.epochs
            || !figures.copied().map(f64::from_bits).all(f64::is_finite)
        {
            return Err(Error::File {
                path: self.path.clone(),
                expected: format!("at most {} epochs with finite figures", self.epochs),
                found: format!("{} epochs, or figures that are none", state.epochs.len()),
                advice: advice.to_owned(),
            });
        }
        let (mut weights, mut best, mut moments) = (Vec::new(), Vec::new(), Vec::new());
        for weight in &model.weights {
            let (name, shape) = (&weight.name, weight.tensor.size());
            weights.push(file.tensor(&format!("weights/{name}"), &shape)?);
            best.push(file.tensor(&format!("best/{name}"), &shape)?);
            let moment = |order: &str| -> Result<Vec<f32>> {
                if !weight.trainable {
                    return Ok(Vec::new());
                }
                let values = [weight.tensor.numel() as i64];
                Ok(Vec::try_from(file.tensor(&format!("{order}/{name}"), &values)?)?)
            };
            moments.push((moment("first")?, moment("second")?));
        }
        model.restore(&weights);
        progress.best = best;
        progress.optimizer.restore(state.steps, moments);
        progress.seconds_before = f64::from_bits(state.seconds);
        progress.step_seconds = f64::from_bits(state.step_seconds);
        for (place, row) in state.epochs.into_iter().enumerate() {
            let [loss, metric, val_loss, val_metric, learning_rate, seconds] =
                row.map(f64::from_bits);
            let epoch = place + 1;
            let row =
                EpochRow { epoch, loss, metric, val_loss, val_metric, learning_rate, seconds };
            progress.record(row);
        }
        Ok(None)
    }

    /// Keeps where `model` and `progress` are, after a whole epoch. If that fails the last checkpoint stays and training
    /// goes on; why is printed.
    pub(crate) fn write<R: Record>(&self, model: &Model, progress: &Progress<R>, seconds: f64) {
        if let Err(error) = self.try_write(model, progress, seconds) {
            println!("no checkpoint of this epoch: {error}; training goes on");
        }
    }

    fn try_write<R: Record>(
        &self,
        model: &Model,
        progress: &Progress<R>,
        seconds: f64,
    ) -> Result<()> {
        let (steps, moments) = progress.optimizer.state();
        let epochs = progress.epochs.iter().map(|record| {
            let EpochRow { loss, metric, val_loss, val_metric, learning_rate, seconds, .. } =
                record.row();
            [loss, metric, val_loss, val_metric, learning_rate, seconds].map(f64::to_bits)
        });
        let state = State {
            steps,
            seconds: seconds.to_bits(),
            step_seconds: progress.step_seconds.to_bits(),
            epochs: epochs.collect(),
        };
        let mut tensors: Vec<(String, Tensor)> = Vec::new();
        for ((weight, best), (first, second)) in
            model.weights.iter().zip(&progress.best).zip(moments)
        {
            let name = &weight.name;
            tensors.push((format!("weights/{name}"), weight.tensor.shallow_clone()));
            tensors.push((format!("best/{name}"), best.shallow_clone()));
            if weight.trainable {
                tensors.push((format!("first/{name}"), Tensor::f_from_slice(first)?));
                tensors.push((format!("second/{name}"), Tensor::f_from_slice(second)?));
            }
        }
        let json = |text: serde_json::Result<String>| text.expect("plain values");
        let metadata = HashMap::from([
            ("training".to_owned(), json(serde_json::to_string(&self.training))),
            ("state".to_owned(), json(serde_json::to_string(&state))),
        ]);
        let tensors = tensors.iter().map(|(name, tensor)| (&name[..], tensor));
        file::write(&self.path, tensors, metadata)
    }
}

impl Training {
    /// In what `other` differs, in words.
    fn difference(&self, other: &Training) -> Option<String> {
        let parts = [
            (self.format == other.format, "has another layout, from another version of helpers"),
            (self.network == other.network, "is of another network"),
            (self.settings == other.settings, "is of a training with other settings"),
            (self.data == other.data, "is of a training on other images"),
            (self.first_weights == other.first_weights, "began with other weights"),
            (self.code == other.code, "was made by other code"),
        ];
        if let Some((_, difference)) = parts.iter().find(|(same, _)| !same) {
            return Some(format!("it {difference}"));
        }
        (self.machine != other.machine)
            .then(|| format!("it was made with {}, and here are {}", other.machine, self.machine))
    }
}
