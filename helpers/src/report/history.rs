//! A training as a table: one row per epoch, the best one marked.

use std::fmt;

use crate::Result;
use crate::artifacts::{Metrics, name_in_sentence};
use crate::display::{Column, Show, Table};
use crate::text::{decibels_text, duration, thousands};
use crate::training::history::{EpochRow, History, Metric, Record};

impl<R: Record> History<R> {
    /// The epochs as a table, the best one marked.
    pub fn table(&self) -> Table {
        let metric = |prefix: &str| match R::METRIC {
            Metric::Accuracy => Column::percent(format!("{prefix}ccuracy"), 2),
            Metric::Psnr => Column::decimal(format!("{prefix}SNR"), 2).unit("dB"),
        };
        let [train, validation] = match R::METRIC {
            Metric::Accuracy => ["A", "Validation a"],
            Metric::Psnr => ["P", "Validation P"],
        };
        let digits = R::METRIC.loss_digits();
        let mut table = Table::new([
            Column::integer("Epoch"),
            Column::decimal("Loss", digits),
            metric(train),
            Column::decimal("Validation loss", digits),
            metric(validation),
            Column::decimal("Time", 1).unit("s"),
        ]);
        for record in &self.epochs {
            let EpochRow { epoch, loss, metric, val_loss, val_metric, seconds, .. } = record.row();
            table.push([
                epoch.into(),
                loss.into(),
                metric.into(),
                val_loss.into(),
                val_metric.into(),
                seconds.into(),
            ]);
        }
        table.best(self.best_epoch.saturating_sub(1))
    }

    /// The best epoch, its scores, and the cost of the training; as sentences.
    pub fn sentence(&self) -> String {
        let EpochRow { epoch, loss, metric, val_loss, val_metric, .. } = self.best().row();
        let digits = R::METRIC.loss_digits();
        let value = |value: f64| match R::METRIC {
            Metric::Accuracy => format!("{:.2}%", 100.0 * value),
            Metric::Psnr => decibels_text(value),
        };
        let name = match R::METRIC {
            Metric::Accuracy => "accuracy",
            Metric::Psnr => "PSNR",
        };
        format!(
            "The validation loss is lowest in epoch {epoch} of {}: {val_loss:.digits$}, a validation {name} of {}. On the \
             training images as the network met them: loss {loss:.digits$}, {name} {}. {} Training took {}, {} images a \
             second.",
            self.epochs_run(),
            value(val_metric),
            value(metric),
            if self.stopped_early { "Patience ran out." } else { "Patience did not run out." },
            duration(self.fit_seconds),
            thousands(self.train_images_per_second as usize)
        )
    }

    /// Shows the table as the result of a cell.
    pub fn evcxr_display(&self) {
        self.table().evcxr_display();
    }
}

impl History {
    /// The validation accuracy of the best epoch, compared with that of another model; as a sentence, which says if the
    /// other one averages mirror images, as no epoch does.
    ///
    /// # Errors
    /// If the other one has no such score.
    pub fn beside(&self, other: &Metrics) -> Result<String> {
        let accuracy = self.best().val_accuracy;
        let gain = 100.0 * (accuracy - other.validation_evaluation()?.accuracy);
        let mirrored = other.config.get("average_mirrored").and_then(|value| value.as_bool());
        Ok(format!(
            "{:.2}% on the validation part, {:.2} points {} {}{}",
            100.0 * accuracy,
            gain.abs(),
            if gain >= 0.0 { "above" } else { "below" },
            name_in_sentence(&other.name),
            if mirrored == Some(true) { ", which also looks at mirror images" } else { "" }
        ))
    }
}

impl<R: Record> Show for History<R> {
    fn html(&self) -> String {
        self.table().to_html()
    }

    fn text(&self) -> String {
        self.table().to_text()
    }
}

impl<R: Record> fmt::Display for History<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table().to_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::tests::metrics;
    use crate::training::EpochRecord;

    #[test]
    fn the_best_epoch_stands_beside_another_model() {
        let record = |epoch, val_accuracy| EpochRecord {
            epoch,
            loss: 0.5,
            accuracy: 0.5,
            val_loss: 0.5,
            val_accuracy,
            learning_rate: 0.001,
            seconds: 1.0,
        };
        let history = History {
            epochs: vec![record(1, 0.25), record(2, 0.375), record(3, 0.75)],
            best_epoch: 2,
            stopped_early: false,
            fit_seconds: 3.0,
            train_images_per_second: 1.0,
            phases: Vec::new(),
        };
        let text = history.beside(&metrics("baseline", 0.8)).unwrap();
        assert_eq!(text, "37.50% on the validation part, 12.50 points below the dense network");
        let mirrored = metrics("baseline", 0.8).config("average_mirrored", &true).unwrap();
        let text = history.beside(&mirrored).unwrap();
        assert!(
            text.ends_with("below the dense network, which also looks at mirror images"),
            "{text}"
        );
        let unscored = Metrics { validation: None, ..metrics("baseline", 0.8) };
        let error = history.beside(&unscored).unwrap_err().to_string();
        assert!(error.contains("with its validation scores"), "{error}");
    }
}
