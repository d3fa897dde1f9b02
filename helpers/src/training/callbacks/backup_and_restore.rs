//! Checkpoints: a training that was stopped at any moment goes on from its last complete epoch.
//!
//! One file holds what the next epoch depends on: the weights, their moving average if there is one, the weights of the
//! best epoch, the optimiser's moments, and the record of the epochs. The learning rate and early stopping are not
//! kept: they are recomputed from the record. libtorch's generator is seeded anew for each epoch.
//!
//! An interrupted training leaves the weights of its best epoch in the model. So the checkpoint of an unfinished
//! training is accepted for a model with its first weights and for one with its best weights: the same cell can be run
//! again.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::Tensor;

use super::{Callback, EarlyStopping};
use crate::display::print_line;
use crate::error::Result;
use crate::models::model_file::{self, ModelFile, as_bytes};
use crate::models::{Device, Model};
use crate::system::environment::{Environment, code_version};
use crate::text::shown_path;
use crate::training::adam::Moments;
use crate::training::history::EpochRow;
use crate::training::state::TrainingState;

/// The only layout of a checkpoint so far.
const FORMAT: u32 = 1;

/// Keeps a checkpoint of a training in a file; by default it is written after every epoch. Keras's `BackupAndRestore`.
///
/// A training that was stopped, even by the end of its process, and is started again with the same settings, images and
/// first weights continues after its last complete epoch. It ends with the same weights and figures as an undisturbed
/// training, to the last bit. A training that had already ended returns its result at once; remove the file to train
/// anew. The checkpoint of another training is not used, and `fit` prints why. If a checkpoint cannot be written, the
/// last one stays, training goes on, and the reason is printed.
#[derive(Debug, Clone, PartialEq)]
pub struct BackupAndRestore {
    path: PathBuf,
    /// Epochs from one write to the next.
    save_freq: usize,
    /// Seconds after which the next epoch's end is written in any case, and when they began.
    save_seconds: f64,
    since: Option<Instant>,
    /// The hash of the first weights of the running training.
    first_weights: String,
    /// Its identity, once it was needed: a training too short for a checkpoint does not hash its images.
    identity: Option<Identity>,
}

/// Everything that determines a training's numbers: two trainings with equal identities end with the same weights, bit
/// by bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    format: u32,
    network: String,
    settings: String,
    data: String,
    first_weights: String,
    code: String,
    machine: String,
}

/// The content of a checkpoint besides tensors. Floats are kept as their bits: text could round them.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckpointNumbers {
    steps: u64,
    seconds: u64,
    step_seconds: u64,
    epochs: Vec<[u64; 6]>,
}

/// A checkpoint's tensors, in the order of the model's weights.
#[derive(Default)]
struct Tensors {
    weights: Vec<Tensor>,
    best: Vec<Tensor>,
    /// Empty where nothing is averaged.
    average: Vec<Tensor>,
    moments: Vec<Moments>,
}

impl BackupAndRestore {
    /// Keeps the checkpoint in the file `path`.
    pub fn new(path: impl Into<PathBuf>) -> BackupAndRestore {
        BackupAndRestore {
            path: path.into(),
            save_freq: 1,
            save_seconds: f64::INFINITY,
            since: None,
            first_weights: String::new(),
            identity: None,
        }
    }

    /// Writes it after each epoch whose number is a multiple of `epochs`.
    pub fn save_freq(mut self, epochs: usize) -> BackupAndRestore {
        self.save_freq = epochs.max(1);
        self
    }

    /// Also writes it after an epoch that ends at least this long after the last write, or after the beginning.
    pub fn save_seconds(mut self, seconds: f64) -> BackupAndRestore {
        self.save_seconds = seconds;
        self
    }

    /// A dangling link counts as present, and so does a file in a folder that cannot be read.
    fn is_there(&self) -> bool {
        !matches!(self.path.symlink_metadata(), Err(error) if error.kind() == ErrorKind::NotFound)
    }

