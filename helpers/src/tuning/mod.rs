//! Parameter grids, folds and the grid search.

pub mod folds;
pub mod grid;
pub mod launcher;
pub mod network;
mod pool;
pub mod results;
pub mod search;
pub mod trial;

pub use folds::{Folds, KFold, StratifiedKFold};
pub use grid::{ParameterGrid, Parameters};
pub use launcher::{Launcher, LocalProcesses};
pub use network::Network;
pub use results::{CvResults, ErrorScore, FailedTrial, Scoring, SearchResults};
pub use search::{GridSearchCv, Trial};
pub use trial::{Score, TrialResult, TrialSpec};
