//! Folds for cross-validation, with the same indices as scikit-learn's `KFold`, `StratifiedKFold` and
//! `RepeatedStratifiedKFold`; [`Folds`] is the search's `cv`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::data::model_selection::{ShuffleSplit, StratifiedShuffleSplit, TrainTest};
use crate::data::random_state::RandomState;
use crate::error::{Error, Result};

/// Folds of equal size, each of which tests once; scikit-learn's `KFold`.
///
/// The first `samples % n_splits` folds have one sample more. Indices in each part ascend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KFold {
    /// Number of folds, at least 2.
    pub n_splits: usize,
    /// Whether samples are drawn at random into the folds instead of in order.
    pub shuffle: bool,
    /// Seed of the draw, below 2^32; without `shuffle` it does nothing.
    pub random_state: u64,
}

impl Default for KFold {
    fn default() -> Self {
        KFold { n_splits: 5, shuffle: true, random_state: 42 }
    }
}

impl KFold {
    /// The folds of `samples` samples.
    ///
    /// # Errors
    /// If there are fewer than two folds or fewer samples than folds, or `random_state` does not fit into 32 bits.
    pub fn split(&self, samples: usize) -> Result<Vec<TrainTest>> {
        check_n_splits(self.n_splits, samples, "the number of samples")?;
        let mut order: Vec<usize> = (0..samples).collect();
        if self.shuffle {
            RandomState::new(self.random_state)?.shuffle(&mut order);
        }
        let (size, larger) = (samples / self.n_splits, samples % self.n_splits);
        let mut fold_of = vec![0; samples];
        let mut start = 0;
        for fold in 0..self.n_splits {
            let end = start + size + usize::from(fold < larger);
            for &sample in &order[start..end] {
                fold_of[sample] = fold;
            }
            start = end;
        }
        Ok(parts(&fold_of, self.n_splits))
    }
}

/// Folds in which the classes keep their proportions, each of which is the test part once; scikit-learn's
/// `StratifiedKFold`.
///
/// A class with fewer samples than there are folds is missing from some of them. Indices in each part ascend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StratifiedKFold {
    /// Number of folds, at least 2.
    pub n_splits: usize,
    /// Whether the samples of a class are drawn at random into the folds instead of in order.
    pub shuffle: bool,
    /// Seed of the draw, below 2^32; without `shuffle` it does nothing.
    pub random_state: u64,
}

impl Default for StratifiedKFold {
    fn default() -> Self {
        StratifiedKFold { n_splits: 5, shuffle: true, random_state: 42 }
    }
}

impl StratifiedKFold {
    /// The folds of the samples with these labels.
    ///
    /// # Errors
    /// If there are fewer than two folds, every class has fewer samples than there are folds, or `random_state` does not fit
    /// into 32 bits.
    pub fn split(&self, labels: &[i64]) -> Result<Vec<TrainTest>> {
        let mut random = RandomState::new(if self.shuffle { self.random_state } else { 0 })?;
        self.split_with(labels, &mut random)
    }

    /// The folds, drawn with this generator.
    fn split_with(&self, labels: &[i64], random: &mut RandomState) -> Result<Vec<TrainTest>> {
        let classes = in_order_of_appearance(labels);
        let counts: Vec<usize> = classes.iter().map(Vec::len).collect();
        let largest = counts.iter().copied().max().unwrap_or(0);
        check_n_splits(self.n_splits, largest, "the number of samples in the largest class")?;
        let mut fold_of = vec![0; labels.len()];
        let mut dealt = 0;
        for class in &classes {
            // The samples, sorted by class, go to the folds in turn, one class after the other.
            let mut taken = vec![0; self.n_splits];
            for card in dealt..dealt + class.len() {
                taken[card % self.n_splits] += 1;
            }
            dealt += class.len();
            let mut folds: Vec<usize> = taken
                .iter()
                .enumerate()
                .flat_map(|(fold, &count)| std::iter::repeat_n(fold, count))
                .collect();
            if self.shuffle {
                random.shuffle(&mut folds);
            }
            for (&sample, &fold) in class.iter().zip(&folds) {
                fold_of[sample] = fold;
            }
        }
        Ok(parts(&fold_of, self.n_splits))
    }
}

/// Stratified folds, several times, each time drawn anew; scikit-learn's `RepeatedStratifiedKFold`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RepeatedStratifiedKFold {
    /// Number of folds, at least 2.
    pub n_splits: usize,
    /// How often the samples are divided, at least once.
    pub n_repeats: usize,
    /// Seed of all draws, below 2^32.
    pub random_state: u64,
}

