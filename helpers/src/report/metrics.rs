//! The metrics of a notebook as a table.

use super::{interval_text, run_note, shows_its_table};
use crate::artifacts::{Denoising, Metrics, Scores, name_in_sentence};
use crate::display::{Cell, Column, Table};
use crate::evaluation::Evaluation;
use crate::text::{duration, thousands};

impl Metrics {
    /// The figures as a table: one row for each part that was scored.
    pub fn table(&self) -> Table {
        let parts = [("validation", self.validation), ("test", self.test)];
        let scored: Vec<(&str, Scores)> =
            parts.into_iter().filter_map(|(part, scores)| Some((part, scores?))).collect();
        let denoising = matches!(scored.first(), Some((_, Scores::Denoising(_))));
        let mut columns = vec![Column::text("Part")];
        if denoising {
            columns.push(Column::decimal("MSE", 5));
            columns.push(Column::decimal("PSNR", 2).unit("dB"));
            columns.push(Column::decimal("SSIM", 3));
            columns.push(Column::decimal("PSNR, noisy", 2).unit("dB"));
            columns.push(Column::decimal("PSNR, linear", 2).unit("dB"));
        } else {
            columns.push(Column::integer("Images"));
            columns.push(Column::decimal("Loss", 4));
            columns.push(Column::percent("Accuracy", 2));
            columns.push(Column::number_text("95% interval").unit("%"));
        }
        let mut table = Table::new(columns);
        for (part, scores) in scored {
            let mut row: Vec<Cell> = vec![part.into()];
            match scores {
                Scores::Classification(Evaluation {
                    images,
                    loss,
                    accuracy,
                    accuracy_ci95: [low, high],
                }) => {
                    row.extend([images.into(), loss.into(), accuracy.into()]);
                    row.push(interval_text(low, high).into());
                }
                Scores::Denoising(Denoising {
                    mse,
                    psnr_db,
                    ssim,
                    noisy_psnr_db,
                    linear_psnr_db,
                }) => {
                    row.extend([mse, psnr_db, ssim, noisy_psnr_db, linear_psnr_db].map(Cell::from));
                }
            }
            table.push(row);
        }
        table.caption(self.sentence())
    }

    fn sentence(&self) -> String {
        format!(
            "Scores of {}: {} trained parameters, best epoch {} of {}, trained in {}.{}",
            name_in_sentence(&self.name),
            thousands(self.parameters),
            self.best_epoch,
            self.epochs_run,
            duration(self.fit_seconds),
            run_note(self),
        )
    }
}

shows_its_table!(Metrics);

#[cfg(test)]
mod tests {
    use crate::artifacts::Metrics;
    use crate::artifacts::tests::metrics;

    #[test]
    fn the_caption_names_the_model_and_its_cost_in_words() {
        let sample = Metrics { fit_seconds: 2589.0, ..metrics("cnn", 0.75) };
        let mut full = sample.clone();
        full.dataset.sampled_from = None;
        let sentence = "Scores of the convolutional network: 1,234 trained parameters, best epoch 1 of 1, trained in \
                        43 min 09 s.";
        assert_eq!(full.sentence(), sentence);
        assert_eq!(sample.sentence(), format!("{sentence} A run on 200 of 4,000 images."));
        let quick = Metrics { quick: true, ..sample }.sentence();
        let end = " A quick run on 200 of 4,000 images: its scores mean little.";
        assert_eq!(quick, format!("{sentence}{end}"));
    }
}
