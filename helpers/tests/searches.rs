//! The four searches are scikit-learn's to the index; and a training that halving continues ends as an undisturbed one.

use crate::common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use helpers::Error;
use helpers::architectures::DenseConfig;
use helpers::data::Split;
use helpers::prelude::*;
use helpers::training::History;
use helpers::tuning::{
    ErrorScore, HalvingGridSearchCv, HalvingRandomSearchCv, KFold, LocalProcesses, MedianPruner,
    ParameterDistribution, ParameterDistributions, Parameters, RandomizedSearchCv, Resource, Score,
    Scoring, SearchResults, TrialResult, TrialRunner, TrialSpec,
};
use serde::Deserialize;
use serde_json::{Value, json};

fn sample_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample")
}

fn split(images: usize, seed: u64) -> Split {
    let dataset = Dataset::load(sample_folder()).unwrap().take_stratified(images, seed).unwrap();
    dataset.split(SplitConfig { random_state: seed, ..SplitConfig::default() }).unwrap()
}

#[derive(Deserialize)]
struct Printed {
    cases: Vec<Case>,
    samples: Vec<Sample>,
}

/// A search and what scikit-learn made of it.
#[derive(Deserialize)]
struct Case {
    kind: String,
    seed: u64,
    images: usize,
    n_splits: usize,
    stratified: bool,
    shuffle: bool,
    search: Value,
    failing: u64,
    answer: Option<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    params: Vec<Parameters>,
    mean_test_score: Vec<Option<f64>>,
    rank_test_score: Vec<usize>,
    iter: Vec<usize>,
    n_resources: Option<Vec<usize>>,
    best_index: usize,
    rounds: Value,
}

/// What scikit-learn draws from lists without replacement.
#[derive(Deserialize)]
struct Sample {
    grid: ParameterDistributions,
    count: usize,
    seed: u64,
    points: Vec<Parameters>,
}

/// A trial's result that was not worked for.
fn given(spec: &TrialSpec, accuracy: f64) -> TrialResult {
    let history = History {
        // As if every epoch of the stage had run.
        epochs: Vec::new(),
        best_epoch: 0,
        stopped_early: false,
        fit_seconds: 0.5,
        train_images_per_second: 1.0,
        phases: Vec::new(),
    };
    TrialResult {
        id: spec.id(),
        test: Score { images: 10, loss: 1.0 - accuracy, accuracy, ..Score::default() },
        train: None,
        history,
        fit_seconds: 0.5,
        score_seconds: 0.25,
        pruned: false,
        origin: None,
    }
}

/// The formula of `searches.py`.
struct Formula {
    failing: u64,
    /// How long a trial takes.
    moment: Duration,
}

impl TrialRunner for Formula {
    fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String> {
        const PRIME: u64 = 1_000_003;
        std::thread::sleep(self.moment);
        let Network::Dense(DenseConfig { dropout, .. }) = &spec.network else { unreachable!() };
        let millionths = |value: f64| (value * 1e6).round() as u64;
        let sum = |rows: &[usize]| rows.iter().sum::<usize>() as u64;
        let values = [
            millionths(*dropout),
            millionths(spec.fit.learning_rate),
            millionths(spec.fit.weight_decay),
            spec.fit.batch_size as u64,
            spec.stage.as_ref().map_or(0, |stage| stage.epochs as u64),
            sum(&spec.train),
            spec.train.len() as u64,
            sum(&spec.test),
            spec.test.len() as u64,
        ];
        let number = values.iter().fold(0, |number, value| (number * 7919 + value) % PRIME);
        match self.failing {
            failing if failing > 0 && number % failing == 0 => Err("this one fails".to_owned()),
            _ => Ok(given(spec, number as f64 / PRIME as f64)),
        }
    }
}

