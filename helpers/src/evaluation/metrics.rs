//! Loss and accuracy over a set of images, with the accuracy's interval.

use std::fmt;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Loss and accuracy of one model on one set of images.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// How many images were scored.
    pub images: usize,
    /// Mean negative logarithm of the true class's probability (log loss, in nats).
    pub loss: f64,
    /// The part of the images whose most probable class is the true one, in 0..=1.
    pub accuracy: f64,
    /// The accuracy's 95% confidence interval by Wilson: low and high.
    pub accuracy_ci95: [f64; 2],
}

impl Evaluation {
    /// Scores predicted probabilities, as scikit-learn's `log_loss` and `accuracy_score` do.
    ///
    /// Each image has the same weight, whatever the batches were. Probabilities are clipped to at least `f32::EPSILON`,
    /// so that a confident mistake costs 15.9 and not infinity; of equally probable classes the lowest id is the
    /// prediction.
    ///
    /// - `probabilities`: shape `(N, classes)`, rows that add up to 1
    /// - `y_true`: class ids in `0..classes`, shape `(N,)`
    ///
    /// # Errors
    /// If there is no image, if the lengths differ, if a class lies outside `0..classes`, or if a row does
    /// not add up to 1.
    pub fn from_probabilities(probabilities: &Array2<f32>, y_true: &[i64]) -> Result<Evaluation> {
        let (images, classes) = probabilities.dim();
        check_lengths(y_true.len(), images)?;
        check_classes(y_true, classes)?;
        let y_pred = argmax(probabilities)?;
        let mut loss = 0.0;
        for (row, &class) in probabilities.rows().into_iter().zip(y_true) {
            loss -= f64::from(row[class as usize]).clamp(f64::from(f32::EPSILON), 1.0).ln();
        }
        let correct = y_true.iter().zip(&y_pred).filter(|(t, p)| t == p).count();
        Ok(Evaluation {
            images,
            loss: loss / images as f64,
            accuracy: correct as f64 / images as f64,
            accuracy_ci95: wilson_interval(correct, images),
        })
    }
}

impl fmt::Debug for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Evaluation { images, loss, accuracy, .. } = self;
        write!(f, "Evaluation: loss {loss:.4}, accuracy {accuracy:.4} on {images} images")
    }
}

/// Wilson's 95% interval (1927) for a proportion: low and high, in 0..=1.
///
/// Unlike the textbook interval it stays inside 0..=1 and keeps its promise for proportions near 1. With `n` 0 nothing
/// is known: `[0, 1]`.
pub fn wilson_interval(successes: usize, n: usize) -> [f64; 2] {
    if n == 0 {
        return [0.0, 1.0];
    }
    // The normal distribution's 97.5% point.
    let z = 1.959_963_984_540_054_f64;
    let n_images = n as f64;
    let p = successes.min(n) as f64 / n_images;
    let shrink = 1.0 + z * z / n_images;
    let centre = (p + z * z / (2.0 * n_images)) / shrink;
    let half = z / shrink * (p * (1.0 - p) / n_images + z * z / (4.0 * n_images * n_images)).sqrt();
    let low = if successes == 0 { 0.0 } else { (centre - half).max(0.0) };
    let high = if successes >= n { 1.0 } else { (centre + half).min(1.0) };
    [low, high]
}

/// The most probable class of each row; of equally probable ones the lowest id.
///
/// # Errors
/// If a row holds something else than probabilities that add up to 1.
pub fn argmax(probabilities: &Array2<f32>) -> Result<Vec<i64>> {
    let rows = probabilities.rows().into_iter().enumerate();
    rows.map(|(image, row)| {
        let mut best = 0;
        let mut total = 0.0;
        for (class, &probability) in row.iter().enumerate() {
            // The test also fails for NaN.
            if !(0.0..=1.0 + ROUNDING).contains(&probability) {
                return Err(Error::Probabilities {
                    image,
                    found: format!("{probability} for class {class}"),
                });
            }
            total += probability;
            if probability > row[best] {
                best = class;
            }
        }
        if (total - 1.0).abs() > ROUNDING {
            return Err(Error::Probabilities { image, found: format!("the sum {total}") });
        }
        Ok(best as i64)
    })
    .collect()
}

/// The part of the images whose true class is among the `k` most probable ones: scikit-learn's `top_k_accuracy_score`.
///
/// Of equally probable classes the higher id comes first, as in scikit-learn. The result is in 0..=1, and 1 if `k` is
/// the number of classes or more.
///
/// - `y_true`: class ids in `0..classes`, shape `(N,)`
/// - `probabilities`: shape `(N, classes)`
///
/// # Errors
/// If `k` is 0, there is no image, the lengths differ, a class lies outside `0..classes`, or a row holds something else than
/// probabilities that add up to 1.
pub fn top_k_accuracy(y_true: &[i64], probabilities: &Array2<f32>, k: usize) -> Result<f64> {
    let (images, classes) = probabilities.dim();
    if k == 0 {
        return Err(Error::parameter("k", "at least 1", k, "3 asks for the three most probable"));
    }
    check_lengths(y_true.len(), images)?;
    check_classes(y_true, classes)?;
    argmax(probabilities)?;
    let rows = probabilities.rows().into_iter().zip(y_true);
    let found = rows.filter(|(row, class)| {
        let class = **class as usize;
        let before =
            |other: usize| row[other] > row[class] || (row[other] == row[class] && other > class);
        (0..classes).filter(|&other| before(other)).count() < k
    });
    Ok(found.count() as f64 / images as f64)
}

