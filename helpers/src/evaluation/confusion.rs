//! Where a classifier goes wrong: which classes it confuses, and its scores for each class.

use std::fmt;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::metrics::{argmax, check_classes, check_lengths};
use crate::Result;

/// Counts of (true class, predicted class) pairs.
///
/// Rows are true classes and columns predicted ones, as in scikit-learn's `confusion_matrix`: `m[[2, 5]]` is how many
/// images of class 2 were called class 5.
///
/// - `y_true`, `y_pred`: class ids in `0..classes`, shape `(N,)`
/// - returns shape `(classes, classes)`; the sum of all entries is `N`
///
/// # Errors
/// If the two differ in length or are empty, or an id lies outside `0..classes`.
pub fn confusion_matrix(y_true: &[i64], y_pred: &[i64], classes: usize) -> Result<Array2<u64>> {
    check_lengths(y_true.len(), y_pred.len())?;
    check_classes(y_true, classes)?;
    check_classes(y_pred, classes)?;
    let mut matrix = Array2::zeros((classes, classes));
    for (&truth, &predicted) in y_true.iter().zip(y_pred) {
        matrix[(truth as usize, predicted as usize)] += 1;
    }
    Ok(matrix)
}

/// Images of one class that were taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confusion {
    /// The true class.
    pub truth: usize,
    /// The class they were called.
    pub predicted: usize,
    /// How many they are, at least one.
    pub images: u64,
}

/// The kinds of mistake in a confusion matrix, the most frequent first; equal ones in the order of their classes.
///
/// - `matrix`: as [`confusion_matrix`] gives it, rows the true classes
/// - returns an empty list for a classifier without mistakes
pub fn most_confused(matrix: &Array2<u64>) -> Vec<Confusion> {
    let mut confused: Vec<Confusion> = matrix
        .indexed_iter()
        .map(|((truth, predicted), &images)| Confusion { truth, predicted, images })
        .filter(|pair| pair.truth != pair.predicted && pair.images > 0)
        .collect();
    confused.sort_by_key(|pair| std::cmp::Reverse(pair.images));
    confused
}

/// The indices of at most `n` wrong predictions, the most confident first; equal ones in their order.
///
/// - `probabilities`: shape `(N, classes)`
/// - `y_true`: class ids, shape `(N,)`
///
/// # Errors
/// If the lengths differ, a class lies outside `0..classes`, or a row does not add up to 1.
pub fn most_confident_mistakes(
    probabilities: &Array2<f32>,
    y_true: &[i64],
    n: usize,
) -> Result<Vec<usize>> {
    check_lengths(y_true.len(), probabilities.nrows())?;
    check_classes(y_true, probabilities.ncols())?;
    let y_pred = argmax(probabilities)?;
    let sure = |image: usize| probabilities[(image, y_pred[image] as usize)];
    let mut wrong: Vec<usize> = (0..y_true.len()).filter(|&i| y_true[i] != y_pred[i]).collect();
    wrong.sort_by(|&a, &b| sure(b).total_cmp(&sure(a)).then(a.cmp(&b)));
    wrong.truncate(n);
    Ok(wrong)
}

/// Precision, recall and F1 of one class, or of a mean over classes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// Share of the images predicted as this class that belong to it; 0 when none was predicted so.
    pub precision: f64,
    /// Share of the images of this class that are predicted so; 0 when there are none.
    pub recall: f64,
    /// The harmonic mean of precision and recall; 0 when both are 0.
    pub f1: f64,
    /// Images of this class.
    pub support: usize,
}

/// How well a classifier does on each class, as scikit-learn's `classification_report` with `zero_division=0`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassificationReport {
    /// The names of the classes.
    pub class_names: Vec<String>,
    /// The scores of each class.
    pub classes: Vec<ClassScores>,
    /// Means over classes, each counted once.
    pub macro_average: ClassScores,
    /// Means over classes, each counted as often as it has images.
    pub weighted_average: ClassScores,
    /// Share of all images with the right class.
    pub accuracy: f64,
}

