//! Calibration: how far probabilities differ from the accuracy they promise, and temperature scaling, which corrects them.
//!
//! Start at [`Model::calibrate`], or at [`Calibration::new`] if the probabilities are already computed.

use std::fmt;

use ndarray::{Array2, ArrayView1};

use super::metrics::{argmax, check_classes, check_lengths};
use crate::data::Split;
use crate::error::{Error, Result};
use crate::models::{Model, Probabilities};

/// The images whose prediction has a probability in one range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CalibrationBin {
    /// The range: above `low`, up to `high` (from 0 on in the first one).
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// How many images they are.
    pub images: usize,
    /// Mean probability of their predictions, in 0..=1; not a number without images.
    pub confidence: f64,
    /// Share of them that are right, in 0..=1; NaN without images.
    pub accuracy: f64,
}

/// How well the probability of a prediction agrees with the accuracy of such predictions.
#[derive(Clone, PartialEq)]
pub struct Calibration {
    /// Ranges of equal width, the lowest first.
    pub bins: Vec<CalibrationBin>,
    /// Expected calibration error, in 0..=1: the mean distance between probability and accuracy, each range weighted by
    /// its images.
    pub ece: f64,
    /// Mean probability of the predictions minus their accuracy: above 0 the model promises too much.
    pub overconfidence: f64,
}

impl Calibration {
    /// Puts the images into `bins` ranges by the probability of their prediction; Guo et al. (2017), "On Calibration of
    /// Modern Neural Networks", take 15, as torchmetrics' `MulticlassCalibrationError` does.
    ///
    /// - `probabilities`: shape `(N, classes)`, rows that add up to 1
    /// - `y_true`: class ids in `0..classes`, shape `(N,)`
    ///
    /// # Errors
    /// If `bins` is 0, there is no image, the lengths differ, a class lies outside `0..classes`, or a row does not add up
    /// to 1.
    pub fn new(probabilities: &Array2<f32>, y_true: &[i64], bins: usize) -> Result<Calibration> {
        if bins == 0 {
            return Err(Error::parameter("bins", "at least 1", bins, "15 are usual"));
        }
        let y_pred = checked(probabilities, y_true)?;
        // Per bin: images, sum of probabilities, number of right predictions.
        let mut sums = vec![(0, 0.0, 0); bins];
        for (image, (&predicted, truth)) in y_pred.iter().zip(y_true).enumerate() {
            let confidence = f64::from(probabilities[(image, predicted as usize)]).min(1.0);
            // A probability on the border of two bins belongs to the lower one.
            let bin = (confidence * bins as f64).ceil().max(1.0) as usize - 1;
            let (images, sum, right) = &mut sums[bin.min(bins - 1)];
            *images += 1;
            *sum += confidence;
            *right += usize::from(&predicted == truth);
        }
        let all = y_true.len() as f64;
        let gap = |&(_, sum, right): &(usize, f64, usize)| (sum - right as f64) / all;
        let (ece, overconfidence) =
            (sums.iter().map(|bin| gap(bin).abs()).sum(), sums.iter().map(gap).sum());
        let bin = |(index, (images, sum, right)): (usize, (usize, f64, usize))| CalibrationBin {
            low: index as f64 / bins as f64,
            high: (index + 1) as f64 / bins as f64,
            images,
            confidence: sum / images as f64,
            accuracy: right as f64 / images as f64,
        };
        Ok(Calibration {
            bins: sums.into_iter().enumerate().map(bin).collect(),
            ece,
            overconfidence,
        })
    }

    /// How many images there are.
    pub fn images(&self) -> usize {
        self.bins.iter().map(|bin| bin.images).sum()
    }
}

impl fmt::Debug for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bins, images) = (self.bins.len(), self.images());
        write!(f, "Calibration: ECE {:.4} in {bins} bins, {images} images", self.ece)
    }
}

/// A single number by which all outputs of a network are divided before the softmax, to calibrate its probabilities.
/// The most probable class does not change (Guo et al. 2017).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TemperatureScaling {
    /// The divisor of the outputs: above 1 the probabilities become less extreme, below 1 more.
    pub temperature: f64,
    /// Mean loss on the fitted images without the temperature, in nats.
    pub loss_before: f64,
    /// The same with the temperature: the least that any reaches.
    pub loss_after: f64,
}

/// Range of the temperatures that are searched.
const TEMPERATURES: [f64; 2] = [0.05, 20.0];