/// The settings of `case` for a search of this type, with what all searches of this test have.
fn search<S: for<'a> Deserialize<'a>>(case: &Case, folder: &Path) -> S {
    let &Case { n_splits, shuffle, seed, .. } = case;
    let cv: helpers::tuning::Folds = if case.stratified {
        StratifiedKFold { n_splits, shuffle, random_state: seed }.into()
    } else {
        KFold { n_splits, shuffle, random_state: seed }.into()
    };
    let network = DenseConfig { dropout: 0.0, ..DenseConfig::default() };
    let fit = FitConfig {
        epochs: 100,
        batch_size: 1,
        learning_rate: 0.001,
        weight_decay: 0.0,
        ..FitConfig::default()
    };
    let mut settings = serde_json::json!({
        "cv": cv, "network": Network::Dense(network), "fit": fit, "refit": false, "verbose": 0, "trials": folder,
    });
    let own = case.search.as_object().unwrap().clone();
    settings.as_object_mut().unwrap().extend(own);
    serde_json::from_value(settings).unwrap()
}

fn found(case: &Case, folder: &Path, moment: Duration) -> Result<SearchResults, Error> {
    let split = split(case.images, case.seed);
    let launcher = Formula { failing: case.failing, moment };
    match case.kind.as_str() {
        "grid" => search::<GridSearchCv>(case, folder).fit_with(&split, &launcher),
        "randomized" => search::<RandomizedSearchCv>(case, folder).fit_with(&split, &launcher),
        "halving_grid" => search::<HalvingGridSearchCv>(case, folder).fit_with(&split, &launcher),
        _ => search::<HalvingRandomSearchCv>(case, folder).fit_with(&split, &launcher),
    }
}

/// Whether numbers are equal but for the last bits of a logarithm, and all else is.
fn alike(ours: &Parameters, theirs: &Parameters) -> bool {
    let value = |(our, their): (&Value, &Value)| match (our.as_f64(), their.as_f64()) {
        (Some(our), Some(their)) => (our - their).abs() <= 1e-13 * their.abs(),
        _ => our == their,
    };
    ours.keys().eq(theirs.keys()) && ours.values().zip(theirs.values()).all(value)
}

#[test]
fn candidates_rounds_scores_and_the_best_are_scikit_learns() {
    let y = sample_folder().join("y.npy");
    let printed: Printed =
        serde_json::from_slice(&common::run_python("searches.py", &[y])).unwrap();
    assert_eq!(printed.cases.len(), 120);
    let mut rounds = 0;
    for (number, case) in printed.cases.iter().enumerate() {
        let what = format!("case {number}, {}: {}", case.kind, case.search);
        let folder = tempfile::tempdir().unwrap();
        let found = found(case, folder.path(), Duration::ZERO);
        let Some(answer) = &case.answer else {
            assert!(found.is_err(), "{what}");
            continue;
        };
        let ours = found.unwrap_or_else(|error| panic!("{what}: {error}"));
        let results = &ours.cv_results;
        assert_eq!(results.iter, answer.iter, "{what}");
        assert_eq!(results.n_resources, answer.n_resources, "{what}");
        assert_eq!(results.params.len(), answer.params.len(), "{what}");
        for (our, their) in results.mean_test_score.iter().zip(&answer.mean_test_score) {
            let near = their.map_or(our.is_nan(), |their| (our - their).abs() < 1e-12);
            assert!(near, "{what}: {our}, not {their:?}");
        }
        for (our, their) in results.params.iter().zip(&answer.params) {
            assert!(alike(our, their), "{what}: {our:?}, not {their:?}");
        }
        assert_eq!(results.rank_test_score, answer.rank_test_score, "{what}");
        assert_eq!(ours.best_index, answer.best_index, "{what}");
        assert_eq!(json!(ours.rounds), answer.rounds, "{what}");
        rounds += results.iter.iter().max().unwrap() + 1;
    }
    assert!(rounds > 200, "{rounds} rounds in all");
    for Sample { grid, count, seed, points } in printed.samples {
        assert_eq!(grid.sample(count, seed).unwrap(), points, "{count} of {grid:?}");
    }
}

/// A score that depends on all that a trial depends on, its seed among it.
struct ByIdentity;

impl TrialRunner for ByIdentity {
    fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String> {
        let number = u32::from_str_radix(&spec.id()[..8], 16).unwrap();
        Ok(given(spec, f64::from(number) / f64::from(u32::MAX)))
    }
}

