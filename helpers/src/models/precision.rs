//! The number format a network computes in.

use serde::{Deserialize, Serialize};
use tch::Kind;

use crate::system::device::has_cuda;

/// The number format of a network's convolutions and matrix products. Weights, optimiser state, losses and
/// probabilities are `f32` in each case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// [`Precision::BFloat16`] if there is a GPU or the processor has instructions for it, else [`Precision::Float32`].
    #[default]
    Auto,
    /// 32 bits throughout.
    Float32,
    /// Products of 16-bit brain floats, summed in 32 bits.
    BFloat16,
}

impl Precision {
    /// Resolves [`Precision::Auto`] for this machine; other values are unchanged.
    pub fn resolve(self) -> Precision {
        match self {
            Precision::Auto if has_bf16() || has_cuda() => Precision::BFloat16,
            Precision::Auto => Precision::Float32,
            chosen => chosen,
        }
    }

    pub(crate) fn kind(self) -> Kind {
        match self.resolve() {
            Precision::BFloat16 => Kind::BFloat16,
            _ => Kind::Float,
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn has_bf16() -> bool {
    std::arch::is_x86_feature_detected!("avx512bf16")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_bf16() -> bool {
    false
}