impl TemperatureScaling {
    /// Finds the temperature with the lowest loss on these images, which should be the validation part.
    ///
    /// The loss is convex in the inverse temperature; bisection finds the zero of its slope.
    ///
    /// - `probabilities`: shape `(N, classes)`, rows that add up to 1
    /// - `y_true`: class ids in `0..classes`, shape `(N,)`
    ///
    /// # Errors
    /// If there is no image, the lengths differ, a class lies outside `0..classes`, or a row does not add up to 1.
    pub fn fit(probabilities: &Array2<f32>, y_true: &[i64]) -> Result<TemperatureScaling> {
        checked(probabilities, y_true)?;
        let rows: Vec<(Vec<f64>, usize)> = probabilities
            .rows()
            .into_iter()
            .zip(y_true)
            .map(|(row, &class)| (logits(row), class as usize))
            .collect();
        let mean = |value: &dyn Fn(&[f64], usize) -> f64| {
            rows.iter().map(|(row, class)| value(row, *class)).sum::<f64>() / rows.len() as f64
        };
        let slope = |inverse: f64| {
            mean(&|row, class| {
                let shares = softmax(row, inverse);
                row.iter().zip(shares).map(|(logit, share)| logit * share).sum::<f64>() - row[class]
            })
        };
        let loss = |inverse: f64| mean(&|row, class| -softmax(row, inverse)[class].ln());
        let [mut low, mut high] = [1.0 / TEMPERATURES[1], 1.0 / TEMPERATURES[0]];
        for _ in 0..60 {
            let middle = (low * high).sqrt();
            if slope(middle) < 0.0 { low = middle } else { high = middle }
        }
        let inverse = (low * high).sqrt();
        Ok(TemperatureScaling {
            temperature: 1.0 / inverse,
            loss_before: loss(1.0),
            loss_after: loss(inverse),
        })
    }

    /// These probabilities with the temperature, `(N, classes)`.
    ///
    /// # Errors
    /// If a row does not add up to 1.
    pub fn apply(&self, probabilities: &Array2<f32>) -> Result<Probabilities> {
        argmax(probabilities)?;
        let mut scaled = probabilities.clone();
        for mut row in scaled.rows_mut() {
            let shares = softmax(&logits(row.view()), 1.0 / self.temperature);
            row.iter_mut().zip(shares).for_each(|(value, share)| *value = share as f32);
        }
        Ok(Probabilities::new(scaled))
    }
}

/// A model's calibration on the test part, as it is and with a temperature fitted on the validation part.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibrated {
    /// The temperature.
    pub scaling: TemperatureScaling,
    /// Calibration of the model's probabilities.
    pub before: Calibration,
    /// Calibration of those probabilities with the temperature.
    pub after: Calibration,
}

impl Model {
    /// Fits a temperature on the validation part and measures its effect on the test part, in 15 bins: see
    /// [`Calibration`] and [`TemperatureScaling`].
    ///
    /// # Errors
    /// As [`Model::evaluate`].
    pub fn calibrate(&self, split: &Split) -> Result<Calibrated> {
        const BINS: usize = 15;
        self.check_classes(&split.test)?;
        let validation = self.predict(&split.validation)?;
        let scaling = TemperatureScaling::fit(&validation, &split.validation.labels())?;
        let (probabilities, y_true) = (self.predict(&split.test)?, split.test.labels());
        let before = Calibration::new(&probabilities, &y_true, BINS)?;
        let scaled = scaling.apply(&probabilities)?;
        let after = Calibration::new(&scaled, &y_true, BINS)?;
        Ok(Calibrated { scaling, before, after })
    }
}

/// The predicted classes, after the checks that every score makes.
fn checked(probabilities: &Array2<f32>, y_true: &[i64]) -> Result<Vec<i64>> {
    check_lengths(y_true.len(), probabilities.nrows())?;
    check_classes(y_true, probabilities.ncols())?;
    argmax(probabilities)
}

/// The logits as logarithms of the probabilities, which are the same up to a constant; a probability of 0 becomes the
/// smallest number of `f32`.
fn logits(row: ArrayView1<'_, f32>) -> Vec<f64> {
    row.iter().map(|&value| f64::from(value.max(f32::MIN_POSITIVE)).ln()).collect()
}

