//! The results of a search: the columns of scikit-learn's `cv_results_`, ranks, the best combination.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::grid::{Parameters, params_text};
use super::halving::{Resource, Rounds};
use super::network::Network;
pub use super::scoring::Scoring;
use crate::error::{Error, Result};
use crate::models::Model;
use crate::training::{FitConfig, History};

/// Which combination of a search is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The highest mean score, the first of equal ones, as in scikit-learn.
    #[default]
    Best,
    /// The first in the grid's order whose mean score is within one standard error of the best (Breiman et al. 1984): list
    /// the values that you prefer, the simpler ones, first.
    OneStandardError,
}

/// The score of a trial that failed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorScore {
    /// NaN: the combination gets the last rank.
    #[default]
    Nan,
    /// This number.
    Score(f64),
    /// No score: the search stops.
    Raise,
}

/// A trial that failed, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FailedTrial {
    /// Index of its combination, in the grid's order.
    pub candidate: usize,
    /// Index of its fold.
    pub fold: usize,
    /// What went wrong, in one line.
    pub reason: String,
}

/// The scores by one metric, whether the search ranks by it or not; scikit-learn's columns for several metrics.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricScores {
    /// The score of each combination on each fold: `split_test_score[candidate][fold]`.
    pub split_test_score: Vec<Vec<f64>>,
    /// Mean over the folds.
    pub mean_test_score: Vec<f64>,
    /// Standard deviation over the folds, as NumPy's `std` takes it.
    pub std_test_score: Vec<f64>,
    /// Rank by the mean, from 1; equal means share the better rank.
    pub rank_test_score: Vec<usize>,
}

impl MetricScores {
    pub(super) fn new(split_test_score: Vec<Vec<f64>>) -> MetricScores {
        let (mean_test_score, std_test_score) = means(&split_test_score);
        let rank_test_score = ranks(&mean_test_score);
        MetricScores { split_test_score, mean_test_score, std_test_score, rank_test_score }
    }
}

/// The results of each combination, round by round and in the grid's order; the columns of scikit-learn's
/// `cv_results_`. A combination has a row for each round that it took part in.
#[derive(Clone, PartialEq, Serialize)]
pub struct CvResults {
    /// The round of each row, from 0; without halving there is only one.
    pub iter: Vec<usize>,
    /// The images or epochs of each row, in a search by halving.
    pub n_resources: Option<Vec<usize>>,
    /// The combinations.
    pub params: Vec<Parameters>,
    /// The score of each combination on each fold: `split_test_score[candidate][fold]`.
    pub split_test_score: Vec<Vec<f64>>,
    /// Mean over the folds.
    pub mean_test_score: Vec<f64>,
    /// Standard deviation over the folds, as NumPy's `std` takes it.
    pub std_test_score: Vec<f64>,
    /// Rank by the mean, from 1; equal means share the better rank.
    pub rank_test_score: Vec<usize>,
    /// The scores on the images that the trial was trained on, if requested.
    pub split_train_score: Option<Vec<Vec<f64>>>,
    /// Their means.
    pub mean_train_score: Option<Vec<f64>>,
    /// Their standard deviations.
    pub std_train_score: Option<Vec<f64>>,
    /// Seconds of training, mean over the folds.
    pub mean_fit_time: Vec<f64>,
    /// Their standard deviation.
    pub std_fit_time: Vec<f64>,
    /// Seconds of scoring, mean over the folds.
    pub mean_score_time: Vec<f64>,
    /// Their standard deviation.
    pub std_score_time: Vec<f64>,
    /// The scores by every metric, by scikit-learn's names: `accuracy`, `neg_log_loss`, `f1_macro` and so on.
    pub metrics: BTreeMap<String, MetricScores>,
    /// The number of trials of each combination that a pruner stopped.
    pub pruned: Vec<usize>,
    /// The trials that failed, in the grid's order.
    pub failures: Vec<FailedTrial>,
}

