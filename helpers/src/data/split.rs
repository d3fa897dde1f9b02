//! Train, validation and test parts, index for index those of scikit-learn's `train_test_split`.
//!
//! Start at [`Dataset::split`], which takes the test part first and the validation part from what is left.
//! [`train_test_split`], [`ShuffleSplit`] and [`StratifiedShuffleSplit`] work on bare labels and counts.

use serde::{Deserialize, Serialize};

use super::dataset::{Dataset, Subset};
use super::random::RandomState;
use crate::display::{Cell, Column, Table};
use crate::error::{Error, Result};
use crate::text::thousands;

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
    /// If a share is not inside (0, 1), a part would be empty, a stratified part would lack a class, or `seed` does not
    /// fit into 32 bits.
    pub fn new(dataset: &Dataset, config: SplitConfig) -> Result<Split> {
        let draw = if config.stratify { Draw::Stratified } else { Draw::Shuffled };
        let labels = dataset.labels();
        let outer = split_named("test", labels, TestSize::Share(config.test), draw, config.seed)?;
        let rest: Vec<i64> = outer.train.iter().map(|&image| labels[image]).collect();
        let inner = split_named(
            "validation",
            &rest,
            TestSize::Share(config.validation),
            draw,
            config.seed,
        )?;
        let images =
            |places: Vec<usize>| places.into_iter().map(|place| outer.train[place]).collect();
        Ok(Split {
            train: dataset.subset(images(inner.train))?,
            validation: dataset.subset(images(inner.test))?,
            test: dataset.subset(outer.test)?,
            config,
        })
    }
}

impl Split {
    /// Images in each part: a row for each class and one for all.
    pub fn table(&self) -> Table {
        let dataset = self.train.dataset();
        let parts = [&self.train, &self.validation, &self.test];
        let counts = parts.map(Subset::class_counts);
        let row = |name: Cell, images: [usize; 3]| {
            let all = images.iter().sum::<usize>();
            [name, images[0].into(), images[1].into(), images[2].into(), all.into()]
        };
        let heads = ["Train", "Validation", "Test", "All"].map(Column::integer);
        let mut table = Table::new([Column::text("Class")].into_iter().chain(heads));
        for (class, name) in dataset.class_names().iter().enumerate() {
            table.push(row(name.into(), [counts[0][class], counts[1][class], counts[2][class]]));
        }
        let stratified = if self.config.stratify { "stratified" } else { "not stratified" };
        table
            .row(row("All classes".into(), parts.map(Subset::len)))
            .rule_above_last(1)
            .caption(format!("Images in each part, {stratified}, seed {}.", self.config.seed))
    }

    /// Shows [`Split::table`] as the result of a cell.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}

impl std::fmt::Debug for Split {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Split { train, validation, test, config } = self;
        write!(
            formatter,
            "Split: {} train, {} validation, {} test images (seed {}{})",
            thousands(train.len()),
            thousands(validation.len()),
            thousands(test.len()),
            config.seed,
            if config.stratify { ", stratified" } else { "" }
        )
    }
}

/// Positions of the samples that train and of those that test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrainTest {
    /// What a model learns from.
    pub train: Vec<usize>,
    /// What it is tested on.
    pub test: Vec<usize>,
}

/// How large a test part is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum TestSize {
    /// A share of all samples, above 0 and below 1; rounded up to whole samples.
    Share(f64),
    /// A number of samples.
    Count(usize),
}

/// How samples are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Draw {
    /// At random, each part with the classes in the proportions of the whole: `stratify=y`.
    Stratified,
    /// At random, whatever the classes.
    Shuffled,
    /// The first ones train and the last ones test: `shuffle=False`.
    InOrder,
}

/// Positions of the train and of the test samples, in the order of scikit-learn's
/// `train_test_split(…, test_size=test_size, random_state=seed)`.
///
/// # Errors
/// If either part would be empty; if `seed` does not fit into 32 bits; for a stratified draw, if a class has fewer than
/// two samples or a part would have fewer samples than there are classes.
pub fn train_test_split(
    labels: &[i64],
    test_size: TestSize,
    draw: Draw,
    seed: u64,
) -> Result<TrainTest> {
    split_named("test_size", labels, test_size, draw, seed)
}

/// Independent random splits, scikit-learn's `ShuffleSplit`: any two may test the same samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ShuffleSplit {
    /// Number of splits.
    pub n_splits: usize,
    /// How many samples test.
    pub test_size: TestSize,
    /// Seed of all splits together.
    pub seed: u64,
}

impl ShuffleSplit {
    /// The splits of `samples` samples.
    ///
    /// # Errors
    /// If either part would be empty, or `seed` does not fit into 32 bits.
    pub fn split(&self, samples: usize) -> Result<Vec<TrainTest>> {
        let test = count(self.test_size, "test_size", samples)?;
        let mut random = RandomState::new(self.seed)?;
        Ok((0..self.n_splits)
            .map(|_| shuffled_draw(samples, samples - test, test, &mut random))
            .collect())
    }
}

