//! Scores of a trained model.

use super::metrics::{Evaluation, argmax};
use crate::data::Subset;
use crate::error::Result;
use crate::models::Model;

impl Model {
    /// Class ids, `(N,)`: the class with the highest probability, the first of equals.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict_classes(&self, images: &Subset) -> Result<Vec<i64>> {
        let probabilities = self.predict(images)?;
        argmax(&probabilities)
    }

    /// Loss and accuracy on `images`, with the accuracy's 95% interval.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn evaluate(&self, images: &Subset) -> Result<Evaluation> {
        self.check_classes(images)?;
        let probabilities = self.predict(images)?;
        Evaluation::from_probabilities(&probabilities, &images.labels())
    }
}
