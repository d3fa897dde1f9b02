//! All combinations of parameters, in the order of scikit-learn's `ParameterGrid`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::one_or_many;
use crate::error::{Error, Result};
use crate::text::clean_text;

/// One combination: a value for each name, names in ascending order.
pub type Parameters = BTreeMap<String, Value>;

/// A value of a parameter: a number, a text, `true` or `false`, a list of values, or `None` where a setting may be
/// absent.
pub trait ParameterValue {
    /// The value in JSON. NaN and infinity, which JSON does not have, become a text that no setting takes; `null` would
    /// be read as `None`.
    fn into_value(self) -> Value;
}

macro_rules! parameter_values {
    ($($type:ty)*) => {
        $(impl ParameterValue for $type {
            fn into_value(self) -> Value {
                self.into()
            }
        })*
    };
}

parameter_values! { bool i8 i16 i32 i64 isize u8 u16 u32 u64 usize &str String Value }

impl ParameterValue for f64 {
    fn into_value(self) -> Value {
        if self.is_finite() { self.into() } else { self.to_string().into() }
    }
}

impl ParameterValue for f32 {
    fn into_value(self) -> Value {
        if self.is_finite() { self.into() } else { self.to_string().into() }
    }
}

impl<V: ParameterValue> ParameterValue for Option<V> {
    fn into_value(self) -> Value {
        self.map_or(Value::Null, V::into_value)
    }
}

impl<V: ParameterValue> ParameterValue for Vec<V> {
    fn into_value(self) -> Value {
        self.into_iter().map(V::into_value).collect()
    }
}

impl<V: ParameterValue, const N: usize> ParameterValue for [V; N] {
    fn into_value(self) -> Value {
        self.into_iter().map(V::into_value).collect()
    }
}

/// True if one of these stands for NaN or infinity.
pub(super) fn has_no_number(values: &[Value]) -> bool {
    let is_none = |value: &Value| matches!(value.as_str(), Some("NaN" | "inf" | "-inf"));
    values.iter().any(is_none)
}

/// Names with the values to try; or several such grids, tried one after the other.
///
/// In JSON it is what scikit-learn's `param_grid` is: a map from names to lists, or a list of such maps.
///
/// ```
/// use helpers::tuning::grid::ParameterGrid;
///
/// let grid = ParameterGrid::new().parameter("dropout", [0.0, 0.3]).parameter("activation", ["relu", "tanh"]);
/// let lines: Vec<String> =
///     grid.combinations()?.iter().map(|point| format!("{} {}", point["activation"], point["dropout"])).collect();
/// assert_eq!(lines, ["\"relu\" 0.0", "\"relu\" 0.3", "\"tanh\" 0.0", "\"tanh\" 0.3"]);
/// # Ok::<(), helpers::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ParameterGrid {
    #[serde(with = "one_or_many")]
    grids: Vec<BTreeMap<String, Vec<Value>>>,
}

impl Default for ParameterGrid {
    fn default() -> Self {
        ParameterGrid::new()
    }
}

impl ParameterGrid {
    /// A grid without parameters; it has one combination, the empty one.
    pub fn new() -> ParameterGrid {
        ParameterGrid { grids: vec![BTreeMap::new()] }
    }

