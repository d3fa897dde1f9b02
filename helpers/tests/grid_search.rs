//! The grid search: its figures are scikit-learn's, a search that was killed repeats nothing, and a trial is a process.

use crate::common;

use std::fs;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use helpers::architectures::DenseConfig;
use helpers::data::Split;
use helpers::prelude::*;
use helpers::training::History;
use helpers::tuning::{
    ErrorScore, FailedTrial, Folds, KFold, LocalProcesses, Parameters, Score, SearchResults,
    TrialResult, TrialRunner, TrialSpec,
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

/// A trial's result that was not worked for.
fn given(spec: &TrialSpec, accuracy: f64, train: Option<f64>) -> TrialResult {
    let score = |accuracy| Score { images: 10, loss: 1.0 - accuracy, accuracy, ..Score::default() };
    let history = History {
        epochs: Vec::new(),
        best_epoch: 0,
        stopped_early: false,
        fit_seconds: 0.5,
        train_images_per_second: 1.0,
        phases: Vec::new(),
    };
    TrialResult {
        id: spec.id(),
        test: score(accuracy),
        train: train.map(score),
        history,
        fit_seconds: 0.5,
        score_seconds: 0.25,
        pruned: false,
        origin: None,
    }
}

/// A search and what scikit-learn made of it.
#[derive(Deserialize)]
struct Case {
    seed: u64,
    images: usize,
    grid: ParameterGrid,
    folds: String,
    n_splits: usize,
    shuffle: bool,
    fold_rows: Vec<Vec<usize>>,
    test: Vec<Vec<Option<f64>>>,
    train: Vec<Vec<f64>>,
    error_score: Option<f64>,
    return_train_score: bool,
    answer: Option<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    params: Vec<Parameters>,
    mean_test_score: Vec<Option<f64>>,
    std_test_score: Vec<Option<f64>>,
    rank_test_score: Vec<usize>,
    split_test_score: Vec<Vec<Option<f64>>>,
    mean_train_score: Option<Vec<Option<f64>>>,
    std_train_score: Option<Vec<Option<f64>>>,
    best_index: usize,
    best_score: Option<f64>,
    best_params: Parameters,
}

/// Looks up the scores that `grid_search.py` drew.
struct Table<'a> {
    case: &'a Case,
    specs: Vec<TrialSpec>,
}

impl TrialRunner for Table<'_> {
    fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String> {
        let index = self.specs.iter().position(|known| known == spec).unwrap();
        let rows = &self.case.fold_rows;
        let fold = rows
            .iter()
            .position(|rows| rows[..] == spec.test[..])
            .ok_or("not scikit-learn's fold")?;
        // Whatever else is in the training part trains.
        let mut train = [rows[..fold].concat(), rows[fold + 1..].concat()].concat();
        let mut ours = spec.train.to_vec();
        train.sort_unstable();
        ours.sort_unstable();
        assert_eq!(ours, train);
        let candidate = index / self.case.n_splits;
        let score = self.case.test[candidate][fold].ok_or("this one fails")?;
        let train = self.case.return_train_score.then(|| self.case.train[candidate][fold]);
        Ok(given(spec, score, train))
    }
}

/// No number is null.
fn numbers(values: &[f64]) -> Vec<Option<f64>> {
    values.iter().map(|value| Some(*value).filter(|value| !value.is_nan())).collect()
}

fn close(ours: &[f64], theirs: &[Option<f64>]) -> bool {
    let near = |(our, their): (Option<f64>, &Option<f64>)| match (our, their) {
        (Some(our), Some(their)) => (our - their).abs() < 1e-14,
        (our, their) => our == *their,
    };
    ours.len() == theirs.len() && numbers(ours).into_iter().zip(theirs).all(near)
}

