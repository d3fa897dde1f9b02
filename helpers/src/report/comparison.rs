//! Compares models: one table of their scores, and McNemar's test of each pair.

use std::fmt;

use super::{interval_text, run_note, shows_its_table};
use crate::Result;
use crate::artifacts::{Metrics, by_accuracy, display_name, name_in_sentence};
use crate::display::{Cell, Column, Table};
use crate::evaluation::{Comparison, Comparisons};
use crate::text::{duration, thousands};

/// One table of several models' test scores, the most accurate first and marked.
///
/// # Errors
/// If there is no model, if one is no classifier, or if they were not made from the same data, seed and split.
pub fn comparative_table(models: &[Metrics]) -> Result<Table> {
    let scored = by_accuracy(models)?;
    let columns = [
        Column::text("Model"),
        Column::percent("Test accuracy", 2),
        Column::number_text("95% interval").unit("%"),
        Column::decimal("Test loss", 4),
        Column::integer("Trained parameters"),
        Column::number_text("Epochs, best of run"),
        Column::number_text("Training"),
        Column::decimal("Prediction", 0).unit("images/s"),
    ];
    let mut table = Table::new(columns);
    for (metrics, test) in &scored {
        let [low, high] = test.accuracy_ci95;
        table.push([
            display_name(&metrics.name).into(),
            test.accuracy.into(),
            interval_text(low, high).into(),
            test.loss.into(),
            metrics.parameters.into(),
            format!("{} of {}", metrics.best_epoch, metrics.epochs_run).into(),
            duration(metrics.fit_seconds).into(),
            metrics.predict_images_per_second.into(),
        ]);
    }
    Ok(table.best(0).caption(format!(
        "Scores on the same {} test images, the most accurate model first.{}",
        thousands(models[0].split.test),
        run_note(&models[0]),
    )))
}

impl Comparison {
    /// The result of the test as a sentence: the probability of a split at least as uneven; where it differs, the
    /// probability corrected for the number of pairs; and the verdict, which uses the corrected one.
    pub fn sentence(&self) -> String {
        let [first, second] = [&self.first, &self.second].map(|name| name_in_sentence(name));
        let corrected = if self.p_adjusted > self.p_value {
            format!("; corrected for the number of pairs, p = {}", probability(self.p_adjusted))
        } else {
            String::new()
        };
        let meaning = match self.better() {
            Some(better) => format!("{} is better on images like these", name_in_sentence(better)),
            None => "these images do not tell the two apart".to_owned(),
        };
        format!(
            "Of {} images, {first} alone is right on {} and {second} alone on {}. If both were equally good, a split at \
             least as uneven would have probability {} (McNemar's exact test{corrected}): {meaning}.",
            thousands(self.images()),
            thousands(self.only_first),
            thousands(self.only_second),
            probability(self.p_value),
        )
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())
    }
}

impl Comparisons {
    /// The pairs as a table, with the result of each test.
    pub fn table(&self) -> Table {
        let columns = [
            Column::text("First"),
            Column::text("Second"),
            Column::integer("Only first right"),
            Column::integer("Only second right"),
            Column::number_text("p"),
            Column::number_text("p, corrected"),
            Column::text("Better"),
        ];
        let rows = self.pairs.iter().map(|pair| -> Vec<Cell> {
            vec![
                display_name(&pair.first).into(),
                display_name(&pair.second).into(),
                pair.only_first.into(),
                pair.only_second.into(),
                probability(pair.p_value).into(),
                probability(pair.p_adjusted).into(),
                pair.better().map_or_else(|| "not told apart".to_owned(), display_name).into(),
            ]
        });
        let caption = "McNemar's exact test between each pair of models, on the same test images; corrected for the \
                       number of pairs by Holm's method.";
        rows.fold(Table::new(columns), |table, row| table.row(row)).caption(caption)
    }

    /// The result of the test of each pair, one sentence each.
    pub fn sentences(&self) -> Vec<String> {
        self.pairs.iter().map(Comparison::sentence).collect()
    }
}

shows_its_table!(Comparisons);