    /// Adds a parameter with the values to try, in this order, or replaces the values of one that was added before.
    pub fn parameter<V: ParameterValue>(
        mut self,
        name: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> ParameterGrid {
        let values: Vec<Value> = values.into_iter().map(V::into_value).collect();
        if let Some(grid) = self.grids.last_mut() {
            grid.insert(name.into(), values);
        }
        self
    }

    /// This grid's combinations, followed by those of another one.
    pub fn then(mut self, other: ParameterGrid) -> ParameterGrid {
        self.grids.extend(other.grids);
        self
    }

    /// All combinations: names in ascending order, the value of the last name varies fastest.
    ///
    /// # Errors
    /// If a parameter has no values, or one that is no finite number, such as NaN.
    pub fn combinations(&self) -> Result<Vec<Parameters>> {
        let mut all = Vec::new();
        for grid in &self.grids {
            let mut points = vec![Parameters::new()];
            for (name, values) in grid {
                let found = match values {
                    values if values.is_empty() => Some("an empty list"),
                    values if has_no_number(values) => Some("a value that is not a number"),
                    _ => None,
                };
                if let Some(found) = found {
                    let expected =
                        format!("a list of at least one value for {name:?}, each finite");
                    let advice = "a single value is a list of one";
                    return Err(Error::parameter("param_grid", expected, found, advice));
                }
                let with = |point: &Parameters, value: &Value| {
                    let mut point = point.clone();
                    point.insert(name.clone(), value.clone());
                    point
                };
                points = points
                    .iter()
                    .flat_map(|point| values.iter().map(move |value| with(point, value)))
                    .collect();
            }
            all.extend(points);
        }
        Ok(all)
    }
}

/// A combination in a line: `dropout 0.2, kernel_initializer he_normal`.
pub(crate) fn params_text(params: &Parameters) -> String {
    if params.is_empty() {
        return "the network as it is".to_owned();
    }
    let pairs: Vec<String> =
        params.iter().map(|(name, value)| format!("{name} {}", value_text(value))).collect();
    clean_text(&pairs.join(", "))
}

/// A value without the quotation marks of JSON.
pub(crate) fn value_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::FitConfig;
    use crate::tuning::Network;

    #[test]
    fn the_last_name_varies_fastest_and_names_ascend() {
        let grid = ParameterGrid::new().parameter("b", [1, 2, 3]).parameter("a", ["x", "y"]);
        let points: Vec<String> = grid
            .combinations()
            .unwrap()
            .iter()
            .map(|point| point.iter().map(|(name, value)| format!("{name}{value} ")).collect())
            .collect();
        assert_eq!(
            points,
            ["a\"x\" b1 ", "a\"x\" b2 ", "a\"x\" b3 ", "a\"y\" b1 ", "a\"y\" b2 ", "a\"y\" b3 "]
        );
    }

    #[test]
    fn no_parameters_are_one_combination() {
        assert_eq!(ParameterGrid::new().combinations().unwrap(), [Parameters::new()]);
    }

    #[test]
    fn an_empty_list_of_values_is_refused() {
        let grid = ParameterGrid::new().parameter("dropout", Vec::<f64>::new());
        let text = grid.combinations().unwrap_err().to_string();
        assert_eq!(
            text,
            "`param_grid` must be a list of at least one value for \"dropout\", each finite, got an empty list; \
             a single value is a list of one"
        );
    }

    #[test]
    fn not_a_number_is_refused() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let refused = |grid: ParameterGrid| grid.combinations().unwrap_err().to_string();
            let text = refused(ParameterGrid::new().parameter("dropout", [0.1, value]));
            assert!(text.contains("got a value that is not a number"), "{text}");
            refused(ParameterGrid::new().parameter("ema_momentum", [None, Some(value)]));
            refused(ParameterGrid::new().parameter("dropout", [value as f32]));
        }
    }

    #[test]
    fn a_setting_that_may_be_absent_is_searched_with_none() {
        let grid = ParameterGrid::new().parameter("ema_momentum", [None, Some(0.9)]);
        let points = grid.combinations().unwrap();
        assert_eq!(
            points.iter().map(params_text).collect::<Vec<_>>(),
            ["ema_momentum null", "ema_momentum 0.9"]
        );
        let with = |point| Network::default().with(&FitConfig::default(), point);
        let momenta: Vec<Option<f64>> =
            points.iter().map(|point| with(point).unwrap().1.ema_momentum).collect();
        assert_eq!(momenta, [None, Some(0.9)]);
        // Where a setting must be there, `None` is refused.
        let grid = ParameterGrid::new().parameter("dropout", [None::<f64>]);
        let text = with(&grid.combinations().unwrap()[0]).unwrap_err().to_string();
        assert!(text.contains("a value that fits `dropout`, got null"), "{text}");
    }

    #[test]
    fn json_is_scikit_learns_param_grid() {
        let one = r#"{"a":[1,2]}"#;
        let many = r#"[{"a":[1]},{"b":[true]}]"#;
        for text in [one, many] {
            let grid: ParameterGrid = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&grid).unwrap(), text);
        }
    }
}