#[test]
fn folds_means_ranks_and_the_best_are_scikit_learns() {
    let y = sample_folder().join("y.npy");
    let cases: Vec<Case> =
        serde_json::from_slice(&common::run_python("grid_search.py", &[y])).unwrap();
    assert_eq!(cases.len(), 24);
    let mut failures = 0;
    for (number, case) in cases.iter().enumerate() {
        let &Case { seed, images, n_splits, shuffle, .. } = case;
        let folder = tempfile::tempdir().unwrap();
        let split = split(images, seed);
        let search = GridSearchCv {
            param_grid: case.grid.clone(),
            cv: match case.folds.as_str() {
                "count" => n_splits.into(),
                "k_fold" => KFold { n_splits, shuffle, random_state: seed }.into(),
                _ => StratifiedKFold { n_splits, shuffle, random_state: seed }.into(),
            },
            refit: false,
            verbose: 0,
            error_score: case.error_score.map_or(ErrorScore::Nan, ErrorScore::Score),
            return_train_score: case.return_train_score,
            trials: folder.path().to_owned(),
            ..GridSearchCv::default()
        };
        let specs = search.trials(&split).unwrap().into_iter().map(|trial| trial.spec).collect();
        let found = search.fit_with(&split, &Table { case, specs });
        let (found, answer) = match (found, &case.answer) {
            (Ok(found), Some(answer)) => (found, answer),
            (Err(error), None) => {
                failures += 1;
                assert!(error.to_string().contains("this one fails"), "{error}");
                continue;
            }
            (found, answer) => {
                panic!("case {number}: {found:?}, scikit-learn: {}", answer.is_some())
            }
        };
        let ours = &found.cv_results;
        assert_eq!(ours.params, answer.params, "case {number}");
        assert_eq!(ours.rank_test_score, answer.rank_test_score, "case {number}");
        assert!(close(&ours.mean_test_score, &answer.mean_test_score), "case {number}");
        assert!(close(&ours.std_test_score, &answer.std_test_score), "case {number}");
        for (fold, scores) in answer.split_test_score.iter().enumerate() {
            let column: Vec<f64> = ours.split_test_score.iter().map(|row| row[fold]).collect();
            assert_eq!(&numbers(&column), scores, "case {number}, fold {fold}");
        }
        let train = [
            (&ours.mean_train_score, &answer.mean_train_score),
            (&ours.std_train_score, &answer.std_train_score),
        ];
        for (ours, theirs) in train {
            assert_eq!(ours.is_some(), theirs.is_some());
            if let (Some(ours), Some(theirs)) = (ours, theirs) {
                assert!(close(ours, theirs), "case {number}, in training");
            }
        }
        assert_eq!(found.best_index, answer.best_index, "case {number}");
        assert_eq!(found.best_params, answer.best_params);
        assert!(close(&[found.best_score], &[answer.best_score]));
        assert_eq!(found.n_splits, n_splits);
    }
    assert!(failures >= 1, "no search failed altogether");
}

/// Takes a moment for each trial, and writes down which ones it started.
struct Counting {
    starts: PathBuf,
    moment: Duration,
}

impl TrialRunner for Counting {
    fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String> {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(&self.starts).unwrap();
        writeln!(file, "{}", spec.id()).unwrap();
        std::thread::sleep(self.moment);
        Ok(given(spec, 0.5, None))
    }
}

/// 20 combinations on 3 folds.
fn long_search(folder: &Path) -> GridSearchCv {
    GridSearchCv {
        param_grid: ParameterGrid::new()
            .parameter("dropout", [0.0, 0.1, 0.2, 0.3])
            .parameter("batch_size", [8, 16, 32, 64, 128]),
        cv: 3.into(),
        n_jobs: 2,
        refit: false,
        verbose: 0,
        trials: folder.join("trials"),
        ..GridSearchCv::default()
    }
}

const FOLDER: &str = "SEARCH_TO_BE_KILLED";

/// The process that `a_search_that_was_killed_repeats_no_finished_trial` starts and kills; alone it does nothing.
#[test]
fn search_to_be_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let launcher = Counting { starts: folder.join("starts"), moment: Duration::from_millis(40) };
    long_search(&folder).fit_with(&split(300, 1), &launcher).unwrap();
}

#[test]
fn a_search_that_was_killed_repeats_no_finished_trial() {
    let folder = tempfile::tempdir().unwrap();
    let kept = || -> Vec<String> {
        let files = fs::read_dir(folder.path().join("trials")).into_iter().flatten().flatten();
        let names = files.map(|file| file.file_name().into_string().unwrap());
        names.filter_map(|name| Some(name.strip_suffix(".json")?.to_owned())).collect()
    };
    // Killed twenty times, with no word of warning: before the first trial, and each time a little later.
    let kills = 20;
    for enough in (0..kills).map(|kill| 2 * kill) {
        let mut search = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "grid_search::search_to_be_killed", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while kept().len() < enough {
            assert!(search.try_wait().unwrap().is_none(), "the search ended before it was killed");
            assert!(begun.elapsed() < Duration::from_secs(120), "the search does not get on");
            std::thread::sleep(Duration::from_millis(5));
        }
        search.kill().unwrap();
        search.wait().unwrap();
    }
    let finished = kept();
    assert!((38..60).contains(&finished.len()), "{} trials were finished", finished.len());
    let launcher = Counting { starts: folder.path().join("starts"), moment: Duration::ZERO };
    let before = fs::read_to_string(&launcher.starts).unwrap();
    let search = long_search(folder.path());
    let found = search.fit_with(&split(300, 1), &launcher).unwrap();
    assert_eq!(found.trials_kept, finished.len());
    let after = fs::read_to_string(&launcher.starts).unwrap();
    let later: Vec<&str> = after.strip_prefix(before.as_str()).unwrap().lines().collect();
    assert_eq!(later.len(), 60 - finished.len());
    let repeated = later.iter().find(|id| finished.iter().any(|kept| kept == *id));
    assert_eq!(repeated, None, "a finished trial was started again");
    // At most two trials were under way at each kill.
    let started = after.lines().count();
    assert!(started <= 60 + 2 * kills, "{started} trials were started");
    let calm = folder.path().join("calm");
    let launcher_of_calm = Counting { starts: calm.join("starts"), moment: Duration::ZERO };
    fs::create_dir(&calm).unwrap();
    let undisturbed = long_search(&calm).fit_with(&split(300, 1), &launcher_of_calm).unwrap();
    assert_eq!(found.cv_results.mean_test_score, undisturbed.cv_results.mean_test_score);
    assert_eq!(found.best_params, undisturbed.best_params);
    // And once more there is nothing left to do.
    assert_eq!(search.fit_with(&split(300, 1), &launcher).unwrap().trials_kept, 60);
    assert_eq!(fs::read_to_string(&launcher.starts).unwrap(), after);
}

