//! The number format of a measurement.

use helpers::models::Precision;
use serde::Deserialize;

/// The number format, by the names that all sides know.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// The default of this side.
    Default,
    Float32,
}

impl Format {
    pub(crate) fn precision(self) -> Precision {
        match self {
            Format::Default => Precision::Auto,
            Format::Float32 => Precision::Float32,
        }
    }

    /// The number format that is used on this processor.
    pub(crate) fn name(self) -> &'static str {
        match self.precision().resolve() {
            Precision::BFloat16 => "bfloat16",
            _ => "float32",
        }
    }
}
