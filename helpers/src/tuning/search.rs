//! What all searches do: rounds of trials, each combination scored on every fold, the best one trained again.
//!
//! A `Plan` says which combinations a round tries, and with how much; `SearchConfig::run` is the rest. Each pair of a
//! combination and a fold is a trial, run by a [`Launcher`]; what a trial found is kept in a file of its own, so that a
//! search that was stopped goes on where it was.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::folds::Folds;
use super::grid::{Parameters, params_text};
use super::halving::{Budget, Plan, Resource, Round};
use super::launcher::Launcher;
use super::network::Network;
use super::pool::Pool;
use super::results::{CvResults, ErrorScore, FailedTrial, Scoring, SearchResults};
use super::trial::{Stage, TrialResult, TrialSpec};
use crate::data::model_selection::{Draw, TestSize, TrainTest, train_test_split};
use crate::data::random_state::RandomState;
use crate::data::{Split, Subset};
use crate::display::print_line;
use crate::error::{Error, Result};
use crate::system::environment::code_version;
use crate::system::interrupt::InterruptGuard;
use crate::text::clean_text;
use crate::training::{Callbacks, FitConfig, History};

/// The settings that all searches have; [`GridSearchCv`](super::GridSearchCv) says what they mean.
#[derive(Debug, Clone)]
pub(super) struct SearchConfig {
    pub network: Network,
    pub fit: FitConfig,
    pub images: usize,
    pub cv: Folds,
    pub scoring: Scoring,
    pub refit: bool,
    pub refit_epochs: usize,
    pub validation: f64,
    pub n_jobs: isize,
    pub verbose: u8,
    pub error_score: ErrorScore,
    pub return_train_score: bool,
    pub trials: PathBuf,
}

/// One combination on one fold.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Index of the combination, in the grid's order.
    pub candidate: usize,
    /// Index of the fold.
    pub fold: usize,
    /// The combination.
    pub params: Parameters,
    /// What the program `trial` is given.
    pub spec: TrialSpec,
}

impl fmt::Display for Trial {
    /// `dropout 0.2 on fold 1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Trial::name(&self.params, self.fold))
    }
}

impl Trial {
    /// `dropout 0.2 on fold 1`, for fold 0.
    fn name(params: &Parameters, fold: usize) -> String {
        format!("{} on fold {}", params_text(params), fold + 1)
    }
}

