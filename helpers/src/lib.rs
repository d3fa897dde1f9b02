//! Deep learning on image data, for Rust notebooks: Keras's words for models and training, scikit-learn's for splits
//! and search.
//!
//! The rooms, in the order a project meets them; data flows down the list and nothing reaches back:
//!
//! - [`data`]: `X.npy` and `y.npy` become a [`data::Dataset`], split and served in batches
//! - [`models`]: layers, the `Sequential` builder, kernel initializers, summaries
//! - [`training`]: `fit`, early stopping, learning-rate schedules, `History`
//! - [`evaluation`]: accuracy with its interval, confusion matrix, per-class report
//! - [`tuning`]: parameter grids, folds and the grid search
//! - [`plot`]: pictures that show themselves in a notebook
//! - [`display`]: what a cell shows: HTML tables and PNG pictures
//! - [`artifacts`]: where models, metrics and figures are kept
//! - [`error`]: what went wrong, what was expected, and what to do
//!
//! A notebook starts with `use helpers::prelude::*;`.

pub mod artifacts;
pub mod data;
pub mod display;
mod elements;
pub mod error;
pub mod evaluation;
mod mapped;
pub mod models;
mod parallel;
pub mod plot;
pub mod system;
pub mod training;
pub mod tuning;

pub use error::{Error, Result};

/// What a notebook needs, in one `use`.
pub mod prelude {
    pub use crate::artifacts::{
        Artifacts, Denoising, Metrics, Predictions, comparative_table, compare_predictions,
    };
    pub use crate::data::{
        Augmentation, Dataset, DatasetInfo, DenoisedImages, GaussianNoise, ImageShape, NoisyImages,
        Split, SplitConfig, Subset,
    };
    pub use crate::display::{Cell, Column, Table, thousands};
    pub use crate::error::{Error, Result};
    pub use crate::evaluation::{
        Confusion, Evaluation, LinearDenoiser, PrincipalComponents, Quality, classification_report,
        compare_denoisers, confusion_matrix, image_psnr_db, most_confused, most_probable,
        principal_components, psnr_db,
    };
    pub use crate::models::{
        AutoencoderConfig, Bottleneck, CnnConfig, DenseConfig, FeatureConfig, Features,
        Initializer, Layer, Model, Precision, Probabilities, Sequential, Summary, TransferConfig,
    };
    pub use crate::plot::{
        BarChart, CostPoint, Figure, HeatMap, ImageRow, LineChart, compare_images,
        most_confident_mistakes, plot_accuracy_cost, plot_confusion, plot_denoised,
        plot_predictions, plot_scatter, random_indices, show_classes, show_images,
    };
    pub use crate::training::{DenoisingHistory, FitConfig, History, Schedule};
    pub use crate::tuning::{
        GridSearchCv, KFold, Network, ParameterGrid, SearchResults, StratifiedKFold,
    };
}
