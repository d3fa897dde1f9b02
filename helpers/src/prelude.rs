//! What a notebook needs, in one `use`.

pub use crate::artifacts::{Artifacts, Denoising, Metrics, Predictions, compare_predictions};
pub use crate::data::{
    Augmentation, Dataset, DatasetInfo, DenoisedImages, GaussianNoise, ImageShape, NoisyImages,
    Split, SplitConfig, Subset,
};
pub use crate::display::{Cell, Column, Table};
pub use crate::error::{Error, Result};
pub use crate::evaluation::{
    Confusion, Evaluation, LinearDenoiser, PrincipalComponents, Quality, argmax,
    classification_report, confusion_matrix, image_psnr_db, most_confused, principal_components,
    psnr_db,
};
pub use crate::models::{
    AutoencoderConfig, Bottleneck, CnnConfig, DenseConfig, FeatureConfig, Features, Initializer,
    Layer, Model, Precision, Probabilities, Sequential, Summary, TransferConfig,
};
pub use crate::plot::{
    BarChart, CostPoint, Figure, HeatMap, ImageRow, LineChart, compare_images,
    most_confident_mistakes, plot_accuracy_cost, plot_confusion, plot_denoised, plot_predictions,
    plot_scatter, random_indices, show_classes, show_images,
};
pub use crate::report::{comparative_table, compare_denoisers};
pub use crate::text::thousands;
pub use crate::training::{
    Callback, Callbacks, DenoisingHistory, FitConfig, History, Schedule, TrainingState,
};
pub use crate::tuning::{
    GridSearchCv, KFold, Network, ParameterGrid, SearchResults, StratifiedKFold,
};