impl CvResults {
    /// Computes the statistics of these scores and times; one row per combination, one value per fold.
    pub fn new(
        params: Vec<Parameters>,
        split_test_score: Vec<Vec<f64>>,
        split_train_score: Option<Vec<Vec<f64>>>,
        fit_time: &[Vec<f64>],
        score_time: &[Vec<f64>],
    ) -> CvResults {
        let (mean_test_score, std_test_score) = means(&split_test_score);
        let (mean_train_score, std_train_score) = split_train_score.as_deref().map(means).unzip();
        let (mean_fit_time, std_fit_time) = means(fit_time);
        let (mean_score_time, std_score_time) = means(score_time);
        let rank_test_score = ranks(&mean_test_score);
        let rows = params.len();
        CvResults {
            iter: vec![0; params.len()],
            n_resources: None,
            params,
            split_test_score,
            mean_test_score,
            std_test_score,
            rank_test_score,
            split_train_score,
            mean_train_score,
            std_train_score,
            mean_fit_time,
            std_fit_time,
            mean_score_time,
            std_score_time,
            metrics: BTreeMap::new(),
            pruned: vec![0; rows],
            failures: Vec::new(),
        }
    }

    /// The indices of the rows, the last round first, within a round the best first; equal ones in the grid's order.
    pub fn by_rank(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.params.len()).collect();
        let round = |row: usize| std::cmp::Reverse(self.iter[row]);
        order.sort_by_key(|&row| (round(row), self.rank_test_score[row]));
        order
    }

    /// The row with the highest mean score of the last round, the first of equal ones, as in scikit-learn.
    pub(super) fn best_of_last_round(&self) -> usize {
        self.by_rank().first().copied().unwrap_or(0)
    }

    /// The row of the best combination, by this rule.
    pub(super) fn chosen(&self, choice: Choice) -> usize {
        let best = self.best_of_last_round();
        let least = self.mean_test_score[best] - standard_error(&self.split_test_score[best]);
        let near = |row: &usize| self.mean_test_score[*row] >= least;
        match choice {
            Choice::Best => best,
            // With one fold there is no standard error: the best one is chosen.
            Choice::OneStandardError => self.last_round().into_iter().find(near).unwrap_or(best),
        }
    }

    /// The indices of the rows of the last round.
    pub(crate) fn last_round(&self) -> Vec<usize> {
        let last = self.iter.iter().max();
        (0..self.iter.len()).filter(|&row| Some(&self.iter[row]) == last).collect()
    }

    /// The names of all parameters, ascending.
    pub(crate) fn names(&self) -> Vec<&String> {
        let mut names: Vec<&String> = self.params.iter().flat_map(BTreeMap::keys).collect();
        names.sort();
        names.dedup();
        names
    }
}

impl fmt::Debug for CvResults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folds = self.split_test_score.first().map_or(0, Vec::len);
        write!(f, "CvResults: {} combinations, {folds} folds", self.params.len())
    }
}

/// The results of a finished search.
pub struct SearchResults {
    /// What was found for each combination.
    pub cv_results: CvResults,
    /// The resource that grows from round to round in a search by halving.
    pub resource: Option<Resource>,
    /// The rounds of a search by halving.
    pub rounds: Option<Rounds>,
    /// Index of the best combination in `cv_results`: a row of the last round, by the search's `choice`.
    pub best_index: usize,
    /// The best combination.
    pub best_params: Parameters,
    /// Its mean score.
    pub best_score: f64,
    /// Number of trials of each combination: of folds times seeds.
    pub n_splits: usize,
    /// Number of seeds with which each combination was trained on each fold.
    pub n_repeats: usize,
    /// The metric that ranks the combinations.
    pub scoring: Scoring,
    /// The network with the best combination.
    pub best_network: Network,
    /// The settings of the training with the best combination, as in the last training.
    pub best_fit: FitConfig,
    /// The best combination trained on the whole training part, with `refit`; scikit-learn's `best_estimator_`.
    pub best_model: Option<Model>,
    /// That training, epoch by epoch.
    pub best_history: Option<History>,
    /// Seconds of that training.
    pub refit_time: Option<f64>,
    /// The training of each trial, `histories[candidate][fold]`; none where it failed.
    pub histories: Vec<Vec<Option<History>>>,
    /// The number of trials whose result an earlier search had kept.
    pub trials_kept: usize,
    /// Seconds of the search, without the last training.
    pub search_seconds: f64,
}

