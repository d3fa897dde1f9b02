//! The grid search: every combination of parameters, scored on every fold; scikit-learn's `GridSearchCV`.
//!
//! Start at [`GridSearchCv`]: `GridSearchCv { param_grid, .. }.fit(&split)?` gives [`SearchResults`]. Each pair of a
//! combination and a fold is a trial, run by a [`Launcher`]; what a trial found is kept in a file of its own, so that a
//! search that was stopped goes on where it was.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::folds::{KFold, StratifiedKFold};
use super::grid::{ParameterGrid, Parameters};
use super::trial::{Launcher, LocalProcesses, Network, Score, TrialResult, TrialSpec};
use crate::artifacts::{Metrics, code_version};
use crate::data::split::{Draw, TestSize, TrainTest, train_test_split};
use crate::data::{Split, Subset};
use crate::display::{Cell, Column, Table, print_line};
use crate::error::{Error, Result};
use crate::models::Model;
use crate::plot::{HeatMap, LineChart};
use crate::system::files::read_regular;
use crate::system::interrupt::InterruptGuard;
use crate::system::write_atomically;
use crate::text::{clean_text, duration};
use crate::training::{FitConfig, History};

/// How the images are divided into folds; scikit-learn's `cv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Folds {
    /// So many stratified folds, not shuffled: what scikit-learn makes of an integer.
    Count(usize),
    /// Folds of equal size.
    KFold(KFold),
    /// Folds with the classes in the proportions of the whole.
    StratifiedKFold(StratifiedKFold),
    /// Any parts, as places in the images that the search sees.
    Splits(Vec<TrainTest>),
}

impl From<usize> for Folds {
    fn from(n_splits: usize) -> Folds {
        Folds::Count(n_splits)
    }
}

impl From<KFold> for Folds {
    fn from(folds: KFold) -> Folds {
        Folds::KFold(folds)
    }
}

impl From<StratifiedKFold> for Folds {
    fn from(folds: StratifiedKFold) -> Folds {
        Folds::StratifiedKFold(folds)
    }
}

impl Folds {
    fn split(&self, labels: &[i64]) -> Result<Vec<TrainTest>> {
        match self {
            &Folds::Count(n_splits) => {
                StratifiedKFold { n_splits, shuffle: false, seed: 0 }.split(labels)
            }
            Folds::KFold(folds) => folds.split(labels.len()),
            Folds::StratifiedKFold(folds) => folds.split(labels),
            Folds::Splits(splits) if splits.is_empty() => {
                Err(Error::parameter("cv", "at least one split", "none", "3 folds are usual"))
            }
            Folds::Splits(splits) => {
                let places = splits.iter().flat_map(|split| split.train.iter().chain(&split.test));
                if let Some(outside) = places.copied().find(|&place| place >= labels.len()) {
                    return Err(Error::parameter(
                        "cv",
                        format!("places below {}, the number of images searched", labels.len()),
                        outside,
                        "make the splits for these very images",
                    ));
                }
                Ok(splits.clone())
            }
        }
    }
}

/// What a trial is judged by; higher is better, as with all of scikit-learn's scorers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scoring {
    /// Share of images that are right.
    #[default]
    Accuracy,
    /// The mean cross-entropy, negative.
    NegLogLoss,
}

impl Scoring {
    /// scikit-learn's name.
    pub fn name(self) -> &'static str {
        match self {
            Scoring::Accuracy => "accuracy",
            Scoring::NegLogLoss => "neg_log_loss",
        }
    }

    /// How far two scores lie apart, in words: accuracies in percentage points.
    fn difference(self, value: f64) -> String {
        match self {
            Scoring::Accuracy => format!("{:.2} points", 100.0 * value),
            Scoring::NegLogLoss => format!("{value:.4}"),
        }
    }

    fn of(self, score: &Score) -> f64 {
        match self {
            Scoring::Accuracy => score.accuracy,
            Scoring::NegLogLoss => -score.loss,
        }
    }
}