impl Default for RepeatedStratifiedKFold {
    fn default() -> Self {
        RepeatedStratifiedKFold { n_splits: 5, n_repeats: 10, random_state: 42 }
    }
}

impl RepeatedStratifiedKFold {
    /// The folds of the samples with these labels, one division after the other.
    ///
    /// # Errors
    /// As [`StratifiedKFold::split`], or if `n_repeats` is 0.
    pub fn split(&self, labels: &[i64]) -> Result<Vec<TrainTest>> {
        if self.n_repeats == 0 {
            let advice = "1 divides the samples once";
            return Err(Error::parameter("n_repeats", "at least 1", 0, advice));
        }
        let mut random = RandomState::new(self.random_state)?;
        let folds = StratifiedKFold { n_splits: self.n_splits, shuffle: true, random_state: 0 };
        let mut all = Vec::new();
        for _ in 0..self.n_repeats {
            all.extend(folds.split_with(labels, &mut random)?);
        }
        Ok(all)
    }
}

/// How the images are divided into folds; scikit-learn's `cv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Folds {
    /// This many stratified folds, not shuffled, as scikit-learn does for an integer.
    Count(usize),
    /// Folds of equal size.
    KFold(KFold),
    /// Folds in which the classes keep their proportions.
    StratifiedKFold(StratifiedKFold),
    /// Stratified folds, drawn several times.
    RepeatedStratifiedKFold(RepeatedStratifiedKFold),
    /// Independent random splits: an image may be in several test parts.
    ShuffleSplit(ShuffleSplit),
    /// Independent random splits in which the classes keep their proportions.
    StratifiedShuffleSplit(StratifiedShuffleSplit),
    /// Any parts, as indices into the images that the search sees.
    Splits(Vec<TrainTest>),
}

impl From<usize> for Folds {
    fn from(n_splits: usize) -> Folds {
        Folds::Count(n_splits)
    }
}

/// Each kind of folds can stand where a search has its `cv`.
macro_rules! into_folds {
    ($($kind:ident),*) => {
        $(impl From<$kind> for Folds {
            fn from(folds: $kind) -> Folds {
                Folds::$kind(folds)
            }
        })*
    };
}

into_folds!(KFold, StratifiedKFold, RepeatedStratifiedKFold, ShuffleSplit, StratifiedShuffleSplit);

impl Folds {
    /// The folds of the samples with these labels; at least one, and none of them with an empty part.
    pub(super) fn split(&self, labels: &[i64]) -> Result<Vec<TrainTest>> {
        let splits = match self {
            &Folds::Count(n_splits) => {
                StratifiedKFold { n_splits, shuffle: false, random_state: 0 }.split(labels)?
            }
            Folds::KFold(folds) => folds.split(labels.len())?,
            Folds::StratifiedKFold(folds) => folds.split(labels)?,
            Folds::RepeatedStratifiedKFold(folds) => folds.split(labels)?,
            Folds::ShuffleSplit(splits) => splits.split(labels.len())?,
            Folds::StratifiedShuffleSplit(splits) => splits.split(labels)?,
            Folds::Splits(splits) => {
                check_splits(splits, labels.len())?;
                splits.clone()
            }
        };
        if splits.is_empty() {
            return Err(Error::parameter("cv", "at least one split", "none", "3 folds are usual"));
        }
        Ok(splits)
    }
}

/// Checks splits that somebody else has made, for this number of samples.
fn check_splits(splits: &[TrainTest], samples: usize) -> Result<()> {
    let mut indices = splits.iter().flat_map(|split| split.train.iter().chain(&split.test));
    if let Some(outside) = indices.find(|&&index| index >= samples) {
        return Err(Error::parameter(
            "cv",
            format!("indices below {samples}, the number of images searched"),
            outside,
            "make the splits for these very images",
        ));
    }
    for (number, TrainTest { train, test }) in splits.iter().enumerate() {
        if train.is_empty() || test.is_empty() {
            return Err(Error::parameter(
                "cv",
                "splits with images in both parts",
                format!("an empty part in split {}", number + 1),
                "each split needs images to learn from and images to be scored on",
            ));
        }
        let train: BTreeSet<&usize> = train.iter().collect();
        if let Some(shared) = test.iter().find(|index| train.contains(index)) {
            return Err(Error::parameter(
                "cv",
                "splits whose test part shares no image with their training part",
                format!("one with image {shared} in both"),
                "a score on images that were learnt from says nothing",
            ));
        }
    }
    Ok(())
}

