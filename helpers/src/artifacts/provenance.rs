//! Checks that a result in the folder belongs to the current split: another notebook may have made it from other
//! images.

use super::folder::{Artifacts, made_by, scored_by};
use super::metrics::{Metrics, SplitSizes};
use super::predictions::Predictions;
use crate::data::Split;
use crate::models::Model;
use crate::models::trained_on::Difference;
use crate::{Error, Result};

impl Artifacts {
    /// The model with this name, trained on this same split, so that it has not seen the test part.
    ///
    /// # Errors
    /// If the file is missing or broken, or the model was trained on other images or for other classes: the error says
    /// what differs, and names the notebook that makes it.
    pub fn load_model(&self, name: &str, split: &Split) -> Result<Model> {
        let path = self.find_model(name)?;
        let model = Model::load(&path)?;
        let Some(Difference { expected, found }) = model.difference_from(split)? else {
            return Ok(model);
        };
        let made_by = made_by(name);
        let advice = match model.trained_on() {
            [] => format!("run {made_by} again"),
            _ => advice(&made_by),
        };
        let expected = format!("a model trained on this very split, with {expected}");
        Err(Error::File { path, expected, found, advice })
    }
}

impl Metrics {
    /// These metrics, if their model was trained on this same split.
    ///
    /// # Errors
    /// If not: the error says what differs, and names the notebook that makes them.
    pub fn check_split(self, split: &Split) -> Result<Metrics> {
        let expected = Metrics::new(&self.name, split, split.config.random_state, self.quick)?
            .config("split", &split.config)?;
        let sizes = |metrics: &Metrics| {
            let SplitSizes { train, validation, test } = metrics.split;
            format!("parts of {train}, {validation} and {test} images")
        };
        let of_settings = || {
            let [found, expected] = [&self, &expected].map(|metrics| metrics.config.get("split"));
            Difference::of_settings(found?, expected?)
        };
        let of_sizes = || {
            (self.split != expected.split)
                .then(|| Difference { expected: sizes(&expected), found: sizes(&self) })
        };
        let difference = Difference::of_data(&self.dataset, &expected.dataset)
            .or_else(of_settings)
            .or_else(of_sizes);
        match difference {
            None => Ok(self),
            Some(difference) => Err(of_another_split("metrics", difference, &made_by(&self.name))),
        }
    }
}

impl Predictions {
    /// These predictions, if they are for the test part of this split.
    ///
    /// # Errors
    /// If not: the error names the notebook that makes them.
    pub fn check_split(self, split: &Split) -> Result<Predictions> {
        let expected = Predictions::new(&self.name, &split.test, &split.test.labels(), self.quick)?;
        let of_images = || {
            let images = |it: &Predictions| (it.images_sha256.clone(), it.y_true.clone());
            (images(&self) != images(&expected)).then(|| Difference {
                expected: "its test images".to_owned(),
                found: "those for other images".to_owned(),
            })
        };
        match Difference::of_classes(&self.class_names, &expected.class_names).or_else(of_images) {
            None => Ok(self),
            Some(difference) => {
                Err(of_another_split("predictions", difference, &scored_by(&self.name)))
            }
        }
    }
}

fn of_another_split(name: &'static str, difference: Difference, made_by: &str) -> Error {
    let Difference { expected, found } = difference;
    let expected = format!("those of this very split, with {expected}");
    Error::parameter(name, expected, found, advice(made_by))
}

fn advice(made_by: &str) -> String {
    format!(
        "give this notebook the `data`, `sample` and `seed` of {made_by}, or run {made_by} again with those of this one"
    )
}
