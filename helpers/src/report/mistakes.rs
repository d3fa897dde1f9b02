//! Which mistakes are frequent, and which of them a better model avoids: tables, figures and sentences.

use super::shows_its_table;
use crate::artifacts::{Metrics, Predictions, by_accuracy, display_name};
use crate::display::{Column, Table};
use crate::error::Result;
use crate::evaluation::{ClassificationReport, Confusion, confusion_matrix, most_confused};
use crate::plot::{BarChart, CostPoint, Figure, plot_accuracy_cost};
use crate::text::{clean_text, thousands};

/// Which classes a model confuses, the most frequent pair first.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfusedPairs {
    /// The kinds of mistake.
    pub pairs: Vec<Confusion>,
    /// All mistakes together.
    pub mistakes: u64,
    /// How many images were predicted.
    pub images: u64,
    class_names: Vec<String>,
}

impl ConfusedPairs {
    /// Counts the mistakes by true and predicted class.
    ///
    /// - `y_true`, `y_pred`: class ids in `0..class_names.len()`, shape `(N,)`
    ///
    /// # Errors
    /// If the two differ in length or are empty, or an id has no name.
    pub fn new(y_true: &[i64], y_pred: &[i64], class_names: &[String]) -> Result<ConfusedPairs> {
        let matrix = confusion_matrix(y_true, y_pred, class_names.len())?;
        let pairs = most_confused(&matrix);
        Ok(ConfusedPairs {
            mistakes: pairs.iter().map(|pair| pair.images).sum(),
            images: y_true.len() as u64,
            pairs,
            class_names: class_names.to_vec(),
        })
    }

    /// The five most frequent ones.
    pub fn table(&self) -> Table {
        let mut table = Table::new([
            Column::text("True class"),
            Column::text("Predicted class"),
            Column::integer("Images"),
            Column::percent("Of all mistakes", 1),
        ]);
        for pair in self.pairs.iter().take(5) {
            let [truth, predicted] =
                [pair.truth, pair.predicted].map(|class| self.class_names[class].as_str());
            let share = pair.images as f64 / self.mistakes as f64;
            table.push([truth.into(), predicted.into(), pair.images.into(), share.into()]);
        }
        table.caption("The most frequent confusions.")
    }

    /// The number of mistakes, and the most frequent one with its opposite; as a sentence.
    pub fn sentence(&self) -> String {
        let Some(most) = self.pairs.first() else {
            return format!(
                "None of the {} predictions is wrong.",
                thousands(self.images as usize)
            );
        };
        let opposite =
            |pair: &&Confusion| (pair.truth, pair.predicted) == (most.predicted, most.truth);
        let back = self.pairs.iter().find(opposite).map_or(0, |pair| pair.images);
        let [truth, predicted] =
            [most.truth, most.predicted].map(|class| clean_text(&self.class_names[class]));
        let times = |count: u64| match count {
            1 => "once".to_owned(),
            _ => format!("{} times", thousands(count as usize)),
        };
        format!(
            "{} of {} predictions are wrong. Most often {truth} is called {predicted}, {}, and {predicted} is called \
             {truth} {}: together {:.0}% of all mistakes.",
            thousands(self.mistakes as usize),
            thousands(self.images as usize),
            times(most.images),
            times(back),
            100.0 * (most.images + back) as f64 / self.mistakes as f64
        )
    }
}

shows_its_table!(ConfusedPairs);

impl ClassificationReport {
    /// The recall of each class, by this model and by an earlier one on the same images, and the difference, the
    /// largest gain first. Classes without images are left out.
    ///
    /// - `names`: those of the earlier model and of this one
    pub fn gains_table(&self, before: &ClassificationReport, names: [&str; 2]) -> Table {
        let (now, then) = (self.scored(), before.scored());
        let (new, old) = (now.recall(), then.recall());
        let gain = |class: usize| new[class] - old[class];
        let mut order: Vec<usize> = (0..new.len().min(old.len())).collect();
        order.sort_by(|&a, &b| gain(b).total_cmp(&gain(a)));
        let [first, second] = names.map(|name| format!("Recall, {name}"));
        let mut table = Table::new([
            Column::text("Class"),
            Column::percent(first, 1),
            Column::percent(second, 1),
            Column::decimal("Gain", 1).unit("points"),
        ]);
        for class in order {
            let name = now.class_names[class].as_str();
            let gained = 100.0 * gain(class);
            table.push([name.into(), old[class].into(), new[class].into(), gained.into()]);
        }
        let [first, second] = names;
        table
            .caption(format!("Recall of each class, {first} and {second}; the largest gain first."))
    }

