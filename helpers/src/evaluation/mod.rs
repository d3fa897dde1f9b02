//! Scores of a trained model: loss and accuracy with its interval ([`Evaluation`]), the confusion matrix and the scores of
//! each class ([`classification_report`]), whether two models differ by more than chance ([`Comparison`]), and how close
//! denoised images are to the clean ones ([`Quality`]).

pub mod compare;
pub mod confusion;
pub mod denoising;
pub mod metrics;
mod model;

pub use compare::{Comparison, Comparisons, mcnemar_exact};
pub use confusion::{
    ClassScores, ClassificationReport, Confusion, classification_report, confusion_matrix,
    most_confident_mistakes, most_confused,
};
pub use denoising::{
    LinearDenoiser, PrincipalComponents, Quality, image_psnr_db, principal_components, psnr_db,
};
pub use metrics::{Evaluation, argmax, top_k_accuracy, wilson_interval};