/// The score of a trial that failed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorScore {
    /// Not a number: the combination gets the last rank.
    #[default]
    Nan,
    /// This number.
    Score(f64),
    /// None: the search stops.
    Raise,
}

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
    /// Place of the combination, in the grid's order.
    pub candidate: usize,
    /// Place of the fold.
    pub fold: usize,
    /// The combination.
    pub params: Parameters,
    /// What the program `trial` is given.
    pub spec: TrialSpec,
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
        let dataset = images.dataset();
        let info = dataset.info();
        let data =
            std::fs::canonicalize(dataset.folder()).unwrap_or_else(|_| dataset.folder().to_owned());
        let rows = |places: &[usize]| -> Vec<usize> {
            places.iter().map(|&place| dataset.row(images.indices()[place])).collect()
        };
        let folds = self.cv.split(&images.labels())?;
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
        let rest = TestSize::Count(train.len() - self.images);
        let taken = train_test_split(&train.labels(), rest, Draw::Stratified, self.fit.seed)?.train;
        train.dataset().subset(taken.into_iter().map(|place| train.indices()[place]).collect())
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
    /// If a setting is out of range, the program that runs trials is not there, every trial failed (or one, with
    /// [`ErrorScore::Raise`]), the last training fails, or somebody interrupts it (SIGINT).
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
        let watch = InterruptGuard::new();
        let trials = self.trials(split)?;
        let kept: Vec<Option<TrialResult>> =
            trials.iter().map(|trial| self.kept(&trial.spec)).collect();
        let trials_kept = kept.iter().flatten().count();
        let candidates = trials.last().map_or(0, |trial| trial.candidate + 1);
        let n_splits = trials.last().map_or(0, |trial| trial.fold + 1);
        if self.verbose > 0 {
            println!(
                "Fitting {n_splits} folds for each of {candidates} candidates, totalling {} fits, {} side by side",
                trials.len(),
                self.jobs()
            );
            if trials_kept > 0 {
                println!("{trials_kept} of them were finished before and are not repeated");
            }
        }
        let outcomes = self.run(&trials, kept, launcher, &watch)?;
        let failed: Vec<(&Trial, &String)> = trials
            .iter()
            .zip(&outcomes)
            .filter_map(|(trial, outcome)| Some((trial, outcome.as_ref().err()?)))
            .collect();
        if let Some(&(first, message)) = failed.first()
            && failed.len() == trials.len()
        {
            return Err(trials_failed(failed.len(), trials.len(), first, message));
        }
        let cv_results = self.cv_results(&trials, &outcomes, n_splits);
        let histories: Vec<Option<History>> =
            outcomes.into_iter().map(|outcome| Some(outcome.ok()?.history)).collect();
        let best_index = first_of_rank_1(&cv_results.rank_test_score);
        let best_params = cv_results.params[best_index].clone();
        let (best_network, mut best_fit) = self.network.with(&self.fit, &best_params)?;
        if self.refit_epochs > 0 && !best_params.contains_key("epochs") {
            best_fit.epochs = self.refit_epochs;
        }
        let mut results = SearchResults {
            scoring: self.scoring,
            n_splits,
            best_index,
            best_score: cv_results.mean_test_score[best_index],
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
            if self.verbose > 0 {
                println!(
                    "best: {}; training it on all {} images",
                    shown(&results.best_params),
                    split.train.len()
                );
            }
            let started = Instant::now();
            let dataset = split.train.dataset();
            let network = results.best_network.network(dataset.image_shape(), dataset.classes());
            let mut model = network.build(results.best_fit.seed)?;
            model.backup_and_restore(self.trials.join("refit.safetensors"));
            results.best_history = Some(model.fit(split, results.best_fit.clone())?);
            results.best_model = Some(model);
            results.refit_time = Some(started.elapsed().as_secs_f64());
        }
        Ok(results)
    }

    /// Runs what is not kept; gives for each trial its result or what went wrong.
    fn run(
        &self,
        trials: &[Trial],
        kept: Vec<Option<TrialResult>>,
        launcher: &dyn Launcher,
        watch: &InterruptGuard,
    ) -> Result<Vec<Result<TrialResult, String>>> {
        let waiting: Vec<usize> =
            (0..trials.len()).filter(|&place| kept[place].is_none()).collect();
        let outcomes: Vec<Mutex<Option<Result<TrialResult, String>>>> =
            kept.into_iter().map(|result| Mutex::new(result.map(Ok))).collect();
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let progress = Mutex::new(Progress::new(waiting.len(), trials.len(), self.verbose));
        let first_error: Mutex<Option<Error>> = Mutex::new(None);
        let refuse = |error: Error| {
            stop.store(true, Ordering::SeqCst);
            locked(&first_error).get_or_insert(error);
        };
        std::thread::scope(|scope| {
            for _ in 0..self.jobs().min(waiting.len()) {
                scope.spawn(|| {
                    while !stop.load(Ordering::SeqCst) && !watch.is_interrupted() {
                        let Some(&place) = waiting.get(next.fetch_add(1, Ordering::SeqCst)) else {
                            break;
                        };
                        let trial = &trials[place];
                        let outcome = launcher.run(&trial.spec);
                        match &outcome {
                            Ok(result) => {
                                if let Err(error) = self.keep(result) {
                                    refuse(error);
                                }
                            }
                            // It was interrupted, too, and did not fail.
                            Err(_) if watch.is_interrupted() => break,
                            Err(message) if self.error_score == ErrorScore::Raise => {
                                refuse(trials_failed(1, trials.len(), trial, message));
                            }
                            Err(_) => {}
                        }
                        let score =
                            outcome.as_ref().map(|result| (self.scoring.of(&result.test), result));
                        locked(&progress).ended(trial, self.scoring, score);
                        *locked(&outcomes[place]) = Some(outcome);
                    }
                });
            }
        });
        if let Some(error) =
            first_error.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
        {
            return Err(error);
        }
        let all_ran = outcomes.iter().all(|outcome| locked(outcome).is_some());
        if !all_ran {
            watch.check("the search", "run it again: finished trials are not repeated")?;
        }
        let unfinished = || Err("it did not run".to_owned());
        Ok(outcomes
            .into_iter()
            .map(|outcome| outcome.into_inner().ok().flatten().unwrap_or_else(unfinished))
            .collect())
    }

    /// The file of a finished trial.
    fn path(&self, id: &str) -> PathBuf {
        self.trials.join(format!("{id}.json"))
    }

    /// The result of this trial if an earlier search finished it.
    fn kept(&self, spec: &TrialSpec) -> Option<TrialResult> {
        let id = spec.id();
        TrialResult::parse(&read_regular(&self.path(&id), LARGEST_RESULT).ok()?, &id)
    }

    fn keep(&self, result: &TrialResult) -> Result<()> {
        let text = serde_json::to_vec(result).expect("a result is plain values");
        write_atomically(self.path(&result.id), &text)
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
        for (trial, outcome) in trials.iter().zip(outcomes) {
            if let Err(message) = outcome {
                results.failures.push(format!("{}: {message}", named(trial)));
            }
        }
        results
    }
}