    /// Sets `training` to the state in its checkpoint, if that is of this training and undamaged. Returns a message
    /// about the checkpoint, if there is one.
    fn restore(&mut self, identity: Identity, training: &mut TrainingState) -> Option<String> {
        let path = shown_path(&self.path);
        if !self.is_there() {
            self.identity = Some(identity);
            return None;
        }
        let identity = self.identity.insert(identity);
        let advice = "training starts anew and replaces it";
        let file = ModelFile::open(&self.path, advice);
        Some(match file.and_then(|file| read(&file, identity, training)) {
            Ok(None) => {
                let epochs = training.epochs().len();
                training.resumable_after = Some(epochs);
                if is_over(training.epochs(), training) {
                    format!(
                        "this training had already ended, after epoch {epochs}: its result is taken from {path}; \
                         remove that file to train anew"
                    )
                } else {
                    format!("goes on after epoch {epochs}, from the checkpoint {path}")
                }
            }
            Ok(Some(reason)) => {
                format!("the checkpoint {path} is not used: {reason}; {advice}")
            }
            Err(error) => format!("the checkpoint is not used: {error}"),
        })
    }

    fn write(&mut self, training: &TrainingState) -> Result<()> {
        if self.identity.is_none() {
            let first_weights = self.first_weights.clone();
            self.identity = Some(Identity { first_weights, ..Identity::of(training)? });
        }
        let moments = training.optimizer.moments(&training.model.weights)?;
        let epochs = training.epochs().iter().map(|row| {
            let EpochRow { loss, metric, val_loss, val_metric, learning_rate, seconds, .. } = *row;
            [loss, metric, val_loss, val_metric, learning_rate, seconds].map(f64::to_bits)
        });
        let state = CheckpointNumbers {
            steps: training.optimizer.steps(),
            seconds: training.seconds().to_bits(),
            step_seconds: training.step_seconds.to_bits(),
            epochs: epochs.collect(),
        };
        let mut tensors: Vec<(String, Tensor)> = Vec::new();
        for ((weight, best), (first, second)) in
            training.model.weights.iter().zip(&training.best_weights).zip(&moments)
        {
            let name = &weight.name;
            tensors.push((format!("weights/{name}"), weight.tensor.shallow_clone()));
            tensors.push((format!("best/{name}"), best.shallow_clone()));
            if weight.trainable {
                tensors.push((format!("first/{name}"), Tensor::f_from_slice(first)?));
                tensors.push((format!("second/{name}"), Tensor::f_from_slice(second)?));
            }
        }
        if let Some(average) = &training.average {
            for (weight, value) in training.model.weights.iter().zip(&average.values) {
                tensors.push((format!("average/{}", weight.name), value.shallow_clone()));
            }
        }
        let metadata = HashMap::from([
            ("training".to_owned(), model_file::to_json(&self.identity)?),
            ("state".to_owned(), model_file::to_json(&state)?),
        ]);
        let tensors = tensors.iter().map(|(name, tensor)| (&name[..], tensor));
        model_file::write(&self.path, tensors, metadata)
    }
}

