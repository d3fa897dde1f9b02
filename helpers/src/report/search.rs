//! The results of a search, as tables, figures and sentences.

use std::collections::HashMap;

use ndarray::Array2;
use serde_json::Value;

use super::shows_its_table;
use crate::artifacts::{Metrics, name_in_sentence};
use crate::display::{Cell, Column, Table};
use crate::error::{Error, Result};
use crate::layers::Initializer;
use crate::plot::{HeatMap, LineChart};
use crate::text::{clean_text, counted, decimals, duration, thousands};
use crate::tuning::grid::{params_text, value_text};
use crate::tuning::results::means;
use crate::tuning::{CvResults, FailedTrial, Parameters, Resource, Scoring, SearchResults};

/// Most rows of the table; a search may have a hundred thousand, which no one reads.
const MOST_ROWS: usize = 100;

impl CvResults {
    /// One row per combination, the best first. For a search by halving one row per combination and round, the last
    /// round first.
    fn table(
        &self,
        scoring: Scoring,
        resource: Option<Resource>,
        best: usize,
        n_repeats: usize,
    ) -> Table {
        let names: Vec<&String> = self.names();
        let trials = self.split_test_score.first().map_or(0, Vec::len);
        let folds = trials / n_repeats;
        let mut columns = Vec::new();
        if let Some(resource) = resource {
            columns.push(Column::integer("Round"));
            columns.push(Column::integer(axis(resource.plural())));
        }
        columns.push(Column::integer("Rank"));
        columns.extend(names.iter().map(|name| Column::text(name.as_str())));
        let what = scoring.words();
        columns.push(number(scoring, format!("Mean {what}")));
        columns.push(number(scoring, "Standard deviation".to_owned()));
        if n_repeats > 1 {
            columns.push(number(scoring, "Standard deviation of seeds".to_owned()));
        }
        let name = |index: usize| axis(&fold_name(index, folds, n_repeats));
        columns.extend((0..trials).map(|index| number(scoring, name(index))));
        if self.mean_train_score.is_some() {
            columns.push(number(scoring, format!("Mean {what} in training")));
        }
        columns.push(Column::decimal("Fit", 1).unit("s"));
        let pruned = self.pruned.iter().any(|&count| count > 0);
        if pruned {
            columns.push(Column::integer("Stopped trials"));
        }
        if !self.failures.is_empty() {
            columns.push(Column::text("Failed"));
        }
        let mut table = Table::new(columns);
        let order = self.by_rank();
        let mut shown = order[..order.len().min(MOST_ROWS)].to_vec();
        if !shown.contains(&best) {
            shown.push(best);
        }
        for &candidate in &shown {
            let mut row = self.row(candidate, &names, folds, n_repeats);
            if pruned {
                row.push(self.pruned[candidate].into());
            }
            if !self.failures.is_empty() {
                row.push(self.failures_text(candidate, folds, n_repeats).into());
            }
            table.push(row);
        }
        let caption = self.caption(folds, n_repeats, order.len() - shown.len());
        table.best(shown.iter().position(|&row| row == best).unwrap_or(0)).caption(caption)
    }

    /// The cells of a combination that every table has.
    fn row(
        &self,
        candidate: usize,
        names: &[&String],
        folds: usize,
        n_repeats: usize,
    ) -> Vec<Cell> {
        let mut row: Vec<Cell> = Vec::new();
        if let Some(amounts) = &self.n_resources {
            row.extend([(self.iter[candidate] + 1).into(), amounts[candidate].into()]);
        }
        row.push(self.rank_test_score[candidate].into());
        let value = |name: &&String| self.params[candidate].get(*name).map(value_text);
        row.extend(names.iter().map(|name| Cell::from(value(name))));
        row.push(self.mean_test_score[candidate].into());
        row.push(self.std_test_score[candidate].into());
        let scores = &self.split_test_score[candidate];
        if n_repeats > 1 {
            let of_seeds: Vec<Vec<f64>> = scores.chunks(folds).map(<[f64]>::to_vec).collect();
            row.extend(means(&[means(&of_seeds).0]).1.into_iter().map(Cell::from));
        }
        row.extend(scores.iter().map(|&score| Cell::from(score)));
        row.extend(self.mean_train_score.iter().map(|means| Cell::from(means[candidate])));
        row.push(self.mean_fit_time[candidate].into());
        row
    }

