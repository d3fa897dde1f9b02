//! What all searches do: rounds of trials, each combination scored on every fold, the best one trained again.
//!
//! A `RoundPlan` decides which combinations a round tries, and with how many images or epochs; `SearchConfig::run`
//! does the rest. Each pair of a combination and a fold is a trial, run by a [`TrialRunner`]. Each trial's result is
//! kept in its own file, so that a stopped search can be resumed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use super::config::SearchConfig;
pub use super::config::Trial;
use super::found::Found;
use super::grid::{Parameters, params_text};
use super::halving::{Budget, OneRound, Round, RoundPlan};
use super::network::Network;
use super::pool::Pool;
use super::pruner::Cut;
use super::results::{ErrorScore, SearchResults};
use super::rows::Rows;
use super::runner::TrialRunner;
use super::trial::{Checkpoint, Stage, TrialResult, TrialSpec};
use crate::data::model_selection::{Draw, TestSize, TrainTest, train_test_split};
use crate::data::random_state::RandomState;
use crate::data::{Split, Subset};
use crate::display::print_line;
use crate::error::{Error, Result};
use crate::models::Model;
use crate::system::environment::code_version;
use crate::system::interrupt::InterruptGuard;
use crate::text::clean_text;
use crate::training::{Callbacks, FitConfig, History};

impl SearchConfig {
    /// Checks every setting, and every combination's names and values.
    ///
    /// # Errors
    /// If a setting is not allowed; the message names it and the allowed values.
    pub(super) fn check(&self, candidates: &[Parameters]) -> Result<()> {
        self.fit.check()?;
        self.pruner.map_or(Ok(()), |pruner| pruner.check(self.scoring))?;
        if self.n_jobs == 0 {
            let advice = "-1 uses every processor core";
            return Err(Error::parameter("n_jobs", "1 or more, or -1 or less", 0, advice));
        }
        if self.n_repeats == 0 {
            let advice = "1 trains each combination once on each fold";
            return Err(Error::parameter("n_repeats", "at least 1", 0, advice));
        }
        if !(self.validation > 0.0 && self.validation < 1.0) {
            let advice = "0.12 keeps 12% for early stopping";
            let expected = "above 0 and below 1";
            return Err(Error::parameter("validation", expected, self.validation, advice));
        }
        if let ErrorScore::Score(score) = self.error_score
            && !score.is_finite()
        {
            let advice = "`ErrorScore::Nan` ranks a failed trial last";
            return Err(Error::parameter("error_score", "a finite number", score, advice));
        }
        for params in candidates {
            self.network.with(&self.fit, params)?;
        }
        Ok(())
    }

    /// The images that the search uses, and their folds.
    ///
    /// # Errors
    /// If the images cannot be divided into these folds.
    pub(super) fn folds(&self, split: &Split) -> Result<(Subset, Vec<TrainTest>)> {
        let images = self.searched(&split.train)?;
        let folds = self.cv.split(&images.labels())?;
        Ok((images, folds))
    }

    /// Every trial of a round, ordered by combination and within it by fold.
    ///
    /// # Errors
    /// If a combination does not fit the network, or the images cannot be divided into the folds.
    pub(super) fn trials(
        &self,
        images: &Subset,
        folds: &[TrainTest],
        round: &Round,
    ) -> Result<Vec<Trial>> {
        let drawn;
        let folds = match round.budget {
            Budget::Images { count, random_state } => {
                drawn = subsample(folds, count as f64 / images.len() as f64, random_state)?;
                &drawn
            }
            _ => {
                self.check_folds(images, folds)?;
                folds
            }
        };
        let dataset = images.dataset();
        let info = dataset.info()?;
        let data =
            std::fs::canonicalize(dataset.folder()).unwrap_or_else(|_| dataset.folder().to_owned());
        let rows = |positions: &[usize]| -> Rows {
            positions.iter().map(|&position| dataset.row(images.indices()[position])).collect()
        };
        let folds: Vec<[Rows; 2]> =
            folds.iter().map(|fold| [rows(&fold.train), rows(&fold.test)]).collect();
        let mut trials = Vec::new();
        for (candidate, params) in round.candidates.iter().enumerate() {
            let (network, mut fit) = self.network.with(&self.fit, params)?;
            // The precision is resolved here: it must not depend on the machine that runs the trial.
            fit.precision = fit.precision.resolve();
            let seeds = (0..self.n_repeats as u64).map(|repeat| fit.seed.wrapping_add(repeat));
            let splits = seeds.flat_map(|seed| folds.iter().map(move |fold| (seed, fold)));
            for (fold, (seed, [train, test])) in splits.enumerate() {
                let mut spec = TrialSpec {
                    code: code_version(),
                    network: network.clone(),
                    fit: FitConfig { seed, ..fit.clone() },
                    data: data.clone(),
                    x_sha256: info.x_sha256.clone(),
                    y_sha256: info.y_sha256.clone(),
                    train: train.clone(),
                    test: test.clone(),
                    validation: self.validation,
                    threads: self.threads(),
                    return_train_score: self.return_train_score,
                    stage: None,
                    cut: None,
                    checkpoint: None,
                };
                if let Budget::Epochs { now, before } = round.budget {
                    spec.stage = Some(self.stage(&spec, now, before));
                } else {
                    spec.checkpoint = Some(Checkpoint::of_search(self.checkpoints()));
                }
                trials.push(Trial { candidate, fold, params: params.clone(), spec });
            }
        }
        Ok(trials)
    }

