//! Parameter grids, folds and the grid search.