/// Independent random splits with the classes in the proportions of the whole, scikit-learn's
/// `StratifiedShuffleSplit`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StratifiedShuffleSplit {
    /// Number of splits.
    pub n_splits: usize,
    /// How many samples test.
    pub test_size: TestSize,
    /// Seed of all splits together.
    pub seed: u64,
}

impl StratifiedShuffleSplit {
    /// The splits of the samples with these labels.
    ///
    /// # Errors
    /// As [`train_test_split`] with [`Draw::Stratified`].
    pub fn split(&self, labels: &[i64]) -> Result<Vec<TrainTest>> {
        let test = count(self.test_size, "test_size", labels.len())?;
        let members = members_of_classes(labels);
        check_stratified("test_size", &members, labels.len() - test, test)?;
        let mut random = RandomState::new(self.seed)?;
        Ok((0..self.n_splits)
            .map(|_| stratified_draw(&members, labels.len() - test, test, &mut random))
            .collect())
    }
}

/// [`train_test_split`], with the name its caller gives the size in errors.
fn split_named(
    name: &'static str,
    labels: &[i64],
    size: TestSize,
    draw: Draw,
    seed: u64,
) -> Result<TrainTest> {
    let test = count(size, name, labels.len())?;
    let train = labels.len() - test;
    match draw {
        Draw::InOrder => {
            Ok(TrainTest { train: (0..train).collect(), test: (train..labels.len()).collect() })
        }
        Draw::Shuffled => {
            Ok(shuffled_draw(labels.len(), train, test, &mut RandomState::new(seed)?))
        }
        Draw::Stratified => {
            let members = members_of_classes(labels);
            check_stratified(name, &members, train, test)?;
            Ok(stratified_draw(&members, train, test, &mut RandomState::new(seed)?))
        }
    }
}

/// Positions of `n` samples, fewer than there are, with the classes in the proportions of the whole.
pub(super) fn take_stratified(labels: &[i64], n: usize, seed: u64) -> Result<Vec<usize>> {
    let members = members_of_classes(labels);
    if n < members.len() {
        return Err(Error::Parameter {
            name: "n",
            expected: format!(
                "0, for all images, or at least {}, an image of each class",
                members.len()
            ),
            got: n.to_string(),
            advice: "2000 images are enough to try something out".to_owned(),
        });
    }
    // Unlike scikit-learn's, a rest that lacks a class is no error here: nobody uses it.
    Ok(stratified_draw(&members, n, labels.len() - n, &mut RandomState::new(seed)?).train)
}

/// Test samples of `samples`; `name` is what the caller calls the size.
fn count(size: TestSize, name: &'static str, samples: usize) -> Result<usize> {
    let refuse = |expected: &str, got: String, advice: &str| {
        Err(Error::Parameter {
            name,
            expected: expected.to_owned(),
            got,
            advice: advice.to_owned(),
        })
    };
    let (count, got) = match size {
        TestSize::Share(share) if share > 0.0 && share < 1.0 => {
            ((share * samples as f64).ceil() as usize, format!("{share} of {samples}"))
        }
        TestSize::Share(share) => {
            return refuse("above 0 and below 1", share.to_string(), "0.12 keeps 12%");
        }
        TestSize::Count(count) => (count, format!("{count} of {samples}")),
    };
    if count == 0 || count >= samples {
        return refuse(
            "a part that leaves images on both sides",
            got,
            "change it, or take more images",
        );
    }
    Ok(count)
}

/// Whether each class has two members and each part room for every class.
fn check_stratified(
    name: &'static str,
    members: &[Vec<usize>],
    train: usize,
    test: usize,
) -> Result<()> {
    let classes = members.len();
    if let Some(lonely) = members.iter().find(|class| class.len() < 2) {
        return Err(Error::Parameter {
            name: "stratify",
            expected: "used with at least two images of each class".to_owned(),
            got: format!("a class with one alone, at place {}", lonely[0]),
            advice: "leave that class out, add images, or do not stratify".to_owned(),
        });
    }
    if train < classes || test < classes {
        return Err(Error::Parameter {
            name,
            expected: format!(
                "a part that leaves at least {classes} images, one of each class, on both sides"
            ),
            got: format!("{test}, which leaves {train}"),
            advice: "change it, take more images, or do not stratify".to_owned(),
        });
    }
    Ok(())
}

