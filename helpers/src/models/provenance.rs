//! What a model was trained on, and whether that fits a split.

use super::model::Model;
use super::trained_on::{Difference, TrainedOn};
use crate::data::Split;
use crate::error::{Error, Result};

impl Model {
    /// What this model was trained on, one record for each choice of images, in the order of the trainings. Nothing
    /// before the first, and nothing of pretrained weights. Who reads the `dataset` of a record may wait: see
    /// [`LazyDatasetInfo`](crate::data::LazyDatasetInfo).
    pub fn trained_on(&self) -> &[TrainedOn] {
        &self.trained_on
    }

    /// Checks that this model was trained on the training part of `split` and steered by its validation part, so that its
    /// test part is new to it, and that the classes are the same.
    ///
    /// # Errors
    /// If not, or if the model does not say what it was trained on; the message names what differs.
    pub fn check_trained_on(&self, split: &Split) -> Result<()> {
        match self.difference_from(split)? {
            None => Ok(()),
            Some(Difference { expected, found }) => Err(Error::parameter(
                "model",
                format!("trained on this very split, with {expected}"),
                found,
                "take the split it was trained on, or train it on this one",
            )),
        }
    }

    /// The first difference between the images and classes that this model was trained on and those of `split`.
    ///
    /// # Errors
    /// As [`Dataset::info`](crate::data::Dataset::info).
    pub(crate) fn difference_from(&self, split: &Split) -> Result<Option<Difference>> {
        split.train.dataset().check()?;
        let expected = TrainedOn::split(split);
        let Some(last) = self.trained_on.last() else {
            return Ok(Some(Difference {
                expected: "a record of its training images".to_owned(),
                found: "none".to_owned(),
            }));
        };
        // An earlier training on other images of the same data may have seen those that test now.
        let same_data = |record: &&TrainedOn| record.dataset.x_sha256 == expected.dataset.x_sha256;
        let earlier = self.trained_on.iter().filter(same_data);
        Ok(std::iter::once(last).chain(earlier).find_map(|record| record.difference(&expected)))
    }

    /// Records the images of a training that begins. Returns a warning if the model was trained on other images of the same
    /// data set before. Waits for the hash of `X.npy` only if there is an earlier record to compare with.
    pub(crate) fn will_be_trained_on(&mut self, record: TrainedOn) -> Option<String> {
        if self.trained_on.contains(&record) {
            return None;
        }
        let same_data = |earlier: &TrainedOn| earlier.dataset.x_sha256 == record.dataset.x_sha256;
        let note = self.trained_on.iter().any(same_data).then(|| {
            "this model was trained on other images of this data set before; some of them may be in the test part \
             now, whose scores then say nothing: build the model anew"
                .to_owned()
        });
        self.trained_on.push(record);
        note
    }
}
