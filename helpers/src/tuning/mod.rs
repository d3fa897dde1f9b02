//! Parameter grids, folds and the grid search.

pub mod folds;
pub mod grid;

pub use folds::{KFold, StratifiedKFold};
pub use grid::{ParameterGrid, Parameters};