/// A trial's result has a row an epoch: some kilobytes.
const LARGEST_RESULT: u64 = 1 << 26;

fn trials_failed(failed: usize, trials: usize, first: &Trial, message: &str) -> Error {
    Error::Trials { failed, trials, trial: named(first), message: message.to_owned() }
}

/// A lock that a panic elsewhere does not take along.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A combination in a line: `dropout 0.2, kernel_initializer he_normal`.
fn shown(params: &Parameters) -> String {
    if params.is_empty() {
        return "the network as it is".to_owned();
    }
    let pairs: Vec<String> =
        params.iter().map(|(name, value)| format!("{name} {}", value_text(value))).collect();
    clean_text(&pairs.join(", "))
}

/// A value without the quotation marks of JSON.
fn value_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn named(trial: &Trial) -> String {
    format!("{} on fold {}", shown(&trial.params), trial.fold + 1)
}

/// The lines of a search.
struct Progress {
    started: Instant,
    waiting: usize,
    all: usize,
    done: usize,
    verbose: u8,
}

impl Progress {
    fn new(waiting: usize, all: usize, verbose: u8) -> Progress {
        Progress { started: Instant::now(), waiting, all, done: 0, verbose }
    }

    /// Prints a trial's line.
    fn ended(
        &mut self,
        trial: &Trial,
        scoring: Scoring,
        outcome: Result<(f64, &TrialResult), &String>,
    ) {
        self.done += 1;
        if self.verbose == 0 {
            return;
        }
        let left = self.started.elapsed().as_secs_f64() * (self.waiting - self.done) as f64
            / self.done as f64;
        let place = self.all - self.waiting + self.done;
        let head = format!("trial {place:>3}/{}  ETA {:>8}", self.all, duration(left));
        match outcome {
            Ok((score, result)) => {
                let seconds = if self.verbose > 1 {
                    format!(
                        "  fit {}, score {}",
                        duration(result.fit_seconds),
                        duration(result.score_seconds)
                    )
                } else {
                    String::new()
                };
                println!("{head}  {} {score:.4}  {}{seconds}", scoring.name(), named(trial));
            }
            Err(message) => print_line(&format!("{head}  FAILED: {}: {message}", named(trial))),
        }
    }
}

