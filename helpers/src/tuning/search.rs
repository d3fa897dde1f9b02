//! The grid search: every combination of parameters, scored on every fold; scikit-learn's `GridSearchCV`.
//!
//! Start at [`GridSearchCv`]: `GridSearchCv { param_grid, .. }.fit(&split)?` gives [`SearchResults`]. Each pair of a
//! combination and a fold is a trial, run by a [`Launcher`]; what a trial found is kept in a file of its own, so that a
//! search that was stopped goes on where it was.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::folds::Folds;
use super::grid::{ParameterGrid, Parameters, params_text};
use super::launcher::{Launcher, LocalProcesses};
use super::network::Network;
use super::pool::Pool;
use super::results::{CvResults, ErrorScore, FailedTrial, Scoring, SearchResults, first_of_rank_1};
use super::trial::{TrialResult, TrialSpec};
use crate::data::model_selection::{Draw, TestSize, TrainTest, train_test_split};
use crate::data::{Split, Subset};
use crate::display::print_line;
use crate::error::{Error, Result};
use crate::system::environment::code_version;
use crate::system::interrupt::InterruptGuard;
use crate::text::clean_text;
use crate::training::{Callbacks, FitConfig, History};

/// Settings of a search; scikit-learn's `GridSearchCV`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GridSearchCv {
    /// The values to try. Names are fields of the network's settings or of [`FitConfig`].
    pub param_grid: ParameterGrid,
    /// The network, with the settings that the grid leaves alone.
    pub network: Network,
    /// The training of each trial, with the settings that the grid leaves alone. Its seed is that of all trials.
    pub fit: FitConfig,
    /// Images of the training part that the search looks at, stratified; 0 for all of them.
    pub images: usize,
    /// The folds.
    pub cv: Folds,
    /// What a trial is judged by.
    pub scoring: Scoring,
    /// Whether the best combination is trained again, on the whole training part.
    pub refit: bool,
    /// Most epochs of that training, 0 for as many as a trial has.
    pub refit_epochs: usize,
    /// Share of a fold's training part that steers early stopping in a trial; the part that scores is not looked at.
    pub validation: f64,
    /// Trials side by side, which share the processor's threads; -1 for one a thread, -2 for one fewer, and so on.
    pub n_jobs: isize,
    /// 0: prints nothing; 1: a line a trial, with the time left; 2: the seconds of each trial, too.
    pub verbose: u8,
    /// The score of a trial that failed.
    pub error_score: ErrorScore,
    /// Whether the images a trial learnt from are scored, too.
    pub return_train_score: bool,
    /// The folder where finished trials are kept, one file each; a search that finds one there does not repeat it. The
    /// checkpoint of the last training is kept there, too.
    pub trials: PathBuf,
}

impl Default for GridSearchCv {
    fn default() -> GridSearchCv {
        GridSearchCv {
            param_grid: ParameterGrid::new(),
            network: Network::default(),
            fit: FitConfig::default(),
            images: 0,
            cv: Folds::Count(5),
            scoring: Scoring::Accuracy,
            refit: true,
            refit_epochs: 0,
            validation: 0.12,
            n_jobs: -1,
            verbose: 1,
            error_score: ErrorScore::Nan,
            return_train_score: false,
            trials: PathBuf::from("../export/trials"),
        }
    }
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
        write!(f, "{} on fold {}", params_text(&self.params), self.fold + 1)
    }
}

impl GridSearchCv {
    /// Checks every setting, and every combination's names and values.
    ///
    /// # Errors
    /// If one cannot be; the message says which, and what it may be.
    pub fn check(&self) -> Result<()> {
        self.fit.check()?;
        if self.n_jobs == 0 {
            let advice = "-1 uses every processor core";
            return Err(Error::parameter("n_jobs", "1 or more, or -1 or less", 0, advice));
        }
        if !(self.validation > 0.0 && self.validation < 1.0) {
            let advice = "0.12 keeps 12% for early stopping";
            return Err(Error::parameter(
                "validation",
                "above 0 and below 1",
                self.validation,
                advice,
            ));
        }
        if let ErrorScore::Score(score) = self.error_score
            && !score.is_finite()
        {
            let advice = "`ErrorScore::Nan` ranks a failed trial last";
            return Err(Error::parameter("error_score", "a finite number", score, advice));
        }
        for params in self.param_grid.combinations()? {
            self.network.with(&self.fit, &params)?;
        }
        Ok(())
    }

