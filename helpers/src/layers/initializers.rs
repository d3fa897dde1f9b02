//! Kernel initializers with Keras's names and formulas.
//!
//! A kernel is `(units, inputs)` for a dense layer and `(filters, channels, height, width)` for a convolution. Its fans
//! are defined as in Keras: `fan_in` is the inputs of one unit, `fan_out` the units that one input reaches, each times
//! the receptive field. Draws come from libtorch's generator, so `tch::manual_seed` makes them repeatable.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};

/// How the weights of a kernel are first drawn; Keras's `kernel_initializer`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Initializer {
    /// All 0. The units of a hidden layer that starts like this stay equal.
    Zeros,
    /// All 1.
    Ones,
    /// All the same value.
    Constant(f64),
    /// Normal with mean 0 and this standard deviation; Keras's default is 0.05.
    RandomNormal {
        /// Standard deviation.
        stddev: f64,
    },
    /// Uniform in `-limit..limit`; Keras's default is 0.05.
    RandomUniform {
        /// The largest magnitude.
        limit: f64,
    },
    /// Normal with mean 0, cut off at two standard deviations; Keras's default is 0.05.
    TruncatedNormal {
        /// Standard deviation before cutting.
        stddev: f64,
    },
    /// Uniform within `sqrt(6 / (fan_in + fan_out))` (Glorot & Bengio 2010).
    GlorotUniform,
    /// Truncated normal with variance `2 / (fan_in + fan_out)` (Glorot & Bengio 2010).
    GlorotNormal,
    /// Uniform within `sqrt(6 / fan_in)` (He et al. 2015).
    HeUniform,
    /// Truncated normal with variance `2 / fan_in` (He et al. 2015).
    HeNormal,
    /// Uniform within `sqrt(3 / fan_in)` (LeCun et al. 1998).
    LecunUniform,
    /// Truncated normal with variance `1 / fan_in` (LeCun et al. 1998).
    LecunNormal,
    /// Rows (or columns, whichever are fewer) orthonormal, times a gain (Saxe et al. 2014).
    Orthogonal {
        /// Factor on the orthonormal matrix; Keras's default is 1.
        gain: f64,
    },
    /// Variance `scale / fan`, the general form of the Glorot, He and LeCun ones.
    VarianceScaling {
        /// Numerator of the variance, above 0.
        scale: f64,
        /// Which fan divides it.
        mode: FanMode,
        /// The shape of the distribution.
        distribution: Distribution,
    },
}

/// Which fan [`Initializer::VarianceScaling`] divides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FanMode {
    /// Inputs of a unit.
    FanIn,
    /// Units an input reaches.
    FanOut,
    /// The mean of the two.
    FanAvg,
}

/// The distribution [`Initializer::VarianceScaling`] draws from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// Normal, cut off at two standard deviations and widened so that the variance is right after the cut.
    TruncatedNormal,
    /// Normal, not cut.
    UntruncatedNormal,
    /// Uniform.
    Uniform,
}

/// Standard deviation of a unit normal that is cut off at ±2.
const TRUNCATED_STDDEV: f64 = 0.879_625_661_034_239_8;

impl Initializer {
    /// The names [`Initializer::from_name`] takes.
    pub const NAMES: [&'static str; 14] = [
        "zeros",
        "ones",
        "constant",
        "random_normal",
        "random_uniform",
        "truncated_normal",
        "glorot_uniform",
        "glorot_normal",
        "he_uniform",
        "he_normal",
        "lecun_uniform",
        "lecun_normal",
        "orthogonal",
        "variance_scaling",
    ];

