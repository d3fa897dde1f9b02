//! Training: `fit`, callbacks, history, optimisers and schedules.
//!
//! Start at [`FitConfig`]; `Model::fit` runs the loop.

pub mod callbacks;
pub mod fit;
pub mod history;
pub(crate) mod optimizers;
pub mod schedule;

pub use callbacks::EarlyStopping;
pub use fit::FitConfig;
pub use history::{EpochRecord, History};
pub use schedule::Schedule;
