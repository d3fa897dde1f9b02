//! Parameters drawn at random. The same seed draws the same as in scikit-learn's `ParameterSampler`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::grid::{ParameterGrid, ParameterValue, Parameters, has_no_number};
use super::one_or_many;
use crate::data::random_state::RandomState;
use crate::error::{Error, Result};

/// The values of one parameter to draw from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterDistribution {
    /// Evenly from `loc` to `loc + scale`; SciPy's `uniform(loc, scale)`.
    Uniform {
        /// The smallest value.
        loc: f64,
        /// The largest value minus the smallest.
        scale: f64,
    },
    /// From `low` to `high`, evenly in the logarithm; SciPy's `loguniform(a, b)`.
    LogUniform {
        /// The least value, above 0.
        low: f64,
        /// The largest value.
        high: f64,
    },
    /// A whole number of `low..high`; SciPy's `randint(low, high)`.
    RandInt {
        /// The smallest value.
        low: i64,
        /// The largest value plus 1.
        high: i64,
    },
    /// One of these.
    #[serde(untagged)]
    Choice(Vec<Value>),
}

impl<V: ParameterValue> From<Vec<V>> for ParameterDistribution {
    fn from(values: Vec<V>) -> ParameterDistribution {
        ParameterDistribution::Choice(values.into_iter().map(V::into_value).collect())
    }
}

impl<V: ParameterValue, const N: usize> From<[V; N]> for ParameterDistribution {
    fn from(values: [V; N]) -> ParameterDistribution {
        Vec::from(values).into()
    }
}

impl ParameterDistribution {
    /// Checks that the bounds are valid.
    fn check(&self, name: &str) -> Result<()> {
        let problem = match self {
            Self::Uniform { loc, scale } => {
                (!loc.is_finite() || !scale.is_finite() || *scale < 0.0)
                    .then_some("finite numbers, `scale` not below 0")
            }
            Self::LogUniform { low, high } => (!(*low > 0.0 && low < high && high.is_finite()))
                .then_some("numbers with 0 < `low` < `high`"),
            Self::RandInt { low, high } => {
                (low >= high).then_some("whole numbers with `low` < `high`")
            }
            Self::Choice(values) => (values.is_empty() || has_no_number(values))
                .then_some("at least one value, each finite"),
        };
        problem.map_or(Ok(()), |expected| {
            let (expected, found) = (format!("{expected}, for {name:?}"), format!("{self:?}"));
            let advice = "see `ParameterDistribution`";
            Err(Error::parameter("param_distributions", expected, found, advice))
        })
    }

    fn draw(&self, random: &mut RandomState) -> Value {
        match self {
            Self::Uniform { loc, scale } => (random.random_sample() * scale + loc).into(),
            Self::LogUniform { low, high } => {
                let (low, high) = (low.ln(), high.ln());
                (low + random.random_sample() * (high - low)).exp().into()
            }
            Self::RandInt { low, high } => {
                let above = random.interval((high - 1).abs_diff(*low));
                low.wrapping_add_unsigned(above).into()
            }
            Self::Choice(values) => {
                values[random.interval(values.len() as u64 - 1) as usize].clone()
            }
        }
    }
}

/// Names with the distributions to draw from; or several such sets, of which each draw first picks one.
///
/// In JSON it is a map from names to lists of values or to distributions, or a list of such maps.
///
/// ```
/// use helpers::tuning::{ParameterDistribution, ParameterDistributions};
///
/// let distributions = ParameterDistributions::new()
///     .parameter("dropout", ParameterDistribution::Uniform { loc: 0.0, scale: 0.5 })
///     .parameter("batch_size", [32, 64, 128]);
/// assert_eq!(distributions.sample(10, 42)?.len(), 10);
/// # Ok::<(), helpers::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ParameterDistributions {
    #[serde(with = "one_or_many")]
    sets: Vec<BTreeMap<String, ParameterDistribution>>,
}

impl Default for ParameterDistributions {
    fn default() -> ParameterDistributions {
        ParameterDistributions::new()
    }
}

impl ParameterDistributions {
    /// No parameters: only the empty combination can be drawn.
    pub fn new() -> ParameterDistributions {
        ParameterDistributions { sets: vec![BTreeMap::new()] }
    }

    /// Adds a parameter, or replaces the distribution of one that was added before.
    pub fn parameter(
        mut self,
        name: impl Into<String>,
        values: impl Into<ParameterDistribution>,
    ) -> ParameterDistributions {
        if let Some(set) = self.sets.last_mut() {
            set.insert(name.into(), values.into());
        }
        self
    }