    /// The caption of the table, from which `left_out` rows are missing.
    fn caption(&self, folds: usize, n_repeats: usize, left_out: usize) -> String {
        let failed = match self.failures.len() {
            0 => "",
            1 => " One trial failed.",
            _ => {
                " Several trials failed, see the last column; a combination with one is ranked last."
            }
        };
        let rows = match self.n_resources {
            Some(_) => "Every combination in each round that it was in, the last round first",
            None => "Every combination, the best first",
        };
        let left_out = match left_out {
            0 => String::new(),
            count => format!(" {} more rows are in `cv_results`.", thousands(count)),
        };
        let seeds = match n_repeats {
            1 => String::new(),
            count => format!(
                " with {count} seeds; the standard deviation of seeds is that of each seed's mean, which chance alone makes"
            ),
        };
        format!("{rows}; mean and standard deviation over {folds} folds{seeds}.{left_out}{failed}")
    }

    /// The reasons why trials of this combination failed: `fold 2: …`.
    fn failures_text(&self, candidate: usize, folds: usize, n_repeats: usize) -> String {
        let failures = self.failures.iter().filter(|failure| failure.candidate == candidate);
        let name = |failure: &FailedTrial| fold_name(failure.fold, folds, n_repeats);
        let texts: Vec<String> =
            failures.map(|failure| format!("{}: {}", name(failure), failure.reason)).collect();
        texts.join("; ")
    }
}

impl SearchResults {
    /// The combinations, the best first, at most a hundred.
    pub fn table(&self) -> Table {
        self.cv_results.table(self.scoring, self.resource, self.best_index, self.n_repeats)
    }

    /// The mean score of each combination in each round of a search by halving, against the resource of the round.
    ///
    /// # Errors
    /// If the search had one round.
    pub fn plot_rounds(&self) -> Result<LineChart> {
        let results = &self.cv_results;
        let (Some(resource), Some(amounts)) = (self.resource, &results.n_resources) else {
            let expected = "a search by halving";
            let advice = "see `HalvingGridSearchCv`; `table` shows a search with one round";
            return Err(Error::parameter("search", expected, "one with one round", advice));
        };
        let unit = if self.scoring.is_share() { "%" } else { "nats" };
        let unit = format!("Mean {} over the folds ({unit})", self.scoring.words());
        let axis = axis(resource.plural());
        let mut chart = LineChart::new("The rounds of the search", axis, unit);
        let factor = if self.scoring.is_share() { 100.0 } else { 1.0 };
        let first = results.iter.iter().filter(|&&round| round == 0).count();
        // The best last, so that no other line covers it.
        let mut order: Vec<usize> = (0..first).collect();
        order.sort_by_key(|&row| results.params[row] == self.best_params);
        let rows_of = self.rows_of_combinations();
        for row in order {
            let params = &results.params[row];
            let mut rows = rows_of.get(&key(params)).cloned().unwrap_or_default();
            rows.retain(|&row| results.mean_test_score[row].is_finite());
            let amounts: Vec<f64> = rows.iter().map(|&row| amounts[row] as f64).collect();
            let scores: Vec<f64> =
                rows.iter().map(|&row| factor * results.mean_test_score[row]).collect();
            chart = match *params == self.best_params {
                true => chart.line(params_text(params), &amounts, &scores),
                false => chart.faint_line(&amounts, &scores),
            };
        }
        Ok(chart)
    }

    /// The rows of each combination, by its [`key`], round by round.
    fn rows_of_combinations(&self) -> HashMap<String, Vec<usize>> {
        let mut rows: HashMap<String, Vec<usize>> = HashMap::new();
        for (row, params) in self.cv_results.params.iter().enumerate() {
            rows.entry(key(params)).or_default().push(row);
        }
        rows
    }

