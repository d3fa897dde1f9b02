//! Pictures that show themselves, drawn by plotters.
//!
//! Every function here returns a [`Figure`]: a PNG with its alternative text, which shows itself as the last value of
//! a cell. All pictures share one look ([`style`]): train and validation have one colour each, told apart by dashes and
//! marks too; right predictions are blue with a tick, wrong ones red with a cross. A new chart is a file that draws on a
//! page, with a panel where it has axes.

mod architecture;
mod axes;
pub mod bar;
pub(crate) mod classes;
pub mod figure;
pub mod heat_map;
pub mod image_grid;
pub mod labelled_images;
pub mod line;
mod page;
pub mod scatter;
pub mod style;

pub use bar::BarChart;
pub use figure::Figure;
pub use heat_map::{HeatMap, plot_confusion};
pub use image_grid::{
    Images, plot_denoised, plot_predictions, random_indices, show_classes, show_images,
};
pub use labelled_images::ImageGrid;
pub use line::LineChart;
pub use scatter::{CostPoint, plot_accuracy_cost, plot_scatter};
