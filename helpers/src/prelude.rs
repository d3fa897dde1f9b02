//! The names that notebooks use, in one `use`; a test checks that each of them is used. Everything else is found in its
//! module: `helpers::training::History`.

// Data.
pub use crate::data::{Augmentation, Dataset, GaussianNoise, ImageShape, SplitConfig, Subset};
// Models. `Sequential` and `Initializer` are for networks that a notebook defines itself.
pub use crate::architectures::{EfficientNet, TransferConfig};
pub use crate::features::FeatureConfig;
pub use crate::layers::Initializer;
pub use crate::models::{Probabilities, Sequential};
// Training.
pub use crate::training::{FitConfig, Schedule};
// Scores.
pub use crate::evaluation::{
    Calibration, LinearDenoiser, NoiseLevels, argmax, classification_report, confusion_matrix,
    find_label_issues, most_confident_mistakes, top_k_accuracy,
};
// Search.
pub use crate::tuning::{
    GridSearchCv, Network, ParameterGrid, StratifiedKFold, cross_val_predict, learning_curve,
    rate_sweep, smaller_codes,
};
// What is kept.
pub use crate::artifacts::{Run, compare_predictions};
// Figures.
pub use crate::plot::style::{INK as BLACK, RIGHT as BLUE, WRONG as RED};
pub use crate::plot::{
    Figure, ImageGrid, plot_codes, plot_confusion, plot_confusions, plot_denoised,
    plot_feature_maps, plot_filters, plot_grad_cam, plot_interpolation, plot_label_issues,
    plot_last_features, plot_only_one_right, plot_predictions, random_indices, right_and_wrong,
    show_augmented, show_classes, show_images,
};
// Tables and sentences; a cell that ends in a call that may fail, such as `history.plot()`, needs `ShowResult`.
pub use crate::display::ShowResult as _;
pub use crate::report::{
    ConfusedPairs, Cost, label_issues_sentence, mistakes_sentence, plot_models_cost,
};
pub use crate::text::thousands;
