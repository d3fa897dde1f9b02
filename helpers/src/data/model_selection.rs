//! Random splits of labels and counts, with the same indices as scikit-learn's `model_selection`.
//!
//! Start at [`train_test_split`]. [`super::split`] makes the three parts of a data set with it.

use serde::{Deserialize, Serialize};

use super::random_state::RandomState;
use crate::error::{Error, Result};

/// Indices of the samples that train and of those that test.
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

/// Indices of the train and of the test samples, in the order of scikit-learn's
/// `train_test_split(…, test_size=test_size, random_state=random_state)`.
///
/// # Errors
/// If either part would be empty; if `random_state` does not fit into 32 bits; for a stratified draw, if a class has fewer than
/// two samples or a part would have fewer samples than there are classes.
pub fn train_test_split(
    labels: &[i64],
    test_size: TestSize,
    draw: Draw,
    random_state: u64,
) -> Result<TrainTest> {
    split_named("test_size", labels, test_size, draw, random_state)
}

/// Independent random splits, scikit-learn's `ShuffleSplit`: a sample may be in several test parts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ShuffleSplit {
    /// Number of splits.
    pub n_splits: usize,
    /// How many samples test.
    pub test_size: TestSize,
    /// Seed of the whole sequence of splits; below 2^32.
    pub random_state: u64,
}

impl ShuffleSplit {
    /// The splits of `samples` samples.
    ///
    /// # Errors
    /// If either part would be empty, or `random_state` does not fit into 32 bits.
    pub fn split(&self, samples: usize) -> Result<Vec<TrainTest>> {
        let test = count(self.test_size, "test_size", samples)?;
        let mut random = RandomState::new(self.random_state)?;
        Ok((0..self.n_splits)
            .map(|_| shuffled_draw(samples, samples - test, test, &mut random))
            .collect())
    }
}

/// Independent random splits that keep the proportions of the classes, scikit-learn's `StratifiedShuffleSplit`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StratifiedShuffleSplit {
    /// Number of splits.
    pub n_splits: usize,
    /// How many samples test.
    pub test_size: TestSize,
    /// Seed of the whole sequence of splits; below 2^32.
    pub random_state: u64,
}

impl StratifiedShuffleSplit {
    /// The splits of the samples with these labels.
    ///
    /// # Errors
    /// As [`train_test_split`] with [`Draw::Stratified`].
    pub fn split(&self, labels: &[i64]) -> Result<Vec<TrainTest>> {
        let test = count(self.test_size, "test_size", labels.len())?;
        let members = members_of_classes(labels);
        check_stratified("test_size", labels, &members, labels.len() - test, test)?;
        let mut random = RandomState::new(self.random_state)?;
        Ok((0..self.n_splits)
            .map(|_| stratified_draw(&members, labels.len() - test, test, &mut random))
            .collect())
    }
}

/// [`train_test_split`] whose errors call the size `name`.
pub(super) fn split_named(
    name: &'static str,
    labels: &[i64],
    size: TestSize,
    draw: Draw,
    random_state: u64,
) -> Result<TrainTest> {
    let test = count(size, name, labels.len())?;
    let train = labels.len() - test;
    match draw {
        Draw::InOrder => {
            Ok(TrainTest { train: (0..train).collect(), test: (train..labels.len()).collect() })
        }
        Draw::Shuffled => {
            Ok(shuffled_draw(labels.len(), train, test, &mut RandomState::new(random_state)?))
        }
        Draw::Stratified => {
            let members = members_of_classes(labels);
            check_stratified(name, labels, &members, train, test)?;
            Ok(stratified_draw(&members, train, test, &mut RandomState::new(random_state)?))
        }
    }
}

/// Indices of `sample` samples that keep the proportions of the classes; `sample` is below the number of samples.
pub(super) fn take_stratified(
    labels: &[i64],
    sample: usize,
    random_state: u64,
) -> Result<Vec<usize>> {
    let members = members_of_classes(labels);
    if sample < members.len() {
        let least = members.len();
        let expected = format!("0, for all images, or at least {least}, an image of each class");
        let advice = "2000 images are enough to try something out";
        return Err(Error::parameter("sample", expected, sample, advice));
    }
    // scikit-learn refuses a remainder that lacks a class; nothing here uses the remainder.
    Ok(stratified_draw(
        &members,
        sample,
        labels.len() - sample,
        &mut RandomState::new(random_state)?,
    )
    .train)
}

/// The number of test samples; `name` is what the caller calls the size.
fn count(size: TestSize, name: &'static str, samples: usize) -> Result<usize> {
    let (count, got) = match size {
        TestSize::Share(share) if share > 0.0 && share < 1.0 => {
            ((share * samples as f64).ceil() as usize, format!("{share} of {samples}"))
        }
        TestSize::Share(share) => {
            return Err(Error::parameter(name, "above 0 and below 1", share, "0.12 keeps 12%"));
        }
        TestSize::Count(count) => (count, format!("{count} of {samples}")),
    };
    if count == 0 || count >= samples {
        let expected = "a part that leaves images on both sides";
        return Err(Error::parameter(name, expected, got, "change it, or take more images"));
    }
    Ok(count)
}

/// Checks that each class has two samples and each part has room for every class.
fn check_stratified(
    name: &'static str,
    labels: &[i64],
    members: &[Vec<usize>],
    train: usize,
    test: usize,
) -> Result<()> {
    let classes = members.len();
    if let Some(rare) = members.iter().find(|class| class.len() < 2) {
        let expected = "used with at least two images of each class";
        let got = format!("one image of class {}, at index {}", labels[rare[0]], rare[0]);
        let advice = "leave that class out, add images, or do not stratify";
        return Err(Error::parameter("stratify", expected, got, advice));
    }
    if train < classes || test < classes {
        let expected = format!(
            "a part that leaves at least {classes} images, one of each class, on both sides"
        );
        let got = format!("{test}, which leaves {train}");
        let advice = "change it, take more images, or do not stratify";
        return Err(Error::parameter(name, expected, got, advice));
    }
    Ok(())
}

fn shuffled_draw(samples: usize, train: usize, test: usize, random: &mut RandomState) -> TrainTest {
    let order = random.permutation(samples);
    TrainTest { train: order[test..test + train].to_vec(), test: order[..test].to_vec() }
}

/// The indices of each class's samples, classes in ascending order.
fn members_of_classes(labels: &[i64]) -> Vec<Vec<usize>> {
    let mut classes = std::collections::BTreeMap::<i64, Vec<usize>>::new();
    for (index, &label) in labels.iter().enumerate() {
        classes.entry(label).or_default().push(index);
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
        let drawn: Vec<usize> = order.into_iter().map(|index| class[index]).collect();
        parts.train.extend_from_slice(&drawn[..for_train]);
        parts.test.extend_from_slice(&drawn[for_train..for_train + for_test]);
    }
    random.shuffle(&mut parts.train);
    random.shuffle(&mut parts.test);
    parts
}

/// How many of `draws` samples come from each class, in proportion to `counts`.
///
/// First the whole parts; the rest goes to the largest remainders, and ties are drawn at random.
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

    fn classes_of(indices: &[usize]) -> Vec<i64> {
        let mut classes: Vec<i64> = indices.iter().map(|&index| LABELS[index]).collect();
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
            "`stratify` must be used with at least two images of each class, got one image of class 7, at index 3; \
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
