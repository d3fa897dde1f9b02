//! What a network consists of: a row for each layer.

use std::fmt;

use crate::system::device::Device;
use crate::text::thousands;

/// The layers of a network, their output shapes and numbers of parameters, as Keras's `summary()`.
#[derive(Clone, PartialEq)]
pub struct Summary {
    pub(crate) rows: Vec<SummaryRow>,
    /// Parameters that training changes.
    pub trainable: usize,
    /// Running statistics and frozen parameters.
    pub non_trainable: usize,
    /// Where the network computes.
    pub device: Device,
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SummaryRow {
    pub name: String,
    pub kind: &'static str,
    pub output_shape: String,
    pub parameters: usize,
}

impl fmt::Debug for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Summary: {} layers, {} parameters",
            self.rows.len(),
            thousands(self.trainable + self.non_trainable)
        )
    }
}
