//! Successive halving (Jamieson & Talwalkar 2016): many combinations with a small budget, then the better ones with a
//! larger one.
//!
//! Rounds, resources and survivors are those of scikit-learn's `HalvingGridSearchCV` and `HalvingRandomSearchCV`. Of
//! candidates with equal scores the later ones survive; scikit-learn leaves that to NumPy's `argsort`, which depends on
//! the processor: with AVX-512, NumPy 2.4 changes the order of as few as four scores.
//!
//! A short trial favours combinations that learn fast. The dense network of notebook 4 on one fold of Fashion-MNIST:
//! without dropout 89.5% after 5 epochs, with dropout 0.5 86.3%; in the end 90.6% and 90.5%. This is why notebook 10,
//! which searches dropout, trains every combination fully; halving suits a search for a learning rate or a width.

use serde::{Deserialize, Serialize};

use super::grid::Parameters;
use crate::error::{Error, Result};

/// The resource that each round gives candidates more of; scikit-learn's `resource`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Training images, drawn again in each round: scikit-learn's `n_samples`, the default.
    #[default]
    NSamples,
    /// Epochs of one training: each round continues where the last one stopped, and reaches the same weights as a
    /// training without interruption. The learning rate's schedule is that of the whole training in each round.
    Epochs,
}

impl Resource {
    /// The word for it in a sentence, plural.
    pub fn plural(self) -> &'static str {
        match self {
            Resource::NSamples => "images",
            Resource::Epochs => "epochs",
        }
    }
}

/// The amount that each candidate gets in the first round; scikit-learn's `min_resources`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MinResources {
    /// The amount that lets the last round use as much as possible.
    Exhaust,
    /// 1 epoch; or 2 images for each class and fold, as in scikit-learn.
    Smallest,
    /// This amount.
    #[serde(untagged)]
    Count(usize),
}

impl From<usize> for MinResources {
    fn from(count: usize) -> MinResources {
        MinResources::Count(count)
    }
}

/// The share of the images or epochs that the trials of a round get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Budget {
    /// All images, the whole training.
    Whole,
    /// This many images.
    Images { count: usize, random_state: u64 },
    /// The first `now` epochs, of which earlier rounds ran `before`.
    Epochs { now: usize, before: Option<usize> },
}

impl Budget {
    /// The number of images or epochs, unless it is all of them.
    pub(super) fn amount(self) -> Option<usize> {
        match self {
            Budget::Whole => None,
            Budget::Images { count, .. } => Some(count),
            Budget::Epochs { now, .. } => Some(now),
        }
    }
}

/// One round of a search.
pub(super) struct Round {
    /// Its number, from 0.
    pub iteration: usize,
    pub candidates: Vec<Parameters>,
    /// For each candidate, its index among the candidates of the round before.
    pub from: Vec<usize>,
    pub budget: Budget,
}

/// The rounds of a search by halving, by scikit-learn's names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rounds {
    /// The images or epochs of each candidate, round by round.
    pub n_resources: Vec<usize>,
    /// The number of candidates, round by round.
    pub n_candidates: Vec<usize>,
    /// The number of candidates that would reach another round.
    pub n_remaining_candidates: usize,
    /// The amount that each candidate gets in the first round.
    pub min_resources: usize,
    /// The most that a round may give.
    pub max_resources: usize,
    /// The number of rounds.
    pub n_iterations: usize,
    /// The number of rounds after which fewer candidates are left than `factor`.
    pub n_required_iterations: usize,
    /// The number of rounds that can grow within `max_resources`.
    pub n_possible_iterations: usize,
}

/// Decides which combinations a search tries in each round.
pub(super) trait RoundPlan {
    /// The next round, given the mean scores of the last one.
    fn next(&mut self, scores: &[f64]) -> Option<Round>;

    /// Rounds in all.
    fn n_iterations(&self) -> usize {
        1
    }

    /// The rounds so far, in a search by halving.
    fn rounds(&self) -> Option<Rounds> {
        None
    }

    /// The resource that differs from round to round.
    fn resource(&self) -> Option<Resource> {
        None
    }
}

/// A single round of these combinations.
pub(super) struct OneRound(pub Option<Vec<Parameters>>);

impl RoundPlan for OneRound {
    fn next(&mut self, _: &[f64]) -> Option<Round> {
        let candidates = self.0.take()?;
        Some(Round { iteration: 0, candidates, from: Vec::new(), budget: Budget::Whole })
    }
}