    /// The mean score and its spread for each pair of values of two parameters; if the grid has more parameters, of the
    /// best combination with that pair.
    ///
    /// # Errors
    /// If one of the two is no parameter of every combination.
    pub fn heat_map(&self, rows: &str, columns: &str) -> Result<HeatMap> {
        let (row_names, row_of) = self.values_of(rows)?;
        let (column_names, column_of) = self.values_of(columns)?;
        let mut values = Array2::from_elem((row_names.len(), column_names.len()), f64::NAN);
        let mut spread = values.clone();
        // The worst first, so that the best stays; a failed one has the last rank. For a combination that was in several
        // rounds, the last one counts.
        for candidate in self.cv_results.by_rank().into_iter().rev() {
            let cell = (row_of[candidate], column_of[candidate]);
            values[cell] = self.cv_results.mean_test_score[candidate];
            spread[cell] = self.cv_results.std_test_score[candidate];
        }
        let percent = self.scoring.is_share();
        let (unit, digits) = if percent { (" (%)", 2) } else { ("", 4) };
        Ok(HeatMap {
            title: format!("Mean {} over the folds{unit}", self.scoring.words()),
            rows: (axis(rows), row_names),
            columns: (axis(columns), column_names),
            values,
            spread,
            percent,
            digits,
        })
    }

    /// The values of a parameter in the grid's order, and the index of each combination's value.
    fn values_of(&self, name: &str) -> Result<(Vec<String>, Vec<usize>)> {
        let (mut values, mut value_of) = (Vec::new(), Vec::new());
        for params in &self.cv_results.params {
            let Some(value) = params.get(name).map(value_text) else {
                let names: Vec<&str> =
                    self.cv_results.names().iter().map(|name| name.as_str()).collect();
                return Err(Error::parameter(
                    "name",
                    format!("a parameter of every combination, among {}", names.join(", ")),
                    format!("`{}`", clean_text(name)),
                    "these are the names in `param_grid`",
                ));
            };
            let index = values.iter().position(|known| *known == value).unwrap_or_else(|| {
                values.push(value);
                values.len() - 1
            });
            value_of.push(index);
        }
        Ok((values, value_of))
    }

    /// The loss an epoch of the best combination's trials: for each fold, on the images that steered early stopping.
    pub fn plot_best_trials(&self) -> LineChart {
        let title = "The best combination's trials";
        let mut chart = LineChart::new(title, "Epoch", "Loss of early stopping (nats)");
        for (fold, history) in self.histories[self.best_index].iter().enumerate() {
            let Some(history) = history else { continue };
            let epochs: Vec<f64> =
                history.epochs.iter().map(|record| record.epoch as f64).collect();
            let losses: Vec<f64> = history.epochs.iter().map(|record| record.val_loss).collect();
            let name = fold_name(fold, self.n_splits / self.n_repeats, self.n_repeats);
            chart = chart.line(name, &epochs, &losses);
        }
        chart
    }

    /// The progress of the trials: for each value of a parameter the accuracy on the images that steer early stopping,
    /// in the best epoch so far, averaged over all trainings with that value. In a search by halving only the last
    /// round of a combination counts: the rounds before it are the beginning of the same training, or trainings on
    /// fewer images.
    ///
    /// # Errors
    /// If this is no parameter of every combination.
    pub fn plot_trials(&self, name: &str) -> Result<LineChart> {
        let (values, value_of) = self.values_of(name)?;
        let title = format!("Accuracy by epoch, for each {}", clean_text(&name.replace('_', " ")));
        let mut chart = LineChart::new(title, "Epoch", "Best accuracy so far (%)");
        let epochs: Vec<f64> = (1..=self.longest_trial()).map(|epoch| epoch as f64).collect();
        let rows_of = self.rows_of_combinations();
        let mut last_rows: Vec<usize> =
            rows_of.values().filter_map(|rows| rows.last().copied()).collect();
        last_rows.sort_unstable();
        for (index, value) in values.into_iter().enumerate() {
            let rows: Vec<usize> =
                last_rows.iter().copied().filter(|&row| value_of[row] == index).collect();
            let mean = |&epoch: &f64| 100.0 * self.accuracy_after(&rows, epoch as usize);
            chart = chart.line(value, &epochs, &epochs.iter().map(mean).collect::<Vec<f64>>());
        }
        Ok(chart)
    }