    /// Every trial of a search with a single round of these combinations.
    ///
    /// # Errors
    /// If the images cannot be divided into the folds, or there is a pruner.
    pub(super) fn trials_of_one_round(
        &self,
        split: &Split,
        candidates: Vec<Parameters>,
    ) -> Result<Vec<Trial>> {
        if self.pruner.is_some() {
            let expected = "none where the trials are wanted beforehand";
            let advice = "what it stops depends on the results of the first trials";
            return Err(Error::parameter("pruner", expected, "a pruner", advice));
        }
        let (images, folds) = self.folds(split)?;
        let round = OneRound(Some(candidates)).next(&[]);
        round.map_or(Ok(Vec::new()), |round| self.trials(&images, &folds, &round))
    }

    /// The stage of a trial with the first `now` epochs, of which earlier rounds ran `before`.
    fn stage(&self, spec: &TrialSpec, now: usize, before: Option<usize>) -> Stage {
        let folder = self.checkpoints();
        let checkpoint = |epochs: usize| {
            let stage = Stage { epochs, checkpoint: PathBuf::new(), resume_from: None };
            let id = TrialSpec { stage: Some(stage), ..spec.clone() }.id();
            folder.join(format!("{id}.safetensors"))
        };
        Stage { epochs: now, checkpoint: checkpoint(now), resume_from: before.map(checkpoint) }
    }

    /// The folder of checkpoints: the trials may run in another working directory than the search.
    fn checkpoints(&self) -> PathBuf {
        std::path::absolute(&self.trials).unwrap_or_else(|_| self.trials.clone())
    }

    /// The images that the search uses.
    fn searched(&self, train: &Subset) -> Result<Subset> {
        if self.images == 0 || self.images >= train.len() {
            return Ok(train.clone());
        }
        let labels = train.labels();
        // A class with a single image cannot be in both parts, the images taken and the rest.
        check_each_class(train, 0..labels.len(), "images", "images to search among")?;
        let rest = TestSize::Count(train.len() - self.images);
        let taken = train_test_split(&labels, rest, Draw::Stratified, self.fit.seed)?.train;
        let index = |position: usize| train.indices()[position];
        train.dataset().subset(taken.into_iter().map(index).collect())
    }

    /// Checks that every fold has enough images for early stopping's share. Otherwise trials would fail, and their
    /// combinations with them.
    fn check_folds(&self, images: &Subset, folds: &[TrainTest]) -> Result<()> {
        let labels = images.labels();
        for (fold, TrainTest { train, .. }) in folds.iter().enumerate() {
            let of = format!("images to train on in fold {}", fold + 1);
            check_each_class(images, train.iter().copied(), "cv", &of)?;
            let labels: Vec<i64> = train.iter().map(|&position| labels[position]).collect();
            let share = TestSize::Share(self.validation);
            train_test_split(&labels, share, Draw::Stratified, self.fit.seed)?;
        }
        Ok(())
    }

    /// The number of trials in parallel.
    fn jobs(&self) -> usize {
        let all = processors() as isize;
        let jobs = if self.n_jobs < 0 { all + 1 + self.n_jobs } else { self.n_jobs };
        jobs.max(1) as usize
    }

    /// The number of threads per trial.
    fn threads(&self) -> usize {
        (processors() / self.jobs()).max(1)
    }