#[test]
fn each_seed_has_its_columns_and_each_metric_its_ranks() {
    let split = split(300, 1);
    let search = |seed: u64, n_repeats: usize, scoring: Scoring| {
        let folder = tempfile::tempdir().unwrap();
        let search = GridSearchCv {
            param_grid: ParameterGrid::new().parameter("dropout", [0.0, 0.2, 0.4]),
            fit: FitConfig { seed, ..FitConfig::default() },
            cv: 3.into(),
            n_repeats,
            scoring,
            refit: false,
            verbose: 0,
            trials: folder.path().to_owned(),
            ..GridSearchCv::default()
        };
        search.fit_with(&split, &ByIdentity).unwrap()
    };
    let both = search(7, 2, Scoring::Accuracy);
    let [first, second] = [7, 8].map(|seed| search(seed, 1, Scoring::Accuracy).cv_results);
    assert_eq!((both.n_splits, both.n_repeats), (6, 2));
    let text = both.table().to_text();
    assert!(text.contains("Fold 3, seed 2") && text.contains("3 folds with 2 seeds"), "{text}");
    let one_seed = search(7, 1, Scoring::Accuracy).table().to_text();
    assert!(!one_seed.contains("seed"), "{one_seed}");
    for (row, scores) in both.cv_results.split_test_score.iter().enumerate() {
        let expected = [&first, &second].map(|one| one.split_test_score[row].clone()).concat();
        assert_eq!(*scores, expected);
    }
    let by_loss = search(7, 2, Scoring::NegLogLoss).cv_results;
    for found in [&both.cv_results, &by_loss] {
        let [accuracy, loss] = ["accuracy", "neg_log_loss"].map(|name| &found.metrics[name]);
        assert_eq!(accuracy.mean_test_score, both.cv_results.mean_test_score);
        assert_eq!(accuracy.rank_test_score, both.cv_results.rank_test_score);
        assert_eq!(loss.std_test_score, by_loss.std_test_score);
        assert_eq!(loss.rank_test_score, by_loss.rank_test_score);
    }
}

/// Four combinations on two folds, one trial after the other.
fn plain_search(folder: &Path) -> GridSearchCv {
    GridSearchCv {
        param_grid: ParameterGrid::new().parameter("dropout", [0.0, 0.1, 0.2, 0.3]),
        cv: 2.into(),
        n_jobs: 1,
        refit: false,
        verbose: 0,
        trials: folder.join("trials"),
        ..GridSearchCv::default()
    }
}

/// A cluster with one worker at the first trial, and three after it.
struct Growing {
    slots: AtomicUsize,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl TrialRunner for Growing {
    fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        let is_first = self.slots.swap(3, Ordering::SeqCst) == 1;
        // Those after the first wait for company.
        let begun = Instant::now();
        let alone = || self.most.load(Ordering::SeqCst) < 3;
        while !is_first && alone() && begun.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
        Ok(given(spec, 0.5))
    }

    fn slots(&self) -> Option<usize> {
        Some(self.slots.load(Ordering::SeqCst))
    }
}

#[test]
fn workers_that_come_during_a_search_run_its_trials() {
    let folder = tempfile::tempdir().unwrap();
    let [slots, running, most] = [1, 0, 0].map(AtomicUsize::new);
    let cluster = Growing { slots, running, most };
    plain_search(folder.path()).fit_with(&split(300, 1), &cluster).unwrap();
    assert_eq!(cluster.most.into_inner(), 3);
}

/// A cluster that is lost when this many trials have ended.
struct Lost {
    left: AtomicUsize,
    asked: AtomicUsize,
}

impl TrialRunner for Lost {
    fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.over().map_or_else(
            || {
                self.left.fetch_sub(1, Ordering::SeqCst);
                Ok(given(spec, 0.5))
            },
            Err,
        )
    }

    fn over(&self) -> Option<String> {
        (self.left.load(Ordering::SeqCst) == 0).then(|| "no scheduler answers".to_owned())
    }
}

#[test]
fn a_cluster_that_is_lost_stops_the_search_and_chooses_nothing() {
    let (folder, split) = (tempfile::tempdir().unwrap(), split(300, 1));
    for error_score in [ErrorScore::Nan, ErrorScore::Score(0.0), ErrorScore::Raise] {
        let trials = folder.path().join(format!("{error_score:?}"));
        let search = GridSearchCv { error_score, ..plain_search(&trials) };
        let cluster = Lost { left: AtomicUsize::new(3), asked: AtomicUsize::new(0) };
        let text = search.fit_with(&split, &cluster).unwrap_err().to_string();
        assert_eq!(
            text,
            "no more trials can run: no scheduler answers; run the search again: 3 of 8 are finished"
        );
        assert_eq!(cluster.asked.into_inner(), 4, "the others were not tried");
        // What had ended is used.
        let cluster = Lost { left: AtomicUsize::new(100), asked: AtomicUsize::new(0) };
        assert_eq!(search.fit_with(&split, &cluster).unwrap().trials_kept, 3);
    }
}

