//! Products of matrices whose bits are the same for any number of threads.
//!
//! oneDNN (bf16) divides a product only by rows and columns. MKL (`f32`) also splits the sums when there are few rows
//! or columns, into one part per thread. Observed with 2 to 8 threads, compared bit by bit: 10 rows of a dense layer's
//! gradient, 24 and 40 filters of a 1 × 1 convolution; never from 64 rows and columns on.

use tch::{Kind, Tensor};

use super::layout::blocks;
use crate::error::Result;
use crate::system::parallel::in_team;

/// With fewer rows or columns than this, MKL may split the sums.
const NARROW: i64 = 64;
/// Parts that a narrow product is divided into, along its longer side.
const PARTS: usize = 8;

/// `left` times `right`, both matrices of one number format.
pub(super) fn product(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    let (rows, columns) = (left.size()[0], right.size()[1]);
    if !is_narrow(left.kind(), rows, columns) {
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
    fn narrow_products_are_those_of_libtorch_and_have_the_same_bits_for_any_number_of_threads() {
        tch::manual_seed(3);
        let options = (Kind::Float, Device::Cpu);
        let before = tch::get_num_threads();
        // The gradient of notebook 4's last layer, 1 x 1 convolutions, and sides shorter than the parts.
        for (rows, inner, columns) in [(10, 128, 1280), (6400, 96, 24), (1600, 240, 40), (3, 5, 2)]
        {
            let left = Tensor::randn([inner, rows], options).transpose(0, 1);
            let right = Tensor::randn([inner, columns], options);
            let found = [1, 2, 3, 8].map(|threads| {
                tch::set_num_threads(threads);
                product(&left, &right).unwrap()
            });
            tch::set_num_threads(before);
            assert!(found.iter().all(|other| other.equal(&found[0])), "{rows} x {columns}");
            let apart = (&found[0] - left.mm(&right)).abs().max().double_value(&[]);
            assert!(apart < 1e-3, "{rows} x {columns}: {apart}");
        }
    }
}