/// How far the sum of a row may be from 1, for the rounding of `f32` and bfloat16.
const ROUNDING: f32 = 0.01;

/// Checks that there is one prediction per label, and at least one.
pub(crate) fn check_lengths(labels: usize, predictions: usize) -> Result<()> {
    if labels != predictions {
        return Err(Error::PredictionCount { labels, predictions });
    }
    if labels == 0 {
        return Err(Error::NothingToScore);
    }
    Ok(())
}

/// Checks that every id is in `0..classes`.
pub(crate) fn check_classes(ids: &[i64], classes: usize) -> Result<()> {
    match ids.iter().enumerate().find(|&(_, &class)| class < 0 || class as u64 >= classes as u64) {
        Some((image, &class)) => Err(Error::ClassOutOfRange { image, class, classes }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_mean_is_over_images() {
        let probabilities = array![[0.5_f32, 0.5], [0.25, 0.75], [0.75, 0.25]];
        let scored = Evaluation::from_probabilities(&probabilities, &[0, 1, 1]).unwrap();
        let expected = -(0.5_f64.ln() + 0.75_f64.ln() + 0.25_f64.ln()) / 3.0;
        assert!((scored.loss - expected).abs() < 1e-12);
        // Of two equally probable classes the lower id is taken.
        assert_eq!((scored.images, scored.accuracy), (3, 2.0 / 3.0));
        assert_eq!(scored.accuracy_ci95, wilson_interval(2, 3));
    }

    #[test]
    fn the_true_class_is_among_the_first_k() {
        let probabilities = array![[0.5_f32, 0.3, 0.2], [0.2, 0.3, 0.5], [0.4, 0.4, 0.2]];
        let top = |k| top_k_accuracy(&[1, 0, 0], &probabilities, k).unwrap();
        // Of the two equally probable classes of the last image, class 1 comes first.
        assert_eq!([top(1), top(2), top(3)], [0.0, 2.0 / 3.0, 1.0]);
        let text = top_k_accuracy(&[1, 0, 0], &probabilities, 0).unwrap_err().to_string();
        assert!(text.contains("`k` must be at least 1, got 0"), "{text}");
    }

    #[test]
    fn one_sure_mistake_does_not_cost_everything() {
        let scored = Evaluation::from_probabilities(&array![[1.0_f32, 0.0]], &[1]).unwrap();
        assert!((scored.loss - 15.942_385).abs() < 1e-5, "{}", scored.loss);
    }

    #[test]
    fn intervals_stay_inside_the_possible() {
        let near = |[low, high]: [f64; 2], expected: [f64; 2]| {
            (low - expected[0]).abs() < 1e-4 && (high - expected[1]).abs() < 1e-4
        };
        // z^2 / (n + z^2) at the ends.
        assert!(near(wilson_interval(10, 10), [0.7225, 1.0]));
        assert!(near(wilson_interval(0, 10), [0.0, 0.2775]));
        assert!(near(wilson_interval(5, 10), [0.2366, 0.7634]));
        assert_eq!(wilson_interval(0, 0), [0.0, 1.0]);
    }

    #[test]
    fn what_cannot_be_scored_is_named() {
        let error = |probabilities: Array2<f32>, labels: &[i64]| {
            Evaluation::from_probabilities(&probabilities, labels).unwrap_err().to_string()
        };
        let text = error(array![[0.5, 0.5]], &[0, 1]);
        assert_eq!(text, "2 labels, 1 predictions; predict and score the same images");
        let text = error(Array2::zeros((0, 2)), &[]);
        assert!(text.starts_with("no image to score; "), "{text}");
        let text = error(array![[0.5, 0.5]], &[2]);
        assert!(text.starts_with("image 0 has class 2, expected 0 to 1; "), "{text}");
        let text = error(array![[0.5, 0.5], [f32::NAN, 0.5]], &[0, 0]);
        assert!(text.starts_with("image 1 has NaN for class 0, expected probabilities"), "{text}");
        let text = error(array![[2.0, 3.0]], &[0]);
        assert!(text.starts_with("image 0 has 2 for class 0, expected probabilities"), "{text}");
        let text = error(array![[0.5, 0.25]], &[0]);
        assert!(text.starts_with("image 0 has the sum 0.75, expected probabilities"), "{text}");
    }
}
