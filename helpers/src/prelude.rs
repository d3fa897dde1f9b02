//! What notebooks use, in one `use`; all else is found in its room: `helpers::training::History`.

// Data.
pub use crate::data::{
    Augmentation, Dataset, GaussianNoise, ImageShape, Split, SplitConfig, Subset,
};
// Models. `Sequential` and `Initializer` are for networks that a notebook defines itself.
pub use crate::architectures::{
    AutoencoderConfig, CnnConfig, DenseConfig, EfficientNet, TransferConfig,
};
pub use crate::features::FeatureConfig;
pub use crate::layers::Initializer;
pub use crate::models::{Model, Probabilities, Sequential};
// Training. The callbacks are for what a cell adds to `fit`.
pub use crate::training::{Callback, Callbacks, FitConfig, Schedule, TensorBoard, TrainingState};
// Scores.
pub use crate::evaluation::{
    Calibration, Evaluation, LinearDenoiser, NoiseLevels, Quality, argmax, classification_report,
    confusion_matrix, find_label_issues, most_confident_mistakes, principal_components,
    top_k_accuracy,
};
// Search.
pub use crate::tuning::{
    Distribution, GridSearchCv, HalvingGridSearchCv, HalvingRandomSearchCv, Network,
    ParameterDistributions, ParameterGrid, RandomizedSearchCv, Resource, StratifiedKFold,
    cross_val_predict, learning_curve, rate_sweep, smaller_codes,
};
// What is kept.
pub use crate::artifacts::{
    Artifacts, Denoising, DenoisingResult, Metrics, ModelResult, ModelResults, Predictions, Run,
    TestResult, compare_predictions,
};
// Figures.
pub use crate::plot::style::{INK as BLACK, RIGHT as BLUE, WRONG as RED};
pub use crate::plot::{
    BarChart, Figure, ImageGrid, LineChart, plot_codes, plot_confusion, plot_confusions,
    plot_denoised, plot_feature_maps, plot_filters, plot_grad_cam, plot_interpolation,
    plot_label_issues, plot_last_features, plot_only_one_right, plot_predictions, plot_scatter,
    random_indices, right_and_wrong, show_augmented, show_classes, show_images,
};
// Tables and sentences; `ShowResult` is what a cell needs that ends in `history.plot()`.
pub use crate::display::{Cell, Column, LiveDisplay, ShowResult as _, Table};
pub use crate::report::{
    ConfusedPairs, Cost, comparative_table, label_issues_sentence, mistakes_sentence,
    plot_models_cost,
};
pub use crate::text::thousands;