impl SearchResults {
    /// Takes the trained best model out of the results.
    ///
    /// # Errors
    /// If there is none: the search ran without `refit`, or the model was already taken.
    pub fn take_best_model(&mut self) -> Result<Model> {
        self.best_model.take().ok_or_else(|| {
            Error::parameter("refit", "true", "no trained model", "search with `refit: true`")
        })
    }

    /// The standard error of the difference between two combinations' mean scores in the last round.
    ///
    /// All combinations of a round use the same folds, so the effect of a fold on all scores is removed first: the
    /// error is computed from the residuals of the scores, after the mean of their combination and the mean of their
    /// fold (two-way analysis of variance without interaction). NaN with fewer than two combinations or folds without a
    /// failure.
    pub fn standard_error(&self) -> f64 {
        let scores: Vec<&Vec<f64>> = (self.cv_results.last_round().into_iter())
            .map(|row| &self.cv_results.split_test_score[row])
            .filter(|scores| scores.iter().all(|score| score.is_finite()))
            .collect();
        let (rows, columns) = (scores.len() as f64, self.n_splits as f64);
        if rows < 2.0 || columns < 2.0 {
            return f64::NAN;
        }
        let row_means: Vec<f64> =
            scores.iter().map(|row| row.iter().sum::<f64>() / columns).collect();
        let mean = row_means.iter().sum::<f64>() / rows;
        let mut squares = 0.0;
        for fold in 0..self.n_splits {
            let fold_mean = scores.iter().map(|row| row[fold]).sum::<f64>() / rows;
            for (row, row_mean) in scores.iter().zip(&row_means) {
                squares += (row[fold] - row_mean - fold_mean + mean).powi(2);
            }
        }
        (2.0 * squares / ((rows - 1.0) * (columns - 1.0)) / columns).sqrt()
    }
}

impl SearchResults {
    /// False if every combination has a failed trial, so that none has a mean score; `best_index` is the first one
    /// then, as in scikit-learn.
    pub(crate) fn has_best(&self) -> bool {
        !self.best_score.is_nan()
    }
}

impl fmt::Debug for SearchResults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SearchResults: {} combinations, {} folds; best {} with {} {:.4}",
            self.cv_results.params.len(),
            self.n_splits,
            params_text(&self.best_params),
            self.scoring.name(),
            self.best_score
        )
    }
}

/// The standard error of the mean of these scores.
fn standard_error(scores: &[f64]) -> f64 {
    let count = scores.len() as f64;
    let mean = sum(scores) / count;
    let squares: f64 = scores.iter().map(|score| (score - mean).powi(2)).sum();
    (squares / (count - 1.0) / count).sqrt()
}

/// Mean and standard deviation of each row, with NumPy's order of additions, so that means that are equal in NumPy are
/// equal here.
pub(crate) fn means(rows: &[Vec<f64>]) -> (Vec<f64>, Vec<f64>) {
    rows.iter()
        .map(|row| {
            let mean = sum(row) / row.len() as f64;
            let squares: Vec<f64> = row.iter().map(|value| (value - mean).powi(2)).collect();
            (mean, (sum(&squares) / row.len() as f64).sqrt())
        })
        .unzip()
}

/// NumPy's sum of a short row: in order below eight values, else in eight partial sums.
fn sum(values: &[f64]) -> f64 {
    if values.len() < 8 {
        return values.iter().sum();
    }
    if values.len() > 128 {
        let half = values.len() / 2 / 8 * 8;
        return sum(&values[..half]) + sum(&values[half..]);
    }
    let (blocks, rest) = values.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for block in blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane += value;
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    rest.iter().fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |sum, value| sum + value)
}