/// What is interrupted goes on in the same process: the search says so, and does not repeat what it has.
#[test]
fn search_to_be_interrupted() {
    let Some(folder) = std::env::var_os(INTERRUPTED_FOLDER).map(PathBuf::from) else { return };
    listen_to_interrupts();
    let launcher = Counting { starts: folder.join("starts"), moment: Duration::from_millis(40) };
    let search = long_search(&folder);
    let stopped = search.fit_with(&split(300, 1), &launcher).unwrap_err();
    let expected = "the search was interrupted; run it again: finished trials are not repeated";
    assert_eq!(stopped.to_string(), expected);
    let started = || fs::read_to_string(&launcher.starts).unwrap().lines().count();
    let before = started();
    assert!((5..60).contains(&before), "{before} trials were started");
    let found = search.fit_with(&split(300, 1), &launcher).unwrap();
    assert_eq!(found.trials_kept, before, "trials that had begun were finished");
    assert_eq!(started(), 60);
}

/// In a process of its own: has it listen to interrupts, which a shell has its background programs ignore.
fn listen_to_interrupts() {
    // SAFETY: the call takes two numbers.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
}

const INTERRUPTED_FOLDER: &str = "SEARCH_TO_BE_INTERRUPTED";

#[test]
fn a_search_that_was_interrupted_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut search = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "grid_search::search_to_be_interrupted"])
        .env(INTERRUPTED_FOLDER, folder.path())
        .spawn()
        .unwrap();
    let starts = || fs::read_to_string(folder.path().join("starts")).unwrap_or_default();
    let begun = Instant::now();
    while starts().lines().count() < 5 {
        assert!(begun.elapsed() < Duration::from_secs(120), "the search does not get on");
        std::thread::sleep(Duration::from_millis(5));
    }
    let child = search.id().to_string();
    assert!(Command::new("kill").args(["-INT", &child]).status().unwrap().success());
    assert!(search.wait().unwrap().success());
}

#[test]
fn a_damaged_result_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let launcher = Counting { starts: folder.path().join("starts"), moment: Duration::ZERO };
    let (search, split) = (long_search(folder.path()), split(300, 1));
    search.fit_with(&split, &launcher).unwrap();
    let ids: Vec<String> =
        search.trials(&split).unwrap().iter().map(|trial| trial.spec.id()).collect();
    let path = |id: &str| search.trials.join(format!("{id}.json"));
    // Cut off, and another trial's.
    let whole = fs::read(path(&ids[4])).unwrap();
    fs::write(path(&ids[4]), &whole[..whole.len() - 5]).unwrap();
    fs::copy(path(&ids[5]), path(&ids[9])).unwrap();
    assert_eq!(search.fit_with(&split, &launcher).unwrap().trials_kept, 58);
    // What is no file is not waited for.
    #[cfg(unix)]
    {
        let [pipe, device] = [path(&ids[0]), path(&ids[1])];
        fs::remove_file(&pipe).unwrap();
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        fs::remove_file(&device).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &device).unwrap();
        assert_eq!(search.fit_with(&split, &launcher).unwrap().trials_kept, 58);
        assert_eq!(search.fit_with(&split, &launcher).unwrap().trials_kept, 60);
    }
}

