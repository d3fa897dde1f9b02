//! Training: `fit`, callbacks, history, optimisers and schedules.
//!
//! Start at [`FitConfig`]; `Model::fit` runs the loop.

pub mod callbacks;
pub(crate) mod checkpoint;
pub mod fit;
pub mod history;
pub(crate) mod optimizers;
pub mod schedule;

pub use callbacks::EarlyStopping;
pub use fit::FitConfig;
pub use history::{DenoisingHistory, DenoisingRecord, EpochRecord, History, Metric, Phase, Record};
pub use schedule::Schedule;
