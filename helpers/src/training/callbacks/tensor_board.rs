//! What TensorBoard shows of a training.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::Callback;
use crate::error::{Error, Result};
use crate::system::event_file::{EventFile, HParam, now};
use crate::training::history::EpochRow;
use crate::training::state::TrainingState;

/// Writes each epoch for TensorBoard: Keras's `TensorBoard(log_dir)`, with the same names, `epoch_loss`,
/// `epoch_accuracy` and `epoch_learning_rate`, in the runs `train` and `validation`. The settings appear on the page of
/// hyper-parameters.
///
/// A new training replaces the files of the one before; one that goes on from a checkpoint writes all of its epochs
/// again.
#[derive(Debug)]
pub struct TensorBoard {
    log_dir: PathBuf,
    files: Option<Files>,
}

#[derive(Debug)]
struct Files {
    run: EventFile,
    train: EventFile,
    validation: EventFile,
    /// Epochs written so far.
    epochs: usize,
}

impl TensorBoard {
    /// Writes to this folder, which is created.
    pub fn new(log_dir: impl Into<PathBuf>) -> TensorBoard {
        TensorBoard { log_dir: log_dir.into(), files: None }
    }

    /// Writes the epochs that are not in the files yet.
    fn write(&mut self, training: &TrainingState<'_>) -> Result<()> {
        let Some(files) = &mut self.files else { return Ok(()) };
        let metric = format!("epoch_{}", training.metric().name());
        // The last epoch ends now; the end times of earlier epochs follow from their durations.
        let mut ended = now();
        let mut times = Vec::new();
        for epoch in training.epochs().iter().rev() {
            times.push(ended);
            ended -= epoch.seconds;
        }
        for (epoch, time) in
            training.epochs().iter().zip(times.into_iter().rev()).skip(files.epochs)
        {
            // Steps are counted from 0, as in Keras.
            let step = epoch.epoch - 1;
            let EpochRow { loss, metric: train, val_loss, val_metric, learning_rate, .. } = *epoch;
            let all = [
                (&mut files.train, [("epoch_loss", loss), (metric.as_str(), train)]),
                (&mut files.validation, [("epoch_loss", val_loss), (metric.as_str(), val_metric)]),
            ];
            for (file, scalars) in all {
                for (tag, value) in scalars {
                    file.scalar(tag, step, value, time)?;
                }
            }
            files.train.scalar("epoch_learning_rate", step, learning_rate, time)?;
        }
        files.epochs = training.epochs().len();
        Ok(())
    }
}

/// Settings by name; nested ones are named like `augmentation.shift`.
pub(crate) fn hparams(settings: &impl Serialize) -> Result<Vec<(String, HParam)>> {
    let mut list = Vec::new();
    flatten("", &serde_json::to_value(settings).map_err(Error::internal)?, &mut list);
    Ok(list)
}

fn flatten(name: &str, value: &Value, list: &mut Vec<(String, HParam)>) {
    let hparam = match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let name = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
                flatten(&name, value, list);
            }
            return;
        }
        Value::Bool(is_true) => HParam::Bool(*is_true),
        Value::Number(number) => HParam::Number(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => HParam::Text(text.clone()),
        other => HParam::Text(other.to_string()),
    };
    list.push((name.to_owned(), hparam));
}

impl Callback for TensorBoard {
    fn on_train_begin(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        let mut run = EventFile::create(&self.log_dir)?;
        run.hparams(&hparams(training.config())?, now() - training.seconds())?;
        let [train, validation] =
            ["train", "validation"].map(|name| EventFile::create(&self.log_dir.join(name)));
        self.files = Some(Files { run, train: train?, validation: validation?, epochs: 0 });
        self.write(training)
    }

    fn on_epoch_end(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        self.write(training)
    }

    fn on_train_end(&mut self, _: &mut TrainingState<'_>) -> Result<()> {
        match &mut self.files {
            Some(files) => files.run.finished(),
            None => Ok(()),
        }
    }
}
