//! t-SNE: a two-dimensional map of points with many dimensions.

use std::fmt;

use ndarray::Array2;
use tch::{Kind, Tensor};

use super::denoising::principal_components;
use crate::display::Bar;
use crate::error::{Error, Result};
use crate::system::interrupt::InterruptGuard;
use crate::system::memory::keep_freed_memory;
use crate::text::{duration, thousands};

/// A map that keeps neighbouring points together.
#[derive(Clone, PartialEq)]
pub struct Tsne {
    /// A row for each point, `(N, 2)`. Only nearness means something: not the axes, nor the width of the gaps.
    pub points: Array2<f32>,
    /// The error of the map: the Kullback-Leibler divergence between the neighbourhoods of the data and of the map, in
    /// nats.
    pub kl_divergence: f64,
}

/// Steps with exaggerated attraction, and all.
const EXAGGERATED: usize = 250;
const STEPS: usize = 750;
const EXAGGERATION: f64 = 12.0;

impl Tsne {
    /// Maps these rows by exact t-SNE (van der Maaten & Hinton 2008), as scikit-learn's `TSNE(method="exact",
    /// init="pca")` with 750 steps: it starts from the first two principal components, so the same rows give the same
    /// map.
    ///
    /// The time grows with the square of the number of rows: some ten seconds for 1,500.
    ///
    /// - `perplexity`: about how many neighbours a point looks at; 30 is usual
    ///
    /// # Errors
    /// If `perplexity` is below 1 or not below the number of rows, rows have fewer than two values, or the user
    /// interrupts it (SIGINT).
    pub fn fit(rows: &Array2<f32>, perplexity: f64) -> Result<Tsne> {
        if !(perplexity >= 1.0 && perplexity < rows.nrows() as f64) {
            let expected = format!("from 1 to below the number of points, {}", rows.nrows());
            return Err(Error::parameter("perplexity", expected, perplexity, "30 is usual"));
        }
        let interrupts = InterruptGuard::new();
        keep_freed_memory();
        let _guard = tch::no_grad_guard();
        let joint = joint_probabilities(rows, perplexity)?.f_to_kind(Kind::Float)?;
        let start = principal_components(rows, 2)?.points;
        let start = tensor(&start)?;
        let mut map = start.f_div(&start.f_select(1, 0)?.f_std(false)?)?.f_mul_scalar(1e-4)?;
        let exaggerated = joint.f_mul_scalar(EXAGGERATION)?;
        let rate = (rows.nrows() as f64 / EXAGGERATION / 4.0).max(50.0);
        let (mut velocity, mut gains) = (map.f_zeros_like()?, map.f_ones_like()?);
        let mut bar = Bar::new(STEPS);
        for step in 0..STEPS {
            bar.tick(step, |share, left| {
                format!("t-SNE: {:.0}% of {STEPS} steps, {} left", 100.0 * share, duration(left))
            });
            interrupts.check("t-SNE", "run it again, or map fewer images")?;
            let (momentum, joint) =
                if step < EXAGGERATED { (0.5, &exaggerated) } else { (0.8, &joint) };
            let gradient = gradient(joint, &map)?;
            let turned = velocity.f_mul(&gradient)?.f_lt(0.0)?;
            let (more, less) = (gains.f_add_scalar(0.2)?, gains.f_mul_scalar(0.8)?);
            gains = more.f_where_self(&turned, &less)?.f_clamp_min(0.01)?;
            let pull = gains.f_mul(&gradient)?.f_mul_scalar(rate)?;
            velocity = velocity.f_mul_scalar(momentum)?.f_sub(&pull)?;
            map = map.f_add_(&velocity)?;
        }
        bar.close(&format!("t-SNE of {} points", thousands(rows.nrows())));
        let shares = as_shares(&nearness(&map)?)?.f_clamp_min(1e-12)?;
        let apart = joint.f_clamp_min(1e-12)?.f_div(&shares)?.f_log()?;
        let divergence = joint.f_mul(&apart)?.f_sum(Kind::Double)?;
        let points = Vec::<f32>::try_from(map.f_contiguous()?.f_view([-1])?)?;
        let points = Array2::from_shape_vec((rows.nrows(), 2), points).map_err(Error::internal)?;
        Ok(Tsne { points, kl_divergence: divergence.f_double_value(&[])? })
    }
}

impl fmt::Debug for Tsne {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tsne: {} points, divergence {:.3}", self.points.nrows(), self.kl_divergence)
    }
}

fn tensor(rows: &Array2<f32>) -> Result<Tensor> {
    let values: Vec<f32> = rows.iter().copied().collect();
    Ok(Tensor::f_from_slice(&values)?.f_view([rows.nrows() as i64, -1])?)
}

/// Squared distances between all rows.
fn squared_distances(rows: &Tensor) -> Result<Tensor> {
    let norms = row_sums(&rows.f_square()?)?;
    let products = rows.f_matmul(&rows.f_tr()?)?.f_mul_scalar(2.0)?;
    let both = norms.f_add(&norms.f_tr()?)?.f_sub(&products)?;
    Ok(both.f_clamp_min(0.0)?.f_fill_diagonal_(0.0, false)?)
}

/// The sum of each row, `(N, 1)`.
fn row_sums(rows: &Tensor) -> Result<Tensor> {
    Ok(rows.f_sum_dim_intlist(&[1i64][..], true, None::<Kind>)?)
}