    /// The initializer Keras gives for this name, with Keras's default arguments.
    ///
    /// # Errors
    /// If the name is none of [`Initializer::NAMES`].
    pub fn from_name(name: &str) -> Result<Initializer> {
        Ok(match name {
            "zeros" => Initializer::Zeros,
            "ones" => Initializer::Ones,
            "constant" => Initializer::Constant(0.0),
            "random_normal" => Initializer::RandomNormal { stddev: 0.05 },
            "random_uniform" => Initializer::RandomUniform { limit: 0.05 },
            "truncated_normal" => Initializer::TruncatedNormal { stddev: 0.05 },
            "glorot_uniform" => Initializer::GlorotUniform,
            "glorot_normal" => Initializer::GlorotNormal,
            "he_uniform" => Initializer::HeUniform,
            "he_normal" => Initializer::HeNormal,
            "lecun_uniform" => Initializer::LecunUniform,
            "lecun_normal" => Initializer::LecunNormal,
            "orthogonal" => Initializer::Orthogonal { gain: 1.0 },
            "variance_scaling" => Initializer::VarianceScaling {
                scale: 1.0,
                mode: FanMode::FanIn,
                distribution: Distribution::TruncatedNormal,
            },
            _ => {
                return Err(Error::parameter(
                    "kernel_initializer",
                    format!("one of {}", Initializer::NAMES.join(", ")),
                    format!("\"{name}\""),
                    "take one of these names, as Keras spells them",
                ));
            }
        })
    }

    /// Keras's name of this initializer.
    pub fn name(&self) -> &'static str {
        match self {
            Initializer::Zeros => "zeros",
            Initializer::Ones => "ones",
            Initializer::Constant(_) => "constant",
            Initializer::RandomNormal { .. } => "random_normal",
            Initializer::RandomUniform { .. } => "random_uniform",
            Initializer::TruncatedNormal { .. } => "truncated_normal",
            Initializer::GlorotUniform => "glorot_uniform",
            Initializer::GlorotNormal => "glorot_normal",
            Initializer::HeUniform => "he_uniform",
            Initializer::HeNormal => "he_normal",
            Initializer::LecunUniform => "lecun_uniform",
            Initializer::LecunNormal => "lecun_normal",
            Initializer::Orthogonal { .. } => "orthogonal",
            Initializer::VarianceScaling { .. } => "variance_scaling",
        }
    }

    /// Checks the arguments.
    ///
    /// # Errors
    /// If a value is not finite, or a spread is below 0.
    pub(crate) fn check(&self) -> Result<()> {
        let (what, value, lowest) = match *self {
            Initializer::Constant(value) => ("constant", value, f64::NEG_INFINITY),
            Initializer::RandomNormal { stddev } | Initializer::TruncatedNormal { stddev } => {
                ("stddev", stddev, 0.0)
            }
            Initializer::RandomUniform { limit } => ("limit", limit, 0.0),
            Initializer::Orthogonal { gain } => ("gain", gain, f64::NEG_INFINITY),
            Initializer::VarianceScaling { scale, .. } => ("scale", scale, f64::MIN_POSITIVE),
            _ => return Ok(()),
        };
        if value.is_finite() && value >= lowest {
            return Ok(());
        }
        Err(Error::parameter(
            "kernel_initializer",
            format!("{} with a finite `{what}` that is not negative", self.name()),
            value,
            "Keras's default of 0.05 (1 for gain and scale) is a safe choice",
        ))
    }

    /// Draws a kernel of this shape: `(units, inputs)`, or `(filters, channels, height, width)`.
    ///
    /// # Errors
    /// If libtorch has no memory for it.
    pub(crate) fn draw(&self, shape: &[i64]) -> Result<Tensor> {
        let (fan_in, fan_out) = fans(shape);
        let options = (Kind::Float, Device::Cpu);
        let scaled = |scale, mode, distribution| variance_scaling(shape, scale, mode, distribution);
        Ok(match *self {
            Initializer::Zeros => Tensor::f_zeros(shape, options)?,
            Initializer::Ones => Tensor::f_ones(shape, options)?,
            Initializer::Constant(value) => Tensor::f_full(shape, value, options)?,
            Initializer::RandomNormal { stddev } => {
                Tensor::f_randn(shape, options)?.f_mul_scalar(stddev)?
            }
            Initializer::RandomUniform { limit } => uniform(shape, limit)?,
            Initializer::TruncatedNormal { stddev } => {
                truncated_normal(shape)?.f_mul_scalar(stddev)?
            }
            Initializer::GlorotUniform => uniform(shape, (6.0 / (fan_in + fan_out)).sqrt())?,
            Initializer::GlorotNormal => {
                scaled(1.0, FanMode::FanAvg, Distribution::TruncatedNormal)?
            }
            Initializer::HeUniform => uniform(shape, (6.0 / fan_in).sqrt())?,
            Initializer::HeNormal => scaled(2.0, FanMode::FanIn, Distribution::TruncatedNormal)?,
            Initializer::LecunUniform => uniform(shape, (3.0 / fan_in).sqrt())?,
            Initializer::LecunNormal => scaled(1.0, FanMode::FanIn, Distribution::TruncatedNormal)?,
            Initializer::Orthogonal { gain } => orthogonal(shape)?.f_mul_scalar(gain)?,
            Initializer::VarianceScaling { scale, mode, distribution } => {
                scaled(scale, mode, distribution)?
            }
        })
    }
}