    /// Searches in `split.train`, round by round, with trials run by `launcher`; then, with `refit`, trains the best
    /// combination of the last round on all of `split.train`, with `split.validation` for early stopping. `split.test`
    /// is not used.
    ///
    /// # Errors
    /// If the images cannot be divided into the folds, every trial of a round failed (or one trial, with
    /// [`ErrorScore::Raise`]), there is nothing to train because each combination of the last round had a failed trial,
    /// the launcher cannot run any more trials, the last training fails, or the user interrupts the search (SIGINT).
    pub(super) fn run(
        &self,
        split: &Split,
        (images, folds): (&Subset, &[TrainTest]),
        plan: &mut dyn RoundPlan,
        launcher: &dyn TrialRunner,
    ) -> Result<SearchResults> {
        let started = Instant::now();
        let interrupt = InterruptGuard::new();
        let n_splits = folds.len() * self.n_repeats;
        let mut found = Found::new(n_splits);
        let mut scores = Vec::new();
        while let Some(round) = plan.next(&scores) {
            let mut trials = self.trials(images, folds, &round)?;
            self.announce_round(&round, plan);
            let mut run = |trials: &[Trial]| -> Result<Vec<Result<TrialResult, String>>> {
                let pool = Pool {
                    trials,
                    launcher,
                    n_jobs: self.jobs(),
                    folder: &self.trials,
                    scoring: self.scoring,
                    error_score: self.error_score,
                    verbose: self.verbose,
                };
                let mut kept = pool.kept()?;
                let count = kept.iter().flatten().count();
                found.trials_kept += count;
                self.announce(trials.len() / n_splits, n_splits, pool.jobs(), count);
                for (index, trial) in trials.iter().enumerate() {
                    if kept[index].is_none()
                        && let Some(result) = found.ended_before(&round, trial)
                    {
                        pool.keep(&result)?;
                        kept[index] = Some(result);
                    }
                }
                pool.run(kept, &interrupt)
            };
            let first = self.uncut(&round, trials.len(), n_splits);
            let mut outcomes = run(&trials[..first])?;
            if first < trials.len() {
                self.cut(&mut trials[first..], &outcomes, n_splits);
                outcomes.extend(run(&trials[first..])?);
            }
            check_any(&trials, &outcomes)?;
            launcher.forget(&found.remove_checkpoints(&trials));
            scores = found.add(self, &round, trials, outcomes);
        }
        launcher.forget(&found.remove_checkpoints(&[]));
        let mut results = self.results(found, &*plan)?;
        results.search_seconds = started.elapsed().as_secs_f64();
        if self.refit {
            self.refit(split, &mut results)?;
        }
        Ok(results)
    }

    /// The results of the search, with the best combination.
    fn results(&self, found: Found, plan: &dyn RoundPlan) -> Result<SearchResults> {
        let resource = plan.resource();
        let cv_results = found.cv_results(self, resource);
        let best_index = cv_results.chosen(self.choice);
        let best_score = cv_results.mean_test_score[best_index];
        // If no combination has a mean score, there is nothing to train.
        let trials = cv_results.params.len() * found.n_splits;
        if let Some(first) = cv_results.failures.first()
            && self.refit
            && best_score.is_nan()
        {
            return Err(Error::Trials {
                failed: cv_results.failures.len(),
                trials,
                trial: Trial::name(&cv_results.params[first.candidate], first.fold),
                message: first.reason.clone(),
            });
        }
        let best_params = cv_results.params[best_index].clone();
        let (best_network, best_fit) = self.full_training(&best_params)?;
        let histories: Vec<Option<History>> =
            found.outcomes.into_iter().map(|outcome| Some(outcome.ok()?.history)).collect();
        Ok(SearchResults {
            scoring: self.scoring,
            n_splits: found.n_splits,
            n_repeats: self.n_repeats,
            resource,
            rounds: plan.rounds(),
            best_index,
            best_score,
            best_params,
            best_network,
            best_fit,
            cv_results,
            histories: histories.chunks(found.n_splits).map(<[_]>::to_vec).collect(),
            trials_kept: found.trials_kept,
            search_seconds: 0.0,
            best_model: None,
            best_history: None,
            refit_time: None,
        })
    }

    /// Network and settings of a training of this combination on the whole training part.
    pub(super) fn full_training(&self, params: &Parameters) -> Result<(Network, FitConfig)> {
        let (network, mut fit) = self.network.with(&self.fit, params)?;
        if self.refit_epochs > 0 && !params.contains_key("epochs") {
            fit.epochs = self.refit_epochs;
        }
        Ok((network, fit))
    }

    /// The number of a round's first trials that run to their end whatever their scores are: all of them without a
    /// pruner, or if the rounds differ in epochs.
    fn uncut(&self, round: &Round, trials: usize, n_splits: usize) -> usize {
        match (self.pruner, &round.budget) {
            (None, _) | (_, Budget::Epochs { .. }) => trials,
            (Some(pruner), _) => trials.min(pruner.n_startup_trials * n_splits),
        }
    }

