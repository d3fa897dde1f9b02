//! Networks: the [`Sequential`] builder, and the [`Model`] that it builds, to predict, freeze, save and load.
//!
//! Start at [`Sequential::new`]; `architectures` has ready-made networks.

pub mod model;
pub(crate) mod model_file;
mod plan;
pub mod precision;
mod provenance;
mod saving;
pub mod sequential;
pub mod summary;
pub mod trained_on;
mod weights;

pub use model::{Model, Probabilities};
pub use precision::Precision;
pub use sequential::Sequential;
pub use summary::Summary;
pub use trained_on::TrainedOn;

pub use crate::system::device::Device;