/// What a search found for each combination, in the grid's order; the columns of scikit-learn's `cv_results_`.
#[derive(Clone, PartialEq, Serialize)]
pub struct CvResults {
    /// The combinations.
    pub params: Vec<Parameters>,
    /// The score of each combination on each fold: `split_test_score[candidate][fold]`.
    pub split_test_score: Vec<Vec<f64>>,
    /// Mean over the folds.
    pub mean_test_score: Vec<f64>,
    /// Standard deviation over the folds, as NumPy's `std` takes it.
    pub std_test_score: Vec<f64>,
    /// Rank by the mean, from 1; equal means share the better rank.
    pub rank_test_score: Vec<usize>,
    /// The scores on the images learnt from, where they were asked for.
    pub split_train_score: Option<Vec<Vec<f64>>>,
    /// Their means.
    pub mean_train_score: Option<Vec<f64>>,
    /// Their standard deviations.
    pub std_train_score: Option<Vec<f64>>,
    /// Seconds of training, mean over the folds.
    pub mean_fit_time: Vec<f64>,
    /// Their standard deviation.
    pub std_fit_time: Vec<f64>,
    /// Seconds of scoring, mean over the folds.
    pub mean_score_time: Vec<f64>,
    /// Their standard deviation.
    pub std_score_time: Vec<f64>,
    /// What went wrong, a line for each trial that failed.
    pub failures: Vec<String>,
}

impl CvResults {
    /// The statistics of these scores and times, a row a combination and in it a value a fold.
    pub fn new(
        params: Vec<Parameters>,
        split_test_score: Vec<Vec<f64>>,
        split_train_score: Option<Vec<Vec<f64>>>,
        fit_time: &[Vec<f64>],
        score_time: &[Vec<f64>],
    ) -> CvResults {
        let (mean_test_score, std_test_score) = means(&split_test_score);
        let (mean_train_score, std_train_score) = split_train_score.as_deref().map(means).unzip();
        let (mean_fit_time, std_fit_time) = means(fit_time);
        let (mean_score_time, std_score_time) = means(score_time);
        let rank_test_score = ranks(&mean_test_score);
        CvResults {
            params,
            split_test_score,
            mean_test_score,
            std_test_score,
            rank_test_score,
            split_train_score,
            mean_train_score,
            std_train_score,
            mean_fit_time,
            std_fit_time,
            mean_score_time,
            std_score_time,
            failures: Vec::new(),
        }
    }

    /// The places of the combinations, the best first; equal ones in the grid's order.
    pub fn by_rank(&self) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.params.len()).collect();
        places.sort_by_key(|&place| self.rank_test_score[place]);
        places
    }

    /// A row a combination, the best first.
    pub fn table(&self, scoring: Scoring) -> Table {
        let names: Vec<&String> = self.names();
        let folds = self.split_test_score.first().map_or(0, Vec::len);
        let number = |name: String| match scoring {
            Scoring::Accuracy => Column::percent(name, 2),
            Scoring::NegLogLoss => Column::decimal(name, 4),
        };
        let mut columns = vec![Column::integer("Rank")];
        columns.extend(names.iter().map(|name| Column::text(name.as_str())));
        let what = match scoring {
            Scoring::Accuracy => "accuracy",
            Scoring::NegLogLoss => "negative log loss",
        };
        columns.push(number(format!("Mean {what}")));
        columns.push(number("Standard deviation".to_owned()));
        columns.extend((1..=folds).map(|fold| number(format!("Fold {fold}"))));
        if self.mean_train_score.is_some() {
            columns.push(number(format!("Mean {what} in training")));
        }
        columns.push(Column::decimal("Fit", 1).unit("s"));
        let mut table = Table::new(columns);
        for place in self.by_rank() {
            let mut row: Vec<Cell> = vec![self.rank_test_score[place].into()];
            let value = |name: &&String| self.params[place].get(*name).map(value_text);
            row.extend(names.iter().map(|name| Cell::from(value(name))));
            row.push(self.mean_test_score[place].into());
            row.push(self.std_test_score[place].into());
            row.extend(self.split_test_score[place].iter().map(|&score| Cell::from(score)));
            row.extend(self.mean_train_score.iter().map(|means| Cell::from(means[place])));
            row.push(self.mean_fit_time[place].into());
            table.push(row);
        }
        let failed = match self.failures.len() {
            0 => String::new(),
            1 => format!(" One trial failed: {}.", self.failures[0]),
            more => format!(" {more} trials failed; the first: {}.", self.failures[0]),
        };
        table.best(0).caption(format!(
            "Every combination, the best first; mean and standard deviation over {folds} folds.{failed}"
        ))
    }

    /// The names of all parameters, ascending.
    fn names(&self) -> Vec<&String> {
        let mut names: Vec<&String> = self.params.iter().flat_map(BTreeMap::keys).collect();
        names.sort();
        names.dedup();
        names
    }
}