/// (`fan_in`, `fan_out`) of a kernel, as Keras's `compute_fans` counts them.
fn fans(shape: &[i64]) -> (f64, f64) {
    let &[units, inputs, ref window @ ..] = shape else {
        // A bias has one value per unit.
        return (shape[0] as f64, shape[0] as f64);
    };
    let receptive: i64 = window.iter().product();
    ((inputs * receptive) as f64, (units * receptive) as f64)
}

fn uniform(shape: &[i64], limit: f64) -> Result<Tensor> {
    let unit = Tensor::f_rand(shape, (Kind::Float, Device::Cpu))?;
    Ok(unit.f_mul_scalar(2.0)?.f_sub_scalar(1.0)?.f_mul_scalar(limit)?)
}

/// Unit normal truncated at ±2, by the inverse of its distribution function, so that no draw is rejected.
fn truncated_normal(shape: &[i64]) -> Result<Tensor> {
    let unit = Tensor::f_rand(shape, (Kind::Double, Device::Cpu))?;
    let uniform = unit.f_mul_scalar(2.0)?.f_sub_scalar(1.0)?.f_mul_scalar(erf_of_sqrt2()?)?;
    let normal = uniform.f_erfinv()?.f_mul_scalar(std::f64::consts::SQRT_2)?;
    Ok(normal.f_clamp(-2.0, 2.0)?.f_to_kind(Kind::Float)?)
}

/// `erf(sqrt(2))`: the share of a normal's mass within two standard deviations.
fn erf_of_sqrt2() -> Result<f64> {
    Ok(Tensor::f_from_slice(&[std::f64::consts::SQRT_2])?.f_erf()?.f_double_value(&[0])?)
}

fn variance_scaling(
    shape: &[i64],
    scale: f64,
    mode: FanMode,
    distribution: Distribution,
) -> Result<Tensor> {
    let (fan_in, fan_out) = fans(shape);
    let fan = match mode {
        FanMode::FanIn => fan_in,
        FanMode::FanOut => fan_out,
        FanMode::FanAvg => (fan_in + fan_out) / 2.0,
    };
    let variance = scale / fan.max(1.0);
    match distribution {
        Distribution::TruncatedNormal => {
            let stddev = variance.sqrt() / TRUNCATED_STDDEV;
            Ok(truncated_normal(shape)?.f_mul_scalar(stddev)?)
        }
        Distribution::UntruncatedNormal => {
            let normal = Tensor::f_randn(shape, (Kind::Float, Device::Cpu))?;
            Ok(normal.f_mul_scalar(variance.sqrt())?)
        }
        Distribution::Uniform => uniform(shape, (3.0 * variance).sqrt()),
    }
}

