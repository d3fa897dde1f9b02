//! Whether two models differ by more than chance, on the same images.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::metrics::check_lengths;
use crate::Result;
use crate::text::clean_text;

/// A difference with a smaller probability than this counts as real.
const LEVEL: f64 = 0.05;

/// McNemar's exact test (1947): how probable a split of the disagreements at least as uneven as this one is between two
/// equally good models.
///
/// `only_first` and `only_second` are the numbers of images that only one of two models gets right. If both were
/// equally good, each such image would be a coin toss. The result is the two-sided binomial probability, in 0..=1, and
/// 1 when the models never disagree.
pub fn mcnemar_exact(only_first: usize, only_second: usize) -> f64 {
    let n = only_first + only_second;
    let fewer = only_first.min(only_second);
    // Logarithm of C(n, k) / 2^n, from k = 0 upwards.
    let mut log = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for k in 0..=fewer {
        tail += log.exp();
        log += (((n - k) as f64) / ((k + 1) as f64)).ln();
    }
    (2.0 * tail).min(1.0)
}

/// Two models on the same images, and McNemar's test between them.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Name of the first model.
    pub first: String,
    /// Name of the second model.
    pub second: String,
    /// Images on which both are right.
    pub both_right: usize,
    /// Images on which the first alone is right.
    pub only_first: usize,
    /// Images on which the second alone is right.
    pub only_second: usize,
    /// Images on which both are wrong.
    pub both_wrong: usize,
    /// The probability of at least this imbalance between equally good models; see [`mcnemar_exact`].
    pub p_value: f64,
    /// The same, corrected for how many pairs were compared together (Holm 1979); as `p_value` for one pair.
    pub p_adjusted: f64,
}

impl Comparison {
    /// Compares the predictions of two models with the truth.
    ///
    /// - `first`, `second`: predicted class ids, shape `(N,)`
    /// - `y_true`: class ids, shape `(N,)`
    ///
    /// # Errors
    /// If the three differ in length or are empty.
    pub fn new(
        (first, first_pred): (&str, &[i64]),
        (second, second_pred): (&str, &[i64]),
        y_true: &[i64],
    ) -> Result<Comparison> {
        check_lengths(y_true.len(), first_pred.len())?;
        check_lengths(y_true.len(), second_pred.len())?;
        let mut counts = [[0; 2]; 2];
        for ((truth, a), b) in y_true.iter().zip(first_pred).zip(second_pred) {
            counts[usize::from(a == truth)][usize::from(b == truth)] += 1;
        }
        let [[both_wrong, only_second], [only_first, both_right]] = counts;
        let p_value = mcnemar_exact(only_first, only_second);
        Ok(Comparison {
            first: first.to_owned(),
            second: second.to_owned(),
            both_right,
            only_first,
            only_second,
            both_wrong,
            p_value,
            p_adjusted: p_value,
        })
    }

    /// Images compared.
    pub fn images(&self) -> usize {
        self.both_right + self.only_first + self.only_second + self.both_wrong
    }

    /// The name of the better model, where the difference is more than chance at the 5% level.
    pub fn better(&self) -> Option<&str> {
        if self.p_adjusted >= LEVEL {
            None
        } else if self.only_first > self.only_second {
            Some(&self.first)
        } else {
            Some(&self.second)
        }
    }
}

impl fmt::Debug for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Comparison { first, second, p_value, .. } = self;
        write!(f, "Comparison: {} and {}, p = {p_value:.2e}", clean_text(first), clean_text(second),)
    }
}

/// Every pair of several models on the same images.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparisons {
    /// The pairs, in the order of the models.
    pub pairs: Vec<Comparison>,
}

impl Comparisons {
    /// Compares each model with each other; `p_adjusted` is Holm's correction for the number of pairs.
    ///
    /// # Errors
    /// If two of the lists differ in length or one is empty.
    pub fn new(models: &[(&str, &[i64])], y_true: &[i64]) -> Result<Comparisons> {
        let mut pairs = Vec::new();
        for (index, &first) in models.iter().enumerate() {
            for &second in &models[index + 1..] {
                pairs.push(Comparison::new(first, second, y_true)?);
            }
        }
        let mut order: Vec<usize> = (0..pairs.len()).collect();
        order.sort_by(|&a, &b| pairs[a].p_value.total_cmp(&pairs[b].p_value));
        let mut highest: f64 = 0.0;
        for (rank, &pair) in order.iter().enumerate() {
            let corrected = pairs[pair].p_value * (order.len() - rank) as f64;
            highest = highest.max(corrected.min(1.0));
            pairs[pair].p_adjusted = highest;
        }
        Ok(Comparisons { pairs })
    }
}

impl fmt::Debug for Comparisons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Comparisons({} pairs)", self.pairs.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_to_nothing_comes_up_in_one_of_eight_games() {
        assert!((mcnemar_exact(4, 0) - 0.125).abs() < 1e-15);
        assert!((mcnemar_exact(0, 4) - 0.125).abs() < 1e-15);
        assert_eq!(mcnemar_exact(0, 0), 1.0);
        assert_eq!(mcnemar_exact(3, 3), 1.0);
    }

    #[test]
    fn the_model_that_is_right_alone_more_often_is_better() {
        // The second is right on all, the first on the first two of twelve.
        let y_true = [1; 12];
        let mut first = [0; 12];
        first[..2].fill(1);
        let comparison = Comparison::new(("old", &first), ("new", &y_true), &y_true).unwrap();
        assert_eq!((comparison.both_right, comparison.only_first), (2, 0));
        assert_eq!((comparison.only_second, comparison.both_wrong), (10, 0));
        assert_eq!(comparison.better(), Some("new"));
    }

    #[test]
    fn equal_models_are_not_told_apart() {
        let comparison = Comparison::new(("a", &[0, 1]), ("b", &[1, 1]), &[0, 1]).unwrap();
        assert_eq!(comparison.better(), None);
    }

    #[test]
    fn predictions_of_other_images_are_refused() {
        let error = Comparison::new(("a", &[0]), ("b", &[0, 1]), &[0, 1]).unwrap_err();
        assert_eq!(error.to_string(), "2 labels, 1 predictions; predict and score the same images");
    }
}
