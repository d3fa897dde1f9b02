//! The scores of a search while it runs: a heat map of one or two parameters, as a table, which is made at once.
//!
//! The figure of a search that has ended is `SearchResults::heat_map`.

use std::collections::BTreeSet;

use super::grid::{Parameters, value_text};
use crate::display::{Cell, Column, Table};

/// With more values than this no table is shown: nobody could follow it while it changes.
const MOST_VALUES: usize = 12;

/// The combinations of a search in a table whose rows and columns are the values of the parameters that differ.
pub(super) struct ScoreMap {
    /// The parameter of the rows, if two differ, and that of the columns.
    down: Option<Parameter>,
    across: Parameter,
    /// The index of the combination in each cell, row by row; none where the search does not have it.
    cells: Vec<Option<usize>>,
}

/// A parameter and its values, in the grid's order.
struct Parameter {
    name: String,
    values: Vec<String>,
}

impl Parameter {
    /// The index of a combination's value.
    fn index(&self, params: &Parameters) -> Option<usize> {
        let value = value_text(params.get(&self.name)?);
        self.values.iter().position(|one| *one == value)
    }
}

impl ScoreMap {
    /// The map of these combinations, each with its index. None if no parameter differs, more than two do, or one has
    /// many values.
    pub(super) fn new(combinations: &[(usize, &Parameters)]) -> Option<ScoreMap> {
        let mut differing = Vec::new();
        // The names of all combinations: those of a later grid may differ, and then there is no map.
        let names: BTreeSet<&String> =
            combinations.iter().flat_map(|(_, params)| params.keys()).collect();
        for name in names {
            let mut values: Vec<String> = Vec::new();
            for (_, params) in combinations {
                let value = value_text(params.get(name)?);
                if !values.contains(&value) {
                    values.push(value);
                }
                if values.len() > MOST_VALUES {
                    return None;
                }
            }
            if values.len() > 1 {
                differing.push(Parameter { name: name.clone(), values });
            }
        }
        let across = differing.pop()?;
        let down = differing.pop();
        if !differing.is_empty() {
            return None;
        }
        let rows = down.as_ref().map_or(1, |down| down.values.len());
        let mut cells = vec![None; rows * across.values.len()];
        for &(index, params) in combinations {
            let row = down.as_ref().map_or(Some(0), |down| down.index(params))?;
            cells[row * across.values.len() + across.index(params)?] = Some(index);
        }
        Some(ScoreMap { down, across, cells })
    }

    /// The table: the darker a cell, the better its score; `score` gives what a combination has so far, if anything.
    pub(super) fn table(&self, title: &str, score: impl Fn(usize) -> Option<f64>) -> Table {
        let scores: Vec<Option<f64>> = self
            .cells
            .iter()
            .map(|&cell| cell.and_then(&score).filter(|score| score.is_finite()))
            .collect();
        let least = scores.iter().flatten().copied().fold(f64::INFINITY, f64::min);
        let most = scores.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
        let cell = |score: &Option<f64>| match *score {
            None => Cell::from("…"),
            Some(score) if score < most => Cell::Shaded(score, (score - least) / (most - least)),
            Some(score) => Cell::Shaded(score, 1.0),
        };
        let down = self.down.as_ref();
        let corner = match down {
            Some(down) => format!("{} \\ {}", down.name, self.across.name),
            None => self.across.name.clone(),
        };
        let values = self.across.values.iter().map(|value| Column::decimal(value, 4));
        let mut table = Table::new([Column::text(corner)].into_iter().chain(values)).caption(title);
        for (row, scores) in scores.chunks(self.across.values.len()).enumerate() {
            let name = down.map_or("mean", |down| down.values[row].as_str());
            table.push([Cell::from(name)].into_iter().chain(scores.iter().map(cell)));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuning::ParameterGrid;

    fn map(grid: ParameterGrid) -> Option<ScoreMap> {
        let combinations = grid.combinations().unwrap();
        ScoreMap::new(&combinations.iter().enumerate().collect::<Vec<_>>())
    }

    /// The texts of the cells and heads, row by row.
    fn texts(html: &str) -> Vec<Vec<&str>> {
        html.split("<tr>")
            .skip(1)
            .map(|row| row.split('<').filter_map(|piece| piece.split('>').nth(1)))
            .map(|row| row.filter(|text| !text.is_empty()).collect())
            .collect()
    }

    #[test]
    fn each_combination_has_a_cell_in_the_grids_order() {
        let grid = ParameterGrid::new()
            .parameter("units", [64, 32])
            .parameter("dropout", [0.0, 0.5, 0.25])
            .parameter("batch_size", [128]);
        // In the grid's order: dropout before units, whose values change fastest.
        let scores = [Some(0.5), None, Some(0.75), Some(f64::NAN), Some(0.25), None];
        let html = map(grid).unwrap().table("<so far>", |index| scores[index]).to_html();
        assert_eq!(
            texts(&html),
            [
                vec!["dropout \\ units", "64", "32"],
                vec!["0.0", "0.5000", "…"],
                vec!["0.5", "0.7500", "…"],
                vec!["0.25", "0.2500", "…"],
            ]
        );
        let shade = "class=\"number shaded\" style=\"text-align:right;";
        assert_eq!(html.matches(shade).count(), 3, "{html}");
        assert!(html.contains("rgba(0,114,178,0.50);font-weight:bold\">0.7500"), "{html}");
        assert!(html.contains("0.05)\">0.2500") && html.contains("&lt;so far&gt;"), "{html}");
    }

    #[test]
    fn one_parameter_is_one_row_and_other_grids_have_no_map() {
        let one = map(ParameterGrid::new().parameter("units", [64, 32])).unwrap();
        assert_eq!(
            texts(&one.table("t", |_| Some(0.5)).to_html())[1],
            ["mean", "0.5000", "0.5000"]
        );
        let three = ParameterGrid::new()
            .parameter("a", [1, 2])
            .parameter("b", [1, 2])
            .parameter("c", [1, 2]);
        assert!(map(three).is_none(), "three parameters");
        assert!(map(ParameterGrid::new().parameter("a", 0..13)).is_none(), "many values");
        assert!(map(ParameterGrid::new().parameter("a", [1])).is_none(), "nothing differs");
        let one = || ParameterGrid::new().parameter("a", [1, 2]);
        assert!(map(one().then(one().parameter("b", [3, 4]))).is_none(), "a name in one grid only");
    }
}