#[test]
fn a_result_that_comes_from_elsewhere_during_the_search_is_used() {
    /// Writes the results of all trials, as the array of a cluster does, while the first one runs.
    struct Elsewhere {
        specs: Vec<TrialSpec>,
        folder: PathBuf,
        asked: AtomicUsize,
    }
    impl TrialRunner for Elsewhere {
        fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            for spec in &self.specs {
                let text = serde_json::to_vec(&given(spec, 0.75)).unwrap();
                fs::write(self.folder.join(format!("{}.json", spec.id())), text).unwrap();
            }
            Ok(given(spec, 0.75))
        }
    }
    let (folder, split) = (tempfile::tempdir().unwrap(), split(300, 1));
    let search = plain_search(folder.path());
    fs::create_dir(&search.trials).unwrap();
    let specs: Vec<TrialSpec> =
        search.trials(&split).unwrap().into_iter().map(|trial| trial.spec).collect();
    let asked = AtomicUsize::new(0);
    let elsewhere = Elsewhere { specs, folder: search.trials.clone(), asked };
    let found = search.fit_with(&split, &elsewhere).unwrap();
    assert_eq!(found.cv_results.split_test_score, [[0.75, 0.75]; 4]);
    assert_eq!(elsewhere.asked.into_inner(), 1);
}

#[test]
fn the_trials_of_a_randomized_search_can_be_run_elsewhere() {
    let (folder, split) = (tempfile::tempdir().unwrap(), split(300, 1));
    let search = RandomizedSearchCv {
        param_distributions: ParameterDistributions::new()
            .parameter("dropout", ParameterDistribution::Uniform { loc: 0.0, scale: 0.5 }),
        n_iter: 4,
        cv: 2.into(),
        refit: false,
        verbose: 0,
        trials: folder.path().to_owned(),
        ..RandomizedSearchCv::default()
    };
    let trials = search.trials(&split).unwrap();
    for trial in &trials {
        let text = serde_json::to_vec(&given(&trial.spec, 0.5)).unwrap();
        fs::write(folder.path().join(format!("{}.json", trial.spec.id())), text).unwrap();
    }
    let found = search.fit_with(&split, &ByIdentity).unwrap();
    assert_eq!((trials.len(), found.trials_kept), (8, 8));
    let pruned = RandomizedSearchCv { pruner: Some(MedianPruner::default()), ..search };
    let text = pruned.trials(&split).unwrap_err().to_string();
    assert!(text.starts_with("`pruner` must be none where the trials are wanted"), "{text}");
}

/// Trials with a budget of this many epochs and fewer have a result; notes what was asked of it.
struct Budgeted {
    most: usize,
    asked: Mutex<Vec<usize>>,
    forgotten: Mutex<Vec<PathBuf>>,
}

impl Budgeted {
    fn new(most: usize) -> Budgeted {
        Budgeted { most, asked: Mutex::default(), forgotten: Mutex::default() }
    }
}

impl TrialRunner for Budgeted {
    fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String> {
        let epochs = spec.stage.as_ref().unwrap().epochs;
        self.asked.lock().unwrap().push(epochs);
        if epochs > self.most { Err("no room".to_owned()) } else { ByIdentity.run(spec) }
    }

    fn forget(&self, checkpoints: &[PathBuf]) {
        self.forgotten.lock().unwrap().extend(checkpoints.iter().cloned());
    }
}

#[test]
fn a_round_in_which_every_trial_failed_is_the_end() {
    let split = split(300, 1);
    for error_score in [ErrorScore::Nan, ErrorScore::Score(0.9)] {
        let folder = tempfile::tempdir().unwrap();
        let search = HalvingGridSearchCv { error_score, ..small_search(folder.path()) };
        let trials = Budgeted::new(2);
        let text = search.fit_with(&split, &trials).unwrap_err().to_string();
        assert!(text.starts_with("4 of 4 trials failed; the first, "), "{text}");
        assert!(text.ends_with(" on fold 1: no room"), "{text}");
        assert!(!trials.asked.into_inner().unwrap().contains(&8), "the last round was begun");
    }
}

