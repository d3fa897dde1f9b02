//! The results of a notebook's model, as a table and as sentences.

use super::{comparative_table, compare_denoisers, denoising_sentence, run_note, shows_its_table};
use crate::Result;
use crate::artifacts::{
    DenoisingResult, ModelResult, ModelResults, Scores, TestResult, by_accuracy,
    compare_predictions, display_name, name_in_sentence,
};
use crate::display::Table;
use crate::evaluation::{ClassificationReport, classification_report};
use crate::text::{duration, thousands};

impl TestResult {
    /// The scores on the validation and on the test part.
    pub fn table(&self) -> Table {
        self.metrics.table()
    }

    /// Precision, recall and F1 of each class on the test part.
    ///
    /// # Errors
    /// Never, for a result of [`Run::evaluate`](crate::artifacts::Run::evaluate).
    pub fn report(&self) -> Result<ClassificationReport> {
        let names = self.test.dataset().class_names();
        classification_report(self.y_true(), self.y_pred(), names)
    }

    /// The results, one sentence per line: the accuracy with its interval, the gain over each model in `before`, the
    /// hardest classes, and the cost.
    ///
    /// # Errors
    /// If another model's predictions are for other images.
    pub fn findings(&self, before: &[ModelResult]) -> Result<String> {
        let test = self.metrics.test_evaluation()?;
        let quick = if self.metrics.quick { "A quick run. " } else { "" };
        let mut lines =
            vec![format!("{quick}Test part, {}: {test}.", display_name(&self.metrics.name))];
        if let Some(Scores::Classification(validation)) = self.metrics.validation {
            let gap = 100.0 * (validation.accuracy - test.accuracy);
            lines.push(format!(
                "The validation part, which steered the training, gives {:.2}%: {:.2} points {} the test accuracy.",
                100.0 * validation.accuracy,
                gap.abs(),
                if gap >= 0.0 { "above" } else { "below" }
            ));
        }
        for other in before {
            lines.push(self.beside(other)?);
        }
        lines.push(self.report()?.hardest(3));
        lines.push(self.cost(before));
        Ok(lines.join("\n"))
    }

    fn beside(&self, other: &ModelResult) -> Result<String> {
        if self.predictions.y_pred == other.predictions.y_pred {
            let name = name_in_sentence(&other.metrics.name);
            let search = match self.metrics.best_params {
                Some(_) => ": the search changed nothing",
                None => ", image for image",
            };
            return Ok(format!("Its predictions are those of {name}{search}."));
        }
        let gain =
            self.metrics.test_evaluation()?.accuracy - other.metrics.test_evaluation()?.accuracy;
        let pair = [self.predictions.clone(), other.predictions.clone()];
        Ok(format!(
            "{:.2} points {} {}. {}",
            100.0 * gain.abs(),
            if gain >= 0.0 { "more than" } else { "less than" },
            name_in_sentence(&other.metrics.name),
            compare_predictions(&pair)?.pairs[0].sentence()
        ))
    }

    fn cost(&self, before: &[ModelResult]) -> String {
        let seconds = self.metrics.fit_seconds;
        let mut text = format!(
            "It has {} trained parameters, took {} to train and predicts {} images a second",
            thousands(self.metrics.parameters),
            duration(seconds),
            thousands(self.metrics.predict_images_per_second as usize)
        );
        for other in before.iter().filter(|other| other.metrics.fit_seconds > 0.0) {
            text += &format!(
                "; {:.1} times the training time of {}",
                seconds / other.metrics.fit_seconds,
                name_in_sentence(&other.metrics.name)
            );
        }
        text + "."
    }
}

shows_its_table!(TestResult);

impl DenoisingResult {
    /// The scores of the noisy images, the linear denoiser and the network on the test part.
    pub fn table(&self) -> Table {
        compare_denoisers(&[
            ("noisy input", self.noisy),
            ("linear, same code", self.linear),
            (&self.metrics.name, self.network),
        ])
        .caption(format!(
            "Closeness to the {} clean test images.{}",
            thousands(self.test.len()),
            run_note(&self.metrics)
        ))
    }

    /// The PSNR compared with that of the linear denoiser and of the noisy images, and the cost; as sentences.
    pub fn findings(&self) -> String {
        let pixels = self.test.clean().dataset().image_shape().pixels();
        let code = (self.metrics.rate.unwrap_or(1.0) * pixels as f64).round() as usize;
        format!(
            "{}{}\nIt has {} trained parameters, took {} to train, and denoises {} images a second.",
            if self.metrics.quick { "A quick run. " } else { "" },
            denoising_sentence(&self.network, &self.linear, &self.noisy, code),
            thousands(self.metrics.parameters),
            duration(self.metrics.fit_seconds),
            thousands(self.metrics.predict_images_per_second as usize)
        )
    }
}

shows_its_table!(DenoisingResult);

impl ModelResults {
    /// One table of the models' test scores, the most accurate first and marked: see [`comparative_table`].
    ///
    /// # Errors
    /// As [`comparative_table`].
    pub fn table(&self) -> Result<Table> {
        comparative_table(&self.metrics)
    }

    /// The best model, its gain over each other one, the cost of that gain, and which model has a lower loss, if one has;
    /// as sentences.
    ///
    /// # Errors
    /// As [`comparative_table`].
    pub fn findings(&self) -> Result<String> {
        let ranked = by_accuracy(&self.metrics)?;
        let (best, score) = &ranked[0];
        let quick = if best.quick { "A quick run. " } else { "" };
        let mut text =
            format!("{quick}Best on the test part: {}, {score}.", name_in_sentence(&best.name));
        for (other, scored) in &ranked[1..] {
            let gain = 100.0 * (score.accuracy - scored.accuracy);
            let [training, prediction] = [
                best.fit_seconds / other.fit_seconds.max(f64::MIN_POSITIVE),
                other.predict_images_per_second
                    / best.predict_images_per_second.max(f64::MIN_POSITIVE),
            ];
            text += &format!(
                "\n{gain:.2} points more than {}, for {training:.1} times its training time and {prediction:.1} times its \
                 time of prediction.",
                name_in_sentence(&other.name)
            );
        }
        let lowest = ranked.iter().min_by(|(_, a), (_, b)| a.loss.total_cmp(&b.loss));
        if let Some((other, scored)) = lowest.filter(|(_, scored)| scored.loss < score.loss) {
            text += &format!(
                "\nThe lowest loss, {:.4}, is that of {}: the loss also counts how sure a model is, right or wrong.",
                scored.loss,
                name_in_sentence(&other.name)
            );
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::Metrics;
    use crate::artifacts::tests::metrics;
    use crate::evaluation::Evaluation;

    #[test]
    fn a_lower_loss_than_that_of_the_most_accurate_model_is_named() {
        let scored = |name: &str, accuracy: f64, loss: f64| {
            let made = metrics(name, accuracy);
            let test = Evaluation { loss, ..made.test_evaluation().unwrap() };
            Metrics { test: Some(Scores::Classification(test)), ..made }
        };
        let found = |cnn_loss: f64| {
            let metrics = vec![scored("cnn", 0.75, cnn_loss), scored("transfer", 0.875, 0.5)];
            ModelResults { metrics, predictions: Vec::new() }.findings().unwrap()
        };
        let end = "\nThe lowest loss, 0.2500, is that of the convolutional network: the loss also counts how sure a model is, \
                   right or wrong.";
        assert!(found(0.25).ends_with(end), "{}", found(0.25));
        assert!(!found(0.75).contains("lowest loss"), "{}", found(0.75));
    }
}