impl fmt::Debug for CvResults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folds = self.split_test_score.first().map_or(0, Vec::len);
        write!(f, "CvResults: {} combinations, {folds} folds", self.params.len())
    }
}

/// A search that has ended.
pub struct SearchResults {
    /// What was found for each combination.
    pub cv_results: CvResults,
    /// Place of the best combination in `cv_results`: the first of rank 1.
    pub best_index: usize,
    /// The best combination.
    pub best_params: Parameters,
    /// Its mean score.
    pub best_score: f64,
    /// Number of folds.
    pub n_splits: usize,
    /// What the trials were judged by.
    pub scoring: Scoring,
    /// The network with the best combination.
    pub best_network: Network,
    /// The training with the best combination, as the last training ran it.
    pub best_fit: FitConfig,
    /// The best combination trained on the whole training part, with `refit`; scikit-learn's `best_estimator_`.
    pub best_model: Option<Model>,
    /// That training, epoch by epoch.
    pub best_history: Option<History>,
    /// Seconds of that training.
    pub refit_time: Option<f64>,
    /// The training of each trial, `histories[candidate][fold]`; none where it failed.
    pub histories: Vec<Vec<Option<History>>>,
    /// Trials that an earlier search had finished.
    pub trials_kept: usize,
    /// Seconds of the search, without the last training.
    pub search_seconds: f64,
}

impl SearchResults {
    /// The trained best model, taken out of the results.
    ///
    /// # Errors
    /// If there is none: the search ran without `refit`, or it was taken before.
    pub fn take_best_model(&mut self) -> Result<Model> {
        self.best_model.take().ok_or_else(|| {
            Error::parameter("refit", "true", "no trained model", "search with `refit: true`")
        })
    }

    /// Every combination, the best first.
    pub fn table(&self) -> Table {
        self.cv_results.table(self.scoring)
    }

    /// The mean score and its spread for each pair of values of two parameters; where the grid has more parameters,
    /// the best of the combinations that share the pair.
    ///
    /// # Errors
    /// If one of the two is no parameter of every combination.
    pub fn heat_map(&self, rows: &str, columns: &str) -> Result<HeatMap> {
        let (row_names, row_of) = self.values_of(rows)?;
        let (column_names, column_of) = self.values_of(columns)?;
        let mut means = Array2::from_elem((row_names.len(), column_names.len()), f64::NAN);
        let mut spreads = means.clone();
        // The worst first, so that the best stays; a failed one has the last rank.
        for place in self.cv_results.by_rank().into_iter().rev() {
            let cell = (row_of[place], column_of[place]);
            means[cell] = self.cv_results.mean_test_score[place];
            spreads[cell] = self.cv_results.std_test_score[place];
        }
        let title = match self.scoring {
            Scoring::Accuracy => "Mean accuracy over the folds (%)",
            Scoring::NegLogLoss => "Mean negative log loss over the folds",
        };
        let map = HeatMap::new(title, means)
            .rows(axis(rows), row_names)
            .columns(axis(columns), column_names)
            .spread(spreads);
        Ok(if self.scoring == Scoring::Accuracy { map.percent(2) } else { map.digits(4) })
    }

    /// The values of a parameter in the grid's order, and the place among them of each combination's own.
    fn values_of(&self, name: &str) -> Result<(Vec<String>, Vec<usize>)> {
        let (mut values, mut place_of) = (Vec::new(), Vec::new());
        for params in &self.cv_results.params {
            let Some(value) = params.get(name).map(value_text) else {
                let names: Vec<&str> =
                    self.cv_results.names().iter().map(|name| name.as_str()).collect();
                return Err(Error::parameter(
                    "name",
                    format!("a parameter of every combination, among {}", names.join(", ")),
                    format!("`{}`", clean_text(name)),
                    "these are the names in `param_grid`",
                ));
            };
            let place = values.iter().position(|known| *known == value).unwrap_or_else(|| {
                values.push(value);
                values.len() - 1
            });
            place_of.push(place);
        }
        Ok((values, place_of))
    }

