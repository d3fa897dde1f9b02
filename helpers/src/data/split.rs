//! Train, validation and test parts, index for index those of scikit-learn's `train_test_split`.
//!
//! Start at [`Dataset::split`], which takes the test part first and the validation part from what is left.
//! [`train_test_split`] and [`stratified_split`] work on bare counts and labels.

use serde::{Deserialize, Serialize};

use super::dataset::{Dataset, Subset};
use super::random::RandomState;
use crate::error::{Error, Result};

/// How a data set is split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SplitConfig {
    /// Share of all images kept for the test, above 0 and below 1.
    pub test: f64,
    /// Share of the images left after the test part that validates, above 0 and below 1.
    pub validation: f64,
    /// Seed of both splits, as scikit-learn's `random_state`; below 2^32.
    pub seed: u64,
    /// Whether each part holds the classes in the proportions of the whole.
    pub stratify: bool,
}

impl Default for SplitConfig {
    fn default() -> Self {
        SplitConfig { test: 0.12, validation: 0.12, seed: 42, stratify: true }
    }
}

/// A data set in three parts that share no image.
#[derive(Clone)]
pub struct Split {
    /// What the network learns from.
    pub train: Subset,
    /// What steers training: early stopping and the choice of settings.
    pub validation: Subset,
    /// What is read once, at the end.
    pub test: Subset,
    /// How the parts were made.
    pub config: SplitConfig,
}

impl Split {
    /// Splits as `config` says: `train_test_split(X, y, test_size=test)` first, then the same with `validation` on
    /// what was left, both with `seed`, both with `stratify=y` when asked.
    ///
    /// # Errors
    /// If a share is not inside (0, 1), a part would be empty, or a stratified part would lack a class.
    pub fn new(dataset: &Dataset, config: SplitConfig) -> Result<Split> {
        let halves = |labels: &[i64], share: f64, name: &'static str| {
            let test = TestSize::Share(share).count(labels.len(), name)?;
            if config.stratify {
                stratified_split(labels, labels.len() - test, test, config.seed)
            } else {
                shuffled_split(labels.len(), labels.len() - test, test, config.seed)
            }
        };
        let (rest, test) = halves(dataset.labels(), config.test, "test")?;
        let rest_labels: Vec<i64> = rest.iter().map(|&image| dataset.labels()[image]).collect();
        let (train, validation) = halves(&rest_labels, config.validation, "validation")?;
        let of_rest = |places: Vec<usize>| places.into_iter().map(|place| rest[place]).collect();
        Ok(Split {
            train: dataset.subset(of_rest(train))?,
            validation: dataset.subset(of_rest(validation))?,
            test: dataset.subset(test)?,
            config,
        })
    }
}

impl std::fmt::Debug for Split {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Split { train, validation, test, config } = self;
        write!(
            formatter,
            "Split: {} train, {} validation, {} test images (seed {}{})",
            train.len(),
            validation.len(),
            test.len(),
            config.seed,
            if config.stratify { ", stratified" } else { "" }
        )
    }
}

/// How large a test part is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TestSize {
    /// A share of all samples, above 0 and below 1; rounded up to whole samples.
    Share(f64),
    /// A number of samples.
    Count(usize),
}

impl TestSize {
    fn count(self, samples: usize, name: &'static str) -> Result<usize> {
        let refuse = |expected: &str, got: String, advice: String| {
            Err(Error::Parameter { name, expected: expected.to_owned(), got, advice })
        };
        let count = match self {
            TestSize::Share(share) if !(share > 0.0 && share < 1.0) => {
                return refuse(
                    "above 0 and below 1",
                    share.to_string(),
                    "0.12 keeps 12%".to_owned(),
                );
            }
            TestSize::Share(share) => (share * samples as f64).ceil() as usize,
            TestSize::Count(count) => count,
        };
        if count == 0 || count >= samples {
            let got = match self {
                TestSize::Share(share) => format!("{share} of {samples} images, which is {count}"),
                TestSize::Count(count) => format!("{count} of {samples}"),
            };
            return refuse(
                "a part that leaves images on both sides",
                got,
                "change it or take more images".to_owned(),
            );
        }
        Ok(count)
    }
}

