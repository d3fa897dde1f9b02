//! The results of a search so far, round by round.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::config::{SearchConfig, Trial};
use super::grid::Parameters;
use super::halving::{Budget, Resource, Round};
use super::results::{CvResults, ErrorScore, FailedTrial, MetricScores};
use super::scoring::Scoring;
use super::trial::TrialResult;

/// The results of the rounds so far, one row per candidate and round.
#[derive(Default)]
pub(super) struct Found {
    pub(super) n_splits: usize,
    params: Vec<Parameters>,
    /// The round of each row, from 0.
    iter: Vec<usize>,
    n_resources: Vec<usize>,
    /// The result of each trial: row by row, and within a row fold by fold.
    pub(super) outcomes: Vec<Result<TrialResult, String>>,
    pub(super) trials_kept: usize,
    /// Index of the first row of the last round.
    last: usize,
    /// Checkpoints that the next round may resume from.
    checkpoints: Vec<PathBuf>,
}

impl Found {
    /// No results yet; each combination has `n_splits` trials.
    pub(super) fn new(n_splits: usize) -> Found {
        Found { n_splits, ..Found::default() }
    }

    /// Adds a round; returns the mean scores of its candidates.
    pub(super) fn add(
        &mut self,
        config: &SearchConfig,
        round: &Round,
        trials: Vec<Trial>,
        outcomes: Vec<Result<TrialResult, String>>,
    ) -> Vec<f64> {
        self.last = self.params.len();
        let candidates = round.candidates.len();
        self.params.extend(round.candidates.iter().cloned());
        self.iter.extend(std::iter::repeat_n(round.iteration, candidates));
        let amount = round.budget.amount().unwrap_or(0);
        self.n_resources.extend(std::iter::repeat_n(amount, candidates));
        self.outcomes.extend(outcomes);
        let stages = trials.into_iter().filter_map(|trial| trial.spec.stage);
        self.checkpoints.extend(stages.map(|stage| stage.checkpoint));
        self.cv_results(config, None).mean_test_score[self.last..].to_vec()
    }

    /// The result of a trial that early stopping already ended in the round before: more epochs would not change it.
    pub(super) fn ended_before(&self, round: &Round, trial: &Trial) -> Option<TrialResult> {
        let Budget::Epochs { before: Some(before), .. } = round.budget else { return None };
        let row = self.last + round.from[trial.candidate];
        let result = self.outcomes.get(row * self.n_splits + trial.fold)?.as_ref().ok()?;
        let over = result.history.stopped_early && result.history.epochs.len() < before;
        over.then(|| {
            let mut result = TrialResult { id: trial.spec.id(), ..result.clone() };
            if let Some(origin) = &mut result.origin {
                origin.task = trial.spec.task();
            }
            result
        })
    }

    /// Removes the checkpoints of earlier rounds that none of these trials resumes from; returns their paths. A
    /// checkpoint that cannot be removed only costs disk space.
    pub(super) fn remove_checkpoints(&mut self, still: &[Trial]) -> Vec<PathBuf> {
        let needed: BTreeSet<&Path> = still
            .iter()
            .filter_map(|trial| trial.spec.stage.as_ref()?.resume_from.as_deref())
            .collect();
        let (needed, over): (Vec<PathBuf>, Vec<PathBuf>) = std::mem::take(&mut self.checkpoints)
            .into_iter()
            .partition(|path| needed.contains(path.as_path()));
        self.checkpoints = needed;
        over.iter().for_each(|path| drop(std::fs::remove_file(path)));
        over
    }

    pub(super) fn cv_results(
        &self,
        config: &SearchConfig,
        resource: Option<Resource>,
    ) -> CvResults {
        let error_score = match config.error_score {
            ErrorScore::Score(score) => score,
            ErrorScore::Nan | ErrorScore::Raise => f64::NAN,
        };
        let column = |value: &dyn Fn(&TrialResult) -> f64, failed: f64| -> Vec<Vec<f64>> {
            let values: Vec<f64> = self
                .outcomes
                .iter()
                .map(|outcome| outcome.as_ref().map_or(failed, value))
                .collect();
            values.chunks(self.n_splits).map(<[f64]>::to_vec).collect()
        };
        let train = |result: &TrialResult| {
            result.train.as_ref().map_or(f64::NAN, |score| config.scoring.of(score))
        };
        let mut results = CvResults::new(
            self.params.clone(),
            column(&|result| config.scoring.of(&result.test), error_score),
            config.return_train_score.then(|| column(&train, error_score)),
            &column(&|result| result.fit_seconds, 0.0),
            &column(&|result| result.score_seconds, 0.0),
        );
        results.iter.clone_from(&self.iter);
        results.metrics = Scoring::ALL
            .map(|scoring| {
                let scores = column(&|result| scoring.of(&result.test), error_score);
                (scoring.name().to_owned(), MetricScores::new(scores))
            })
            .into();
        results.n_resources = resource.is_some().then(|| self.n_resources.clone());
        let failures = self.outcomes.iter().enumerate().filter_map(|(index, outcome)| {
            let reason = outcome.as_ref().err()?.clone();
            let (candidate, fold) = (index / self.n_splits, index % self.n_splits);
            Some(FailedTrial { candidate, fold, reason })
        });
        results.failures = failures.collect();
        let pruned = |row: &[Result<TrialResult, String>]| {
            row.iter().flatten().filter(|result| result.pruned).count()
        };
        results.pruned = self.outcomes.chunks(self.n_splits).map(pruned).collect();
        results
    }
}