#[test]
fn a_failure_stops_the_search_when_it_shall() {
    struct Failing;
    impl TrialRunner for Failing {
        fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String> {
            if spec.fit.batch_size == 16 {
                Err("no more room".into())
            } else {
                Ok(given(spec, 0.5, None))
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let search = long_search(folder.path());
    let found = search.fit_with(&split(300, 1), &Failing).unwrap();
    assert_eq!(found.cv_results.failures.len(), 12);
    let first = FailedTrial { candidate: 4, fold: 0, reason: "no more room".to_owned() };
    assert_eq!(found.cv_results.failures[0], first);
    let text = found.to_string();
    let rows =
        text.lines().filter(|row| row.contains("fold 1: no more room; fold 2: no more room"));
    assert_eq!(rows.count(), 4, "{text}");
    let other = tempfile::tempdir().unwrap();
    let search = GridSearchCv { error_score: ErrorScore::Raise, ..long_search(other.path()) };
    let text = search.fit_with(&split(300, 1), &Failing).unwrap_err().to_string();
    assert!(
        text.starts_with("1 of 60 trials failed; the first, batch_size 16, dropout 0.0 on fold "),
        "{text}"
    );
    assert!(text.ends_with(": no more room"), "{text}");
}

#[test]
fn the_checkpoint_of_a_trial_that_has_ended_goes_and_one_that_nobody_used_for_a_month() {
    struct Leaving;
    impl TrialRunner for Leaving {
        fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String> {
            fs::write(spec.checkpoint_path().unwrap(), "begun").unwrap();
            Ok(given(spec, 0.5, None))
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let search = long_search(folder.path());
    fs::create_dir(&search.trials).unwrap();
    let path = |name: &str| search.trials.join(format!("{name}.safetensors"));
    let (old, young, refit) = (path(&"a".repeat(64)), path(&"b".repeat(64)), path("refit"));
    for (path, days) in [(&old, 31), (&young, 29), (&refit, 31)] {
        let file = fs::File::create(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(days * 86_400)).unwrap();
    }
    search.fit_with(&split(300, 1), &Leaving).unwrap();
    let mut left: Vec<PathBuf> = fs::read_dir(&search.trials)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .collect();
    left.sort();
    assert_eq!(left, [young, refit]);
}

/// Every combination lacks a score: none is called the best, and none is trained.
#[test]
fn what_has_no_score_is_not_trained() {
    struct OneFoldFails;
    impl TrialRunner for OneFoldFails {
        fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String> {
            match spec
                .test
                .contains(&spec.train.iter().chain(spec.test.iter()).copied().min().unwrap())
            {
                true => Err("no more room".into()),
                false => Ok(given(spec, 0.5, None)),
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let search = GridSearchCv { refit: true, ..long_search(folder.path()) };
    let text = search.fit_with(&split(300, 1), &OneFoldFails).unwrap_err().to_string();
    let start = "20 of 60 trials failed; the first, batch_size 8, dropout 0.0 on fold ";
    assert!(text.starts_with(start) && text.ends_with(": no more room"), "{text}");
    // The other trials are kept.
    assert_eq!(fs::read_dir(folder.path().join("trials")).unwrap().count(), 40);
    // Without a training at its end the search gives what it has, as scikit-learn's does.
    let search = GridSearchCv { refit: false, ..search };
    let found = search.fit_with(&split(300, 1), &OneFoldFails).unwrap();
    let text = found.findings();
    assert!(text.starts_with("No combination is the best: each lost a trial"), "{text}");
    let text = search.confirm(&split(300, 1), &found, &[], 1).unwrap_err().to_string();
    assert!(text.starts_with("`results` must be those with a best combination"), "{text}");
}

/// Two large classes and one of three images, `cat`, `dog` and `lynx`.
fn rare_class(folder: &Path) -> Dataset {
    let labels: Vec<u8> = (0..123).map(|image| if image >= 120 { 2 } else { image % 2 }).collect();
    let array = |shape: &str, data: &[u8]| {
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}\n");
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
    };
    let pixels: Vec<u8> = (0..123 * 16).map(|pixel| (7 * pixel % 251) as u8).collect();
    fs::write(folder.join("X.npy"), array("(123, 4, 4)", &pixels)).unwrap();
    fs::write(folder.join("y.npy"), array("(123,)", &labels)).unwrap();
    fs::write(folder.join("classes.txt"), "cat\ndog\nlynx\n").unwrap();
    Dataset::load(folder).unwrap()
}

/// Early stopping takes a stratified part of each fold's training images: with one image of a class that fails.
#[test]
fn a_class_too_rare_for_the_folds_is_named_before_the_search() {
    struct Never;
    impl TrialRunner for Never {
        fn run(&self, _: &TrialSpec) -> Result<TrialResult, String> {
            unreachable!("a trial was started")
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let split = rare_class(folder.path()).split(SplitConfig::default()).unwrap();
    let lynx = split.train.labels().iter().filter(|&&label| label == 2).count();
    assert!((1..3).contains(&lynx), "{lynx} in the training part");
    let text = long_search(folder.path()).fit_with(&split, &Never).unwrap_err().to_string();
    assert!(text.starts_with("`cv` must be such that each class has at least 2 images"), "{text}");
    assert!(text.contains(" of class `lynx`; "), "{text}");
    // A search among fewer images says the same of them.
    let search = GridSearchCv { images: 60, ..long_search(folder.path()) };
    let text = search.fit_with(&split, &Never).unwrap_err().to_string();
    assert!(text.contains("class `lynx`"), "{text}");
}

#[test]
fn settings_out_of_range_are_refused_before_anything_runs() {
    let search = |change: &dyn Fn(&mut GridSearchCv)| {
        let mut search = GridSearchCv::default();
        change(&mut search);
        search.check().map_or_else(|error| error.to_string(), |()| String::new())
    };
    assert_eq!(search(&|_| ()), "");
    let jobs = search(&|search| search.n_jobs = 0);
    assert_eq!(
        jobs,
        "`n_jobs` must be 1 or more, or -1 or less, got 0; -1 uses every processor core"
    );
    assert!(
        search(&|search| search.validation = 1.0)
            .starts_with("`validation` must be above 0 and below 1")
    );
    assert!(search(&|search| search.fit.epochs = 0).starts_with("`epochs` must be at least 1"));
    let score = search(&|search| search.error_score = ErrorScore::Score(f64::NAN));
    assert!(score.starts_with("`error_score` must be a finite number"), "{score}");
    let grid = search(&|search| search.param_grid = ParameterGrid::new().parameter("filters", [3]));
    assert!(grid.starts_with("`param_grid` must be names among dropout, hidden, "), "{grid}");
    let fold = Folds::Splits(Vec::new());
    let none = GridSearchCv { cv: fold, ..GridSearchCv::default() }.trials(&split(300, 1));
    assert!(none.unwrap_err().to_string().starts_with("`cv` must be at least one split"));
}

/// The program itself, on real images.
mod program {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn processes() -> LocalProcesses {
        LocalProcesses::new(env!("CARGO_BIN_EXE_trial"))
    }

    fn small_search(folder: &Path) -> GridSearchCv {
        GridSearchCv {
            param_grid: ParameterGrid::new()
                .parameter("kernel_initializer", ["he_normal", "zeros"])
                .parameter("dropout", [0.0, 1.5]),
            network: Network::Dense(DenseConfig { hidden: vec![32], ..DenseConfig::default() }),
            fit: FitConfig { epochs: 3, batch_size: 32, ..FitConfig::default() },
            cv: 2.into(),
            n_jobs: 2,
            refit_epochs: 4,
            return_train_score: true,
            trials: folder.join("trials"),
            ..GridSearchCv::default()
        }
    }

    #[test]
    fn the_better_network_wins_and_is_trained_on_all() {
        let folder = tempfile::tempdir().unwrap();
        let (search, split) = (small_search(folder.path()), split(600, 1));
        let mut found = search.fit_with(&split, &processes()).unwrap();
        assert_eq!(shown(&found), "dropout 0.0, kernel_initializer \"he_normal\"");
        assert!(found.best_score > 0.4, "{found:?}");
        // A dropout of 1.5 is a failed trial with the program's own message.
        assert_eq!(found.cv_results.failures.len(), 4);
        assert!(
            found.cv_results.failures[0].reason.contains("dropout"),
            "{:?}",
            found.cv_results.failures
        );
        assert_eq!(found.cv_results.rank_test_score, [1, 2, 3, 3]);
        assert!(found.cv_results.mean_train_score.as_ref().unwrap()[0] > found.best_score - 0.2);
        assert_eq!(found.histories[0][1].as_ref().unwrap().epochs.len(), 3);
        let map = found.heat_map("dropout", "kernel_initializer").unwrap();
        map.plot().unwrap();
        found.plot_best_trials().plot().unwrap();
        let lines = found.plot_parallel_coordinates().unwrap();
        let alt = lines.alt_text();
        assert!(
            alt.starts_with("Parallel coordinates of 4 combinations, from their values"),
            "{alt}"
        );
        let history = found.best_history.clone().unwrap();
        assert_eq!(history.epochs.len(), 4);
        // The refit is what `fit` makes of the best settings, to the last digit.
        let model = found.take_best_model().unwrap();
        let mut again = found
            .best_network
            .network(split.train.dataset().image_shape(), 10)
            .build(found.best_fit.seed)
            .unwrap();
        let second = again.fit(&split, found.best_fit.clone()).unwrap();
        assert_eq!(second.best().val_loss, history.best().val_loss);
        assert_eq!(model.evaluate(&split.test).unwrap(), again.evaluate(&split.test).unwrap());
        // The same search again runs what failed, and finds the same.
        let again = search.fit_with(&split, &processes()).unwrap();
        assert_eq!(again.trials_kept, 4);
        assert_eq!(again.cv_results.split_test_score[0], found.cv_results.split_test_score[0]);
    }

    /// The process that `a_search_of_real_trials_that_was_killed_ends_with_the_same` starts and kills.
    #[test]
    fn real_search_to_be_killed() {
        let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
        finish(&folder);
    }

    /// Eight trials and a last training; leaves what it found.
    fn finish(folder: &Path) {
        let search = GridSearchCv {
            param_grid: ParameterGrid::new()
                .parameter("batch_size", [16, 32])
                .parameter("dropout", [0.0, 0.3]),
            fit: FitConfig { epochs: 2, ..FitConfig::default() },
            refit_epochs: 2,
            verbose: 0,
            ..small_search(folder)
        };
        let mut found = search.fit_with(&split(300, 1), &processes()).unwrap();
        found.take_best_model().unwrap().save(folder.join("model.safetensors")).unwrap();
        let history = found.best_history.unwrap();
        let losses: Vec<u64> = losses(&history).into_iter().map(f64::to_bits).collect();
        let results = found.cv_results;
        let scores = (results.split_test_score, results.mean_train_score, results.rank_test_score);
        fs::write(folder.join("found"), format!("{scores:?} {:?} {losses:?}", found.best_params))
            .unwrap();
    }

    #[test]
    fn a_search_of_real_trials_that_was_killed_ends_with_the_same() {
        let (calm, rough) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        finish(calm.path());
        let kept = || {
            let files = fs::read_dir(rough.path().join("trials")).into_iter().flatten().flatten();
            files.filter(|file| file.path().extension().is_some_and(|end| end == "json")).count()
        };
        // While the first trials run, after some, and in the last training.
        for enough in [0, 1, 3, 5, 8] {
            let mut search = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "grid_search::program::real_search_to_be_killed"])
                .env(FOLDER, rough.path())
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            let begun = Instant::now();
            while kept() < enough {
                assert!(search.try_wait().unwrap().is_none(), "it ended before it was killed");
                assert!(begun.elapsed() < Duration::from_secs(120), "the search does not get on");
                std::thread::sleep(Duration::from_millis(2));
            }
            std::thread::sleep(Duration::from_millis(if enough == 0 { 200 } else { 0 }));
            search.kill().unwrap();
            search.wait().unwrap();
        }
        finish(rough.path());
        for file in ["found", "model.safetensors"] {
            let read = |folder: &tempfile::TempDir| fs::read(folder.path().join(file)).unwrap();
            assert!(read(&calm) == read(&rough), "{file} differs after the kills");
        }
    }

    fn shown(found: &SearchResults) -> String {
        let pairs: Vec<String> =
            found.best_params.iter().map(|(name, value)| format!("{name} {value}")).collect();
        pairs.join(", ")
    }

    #[test]
    fn the_choice_is_compared_in_full_trainings_with_several_seeds() {
        let (folder, split) = (tempfile::tempdir().unwrap(), split(300, 3));
        let search = GridSearchCv {
            param_grid: ParameterGrid::new().parameter("dropout", [0.0, 0.9]),
            refit: false,
            verbose: 0,
            ..small_search(folder.path())
        };
        let results = search.fit_with(&split, &processes()).unwrap();
        let other = results.cv_results.params[1 - results.best_index].clone();
        let both = [other.clone(), results.best_params.clone()];
        let mut full = search.confirm(&split, &results, &both, 2).unwrap();
        assert_eq!((&full.params[..], full.searched_index), (&both[..], 1));
        assert_eq!(full.seeds, [search.fit.seed, search.fit.seed + 1]);
        // Each is what `fit` makes of these settings and this seed, to the last digit.
        let score = |candidate: usize, seed: u64| {
            let fit = FitConfig { epochs: search.refit_epochs, seed, ..search.fit.clone() };
            let Network::Dense(network) = &search.network else { unreachable!() };
            let dropout = both[candidate]["dropout"].as_f64().unwrap();
            let network = DenseConfig { dropout, ..network.clone() };
            let dataset = split.train.dataset();
            let mut model =
                network.network(dataset.image_shape(), dataset.classes()).build(seed).unwrap();
            model.fit(&split, fit).unwrap();
            model.evaluate(&split.validation).unwrap()
        };
        for candidate in 0..2 {
            for (index, &seed) in full.seeds.iter().enumerate() {
                let expected = score(candidate, seed).accuracy;
                assert_eq!(full.validation_score[candidate][index], expected, "{full:?}");
            }
        }
        let best = full.best_index;
        assert!(full.mean_score[best] > full.mean_score[1 - best], "{full:?}");
        assert_eq!((&full.best_params, full.best_score), (&both[best], full.mean_score[best]));
        let kept = full.take_best_model().unwrap().evaluate(&split.validation).unwrap();
        assert_eq!(kept, score(best, full.seeds[0]));
        assert!(full.take_best_model().is_err());
        // What has ended is not trained again: the seconds of its epochs are those of before.
        let again = search.confirm(&split, &results, &[other], 2).unwrap();
        assert_eq!(again.best_history.epochs, full.best_history.epochs);
        assert_eq!(again.validation_score, full.validation_score);
        let none = search.confirm(&split, &results, &[], 0).unwrap_err().to_string();
        assert_eq!(none, "`n_seeds` must be at least 1, got 0; 3 show what luck does");
    }

    #[test]
    fn side_by_side_or_one_after_the_other_is_the_same() {
        let (folder, split) = (tempfile::tempdir().unwrap(), split(300, 3));
        let search = GridSearchCv { refit: false, verbose: 0, ..small_search(folder.path()) };
        let trials = search.trials(&split).unwrap();
        let found = search.fit_with(&split, &processes()).unwrap();
        let alone = processes().run(&trials[0].spec).unwrap();
        assert_eq!(alone.test.accuracy, found.cv_results.split_test_score[0][0]);
        assert_eq!(losses(&alone.history), losses(found.histories[0][0].as_ref().unwrap()));
    }

    fn losses(history: &History) -> Vec<f64> {
        history.epochs.iter().map(|record| record.val_loss).collect()
    }

    /// Were early stopping steered by the images that score, the score would be too good: fewer of them must leave the
    /// training as it is.
    #[test]
    fn the_images_that_score_do_not_steer_the_training() {
        let folder = tempfile::tempdir().unwrap();
        let spec = small_search(folder.path()).trials(&split(300, 3)).unwrap().remove(0).spec;
        let fewer = TrialSpec { test: spec.test[..40].iter().copied().collect(), ..spec.clone() };
        let (whole, part) = (processes().run(&spec).unwrap(), processes().run(&fewer).unwrap());
        assert_eq!((whole.test.images, part.test.images), (spec.test.len(), 40));
        assert_eq!(losses(&whole.history), losses(&part.history));
    }

    #[test]
    fn a_fold_that_leaks_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let folds: Folds = serde_json::from_str(
            r#"{"splits": [{"train": [0, 1, 2, 3, 4, 5], "test": [5, 6]}, {"train": [0], "test": [0]}]}"#,
        )
        .unwrap();
        let search = GridSearchCv { cv: folds, ..small_search(folder.path()) };
        let text = search.fit_with(&split(300, 1), &processes()).unwrap_err().to_string();
        assert_eq!(
            text,
            "`cv` must be splits whose test part shares no image with their training part, got one with image 5 in both; \
             a score on images that were learnt from says nothing"
        );
    }

    /// The program with this text on stdin.
    fn started(input: &[u8]) -> Child {
        let mut child = Command::new(env!("CARGO_BIN_EXE_trial"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child
    }

    fn trial(input: &[u8]) -> Output {
        started(input).wait_with_output().unwrap()
    }

    #[test]
    fn a_trial_that_was_killed_goes_on_to_the_same_result() {
        let folder = tempfile::tempdir().unwrap();
        let mut search = small_search(folder.path());
        (search.fit.epochs, search.fit.patience) = (60, 60);
        let mut spec = search.trials(&split(300, 1)).unwrap().remove(0).spec;
        let calm = processes().run(&spec).unwrap();
        let path = spec.checkpoint_path().unwrap();
        assert!(!path.exists(), "a short trial has no checkpoint");
        spec.checkpoint.as_mut().unwrap().seconds = 0.0;
        let input = serde_json::to_vec(&spec).unwrap();
        let mut killed = started(&input);
        let begun = Instant::now();
        while !path.exists() {
            assert!(begun.elapsed() < Duration::from_secs(60), "no checkpoint is written");
            std::thread::sleep(Duration::from_millis(1));
        }
        killed.kill().unwrap();
        killed.wait().unwrap();
        assert!(path.exists(), "it ended before it was killed");
        let output = trial(&input);
        let people = String::from_utf8_lossy(&output.stderr);
        assert!(people.contains("goes on after epoch"), "{people}");
        let rough = TrialResult::parse(&output.stdout, &spec.id()).unwrap();
        assert_eq!(losses(&rough.history), losses(&calm.history));
        assert_eq!(rough.test, calm.test);
        assert!(!path.exists(), "the checkpoint of a trial that has ended was left behind");
    }

    #[test]
    fn stdout_is_one_whole_result_and_stderr_is_for_people() {
        let folder = tempfile::tempdir().unwrap();
        let trials = small_search(folder.path()).trials(&split(300, 1)).unwrap();
        let output = trial(&serde_json::to_vec(&trials[0].spec).unwrap());
        assert!(output.status.success());
        let result = TrialResult::parse(&output.stdout, &trials[0].spec.id()).unwrap();
        assert_eq!(result.history.epochs.len(), 3);
        assert_eq!(output.stdout.iter().filter(|&&byte| byte == b'\n').count(), 1);
        let people = String::from_utf8(output.stderr).unwrap();
        assert!(people.contains("epoch  1/3") && people.contains("val_loss"), "{people}");
    }

    /// Checks that the program refuses `input`, with these words in its last line.
    fn refused(case: &str, input: &[u8], words: &str) -> Option<String> {
        let output = trial(input);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = text.lines().next_back().unwrap_or_default();
        let well = output.status.code() == Some(1)
            && output.stdout.is_empty()
            && last.starts_with("error: ")
            && last.contains(words)
            && !text.contains("panicked");
        (!well).then(|| format!("{case}: {}, no `{words}` in: {text}", output.status))
    }

    #[test]
    fn what_is_no_specification_is_an_error() {
        let texts: [&[u8]; 7] = [
            b"",
            b"{",
            b"null",
            b"[]",
            b"{\"network\": {\"forest\": {}}}",
            b"\0\0",
            &[b'['; 100_000],
        ];
        let faults: Vec<String> = texts
            .iter()
            .filter_map(|text| refused("text", text, "stdin holds no specification of a trial: "))
            .chain(refused("no UTF-8", b"\xff\xfe", "stdin"))
            .collect();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    #[test]
    fn wrong_specifications_are_refused_in_words() {
        type Case = (&'static str, fn(&mut Value), &'static str);
        let cases: [Case; 24] = [
            ("a field too many", |spec| spec["colour"] = json!(1), "unknown field `colour`"),
            ("no code", |spec| drop(spec.as_object_mut().unwrap().remove("code")), "field `code`"),
            ("other code", |spec| spec["code"] = json!("source 0"), "`code` must be"),
            ("another network", |spec| spec["network"] = json!({"forest": {}}), "`forest`"),
            ("text for a number", |spec| spec["fit"]["epochs"] = json!("many"), "invalid type"),
            ("a negative number", |spec| spec["fit"]["epochs"] = json!(-1), "invalid value"),
            ("no epochs", |spec| spec["fit"]["epochs"] = json!(0), "`epochs` must be at least 1"),
            ("no batch", |spec| spec["fit"]["batch_size"] = json!(0), "`batch_size` must be"),
            ("no step", |spec| spec["fit"]["learning_rate"] = json!(0.0), "`learning_rate` must"),
            ("no number", |spec| spec["fit"]["learning_rate"] = json!(null), "invalid type"),
            ("everything dropped", |spec| dense(spec)["dropout"] = json!(1.0), "`rate` must lie"),
            ("a layer of none", |spec| dense(spec)["hidden"] = json!([0]), "`units`"),
            (
                "a layer of 10^15",
                |spec| dense(spec)["hidden"] = json!([1e15 as u64]),
                "fit into memory",
            ),
            ("a layer of 2^63", |spec| dense(spec)["hidden"] = json!([1u64 << 63]), "units"),
            ("a row beyond", |spec| spec["test"] = json!([70_000_000]), "70000000"),
            ("nothing to learn", |spec| spec["train"] = json!([]), "`train` must be at least one"),
            ("nothing to score", |spec| spec["test"] = json!([]), "`test` must be at least one"),
            ("a leak", |spec| spec["test"] = spec["train"].clone(), "`test` must be rows that are"),
            ("one row", |spec| spec["train"] = json!([0]), "must be"),
            ("no validation", |spec| spec["validation"] = json!(0.0), "must be"),
            ("no threads", |spec| spec["threads"] = json!(0), "`threads` must be"),
            ("threads without end", |spec| spec["threads"] = json!(2_000_000_000), "`threads`"),
            ("no data", |spec| spec["data"] = json!("nowhere"), "cargo xtask data"),
            ("other data", |spec| spec["x_sha256"] = json!("0"), "expected X.npy and y.npy with"),
        ];
        let folder = tempfile::tempdir().unwrap();
        let trials = small_search(folder.path()).trials(&split(300, 1)).unwrap();
        let right = serde_json::to_value(&trials[0].spec).unwrap();
        let fault = |(case, change, words): Case| {
            let mut spec = right.clone();
            change(&mut spec);
            refused(case, spec.to_string().as_bytes(), words)
        };
        let faults: Vec<String> = cases.into_iter().filter_map(fault).collect();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    fn dense(spec: &mut Value) -> &mut Value {
        &mut spec["network"]["dense"]
    }

    /// One process runs them all, those that fail among them, forwards and backwards; each has a fresh one beside it.
    #[test]
    fn a_process_that_has_run_trials_before_finds_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let trials = small_search(folder.path()).trials(&split(300, 1)).unwrap();
        let (script, starts) = (folder.path().join("trial"), folder.path().join("starts"));
        let text = format!(
            "#!/bin/sh\necho started >> '{}'\nexec '{}' \"$@\"\n",
            starts.display(),
            env!("CARGO_BIN_EXE_trial")
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let bits = |outcome: Result<TrialResult, String>| {
            outcome.map(|result| {
                let losses = result.history.epochs.iter();
                let losses = losses.map(|epoch| [epoch.loss, epoch.val_loss].map(f64::to_bits));
                (result.id, result.test.loss.to_bits(), losses.collect::<Vec<_>>())
            })
        };
        let one = LocalProcesses::new(&script);
        for trial in trials.iter().chain(trials.iter().rev()) {
            let found = bits(one.run(&trial.spec));
            assert_eq!(found, bits(processes().run(&trial.spec)), "{trial}");
            assert_eq!(found.is_err(), trial.to_string().contains("1.5"), "{trial}: {found:?}");
        }
        assert_eq!(fs::read_to_string(starts).unwrap().lines().count(), 1);
    }

    /// Its input stays open, as where other processes of a killed notebook still have it.
    #[test]
    fn a_process_whose_parent_was_killed_ends() {
        let mut parent = Command::new("sh")
            .args(["-c", r#"exec 3<&0; "$0" --serve <&3 & echo $!; wait"#])
            .arg(env!("CARGO_BIN_EXE_trial"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let _input = parent.stdin.take();
        let mut pid = String::new();
        std::io::BufReader::new(parent.stdout.take().unwrap()).read_line(&mut pid).unwrap();
        // What nobody has waited for yet is a zombie, and has ended.
        let lives = || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
        };
        // It has looked who its parent is before it waits for a trial.
        std::thread::sleep(Duration::from_secs(2));
        assert!(lives());
        parent.kill().unwrap();
        parent.wait().unwrap();
        let begun = Instant::now();
        while lives() {
            assert!(begun.elapsed() < Duration::from_secs(30), "it goes on for nobody");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    #[test]
    fn a_program_that_is_no_trial_gives_no_result() {
        let folder = tempfile::tempdir().unwrap();
        let trials = small_search(folder.path()).trials(&split(300, 1)).unwrap();
        let text = LocalProcesses::new("true").run(&trials[0].spec).unwrap_err();
        assert_eq!(text, "the program ended well and printed no whole result of this trial");
        let text = LocalProcesses::new("false").run(&trials[0].spec).unwrap_err();
        assert!(text.contains("it printed nothing"), "{text}");
    }
}