fn softmax(logits: &[f64], inverse_temperature: f64) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> =
        logits.iter().map(|logit| (inverse_temperature * (logit - most)).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_error_is_the_distance_of_each_bin_weighted_by_its_images() {
        // Up to a half: 0.4 and 0.5, one right; above: 0.9, 0.9, both right.
        let probabilities =
            array![[0.4_f32, 0.3, 0.3], [0.5, 0.5, 0.0], [0.05, 0.9, 0.05], [0.9, 0.1, 0.0]];
        let found = Calibration::new(&probabilities, &[0, 1, 1, 0], 2).unwrap();
        let [low, high] = [found.bins[0], found.bins[1]];
        assert_eq!((low.low, low.high, low.images, low.accuracy), (0.0, 0.5, 2, 0.5));
        assert!((low.confidence - 0.45).abs() < 1e-6 && (high.confidence - 0.9).abs() < 1e-6);
        assert_eq!((high.images, high.accuracy, found.images()), (2, 1.0, 4));
        assert!((found.ece - (0.5 * 0.05 + 0.5 * 0.1)).abs() < 1e-6, "{}", found.ece);
        assert!((found.overconfidence + 0.075).abs() < 1e-6, "{}", found.overconfidence);
        // A sure prediction is in the last bin, and an empty one has no mean.
        let sure = Calibration::new(&array![[1.0_f32, 0.0]], &[1], 3).unwrap();
        assert_eq!((sure.bins[2].images, sure.ece, sure.overconfidence), (1, 1.0, 1.0));
        assert!(sure.bins[0].accuracy.is_nan());
    }

    /// Three of four are right at a promise of 0.9 each: the best temperature makes it 3/4, for which the odds of 9 must
    /// become 3: its logarithm is halved.
    #[test]
    fn the_temperature_makes_the_promise_true() {
        let probabilities = array![[0.9_f32, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.1]];
        let scaling = TemperatureScaling::fit(&probabilities, &[0, 0, 1, 1]).unwrap();
        assert!((scaling.temperature - 2.0).abs() < 1e-6, "{scaling:?}");
        let expected = -(3.0 * 0.75_f64.ln() + 0.25_f64.ln()) / 4.0;
        assert!((scaling.loss_after - expected).abs() < 1e-9, "{scaling:?}");
        let scaled = scaling.apply(&probabilities).unwrap();
        assert!((scaled[(0, 0)] - 0.75).abs() < 1e-6 && (scaled[(2, 1)] - 0.75).abs() < 1e-6);
    }

    /// `reference/looking.json`: torchmetrics' error, and the temperature that PyTorch's LBFGS and SciPy find.
    #[test]
    fn error_and_temperature_agree_with_pytorch() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/looking.json");
        let text = std::fs::read_to_string(path).unwrap();
        let reference = &serde_json::from_str::<serde_json::Value>(&text).unwrap()["calibration"];
        let labels: Vec<i64> = serde_json::from_value(reference["labels"].clone()).unwrap();
        let rows = reference["probabilities"].as_array().unwrap();
        let value = |(row, class): (usize, usize)| rows[row][class].as_f64().unwrap() as f32;
        let probabilities = Array2::from_shape_fn((labels.len(), 4), value);
        let near = |name: &str, found: f64, tolerance: f64| {
            let expected = reference[name].as_f64().unwrap();
            assert!((found - expected).abs() < tolerance, "{name}: {found}, not {expected}");
        };
        near("ece", Calibration::new(&probabilities, &labels, 15).unwrap().ece, 1e-9);
        let scaling = TemperatureScaling::fit(&probabilities, &labels).unwrap();
        near("temperature", scaling.temperature, 1e-5);
        near("loss", scaling.loss_after, 1e-9);
    }

    #[test]
    fn a_model_without_mistakes_has_a_temperature_too() {
        let scaling = TemperatureScaling::fit(&array![[1.0_f32, 0.0]], &[0]).unwrap();
        assert!(scaling.temperature.is_finite() && scaling.loss_after.is_finite());
        let text = Calibration::new(&array![[1.0_f32, 0.0]], &[0], 0).unwrap_err().to_string();
        assert!(text.contains("`bins` must be at least 1, got 0"), "{text}");
        let text = TemperatureScaling::fit(&array![[1.0_f32, 0.0]], &[0, 1]).unwrap_err();
        assert!(text.to_string().starts_with("2 labels, 1 predictions"), "{text}");
    }
}