#[test]
fn whoever_runs_trials_hears_which_checkpoints_are_over() {
    let folder = tempfile::tempdir().unwrap();
    let trials = Budgeted::new(8);
    small_search(folder.path()).fit_with(&split(300, 1), &trials).unwrap();
    let (asked, mut forgotten) =
        (trials.asked.into_inner().unwrap(), trials.forgotten.into_inner().unwrap());
    forgotten.sort();
    forgotten.dedup();
    // Four combinations, then two, then one, on two folds.
    assert_eq!((asked.len(), forgotten.len()), (14, 14));
}

#[test]
fn what_has_ended_can_be_looked_at_without_starting_the_rest() {
    let (folder, split) = (tempfile::tempdir().unwrap(), split(300, 1));
    let search = plain_search(folder.path());
    let none = search.collect(&split).unwrap_err().to_string();
    assert!(none.starts_with("8 of 8 trials failed; the first, dropout 0.0 on fold 1: "), "{none}");
    assert!(none.ends_with("it has no result yet"), "{none}");
    let cluster = Lost { left: AtomicUsize::new(3), asked: AtomicUsize::new(0) };
    search.fit_with(&split, &cluster).unwrap_err();
    // One of them runs elsewhere, and will go on from its checkpoint.
    let last = search.trials(&split).unwrap().pop().unwrap().spec;
    let running = last.checkpoint_path().unwrap();
    fs::write(&running, "epochs").unwrap();
    let found = search.collect(&split).unwrap();
    assert!(running.exists());
    assert_eq!((found.trials_kept, found.cv_results.failures.len()), (3, 5));
    assert_eq!(found.best_params["dropout"], 0.0);
    // Halving cannot know its second round before the first one has ended.
    let folder = tempfile::tempdir().unwrap();
    let halving = small_search(folder.path());
    let text = halving.collect(&split).unwrap_err().to_string();
    assert!(text.ends_with("it has no result yet"), "{text}");
    let all = halving.fit_with(&split, &ByIdentity).unwrap();
    let found = halving.collect(&split).unwrap();
    assert_eq!(found.cv_results.split_test_score, all.cv_results.split_test_score);
    let any = files(folder.path(), "json").pop().unwrap();
    fs::remove_file(any).unwrap();
    assert!(halving.collect(&split).is_err());
}

/// Equal scores: of the candidates the later ones go on, of the last round the first one is the best, however many trials
/// run side by side.
#[test]
fn equal_scores_have_one_order() {
    struct Equal;
    impl TrialRunner for Equal {
        fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String> {
            Ok(given(spec, 0.5))
        }
    }
    for n_jobs in [1, 3] {
        let folder = tempfile::tempdir().unwrap();
        let values: Vec<f64> = (0..20).map(|index| f64::from(index) / 40.0).collect();
        let search = HalvingGridSearchCv {
            param_grid: ParameterGrid::new().parameter("dropout", values.clone()),
            n_jobs,
            ..small_search(folder.path())
        };
        let found = search.fit_with(&split(300, 1), &Equal).unwrap();
        let dropouts: Vec<f64> = (found.cv_results.params.iter())
            .map(|params| params["dropout"].as_f64().unwrap())
            .collect();
        let expected = [&values[..], &values[10..], &values[15..], &values[17..]].concat();
        assert_eq!(dropouts, expected);
        assert_eq!(found.best_params["dropout"], values[17]);
    }
}

/// Runs the program, and notes how many epochs each trial was asked for and had.
struct Noting {
    processes: LocalProcesses,
    epochs: Mutex<Vec<(usize, usize)>>,
}

impl TrialRunner for Noting {
    fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String> {
        let result = self.processes.run(spec)?;
        let asked = spec.stage.as_ref().map_or(0, |stage| stage.epochs);
        self.epochs.lock().unwrap().push((asked, result.history.epochs.len()));
        Ok(result)
    }
}