fn shuffled_draw(samples: usize, train: usize, test: usize, random: &mut RandomState) -> TrainTest {
    let order = random.permutation(samples);
    TrainTest { train: order[test..test + train].to_vec(), test: order[..test].to_vec() }
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
) -> TrainTest {
    let counts: Vec<usize> = members.iter().map(Vec::len).collect();
    let train_counts = approximate_mode(&counts, train, random);
    let left: Vec<usize> =
        counts.iter().zip(&train_counts).map(|(all, taken)| all - taken).collect();
    let test_counts = approximate_mode(&left, test, random);
    let mut parts = TrainTest { train: Vec::with_capacity(train), test: Vec::with_capacity(test) };
    for ((class, &for_train), &for_test) in members.iter().zip(&train_counts).zip(&test_counts) {
        let order = random.permutation(class.len());
        let drawn: Vec<usize> = order.into_iter().map(|place| class[place]).collect();
        parts.train.extend_from_slice(&drawn[..for_train]);
        parts.test.extend_from_slice(&drawn[for_train..for_train + for_test]);
    }
    random.shuffle(&mut parts.train);
    random.shuffle(&mut parts.test);
    parts
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Seven images of class 0, three of class 1.
    const LABELS: [i64; 10] = [0, 0, 1, 0, 0, 1, 0, 0, 1, 0];

    fn classes_of(places: &[usize]) -> Vec<i64> {
        let mut classes: Vec<i64> = places.iter().map(|&place| LABELS[place]).collect();
        classes.sort_unstable();
        classes
    }

    #[test]
    fn parts_hold_every_sample_once() {
        for draw in [Draw::Stratified, Draw::Shuffled, Draw::InOrder] {
            let parts = train_test_split(&LABELS, TestSize::Share(0.3), draw, 42).unwrap();
            let mut all = [parts.train, parts.test].concat();
            all.sort_unstable();
            assert_eq!(all, (0..10).collect::<Vec<_>>(), "{draw:?}");
        }
    }

    #[test]
    fn in_order_tests_the_last_samples() {
        let parts = train_test_split(&LABELS, TestSize::Count(3), Draw::InOrder, 0).unwrap();
        assert_eq!(parts.test, [7, 8, 9]);
    }

    #[test]
    fn a_share_is_rounded_up() {
        let parts = train_test_split(&LABELS, TestSize::Share(0.21), Draw::Shuffled, 0).unwrap();
        assert_eq!((parts.train.len(), parts.test.len()), (7, 3));
    }

    #[test]
    fn stratified_parts_keep_the_proportions() {
        // 5 of 10: 3.5 of class 0 and 1.5 of class 1; the tie goes to either.
        let parts = train_test_split(&LABELS, TestSize::Count(5), Draw::Stratified, 1).unwrap();
        for part in [&parts.train, &parts.test] {
            assert!(matches!(classes_of(part)[..], [0, 0, 0, 0, 1] | [0, 0, 0, 1, 1]), "{parts:?}");
        }
    }

    #[test]
    fn largest_remainders_get_what_is_missing() {
        // 10 of 6, 3 and 4: shares 4.6, 2.3 and 3.1; the tenth goes to the first.
        let mut random = RandomState::new(0).unwrap();
        assert_eq!(approximate_mode(&[6, 3, 4], 10, &mut random), [5, 2, 3]);
    }

    #[test]
    fn no_class_gives_more_than_it_has() {
        let mut random = RandomState::new(0).unwrap();
        for draws in 0..=23 {
            let drawn = approximate_mode(&[1, 19, 3], draws, &mut random);
            assert_eq!(drawn.iter().sum::<usize>(), draws);
            assert!(drawn[0] <= 1 && drawn[1] <= 19 && drawn[2] <= 3, "{draws}: {drawn:?}");
        }
    }

    #[test]
    fn a_class_with_one_sample_cannot_be_stratified() {
        let text = train_test_split(&[0, 0, 0, 7], TestSize::Count(2), Draw::Stratified, 0)
            .unwrap_err()
            .to_string();
        assert_eq!(
            text,
            "`stratify` must be used with at least two images of each class, got a class with one alone, at place 3; \
             leave that class out, add images, or do not stratify"
        );
    }

    #[test]
    fn a_stratified_part_has_room_for_each_class() {
        let text = train_test_split(&LABELS, TestSize::Count(1), Draw::Stratified, 0)
            .unwrap_err()
            .to_string();
        assert_eq!(
            text,
            "`test_size` must be a part that leaves at least 2 images, one of each class, on both sides, got 1, which \
             leaves 9; change it, take more images, or do not stratify"
        );
    }

    #[test]
    fn shares_outside_0_and_1_are_refused() {
        for share in [0.0, 1.0, -0.5, 1.5, f64::NAN, f64::INFINITY] {
            let text = train_test_split(&LABELS, TestSize::Share(share), Draw::Shuffled, 0)
                .unwrap_err()
                .to_string();
            assert_eq!(
                text,
                format!("`test_size` must be above 0 and below 1, got {share}; 0.12 keeps 12%")
            );
        }
    }

    #[test]
    fn an_empty_part_is_refused() {
        for size in
            [TestSize::Count(0), TestSize::Count(10), TestSize::Count(11), TestSize::Share(0.95)]
        {
            assert!(train_test_split(&LABELS, size, Draw::Shuffled, 0).is_err(), "{size:?}");
        }
    }
}