/// A probability with two significant digits.
fn probability(p: f64) -> String {
    if p >= 0.0095 {
        format!("{p:.2}")
    } else if p >= 0.0001 {
        format!("{p:.4}")
    } else if p > 0.0 {
        format!("{p:.0e}")
    } else {
        "below 1e-300".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::tests::metrics;

    #[test]
    fn the_most_accurate_model_comes_first_and_is_marked() {
        let table = comparative_table(&[metrics("baseline", 0.625), metrics("cnn", 0.75)]).unwrap();
        let text = table.to_text();
        let rows: Vec<&str> = text.lines().skip(3).collect();
        assert!(
            rows[0].starts_with("convolutional network ★") && rows[1].starts_with("dense network "),
            "{text}"
        );
        assert!(
            rows[0].contains("75.00") && rows[0].contains("1 of 1") && rows[0].contains("1,234"),
            "{text}"
        );
        assert!(rows[0].contains(" 1.5 s "), "{text}");
    }

    #[test]
    fn the_sentence_names_both_models_and_the_probability() {
        // The second is right on all, the first on the first two of twelve.
        let y_true = [1; 12];
        let mut first = [0; 12];
        first[..2].fill(1);
        let comparison = Comparison::new(("old", &first), ("new", &y_true), &y_true).unwrap();
        assert_eq!(
            comparison.sentence(),
            "Of 12 images, old alone is right on 0 and new alone on 10. If both were equally good, a split at \
             least as uneven would have probability 0.0020 (McNemar's exact test): new is better on images like these."
        );
        let equal = Comparison::new(("a", &[0, 1]), ("b", &[1, 1]), &[0, 1]).unwrap();
        assert!(equal.sentence().ends_with("these images do not tell the two apart."));
    }

    #[test]
    fn three_pairs_are_corrected_together() {
        let y_true = [0; 20];
        let right = |n: usize| -> Vec<i64> { (0..20).map(|i| i64::from(i >= n)).collect() };
        let (a, b, c) = (right(20), right(13), right(12));
        let compared = Comparisons::new(&[("a", &a), ("b", &b), ("c", &c)], &y_true).unwrap();
        // a and b: 7 to 0; a and c: 8 to 0; b and c: 1 to 0.
        let expected = [(2.0 / 128.0, 4.0 / 128.0), (2.0 / 256.0, 6.0 / 256.0), (1.0, 1.0)];
        for (pair, (raw, corrected)) in compared.pairs.iter().zip(expected) {
            assert!(
                (pair.p_value - raw).abs() < 1e-12 && (pair.p_adjusted - corrected).abs() < 1e-12,
                "{pair:?}"
            );
        }
        assert_eq!(compared.table().len(), 3);
        // The sentence has the raw probability, but the verdict uses the corrected one.
        let sentences = compared.sentences();
        let split = "have probability 0.0078 (McNemar's exact test; corrected for the number of pairs, p = 0.02)";
        assert!(
            sentences[1].contains(split) && sentences[1].contains(": a is better"),
            "{sentences:?}"
        );
        assert!(
            sentences[2].contains("have probability 1.00 (McNemar's exact test):"),
            "{sentences:?}"
        );
    }

    /// 6 to 0 occurs in one of 32 pairs of equal models; among three such pairs it is more frequent than one time in
    /// twenty.
    #[test]
    fn a_split_that_is_rare_for_one_pair_alone_decides_nothing_among_three() {
        let y_true = [0; 20];
        let right = |n: usize| -> Vec<i64> { (0..20).map(|i| i64::from(i >= n)).collect() };
        let (a, b, c) = (right(20), right(14), right(14));
        let compared = Comparisons::new(&[("a", &a), ("b", &b), ("c", &c)], &y_true).unwrap();
        let sentence = compared.pairs[0].sentence();
        assert!(
            sentence.contains("have probability 0.03 (McNemar's exact test; corrected"),
            "{sentence}"
        );
        assert!(sentence.contains("p = 0.09"), "{sentence}");
        assert!(sentence.ends_with("these images do not tell the two apart."), "{sentence}");
    }
}