impl Callback for BackupAndRestore {
    fn on_train_begin(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        self.since = Some(Instant::now());
        if !self.is_there() {
            self.identity = None;
            self.first_weights = first_weights(training.model)?;
            return Ok(());
        }
        let identity = Identity::of(training)?;
        if let Some(told) = self.restore(identity, training) {
            print_line(&told);
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        let is_due =
            self.since.is_some_and(|since| since.elapsed().as_secs_f64() >= self.save_seconds);
        if !is_due && !training.epochs().len().is_multiple_of(self.save_freq) {
            return Ok(());
        }
        match self.write(training) {
            Ok(()) => training.resumable_after = Some(training.epochs().len()),
            Err(error) => {
                print_line(&format!("no checkpoint of this epoch: {error}; training goes on"));
            }
        }
        self.since = Some(Instant::now());
        Ok(())
    }
}

/// Sets `training` to the state in this checkpoint, or returns why it does not fit `identity`. Changes nothing before
/// everything is read.
fn read(
    file: &ModelFile,
    identity: &mut Identity,
    training: &mut TrainingState,
) -> Result<Option<String>> {
    let of: Identity = file.json("training")?;
    if let Some(reason) = identity.difference(&of) {
        return Ok(Some(reason));
    }
    let state: CheckpointNumbers = file.json("state")?;
    check_state(file, &state, training)?;
    let tensors = read_tensors(file, training.model, training.average.is_some())?;
    let row = |(index, row): (usize, &[u64; 6])| {
        let [loss, metric, val_loss, val_metric, learning_rate, seconds] = row.map(f64::from_bits);
        let epoch = index + 1;
        EpochRow { epoch, loss, metric, val_loss, val_metric, learning_rate, seconds }
    };
    let epochs: Vec<EpochRow> = state.epochs.iter().enumerate().map(row).collect();
    if of.first_weights != identity.first_weights {
        let best = hash_of_weights(training.model, tensors.best.iter())?;
        if is_over(&epochs, training) || best != identity.first_weights {
            return Ok(Some("it began with other weights".to_owned()));
        }
        identity.first_weights = of.first_weights;
    }
    training.model.restore(&tensors.weights)?;
    training.best_weights = tensors.best;
    if let Some(average) = &mut training.average {
        average.restore(&tensors.average)?;
    }
    training.optimizer.restore(state.steps, tensors.moments)?;
    training.seconds_before = f64::from_bits(state.seconds);
    training.step_seconds = f64::from_bits(state.step_seconds);
    epochs.into_iter().for_each(|row| training.record(row));
    if of.machine != identity.machine {
        training.notes.push(format!(
            "the epochs so far were trained on {}, the others will be on {}, which rounds differently",
            of.machine, identity.machine
        ));
    }
    Ok(None)
}

/// True if a training with this record has no epoch left.
fn is_over(epochs: &[EpochRow], training: &TrainingState) -> bool {
    let config = training.config();
    epochs.len() >= config.epochs || EarlyStopping::new(config.patience).is_due(epochs)
}

/// Checks that this training could have such a record.
fn check_state(
    file: &ModelFile,
    state: &CheckpointNumbers,
    training: &TrainingState,
) -> Result<()> {
    let (most, epochs) = (training.config().epochs, state.epochs.len());
    let figures = state.epochs.iter().flatten().chain([&state.seconds, &state.step_seconds]);
    if epochs > most || !figures.copied().map(f64::from_bits).all(f64::is_finite) {
        return Err(file.broken(
            format!("at most {most} epochs with finite figures"),
            format!("{epochs} epochs, or figures that are none"),
        ));
    }
    let steps = training.steps_per_epoch() as u64;
    if steps.checked_mul(epochs as u64) != Some(state.steps) {
        return Err(file.broken(
            format!("{steps} steps in each of {epochs} epochs"),
            format!("{} steps in all", state.steps),
        ));
    }
    Ok(())
}

fn read_tensors(file: &ModelFile, model: &Model, averaged: bool) -> Result<Tensors> {
    let finite = |name: &str, tensor: Tensor| -> Result<Tensor> {
        match tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? {
            1 => Ok(tensor),
            _ => Err(file.broken(format!("finite numbers in `{name}`"), "others".to_owned())),
        }
    };
    let mut tensors = Tensors::default();
    for weight in &model.weights {
        let (name, shape) = (&weight.name, weight.tensor.size());
        tensors.weights.push(finite(name, file.tensor(&format!("weights/{name}"), &shape)?)?);
        tensors.best.push(finite(name, file.tensor(&format!("best/{name}"), &shape)?)?);
        if averaged {
            tensors.average.push(finite(name, file.tensor(&format!("average/{name}"), &shape)?)?);
        }
        let moment = |order: &str| -> Result<Vec<f32>> {
            if !weight.trainable {
                return Ok(Vec::new());
            }
            let values = [weight.tensor.numel() as i64];
            Ok(Vec::try_from(finite(name, file.tensor(&format!("{order}/{name}"), &values)?)?)?)
        };
        let (first, second) = (moment("first")?, moment("second")?);
        if second.iter().any(|&square| square < 0.0) {
            let expected = format!("means of squares in `second/{name}`");
            return Err(file.broken(expected, "negative ones".to_owned()));
        }
        tensors.moments.push((first, second));
    }
    Ok(tensors)
}

/// SHA-256 of these values of a model's weights, of the names, and of which weights are trainable.
fn hash_of_weights<'a>(model: &Model, values: impl Iterator<Item = &'a Tensor>) -> Result<String> {
    let mut hash = Sha256::new();
    for (weight, values) in model.weights.iter().zip(values) {
        hash.update(format!("{} {};", weight.name, weight.trainable));
        hash.update(as_bytes(values)?);
    }
    Ok(format!("{:x}", hash.finalize()))
}

