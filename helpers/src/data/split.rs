//! Train, validation and test parts of a data set, index for index those of scikit-learn's `train_test_split`.
//!
//! Start at [`Dataset::split`], which takes the test part first and the validation part from what is left.

use serde::{Deserialize, Serialize};

use super::dataset::{Dataset, count_classes};
use super::file_errors::quoted;
use super::images::ImageShape;
use super::model_selection::{Draw, TestSize, split_named};
use super::subset::Subset;
use crate::error::{Error, Result};

/// How a data set is split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SplitConfig {
    /// Share of all images kept for the test, above 0 and below 1.
    #[serde(alias = "test")]
    pub test_size: f64,
    /// Share of the images left after the test part that validates, above 0 and below 1.
    #[serde(alias = "validation")]
    pub validation_size: f64,
    /// Seed of both draws; below 2^32.
    #[serde(alias = "seed")]
    pub random_state: u64,
    /// True to give each part the classes in the proportions of the whole.
    pub stratify: bool,
}

impl Default for SplitConfig {
    fn default() -> Self {
        SplitConfig { test_size: 0.12, validation_size: 0.12, random_state: 42, stratify: true }
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

impl Dataset {
    /// Test, validation and train parts; see [`Split::new`].
    ///
    /// # Errors
    /// As [`Split::new`].
    pub fn split(&self, config: SplitConfig) -> Result<Split> {
        Split::new(self, config)
    }
}

impl Split {
    /// The data set that was split.
    pub fn dataset(&self) -> &Dataset {
        self.train.dataset()
    }

    /// Height, width and channels of each image.
    pub fn image_shape(&self) -> ImageShape {
        self.dataset().image_shape()
    }

    /// How many classes there are.
    pub fn classes(&self) -> usize {
        self.dataset().classes()
    }

    /// The name of each class.
    pub fn class_names(&self) -> &[String] {
        self.dataset().class_names()
    }

    /// Splits with `train_test_split(X, y, test_size=test_size)`, then again with `validation_size` on the remaining
    /// images, both with `random_state`, and with `stratify=y` if `config.stratify`.
    ///
    /// # Errors
    /// If a share is not inside (0, 1), a part would be empty, a stratified part would lack a class, or `random_state`
    /// does not fit into 32 bits.
    pub fn new(dataset: &Dataset, config: SplitConfig) -> Result<Split> {
        let draw = if config.stratify { Draw::Stratified } else { Draw::Shuffled };
        let draw_part = |name, labels: &[i64], share| {
            if config.stratify {
                check_rarest(dataset, labels)?;
            }
            split_named(name, labels, TestSize::Share(share), draw, config.random_state)
        };
        let labels = dataset.labels();
        let outer = draw_part("test_size", labels, config.test_size)?;
        let rest: Vec<i64> = outer.train.iter().map(|&index| labels[index]).collect();
        let inner = draw_part("validation_size", &rest, config.validation_size)?;
        let of_rest = |indices: Vec<usize>| indices.into_iter().map(|index| outer.train[index]);
        Ok(Split {
            train: dataset.subset(of_rest(inner.train).collect())?,
            validation: dataset.subset(of_rest(inner.test).collect())?,
            test: dataset.subset(outer.test)?,
            config,
        })
    }
}

/// Refuses a class with a single image among `labels`, which are all labels or those that the test part left.
fn check_rarest(dataset: &Dataset, labels: &[i64]) -> Result<()> {
    let counts = count_classes(labels.iter().copied(), dataset.classes());
    let Some(rare) = counts.iter().position(|&count| count == 1) else { return Ok(()) };
    let after = if labels.len() < dataset.len() { " left after the test part" } else { "" };
    let got = format!(
        "one image of class {} among the {} images{after}",
        quoted(&dataset.class_names()[rare]),
        labels.len()
    );
    let advice = match dataset.is_sample() {
        true => "take a larger `sample` (0 takes all images), or do not stratify",
        false => "leave that class out, add images, or do not stratify",
    };
    let expected = "used with at least two images of each class";
    Err(Error::parameter("stratify", expected, got, advice))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::test_files::images_of;

    /// Six images of class 0, four of class 1.
    fn ten_images() -> (tempfile::TempDir, Dataset) {
        images_of(&[0, 10, 20, 30, 40, 50, 60, 70, 80, 90], &[0, 1, 0, 0, 1, 0, 1, 0, 1, 0])
    }

    #[test]
    fn the_three_parts_of_a_split_share_no_image() {
        let (_folder, dataset) = ten_images();
        let split = dataset
            .split(SplitConfig { test_size: 0.2, validation_size: 0.25, ..SplitConfig::default() })
            .unwrap();
        assert_eq!([split.train.len(), split.validation.len(), split.test.len()], [6, 2, 2]);
        let mut all =
            [split.train.indices(), split.validation.indices(), split.test.indices()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        assert_eq!(split.test.class_counts(), [1, 1]);
        assert_eq!(
            format!("{split:?}"),
            "Split: 6 train, 2 validation, 2 test images (seed 42, stratified)"
        );
    }

    #[test]
    fn a_share_that_cannot_be_is_named_as_the_setting_it_is() {
        let (_folder, dataset) = ten_images();
        let config = SplitConfig { test_size: 0.2, validation_size: 1.2, ..SplitConfig::default() };
        let text = dataset.split(config).unwrap_err().to_string();
        assert_eq!(text, "`validation_size` must be above 0 and below 1, got 1.2; 0.12 keeps 12%");
    }

    /// 40 cats, 40 dogs and as many lynxes as asked for.
    fn with_lynxes(lynxes: usize) -> (tempfile::TempDir, Dataset) {
        let labels = [vec![0; 40], vec![1; 40], vec![2; lynxes]].concat();
        let (folder, _) = images_of(&vec![7; labels.len()], &labels);
        std::fs::write(folder.path().join("classes.txt"), "cat\ndog\nlynx\n").unwrap();
        let dataset = Dataset::load(folder.path()).unwrap();
        (folder, dataset)
    }

    #[test]
    fn a_class_that_a_sample_leaves_one_image_of_is_named_with_the_sample() {
        let (_folder, dataset) = with_lynxes(5);
        let sample = dataset.take_stratified(12, 1).unwrap();
        assert_eq!(sample.class_counts()[2], 1);
        assert_eq!(
            sample.split(SplitConfig::default()).unwrap_err().to_string(),
            "`stratify` must be used with at least two images of each class, got one image of class \"lynx\" among the \
             12 images; take a larger `sample` (0 takes all images), or do not stratify"
        );
        assert!(dataset.split(SplitConfig::default()).is_ok());
    }

    #[test]
    fn a_class_that_the_test_part_leaves_one_image_of_is_named() {
        let (_folder, dataset) = with_lynxes(2);
        let config = SplitConfig { test_size: 0.5, ..SplitConfig::default() };
        assert_eq!(
            dataset.split(config).unwrap_err().to_string(),
            "`stratify` must be used with at least two images of each class, got one image of class \"lynx\" among the \
             41 images left after the test part; leave that class out, add images, or do not stratify"
        );
    }

    #[test]
    fn settings_saved_under_their_older_names_can_be_read() {
        let text = r#"{"test":0.2,"validation":0.25,"seed":7,"stratify":false}"#;
        let config: SplitConfig = serde_json::from_str(text).unwrap();
        let expected =
            SplitConfig { test_size: 0.2, validation_size: 0.25, random_state: 7, stratify: false };
        assert_eq!(config, expected);
    }
}
