//! Parameter grids, folds and the grid search.

pub mod folds;
pub mod grid;
