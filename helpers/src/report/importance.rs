//! How much of a search's scores each parameter explains.

use std::collections::BTreeMap;

use crate::text::clean_text;
use crate::tuning::SearchResults;
use crate::tuning::grid::value_text;

impl SearchResults {
    /// The share of the variance of the mean scores that each parameter explains, the largest first: η², the sum of squares
    /// between its values over that between all combinations of the last round (one-way analysis of variance, Fisher
    /// 1925).
    ///
    /// In a full grid these are the main effects; the rest to 1 are interactions. A parameter with another value in
    /// each combination would explain everything, and is left out.
    pub fn importance(&self) -> Vec<(String, f64)> {
        let found = &self.cv_results;
        let scored = |row: &usize| found.mean_test_score[*row].is_finite();
        let rows: Vec<usize> = found.last_round().into_iter().filter(scored).collect();
        let mean = |rows: &[usize]| {
            rows.iter().map(|&row| found.mean_test_score[row]).sum::<f64>() / rows.len() as f64
        };
        let whole = mean(&rows);
        let squares = |groups: &[Vec<usize>]| -> f64 {
            groups.iter().map(|rows| rows.len() as f64 * (mean(rows) - whole).powi(2)).sum()
        };
        let each: Vec<Vec<usize>> = rows.iter().map(|&row| vec![row]).collect();
        let total = squares(&each);
        // Differences this small between the sums of squares are rounding errors.
        if total <= 1e-24 * whole.powi(2) * rows.len() as f64 {
            return Vec::new();
        }
        let mut shares = Vec::new();
        for name in found.names() {
            let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            for &row in &rows {
                let value = found.params[row].get(name).map(value_text);
                groups.entry(value.unwrap_or_default()).or_default().push(row);
            }
            if groups.len() < rows.len() {
                let groups: Vec<Vec<usize>> = groups.into_values().collect();
                shares.push((name.clone(), squares(&groups) / total));
            }
        }
        shares.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        shares
    }

    /// The same as a sentence; empty if no parameter can be compared with the others.
    pub(super) fn importance_text(&self) -> String {
        let shares = self.importance();
        if shares.is_empty() {
            return String::new();
        }
        let told = shares.iter().map(|(name, share)| {
            format!("{} {:.0}%", clean_text(&name.replace('_', " ")), 100.0 * share)
        });
        format!(
            " Of the variance between the combinations each parameter explains by itself (η², one-way analysis of \
             variance): {}.",
            told.collect::<Vec<_>>().join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::tuning::Parameters;
    use crate::tuning::results::tests::results;

    #[test]
    fn a_share_is_the_main_effect_of_a_full_grid() {
        // By hand: the mean is 0.5, the sum of squares 0.05; between the values of `a` 0.04, between those of `b` 0.01.
        let mut found = results(&[&[0.35], &[0.45], &[0.55], &[0.65]]);
        assert!(found.importance().is_empty(), "each combination has a dropout of its own");
        for (row, params) in found.cv_results.params.iter_mut().enumerate() {
            let of = |name: &str, value: usize| (name.to_owned(), value.into());
            *params = Parameters::from([of("a", row / 2), of("b", row % 2)]);
        }
        let shares = found.importance();
        assert_eq!([&shares[0].0, &shares[1].0], ["a", "b"]);
        assert!((shares[0].1 - 0.8).abs() < 1e-9 && (shares[1].1 - 0.2).abs() < 1e-9, "{shares:?}");
        assert!(found.importance_text().ends_with("variance): a 80%, b 20%."));
        // A combination without a score is ignored.
        found.cv_results.mean_test_score[3] = f64::NAN;
        assert!(found.importance().iter().all(|(_, share)| (0.0..1.0).contains(share)));
        found.cv_results.mean_test_score = vec![0.7; 4];
        assert!(found.importance().is_empty(), "equal scores have no variance");
    }
}
