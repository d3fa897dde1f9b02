//! Pictures that show themselves.
//!
//! Every function here returns a [`Figure`]: a PNG with its alternative text, which shows itself as the last value of
//! a cell. All pictures share one look ([`style`]): train and validation have one colour each, told apart by dashes and
//! marks too; right predictions are blue with a tick, wrong ones red with a cross.

mod axes;
pub mod bars;
mod canvas;
pub mod curves;
pub mod denoising;
pub mod figure;
pub mod images;
pub mod matrix;
pub mod style;

pub use bars::{BarChart, CostPoint, plot_accuracy_cost};
pub use curves::{LineChart, plot_scatter};
pub use denoising::plot_denoised;
pub use figure::Figure;
pub use images::{
    ImageRow, Images, compare_images, most_confident_mistakes, plot_predictions, random_indices,
    show_classes, show_images,
};
pub use matrix::{HeatMap, plot_confusion};