/// Ranks from 1, the highest score first; equal scores share the better rank, NaN gets the last one.
fn ranks(scores: &[f64]) -> Vec<usize> {
    // The highest score first, NaN last.
    let order = |a: &f64, b: &f64| {
        a.is_nan().cmp(&b.is_nan()).then(b.partial_cmp(a).unwrap_or(Ordering::Equal))
    };
    let mut sorted = scores.to_vec();
    sorted.sort_by(order);
    let better = |score: &f64| sorted.partition_point(|other| order(other, score).is_lt());
    scores.iter().map(|score| 1 + better(score)).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Results with these scores and one parameter that numbers the combinations.
    pub(crate) fn results(scores: &[&[f64]]) -> SearchResults {
        let rows: Vec<Vec<f64>> = scores.iter().map(|row| row.to_vec()).collect();
        let params = (0..rows.len())
            .map(|index| Parameters::from([("dropout".to_owned(), index.into())]))
            .collect();
        let cv_results = CvResults::new(params, rows.clone(), None, &rows, &rows);
        let best_index = cv_results.best_of_last_round();
        SearchResults {
            best_index,
            best_params: cv_results.params[best_index].clone(),
            best_score: cv_results.mean_test_score[best_index],
            n_splits: scores[0].len(),
            n_repeats: 1,
            resource: None,
            rounds: None,
            scoring: Scoring::Accuracy,
            best_network: Network::default(),
            best_fit: FitConfig::default(),
            best_model: None,
            best_history: None,
            refit_time: None,
            histories: vec![Vec::new(); rows.len()],
            trials_kept: 0,
            search_seconds: 1.0,
            cv_results,
        }
    }

    /// Three combinations with one epoch, and the better two of them with three.
    pub(crate) fn results_of_halving() -> SearchResults {
        let mut found =
            results(&[&[0.5, 0.25], &[0.75, 0.5], &[0.5, 0.75], &[0.5, 0.5], &[0.75, 0.75]]);
        let params = &mut found.cv_results.params;
        (params[3], params[4]) = (params[1].clone(), params[2].clone());
        found.cv_results.iter = vec![0, 0, 0, 1, 1];
        found.cv_results.n_resources = Some(vec![1, 1, 1, 3, 3]);
        found.resource = Some(Resource::Epochs);
        found.best_index = found.cv_results.best_of_last_round();
        found.best_params = found.cv_results.params[found.best_index].clone();
        found.best_score = found.cv_results.mean_test_score[found.best_index];
        found
    }

    #[test]
    fn the_best_is_of_the_last_round_whatever_an_earlier_one_scored() {
        let mut found = results_of_halving();
        assert_eq!((found.best_index, found.cv_results.last_round()), (4, vec![3, 4]));
        found.cv_results.rank_test_score = vec![1, 2, 3, 5, 4];
        assert_eq!(found.cv_results.by_rank(), [4, 3, 0, 1, 2]);
    }

    #[test]
    fn the_first_within_one_standard_error_is_chosen_where_that_is_asked_for() {
        // The last has a mean of 0.8, and 0.1 as its standard error.
        let found = results(&[&[0.5, 0.5], &[0.75, 0.75], &[0.7, 0.9]]).cv_results;
        assert_eq!(found.chosen(Choice::Best), 2);
        assert_eq!(found.chosen(Choice::OneStandardError), 1);
        let one_fold = results(&[&[0.5], &[0.75]]).cv_results;
        assert_eq!(one_fold.chosen(Choice::OneStandardError), 1);
        // Only the last round counts.
        assert_eq!(results_of_halving().cv_results.chosen(Choice::OneStandardError), 4);
    }

    #[test]
    fn equal_means_share_the_better_rank_and_no_numbers_the_last() {
        assert_eq!(ranks(&[0.5, 0.9, f64::NAN, 0.9, 0.1, f64::NAN]), [3, 1, 5, 1, 4, 5]);
        assert_eq!(ranks(&[f64::NAN, f64::NAN]), [1, 1]);
    }

    #[test]
    fn the_spread_divides_by_the_number_of_folds() {
        assert_eq!(means(&[vec![0.25, 0.75]]), (vec![0.5], vec![0.25]));
    }

    #[test]
    fn what_a_fold_adds_to_all_alike_is_no_noise() {
        // The second fold is easier by the same 0.25 for both: nothing is left.
        let same = results(&[&[0.25, 0.5], &[0.5, 0.75]]);
        assert!(same.standard_error() < 1e-12);
        // Residuals of 0.0625 each; their squares' sum 1/64 over (2 - 1)(2 - 1), twice it over two folds.
        let crossed = results(&[&[0.25, 0.5], &[0.5, 0.5]]);
        assert!((crossed.standard_error() - 0.125).abs() < 1e-12);
    }
}
