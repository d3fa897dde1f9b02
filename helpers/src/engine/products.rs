//! Products of matrices whose bits are the same for any number of threads.
//!
//! libtorch's products divide their work by rows and columns, but some also split the sums, into one part per thread.
//! Compared bit by bit with 1 to 8 threads:
//!
//! - MKL (`f32`) does so when there are few rows or columns: 10 rows of a dense layer's gradient, 24 and 40 filters of a
//!   1 × 1 convolution; never from 64 rows and columns on.
//! - oneDNN (bf16) does so when the left side is transposed and the sums have 2,048, 4,096, 8,192 or 16,384 terms: in 46
//!   of 224 products. With 15 other numbers of terms, 50 to 12,544 (2,049, 4,100 and 6,400 among them), it did in none
//!   of 840. A batch of 64 images of 64 pixels has such sums, notebook 8's images of 80 pixels do not.
//!
//! These products are cut into parts of rows or columns here, and each part is computed by one thread.

use tch::{Kind, Tensor};

use super::layout::blocks;
use crate::error::Result;
use crate::system::parallel::in_team;

/// With fewer rows or columns than this, MKL may split the sums.
const NARROW: i64 = 64;
/// oneDNN may split sums whose length is a power of two of at least this.
const LONG: i64 = 2048;
/// Parts that a product is divided into, along its longer side, when its sums might be split.
const PARTS: usize = 8;

/// `left` times `right`, both matrices of one number format.
pub(super) fn product(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    let (rows, columns) = (left.size()[0], right.size()[1]);
    if !is_narrow(left.kind(), rows, columns) && !is_long(left.kind(), left.size()[1]) {
        return Ok(left.f_mm(right)?);
    }
    let (side, length) = if rows > columns { (0, rows) } else { (1, columns) };
    let parts = blocks(length as usize, PARTS)
        .map(|(first, end)| {
            let part = |of: &Tensor| of.f_narrow(side, first as i64, (end - first) as i64);
            Ok(match side {
                0 => (part(left)?, right.shallow_clone()),
                _ => (left.shallow_clone(), part(right)?),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let found = each_on_one_thread(parts, |(left, right)| Ok(left.f_mm(&right)?))?;
    Ok(Tensor::f_cat(&found, side)?)
}

/// `input` times the transposed `kernel`, plus `bias`.
pub(super) fn linear(input: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    if !is_narrow(input.kind(), input.size()[0], kernel.size()[0]) {
        return Ok(input.f_linear(kernel, bias)?);
    }
    let output = product(input, &kernel.f_transpose(0, 1)?)?;
    Ok(match bias {
        Some(bias) => { output }.f_add_(bias)?,
        None => output,
    })
}

fn is_narrow(kind: Kind, rows: i64, columns: i64) -> bool {
    kind == Kind::Float && rows.min(columns) < NARROW && rows.max(columns) > 1
}

fn is_long(kind: Kind, terms: i64) -> bool {
    kind != Kind::Float && terms >= LONG && (terms as u64).is_power_of_two()
}

/// The results of `work` for all parts, in order; each part runs on a single thread.
pub(super) fn each_on_one_thread<T: Send, R: Send>(
    parts: Vec<T>,
    work: impl Fn(T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let mut found: Vec<Option<Result<R>>> = parts.iter().map(|_| None).collect();
    in_team(parts.into_iter().zip(&mut found).collect(), |(part, slot)| {
        // Autograd is switched off per thread.
        let _guard = tch::no_grad_guard();
        *slot = Some(work(part));
    });
    found.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    #[test]
    fn products_are_those_of_libtorch_and_have_the_same_bits_for_any_number_of_threads() {
        tch::manual_seed(3);
        let before = tch::get_num_threads();
        // The gradient of notebook 4's last layer, 1 x 1 convolutions, and sides shorter than the parts.
        let narrow = [(10, 128, 1280), (6400, 96, 24), (1600, 240, 40), (3, 5, 2)];
        // In most draws one or two of the 9,600 values of libtorch's own product differ between one, two and eight threads.
        let long = [(240, 4096, 40); 12];
        let narrow = narrow.map(|sides| (Kind::Float, sides));
        let long = long.map(|sides| (Kind::BFloat16, sides));
        for (kind, (rows, inner, columns)) in narrow.into_iter().chain(long) {
            let random =
                |sides: [i64; 2]| Tensor::randn(sides, (Kind::Float, Device::Cpu)).to_kind(kind);
            let left = random([inner, rows]).transpose(0, 1);
            let right = random([inner, columns]);
            let found = [1, 2, 3, 8].map(|threads| {
                tch::set_num_threads(threads);
                product(&left, &right).unwrap()
            });
            tch::set_num_threads(before);
            assert!(found.iter().all(|other| other.equal(&found[0])), "{rows} x {columns}");
            let whole = left.to_kind(Kind::Double).mm(&right.to_kind(Kind::Double));
            let apart = (&found[0] - &whole).abs().max().double_value(&[]);
            let rounding = if kind == Kind::Float { 1e-5 } else { 1.0 / 256.0 };
            assert!(
                apart < rounding * whole.abs().max().double_value(&[]),
                "{rows} x {columns}: {apart}"
            );
        }
    }
}
