//! Parameter grids, folds and the grid search.

pub mod folds;
pub mod grid;
pub mod search;
pub mod trial;

pub use folds::{KFold, StratifiedKFold};
pub use grid::{ParameterGrid, Parameters};
pub use search::{CvResults, ErrorScore, Folds, GridSearchCv, Scoring, SearchResults};
pub use trial::{Launcher, LocalProcesses, Network, Score, TrialResult, TrialSpec};
