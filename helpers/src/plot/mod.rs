//! Pictures that a cell can show, drawn by plotters.
//!
//! Every function here returns a [`Figure`]: a PNG with its alternative text, which a cell shows as its last value. All
//! pictures share one look ([`style`]): train and validation have one colour each, and also differ in dashes and marks;
//! right predictions are blue with a tick, wrong ones red with a cross. A new chart is a new file that draws on a page,
//! with a panel if it has axes.

mod architecture;
mod axes;
pub mod bar;
pub(crate) mod classes;
pub mod disagreement;
pub mod figure;
pub mod heat_map;
pub mod image_grid;
pub mod labelled_images;
pub mod line;
pub mod network;
mod page;
pub(crate) mod parallel;
pub mod reliability;
pub mod scatter;
pub mod style;
mod tiles;

pub use bar::BarChart;
pub use disagreement::{plot_confusions, plot_label_issues, plot_only_one_right};
pub use figure::Figure;
pub use heat_map::{HeatMap, plot_confusion};
pub use image_grid::{
    Images, plot_denoised, plot_interpolation, plot_predictions, random_indices, right_and_wrong,
    show_augmented, show_classes, show_images,
};
pub use labelled_images::ImageGrid;
pub use line::LineChart;
pub use network::{plot_codes, plot_feature_maps, plot_filters, plot_grad_cam, plot_last_features};
pub use reliability::plot_reliability;
pub use scatter::{CostPoint, plot_accuracy_cost, plot_scatter};
