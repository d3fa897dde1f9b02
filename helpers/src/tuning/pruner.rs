//! The median rule: stops a trial that is worse than most others.

use serde::{Deserialize, Serialize};

use super::scoring::Scoring;
use crate::error::{Error, Result};
use crate::training::{Callback, EpochRow, History, Record, TrainingState};

/// Stops a trial whose best epoch so far scores below the median of others after as many epochs (Golovin et al. 2017);
/// Optuna's `MedianPruner`.
///
/// Each trial is compared with those of the first combinations, which run to their end, on the same fold. So the
/// results of a search do not depend on how many trials run in parallel. The scores are those on the images that steer
/// early stopping.
///
/// The rule also stops a combination that learns slowly and wins late, as can happen when dropout is searched
/// (`halving` has figures). The score of a stopped trial counts like any other, so a combination may win although
/// trials of it were stopped; `cv_results.pruned` has their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MedianPruner {
    /// The number of first combinations that run to their end.
    pub n_startup_trials: usize,
    /// The number of epochs that every trial runs.
    pub n_warmup_steps: usize,
}

impl Default for MedianPruner {
    /// Optuna's default of five trials, and five epochs, like the default patience.
    fn default() -> MedianPruner {
        MedianPruner { n_startup_trials: 5, n_warmup_steps: 5 }
    }
}

impl MedianPruner {
    /// # Errors
    /// If no trial would run to its end, so that there is nothing to compare with, or epochs do not have this score.
    pub(super) fn check(self, scoring: Scoring) -> Result<()> {
        if !scoring.is_of_epochs() {
            let expected = format!("none where `scoring` is {}", scoring.name());
            let advice =
                "each epoch has accuracy and loss: rank by one of them, or leave the pruner out";
            return Err(Error::parameter("pruner", expected, "a pruner", advice));
        }
        if self.n_startup_trials == 0 {
            let advice = "5 is Optuna's default";
            return Err(Error::parameter("n_startup_trials", "at least 1", 0, advice));
        }
        Ok(())
    }

    /// The thresholds for trials on a fold, from the trainings of other combinations on it; none if there are none.
    pub(super) fn cut(self, others: &[&History], scoring: Scoring) -> Option<Cut> {
        let curves: Vec<Vec<f64>> = others
            .iter()
            .map(|history| {
                history.epochs.iter().map(|epoch| score(scoring, &epoch.row())).collect()
            })
            .filter(|curve: &Vec<f64>| !curve.is_empty())
            .collect();
        let epochs = curves.iter().map(Vec::len).max()?;
        let below = (self.n_warmup_steps..epochs).map(|epoch| {
            // A training that has ended counts with its last value.
            let at = |curve: &Vec<f64>| curve[epoch.min(curve.len() - 1)];
            median(curves.iter().map(at).collect())
        });
        Some(Cut { scoring, after: self.n_warmup_steps, below: below.collect() })
    }
}

/// The scores below which a trial stops, epoch by epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// The score that is compared.
    pub scoring: Scoring,
    /// The number of epochs that the trial runs in any case.
    pub after: usize,
    /// For each epoch after those, the threshold for the best score so far.
    pub below: Vec<f64>,
}

impl Cut {
    /// Whether a training with these epochs is below the threshold.
    pub(super) fn stops(&self, epochs: impl ExactSizeIterator<Item = EpochRow>) -> bool {
        let Some(least) =
            epochs.len().checked_sub(self.after + 1).and_then(|index| self.below.get(index))
        else {
            return false;
        };
        epochs.map(|row| score(self.scoring, &row)).fold(f64::NEG_INFINITY, f64::max) < *least
    }
}

impl Callback for Cut {
    /// A training that was killed at the threshold may go on from a checkpoint of that epoch.
    fn on_train_begin(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        self.on_epoch_end(training)
    }

    fn on_epoch_end(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        if self.stops(training.epochs().iter().copied()) {
            training.stop("most other trials were better after as many epochs");
        }
        Ok(())
    }
}

fn score(scoring: Scoring, epoch: &EpochRow) -> f64 {
    if scoring == Scoring::NegLogLoss { -epoch.val_loss } else { epoch.val_metric }
}

/// The middle value, or the mean of the two middle ones; NumPy's `median`.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::EpochRecord;

    fn history(accuracies: &[f64]) -> History {
        let epochs = accuracies.iter().enumerate().map(|(index, &val_accuracy)| EpochRecord {
            epoch: index + 1,
            loss: 1.0,
            accuracy: 0.5,
            val_loss: 1.0 - val_accuracy,
            val_accuracy,
            learning_rate: 0.1,
            seconds: 1.0,
        });
        History {
            epochs: epochs.collect(),
            best_epoch: 1,
            stopped_early: false,
            fit_seconds: 1.0,
            train_images_per_second: 1.0,
            phases: Vec::new(),
        }
    }

    #[test]
    fn a_training_is_held_against_the_middle_of_others_after_as_many_epochs() {
        let others = [history(&[0.1, 0.5, 0.7]), history(&[0.2, 0.3]), history(&[0.6, 0.4, 0.9])];
        let others: Vec<&History> = others.iter().collect();
        let pruner = MedianPruner { n_startup_trials: 3, n_warmup_steps: 1 };
        for scoring in [Scoring::Accuracy, Scoring::NegLogLoss] {
            let cut = pruner.cut(&others, scoring).unwrap();
            let stops =
                |accuracies: &[f64]| cut.stops(history(accuracies).epochs.iter().map(Record::row));
            // The median after two epochs is 0.4, after three 0.7; after one and after four any score passes.
            assert!(!stops(&[0.0]) && stops(&[0.0, 0.39]) && !stops(&[0.0, 0.4]));
            assert!(!stops(&[0.41, 0.0]), "its best so far counts");
            assert!(stops(&[0.0, 0.4, 0.69]) && !stops(&[0.0, 0.0, 0.0, 0.0]));
        }
        assert_eq!(pruner.cut(&[], Scoring::Accuracy), None);
        let text = pruner.check(Scoring::F1Macro).unwrap_err().to_string();
        assert!(text.starts_with("`pruner` must be none where `scoring` is f1_macro"), "{text}");
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