    /// The same as bars, in the order of the classes.
    ///
    /// # Errors
    /// If no class has an image, or the reports are of other classes.
    pub fn plot_gains(&self, before: &ClassificationReport, names: [&str; 2]) -> Result<Figure> {
        let (now, then) = (self.scored(), before.scored());
        BarChart::new("Recall of each class", "Recall (%)", &now.class_names)
            .bars(names[0], &then.recall())
            .bars(names[1], &now.recall())
            .percent(1)
            .plot()
    }
}

/// The number of each model's mistakes on the test part, the fewest first; as a sentence.
pub fn mistakes_sentence(models: &[Predictions]) -> String {
    let wrong = |model: &Predictions| {
        model.y_true.iter().zip(&model.y_pred).filter(|(truth, said)| truth != said).count()
    };
    let mut mistakes: Vec<(usize, String)> =
        models.iter().map(|model| (wrong(model), display_name(&model.name))).collect();
    mistakes.sort();
    let counts: Vec<String> =
        mistakes.iter().map(|(wrong, name)| format!("{name} {}", thousands(*wrong))).collect();
    let images = models.first().map_or(0, |model| model.y_true.len());
    format!("Mistakes on the {} test images: {}.", thousands(images), counts.join(", "))
}

/// The cost that accuracy is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Seconds of training.
    Training,
    /// Seconds that 1,000 predictions take.
    Prediction,
}

/// Test accuracy with its 95% interval against the cost, one point per model.
///
/// # Errors
/// If there is no model, one is no classifier, or they were not made from the same data, seed and split.
pub fn plot_models_cost(models: &[Metrics], cost: Cost) -> Result<Figure> {
    let (title, axis) = match cost {
        Cost::Training => ("Test accuracy and training time", "Training (s)"),
        Cost::Prediction => ("Test accuracy and prediction time", "1,000 predictions (s)"),
    };
    let points: Vec<CostPoint> = by_accuracy(models)?
        .into_iter()
        .map(|(metrics, test)| CostPoint {
            name: display_name(&metrics.name),
            cost: match cost {
                Cost::Training => metrics.fit_seconds,
                Cost::Prediction => 1000.0 / metrics.predict_images_per_second,
            },
            accuracy: test.accuracy,
            interval: test.accuracy_ci95,
        })
        .collect();
    plot_accuracy_cost(title, axis, &points)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::classification_report;

    fn names() -> Vec<String> {
        ["cat", "dog", "lynx"].map(str::to_owned).to_vec()
    }

    #[test]
    fn confusions_are_told_with_their_opposite() {
        // cat is called dog twice, dog cat once, lynx cat once.
        let pairs = ConfusedPairs::new(&[0, 0, 1, 2, 2], &[1, 1, 0, 0, 2], &names()).unwrap();
        assert_eq!(
            pairs.sentence(),
            "4 of 5 predictions are wrong. Most often cat is called dog, 2 times, and dog is called cat once: together \
             75% of all mistakes."
        );
        let text = pairs.to_string();
        let first: Vec<&str> =
            text.lines().find(|line| line.starts_with("cat")).unwrap().split_whitespace().collect();
        assert_eq!(first, ["cat", "dog", "2", "50.0"], "{text}");
        let none = ConfusedPairs::new(&[0, 1], &[0, 1], &names()).unwrap();
        assert_eq!(none.sentence(), "None of the 2 predictions is wrong.");
        assert!(none.table().is_empty());
    }

    #[test]
    fn the_class_that_gains_most_comes_first() {
        let report = |y_pred: &[i64]| classification_report(&[0, 0, 1, 1], y_pred, &names());
        let (before, now) = (report(&[0, 0, 0, 1]).unwrap(), report(&[0, 1, 1, 1]).unwrap());
        let text = now.gains_table(&before, ["dense", "CNN"]).to_text();
        let rows: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .filter(|row: &Vec<&str>| matches!(row.first(), Some(&"cat" | &"dog" | &"lynx")))
            .collect();
        assert_eq!(rows, [["dog", "50.0", "100.0", "50.0"], ["cat", "100.0", "50.0", "−50.0"]]);
        assert!(now.plot_gains(&before, ["dense", "CNN"]).unwrap().alt_text().contains("CNN: cat"));
    }

    #[test]
    fn the_model_with_the_fewest_mistakes_comes_first() {
        let predicted = |name: &str, y_pred: &[i64]| Predictions {
            schema: 1,
            name: name.to_owned(),
            quick: false,
            images_sha256: String::new(),
            class_names: Vec::new(),
            y_true: vec![0, 1, 2],
            y_pred: y_pred.to_vec(),
        };
        let text = mistakes_sentence(&[predicted("a", &[1, 1, 1]), predicted("b", &[0, 1, 1])]);
        assert_eq!(text, "Mistakes on the 3 test images: b 1, a 2.");
    }
}