/// Scores each class.
///
/// - `y_true`, `y_pred`: class ids in `0..class_names.len()`, shape `(N,)`
///
/// # Errors
/// If the two differ in length or are empty, or an id has no name.
pub fn classification_report(
    y_true: &[i64],
    y_pred: &[i64],
    class_names: &[String],
) -> Result<ClassificationReport> {
    let matrix = confusion_matrix(y_true, y_pred, class_names.len())?;
    let ratio = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    let classes: Vec<ClassScores> = (0..class_names.len())
        .map(|class| {
            let right = matrix[(class, class)] as f64;
            let support = matrix.row(class).sum();
            let called = matrix.column(class).sum();
            ClassScores {
                precision: ratio(right, called as f64),
                recall: ratio(right, support as f64),
                f1: ratio(2.0 * right, (support + called) as f64),
                support: support as usize,
            }
        })
        .collect();
    let mean = |weight: fn(&ClassScores) -> f64| {
        let total: f64 = classes.iter().map(weight).sum();
        let mean = |value: fn(&ClassScores) -> f64| {
            classes.iter().map(|scores| weight(scores) * value(scores)).sum::<f64>() / total
        };
        ClassScores {
            precision: mean(|scores| scores.precision),
            recall: mean(|scores| scores.recall),
            f1: mean(|scores| scores.f1),
            support: y_true.len(),
        }
    };
    Ok(ClassificationReport {
        class_names: class_names.to_vec(),
        macro_average: mean(|_| 1.0),
        weighted_average: mean(|scores| scores.support as f64),
        accuracy: matrix.diag().sum() as f64 / y_true.len() as f64,
        classes,
    })
}

impl ClassificationReport {
    /// The same report without classes that no image has, for which no score exists; the means are still over all
    /// classes.
    pub fn scored(&self) -> ClassificationReport {
        let shown = |class: &usize| self.classes[*class].support > 0;
        let kept: Vec<usize> = (0..self.classes.len()).filter(shown).collect();
        ClassificationReport {
            class_names: kept.iter().map(|&class| self.class_names[class].clone()).collect(),
            classes: kept.iter().map(|&class| self.classes[class]).collect(),
            ..self.clone()
        }
    }

    /// The F1 of each class.
    pub fn f1(&self) -> Vec<f64> {
        self.classes.iter().map(|scores| scores.f1).collect()
    }

    /// The recall of each class.
    pub fn recall(&self) -> Vec<f64> {
        self.classes.iter().map(|scores| scores.recall).collect()
    }
}

impl fmt::Debug for ClassificationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ClassificationReport: {} classes, accuracy {:.4}, mean F1 {:.4}",
            self.classes.len(),
            self.accuracy,
            self.macro_average.f1
        )
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn rows_are_true_classes() {
        // One image of class 0 is called 1; none goes the other way.
        let matrix = confusion_matrix(&[0, 0, 1], &[0, 1, 1], 2).unwrap();
        assert_eq!(matrix, array![[1, 1], [0, 1]]);
    }

    #[test]
    fn confusions_go_from_the_truth_to_the_prediction_the_most_frequent_first() {
        // Class 2 is called 0 twice, class 0 is called 1 once, 1 is called 2 once; the rest is right.
        let matrix = array![[5, 1, 0], [0, 4, 1], [2, 0, 3]];
        let confused = most_confused(&matrix);
        let found: Vec<_> = confused.iter().map(|c| (c.truth, c.predicted, c.images)).collect();
        assert_eq!(found, [(2, 0, 2), (0, 1, 1), (1, 2, 1)]);
        assert_eq!(most_confused(&array![[3, 0], [0, 2]]), []);
    }

    #[test]
    fn a_class_that_is_never_called_scores_nothing() {
        let names = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let report = classification_report(&[0, 0, 0, 1], &[0, 0, 1, 0], &names).unwrap();
        // Class 0: 2 of 3 called are right, 2 of 3 are found. Class 1: called once, wrongly. Class 2: nowhere.
        let scores = |class: usize| {
            let ClassScores { precision, recall, f1, support } = report.classes[class];
            (precision, recall, f1, support)
        };
        assert_eq!(scores(0), (2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0, 3));
        assert_eq!(scores(1), (0.0, 0.0, 0.0, 1));
        assert_eq!(scores(2), (0.0, 0.0, 0.0, 0));
        assert!((report.macro_average.f1 - 2.0 / 9.0).abs() < 1e-12);
        assert!((report.weighted_average.f1 - 0.5).abs() < 1e-12);
        assert_eq!(report.accuracy, 0.5);
        assert_eq!(report.recall(), [2.0 / 3.0, 0.0, 0.0]);
    }

    #[test]
    fn mismatches_are_named() {
        let text = confusion_matrix(&[0, 1], &[0], 2).unwrap_err().to_string();
        assert_eq!(text, "2 labels, 1 predictions; predict and score the same images");
        let text = confusion_matrix(&[], &[], 2).unwrap_err().to_string();
        assert!(text.starts_with("no image to score"), "{text}");
        let text = confusion_matrix(&[0, 2], &[0, 1], 2).unwrap_err().to_string();
        assert!(text.starts_with("image 1 has class 2, expected 0 to 1"), "{text}");
    }
}
