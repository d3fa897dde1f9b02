//! Grids and distributions of parameters, folds, and the four searches; cross-validated predictions, the learning curve.

mod confirmation;
pub mod cross_val;
mod dask;
pub mod distributions;
pub mod folds;
mod found;
pub mod grid;
pub mod halving;
pub mod launcher;
pub mod network;
mod pool;
pub mod program;
pub mod pruner;
pub mod rate_sweep;
pub mod results;
mod rows;
pub mod search;
pub mod searches;
pub mod trial;

pub use confirmation::Confirmation;
pub use cross_val::{LearningCurve, cross_val_predict, learning_curve};
pub use distributions::{Distribution, ParameterDistributions};
pub use folds::{Folds, KFold, StratifiedKFold};
pub use grid::{ParameterGrid, Parameters};
pub use halving::{MinResources, Resource};
pub use launcher::{Launcher, LocalProcesses, TrialRunner};
pub use network::Network;
pub use pruner::MedianPruner;
pub use rate_sweep::{RateSweep, rate_sweep, smaller_codes};
pub use results::{
    Choice, CvResults, ErrorScore, FailedTrial, MetricScores, Scoring, SearchResults,
};
pub use rows::Rows;
pub use search::Trial;
pub use searches::{GridSearchCv, HalvingGridSearchCv, HalvingRandomSearchCv, RandomizedSearchCv};
pub use trial::{Score, Stage, TrialResult, TrialSpec};
