//! All combinations of a search in one figure.

use serde_json::Value;

use crate::error::Result;
use crate::plot::Figure;
use crate::plot::parallel::{Coordinate, plot_parallel};
use crate::text::clean_text;
use crate::tuning::SearchResults;
use crate::tuning::grid::{params_text, value_text};

/// With more different numbers than this an axis has a scale; otherwise it has one position per value.
const MOST_NAMED: usize = 8;

impl SearchResults {
    /// Each combination of the last round as a line through its values to its mean score: shows which values lead to
    /// good scores and which make no difference.
    ///
    /// # Errors
    /// If no combination has a score.
    pub fn plot_parallel_coordinates(&self) -> Result<Figure> {
        let found = &self.cv_results;
        let rows = found.last_round();
        let (mut coordinates, mut columns) = (Vec::new(), Vec::new());
        for name in found.names() {
            let values: Vec<Option<&Value>> =
                rows.iter().map(|&row| found.params[row].get(name)).collect();
            let (names, column) = coordinate(&values);
            coordinates.push(Coordinate { name: clean_text(name), names });
            columns.push(column);
        }
        let (unit, factor) = if self.scoring.is_share() { (" (%)", 100.0) } else { ("", 1.0) };
        let what = format!("mean {}{unit}", self.scoring.words());
        coordinates.push(Coordinate { name: what.clone(), names: Vec::new() });
        columns.push(rows.iter().map(|&row| factor * found.mean_test_score[row]).collect());
        let lines: Vec<Vec<f64>> = (0..rows.len())
            .map(|index| columns.iter().map(|column| column[index]).collect())
            .collect();
        let best = rows.iter().position(|&row| row == self.best_index).unwrap_or(0);
        let told = match self.has_best() {
            false => String::new(),
            true => format!(
                " The best, {}: {:.2}.",
                params_text(&self.best_params),
                factor * self.best_score
            ),
        };
        let alt = format!(
            "Parallel coordinates of {} combinations, from their values to the {what}.{told}",
            rows.len()
        );
        plot_parallel("Values and score of each combination", &coordinates, &lines, best, alt)
    }
}

/// The positions of values on their axis, and the names there: few different values have names, sorted or in the order
/// in which they occur; many numbers have a scale.
fn coordinate(values: &[Option<&Value>]) -> (Vec<String>, Vec<f64>) {
    let text = |value: &Option<&Value>| value.map_or_else(|| "–".to_owned(), value_text);
    let mut different: Vec<(Option<f64>, String)> = Vec::new();
    for value in values {
        if !different.iter().any(|(_, known)| *known == text(value)) {
            different.push((value.and_then(Value::as_f64), text(value)));
        }
    }
    if different.iter().all(|(number, _)| number.is_some()) {
        if different.len() > MOST_NAMED {
            let numbers =
                values.iter().map(|value| value.and_then(Value::as_f64).unwrap_or(f64::NAN));
            return (Vec::new(), numbers.collect());
        }
        different.sort_by(|(a, _), (b, _)| a.unwrap_or(0.0).total_cmp(&b.unwrap_or(0.0)));
    }
    let names: Vec<String> = different.into_iter().map(|(_, name)| name).collect();
    let at = |value| names.iter().position(|name| *name == text(value)).unwrap_or(0) as f64;
    let column = values.iter().map(at).collect();
    (names, column)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn few_values_are_named_in_their_order_and_many_numbers_lie_on_a_scale() {
        let values = [json!(0.5), json!(0.0), json!(0.5)];
        let given: Vec<Option<&Value>> = values.iter().map(Some).collect();
        let (names, column) = coordinate(&given);
        assert_eq!(
            (names, column),
            (vec!["0.0".to_owned(), "0.5".to_owned()], vec![1.0, 0.0, 1.0])
        );
        let words = [json!("he"), json!("glorot"), Value::Null];
        let given: Vec<Option<&Value>> = words.iter().map(Some).chain([None]).collect();
        let (names, column) = coordinate(&given);
        assert_eq!((names[0].as_str(), names.len(), column), ("he", 4, vec![0.0, 1.0, 2.0, 3.0]));
        let many: Vec<Value> = (0..20).map(|number| json!(number)).collect();
        let given: Vec<Option<&Value>> = many.iter().map(Some).collect();
        let (names, column) = coordinate(&given);
        assert!(names.is_empty() && column[19] == 19.0);
    }
}
