//! Whether full trainings confirm a search's choice, as a table and as a sentence.

use super::search::{difference, number};
use super::shows_its_table;
use crate::display::{Cell, Column, Table};
use crate::tuning::Confirmation;
use crate::tuning::grid::{params_text, value_text};

impl Confirmation {
    /// One row per combination, with its score for each seed; the best is marked.
    pub fn table(&self) -> Table {
        let names: Vec<&String> = self.best_params.keys().collect();
        let mut columns: Vec<Column> =
            names.iter().map(|name| Column::text(name.as_str())).collect();
        columns.push(number(self.scoring, format!("Mean {}", self.scoring.words())));
        columns.push(number(self.scoring, "Standard deviation".to_owned()));
        let seeds = self.seeds.iter().map(|seed| number(self.scoring, format!("Seed {seed}")));
        columns.extend(seeds);
        columns.push(Column::decimal("Fit", 1).unit("s"));
        let mut table = Table::new(columns);
        for (candidate, params) in self.params.iter().enumerate() {
            let value = |name: &&String| Cell::from(params.get(*name).map(value_text));
            let mut row: Vec<Cell> = names.iter().map(value).collect();
            row.push(self.mean_score[candidate].into());
            row.push(self.std_score[candidate].into());
            row.extend(self.validation_score[candidate].iter().map(|&score| Cell::from(score)));
            row.push(self.mean_fit_time[candidate].into());
            table.push(row);
        }
        let plural = if self.seeds.len() == 1 { "seed" } else { "seeds" };
        table.best(self.best_index).caption(format!(
            "Full trainings with {} {plural}, scored on the validation part; the standard deviation divides by the number of \
             seeds, as NumPy's does.",
            self.seeds.len()
        ))
    }

    /// Whether the search's choice is still the best in full trainings, and which combination is
    /// used; as a sentence.
    pub fn sentence(&self) -> String {
        let best = params_text(&self.best_params);
        let scored = |candidate: usize| self.scoring.text(self.mean_score[candidate]);
        if self.params.len() == 1 {
            return format!(
                "In full trainings {best} reaches {} on the validation part; there is nothing else to compare it with.",
                scored(0)
            );
        }
        let found = self.searched_index;
        // The search's choice is compared with the best of the others.
        let others = (0..self.params.len()).filter(|&other| other != found);
        let Some(other) =
            others.reduce(|a, b| if self.mean_score[b] > self.mean_score[a] { b } else { a })
        else {
            return String::new();
        };
        let pairs = self.validation_score[found].iter().zip(&self.validation_score[other]);
        let ahead = pairs.filter(|(found, other)| found > other).count();
        let verdict = match self.best_index == found {
            true => format!("what won on the folds wins again, by {}", self.gain(found, other)),
            false => format!(
                "what won on the folds does not win again, where it is {} behind; {best} stays",
                self.gain(other, found)
            ),
        };
        let seeds = match self.seeds.len() {
            1 => "with one seed".to_owned(),
            count => format!("mean of {count} seeds; it is ahead with {ahead} of them"),
        };
        format!(
            "In full trainings the search's choice ({}) reaches {} on the validation part, {} {}, {seeds}: {verdict}.",
            params_text(&self.params[found]),
            scored(found),
            params_text(&self.params[other]),
            scored(other)
        )
    }

    /// How far one combination's mean is above another's.
    fn gain(&self, above: usize, below: usize) -> String {
        difference(self.scoring, self.mean_score[above] - self.mean_score[below])
    }
}

shows_its_table!(Confirmation);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::{FitConfig, History};
    use crate::tuning::{Parameters, Scoring};

    /// Dropouts 0, 1, … with these scores; the search's choice is the last.
    fn confirmation(scores: &[[f64; 2]], best_index: usize) -> Confirmation {
        let params: Vec<Parameters> = (0..scores.len())
            .map(|index| Parameters::from([("dropout".to_owned(), index.into())]))
            .collect();
        let mean = |scores: &[f64; 2]| (scores[0] + scores[1]) / 2.0;
        let best_history = History {
            epochs: Vec::new(),
            best_epoch: 0,
            stopped_early: false,
            fit_seconds: 0.5,
            train_images_per_second: 1.0,
            phases: Vec::new(),
        };
        Confirmation {
            seeds: vec![7, 8],
            scoring: Scoring::Accuracy,
            validation_score: scores.iter().map(|scores| scores.to_vec()).collect(),
            mean_score: scores.iter().map(mean).collect(),
            std_score: vec![0.125; scores.len()],
            mean_fit_time: vec![1.5; scores.len()],
            searched_index: scores.len() - 1,
            best_index,
            best_params: params[best_index].clone(),
            best_score: mean(&scores[best_index]),
            best_fit: FitConfig::default(),
            best_history,
            best_model: None,
            params,
        }
    }

    #[test]
    fn the_words_say_whether_the_choice_holds() {
        let holds = confirmation(&[[0.5, 0.75], [0.75, 0.75]], 1).sentence();
        assert_eq!(
            holds,
            "In full trainings the search's choice (dropout 1) reaches 75.00% on the validation part, dropout 0 62.50%, \
             mean of 2 seeds; it is ahead with 1 of them: what won on the folds wins again, by 12.50 points."
        );
        let falls = confirmation(&[[0.75, 0.75], [0.25, 0.5], [0.5, 1.0]], 0).sentence();
        assert!(falls.contains("dropout 0 75.00%, mean of 2 seeds; it is ahead with 1"), "{falls}");
        let end = "does not win again, where it is 0.00 points behind; dropout 0 stays.";
        assert!(falls.ends_with(end), "{falls}");
        let one_seed =
            Confirmation { seeds: vec![7], ..confirmation(&[[0.5, 0.5], [0.75, 0.75]], 1) };
        let one_seed = one_seed.sentence();
        assert!(one_seed.contains("50.00%, with one seed: what won"), "{one_seed}");
        let alone = confirmation(&[[0.5, 0.75]], 0).sentence();
        assert!(alone.contains("reaches 62.50%") && alone.contains("nothing else"), "{alone}");
    }

    #[test]
    fn the_table_has_a_column_for_each_seed_and_marks_the_best() {
        let table = confirmation(&[[0.5, 0.75], [0.75, 0.75]], 1).table();
        let text = table.to_text();
        assert!(text.contains("Seed 7 (%)") && text.contains("with 2 seeds"), "{text}");
        let row = text.lines().find(|line| line.contains('★')).unwrap();
        let row: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(row, ["1", "★", "75.00", "12.50", "75.00", "75.00", "1.5"], "{text}");
        assert_eq!(table.len(), 2);
    }
}
