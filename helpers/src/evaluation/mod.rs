//! Scores of a trained model: loss and accuracy with its interval ([`Evaluation`]), the confusion matrix and the scores of
//! each class ([`classification_report`]), whether two models differ by more than chance ([`Comparison`]), whether
//! probabilities keep their promise ([`Calibration`]), where a network looks ([`GradCam`]), which labels are doubtful
//! ([`find_label_issues`]), and how close denoised images are to the clean ones ([`Quality`]).

pub mod calibration;
pub mod compare;
pub mod confusion;
pub mod denoising;
pub mod explanation;
pub mod label_issues;
pub mod metrics;
mod model;
pub mod noise_levels;
pub mod tsne;

pub use calibration::{Calibrated, Calibration, CalibrationBin, TemperatureScaling};
pub use compare::{Comparison, Comparisons, mcnemar_exact};
pub use confusion::{
    ClassScores, ClassificationReport, Confusion, classification_report, confusion_matrix,
    most_confident_mistakes, most_confused,
};
pub use denoising::{
    LinearDenoiser, PrincipalComponents, Quality, image_psnr_db, principal_components, psnr_db,
};
pub use explanation::GradCam;
pub use label_issues::{LabelIssue, find_label_issues};
pub use metrics::{Evaluation, argmax, top_k_accuracy, wilson_interval};
pub use noise_levels::NoiseLevels;
pub use tsne::Tsne;