    /// The loss an epoch of the best combination's trials: for each fold, on the images that steered early stopping.
    pub fn plot_best_trials(&self) -> LineChart {
        let title = "The best combination's trials";
        let mut chart = LineChart::new(title, "Epoch", "Loss of early stopping (nats)");
        for (fold, history) in self.histories[self.best_index].iter().enumerate() {
            let Some(history) = history else { continue };
            let epochs: Vec<f64> =
                history.epochs.iter().map(|record| record.epoch as f64).collect();
            let losses: Vec<f64> = history.epochs.iter().map(|record| record.val_loss).collect();
            chart = chart.line(format!("fold {}", fold + 1), &epochs, &losses);
        }
        chart
    }

    /// The standard error of the difference between two combinations' mean scores.
    ///
    /// All combinations meet the same folds, so what the folds add to all alike is taken out first: it comes from what
    /// is left of the scores after the mean of their combination and the mean of their fold (two-way analysis of
    /// variance without interaction). Not a number with fewer than two combinations or folds that did not fail.
    pub fn standard_error(&self) -> f64 {
        let scores: Vec<&Vec<f64>> = (self.cv_results.split_test_score.iter())
            .filter(|scores| scores.iter().all(|score| score.is_finite()))
            .collect();
        let (rows, columns) = (scores.len() as f64, self.n_splits as f64);
        if rows < 2.0 || columns < 2.0 {
            return f64::NAN;
        }
        let row_means: Vec<f64> =
            scores.iter().map(|row| row.iter().sum::<f64>() / columns).collect();
        let mean = row_means.iter().sum::<f64>() / rows;
        let mut squares = 0.0;
        for fold in 0..self.n_splits {
            let fold_mean = scores.iter().map(|row| row[fold]).sum::<f64>() / rows;
            for (row, row_mean) in scores.iter().zip(&row_means) {
                squares += (row[fold] - row_mean - fold_mean + mean).powi(2);
            }
        }
        (2.0 * squares / ((rows - 1.0) * (columns - 1.0)) / columns).sqrt()
    }

    /// Whether the choice of parameters mattered in the search, beyond the noise; in words.
    pub fn sentence(&self) -> String {
        let text = |value: f64| self.scoring.difference(value);
        let means = &self.cv_results.mean_test_score;
        let others = || {
            (0..means.len()).filter(|&place| place != self.best_index && means[place].is_finite())
        };
        let noise = 2.0 * self.standard_error();
        let count = others().count();
        if count == 0 || !noise.is_finite() {
            return "One combination, or one fold, tells nothing about the noise.".to_owned();
        }
        let near = others().filter(|&place| self.best_score - means[place] <= noise).count();
        let span = others().map(|place| self.best_score - means[place]).fold(0.0, f64::max);
        let word = if near == count {
            "so the search found no difference beyond the noise"
        } else if 2 * near >= count {
            "so bad choices can be told from good ones, and the good ones not from each other"
        } else {
            "so in this search the choice mattered beyond the noise"
        };
        format!(
            "Two combinations differ by more than the noise of the search when their means lie more than {} apart \
             (twice the standard error). {near} of the other {count} are nearer than that to the best, and the worst is \
             {} below it: {word}.",
            text(noise),
            text(span)
        )
    }

    /// Where the search puts the settings that another model was trained with, its metrics say which; in words.
    pub fn place_of(&self, other: &Metrics) -> String {
        let name = clean_text(&other.name);
        let settings = |parameter: &str| {
            let of = |config: &str| other.config.get(config)?.get(parameter).cloned();
            of("model").or_else(|| of("fit"))
        };
        let same = |(parameter, value): (&String, &Value)| {
            // The grid may name an initializer as Keras does; metrics hold it as it is kept.
            let named =
                value.as_str().and_then(|text| crate::models::Initializer::from_name(text).ok());
            let kept = named.and_then(|initializer| serde_json::to_value(initializer).ok());
            settings(parameter) == Some(kept.unwrap_or_else(|| value.clone()))
        };
        let place = self.cv_results.params.iter().position(|params| params.iter().all(same));
        let Some(place) = place else {
            return format!(
                "The grid does not hold the settings of {name}, so the search does not say what they are worth."
            );
        };
        format!(
            "The search puts the settings of {name} ({}) at rank {} of {}, {} below the best.",
            shown(&self.cv_results.params[place]),
            self.cv_results.rank_test_score[place],
            self.cv_results.params.len(),
            self.scoring.difference(self.best_score - self.cv_results.mean_test_score[place])
        )
    }