impl SearchConfig {
    /// Checks every setting, and every combination's names and values.
    ///
    /// # Errors
    /// If one cannot be; the message says which, and what it may be.
    pub(super) fn check(&self, candidates: &[Parameters]) -> Result<()> {
        self.fit.check()?;
        if self.n_jobs == 0 {
            let advice = "-1 uses every processor core";
            return Err(Error::parameter("n_jobs", "1 or more, or -1 or less", 0, advice));
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

    /// The images that the search looks at, and their folds.
    ///
    /// # Errors
    /// If the images cannot be divided so.
    pub(super) fn folds(&self, split: &Split) -> Result<(Subset, Vec<TrainTest>)> {
        let images = self.searched(&split.train)?;
        let folds = self.cv.split(&images.labels())?;
        Ok((images, folds))
    }

    /// Every trial of a round, combination after combination and within it fold after fold.
    ///
    /// # Errors
    /// If a combination does not fit, or the images cannot be divided so.
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
        let info = dataset.info();
        let data =
            std::fs::canonicalize(dataset.folder()).unwrap_or_else(|_| dataset.folder().to_owned());
        let rows = |positions: &[usize]| -> Vec<usize> {
            positions.iter().map(|&position| dataset.row(images.indices()[position])).collect()
        };
        let mut trials = Vec::new();
        for (candidate, params) in round.candidates.iter().enumerate() {
            let (network, mut fit) = self.network.with(&self.fit, params)?;
            // The choice must not depend on the machine that runs the trial.
            fit.precision = fit.precision.resolve();
            for (fold, TrainTest { train, test }) in folds.iter().enumerate() {
                let mut spec = TrialSpec {
                    code: code_version(),
                    network: network.clone(),
                    fit: fit.clone(),
                    data: data.clone(),
                    x_sha256: info.x_sha256.clone(),
                    y_sha256: info.y_sha256.clone(),
                    train: rows(train),
                    test: rows(test),
                    validation: self.validation,
                    threads: self.threads(),
                    return_train_score: self.return_train_score,
                    stage: None,
                };
                if let Budget::Epochs { now, before } = round.budget {
                    spec.stage = Some(self.stage(&spec, now, before));
                }
                trials.push(Trial { candidate, fold, params: params.clone(), spec });
            }
        }
        Ok(trials)
    }

    /// The first `now` epochs of a trial of which earlier rounds have had `before`.
    fn stage(&self, spec: &TrialSpec, now: usize, before: Option<usize>) -> Stage {
        // The search may run in another folder than its trials.
        let folder = std::path::absolute(&self.trials).unwrap_or_else(|_| self.trials.clone());
        let checkpoint = |epochs: usize| {
            let stage = Stage { epochs, checkpoint: PathBuf::new(), resume_from: None };
            let id = TrialSpec { stage: Some(stage), ..spec.clone() }.id();
            folder.join(format!("{id}.safetensors"))
        };
        Stage { epochs: now, checkpoint: checkpoint(now), resume_from: before.map(checkpoint) }
    }

    /// The images that the search looks at.
    fn searched(&self, train: &Subset) -> Result<Subset> {
        if self.images == 0 || self.images >= train.len() {
            return Ok(train.clone());
        }
        let labels = train.labels();
        // A class of one image cannot be in both the images taken and the rest.
        check_each_class(train, 0..labels.len(), "images", "images to search among")?;
        let rest = TestSize::Count(train.len() - self.images);
        let taken = train_test_split(&labels, rest, Draw::Stratified, self.fit.seed)?.train;
        let index = |position: usize| train.indices()[position];
        train.dataset().subset(taken.into_iter().map(index).collect())
    }

    /// Checks that early stopping gets its share of every fold's training part: a trial would fail without, and with it
    /// its combination.
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

    /// Trials side by side.
    fn jobs(&self) -> usize {
        let all = processors() as isize;
        let jobs = if self.n_jobs < 0 { all + 1 + self.n_jobs } else { self.n_jobs };
        jobs.max(1) as usize
    }

    /// Threads of one trial.
    fn threads(&self) -> usize {
        (processors() / self.jobs()).max(1)
    }

    /// Searches in `split.train`, round after round, with trials run by `launcher`; then, with `refit`, trains the best
    /// combination of the last round on all of `split.train`, steered by `split.validation`. `split.test` is not looked at.
    ///
    /// # Errors
    /// If the images cannot be divided so, there is nothing to train because each combination of the last round had a
    /// trial that failed (or one failed, with [`ErrorScore::Raise`]), the last training fails, or somebody interrupts it
    /// (SIGINT).
    pub(super) fn run(
        &self,
        split: &Split,
        (images, folds): (&Subset, &[TrainTest]),
        plan: &mut dyn Plan,
        launcher: &dyn Launcher,
    ) -> Result<SearchResults> {
        let started = Instant::now();
        let interrupt = InterruptGuard::new();
        let mut found = Found { n_splits: folds.len(), ..Found::default() };
        let mut scores = Vec::new();
        while let Some(round) = plan.next(&scores) {
            let trials = self.trials(images, folds, &round)?;
            let pool = Pool {
                trials: &trials,
                launcher,
                jobs: self.jobs(),
                folder: &self.trials,
                scoring: self.scoring,
                error_score: self.error_score,
                verbose: self.verbose,
            };
            let mut kept = pool.kept();
            found.trials_kept += kept.iter().flatten().count();
            self.announce(&round, plan, folds.len(), kept.iter().flatten().count());
            for (index, trial) in trials.iter().enumerate() {
                if kept[index].is_none()
                    && let Some(result) = found.ended_before(&round, trial)
                {
                    pool.keep(&result)?;
                    kept[index] = Some(result);
                }
            }
            let outcomes = pool.run(kept, &interrupt)?;
            found.remove_checkpoints(Some(&trials));
            scores = found.add(self, &round, trials, outcomes);
        }
        found.remove_checkpoints(None);
        let mut results = self.results(found, plan.resource())?;
        results.search_seconds = started.elapsed().as_secs_f64();
        if self.refit {
            self.refit(split, &mut results)?;
        }
        Ok(results)
    }

    /// What was found, and the best of it.
    fn results(&self, found: Found, resource: Option<Resource>) -> Result<SearchResults> {
        let cv_results = found.cv_results(self, resource);
        let best_index = cv_results.best_of_last_round();
        let best_score = cv_results.mean_test_score[best_index];
        // As in scikit-learn, a search without any score is an error; and with no mean score there is nothing to train.
        let trials = cv_results.params.len() * found.n_splits;
        if let Some(first) = cv_results.failures.first()
            && (cv_results.failures.len() == trials || self.refit && best_score.is_nan())
        {
            return Err(Error::Trials {
                failed: cv_results.failures.len(),
                trials,
                trial: Trial::name(&cv_results.params[first.candidate], first.fold),
                message: first.reason.clone(),
            });
        }
        let best_params = cv_results.params[best_index].clone();
        let (best_network, mut best_fit) = self.network.with(&self.fit, &best_params)?;
        if self.refit_epochs > 0 && !best_params.contains_key("epochs") {
            best_fit.epochs = self.refit_epochs;
        }
        let histories: Vec<Option<History>> =
            found.outcomes.into_iter().map(|outcome| Some(outcome.ok()?.history)).collect();
        Ok(SearchResults {
            scoring: self.scoring,
            n_splits: found.n_splits,
            resource,
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

    fn announce(&self, round: &Round, plan: &dyn Plan, n_splits: usize, trials_kept: usize) {
        if self.verbose == 0 {
            return;
        }
        if let (Some(resource), Some(number)) = (plan.resource(), round.budget.amount()) {
            let (now, rounds) = (round.iteration + 1, plan.rounds());
            println!("Round {now} of {rounds}, {number} {} each:", resource.plural());
        }
        let candidates = round.candidates.len();
        let (fits, jobs) = (n_splits * candidates, self.jobs());
        println!(
            "Fitting {n_splits} folds for each of {candidates} candidates, totalling {fits} fits, {jobs} side by side"
        );
        if trials_kept > 0 {
            println!("{trials_kept} of them were finished before and are not repeated");
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
        let dataset = split.train.dataset();
        let network = results.best_network.network(dataset.image_shape(), dataset.classes());
        let mut model = network.build(results.best_fit.seed)?;
        let checkpoint = self.trials.join("refit.safetensors");
        let callbacks = Callbacks::default().backup_and_restore(checkpoint);
        results.best_history = Some(model.fit_with(split, results.best_fit.clone(), callbacks)?);
        results.best_model = Some(model);
        results.refit_time = Some(started.elapsed().as_secs_f64());
        Ok(())
    }
}

/// What the rounds so far have found, row after row.
#[derive(Default)]
struct Found {
    n_splits: usize,
    params: Vec<Parameters>,
    /// The round of each row, from 0, and what it had of the resource.
    iter: Vec<usize>,
    n_resources: Vec<usize>,
    /// Row after row, and within it fold after fold.
    outcomes: Vec<Result<TrialResult, String>>,
    trials_kept: usize,
    /// The first row of the last round.
    last: usize,
    /// Checkpoints from which the next round goes on.
    checkpoints: Vec<PathBuf>,
}

impl Found {
    /// Adds a round; gives the mean scores of its candidates.
    fn add(
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

    /// The result of a trial whose training early stopping has ended in the round before: more epochs change nothing.
    fn ended_before(&self, round: &Round, trial: &Trial) -> Option<TrialResult> {
        let Budget::Epochs { before: Some(before), .. } = round.budget else { return None };
        let row = self.last + round.from[trial.candidate];
        let result = self.outcomes.get(row * self.n_splits + trial.fold)?.as_ref().ok()?;
        let over = result.history.stopped_early && result.history.epochs.len() < before;
        over.then(|| TrialResult { id: trial.spec.id(), ..result.clone() })
    }

    /// Removes the checkpoints of earlier rounds from which none of these trials goes on. One that cannot be removed
    /// costs room on the disk and nothing else.
    fn remove_checkpoints(&mut self, still: Option<&[Trial]>) {
        let needed = |path: &Path| {
            let from = |trial: &Trial| trial.spec.stage.as_ref()?.resume_from.clone();
            still.is_some_and(|trials| {
                trials.iter().any(|trial| from(trial).as_deref() == Some(path))
            })
        };
        self.checkpoints.retain(|path| {
            let needed = needed(path);
            if !needed {
                let _ = std::fs::remove_file(path);
            }
            needed
        });
    }

    fn cv_results(&self, config: &SearchConfig, resource: Option<Resource>) -> CvResults {
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
        results.n_resources = resource.is_some().then(|| self.n_resources.clone());
        let failures = self.outcomes.iter().enumerate().filter_map(|(index, outcome)| {
            let reason = outcome.as_ref().err()?.clone();
            let (candidate, fold) = (index / self.n_splits, index % self.n_splits);
            Some(FailedTrial { candidate, fold, reason })
        });
        results.failures = failures.collect();
        results
    }
}

/// A share of the images of each part of each fold, as scikit-learn's halving draws them: without replacement, whatever
/// the classes, each part from the beginning of the same sequence.
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

/// Checks that each class that is there at all has two of these images, as a stratified division in two takes.
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
