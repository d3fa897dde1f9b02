//! Parameter grids, folds and the grid search; cross-validated predictions and the learning curve.

pub mod cross_val;
pub mod folds;
pub mod grid;
pub mod launcher;
pub mod network;
mod pool;
pub mod rate_sweep;
pub mod results;
pub mod search;
pub mod trial;

pub use cross_val::{LearningCurve, cross_val_predict, learning_curve};
pub use folds::{Folds, KFold, StratifiedKFold};
pub use grid::{ParameterGrid, Parameters};
pub use launcher::{Launcher, LocalProcesses};
pub use network::Network;
pub use rate_sweep::{RateSweep, rate_sweep, smaller_codes};
pub use results::{CvResults, ErrorScore, FailedTrial, Scoring, SearchResults};
pub use search::{GridSearchCv, Trial};
pub use trial::{Score, TrialResult, TrialSpec};
