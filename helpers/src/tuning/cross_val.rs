//! Predictions for all images, each by a model that was not trained on it; and accuracy against the number of training
//! images.

use std::fmt;

use ndarray::Array2;

use super::folds::StratifiedKFold;
use crate::data::model_selection::{Draw, TestSize, train_test_split};
use crate::data::{Split, Subset};
use crate::error::{Error, Result};
use crate::evaluation::Evaluation;
use crate::models::{Probabilities, Sequential};
use crate::text::{counted, thousands};
use crate::training::FitConfig;
use crate::training::callbacks::Trainings;

/// Class probabilities of each image, shape `(N, classes)`, by a network that was trained on the other folds:
/// scikit-learn's `cross_val_predict(method="predict_proba")`.
///
/// Early stopping uses 12% of each fold's training images. One line is printed per fold.
///
/// # Errors
/// If the images cannot be divided so, or as [`Model::fit`](crate::models::Model::fit).
pub fn cross_val_predict(
    network: &Sequential,
    images: &Subset,
    folds: StratifiedKFold,
    config: &FitConfig,
) -> Result<Probabilities> {
    let labels = images.labels();
    let classes = images.dataset().classes();
    let mut all = Array2::zeros((images.len(), classes));
    let parts = folds.split(&labels)?;
    let mut trainings = Trainings::new(parts.len());
    for (number, fold) in parts.iter().enumerate() {
        let known: Vec<i64> = fold.train.iter().map(|&position| labels[position]).collect();
        let (share, draw) = (TestSize::Share(0.12), Draw::Stratified);
        let steered = train_test_split(&known, share, draw, folds.random_state)?;
        let of_known = |positions: &[usize]| -> Vec<usize> {
            positions.iter().map(|&position| fold.train[position]).collect()
        };
        let split = Split {
            train: part(images, &of_known(&steered.train))?,
            validation: part(images, &of_known(&steered.test))?,
            test: part(images, &fold.test)?,
            config: Default::default(),
        };
        let mut model = network.clone().build(config.seed)?;
        let history = model.fit_with(&split, config.clone(), trainings.callbacks())?;
        let probabilities = model.predict(&split.test)?;
        if probabilities.ncols() != classes {
            let found = format!("{} outputs", probabilities.ncols());
            return Err(Error::DataShape { expected: format!("{classes} classes"), found });
        }
        for (row, &position) in probabilities.rows().into_iter().zip(&fold.test) {
            all.row_mut(position).assign(&row);
        }
        let scored = Evaluation::from_probabilities(&probabilities, &split.test.labels())?;
        trainings.ended(&format!(
            "fold {} of {}: accuracy {:.2}% on {} images that were left out, best epoch {} of {}",
            number + 1,
            parts.len(),
            100.0 * scored.accuracy,
            thousands(scored.images),
            history.best_epoch,
            history.epochs_run()
        ));
    }
    trainings.finish();
    Ok(Probabilities::new(all))
}

fn part(images: &Subset, positions: &[usize]) -> Result<Subset> {
    images.dataset().subset(positions.iter().map(|&position| images.indices()[position]).collect())
}

/// Accuracy against the number of training images.
#[derive(Clone, PartialEq)]
pub struct LearningCurve {
    /// Numbers of training images, as given.
    pub train_sizes: Vec<usize>,
    /// Scores on the validation part, one for each number.
    pub validation: Vec<Evaluation>,
    /// How long each training took.
    pub fit_seconds: Vec<f64>,
}

/// Trains the network from new weights once for each number of training images, drawn so that the classes keep their
/// proportions, and scores it on the validation part: scikit-learn's `learning_curve` on one split. The validation part
/// also steers early stopping, at every size. The test part is not used.
///
/// - `train_sizes`: numbers of images, sorted and without repeats, as in scikit-learn; a number larger than the
///   training part means all of it
///
/// # Errors
/// If there is no size, one is too small to hold two images of each class, or as
/// [`Model::fit`](crate::models::Model::fit).
pub fn learning_curve(
    network: &Sequential,
    split: &Split,
    train_sizes: &[usize],
    config: &FitConfig,
) -> Result<LearningCurve> {
    if train_sizes.is_empty() {
        let advice = "such as [500, 2000, 8000, 32000]";
        return Err(Error::parameter("train_sizes", "at least one number", "none", advice));
    }
    let mut sizes: Vec<usize> =
        train_sizes.iter().map(|&size| size.min(split.train.len())).collect();
    sizes.sort_unstable();
    sizes.dedup();
    // All are drawn before the first training, so that a size which is refused costs none.
    let labels = split.train.labels();
    let draw = |size: usize| -> Result<Subset> {
        if size == split.train.len() {
            return Ok(split.train.clone());
        }
        let rest = TestSize::Count(split.train.len() - size);
        let drawn = train_test_split(&labels, rest, Draw::Stratified, config.seed)?;
        part(&split.train, &drawn.train)
    };
    let parts = sizes.into_iter().map(draw).collect::<Result<Vec<Subset>>>()?;
    let mut curve =
        LearningCurve { train_sizes: Vec::new(), validation: Vec::new(), fit_seconds: Vec::new() };
    let mut trainings = Trainings::new(parts.len());
    for train in parts {
        let few = Split { train, ..split.clone() };
        let mut model = network.clone().build(config.seed)?;
        let history = model.fit_with(&few, config.clone(), trainings.callbacks())?;
        let scored = model.evaluate(&split.validation)?;
        trainings.ended(&format!(
            "{} training images: validation accuracy {:.2}%, {} in {:.0} s",
            thousands(few.train.len()),
            100.0 * scored.accuracy,
            counted(history.epochs_run(), "epoch"),
            history.fit_seconds
        ));
        curve.train_sizes.push(few.train.len());
        curve.validation.push(scored);
        curve.fit_seconds.push(history.fit_seconds);
    }
    trainings.finish();
    Ok(curve)
}

impl fmt::Debug for LearningCurve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LearningCurve: {} sizes", self.train_sizes.len())
    }
}