    /// The combination that a search with trials of this many epochs (at least 1) would have chosen, judged by the
    /// images that steer early stopping, and its rank in this search; as a sentence.
    pub fn short_trials_sentence(&self, epochs: usize) -> String {
        let epochs = epochs.max(1);
        let rows = self.cv_results.last_round();
        let after = |row: usize| self.accuracy_after(&[row], epochs);
        let best = rows.iter().copied().filter(|&row| after(row).is_finite());
        let Some(best) = best.reduce(|a, b| if after(b) > after(a) { b } else { a }) else {
            return "No trial has an epoch.".to_owned();
        };
        let rank = self.cv_results.rank_test_score[best];
        let plural = if epochs == 1 { "" } else { "s" };
        let verdict = match self.best_score - self.cv_results.mean_test_score[best] {
            _ if best == self.best_index => "the same as that of the whole search".to_owned(),
            below => format!(
                "rank {rank} of {} in the whole search, {} below the best",
                rows.len(),
                difference(self.scoring, below)
            ),
        };
        format!(
            "After {epochs} epoch{plural} the best combination was {} ({:.2}% on the images that steer early stopping): {verdict}.",
            params_text(&self.cv_results.params[best]),
            100.0 * after(best)
        )
    }

    /// Epochs of the longest trial.
    fn longest_trial(&self) -> usize {
        let histories = self.histories.iter().flatten().flatten();
        histories.map(|history| history.epochs.len()).max().unwrap_or(0)
    }

    /// The accuracy in the best of the first `epochs`, averaged over these rows' trials that did not fail.
    fn accuracy_after(&self, rows: &[usize], epochs: usize) -> f64 {
        let histories = rows.iter().flat_map(|&row| self.histories[row].iter().flatten());
        let accuracies: Vec<f64> = histories
            .filter_map(|history| {
                let so_far = history.epochs.iter().take(epochs);
                let best = so_far.min_by(|a, b| a.val_loss.total_cmp(&b.val_loss));
                best.map(|epoch| epoch.val_accuracy)
            })
            .collect();
        accuracies.iter().sum::<f64>() / accuracies.len() as f64
    }

    /// Whether the parameters change the score by more than the noise, and which one does; as sentences.
    pub fn sentence(&self) -> String {
        let text = |value: f64| difference(self.scoring, value);
        let means = &self.cv_results.mean_test_score;
        let last_round = self.cv_results.last_round();
        let others = || {
            let other = |other: &usize| *other != self.best_index && means[*other].is_finite();
            last_round.iter().copied().filter(other)
        };
        let noise = 2.0 * self.standard_error();
        let count = others().count();
        if count == 0 || !noise.is_finite() {
            return "One combination, or one fold, tells nothing about the noise.".to_owned();
        }
        let near = others().filter(|&other| self.best_score - means[other] <= noise).count();
        let span = others().map(|other| self.best_score - means[other]).fold(0.0, f64::max);
        let word = if near == count {
            "so the search found no difference beyond the noise"
        } else if 2 * near >= count {
            "so bad choices can be told from good ones, and the good ones not from each other"
        } else {
            "so in this search the choice mattered beyond the noise"
        };
        let which = match self.resource {
            Some(_) => "Two combinations of the last round differ",
            None => "Two combinations differ",
        };
        format!(
            "{which} by more than the noise of the search when their means lie more than {} apart \
             (twice the standard error). {near} of the other {count} are nearer than that to the best, and the worst is \
             {} below it: {word}.{}",
            text(noise),
            text(span),
            self.importance_text()
        )
    }

    /// The combination that another model was trained with, read from its metrics; none if the search did not try it.
    pub fn settings_of(&self, other: &Metrics) -> Option<Parameters> {
        self.row_of(other).map(|row| self.cv_results.params[row].clone())
    }