/// SHA-256 of the weights that a model has now.
fn first_weights(model: &Model) -> Result<String> {
    hash_of_weights(model, model.weights.iter().map(|weight| &weight.tensor))
}

impl Identity {
    /// The identity of the training that starts now.
    fn of(training: &TrainingState) -> Result<Identity> {
        let model = &*training.model;
        let mut data = Sha256::new();
        training.train.identify(&mut data)?;
        training.validation.identify(&mut data)?;
        let settings = model_file::to_json(training.config())?;
        let Environment { threads, cpu_capability, .. } = Environment::current();
        Ok(Identity {
            format: FORMAT,
            network: model_file::to_json(model.network())?,
            settings: format!("{settings} {:?}", training.objective),
            data: format!("{:x}", data.finalize()),
            first_weights: first_weights(model)?,
            code: code_version(),
            machine: match model.device() {
                Device::Cpu => format!("{threads} threads, {cpu_capability}"),
                device => device.to_string(),
            },
        })
    }

    /// How `other` differs, in words; does not compare the first weights. A training may move to a GPU or away from
    /// one. It may not move between kinds of processors: its last digits would differ, and nothing would say why.
    fn difference(&self, other: &Identity) -> Option<String> {
        let parts = [
            (self.format == other.format, "has another layout, from another version of helpers"),
            (self.network == other.network, "is of another network"),
            (self.settings == other.settings, "is of a training with other settings"),
            (self.data == other.data, "is of a training on other images"),
            (self.code == other.code, "was made by other code"),
        ];
        if let Some((_, difference)) = parts.iter().find(|(same, _)| !same) {
            return Some(format!("it {difference}"));
        }
        let gpu = Device::Cuda.to_string();
        let moves = [&self.machine, &other.machine].contains(&&gpu);
        (self.machine != other.machine && !moves)
            .then(|| format!("it was made with {}, and here are {}", other.machine, self.machine))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::architectures::DenseConfig;
    use crate::data::batches::{BatchSource, ImageSource, Normalization};
    use crate::data::{Dataset, Split, SplitConfig, Subset};
    use crate::training::{Callbacks, EpochRecord, FitConfig, Objective};

    fn split(images: usize) -> Split {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
        let dataset = Dataset::load(folder).unwrap().take_stratified(images, 1).unwrap();
        dataset.split(SplitConfig::default()).unwrap()
    }

    fn config() -> FitConfig {
        FitConfig { epochs: 2, batch_size: 32, ..FitConfig::default() }
    }

    fn model(hidden: usize, seed: u64) -> Model {
        let network = DenseConfig { hidden: vec![hidden], ..DenseConfig::default() };
        let shape = crate::data::ImageShape { height: 28, width: 28, channels: 1 };
        network.network(shape, 10).build(seed).unwrap()
    }

    /// Trains the first model to its end, with a checkpoint.
    fn train(split: &Split, path: &Path) {
        let callbacks = Callbacks::default().backup_and_restore(path);
        model(4, 1).fit_with(split, config(), callbacks).unwrap();
    }

    /// What is said of the checkpoint at `path` when this training begins and `change` was done to what it is known by.
    fn told(
        path: &Path,
        mut model: Model,
        split: &Split,
        config: &FitConfig,
        change: impl FnOnce(&mut Identity),
    ) -> Option<String> {
        let (train, validation) = sources(&model, split);
        let objective = Objective::CrossEntropy { label_smoothing: config.label_smoothing };
        let before = model.snapshot().unwrap();
        let sources: [&dyn BatchSource; 2] = [&train, &validation];
        let mut training =
            TrainingState::new::<EpochRecord>(&mut model, sources, objective, config).unwrap();
        let mut identity = Identity::of(&training).unwrap();
        change(&mut identity);
        let told = BackupAndRestore::new(path).restore(identity, &mut training);
        if training.epochs().is_empty() {
            let after = model.snapshot().unwrap();
            let same = before.iter().zip(after).all(|(before, after)| before.equal(&after));
            assert!(same, "weights were taken from a checkpoint that is not used: {told:?}");
        }
        told
    }

    fn sources<'a>(model: &Model, split: &'a Split) -> (ImageSource<'a>, ImageSource<'a>) {
        // As `fit` takes it from the training images.
        let normalization = match &model.normalization {
            Some(normalization) => normalization.clone(),
            None => Normalization::of(&split.train).unwrap(),
        };
        let source = |images: &'a Subset| {
            ImageSource::new(images, normalization.clone(), Default::default())
        };
        (source(&split.train), source(&split.validation))
    }

    #[test]
    fn a_checkpoint_that_is_not_used_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dense.safetensors");
        let (split_of_200, split_of_300) = (split(200), split(300));
        let first = || model(4, 1);
        let no_change = |_: &mut Identity| {};
        assert_eq!(
            told(&path, first(), &split_of_200, &config(), no_change),
            None,
            "there is none"
        );
        train(&split_of_200, &path);
        let ended = told(&path, first(), &split_of_200, &config(), no_change).unwrap();
        let shown = path.display();
        assert_eq!(
            ended,
            format!(
                "this training had already ended, after epoch 2: its result is taken from {shown}; remove that \
                 file to train anew"
            )
        );
        let change = |part: fn(&mut Identity) -> &mut String| {
            move |training: &mut Identity| *part(training) = "another".to_owned()
        };
        let slower = FitConfig { learning_rate: 1e-4, ..config() };
        let machine = {
            let Environment { threads, cpu_capability, .. } = Environment::current();
            format!("it was made with {threads} threads, {cpu_capability}, and here are another")
        };
        let cases = [
            (
                told(&path, first(), &split_of_200, &config(), |training| training.format = 2),
                "it has another layout, from another version of helpers",
            ),
            (
                told(&path, model(5, 1), &split_of_200, &config(), no_change),
                "it is of another network",
            ),
            (
                told(&path, first(), &split_of_200, &slower, no_change),
                "it is of a training with other settings",
            ),
            (
                told(&path, first(), &split_of_300, &config(), no_change),
                "it is of a training on other images",
            ),
            (
                told(&path, model(4, 2), &split_of_200, &config(), no_change),
                "it began with other weights",
            ),
            (
                told(
                    &path,
                    first(),
                    &split_of_200,
                    &config(),
                    change(|training| &mut training.code),
                ),
                "it was made by other code",
            ),
            (
                told(
                    &path,
                    first(),
                    &split_of_200,
                    &config(),
                    change(|training| &mut training.machine),
                ),
                &machine,
            ),
        ];
        for (found, reason) in cases {
            let expected = format!(
                "the checkpoint {shown} is not used: {reason}; training starts anew and replaces it"
            );
            assert_eq!(found.unwrap(), expected);
        }
    }

    /// Replaces the checkpoint by one with other contents and a valid checksum, as an attacker could.
    fn forge(
        path: &Path,
        change: impl Fn(&str, Tensor) -> Tensor,
        state: impl FnOnce(&mut CheckpointNumbers),
    ) {
        let bytes = fs::read(path).unwrap();
        let names: Vec<String> = {
            let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
            file.names().into_iter().map(|name| name.to_owned()).collect()
        };
        let file = ModelFile::open(path, "").unwrap();
        let tensors: Vec<(String, Tensor)> = names
            .into_iter()
            .map(|name| {
                let of_file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
                let shape: Vec<i64> = of_file
                    .tensor(&name)
                    .unwrap()
                    .shape()
                    .iter()
                    .map(|&side| side as i64)
                    .collect();
                let tensor = change(&name, file.tensor(&name, &shape).unwrap());
                (name, tensor)
            })
            .collect();
        let mut forged: CheckpointNumbers = file.json("state").unwrap();
        state(&mut forged);
        let metadata = HashMap::from([
            ("training".to_owned(), file.metadata("training").unwrap().to_owned()),
            ("state".to_owned(), serde_json::to_string(&forged).unwrap()),
        ]);
        model_file::write(path, tensors.iter().map(|(name, tensor)| (&name[..], tensor)), metadata)
            .unwrap();
    }

    #[test]
    fn a_forged_checkpoint_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dense.safetensors");
        let split = split(200);
        train(&split, &path);
        let whole = fs::read(&path).unwrap();
        let same = |_: &str, tensor: Tensor| tensor;
        let put = |start: &'static str, value: f64| {
            move |name: &str, tensor: Tensor| match name.starts_with(start) {
                true => tensor.fill(value),
                false => tensor,
            }
        };
        let forged: [(&str, &dyn Fn()); 8] = [
            ("5 steps in each of 2 epochs", &|| forge(&path, same, |state| state.steps = u64::MAX)),
            ("5 steps in each of 2 epochs", &|| forge(&path, same, |state| state.steps = 0)),
            ("at most 2 epochs with finite", &|| {
                forge(&path, same, |state| state.epochs.push([0; 6]));
            }),
            ("at most 2 epochs with finite", &|| {
                forge(&path, same, |state| state.epochs[1][2] = f64::NAN.to_bits());
            }),
            ("finite numbers in `dense.", &|| forge(&path, put("weights/", f64::NAN), |_| ())),
            ("finite numbers in `dense.", &|| forge(&path, put("best/", f64::INFINITY), |_| ())),
            ("finite numbers in `dense.", &|| forge(&path, put("first/", f64::NAN), |_| ())),
            ("means of squares in `second/dense.", &|| forge(&path, put("second/", -1.0), |_| ())),
        ];
        for (words, forge) in forged {
            fs::write(&path, &whole).unwrap();
            forge();
            let text = told(&path, model(4, 1), &split, &config(), |_| ()).unwrap();
            let start = format!("the checkpoint is not used: {}: expected ", path.display());
            assert!(text.starts_with(&start) && text.contains(words), "{text}");
            assert!(text.ends_with("; training starts anew and replaces it"), "{text}");
        }
        // Unchanged, it is.
        fs::write(&path, &whole).unwrap();
        forge(&path, same, |_| ());
        assert!(
            told(&path, model(4, 1), &split, &config(), |_| ())
                .unwrap()
                .contains("had already ended")
        );
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_told_and_not_waited_for() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let split = split(200);
        let said = |name: &str, make: &dyn Fn(&Path)| {
            let path = folder.path().join(name);
            make(&path);
            told(&path, model(4, 1), &split, &config(), |_| ()).unwrap()
        };
        let missing = said("dangling", &|path| symlink("nowhere", path).unwrap());
        assert!(missing.contains("cannot read ") && missing.contains("No such file"), "{missing}");
        let looped = said("loop", &|path| symlink(path, path).unwrap());
        assert!(looped.contains("cannot read "), "{looped}");
        let endless = said("endless", &|path| symlink("/dev/zero", path).unwrap());
        assert!(endless.contains("found something that is no regular file"), "{endless}");
        let pipe = said("pipe", &|path| {
            assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        });
        assert!(pipe.contains("found something that is no regular file"), "{pipe}");
        let nested = said("folder", &|path| fs::create_dir(path).unwrap());
        assert!(nested.contains("found a folder"), "{nested}");
        // A path that is not UTF-8.
        use std::os::unix::ffi::OsStrExt;
        let odd = folder.path().join(std::ffi::OsStr::from_bytes(b"o\xffd"));
        fs::create_dir(&odd).unwrap();
        let path = odd.join("dense.safetensors");
        train(&split, &path);
        let ended = told(&path, model(4, 1), &split, &config(), |_| ()).unwrap();
        assert!(ended.contains("after epoch 2") && ended.contains("o\u{fffd}d/dense"), "{ended}");
        // A file where a folder should be.
        fs::write(folder.path().join("file"), "").unwrap();
        let within = said("file/checkpoint", &|_| ());
        assert!(within.contains("cannot read ") && within.contains("Not a directory"), "{within}");
    }
}