    /// The best combination in a line: `dropout 0.2, kernel_initializer he_normal`.
    pub fn best_text(&self) -> String {
        shown(&self.best_params)
    }

    /// Shows [`SearchResults::table`] as the result of a cell.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}

impl fmt::Debug for SearchResults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SearchResults: {} combinations, {} folds; best {} with {} {:.4}",
            self.cv_results.params.len(),
            self.n_splits,
            shown(&self.best_params),
            self.scoring.name(),
            self.best_score
        )
    }
}

/// The name of a parameter as that of an axis: `kernel_initializer` is `Kernel initializer`.
fn axis(name: &str) -> String {
    let mut letters = name.replace('_', " ").chars().collect::<Vec<char>>();
    if let Some(first) = letters.first_mut() {
        *first = first.to_ascii_uppercase();
    }
    letters.into_iter().collect()
}

/// The place of the first 1.
fn first_of_rank_1(ranks: &[usize]) -> usize {
    ranks.iter().position(|&rank| rank == 1).unwrap_or(0)
}

/// Mean and standard deviation of each row, with NumPy's order of additions, so that equal means are equal here, too.
fn means(rows: &[Vec<f64>]) -> (Vec<f64>, Vec<f64>) {
    rows.iter()
        .map(|row| {
            let mean = sum(row) / row.len() as f64;
            let squares: Vec<f64> = row.iter().map(|value| (value - mean).powi(2)).collect();
            (mean, (sum(&squares) / row.len() as f64).sqrt())
        })
        .unzip()
}

/// NumPy's sum of a short row: one after the other below eight values, else in eight lanes.
fn sum(values: &[f64]) -> f64 {
    if values.len() < 8 {
        return values.iter().sum();
    }
    if values.len() > 128 {
        let half = values.len() / 2 / 8 * 8;
        return sum(&values[..half]) + sum(&values[half..]);
    }
    let (blocks, rest) = values.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for block in blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane += value;
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    rest.iter().fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |sum, value| sum + value)
}

