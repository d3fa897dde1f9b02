//! Tables and sentences about a data set, a training, scores and a search.
//!
//! The other modules compute the values, this one formats them for readers. Each type that a cell may end with has
//! `table()`, `evcxr_display()` (which shows that table) and a `Display` of several lines, for `println!`.

mod brightness;
mod calibration;
pub mod comparison;
mod confirmation;
mod curves;
mod dataset;
mod denoising;
mod evaluation;
mod history;
mod importance;
mod metrics;
mod mistakes;
mod noise;
mod parallel;
mod result;
mod search;
mod seeds;
mod split;
mod summary;
mod tensor_board;

pub use crate::text::decibels_text;
pub use brightness::Brightness;
pub use comparison::comparative_table;
pub use curves::label_issues_sentence;
pub use denoising::{compare_denoisers, denoising_sentence, gain_text};
pub use mistakes::{ConfusedPairs, Cost, mistakes_sentence, plot_models_cost};
pub use tensor_board::PredictionImages;

use crate::artifacts::Metrics;
use crate::text::thousands;

/// Implements the display of types with a `table()`: as the result of a cell, and as text.
macro_rules! shows_its_table {
    ($($type:ty),+ $(,)?) => {$(
        impl $type {
            /// Shows the table as the result of a cell.
            pub fn evcxr_display(&self) {
                self.table().evcxr_display();
            }
        }

        impl $crate::display::Show for $type {
            fn html(&self) -> String {
                self.table().to_html()
            }

            fn text(&self) -> String {
                self.table().to_text()
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.table().to_text())
            }
        }
    )+};
}
use shows_its_table;

/// What a caption says of a quick run or of one on a sample: ` A quick run on 2,000 of 4,000 images: its scores mean
/// little.`
fn run_note(metrics: &Metrics) -> String {
    let sample = metrics.dataset.sampled_from.map_or_else(String::new, |all| {
        format!(" on {} of {} images", thousands(metrics.dataset.images), thousands(all))
    });
    match metrics.quick {
        true => format!(" A quick run{sample}: its scores mean little."),
        false if sample.is_empty() => sample,
        false => format!(" A run{sample}."),
    }
}

/// `92.81 to 93.80`, for fractions shown as percent.
fn interval_text(low: f64, high: f64) -> String {
    format!("{:.2} to {:.2}", 100.0 * low, 100.0 * high)
}