/// t-SNE's joint probabilities, which add up to 1: a Gaussian around each point, as wide as the perplexity requires,
/// then the mean of both directions.
fn joint_probabilities(rows: &Array2<f32>, perplexity: f64) -> Result<Tensor> {
    let rows = tensor(rows)?.f_to_kind(Kind::Double)?;
    let distances = squared_distances(&rows)?;
    // Distances relative to the nearest neighbour: the shares are the same, and none underflows.
    let others = distances.f_detach_copy()?.f_fill_diagonal_(f64::INFINITY, false)?;
    let from_nearest = distances.f_sub(&others.f_amin(&[1i64][..], true)?)?.f_clamp_min(0.0)?;
    let scale = from_nearest.f_mean(Kind::Double)?.f_clamp_min(f64::MIN_POSITIVE)?;
    let from_nearest = from_nearest.f_div(&scale)?;
    let shares = |logarithm: &Tensor| -> Result<Tensor> {
        let mut near = from_nearest.f_mul(&logarithm.f_exp()?)?.f_neg_()?;
        let near = near.f_exp_()?.f_fill_diagonal_(0.0, false)?;
        Ok(near.f_div(&row_sums(&near)?)?)
    };
    // Bisection finds the logarithm of each row's precision.
    let count = rows.size()[0];
    let all = |bound: f64| Tensor::f_full([count, 1], bound, (Kind::Double, rows.device()));
    let (mut low, mut high) = (all(-20.0)?, all(60.0)?);
    let middle_of = |low: &Tensor, high: &Tensor| low.f_add(high)?.f_div_scalar(2.0);
    for _ in 0..50 {
        let middle = middle_of(&low, &high)?;
        let shares = shares(&middle)?;
        let logarithms = shares.f_clamp_min(f64::MIN_POSITIVE)?.f_log()?;
        let entropy = row_sums(&shares.f_mul(&logarithms)?)?.f_neg()?;
        let too_wide = entropy.f_gt(perplexity.ln())?;
        low = middle.f_where_self(&too_wide, &low)?;
        high = high.f_where_self(&too_wide, &middle)?;
    }
    let shares = shares(&middle_of(&low, &high)?)?;
    Ok(shares.f_add(&shares.f_tr()?)?.f_div_scalar(2.0 * count as f64)?)
}

/// Student's t-distribution with one degree of freedom, between all pairs of different points.
fn nearness(map: &Tensor) -> Result<Tensor> {
    let mut near = squared_distances(map)?.f_add_scalar_(1.0)?;
    Ok(near.f_reciprocal_()?.f_fill_diagonal_(0.0, false)?)
}

/// Each pair's share of the sum over all pairs.
fn as_shares(near: &Tensor) -> Result<Tensor> {
    Ok(near.f_div(&near.f_sum(Kind::Float)?)?)
}

fn gradient(joint: &Tensor, map: &Tensor) -> Result<Tensor> {
    let near = nearness(map)?;
    let pull = joint.f_sub(&as_shares(&near)?)?.f_mul(&near)?;
    Ok(row_sums(&pull)?.f_mul(map)?.f_sub(&pull.f_matmul(map)?)?.f_mul_scalar(4.0)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `reference/looking.json`, from scikit-learn.
    #[test]
    fn joint_probabilities_agree_with_scikit_learn() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/looking.json");
        let text = std::fs::read_to_string(path).unwrap();
        let reference = &serde_json::from_str::<serde_json::Value>(&text).unwrap()["tsne"];
        let value = |(row, column): (usize, usize)| {
            reference["points"][row][column].as_f64().unwrap() as f32
        };
        let rows = Array2::from_shape_fn((20, 3), value);
        let perplexity = reference["perplexity"].as_f64().unwrap();
        let found = joint_probabilities(&rows, perplexity).unwrap();
        // The upper half, row by row.
        let mut expected = reference["joint"].as_array().unwrap().iter();
        for (row, column) in (0..20).flat_map(|row| (row + 1..20).map(move |column| (row, column)))
        {
            let expected = expected.next().unwrap().as_f64().unwrap();
            let found = found.double_value(&[row, column]);
            assert!((found - expected).abs() < 1e-6, "{row} {column}: {found}, not {expected}");
        }
        // As good a map as scikit-learn's on the same points, or a better one.
        let map = Tsne::fit(&rows, perplexity).unwrap();
        let theirs = reference["kl_divergence"].as_f64().unwrap();
        assert!(map.kl_divergence < 1.1 * theirs, "{} and {theirs}", map.kl_divergence);
    }

    /// Two clouds of ten dimensions, far apart: on the map a point's nearest neighbour is of its cloud, for all but a stray
    /// point or two, which rounding decides.
    #[test]
    fn clouds_stay_apart() {
        let value = |(row, column): (usize, usize)| {
            (0.37 * (row * 10 + column) as f32).sin() + if row % 2 == 0 { 8.0 } else { 0.0 }
        };
        let rows = Array2::from_shape_fn((60, 10), value);
        let map = Tsne::fit(&rows, 10.0).unwrap();
        assert_eq!(map, Tsne::fit(&rows, 10.0).unwrap());
        let mut strays = 0;
        for row in 0..60 {
            let distance = |other: &usize| {
                let apart = &map.points.row(row) - &map.points.row(*other);
                apart.dot(&apart)
            };
            let nearest = (0..60)
                .filter(|&other| other != row)
                .min_by(|a, b| distance(a).total_cmp(&distance(b)));
            strays += usize::from(nearest.unwrap() % 2 != row % 2);
        }
        assert!(strays <= 2, "{strays} of 60");
        let text = Tsne::fit(&rows, 60.0).unwrap_err().to_string();
        assert!(text.contains("below the number of points, 60, got 60"), "{text}");
    }
}
