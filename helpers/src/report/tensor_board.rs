//! Additional data for TensorBoard: pictures of the predictions after each epoch, and the trials of a search.

use std::path::{Path, PathBuf};

use crate::data::Subset;
use crate::error::Result;
use crate::plot::figure::DENSITY;
use crate::plot::plot_predictions;
use crate::system::event_file::{EventFile, now};
use crate::training::callbacks::hparams;
use crate::training::{Callback, Record, TrainingState};
use crate::tuning::SearchResults;

/// Draws the predictions for some images after each epoch, for TensorBoard, in the run `predictions` next to the runs
/// of [`TensorBoard`](crate::training::TensorBoard).
///
/// A training that is resumed from a checkpoint only has pictures of the epochs after it.
#[derive(Debug)]
pub struct PredictionImages {
    log_dir: PathBuf,
    images: Subset,
    file: Option<EventFile>,
}

impl PredictionImages {
    /// Draws these images, about a dozen, and writes below the folder.
    pub fn new(log_dir: impl Into<PathBuf>, images: &Subset) -> PredictionImages {
        PredictionImages { log_dir: log_dir.into(), images: images.clone(), file: None }
    }
}

impl Callback for PredictionImages {
    fn on_train_begin(&mut self, _: &mut TrainingState<'_>) -> Result<()> {
        self.file = Some(EventFile::create(&self.log_dir.join("predictions"))?);
        Ok(())
    }

    fn on_epoch_end(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let probabilities = training.model().predict(&self.images)?;
        let all: Vec<usize> = (0..self.images.len()).collect();
        let figure = plot_predictions(&self.images, &probabilities, &all)?;
        let (width, height) = figure.size();
        let step = training.epochs().len() - 1;
        file.image("predictions", step, figure.png(), [width, height].map(|side| DENSITY * side))
    }
}

impl SearchResults {
    /// Writes the trials for TensorBoard: a run for each combination, `trial_000` and so on, with its values on the page of
    /// hyper-parameters, its mean score as `mean_test_score`, and the epochs of its folds. The trials of an earlier search
    /// in this folder are removed.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn tensor_board(&self, log_dir: impl AsRef<Path>) -> Result<()> {
        let found = &self.cv_results;
        EventFile::remove_runs(log_dir.as_ref(), "trial_")?;
        for (trial, params) in found.params.iter().enumerate() {
            let mut file = EventFile::create(&log_dir.as_ref().join(format!("trial_{trial:03}")))?;
            let time = now();
            file.hparams(&hparams(params)?, time)?;
            file.scalar("mean_test_score", 0, found.mean_test_score[trial], time)?;
            for (fold, history) in self.histories[trial].iter().enumerate() {
                for epoch in history.iter().flat_map(|history| &history.epochs) {
                    let epoch = epoch.row();
                    let step = epoch.epoch - 1;
                    file.scalar(&format!("epoch_loss/fold_{fold}"), step, epoch.val_loss, time)?;
                    file.scalar(
                        &format!("epoch_accuracy/fold_{fold}"),
                        step,
                        epoch.val_metric,
                        time,
                    )?;
                }
            }
            file.finished()?;
        }
        Ok(())
    }
}