/// An orthonormal matrix by the QR decomposition of a normal one, its signs fixed by R's diagonal so that it is
/// uniformly distributed (Mezzadri 2007).
fn orthogonal(shape: &[i64]) -> Result<Tensor> {
    let rows = shape[0];
    let columns: i64 = shape[1..].iter().product();
    let (long, short) = (rows.max(columns), rows.min(columns));
    let normal = Tensor::f_randn([long, short], (Kind::Double, Device::Cpu))?;
    let (q, r) = Tensor::f_linalg_qr(&normal, "reduced")?;
    let q = q.f_mul(&r.f_diagonal(0, 0, 1)?.f_sign()?)?;
    let matrix = if rows < columns { q.f_transpose(0, 1)? } else { q };
    Ok(matrix.f_to_kind(Kind::Float)?.f_contiguous()?.f_view(shape)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(tensor: &Tensor) -> (f64, f64, f64) {
        let t = tensor.to_kind(Kind::Double);
        (
            t.mean(Kind::Double).double_value(&[]),
            t.std(false).double_value(&[]),
            t.abs().max().double_value(&[]),
        )
    }

    /// Keras's formulas, worked out by hand for 300 inputs and 200 units: (standard deviation, largest magnitude).
    #[test]
    fn spread_and_limits_are_those_of_keras() {
        tch::manual_seed(1);
        let cut = 2.0 / TRUNCATED_STDDEV;
        let cases: [(&str, f64, f64); 9] = [
            ("random_normal", 0.05, f64::INFINITY),
            ("random_uniform", 0.05 / 3f64.sqrt(), 0.05),
            ("truncated_normal", 0.05 * TRUNCATED_STDDEV, 0.1),
            ("glorot_uniform", (2.0 / 500f64).sqrt(), (6.0 / 500f64).sqrt()),
            ("glorot_normal", (2.0 / 500f64).sqrt(), cut * (2.0 / 500f64).sqrt()),
            ("he_uniform", (2.0 / 300f64).sqrt(), (6.0 / 300f64).sqrt()),
            ("he_normal", (2.0 / 300f64).sqrt(), cut * (2.0 / 300f64).sqrt()),
            ("lecun_uniform", (1.0 / 300f64).sqrt(), (3.0 / 300f64).sqrt()),
            ("lecun_normal", (1.0 / 300f64).sqrt(), cut * (1.0 / 300f64).sqrt()),
        ];
        for (name, stddev, largest) in cases {
            let (mean, std, max) =
                stats(&Initializer::from_name(name).unwrap().draw(&[200, 300]).unwrap());
            assert!(mean.abs() < 0.02 * stddev * 3.0, "{name}: mean {mean}");
            assert!(
                (std / stddev - 1.0).abs() < 0.01,
                "{name}: standard deviation {std}, expected {stddev}"
            );
            assert!(
                max <= largest * (1.0 + 1e-6),
                "{name}: largest {max}, expected at most {largest}"
            );
        }
    }

    #[test]
    fn fans_of_a_convolution_count_the_receptive_field() {
        assert_eq!(fans(&[64, 32, 3, 5]), (32.0 * 15.0, 64.0 * 15.0));
    }

    #[test]
    fn orthogonal_rows_are_orthonormal_in_wide_and_tall_kernels() {
        tch::manual_seed(2);
        for shape in [[3, 7], [7, 3]] {
            let kernel = Initializer::Orthogonal { gain: 2.0 }.draw(&shape).unwrap();
            let short =
                if shape[0] < shape[1] { kernel.shallow_clone() } else { kernel.transpose(0, 1) };
            let gram = short.matmul(&short.transpose(0, 1));
            let expected = Tensor::eye(3, (Kind::Float, Device::Cpu)) * 4.0;
            assert!((gram - expected).abs().max().double_value(&[]) < 1e-5);
        }
    }

    #[test]
    fn every_name_reads_back_as_itself() {
        for name in Initializer::NAMES {
            assert_eq!(Initializer::from_name(name).unwrap().name(), name);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let message = Initializer::from_name("xavier").unwrap_err().to_string();
        assert!(message.contains("glorot_uniform") && message.contains("xavier"), "{message}");
    }

    #[test]
    fn the_same_seed_draws_the_same_kernel() {
        tch::manual_seed(7);
        let first = Initializer::HeNormal.draw(&[4, 5]).unwrap();
        tch::manual_seed(7);
        assert!(first.equal(&Initializer::HeNormal.draw(&[4, 5]).unwrap()));
    }
}
