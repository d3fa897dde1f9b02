//! Access to the numbers in a tensor's memory, for loops that libtorch does not have: `f32` and bf16, a few values at a
//! time, compiled for the processor's vector instructions.

use half::bf16;
use tch::{Device, Tensor};

use crate::error::{Error, Result};

/// A number in memory.
pub(crate) trait Element: Copy + Send + Sync + 'static {
    fn load(self) -> f32;
    fn store(value: f32) -> Self;
}

impl Element for f32 {
    #[inline(always)]
    fn load(self) -> f32 {
        self
    }

    #[inline(always)]
    fn store(value: f32) -> f32 {
        value
    }
}

/// Without branches: `half`'s own conversions check for NaN first, which cost fine-tuning 3% of a training step and 8%
/// of a prediction (one thread of an AVX512-BF16 processor).
impl Element for bf16 {
    #[inline(always)]
    fn load(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    /// Rounds to the nearest value, ties to even.
    #[inline(always)]
    fn store(value: f32) -> bf16 {
        let bits = value.to_bits();
        let rounded = bits.wrapping_add(0x7fff).wrapping_add((bits >> 16) & 1);
        let bits = if value.is_nan() { bits | 0x0040_0000 } else { rounded };
        bf16::from_bits((bits >> 16) as u16)
    }
}

/// The values of a tensor in memory order.
pub(crate) fn read<E: Element>(tensor: &Tensor, length: usize) -> Result<&[E]> {
    check(tensor, length, size_of::<E>())?;
    // SAFETY: the tensor was seen to be dense, of `length` values of this size, each bit pattern of which is a value. The
    // slice lives no longer than the tensor, which nobody writes to meanwhile.
    Ok(unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<E>(), length) })
}

/// The same for writing, for a new tensor that nothing else uses yet.
#[allow(clippy::mut_from_ref, reason = "a tensor's memory is apart from its handle")]
pub(crate) fn write<E: Element>(tensor: &Tensor, length: usize) -> Result<&mut [E]> {
    check(tensor, length, size_of::<E>())?;
    // SAFETY: as in `read`; and nobody else has the new tensor's memory, which each caller takes once at a time.
    Ok(unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<E>(), length) })
}

fn check(tensor: &Tensor, length: usize, size: usize) -> Result<()> {
    let dense = match tensor.dim() {
        4 => tensor.f_permute([0, 2, 3, 1])?.is_contiguous(),
        _ => tensor.is_contiguous(),
    };
    let fits = tensor.numel() == length && tensor.kind().elt_size_in_bytes() == size && length > 0;
    if dense && fits && tensor.device() == Device::Cpu {
        return Ok(());
    }
    Err(Error::internal(format!("{tensor:?} is not {length} dense values of {size} bytes")))
}

/// Calls `$tile::<E, L>(from, …)` for all channels: 32 at a time, then 16, 4 and 1.
///
/// A tile keeps its values of each channel in registers while it goes down the rows.
macro_rules! in_tiles {
    ($count:expr, $tile:ident, $($argument:expr),*) => {
        let (count, mut from) = ($count, 0);
        while from + 32 <= count {
            $tile::<E, 32>(from, $($argument),*);
            from += 32;
        }
        while from + 16 <= count {
            $tile::<E, 16>(from, $($argument),*);
            from += 16;
        }
        while from + 4 <= count {
            $tile::<E, 4>(from, $($argument),*);
            from += 4;
        }
        while from < count {
            $tile::<E, 1>(from, $($argument),*);
            from += 1;
        }
    };
}

/// `L` values from this index on.
#[inline(always)]
#[allow(clippy::expect_used, reason = "the slice has this length")]
pub(crate) fn lanes<T, const L: usize>(values: &[T], from: usize) -> &[T; L] {
    values[from..from + L].try_into().expect("a slice of this length")
}

/// [`lanes`] for writing.
#[inline(always)]
#[allow(clippy::expect_used, reason = "as above")]
pub(crate) fn lanes_mut<T, const L: usize>(values: &mut [T], from: usize) -> &mut [T; L] {
    (&mut values[from..from + L]).try_into().expect("a slice of this length")
}

/// Adds 32-bit sums to 64-bit ones.
#[inline(always)]
pub(crate) fn add_lanes<const L: usize>(sums: &mut [f64], from: usize, more: [f32; L]) {
    for (sum, more) in lanes_mut::<_, L>(sums, from).iter_mut().zip(more) {
        *sum += f64::from(more);
    }
}

/// Compiles a loop for AVX-512, for AVX2 and without them; a call runs the best one that this processor has.
macro_rules! vectorised {
    ($(#[$about:meta])* $visible:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$about])*
        #[allow(clippy::too_many_arguments, reason = "what a loop reads and writes")]
        $visible fn $name<E: Element>($($argument: $type),*) {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, reason = "as above")]
            fn plain<E: Element>($($argument: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            #[allow(clippy::too_many_arguments, reason = "as above")]
            fn avx512<E: Element>($($argument: $type),*) {
                plain::<E>($($argument),*);
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments, reason = "as above")]
            fn avx2<E: Element>($($argument: $type),*) {
                plain::<E>($($argument),*);
            }

            #[cfg(target_arch = "x86_64")]
            {
                use std::arch::is_x86_feature_detected as has;
                if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") && has!("avx2") && has!("fma") {
                    // SAFETY: the processor has what the function is compiled for.
                    return unsafe { avx512::<E>($($argument),*) };
                }
                if has!("avx2") && has!("fma") {
                    // SAFETY: the processor has what the function is compiled for.
                    return unsafe { avx2::<E>($($argument),*) };
                }
            }
            plain::<E>($($argument),*);
        }
    };
}

pub(crate) use {in_tiles, vectorised};

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn numbers_are_rounded_to_bf16_as_libtorch_rounds_them() {
        tch::manual_seed(2);
        let drawn = Tensor::randn([5000], (Kind::Float, Device::Cpu)).exp() - 1.0;
        let mut values = Vec::<f32>::try_from(drawn).unwrap();
        values.extend([
            0.0,
            -0.0,
            f32::MAX,
            f32::INFINITY,
            f32::NEG_INFINITY,
            1e-40,
            1.0 + 1.0 / 256.0,
            1.0 + 3.0 / 256.0,
        ]);
        let theirs = Tensor::from_slice(&values).to_kind(Kind::BFloat16).to_kind(Kind::Float);
        let theirs = Vec::<f32>::try_from(theirs).unwrap();
        for (value, theirs) in values.iter().zip(theirs) {
            assert_eq!(bf16::store(*value).load().to_bits(), theirs.to_bits(), "{value}");
        }
        assert!(bf16::store(f32::NAN).load().is_nan());
        assert!(bf16::store(f32::from_bits(0x7fff_ffff)).load().is_nan());
    }
}