/// The settings that both halving searches have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Halving {
    pub factor: f64,
    pub resource: Resource,
    pub max_resources: usize,
    pub min_resources: MinResources,
    pub aggressive_elimination: bool,
    pub random_state: u64,
}

/// The maximum that a trial can get, and the numbers that the minimum is computed from.
pub(super) struct Available {
    pub images: usize,
    pub classes: usize,
    pub n_splits: usize,
    pub epochs: usize,
}

impl Halving {
    /// Checks what can be checked without the data.
    pub(super) fn check(&self, candidates: &[Parameters], epochs: usize) -> Result<()> {
        if !(self.factor > 1.0 && self.factor.is_finite()) {
            let advice = "3 keeps the better third of each round";
            return Err(Error::parameter("factor", "above 1", self.factor, advice));
        }
        if self.resource == Resource::NSamples {
            return Ok(());
        }
        if candidates.iter().any(|params| params.contains_key("epochs")) {
            let expected = "n_samples, or epochs that are not searched themselves";
            let advice = "take `epochs` out of the parameters";
            return Err(Error::parameter("resource", expected, "epochs, a parameter", advice));
        }
        if self.max_resources > epochs {
            let expected =
                format!("at most the {epochs} epochs of a whole training, or 0 for them");
            let advice = "raise `epochs` in `fit`";
            return Err(Error::parameter("max_resources", expected, self.max_resources, advice));
        }
        Ok(())
    }

    /// The minimum and the maximum that a candidate gets, before `MinResources::Exhaust` is applied.
    pub(super) fn limits(&self, available: &Available) -> Result<(usize, usize)> {
        let least = match (self.min_resources, self.resource) {
            (MinResources::Count(count), _) => count,
            (_, Resource::NSamples) => 2 * available.n_splits * available.classes,
            (_, Resource::Epochs) => 1,
        };
        let most = match (self.max_resources, self.resource) {
            (0, Resource::NSamples) => available.images,
            (0, Resource::Epochs) => available.epochs,
            (most, Resource::NSamples) => most.min(available.images),
            (most, Resource::Epochs) => most,
        };
        if least == 0 || least > most {
            let expected = format!("1 to {most}, the most that a round may give");
            let advice = "a smaller one, or more images or epochs";
            return Err(Error::parameter("min_resources", expected, least, advice));
        }
        Ok((least, most))
    }

    /// The rounds for these candidates.
    pub(super) fn plan(
        &self,
        candidates: Vec<Parameters>,
        available: &Available,
    ) -> Result<HalvingPlan> {
        let (mut least, most) = self.limits(available)?;
        let required = 1 + whole_powers(candidates.len(), self.factor);
        if self.min_resources == MinResources::Exhaust {
            let last = self.factor.powi(required as i32 - 1);
            least = least.max((most as f64 / last).floor() as usize);
        }
        let possible = 1 + whole_powers(most / least, self.factor);
        let n_iterations =
            if self.aggressive_elimination { required } else { required.min(possible) };
        let n_resources = (0..n_iterations)
            .map(|iteration| {
                // Aggressive elimination repeats the first amount until the remaining candidates fit into the rounds
                // that can grow.
                let power = match self.aggressive_elimination {
                    true => (iteration + possible).saturating_sub(required),
                    false => iteration,
                };
                ((self.factor.powi(power as i32) * least as f64) as usize).min(most)
            })
            .collect();
        let rounds = Rounds {
            n_resources,
            n_candidates: Vec::new(),
            n_remaining_candidates: candidates.len(),
            min_resources: least,
            max_resources: most,
            n_iterations,
            n_required_iterations: required,
            n_possible_iterations: possible,
        };
        Ok(HalvingPlan { settings: *self, rounds, iteration: 0, candidates })
    }
}

/// The largest whole exponent with `factor.powi(exponent) <= count`; rounded as scikit-learn rounds the quotient of
/// logarithms.
fn whole_powers(count: usize, factor: f64) -> usize {
    ((count as f64).ln() / factor.ln()).floor() as usize
}

/// The rounds of one search by halving.
pub(super) struct HalvingPlan {
    settings: Halving,
    rounds: Rounds,
    iteration: usize,
    /// The candidates of the last round.
    candidates: Vec<Parameters>,
}