fn program() -> Noting {
    let processes = LocalProcesses::new(env!("CARGO_BIN_EXE_trial"));
    Noting { processes, epochs: Mutex::new(Vec::new()) }
}

/// Four combinations on two folds in rounds of 2, 4 and 8 epochs.
fn small_search(folder: &Path) -> HalvingGridSearchCv {
    HalvingGridSearchCv {
        param_grid: ParameterGrid::new()
            .parameter("dropout", [0.0, 0.3])
            .parameter("kernel_initializer", ["he_normal", "zeros"]),
        factor: 2.0,
        resource: Resource::Epochs,
        network: Network::Dense(DenseConfig { hidden: vec![16], ..DenseConfig::default() }),
        fit: FitConfig {
            epochs: 8,
            patience: 4,
            batch_size: 64,
            ema_momentum: Some(0.9),
            ..FitConfig::default()
        },
        cv: 2.into(),
        n_jobs: 2,
        refit: false,
        verbose: 0,
        trials: folder.join("trials"),
        ..HalvingGridSearchCv::default()
    }
}

/// Two combinations run to their end; of the others those stop that learn nothing. How many trials run side by side
/// changes nothing.
#[test]
fn a_trial_that_is_behind_the_median_stops() {
    let split = split(600, 1);
    let search = |n_jobs: isize, pruner: Option<MedianPruner>| {
        let folder = tempfile::tempdir().unwrap();
        let search = GridSearchCv {
            param_grid: ParameterGrid::new()
                .parameter("dropout", [0.0, 0.1])
                .parameter("kernel_initializer", ["he_normal", "zeros"]),
            network: Network::Dense(DenseConfig { hidden: vec![16], ..DenseConfig::default() }),
            fit: FitConfig { epochs: 6, patience: 6, batch_size: 64, ..FitConfig::default() },
            cv: 2.into(),
            pruner,
            n_jobs,
            refit: false,
            verbose: 0,
            trials: folder.path().to_owned(),
            ..GridSearchCv::default()
        };
        search.fit_with(&split, &program()).unwrap()
    };
    let pruner = MedianPruner { n_startup_trials: 1, n_warmup_steps: 2 };
    let (all, one, two) = (search(2, None), search(1, Some(pruner)), search(2, Some(pruner)));
    assert_eq!(one.cv_results.split_test_score, two.cv_results.split_test_score);
    let epochs = |found: &SearchResults, row: usize| -> Vec<usize> {
        found.histories[row].iter().map(|history| history.as_ref().unwrap().epochs.len()).collect()
    };
    let zeros: Vec<usize> =
        (0..4).filter(|&row| one.cv_results.params[row]["kernel_initializer"] == "zeros").collect();
    for &row in &zeros {
        assert_eq!((epochs(&all, row), epochs(&one, row)), (vec![6, 6], vec![3, 3]), "row {row}");
        assert_eq!((one.cv_results.pruned[row], all.cv_results.pruned[row]), (2, 0));
    }
    // The first one runs to its end, and is what it was.
    assert_eq!(one.cv_results.split_test_score[0], all.cv_results.split_test_score[0]);
    assert_eq!(epochs(&one, 0), [6, 6]);
    assert!(one.table().to_text().contains("Stopped trials"));
    assert!(!all.table().to_text().contains("Stopped trials"));
}

/// What a trial found, without times.
fn found_bits(result: &TrialResult) -> (u64, u64, Vec<[u64; 4]>) {
    let epochs = result.history.epochs.iter().map(|epoch| {
        [epoch.loss, epoch.accuracy, epoch.val_loss, epoch.val_accuracy].map(f64::to_bits)
    });
    (result.test.loss.to_bits(), result.test.accuracy.to_bits(), epochs.collect())
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.join("trials")).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = files.map(|file| file.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == ending));
    files.sort();
    files
}

