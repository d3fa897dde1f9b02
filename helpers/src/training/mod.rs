//! Training: `fit`, callbacks, history, optimisers and schedules.

pub mod history;

pub use history::{EpochRecord, History};