impl RoundPlan for HalvingPlan {
    fn next(&mut self, scores: &[f64]) -> Option<Round> {
        let (iteration, random_state) = (self.iteration, self.settings.random_state);
        let &now = self.rounds.n_resources.get(iteration)?;
        let from = match iteration {
            0 => (0..self.candidates.len()).collect(),
            _ => top_k(scores, self.rounds.n_remaining_candidates),
        };
        self.candidates = from.iter().map(|&index| self.candidates[index].clone()).collect();
        self.iteration += 1;
        let candidates = self.candidates.len();
        self.rounds.n_candidates.push(candidates);
        self.rounds.n_remaining_candidates =
            (candidates as f64 / self.settings.factor).ceil() as usize;
        let budget = match self.settings.resource {
            Resource::NSamples => Budget::Images { count: now, random_state },
            Resource::Epochs => Budget::Epochs {
                now,
                before: iteration.checked_sub(1).map(|i| self.rounds.n_resources[i]),
            },
        };
        Some(Round { iteration, candidates: self.candidates.clone(), from, budget })
    }

    fn n_iterations(&self) -> usize {
        self.rounds.n_iterations
    }

    fn rounds(&self) -> Option<Rounds> {
        Some(self.rounds.clone())
    }

    fn resource(&self) -> Option<Resource> {
        Some(self.settings.resource)
    }
}

/// The indices of the `k` best scores, the best one last; NaN counts as the worst score.
fn top_k(scores: &[f64], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    let key = |index: usize| if scores[index].is_nan() { f64::NEG_INFINITY } else { scores[index] };
    order.sort_by(|&a, &b| key(a).total_cmp(&key(b)));
    order.split_off(scores.len().saturating_sub(k))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(candidates: usize, change: impl FnOnce(&mut Halving)) -> Result<HalvingPlan> {
        let mut halving = Halving {
            factor: 3.0,
            resource: Resource::Epochs,
            max_resources: 0,
            min_resources: MinResources::Exhaust,
            aggressive_elimination: false,
            random_state: 0,
        };
        change(&mut halving);
        let candidates: Vec<Parameters> = (0..candidates)
            .map(|index| Parameters::from([("dropout".to_owned(), index.into())]))
            .collect();
        halving.check(&candidates, 50)?;
        halving.plan(candidates, &Available { images: 900, classes: 10, n_splits: 3, epochs: 50 })
    }

    #[test]
    fn each_round_keeps_the_better_third_and_gives_it_three_times_as_much() {
        let mut plan = plan(20, |_| ()).unwrap();
        assert_eq!(plan.rounds.n_resources, [5, 15, 45]);
        let first = plan.next(&[]).unwrap();
        assert_eq!(first.budget, Budget::Epochs { now: 5, before: None });
        let scores: Vec<f64> = (0..20).map(|index| f64::from(index * 7 % 20)).collect();
        let second = plan.next(&scores).unwrap();
        let kept: Vec<f64> = second.from.iter().map(|&index| scores[index]).collect();
        assert_eq!(kept, [13.0, 14.0, 15.0, 16.0, 17.0, 18.0, 19.0]);
        assert_eq!(second.budget, Budget::Epochs { now: 15, before: Some(5) });
        let third = plan.next(&kept).unwrap();
        assert_eq!((third.candidates.len(), third.iteration), (3, 2));
        assert_eq!(third.candidates[2], second.candidates[6]);
        assert!(plan.next(&[0.0; 3]).is_none());
        assert_eq!(
            (plan.rounds.n_candidates, plan.rounds.n_remaining_candidates),
            (vec![20, 7, 3], 1)
        );
    }

    #[test]
    fn what_has_no_score_does_not_go_on() {
        assert_eq!(top_k(&[0.5, f64::NAN, 0.25, 0.75], 2), [0, 3]);
        assert_eq!(top_k(&[f64::NAN, 0.25], 2), [0, 1]);
    }

    #[test]
    fn of_equal_scores_the_later_ones_go_on() {
        assert_eq!(top_k(&[0.5, 0.5, 0.25, 0.5], 2), [1, 3]);
        // As many as make an unstable sort leave the order.
        let scores: Vec<f64> = (0..90).map(|index| f64::from(index % 3)).collect();
        assert_eq!(top_k(&scores, 3), [83, 86, 89]);
    }

    #[test]
    fn settings_that_cannot_be_are_refused() {
        let refused = |change: fn(&mut Halving)| plan(4, change).err().unwrap().to_string();
        assert!(refused(|h| h.factor = 1.0).starts_with("`factor` must be above 1, got 1"));
        let text = refused(|h| h.max_resources = 60);
        assert!(text.starts_with("`max_resources` must be at most the 50 epochs"), "{text}");
        let text = refused(|h| h.min_resources = 51.into());
        assert!(text.starts_with("`min_resources` must be 1 to 50"), "{text}");
    }
}