#[test]
fn a_round_goes_on_where_the_last_one_stopped_and_ends_as_an_undisturbed_training() {
    let (folder, split) = (tempfile::tempdir().unwrap(), split(600, 1));
    let search = small_search(folder.path());
    let found = search.fit_with(&split, &program()).unwrap();
    let results = &found.cv_results;
    assert_eq!(results.iter, [0, 0, 0, 0, 1, 1, 2]);
    assert_eq!(results.n_resources.as_deref().unwrap(), [2, 2, 2, 2, 4, 4, 8]);
    assert_eq!(found.best_index, 6);
    assert!(files(folder.path(), "safetensors").is_empty(), "checkpoints were left behind");
    // The last round against the whole training of the same combination in one go.
    let undisturbed = tempfile::tempdir().unwrap();
    let value = |name: &str| found.best_params[name].clone();
    let whole = GridSearchCv {
        param_grid: ParameterGrid::new()
            .parameter("dropout", [value("dropout")])
            .parameter("kernel_initializer", [value("kernel_initializer")]),
        network: search.network.clone(),
        fit: search.fit.clone(),
        cv: 2.into(),
        n_jobs: 2,
        refit: false,
        verbose: 0,
        trials: undisturbed.path().join("trials"),
        ..GridSearchCv::default()
    };
    let whole = whole.fit_with(&split, &program()).unwrap();
    let scores = |found: &SearchResults, row: usize| -> Vec<u64> {
        found.cv_results.split_test_score[row].iter().map(|score| score.to_bits()).collect()
    };
    assert_eq!(scores(&found, 6), scores(&whole, 0));
    for fold in 0..2 {
        let losses = |found: &SearchResults, row: usize| -> Vec<u64> {
            let history = found.histories[row][fold].as_ref().unwrap();
            history.epochs.iter().map(|epoch| epoch.val_loss.to_bits()).collect()
        };
        assert_eq!(losses(&found, 6), losses(&whole, 0), "fold {fold}");
        // It is the training of the rounds before, which lasted as long as it did there.
        let seconds = |row: usize, epochs: usize| -> Vec<u64> {
            let history = found.histories[row][fold].as_ref().unwrap();
            history.epochs[..epochs].iter().map(|epoch| epoch.seconds.to_bits()).collect()
        };
        let of_best = |round: usize| {
            let of_best = |row: &usize| results.params[*row] == found.best_params;
            (0..7).filter(of_best).nth(round).unwrap()
        };
        assert_eq!(seconds(of_best(0), 2), seconds(of_best(2), 2), "fold {fold}");
        assert_eq!(seconds(of_best(1), 4), seconds(of_best(2), 4), "fold {fold}");
        // The first round holds the beginning of it.
        let first = results.params.iter().position(|params| *params == found.best_params);
        assert_eq!(losses(&found, 6)[..2], losses(&found, first.unwrap())[..]);
    }
    // TensorBoard has each row, with the epochs of its folds, and none of an earlier search.
    let logs = folder.path().join("logs");
    for name in ["trial_099", "trial_notes"] {
        fs::create_dir_all(logs.join(name)).unwrap();
    }
    found.tensor_board(&logs).unwrap();
    assert!(!logs.join("trial_099").exists() && logs.join("trial_notes").exists());
    let runs: Value =
        serde_json::from_slice(&common::run_python("tensor_board.py", &[logs])).unwrap();
    assert_eq!(runs.as_object().unwrap().len(), 7);
    let best = &runs["trial_006"];
    assert_eq!(best["hparams"], serde_json::to_value(&found.best_params).unwrap());
    assert_eq!(best["scalars"]["mean_test_score"][0][1], found.best_score as f32 as f64);
    let epochs = found.histories[6][1].as_ref().unwrap().epochs.len();
    assert_eq!(best["scalars"]["epoch_loss/fold_1"].as_array().unwrap().len(), epochs);
    assert_eq!(best["finished"], true);
}