fn check_n_splits(n_splits: usize, most: usize, what: &str) -> Result<()> {
    if (2..=most).contains(&n_splits) {
        return Ok(());
    }
    let expected = format!("between 2 and {most}, {what}");
    Err(Error::parameter("n_splits", expected, n_splits, "3 or 5 are usual"))
}

/// The indices of each class's samples, classes in the order in which they first occur.
fn in_order_of_appearance(labels: &[i64]) -> Vec<Vec<usize>> {
    let mut number_of = std::collections::BTreeMap::new();
    let mut classes: Vec<Vec<usize>> = Vec::new();
    for (index, &label) in labels.iter().enumerate() {
        let number = *number_of.entry(label).or_insert(classes.len());
        if number == classes.len() {
            classes.push(Vec::new());
        }
        classes[number].push(index);
    }
    classes
}

/// For each fold, its samples as the test part and all others as the train part.
fn parts(fold_of: &[usize], n_splits: usize) -> Vec<TrainTest> {
    (0..n_splits)
        .map(|fold| {
            let (test, train) = (0..fold_of.len()).partition(|&sample| fold_of[sample] == fold);
            TrainTest { train, test }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_folds_are_the_larger_ones() {
        let folds = KFold { n_splits: 3, shuffle: false, random_state: 0 }.split(8).unwrap();
        let tests: Vec<_> = folds.into_iter().map(|fold| fold.test).collect();
        assert_eq!(tests, [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7]]);
    }

    #[test]
    fn the_next_class_is_dealt_where_the_last_one_ended() {
        // Class 9 comes first: its three samples go to folds 0, 1, 0, and are assigned in ascending order of folds.
        let folds = StratifiedKFold { n_splits: 2, shuffle: false, random_state: 0 }
            .split(&[9, 9, 4, 9, 4, 4])
            .unwrap();
        assert_eq!(folds[0].test, [0, 1, 2]);
        assert_eq!(folds[1].test, [3, 4, 5]);
    }

    #[test]
    fn more_folds_than_samples_are_refused() {
        let text = KFold { n_splits: 4, ..KFold::default() }.split(3).unwrap_err().to_string();
        assert_eq!(
            text,
            "`n_splits` must be between 2 and 3, the number of samples, got 4; 3 or 5 are usual"
        );
    }

    #[test]
    fn a_single_fold_is_refused() {
        assert!(
            StratifiedKFold { n_splits: 1, ..StratifiedKFold::default() }
                .split(&[0, 0, 1, 1])
                .is_err()
        );
    }

    #[test]
    fn any_kind_of_splits_is_a_cv() {
        use crate::data::model_selection::TestSize;
        let labels: Vec<i64> = (0..20).map(|sample| sample % 2).collect();
        let (n_splits, test_size, random_state) = (3, TestSize::Count(4), 7);
        let plain = ShuffleSplit { n_splits, test_size, random_state };
        let stratified = StratifiedShuffleSplit { n_splits, test_size, random_state };
        let repeated = RepeatedStratifiedKFold { n_splits, n_repeats: 2, random_state };
        let kinds: [(Folds, Vec<TrainTest>); 3] = [
            (plain.into(), plain.split(20).unwrap()),
            (stratified.into(), stratified.split(&labels).unwrap()),
            (repeated.into(), repeated.split(&labels).unwrap()),
        ];
        for (folds, splits) in kinds {
            assert_eq!(folds.split(&labels).unwrap(), splits);
            let text = serde_json::to_string(&folds).unwrap();
            assert_eq!(serde_json::from_str::<Folds>(&text).unwrap(), folds);
        }
        let none: Folds = ShuffleSplit { n_splits: 0, ..plain }.into();
        let text = none.split(&labels).unwrap_err().to_string();
        assert!(text.starts_with("`cv` must be at least one split, got none"), "{text}");
        let text = RepeatedStratifiedKFold { n_repeats: 0, ..repeated }.split(&labels);
        assert!(text.unwrap_err().to_string().starts_with("`n_repeats` must be at least 1"));
        let empty = Folds::Splits(vec![TrainTest { train: vec![0, 1], test: Vec::new() }]);
        let text = empty.split(&labels).unwrap_err().to_string();
        assert!(text.contains("got an empty part in split 1"), "{text}");
    }
}
