//! Scores of a model, as tables and sentences.

use std::fmt;

use super::{interval_text, shows_its_table};
use crate::display::{Column, Show, Table};
use crate::evaluation::{ClassScores, ClassificationReport, Evaluation};
use crate::text::{clean_text, thousands};

impl Evaluation {
    /// The scores as a table of one row.
    pub fn table(&self) -> Table {
        let [low, high] = self.accuracy_ci95;
        Table::new([
            Column::integer("Images"),
            Column::decimal("Loss", 4),
            Column::percent("Accuracy", 2),
            Column::text("95% interval").unit("%"),
        ])
        .row([
            self.images.into(),
            self.loss.into(),
            self.accuracy.into(),
            interval_text(low, high).into(),
        ])
    }

    /// Shows the scores as the result of a cell.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}

impl Show for Evaluation {
    fn html(&self) -> String {
        self.table().to_html()
    }

    fn text(&self) -> String {
        self.table().to_text()
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, high] = self.accuracy_ci95;
        write!(
            f,
            "loss {:.4}, accuracy {:.2}% (95% interval {}%) on {} images",
            self.loss,
            100.0 * self.accuracy,
            interval_text(low, high),
            thousands(self.images)
        )
    }
}

impl ClassificationReport {
    /// The report as a table: a row for each class, then both means.
    pub fn table(&self) -> Table {
        let columns = [
            Column::text("Class"),
            Column::percent("Precision", 1),
            Column::percent("Recall", 1),
            Column::percent("F1", 1),
            Column::integer("Images"),
        ];
        let mut table = Table::new(columns);
        let means =
            [("mean of classes", &self.macro_average), ("mean of images", &self.weighted_average)];
        let named = self.class_names.iter().map(String::as_str).zip(&self.classes);
        for (name, scores) in named.chain(means) {
            let ClassScores { precision, recall, f1, support } = *scores;
            // A class without images has no recall and no F1.
            let [recall, f1] = [recall, f1].map(|score| (support > 0).then_some(score));
            table.push([name.into(), precision.into(), recall.into(), f1.into(), support.into()]);
        }
        table.rule_above_last(means.len()).caption(
            "Scores of each class, and two means: each class counts alike (scikit-learn's macro average), or each image \
             does (its weighted average).",
        )
    }
}

shows_its_table!(ClassificationReport);

impl ClassificationReport {
    /// The `n` classes with the lowest F1, and the classes that no image shows, which have none; as sentences.
    pub fn hardest(&self, n: usize) -> String {
        let shown = self.scored();
        let mut classes: Vec<usize> = (0..shown.classes.len()).collect();
        classes.sort_by(|&a, &b| shown.classes[a].f1.total_cmp(&shown.classes[b].f1));
        let told = classes.iter().take(n).map(|&class| {
            let (name, f1) = (clean_text(&shown.class_names[class]), shown.classes[class].f1);
            format!("{name} (F1 {:.1}%)", 100.0 * f1)
        });
        let mut text = format!("Hardest classes: {}.", told.collect::<Vec<_>>().join(", "));
        let missing = self.without_images();
        if !missing.is_empty() {
            text += &format!(
                " No test image shows {}: nothing can be said of it here.",
                missing.join(", ")
            );
        }
        text
    }

    /// The class whose recall gains most over another model, called `before`, on the same images; the weakest class of
    /// that model; and how many classes gain; one sentence per line.
    pub fn gains_over(&self, other: &ClassificationReport, before: &str) -> String {
        let (now, then) = (self.scored(), other.scored());
        let (new, old) = (now.recall(), then.recall());
        let gain = |&class: &usize| new[class] - old[class];
        let classes: Vec<usize> = (0..new.len().min(old.len())).collect();
        let told = |class: usize, what: &str| {
            let name = clean_text(&now.class_names[class]);
            let [from, to] = [old[class], new[class]].map(|recall| 100.0 * recall);
            format!("{name} {what}: from {from:.1} to {to:.1}%.")
        };
        let mut lines = Vec::new();
        // The first of equals, as with the weakest class below.
        let most = classes.iter().copied().rev().max_by(|a, b| gain(a).total_cmp(&gain(b)));
        if let Some(most) = most.filter(|class| gain(class) > 0.0) {
            lines.push(told(most, "gains most"));
        }
        let weakest = classes.iter().copied().min_by(|&a, &b| old[a].total_cmp(&old[b]));
        if let Some(weakest) = weakest.filter(|&class| old[class] < 1.0) {
            lines.push(told(weakest, &format!("was found least by {before}")));
        }
        let rising = classes.iter().filter(|class| gain(class) > 0.0).count();
        lines.push(format!("The recall of {rising} of {} classes rises.", classes.len()));
        lines.join("\n")
    }

    /// The names of the classes that no image shows.
    fn without_images(&self) -> Vec<String> {
        let named = self.class_names.iter().zip(&self.classes);
        named.filter(|(_, scores)| scores.support == 0).map(|(name, _)| clean_text(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_written_for_readers() {
        let scored = Evaluation {
            images: 8400,
            loss: 0.21504,
            accuracy: 0.93714,
            accuracy_ci95: [0.93175, 0.94213],
        };
        assert_eq!(
            scored.to_string(),
            "loss 0.2150, accuracy 93.71% (95% interval 93.17 to 94.21%) on 8,400 images"
        );
        assert!(scored.table().to_text().contains("93.17 to 94.21"));
    }

    fn report(y_true: &[i64], y_pred: &[i64]) -> ClassificationReport {
        let names = ["cat", "dog", "lynx"].map(str::to_owned);
        crate::evaluation::classification_report(y_true, y_pred, &names).unwrap()
    }

    #[test]
    fn a_class_without_images_is_named_and_not_the_hardest() {
        let all_right = report(&[0, 0, 1, 1], &[0, 0, 1, 1]);
        assert_eq!(
            all_right.hardest(1),
            "Hardest classes: cat (F1 100.0%). No test image shows lynx: nothing can be said of it here."
        );
        let table = all_right.to_string();
        let lynx: Vec<&str> = table
            .lines()
            .find(|line| line.starts_with("lynx"))
            .unwrap()
            .split_whitespace()
            .collect();
        assert_eq!(lynx, ["lynx", "0.0", "–", "–", "0"], "{table}");
        let whole = report(&[0, 1, 2], &[0, 0, 2]);
        assert_eq!(whole.hardest(1), "Hardest classes: dog (F1 0.0%).");
    }

    #[test]
    fn only_a_class_whose_recall_rises_gains() {
        let all_right = report(&[0, 0, 1, 1], &[0, 0, 1, 1]);
        let half = report(&[0, 0, 1, 1], &[0, 0, 1, 0]);
        assert_eq!(
            all_right.gains_over(&all_right, "the baseline"),
            "The recall of 0 of 2 classes rises."
        );
        assert_eq!(
            all_right.gains_over(&half, "the baseline"),
            "dog gains most: from 50.0 to 100.0%.\ndog was found least by the baseline: from 50.0 to 100.0%.\n\
             The recall of 1 of 2 classes rises."
        );
    }
}
