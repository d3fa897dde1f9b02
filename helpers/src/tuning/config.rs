//! The settings that all searches have, and a single trial of a search.

use std::fmt;
use std::path::PathBuf;

use super::folds::Folds;
use super::grid::{Parameters, params_text};
use super::network::Network;
use super::pruner::MedianPruner;
use super::results::{Choice, ErrorScore};
use super::scoring::Scoring;
use super::trial::TrialSpec;
use crate::training::FitConfig;

/// The settings that all searches have; [`GridSearchCv`](super::GridSearchCv) says what they mean.
#[derive(Debug, Clone)]
pub(super) struct SearchConfig {
    pub network: Network,
    pub fit: FitConfig,
    pub images: usize,
    pub cv: Folds,
    pub n_repeats: usize,
    pub scoring: Scoring,
    pub choice: Choice,
    pub pruner: Option<MedianPruner>,
    pub refit: bool,
    pub refit_epochs: usize,
    pub validation: f64,
    pub n_jobs: isize,
    pub verbose: u8,
    pub error_score: ErrorScore,
    pub return_train_score: bool,
    pub trials: PathBuf,
}

/// The training of one combination on one fold.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Index of the combination, in the grid's order.
    pub candidate: usize,
    /// Index of the fold.
    pub fold: usize,
    /// The combination.
    pub params: Parameters,
    /// The input of the program `trial`.
    pub spec: TrialSpec,
}

impl fmt::Display for Trial {
    /// `dropout 0.2 on fold 1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Trial::name(&self.params, self.fold))
    }
}

impl Trial {
    /// `dropout 0.2 on fold 1`, for fold 0.
    pub(super) fn name(params: &Parameters, fold: usize) -> String {
        format!("{} on fold {}", params_text(params), fold + 1)
    }
}
