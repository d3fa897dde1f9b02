//! Splits and folds are scikit-learn's, index for index.
//!
//! `splits.py` runs scikit-learn itself over many sizes, class balances, seeds and settings and prints, for each case,
//! what it was asked and which indices it gave; here each case is asked again.

use crate::common;

use helpers::data::model_selection::{
    Draw, ShuffleSplit, StratifiedShuffleSplit, TestSize, TrainTest, train_test_split,
};
use helpers::data::random_state::RandomState;
use helpers::prelude::*;
use helpers::tuning::folds::{KFold, RepeatedStratifiedKFold, StratifiedKFold};
use helpers::tuning::grid::{ParameterGrid, Parameters};
use serde::Deserialize;

/// One question and scikit-learn's answer.
#[derive(Deserialize)]
struct Case {
    what: String,
    labels: Vec<i64>,
    test_size: Option<TestSize>,
    n_splits: Option<usize>,
    shuffle: Option<bool>,
    seed: u64,
    splits: Vec<TrainTest>,
}

impl Case {
    fn ask(&self) -> helpers::Result<Vec<TrainTest>> {
        let Case { labels, seed, .. } = self;
        let seed = *seed;
        let test_size = || self.test_size.unwrap();
        let n_splits = self.n_splits.unwrap_or(1);
        let shuffle = self.shuffle.unwrap_or(true);
        match self.what.as_str() {
            "permutation" => {
                let train = RandomState::new(seed)?.permutation(labels.len());
                Ok(vec![TrainTest { train, test: Vec::new() }])
            }
            "stratified" => {
                Ok(vec![train_test_split(labels, test_size(), Draw::Stratified, seed)?])
            }
            "shuffled" => Ok(vec![train_test_split(labels, test_size(), Draw::Shuffled, seed)?]),
            "in order" => Ok(vec![train_test_split(labels, test_size(), Draw::InOrder, seed)?]),
            "StratifiedShuffleSplit" => {
                let random_state = seed;
                StratifiedShuffleSplit { n_splits, test_size: test_size(), random_state }
                    .split(labels)
            }
            "ShuffleSplit" => {
                let random_state = seed;
                ShuffleSplit { n_splits, test_size: test_size(), random_state }.split(labels.len())
            }
            "KFold" => KFold { n_splits, shuffle, random_state: seed }.split(labels.len()),
            "StratifiedKFold" => {
                StratifiedKFold { n_splits, shuffle, random_state: seed }.split(labels)
            }
            "RepeatedStratifiedKFold" => {
                RepeatedStratifiedKFold { n_splits, n_repeats: 3, random_state: seed }.split(labels)
            }
            other => panic!("splits.py asks for {other}, which this test does not know"),
        }
    }
}

/// What differs between two answers, in a line.
fn difference(ours: &[TrainTest], theirs: &[TrainTest]) -> Option<String> {
    if ours.len() != theirs.len() {
        return Some(format!("{} splits instead of {}", ours.len(), theirs.len()));
    }
    for (number, (our, their)) in ours.iter().zip(theirs).enumerate() {
        for (part, our, their) in
            [("train", &our.train, &their.train), ("test", &our.test, &their.test)]
        {
            if our.len() != their.len() {
                return Some(format!(
                    "split {number}: {} {part} samples instead of {}",
                    our.len(),
                    their.len()
                ));
            }
            if let Some(index) = our.iter().zip(their).position(|(our, their)| our != their) {
                return Some(format!(
                    "split {number}, {part}[{index}] is {}, not {}",
                    our[index], their[index]
                ));
            }
        }
    }
    None
}

#[test]
fn every_index_is_scikit_learns() {
    let cases: Vec<Case> =
        serde_json::from_slice(&common::run_python::<&str>("splits.py", &[])).unwrap();
    assert!(cases.len() >= 1000, "splits.py gave {} cases only", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let difference = match case.ask() {
            Ok(splits) => difference(&splits, &case.splits),
            // scikit-learn refuses by an exception: splits.py then gives no splits.
            Err(_) if case.splits.is_empty() => None,
            Err(error) => Some(error.to_string()),
        };
        if let Some(difference) = difference {
            let Case { what, labels, test_size, n_splits, shuffle, seed, .. } = case;
            wrong.push(format!(
                "{what}, {} samples, {test_size:?}, {n_splits:?} splits, shuffle {shuffle:?}, seed {seed}: {difference}",
                labels.len()
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases differ; the first:\n{}",
        wrong.len(),
        cases.len(),
        wrong[..wrong.len().min(10)].join("\n")
    );
}

/// A grid and scikit-learn's combinations of it.
#[derive(Deserialize)]
struct GridCase {
    grid: ParameterGrid,
    combinations: Vec<Parameters>,
}

#[test]
fn combinations_come_in_scikit_learns_order() {
    let cases: Vec<GridCase> =
        serde_json::from_slice(&common::run_python("splits.py", &["grids"])).unwrap();
    assert!(cases.len() >= 50, "splits.py gave {} grids only", cases.len());
    for case in cases {
        assert_eq!(case.grid.combinations().unwrap(), case.combinations, "{:?}", case.grid);
    }
}

/// A sample of `data/sample`, split twice, by scikit-learn.
#[derive(Deserialize)]
struct SplitCase {
    n: usize,
    config: SplitConfig,
    train: Vec<usize>,
    validation: Vec<usize>,
    test: Vec<usize>,
}

#[test]
fn a_students_python_split_sees_the_same_images() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
    let whole = Dataset::load(&folder).unwrap();
    let cases: Vec<SplitCase> =
        serde_json::from_slice(&common::run_python("splits.py", &[folder.join("y.npy")])).unwrap();
    assert_eq!(cases.len(), 40);
    for SplitCase { n, config, train, validation, test } in cases {
        let split = whole.take_stratified(n, config.random_state).unwrap().split(config).unwrap();
        for (part, theirs) in
            [(&split.train, train), (&split.validation, validation), (&split.test, test)]
        {
            let ours: Vec<_> = (0..part.len()).map(|image| part.image(image).unwrap()).collect();
            let theirs_images: Vec<_> =
                theirs.iter().map(|&image| whole.image(image).unwrap()).collect();
            assert!(
                ours == theirs_images,
                "{n} images, {split:?}: other images than scikit-learn's"
            );
            let labels: Vec<i64> = theirs.iter().map(|&image| whole.labels()[image]).collect();
            assert_eq!(part.labels(), labels);
        }
    }
}
