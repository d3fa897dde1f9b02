//! The metrics of a notebook as a table.

use super::{interval_text, shows_its_table};
use crate::artifacts::{Denoising, Metrics, Scores};
use crate::display::{Cell, Column, Table};
use crate::evaluation::Evaluation;
use crate::text::thousands;

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

    pub(crate) fn sentence(&self) -> String {
        let sample = self.dataset.sampled_from.map_or_else(String::new, |of| {
            format!("On {} of {} images: ", thousands(self.dataset.images), thousands(of))
        });
        format!(
            "{}{sample}{}: {} parameters, best epoch {} of {}, trained in {:.0} s.",
            if self.quick { "Quick run: " } else { "" },
            self.name,
            thousands(self.parameters),
            self.best_epoch,
            self.epochs_run,
            self.fit_seconds,
        )
    }
}

shows_its_table!(Metrics);