/// Killed between its rounds and within them, the search finds the same and keeps no file too much.
#[test]
fn a_search_by_halving_that_was_stopped_finds_the_same() {
    let (calm, rough) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let split = split(600, 1);
    let results = |folder: &Path| -> Vec<(u64, u64, Vec<[u64; 4]>)> {
        let results = files(folder, "json").into_iter().map(|path| {
            let id = path.file_stem().unwrap().to_str().unwrap().to_owned();
            found_bits(&TrialResult::parse(&fs::read(&path).unwrap(), &id).unwrap())
        });
        results.collect()
    };
    small_search(calm.path()).fit_with(&split, &program()).unwrap();
    /// Fails from the trial with this number on, as if the machine had been switched off.
    struct Dying(Noting, Mutex<usize>);
    impl TrialRunner for Dying {
        fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String> {
            let mut left = self.1.lock().unwrap();
            *left = left.checked_sub(1).ok_or("switched off")?;
            drop(left);
            self.0.run(spec)
        }
    }
    let search = small_search(rough.path());
    let dying = HalvingGridSearchCv { error_score: ErrorScore::Raise, n_jobs: 1, ..search.clone() };
    // Trials share two threads in both cases: their number decides the last bits.
    let dying = HalvingGridSearchCv { n_jobs: search.n_jobs, ..dying };
    for trials in [3, 6, 2] {
        let stopped = dying.fit_with(&split, &Dying(program(), Mutex::new(trials))).unwrap_err();
        assert!(stopped.to_string().contains("switched off"), "{stopped}");
    }
    let launcher = program();
    search.fit_with(&split, &launcher).unwrap();
    assert_eq!(results(rough.path()), results(calm.path()));
    let names = |folder: &Path| -> Vec<String> {
        let files = files(folder, "json").into_iter();
        files.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(rough.path()), names(calm.path()));
    assert!(files(rough.path(), "safetensors").is_empty(), "checkpoints were left behind");
    let ran = launcher.epochs.into_inner().unwrap();
    assert!(ran.len() < 14, "{ran:?}: nothing of the stopped searches was used");
}

const FOLDER: &str = "SEARCH_OF_A_KIND_TO_BE_KILLED";

/// A search of this kind whose trials take a moment.
fn brief_search(kind: &str, folder: &Path, moment: Duration) -> SearchResults {
    let lists = json!({"dropout": [0.0, 0.1, 0.2, 0.3], "batch_size": [16, 32, 64]});
    let mut settings = match kind {
        "grid" | "halving_grid" => json!({ "param_grid": lists }),
        _ => json!({ "param_distributions": lists, "random_state": 5 }),
    };
    let own = match kind {
        "randomized" => json!({ "n_iter": 10 }),
        "halving_random" => json!({ "n_candidates": 10, "min_resources": "smallest" }),
        _ => json!({}),
    };
    settings.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    let case = Case {
        kind: kind.to_owned(),
        seed: 5,
        images: 900,
        n_splits: 3,
        stratified: true,
        shuffle: true,
        search: settings,
        failing: 0,
        answer: None,
    };
    found(&case, &folder.join("trials"), moment).unwrap()
}

/// The process that the next test starts and kills; alone it does nothing.
#[test]
fn search_of_a_kind_to_be_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let kind = folder.file_name().unwrap().to_str().unwrap().to_owned();
    brief_search(&kind, &folder, Duration::from_millis(40));
}

#[test]
fn a_search_of_any_kind_that_was_killed_finds_the_same() {
    for kind in ["grid", "randomized", "halving_grid", "halving_random"] {
        let (calm, rough) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = rough.path().join(kind);
        // With no word of warning: before the first trial, and each time a little later.
        for enough in [0, 4, 9, 15, 24] {
            let mut search = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "searches::search_of_a_kind_to_be_killed", "--nocapture"])
                .env(FOLDER, &folder)
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let begun = Instant::now();
            while files(&folder, "json").len() < enough {
                assert!(search.try_wait().unwrap().is_none(), "{kind} ended before it was killed");
                assert!(begun.elapsed() < Duration::from_secs(120), "{kind} does not get on");
                std::thread::sleep(Duration::from_millis(5));
            }
            search.kill().unwrap();
            search.wait().unwrap();
        }
        let finished = files(&folder, "json").len();
        let found = brief_search(kind, &folder, Duration::ZERO);
        let expected = brief_search(kind, &calm.path().join(kind), Duration::ZERO);
        assert_eq!(found.trials_kept, finished, "{kind}: each finished trial is used");
        assert_eq!(found.best_params, expected.best_params, "{kind}");
        let (ours, theirs) = (&found.cv_results, &expected.cv_results);
        assert_eq!(ours.params, theirs.params, "{kind}");
        assert_eq!(ours.split_test_score, theirs.split_test_score, "{kind}");
        assert_eq!(
            (&ours.iter, &ours.rank_test_score),
            (&theirs.iter, &theirs.rank_test_score),
            "{kind}"
        );
    }
}
