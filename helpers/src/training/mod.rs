//! Training: a loop over epochs, and the callbacks around it.
//!
//! Start at [`FitConfig`]; `Model::fit` runs the loop, `Model::fit_with` takes [`Callbacks`] too.

mod adam;
mod average;
pub mod callbacks;
mod config;
mod epoch;
mod fit;
mod flat;
pub mod history;
mod mixing;
mod objective;
pub(crate) mod optimizer;
pub mod schedule;
mod state;
#[cfg(test)]
mod tests;

pub use callbacks::{
    BackupAndRestore, Callback, Callbacks, EarlyStopping, Progress, TensorBoard, TrainBatch,
};
pub use config::FitConfig;
pub(crate) use fit::run;
pub use history::{
    DenoisingHistory, DenoisingRecord, EpochRecord, EpochRow, History, Metric, Phase, Record,
};
pub(crate) use objective::Objective;
pub use schedule::Schedule;
pub use state::TrainingState;
