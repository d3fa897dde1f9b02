//! Full trainings of a few combinations, each with several seeds: is the combination that won on the folds also the
//! best when it is trained on the whole training part?

use std::fmt;

use super::config::SearchConfig;
use super::grid::{Parameters, params_text};
use super::results::{SearchResults, means};
use super::scoring::{Score, Scoring};
use super::search::train;
use crate::data::Split;
use crate::error::{Error, Result};
use crate::models::Model;
use crate::training::callbacks::Trainings;
use crate::training::{Callbacks, FitConfig, History};

/// The scores that full trainings of some combinations reached on the validation part, and the best combination.
pub struct Confirmation {
    /// The combinations, without repeats: those that the search's choice is compared with, and last the search's
    /// choice.
    pub params: Vec<Parameters>,
    /// The seeds; the first is the search's.
    pub seeds: Vec<u64>,
    /// The metric that ranks the combinations.
    pub scoring: Scoring,
    /// Scores on the validation part, which also stopped the trainings: `validation_score[candidate][seed]`.
    pub validation_score: Vec<Vec<f64>>,
    /// Mean over the seeds.
    pub mean_score: Vec<f64>,
    /// Standard deviation over the seeds, as NumPy's `std` takes it.
    pub std_score: Vec<f64>,
    /// Seconds of training, mean over the seeds.
    pub mean_fit_time: Vec<f64>,
    /// Index of the combination that the search chose.
    pub searched_index: usize,
    /// Index of the highest mean, the first of equal ones: the search's choice is last, so it does not win a tie.
    pub best_index: usize,
    /// The combination with that mean.
    pub best_params: Parameters,
    /// That mean.
    pub best_score: f64,
    /// The settings of its training with the first seed.
    pub best_fit: FitConfig,
    /// That training, epoch by epoch.
    pub best_history: History,
    /// The model that this training produced; none once it was taken.
    pub best_model: Option<Model>,
}

impl Confirmation {
    /// The trained model of the best combination and the first seed, taken out of the results.
    ///
    /// # Errors
    /// If it was already taken.
    pub fn take_best_model(&mut self) -> Result<Model> {
        self.best_model.take().ok_or_else(|| {
            let advice = "run the cell with `confirm` again";
            Error::parameter("best_model", "there", "taken before", advice)
        })
    }
}

impl fmt::Debug for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (combinations, seeds) = (self.params.len(), self.seeds.len());
        let best = params_text(&self.best_params);
        write!(f, "Confirmation: {combinations} combinations, {seeds} seeds; best {best}")
    }
}

impl SearchConfig {
    /// See [`GridSearchCv::confirm`](super::GridSearchCv::confirm).
    pub(super) fn confirm(
        &self,
        split: &Split,
        results: &SearchResults,
        others: &[Parameters],
        n_seeds: usize,
    ) -> Result<Confirmation> {
        check(results, n_seeds)?;
        let params = without_repeats(others.iter().chain([&results.best_params]));
        let seeds: Vec<u64> =
            (0..n_seeds as u64).map(|repeat| self.fit.seed.wrapping_add(repeat)).collect();
        let mut trainings = Trainings::new(params.len() * n_seeds);
        let (mut scores, mut times, mut firsts) = (Vec::new(), Vec::new(), Vec::new());
        for (candidate, one) in params.iter().enumerate() {
            let (mut of_seeds, mut seconds) = (Vec::new(), Vec::new());
            for &seed in &seeds {
                let checkpoint =
                    self.trials.join(format!("confirm_{candidate}_{seed}.safetensors"));
                let callbacks = trainings.callbacks().backup_and_restore(checkpoint);
                let (score, trained) = self.train_and_score(one, seed, split, callbacks)?;
                let Trained { history, .. } = &trained;
                trainings.ended(&told(one, seed, &score, history));
                of_seeds.push(self.scoring.of(&score));
                seconds.push(history.fit_seconds);
                if seed == seeds[0] {
                    firsts.push(trained);
                }
            }
            scores.push(of_seeds);
            times.push(seconds);
        }
        trainings.finish();
        let (mean_score, std_score) = means(&scores);
        let higher = |a: usize, b: usize| if mean_score[b] > mean_score[a] { b } else { a };
        let best_index = (0..params.len()).fold(0, higher);
        let best = firsts.swap_remove(best_index);
        Ok(Confirmation {
            best_params: params[best_index].clone(),
            best_score: mean_score[best_index],
            seeds,
            scoring: self.scoring,
            validation_score: scores,
            mean_score,
            std_score,
            mean_fit_time: means(&times).0,
            searched_index: params.iter().position(|one| *one == results.best_params).unwrap_or(0),
            best_index,
            best_fit: best.fit,
            best_history: best.history,
            best_model: Some(best.model),
            params,
        })
    }

    /// A full training with these parameters and this seed, and its score on the validation part.
    fn train_and_score(
        &self,
        params: &Parameters,
        seed: u64,
        split: &Split,
        callbacks: Callbacks,
    ) -> Result<(Score, Trained)> {
        let (network, fit) = self.full_training(params)?;
        let fit = FitConfig { seed, ..fit };
        let (model, history) = train(&network, fit.clone(), split, callbacks)?;
        Ok((Score::of(&model, &split.validation)?, Trained { fit, history, model }))
    }
}

/// Checks that there is something to train, and a best combination to compare with.
fn check(results: &SearchResults, n_seeds: usize) -> Result<()> {
    if n_seeds == 0 {
        return Err(Error::parameter("n_seeds", "at least 1", 0, "3 show what luck does"));
    }
    if !results.has_best() {
        let advice = "run the search again: the trials that failed are tried once more";
        let found = "none: each combination lost a trial";
        return Err(Error::parameter("results", "those with a best combination", found, advice));
    }
    Ok(())
}

/// A full training that is finished.
struct Trained {
    fit: FitConfig,
    history: History,
    model: Model,
}

/// These combinations in order, without repeats.
fn without_repeats<'a>(all: impl IntoIterator<Item = &'a Parameters>) -> Vec<Parameters> {
    let mut params: Vec<Parameters> = Vec::new();
    for one in all {
        if !params.contains(one) {
            params.push(one.clone());
        }
    }
    params
}

/// The line that is printed for a finished training.
fn told(params: &Parameters, seed: u64, scored: &Score, history: &History) -> String {
    format!(
        "{}, seed {seed}: validation accuracy {:.2}%, best epoch {} of {}",
        params_text(params),
        100.0 * scored.accuracy,
        history.best_epoch,
        history.epochs_run()
    )
}
