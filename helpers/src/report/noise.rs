//! The table of noisy images.

use super::shows_its_table;
use crate::data::{GaussianNoise, NoisyImages};
use crate::display::{Column, Table};

impl NoisyImages {
    /// The noise, and how many images have it.
    pub fn table(&self) -> Table {
        let GaussianNoise { mean, variance, clip } = self.noise();
        let clip = if clip { "to 0..=1" } else { "no" };
        Table::new([
            Column::integer("Images"),
            Column::decimal("Noise, mean", 2),
            Column::decimal("Variance", 2),
            Column::decimal("Standard deviation", 3),
            Column::text("Clipped"),
        ])
        .row([
            self.len().into(),
            mean.into(),
            variance.into(),
            variance.sqrt().into(),
            clip.into(),
        ])
    }
}

shows_its_table!(NoisyImages);