    /// The row of another model's settings, in the last round that they took part in.
    fn row_of(&self, other: &Metrics) -> Option<usize> {
        let settings = |parameter: &str| {
            let of = |config: &str| other.config.get(config)?.get(parameter).cloned();
            of_layers(other.config.get("model"), parameter)
                .or_else(|| of("model"))
                .or_else(|| of("fit"))
        };
        let same = |(parameter, value): (&String, &Value)| {
            // The grid may have Keras's name of an initializer; metrics have the serialized form.
            let named = value.as_str().and_then(|text| Initializer::from_name(text).ok());
            let kept = named.and_then(|initializer| serde_json::to_value(initializer).ok());
            settings(parameter) == Some(kept.unwrap_or_else(|| value.clone()))
        };
        self.cv_results.params.iter().rposition(|params| params.iter().all(same))
    }

    /// The rank of another model's settings, read from its metrics, in this search; as a sentence.
    pub fn rank_of(&self, other: &Metrics) -> String {
        let name = name_in_sentence(&other.name);
        let Some(candidate) = self.row_of(other) else {
            return format!(
                "The grid does not hold the settings of {name}, so the search does not say what they are worth."
            );
        };
        let (results, round) = (&self.cv_results, self.cv_results.iter[candidate]);
        // Its rank among the candidates of the last round that it took part in.
        let rows: Vec<usize> =
            (0..results.iter.len()).filter(|&row| results.iter[row] == round).collect();
        let rank = |row: usize| results.rank_test_score[row];
        let better = rows.iter().filter(|&&row| rank(row) < rank(candidate)).count();
        let best = rows.iter().map(|&row| results.mean_test_score[row]).fold(f64::NAN, f64::max);
        let rounds = results.iter.iter().max().map_or(1, |last| last + 1);
        let of = match self.resource {
            Some(_) => format!(" in round {} of {rounds}, the last that they were in", round + 1),
            None => String::new(),
        };
        format!(
            "The search puts the settings of {name} ({}) at rank {} of {}{of}, {} below the best.",
            params_text(&results.params[candidate]),
            1 + better,
            rows.len(),
            difference(self.scoring, best - results.mean_test_score[candidate])
        )
    }

    /// The best combination, its score, and the time of all trials and of the last training; as sentences. Not the time of
    /// the search, which is next to nothing where it has found its trials done.
    pub fn findings(&self) -> String {
        let last = match self.refit_time {
            Some(seconds) => format!(", the last training {}", duration(seconds)),
            None => String::new(),
        };
        let best = match self.has_best() {
            false => "No combination is the best: each lost a trial, and with it its mean score"
                .to_owned(),
            true => format!(
                "Best: {}, with a mean {} of {} over {} folds",
                self.best_text(),
                self.scoring.words(),
                self.scoring.text(self.best_score),
                self.n_splits
            ),
        };
        let trials = counted(self.cv_results.mean_fit_time.len() * self.n_splits, "trial");
        let seconds = self.cv_results.mean_fit_time.iter().sum::<f64>() * self.n_splits as f64;
        format!(
            "{best}. The {trials} of the search trained for {} in all{last}.",
            duration(seconds)
        )
    }

    /// The best combination in a line: `dropout 0.2, kernel_initializer he_normal`.
    pub fn best_text(&self) -> String {
        params_text(&self.best_params)
    }
}

shows_its_table!(SearchResults);

/// A setting in the layers of a model's metrics: that of the first layer that has it.
fn of_layers(model: Option<&Value>, parameter: &str) -> Option<Value> {
    let layers = model?.get("layers")?.as_array()?;
    layers.iter().filter_map(Value::as_object).flatten().find_map(|(kind, settings)| {
        let name = if kind == "dropout" && parameter == "dropout" { "rate" } else { parameter };
        settings.get(name).cloned()
    })
}

impl Scoring {
    /// Its name in a sentence.
    pub(super) fn words(self) -> &'static str {
        match self {
            Scoring::Accuracy => "accuracy",
            Scoring::NegLogLoss => "negative log loss",
            Scoring::BalancedAccuracy => "balanced accuracy",
            Scoring::F1Macro => "macro F1",
            Scoring::TopKAccuracy => "top-2 accuracy",
        }
    }

    /// A score in a sentence.
    pub(super) fn text(self, score: f64) -> String {
        match self.is_share() {
            true => format!("{:.2}%", 100.0 * score),
            false => format!("{score:.4}"),
        }
    }
}