    /// Sets the thresholds below which these trials stop, from the finished trials of the same fold and seed.
    fn cut(&self, trials: &mut [Trial], outcomes: &[Result<TrialResult, String>], n_splits: usize) {
        let Some(pruner) = self.pruner else { return };
        let cuts: Vec<Option<Cut>> = (0..n_splits)
            .map(|fold| {
                let of_fold = outcomes.iter().skip(fold).step_by(n_splits).flatten();
                let histories: Vec<&History> = of_fold.map(|result| &result.history).collect();
                pruner.cut(&histories, self.scoring)
            })
            .collect();
        for trial in trials {
            trial.spec.cut.clone_from(&cuts[trial.fold]);
        }
    }

    fn announce_round(&self, round: &Round, plan: &dyn RoundPlan) {
        if self.verbose > 0
            && let (Some(resource), Some(number)) = (plan.resource(), round.budget.amount())
        {
            let (now, rounds) = (round.iteration + 1, plan.n_iterations());
            print_line(&format!("Round {now} of {rounds}, {number} {} each:", resource.plural()));
        }
    }

    fn announce(&self, candidates: usize, n_splits: usize, jobs: usize, trials_kept: usize) {
        if self.verbose == 0 {
            return;
        }
        let fits = n_splits * candidates;
        let folds = match self.n_repeats {
            1 => format!("{n_splits} folds"),
            repeats => format!("{} folds with {repeats} seeds", n_splits / repeats),
        };
        print_line(&format!(
            "Fitting {folds} for each of {candidates} candidates, totalling {fits} fits, {jobs} side by side"
        ));
        if trials_kept > 0 {
            print_line(&format!("{trials_kept} of them were finished before and are not repeated"));
        }
    }

    /// Trains the best combination on all of `split.train`.
    fn refit(&self, split: &Split, results: &mut SearchResults) -> Result<()> {
        if self.verbose > 0 {
            print_line(&format!(
                "best: {}; training it on all {} images",
                params_text(&results.best_params),
                split.train.len()
            ));
        }
        let started = Instant::now();
        let checkpoint = self.trials.join("refit.safetensors");
        let callbacks = Callbacks::default().backup_and_restore(checkpoint);
        let fit = results.best_fit.clone();
        let (model, history) = train(&results.best_network, fit, split, callbacks)?;
        results.best_history = Some(history);
        results.best_model = Some(model);
        results.refit_time = Some(started.elapsed().as_secs_f64());
        Ok(())
    }
}

/// Checks that at least one trial of the round has a score. As in scikit-learn, a round in which all failed is an
/// error, whatever `error_score` is.
fn check_any(trials: &[Trial], outcomes: &[Result<TrialResult, String>]) -> Result<()> {
    let (Some(trial), Some(Err(message))) = (trials.first(), outcomes.first()) else {
        return Ok(());
    };
    if outcomes.iter().any(|outcome| outcome.is_ok()) {
        return Ok(());
    }
    let (failed, trial, message) = (outcomes.len(), trial.to_string(), message.clone());
    Err(Error::Trials { failed, trials: failed, trial, message })
}

/// Trains a network from new weights on all of `split.train`.
pub(super) fn train(
    network: &Network,
    fit: FitConfig,
    split: &Split,
    callbacks: Callbacks,
) -> Result<(Model, History)> {
    let dataset = split.train.dataset();
    let mut model = network.network(dataset.image_shape(), dataset.classes()).build(fit.seed)?;
    let history = model.fit_with(split, fit, callbacks)?;
    Ok((model, history))
}

/// Draws a share of the images of each part of each fold, as scikit-learn's halving does: without replacement, not
/// stratified, and with the same seed for each part.
fn subsample(folds: &[TrainTest], fraction: f64, random_state: u64) -> Result<Vec<TrainTest>> {
    let draw = |part: &[usize]| -> Result<Vec<usize>> {
        let count = (fraction * part.len() as f64) as usize;
        Ok(RandomState::new(random_state)?.choice(part, count))
    };
    folds
        .iter()
        .map(|fold| Ok(TrainTest { train: draw(&fold.train)?, test: draw(&fold.test)? }))
        .collect()
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Checks that each class that occurs has at least two of these images, as a stratified division in two needs.
fn check_each_class(
    images: &Subset,
    positions: impl IntoIterator<Item = usize>,
    name: &'static str,
    what: &str,
) -> Result<()> {
    let labels = images.labels();
    let mut counts = BTreeMap::from_iter(labels.iter().map(|&label| (label, 0)));
    for position in positions {
        *counts.entry(labels[position]).or_insert(0) += 1;
    }
    let Some((&class, count)) = counts.iter().find(|(_, count)| **count < 2) else { return Ok(()) };
    let class = clean_text(&images.dataset().class_names()[class as usize]);
    Err(Error::parameter(
        name,
        format!("such that each class has at least 2 {what}, so that early stopping sees one"),
        format!("{count} of class `{class}`"),
        "add images of this class or leave it out, or search with fewer folds",
    ))
}