/// Positions of the train and of the test samples: scikit-learn's `train_test_split(range(samples), test_size=…,
/// random_state=seed)`.
///
/// # Errors
/// If either part would be empty or `seed` does not fit into 32 bits.
pub fn train_test_split(
    samples: usize,
    test_size: TestSize,
    seed: u64,
) -> Result<(Vec<usize>, Vec<usize>)> {
    let test = test_size.count(samples, "test_size")?;
    shuffled_split(samples, samples - test, test, seed)
}

fn shuffled_split(
    samples: usize,
    train: usize,
    test: usize,
    seed: u64,
) -> Result<(Vec<usize>, Vec<usize>)> {
    let order = RandomState::new(seed)?.permutation(samples);
    Ok((order[test..test + train].to_vec(), order[..test].to_vec()))
}

/// Positions of `train` and of `test` samples with the classes in the proportions of `labels`: the first split of
/// scikit-learn's `StratifiedShuffleSplit(train_size=train, test_size=test, random_state=seed)`.
///
/// # Errors
/// If a class has fewer than two samples or a part fewer samples than there are classes.
pub fn stratified_split(
    labels: &[i64],
    train: usize,
    test: usize,
    seed: u64,
) -> Result<(Vec<usize>, Vec<usize>)> {
    let members = members_of_classes(labels);
    let mut random = RandomState::new(seed)?;
    Ok(stratified_draw(&members, train, test, &mut random))
}

/// The places of each class's samples, classes in ascending order.
fn members_of_classes(labels: &[i64]) -> Vec<Vec<usize>> {
    let mut classes = std::collections::BTreeMap::<i64, Vec<usize>>::new();
    for (place, &label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(place);
    }
    classes.into_values().collect()
}

fn stratified_draw(
    members: &[Vec<usize>],
    train: usize,
    test: usize,
    random: &mut RandomState,
) -> (Vec<usize>, Vec<usize>) {
    let counts: Vec<usize> = members.iter().map(Vec::len).collect();
    let train_counts = approximate_mode(&counts, train, random);
    let left: Vec<usize> =
        counts.iter().zip(&train_counts).map(|(all, taken)| all - taken).collect();
    let test_counts = approximate_mode(&left, test, random);
    let (mut train_places, mut test_places) = (Vec::with_capacity(train), Vec::with_capacity(test));
    for ((class, &for_train), &for_test) in members.iter().zip(&train_counts).zip(&test_counts) {
        let order = random.permutation(class.len());
        let drawn: Vec<usize> = order.into_iter().map(|place| class[place]).collect();
        train_places.extend_from_slice(&drawn[..for_train]);
        test_places.extend_from_slice(&drawn[for_train..for_train + for_test]);
    }
    random.shuffle(&mut train_places);
    random.shuffle(&mut test_places);
    (train_places, test_places)
}

/// How many of `draws` samples come from each class, in proportion to `counts`.
///
/// Whole parts first; what is missing goes to the largest remainders, equal remainders drawn at random.
fn approximate_mode(counts: &[usize], draws: usize, random: &mut RandomState) -> Vec<usize> {
    let total = counts.iter().sum::<usize>() as f64;
    let shares: Vec<f64> =
        counts.iter().map(|&count| count as f64 / total * draws as f64).collect();
    let mut drawn: Vec<usize> = shares.iter().map(|share| share.floor() as usize).collect();
    let remainders: Vec<f64> = shares.iter().map(|share| share - share.floor()).collect();
    let mut values = remainders.clone();
    values.sort_by(|a, b| b.total_cmp(a));
    values.dedup();
    let mut missing = draws.saturating_sub(drawn.iter().sum());
    for value in values {
        if missing == 0 {
            break;
        }
        let tied: Vec<usize> =
            (0..counts.len()).filter(|&class| remainders[class] == value).collect();
        let chosen = random.choice(&tied, tied.len().min(missing));
        missing -= chosen.len();
        for class in chosen {
            drawn[class] += 1;
        }
    }
    drawn
}