    /// Every trial of the search, combination after combination and within it fold after fold, for `split.train`.
    ///
    /// Any engine may run them, too: the program's output, as `ID.json` in the folder of finished trials, is what the
    /// search looks for.
    ///
    /// # Errors
    /// If a setting is out of range, or the images cannot be divided so.
    pub fn trials(&self, split: &Split) -> Result<Vec<Trial>> {
        self.check()?;
        let images = self.searched(&split.train)?;
        let folds = self.cv.split(&images.labels())?;
        self.check_folds(&images, &folds)?;
        let dataset = images.dataset();
        let info = dataset.info();
        let data =
            std::fs::canonicalize(dataset.folder()).unwrap_or_else(|_| dataset.folder().to_owned());
        let rows = |positions: &[usize]| -> Vec<usize> {
            positions.iter().map(|&position| dataset.row(images.indices()[position])).collect()
        };
        let mut trials = Vec::new();
        for (candidate, params) in self.param_grid.combinations()?.into_iter().enumerate() {
            let (network, mut fit) = self.network.with(&self.fit, &params)?;
            // The choice must not depend on the machine that runs the trial.
            fit.precision = fit.precision.resolve();
            for (fold, TrainTest { train, test }) in folds.iter().enumerate() {
                let spec = TrialSpec {
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
                };
                trials.push(Trial { candidate, fold, params: params.clone(), spec });
            }
        }
        Ok(trials)
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

    /// Searches in `split.train`, with trials as local processes; then, with `refit`, trains the best combination on
    /// all of `split.train`, steered by `split.validation`. `split.test` is not looked at.
    ///
    /// # Errors
    /// If a setting is out of range, the program that runs trials is not there, there is nothing to train because
    /// each combination had a trial that failed (or one failed, with [`ErrorScore::Raise`]), the last training fails, or somebody interrupts it
    /// (SIGINT).
    pub fn fit(&self, split: &Split) -> Result<SearchResults> {
        self.check()?;
        self.fit_with(split, &LocalProcesses::find()?)
    }

    /// As [`GridSearchCv::fit`], with trials run by `launcher`.
    ///
    /// # Errors
    /// As [`GridSearchCv::fit`].
    pub fn fit_with(&self, split: &Split, launcher: &dyn Launcher) -> Result<SearchResults> {
        let started = Instant::now();
        let interrupt = InterruptGuard::new();
        let trials = self.trials(split)?;
        let pool = Pool {
            trials: &trials,
            launcher,
            jobs: self.jobs(),
            folder: &self.trials,
            scoring: self.scoring,
            error_score: self.error_score,
            verbose: self.verbose,
        };
        let kept = pool.kept();
        let trials_kept = kept.iter().flatten().count();
        let candidates = trials.last().map_or(0, |trial| trial.candidate + 1);
        let n_splits = trials.last().map_or(0, |trial| trial.fold + 1);
        self.announce(n_splits, candidates, trials_kept);
        let outcomes = pool.run(kept, &interrupt)?;
        let cv_results = self.cv_results(&trials, &outcomes, n_splits);
        let best_index = first_of_rank_1(&cv_results.rank_test_score);
        let best_score = cv_results.mean_test_score[best_index];
        // As in scikit-learn, a search without any score is an error; and with no mean score there is nothing to train.
        if let Some(first) = cv_results.failures.first()
            && (cv_results.failures.len() == trials.len() || self.refit && best_score.is_nan())
        {
            return Err(Error::Trials {
                failed: cv_results.failures.len(),
                trials: trials.len(),
                trial: trials[first.candidate * n_splits + first.fold].to_string(),
                message: first.reason.clone(),
            });
        }
        let histories: Vec<Option<History>> =
            outcomes.into_iter().map(|outcome| Some(outcome.ok()?.history)).collect();
        let best_params = cv_results.params[best_index].clone();
        let (best_network, mut best_fit) = self.network.with(&self.fit, &best_params)?;
        if self.refit_epochs > 0 && !best_params.contains_key("epochs") {
            best_fit.epochs = self.refit_epochs;
        }
        let mut results = SearchResults {
            scoring: self.scoring,
            n_splits,
            best_index,
            best_score,
            best_params,
            best_network,
            best_fit,
            cv_results,
            histories: histories.chunks(n_splits).map(<[_]>::to_vec).collect(),
            trials_kept,
            search_seconds: started.elapsed().as_secs_f64(),
            best_model: None,
            best_history: None,
            refit_time: None,
        };
        if self.refit {
            self.refit(split, &mut results)?;
        }
        Ok(results)
    }

    fn announce(&self, n_splits: usize, candidates: usize, trials_kept: usize) {
        if self.verbose == 0 {
            return;
        }
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

    fn cv_results(
        &self,
        trials: &[Trial],
        outcomes: &[Result<TrialResult, String>],
        n_splits: usize,
    ) -> CvResults {
        let error_score = match self.error_score {
            ErrorScore::Score(score) => score,
            ErrorScore::Nan | ErrorScore::Raise => f64::NAN,
        };
        let column = |value: &dyn Fn(&TrialResult) -> f64, failed: f64| -> Vec<Vec<f64>> {
            let values: Vec<f64> =
                outcomes.iter().map(|outcome| outcome.as_ref().map_or(failed, value)).collect();
            values.chunks(n_splits).map(<[f64]>::to_vec).collect()
        };
        let train = |result: &TrialResult| {
            result.train.as_ref().map_or(f64::NAN, |score| self.scoring.of(score))
        };
        let mut results = CvResults::new(
            trials.iter().step_by(n_splits).map(|trial| trial.params.clone()).collect(),
            column(&|result| self.scoring.of(&result.test), error_score),
            self.return_train_score.then(|| column(&train, error_score)),
            &column(&|result| result.fit_seconds, 0.0),
            &column(&|result| result.score_seconds, 0.0),
        );
        let failures = trials.iter().zip(outcomes).filter_map(|(trial, outcome)| {
            let reason = outcome.as_ref().err()?.clone();
            Some(FailedTrial { candidate: trial.candidate, fold: trial.fold, reason })
        });
        results.failures = failures.collect();
        results
    }
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