/// Ranks from 1, the highest score first; equal ones share the better rank, and scores that are no numbers the last.
fn ranks(scores: &[f64]) -> Vec<usize> {
    scores
        .iter()
        .map(|score| {
            let better = |other: &&f64| *other > score || (score.is_nan() && !other.is_nan());
            1 + scores.iter().filter(better).count()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Results with these scores, one parameter that counts the combinations.
    fn results(scores: &[&[f64]]) -> SearchResults {
        let rows: Vec<Vec<f64>> = scores.iter().map(|row| row.to_vec()).collect();
        let params = (0..rows.len())
            .map(|place| Parameters::from([("dropout".to_owned(), place.into())]))
            .collect();
        let cv_results = CvResults::new(params, rows.clone(), None, &rows, &rows);
        let best_index = first_of_rank_1(&cv_results.rank_test_score);
        SearchResults {
            best_index,
            best_params: cv_results.params[best_index].clone(),
            best_score: cv_results.mean_test_score[best_index],
            n_splits: scores[0].len(),
            scoring: Scoring::Accuracy,
            best_network: Network::default(),
            best_fit: FitConfig::default(),
            best_model: None,
            best_history: None,
            refit_time: None,
            histories: vec![Vec::new(); rows.len()],
            trials_kept: 0,
            search_seconds: 1.0,
            cv_results,
        }
    }

    #[test]
    fn equal_means_share_the_better_rank_and_no_numbers_the_last() {
        assert_eq!(ranks(&[0.5, 0.9, f64::NAN, 0.9, 0.1, f64::NAN]), [3, 1, 5, 1, 4, 5]);
        assert_eq!(ranks(&[f64::NAN, f64::NAN]), [1, 1]);
    }

    #[test]
    fn the_spread_divides_by_the_number_of_folds() {
        assert_eq!(means(&[vec![0.25, 0.75]]), (vec![0.5], vec![0.25]));
    }

    #[test]
    fn the_table_is_sorted_by_rank_and_marks_the_first() {
        let text = results(&[&[0.5, 0.25], &[0.75, 0.5], &[0.5, 0.5]]).table().to_text();
        let rows: Vec<Vec<&str>> =
            text.lines().skip(3).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["1", "★", "1", "62.50", "12.50", "75.00", "50.00", "0.6"], "{text}");
        assert_eq!(&rows[1][..3], ["2", "2", "50.00"], "{text}");
        assert_eq!(&rows[2][..3], ["3", "0", "37.50"], "{text}");
    }

    #[test]
    fn what_a_fold_adds_to_all_alike_is_no_noise() {
        // The second fold is easier by the same 0.25 for both: nothing is left.
        let same = results(&[&[0.25, 0.5], &[0.5, 0.75]]);
        assert!(same.standard_error() < 1e-12);
        // Residuals of 0.0625 each; their squares' sum 1/64 over (2 - 1)(2 - 1), twice it over two folds.
        let crossed = results(&[&[0.25, 0.5], &[0.5, 0.5]]);
        assert!((crossed.standard_error() - 0.125).abs() < 1e-12);
    }

    #[test]
    fn the_sentence_says_if_the_choice_mattered() {
        let clear = results(&[&[0.25, 0.25], &[0.75, 0.75]]).sentence();
        assert!(clear.ends_with("the choice mattered beyond the noise."), "{clear}");
        let noise = results(&[&[0.25, 0.5], &[0.5, 0.25]]).sentence();
        assert!(noise.ends_with("found no difference beyond the noise."), "{noise}");
        let mixed = results(&[&[0.5, 0.625], &[0.625, 0.5], &[0.0, 0.0]]).sentence();
        assert!(mixed.contains("1 of the other 2 are nearer"), "{mixed}");
        assert!(mixed.ends_with("and the good ones not from each other."), "{mixed}");
        assert!(results(&[&[0.5, 0.5]]).sentence().starts_with("One combination"));
    }

    /// Metrics of a model with this network and batches of 64 images.
    fn metrics(model: Value) -> Metrics {
        serde_json::from_value(serde_json::json!({
            "schema": 1, "name": "baseline", "quick": false, "seed": 42,
            "dataset": {"images": 10, "shape": [10, 2, 2], "classes": 2, "x_sha256": "", "y_sha256": ""},
            "split": {"train": 6, "validation": 2, "test": 2},
            "config": {"model": model, "fit": {"batch_size": 64}},
            "parameters": 1, "epochs_run": 1, "best_epoch": 1, "validation": null, "test": null,
            "fit_seconds": 1.0, "train_images_per_second": 1.0, "predict_images_per_second": 1.0,
            "threads": 1, "cpu_capability": "DEFAULT", "versions": {},
        }))
        .unwrap()
    }

    #[test]
    fn the_search_says_where_it_puts_the_settings_of_another_model() {
        let mut found = results(&[&[0.75, 0.5], &[0.5, 0.25], &[0.25, 0.25]]);
        for (params, initializer) in
            found.cv_results.params.iter_mut().zip(["he_normal", "he_uniform", "he_normal"])
        {
            *params = Parameters::from([
                ("batch_size".to_owned(), 64.into()),
                ("dropout".to_owned(), 0.35.into()),
                ("kernel_initializer".to_owned(), initializer.into()),
            ]);
        }
        let settings = |dropout| {
            let initializer = serde_json::to_value(crate::models::Initializer::HeUniform).unwrap();
            metrics(serde_json::json!({"dropout": dropout, "kernel_initializer": initializer}))
        };
        assert_eq!(
            found.place_of(&settings(0.35)),
            "The search puts the settings of baseline (batch_size 64, dropout 0.35, kernel_initializer he_uniform) at rank \
             2 of 3, 25.00 points below the best."
        );
        let absent = found.place_of(&settings(0.25));
        assert!(absent.starts_with("The grid does not hold the settings of baseline"), "{absent}");
    }

    #[test]
    fn the_best_combination_is_told_without_the_quotation_marks_of_json() {
        let mut found = results(&[&[0.5]]);
        found.best_params.insert("kernel_initializer".to_owned(), "he_normal".into());
        assert_eq!(found.best_text(), "dropout 0, kernel_initializer he_normal");
    }

    #[test]
    fn the_heat_map_needs_parameters_that_are_there() {
        let text = results(&[&[0.5]]).heat_map("dropout", "width").unwrap_err().to_string();
        assert!(text.contains("among dropout, got `width`"), "{text}");
    }
}