/// A column of scores.
pub(super) fn number(scoring: Scoring, name: String) -> Column {
    if scoring.is_share() { Column::percent(name, 2) } else { Column::decimal(name, 4) }
}

/// The difference between two scores as text: shares in percentage points.
pub(super) fn difference(scoring: Scoring, value: f64) -> String {
    match scoring.is_share() {
        true => format!("{} points", decimals(100.0 * value, 2)),
        false => decimals(value, 4),
    }
}

/// The axis name for a parameter: `kernel_initializer` becomes `Kernel initializer`.
fn axis(name: &str) -> String {
    let mut letters = name.replace('_', " ").chars().collect::<Vec<char>>();
    if let Some(first) = letters.first_mut() {
        *first = first.to_ascii_uppercase();
    }
    letters.into_iter().collect()
}

/// The name of a combination's trial with this index: `fold 1`, or with several seeds `fold 1, seed 2`.
fn fold_name(index: usize, folds: usize, n_repeats: usize) -> String {
    match n_repeats {
        1 => format!("fold {}", index + 1),
        _ => format!("fold {}, seed {}", index % folds + 1, index / folds + 1),
    }
}

/// A combination as the key of a map. `params_text` may be shortened, this is not.
fn key(params: &Parameters) -> String {
    format!("{params:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architectures::DenseConfig;
    use crate::data::ImageShape;
    use crate::training::{EpochRecord, History};
    use crate::tuning::results::tests::{results, results_of_halving};

    #[test]
    fn a_long_table_shows_the_best_rows_and_the_chosen_one() {
        // The later a combination, the higher its score.
        let scores: Vec<[f64; 1]> = (0..150).map(|index| [f64::from(index) / 150.0]).collect();
        let rows: Vec<&[f64]> = scores.iter().map(|row| &row[..]).collect();
        let mut found = results(&rows);
        assert_eq!((found.best_index, found.table().len()), (149, 100));
        assert!(found.table().to_string().contains("50 more rows"), "{}", found.table());
        // As by the rule of one standard error.
        found.best_index = 3;
        assert_eq!(found.table().len(), 101);
        assert!(found.table().to_string().contains("49 more rows"), "{}", found.table());
    }

    #[test]
    fn the_table_is_sorted_by_rank_and_marks_the_first() {
        let text = results(&[&[0.5, 0.25], &[0.75, 0.5], &[0.5, 0.5]]).table().to_text();
        let rows: Vec<Vec<&str>> =
            text.lines().skip(3).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0], ["1", "★", "1", "62.50", "12.50", "75.00", "50.00", "0.6"], "{text}");
        assert_eq!(&rows[1][..3], ["2", "2", "50.00"], "{text}");
        assert_eq!(&rows[2][..3], ["3", "0", "37.50"], "{text}");
    }

    #[test]
    fn what_the_seed_makes_stands_apart_from_what_the_fold_makes() {
        // Two folds with two seeds: the second seed is better by 0.25 on both.
        let mut found = results(&[&[0.25, 0.5, 0.5, 0.75]]);
        found.n_repeats = 2;
        found.cv_results.failures =
            vec![FailedTrial { candidate: 0, fold: 2, reason: "no memory".to_owned() }];
        let text = found.table().to_text();
        let row: Vec<&str> = text.lines().nth(3).unwrap().split_whitespace().collect();
        assert_eq!(row[3..9], ["50.00", "17.68", "12.50", "25.00", "50.00", "50.00"], "{text}");
        assert!(text.contains("Fold 1, seed 2") && !text.contains("Fold 3"), "{text}");
        assert!(text.contains("fold 1, seed 2: no memory"), "{text}");
    }

    #[test]
    fn a_search_by_halving_is_told_round_by_round() {
        let found = results_of_halving();
        let text = found.table().to_text();
        let rows: Vec<Vec<&str>> =
            text.lines().skip(3).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0][..5], ["2", "★", "3", "1", "2"], "{text}");
        assert_eq!(rows[1][..4], ["2", "3", "4", "1"], "{text}");
        assert_eq!(rows[4][..4], ["1", "1", "5", "0"], "{text}");
        let figure = found.plot_rounds().unwrap().plot().unwrap();
        assert!(figure.alt_text().contains("dropout 2 from 62.5 to 75"), "{}", figure.alt_text());
        assert!(figure.alt_text().contains("and 2 lines without a name"), "{}", figure.alt_text());
        let sentence = found.sentence();
        assert!(sentence.starts_with("Two combinations of the last round differ"), "{sentence}");
        assert!(sentence.contains("of the other 1 are nearer"), "{sentence}");
        let text = results(&[&[0.5]]).plot_rounds().unwrap_err().to_string();
        assert!(text.contains("`HalvingGridSearchCv`"), "{text}");
    }

    /// Of two combinations the first is ahead after one epoch, the second after two.
    #[test]
    fn what_short_trials_would_have_chosen_is_told() {
        let mut found = results(&[&[0.5, 0.5], &[0.75, 0.5]]);
        let history = |accuracies: [f64; 2]| {
            let record = |(index, val_accuracy): (usize, f64)| EpochRecord {
                epoch: index + 1,
                loss: 1.0,
                accuracy: 0.5,
                val_loss: 1.0 - val_accuracy,
                val_accuracy,
                learning_rate: 0.1,
                seconds: 1.0,
            };
            let epochs = accuracies.into_iter().enumerate().map(record).collect();
            Some(History {
                epochs,
                best_epoch: 1,
                stopped_early: false,
                fit_seconds: 2.0,
                train_images_per_second: 1.0,
                phases: Vec::new(),
            })
        };
        found.histories = vec![
            vec![history([0.75, 0.5]), history([0.75, 0.5])],
            vec![history([0.25, 0.875]), history([0.25, 0.625]), None],
        ];
        assert_eq!(
            found.short_trials_sentence(1),
            "After 1 epoch the best combination was dropout 0 (75.00% on the images that steer early stopping): rank 2 of \
             2 in the whole search, 12.50 points below the best."
        );
        // After two epochs both have the same best accuracy; the one that comes first in the grid is named.
        assert!(found.short_trials_sentence(2).contains("was dropout 0 (75.00%"));
        found.histories[1][1] = history([0.25, 0.875]);
        let same = found.short_trials_sentence(2);
        assert!(same.ends_with("early stopping): the same as that of the whole search."), "{same}");
        let alt = found.plot_trials("dropout").unwrap().plot().unwrap().alt_text().to_owned();
        assert!(alt.contains("0 from 75 to 75, 1 from 25 to 87.5"), "{alt}");
        // A training that went on in the next round counts once, with all its epochs.
        let mut found = results_of_halving();
        found.histories = vec![
            vec![history([0.5, 0.5])],
            vec![history([0.25, 0.25])],
            vec![history([0.0, 0.0])],
            vec![history([0.25, 0.75])],
            vec![history([0.0, 1.0])],
        ];
        let alt = found.plot_trials("dropout").unwrap().plot().unwrap().alt_text().to_owned();
        assert!(alt.contains("0 from 50 to 50, 1 from 25 to 75, 2 from 0 to 100"), "{alt}");
    }

    /// Of a combination that was in several rounds the last one counts.
    #[test]
    fn the_heat_map_of_a_search_by_halving_shows_the_last_round_of_each_combination() {
        let map = results_of_halving().heat_map("dropout", "dropout").unwrap();
        let diagonal: Vec<f64> = map.values.diag().to_vec();
        assert_eq!(diagonal, [0.375, 0.5, 0.75]);
    }

    /// One fold of the second combination failed.
    #[test]
    fn a_trial_that_failed_is_told_in_its_row_with_its_reason() {
        let mut found = results(&[&[0.5, 0.25], &[f64::NAN, 0.5]]);
        let reason = "no\nmemory".to_owned();
        found.cv_results.failures = vec![FailedTrial { candidate: 1, fold: 0, reason }];
        let text = found.to_string();
        let rows: Vec<&str> = text.lines().skip(3).collect();
        assert!(rows[1].ends_with("fold 1: no memory") && !rows[0].contains("fold 1"), "{text}");
        assert!(text.contains("One trial failed."), "{text}");
    }

    #[test]
    fn the_sentence_says_if_the_choice_mattered() {
        let clear = results(&[&[0.25, 0.25], &[0.75, 0.75]]).sentence();
        assert!(clear.ends_with("the choice mattered beyond the noise."), "{clear}");
        let noise = results(&[&[0.25, 0.5], &[0.5, 0.25]]).sentence();
        assert!(noise.ends_with("found no difference beyond the noise."), "{noise}");
        let mixed = results(&[&[0.5, 0.625], &[0.625, 0.5], &[0.0, 0.0]]).sentence();
        assert!(mixed.contains("1 of the other 2 are nearer"), "{mixed}");
        assert!(mixed.ends_with("and the good ones not from each other."), "{mixed}");
        assert!(results(&[&[0.5, 0.5]]).sentence().starts_with("One combination"));
    }

    /// Metrics of a model with this network and batches of 64 images.
    fn metrics(model: Value) -> Metrics {
        serde_json::from_value(serde_json::json!({
            "schema": 1, "name": "baseline", "quick": false, "seed": 42,
            "dataset": {"images": 10, "shape": [10, 2, 2], "classes": 2, "x_sha256": "", "y_sha256": ""},
            "split": {"train": 6, "validation": 2, "test": 2},
            "config": {"model": model, "fit": {"batch_size": 64}},
            "parameters": 1, "epochs_run": 1, "best_epoch": 1, "validation": null, "test": null,
            "fit_seconds": 1.0, "train_images_per_second": 1.0, "predict_images_per_second": 1.0,
            "threads": 1, "cpu_capability": "DEFAULT", "versions": {},
        }))
        .unwrap()
    }

    #[test]
    fn the_search_says_where_it_puts_the_settings_of_another_model() {
        let mut found = results(&[&[0.75, 0.5], &[0.5, 0.25], &[0.25, 0.25]]);
        for (params, initializer) in
            found.cv_results.params.iter_mut().zip(["he_normal", "he_uniform", "he_normal"])
        {
            *params = Parameters::from([
                ("batch_size".to_owned(), 64.into()),
                ("dropout".to_owned(), 0.35.into()),
                ("kernel_initializer".to_owned(), initializer.into()),
            ]);
        }
        let network = |dropout| DenseConfig {
            dropout,
            kernel_initializer: Initializer::HeUniform,
            ..DenseConfig::default()
        };
        let settings = |dropout| metrics(serde_json::to_value(network(dropout)).unwrap());
        let shape = ImageShape { height: 4, width: 4, channels: 1 };
        let layers = metrics(serde_json::to_value(network(0.35).network(shape, 2)).unwrap());
        assert_eq!(found.settings_of(&settings(0.25)), None);
        for metrics in [settings(0.35), layers] {
            assert_eq!(found.settings_of(&metrics), Some(found.cv_results.params[1].clone()));
            assert_eq!(
                found.rank_of(&metrics),
                "The search puts the settings of the dense network (batch_size 64, dropout 0.35, kernel_initializer he_uniform) at \
                 rank 2 of 3, 25.00 points below the best."
            );
        }
        // In rounds: its last one counts.
        found.cv_results.iter = vec![0, 1, 1];
        found.resource = Some(crate::tuning::Resource::Epochs);
        let text = found.rank_of(&settings(0.35));
        let end = "at rank 1 of 2 in round 2 of 2, the last that they were in, 0.00 points below the best.";
        assert!(text.ends_with(end), "{text}");
        let absent = found.rank_of(&settings(0.25));
        assert!(
            absent.starts_with("The grid does not hold the settings of the dense network"),
            "{absent}"
        );
    }

    #[test]
    fn the_best_combination_is_told_without_the_quotation_marks_of_json() {
        let mut found = results(&[&[0.5]]);
        found.best_params.insert("kernel_initializer".to_owned(), "he_normal".into());
        assert_eq!(found.best_text(), "dropout 0, kernel_initializer he_normal");
    }

    #[test]
    fn the_heat_map_needs_parameters_that_are_there() {
        let text = results(&[&[0.5]]).heat_map("dropout", "width").unwrap_err().to_string();
        assert!(text.contains("among dropout, got `width`"), "{text}");
    }
}
