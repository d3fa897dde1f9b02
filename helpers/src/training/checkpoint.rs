//! Checkpoints: a training that was stopped, at whatever moment, goes on from its last whole epoch.
//!
//! One file holds what the next epoch depends on: the weights, those of the best epoch, the optimiser's moments, and the
//! record of the epochs. What follows from the record is not in it: the learning rate's course and early stopping are
//! taken through it again; and libtorch's generator is seeded anew for each epoch.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::Tensor;

use super::fit::{FitConfig, Objective, Progress, steps_an_epoch};
use super::history::{EpochRow, Record};
use crate::data::batches::Source;
use crate::display::print_line;
use crate::error::Result;
use crate::models::file::{self, ModelFile, as_bytes};
use crate::models::model::{Interrupted, Model};
use crate::system::environment::{Environment, code_version};
use crate::text::shown_path;

/// The only layout of a checkpoint so far.
const FORMAT: u32 = 1;

/// Where the checkpoint of one training is kept.
pub(crate) struct Checkpoint {
    path: PathBuf,
    training: Training,
    /// The most epochs that a record of this training has.
    epochs: usize,
    /// Steps of the optimiser in each.
    steps: u64,
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
        train.identify(&mut data)?;
        validation.identify(&mut data)?;
        let weights = hash_of_weights(model)?;
        let first_weights = match &model.interrupted {
            Some(training) if training.left == weights => training.began.clone(),
            _ => weights,
        };
        let settings = serde_json::to_string(config).expect("settings are plain values");
        let Environment { threads, cpu_capability, .. } = Environment::current();
        let training = Training {
            format: FORMAT,
            network: serde_json::to_string(model.network()).expect("settings are plain values"),
            settings: format!("{settings} {objective:?}"),
            data: format!("{:x}", data.finalize()),
            first_weights,
            code: code_version(),
            machine: format!("{threads} threads, {cpu_capability}"),
        };
        let steps = steps_an_epoch(train.len(), config.batch_size) as u64;
        Ok(Some(Checkpoint { path, training, epochs: config.epochs, steps }))
    }

    /// Has `fit` take up this training again, although `model` has other weights now than those it began with.
    ///
    /// # Errors
    /// If libtorch cannot read the weights.
    pub(crate) fn let_go_on(&self, model: &mut Model) -> Result<()> {
        let (left, began) = (hash_of_weights(model)?, self.training.first_weights.clone());
        model.interrupted = Some(Interrupted { left, began });
        Ok(())
    }

    /// Takes `model` and `progress` to where the checkpoint left them. One that is of another training or damaged is not
    /// used. Gives what there is to tell about it, if it is there.
    pub(crate) fn resume<R: Record>(
        &self,
        model: &mut Model,
        progress: &mut Progress<R>,
        config: &FitConfig,
    ) -> Option<String> {
        let path = shown_path(&self.path);
        // A link that leads nowhere is there, and so is what stands in a folder that cannot be read.
        match self.path.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            _ => {}
        }
        Some(match self.read(model, progress) {
            Ok(None) => {
                let epochs = progress.epochs.len();
                if progress.is_over(config) {
                    format!(
                        "this very training has ended before, after epoch {epochs}: its result is taken from {path}; \
                         remove that file to train anew"
                    )
                } else {
                    format!("goes on after epoch {epochs}, from the checkpoint {path}")
                }
            }
            Ok(Some(reason)) => format!(
                "the checkpoint {path} is not used: {reason}; training starts anew and replaces it"
            ),
            Err(error) => format!("the checkpoint is not used: {error}"),
        })
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
            return Err(file.broken(
                format!("at most {} epochs with finite figures", self.epochs),
                format!("{} epochs, or figures that are none", state.epochs.len()),
            ));
        }
        let epochs = state.epochs.len() as u64;
        if self.steps.checked_mul(epochs) != Some(state.steps) {
            return Err(file.broken(
                format!("{} steps in each of {epochs} epochs", self.steps),
                format!("{} steps in all", state.steps),
            ));
        }
        let finite = |name: &str, tensor: Tensor| match tensor.isfinite().all().int64_value(&[]) {
            1 => Ok(tensor),
            _ => Err(file.broken(format!("finite numbers in `{name}`"), "others".to_owned())),
        };
        let (mut weights, mut best, mut moments) = (Vec::new(), Vec::new(), Vec::new());
        for weight in &model.weights {
            let (name, shape) = (&weight.name, weight.tensor.size());
            weights.push(finite(name, file.tensor(&format!("weights/{name}"), &shape)?)?);
            best.push(finite(name, file.tensor(&format!("best/{name}"), &shape)?)?);
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
            moments.push((first, second));
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
            print_line(&format!("no checkpoint of this epoch: {error}; training goes on"));
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

/// SHA-256 of all weights, their names, and which of them are trained.
fn hash_of_weights(model: &Model) -> Result<String> {
    let mut weights = Sha256::new();
    for weight in &model.weights {
        weights.update(format!("{} {};", weight.name, weight.trainable));
        weights.update(as_bytes(&weight.tensor)?);
    }
    Ok(format!("{:x}", weights.finalize()))
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::data::batches::{ImageSource, Normalization};
    use crate::data::{Dataset, Split, SplitConfig, Subset};
    use crate::models::DenseConfig;
    use crate::training::EpochRecord;

    fn split(images: usize) -> Split {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
        let dataset = Dataset::load(folder).unwrap().take_stratified(images, 1).unwrap();
        dataset.split(SplitConfig::default()).unwrap()
    }

    fn config() -> FitConfig {
        FitConfig { epochs: 2, batch_size: 32, ..FitConfig::default() }
    }

    fn model(hidden: usize, seed: u64, path: &Path) -> Model {
        let network = DenseConfig { hidden: vec![hidden], ..DenseConfig::default() };
        let shape = crate::data::ImageShape { height: 28, width: 28, channels: 1 };
        let mut model = network.network(shape, 10).build(seed).unwrap();
        model.backup_and_restore(path);
        model
    }

    /// What is said of the checkpoint at `path` when this training begins and `change` was done to what it is known by.
    fn told(
        mut model: Model,
        split: &Split,
        config: &FitConfig,
        change: impl FnOnce(&mut Training),
    ) -> Option<String> {
        let (train, validation) = sources(&model, split);
        let objective = Objective::CrossEntropy { label_smoothing: 0.0 };
        let checkpoint = Checkpoint::of(&model, &train, &validation, objective, config);
        let mut checkpoint = checkpoint.unwrap().unwrap();
        change(&mut checkpoint.training);
        let mut progress = Progress::<EpochRecord>::new(&model, config);
        let before = model.snapshot();
        let told = checkpoint.resume(&mut model, &mut progress, config);
        if progress.epochs.is_empty() {
            let same =
                before.iter().zip(model.snapshot()).all(|(before, after)| before.equal(&after));
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
        let first = || model(4, 1, &path);
        let no_change = |_: &mut Training| {};
        assert_eq!(told(first(), &split_of_200, &config(), no_change), None, "there is none");
        first().fit(&split_of_200, config()).unwrap();
        let ended = told(first(), &split_of_200, &config(), no_change).unwrap();
        let shown = path.display();
        assert_eq!(
            ended,
            format!(
                "this very training has ended before, after epoch 2: its result is taken from {shown}; remove that \
                 file to train anew"
            )
        );
        let change = |part: fn(&mut Training) -> &mut String| {
            move |training: &mut Training| *part(training) = "another".to_owned()
        };
        let slower = FitConfig { learning_rate: 1e-4, ..config() };
        let machine = {
            let Environment { threads, cpu_capability, .. } = Environment::current();
            format!("it was made with {threads} threads, {cpu_capability}, and here are another")
        };
        let cases = [
            (
                told(first(), &split_of_200, &config(), |training| training.format = 2),
                "it has another layout, from another version of helpers",
            ),
            (
                told(model(5, 1, &path), &split_of_200, &config(), no_change),
                "it is of another network",
            ),
            (
                told(first(), &split_of_200, &slower, no_change),
                "it is of a training with other settings",
            ),
            (
                told(first(), &split_of_300, &config(), no_change),
                "it is of a training on other images",
            ),
            (
                told(model(4, 2, &path), &split_of_200, &config(), no_change),
                "it began with other weights",
            ),
            (
                told(first(), &split_of_200, &config(), change(|training| &mut training.code)),
                "it was made by other code",
            ),
            (
                told(first(), &split_of_200, &config(), change(|training| &mut training.machine)),
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

    /// Writes the checkpoint anew with other contents and a right checksum, as somebody could who wants to do harm.
    fn forge(path: &Path, change: impl Fn(&str, Tensor) -> Tensor, state: impl FnOnce(&mut State)) {
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
        let mut forged: State = file.json("state").unwrap();
        state(&mut forged);
        let metadata = HashMap::from([
            ("training".to_owned(), file.metadata("training").unwrap().to_owned()),
            ("state".to_owned(), serde_json::to_string(&forged).unwrap()),
        ]);
        file::write(path, tensors.iter().map(|(name, tensor)| (&name[..], tensor)), metadata)
            .unwrap();
    }

    #[test]
    fn a_forged_checkpoint_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dense.safetensors");
        let split = split(200);
        model(4, 1, &path).fit(&split, config()).unwrap();
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
            let text = told(model(4, 1, &path), &split, &config(), |_| ()).unwrap();
            let start = format!("the checkpoint is not used: {}: expected ", path.display());
            assert!(text.starts_with(&start) && text.contains(words), "{text}");
            assert!(text.ends_with("; training starts anew and replaces it"), "{text}");
        }
        // Unchanged, it is.
        fs::write(&path, &whole).unwrap();
        forge(&path, same, |_| ());
        assert!(
            told(model(4, 1, &path), &split, &config(), |_| ()).unwrap().contains("ended before")
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
            told(model(4, 1, &path), &split, &config(), |_| ()).unwrap()
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
        model(4, 1, &path).fit(&split, config()).unwrap();
        let ended = told(model(4, 1, &path), &split, &config(), |_| ()).unwrap();
        assert!(ended.contains("after epoch 2") && ended.contains("o\u{fffd}d/dense"), "{ended}");
        // A file where a folder should be.
        fs::write(folder.path().join("file"), "").unwrap();
        let within = said("file/checkpoint", &|_| ());
        assert!(within.contains("cannot read ") && within.contains("Not a directory"), "{within}");
    }
}