    /// Adds the sets of `other` to these.
    pub fn or(mut self, other: ParameterDistributions) -> ParameterDistributions {
        self.sets.extend(other.sets);
        self
    }

    /// `n_iter` combinations. If all values are lists, no combination comes twice, and there are at most as many as the
    /// lists allow.
    ///
    /// # Errors
    /// If there is nothing to draw from, or `random_state` does not fit into 32 bits.
    pub fn sample(&self, n_iter: usize, random_state: u64) -> Result<Vec<Parameters>> {
        for (name, distribution) in self.sets.iter().flatten() {
            distribution.check(name)?;
        }
        if self.sets.is_empty() {
            let advice = "name a parameter and its values";
            return Err(Error::parameter("param_distributions", "at least one", "none", advice));
        }
        let mut random = RandomState::new(random_state)?;
        if let Some(grid) = self.grid() {
            let points = grid.combinations()?;
            let drawn = without_replacement(points.len(), n_iter.min(points.len()), &mut random);
            return Ok(drawn.into_iter().map(|index| points[index].clone()).collect());
        }
        let point = |random: &mut RandomState| {
            let set = &self.sets[random.interval(self.sets.len() as u64 - 1) as usize];
            set.iter().map(|(name, values)| (name.clone(), values.draw(random))).collect()
        };
        Ok((0..n_iter).map(|_| point(&mut random)).collect())
    }

    /// The grid of all combinations, if all values are lists.
    fn grid(&self) -> Option<ParameterGrid> {
        let mut grids = self.sets.iter().map(|set| {
            set.iter().try_fold(ParameterGrid::new(), |grid, (name, values)| match values {
                ParameterDistribution::Choice(values) => Some(grid.parameter(name, values.clone())),
                _ => None,
            })
        });
        let first = grids.next()??;
        grids.try_fold(first, |grid, next| Some(grid.then(next?)))
    }
}

/// `count` different numbers below `population`, as scikit-learn's `sample_without_replacement` draws them: the share
/// of the population that is drawn decides which of three methods is used.
fn without_replacement(population: usize, count: usize, random: &mut RandomState) -> Vec<usize> {
    let share = if population == 0 { 1.0 } else { count as f64 / population as f64 };
    if share > 0.01 && share < 0.99 {
        let mut order = random.permutation(population);
        order.truncate(count);
        return order;
    }
    if share < 0.2 {
        let mut seen = BTreeSet::new();
        let mut next = || loop {
            let number = random.interval(population as u64 - 1) as usize;
            if seen.insert(number) {
                return number;
            }
        };
        return (0..count).map(|_| next()).collect();
    }
    let mut reservoir: Vec<usize> = (0..count).collect();
    for number in count..population {
        let index = random.interval(number as u64) as usize;
        if index < count {
            reservoir[index] = number;
        }
    }
    reservoir
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_scikit_learns_param_distributions() {
        let one = r#"{"a":[1,2],"b":{"log_uniform":{"low":0.001,"high":0.1}}}"#;
        let many = r#"[{"a":[1]},{"b":{"rand_int":{"low":1,"high":9}}}]"#;
        for text in [one, many] {
            let distributions: ParameterDistributions = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&distributions).unwrap(), text);
        }
    }

    #[test]
    fn none_can_be_drawn() {
        let distributions = ParameterDistributions::new().parameter("a", [None, Some(0.9)]);
        let drawn = distributions.sample(2, 0).unwrap();
        assert!(drawn.iter().any(|point| point["a"].is_null()), "{drawn:?}");
    }

    #[test]
    fn numbers_that_cannot_be_drawn_from_are_refused() {
        let refused = |values: ParameterDistribution| {
            let distributions = ParameterDistributions::new().parameter("dropout", values);
            distributions.sample(1, 0).unwrap_err().to_string()
        };
        for values in [
            ParameterDistribution::Uniform { loc: 0.0, scale: -1.0 },
            ParameterDistribution::LogUniform { low: 0.0, high: 1.0 },
            ParameterDistribution::RandInt { low: 3, high: 3 },
            ParameterDistribution::Choice(Vec::new()),
            [0.1, f64::NAN].into(),
        ] {
            let text = refused(values);
            assert!(text.starts_with("`param_distributions` must be "), "{text}");
            assert!(text.contains("for \"dropout\""), "{text}");
        }
    }
}
