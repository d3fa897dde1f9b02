//! The four searches of scikit-learn: all combinations or some drawn at random, at once or by successive halving.
//!
//! Start at [`GridSearchCv`]: `GridSearchCv { param_grid, .. }.fit(&split)?` returns [`SearchResults`].

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::config::{SearchConfig, Trial};
use super::confirmation::Confirmation;
use super::distributions::ParameterDistributions;
use super::folds::Folds;
use super::grid::{ParameterGrid, Parameters};
use super::halving::{Available, Halving, MinResources, OneRound, Resource, RoundPlan};
use super::launcher::Launcher;
use super::network::Network;
use super::pruner::MedianPruner;
use super::results::{Choice, ErrorScore, SearchResults};
use super::runner::{NoRunner, TrialRunner};
use super::scoring::Scoring;
use crate::data::Split;
use crate::error::{Error, Result};
use crate::training::FitConfig;

/// A search: its own settings, followed by those that all searches have. They are fields of each search because
/// scikit-learn has them there, and Rust's structs cannot share fields.
macro_rules! search {
    ($(#[$about:meta])* $name:ident { $($(#[$field_about:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_about])* pub $field: $type,)*
            /// The network, with the settings that are not searched.
            pub network: Network,
            /// The training of each trial, with the settings that are not searched. All trials use its seed.
            pub fit: FitConfig,
            /// Number of images of the training part that the search uses, stratified; 0 for all of them.
            pub images: usize,
            /// The folds.
            pub cv: Folds,
            /// The number of seeds with which each combination is trained on each fold. The scores of one fold differ
            /// by chance alone. The folds with the second seed follow those with the first.
            pub n_repeats: usize,
            /// The metric that ranks trials and combinations; `cv_results` has all metrics.
            pub scoring: Scoring,
            /// The rule for the best combination.
            pub choice: Choice,
            /// Stops trials that are worse than most others; with none all run to their end. No effect if rounds differ
            /// in epochs: then halving already stops trials early.
            pub pruner: Option<MedianPruner>,
            /// Whether the best combination is trained again, on the whole training part.
            pub refit: bool,
            /// Maximum number of epochs of that training, 0 for the same as in a trial.
            pub refit_epochs: usize,
            /// Share of a fold's training part that early stopping uses in a trial; the part that scores is not used
            /// for it.
            pub validation: f64,
            /// Number of trials in parallel, which share the processor's threads; -1 for one per thread, -2 for one
            /// fewer, and so on. The number of threads decides the last digits, so it is the same in all rounds: the
            /// last ones of a search by halving have few trials and leave processor cores idle.
            pub n_jobs: isize,
            /// Where trials run: on this machine, or on a cluster, where `n_jobs` only says how many threads each has.
            pub launcher: Launcher,
            /// 0: prints nothing; 1: one line per trial, with the time left; 2: also the seconds of each trial.
            pub verbose: u8,
            /// The score of a trial that failed.
            pub error_score: ErrorScore,
            /// Whether the images a trial is trained on are scored, too.
            pub return_train_score: bool,
            /// The folder with the results of finished trials, one file each; a search does not repeat a trial whose
            /// file it finds there. Checkpoints of long trials and of the last training are kept there, too.
            pub trials: PathBuf,
        }

        impl Default for $name {
            fn default() -> $name {
                $name {
                    $($field: $default,)*
                    network: Network::default(),
                    fit: FitConfig::default(),
                    images: 0,
                    cv: Folds::Count(5),
                    n_repeats: 1,
                    scoring: Scoring::Accuracy,
                    choice: Choice::Best,
                    pruner: None,
                    refit: true,
                    refit_epochs: 0,
                    validation: 0.12,
                    n_jobs: -1,
                    launcher: Launcher::Local,
                    verbose: 1,
                    error_score: ErrorScore::Nan,
                    return_train_score: false,
                    trials: PathBuf::from("../export/trials"),
                }
            }
        }

        impl $name {
            /// The settings that all searches have.
            fn config(&self) -> SearchConfig {
                SearchConfig {
                    network: self.network.clone(),
                    fit: self.fit.clone(),
                    images: self.images,
                    cv: self.cv.clone(),
                    n_repeats: self.n_repeats,
                    scoring: self.scoring,
                    choice: self.choice,
                    pruner: self.pruner,
                    refit: self.refit,
                    refit_epochs: self.refit_epochs,
                    validation: self.validation,
                    n_jobs: self.n_jobs,
                    verbose: self.verbose,
                    error_score: self.error_score,
                    return_train_score: self.return_train_score,
                    trials: self.trials.clone(),
                }
            }

            /// Searches in `split.train`, with trials where `launcher` says; then, with `refit`, trains the best
            /// combination on all of `split.train`, with `split.validation` for early stopping. `split.test` is not
            /// used.
            ///
            /// # Errors
            /// If a setting is out of range, the program that runs trials is missing, no cluster answers or it is lost,
            /// every trial of a round failed (or one trial, with [`ErrorScore::Raise`]), there is nothing to train
            /// because each combination had a failed trial, the last training fails, or the user interrupts the search
            /// (SIGINT).
            pub fn fit(&self, split: &Split) -> Result<SearchResults> {
                self.check()?;
                let data = split.train.dataset().folder();
                self.fit_with(split, &*self.launcher.or_named().start(data)?)
            }

            /// As `fit`, with trials run by `launcher`.
            ///
            /// # Errors
            /// As `fit`.
            pub fn fit_with(&self, split: &Split, launcher: &dyn TrialRunner) -> Result<SearchResults> {
                self.check()?;
                let config = self.config();
                let (images, folds) = config.folds(split)?;
                let mut labels = images.labels();
                labels.sort_unstable();
                labels.dedup();
                let available = Available {
                    images: images.len(),
                    classes: labels.len(),
                    n_splits: folds.len(),
                    epochs: self.fit.epochs,
                };
                config.run(split, (&images, &folds), &mut *self.plan(&available)?, launcher)
            }

            /// The results of the trials that have ended, here or elsewhere: starts no trial and trains nothing at the end.
            ///
            /// In a search with one round a trial without a result counts as failed, with a row that says so; a search
            /// by halving needs all results of a round to know the next one.
            ///
            /// # Errors
            /// As `fit`; if no trial has a result, or, in a search by halving, if one has none.
            pub fn collect(&self, split: &Split) -> Result<SearchResults> {
                let error_score = Self::WITHOUT_RESULT;
                let search = $name { refit: false, verbose: 0, error_score, ..self.clone() };
                search.fit_with(split, &NoRunner)
            }

            /// Trains the best combination of a search, and `others` for comparison, on all of `split.train`, each with
            /// `n_seeds` seeds, with `split.validation` for early stopping and for the scores. A trial has fewer images
            /// than the last training, and chance decides between combinations that are close. `split.test` is not
            /// used.
            ///
            /// - `results`: of this search; set `refit: false` in the search, since `confirm` trains the best
            ///   combination, too
            /// - `others`: for example the settings from before the search
            ///
            /// # Errors
            /// If a combination does not fit the network, `n_seeds` is 0, or a training fails or is interrupted
            /// (SIGINT). When run again, finished trainings are read from `trials` and a stopped one is resumed.
            pub fn confirm(
                &self,
                split: &Split,
                results: &SearchResults,
                others: &[Parameters],
                n_seeds: usize,
            ) -> Result<Confirmation> {
                self.config().confirm(split, results, others, n_seeds)
            }
        }
    };
}

/// A search by successive halving: its own settings, followed by those that both of them have.
macro_rules! halving_search {
    ($(#[$about:meta])* $name:ident from $least:path { $($own:tt)* }) => {
        search! {
            $(#[$about])*
            $name {
                $($own)*
                /// One of this many candidates reaches the next round, which has this many times the resource; above 1.
                factor: f64 = 3.0,
                /// The resource that grows from round to round.
                resource: Resource = Resource::NSamples,
                /// The most that a candidate gets, 0 for all images or all epochs.
                max_resources: usize = 0,
                /// The amount that each candidate gets in the first round.
                min_resources: MinResources = $least,
                /// Whether the first rounds repeat the least amount until few enough candidates are left.
                aggressive_elimination: bool = false,
                /// Seed of all draws, including the images of a round, below 2^32.
                random_state: u64 = 42,
            }
        }

        impl $name {
            const WITHOUT_RESULT: ErrorScore = ErrorScore::Raise;

            fn halving(&self) -> Halving {
                Halving {
                    factor: self.factor,
                    resource: self.resource,
                    max_resources: self.max_resources,
                    min_resources: self.min_resources,
                    aggressive_elimination: self.aggressive_elimination,
                    random_state: self.random_state,
                }
            }
        }
    };
}

search! {
    /// All combinations of a grid, each with all images and epochs; scikit-learn's `GridSearchCV`.
    GridSearchCv {
        /// The values to try. Names are fields of the network's settings or of [`FitConfig`].
        param_grid: ParameterGrid = ParameterGrid::new(),
    }
}

impl GridSearchCv {
    const WITHOUT_RESULT: ErrorScore = ErrorScore::Nan;

    /// Checks every setting, and every combination's names and values.
    ///
    /// # Errors
    /// If a setting is not allowed; the message names it and the allowed values.
    pub fn check(&self) -> Result<()> {
        self.config().check(&self.param_grid.combinations()?)
    }

    /// Every trial of the search for `split.train`, ordered by combination and within it by fold.
    ///
    /// Any engine can run them: the search looks for the program's output as `ID.json` in the folder of finished
    /// trials.
    ///
    /// # Errors
    /// If a setting is out of range, the images cannot be divided so, or there is a pruner: what it stops depends on
    /// the first results.
    pub fn trials(&self, split: &Split) -> Result<Vec<Trial>> {
        self.check()?;
        self.config().trials_of_one_round(split, self.param_grid.combinations()?)
    }

    fn plan(&self, _: &Available) -> Result<Box<dyn RoundPlan>> {
        Ok(Box::new(OneRound(Some(self.param_grid.combinations()?))))
    }
}

search! {
    /// Combinations drawn at random, each with all images and epochs; scikit-learn's `RandomizedSearchCV`.
    RandomizedSearchCv {
        /// The distributions to draw from. Names are fields of the network's settings or of [`FitConfig`].
        param_distributions: ParameterDistributions = ParameterDistributions::new(),
        /// Number of combinations to draw.
        n_iter: usize = 10,
        /// Seed of the draw, below 2^32.
        random_state: u64 = 42,
    }
}

impl RandomizedSearchCv {
    const WITHOUT_RESULT: ErrorScore = ErrorScore::Nan;

    /// Checks every setting, and every combination's names and values.
    ///
    /// # Errors
    /// If a setting is not allowed; the message names it and the allowed values.
    pub fn check(&self) -> Result<()> {
        self.config().check(&self.drawn()?)
    }

    /// Every trial of the search for `split.train`, as [`GridSearchCv::trials`].
    ///
    /// # Errors
    /// As there.
    pub fn trials(&self, split: &Split) -> Result<Vec<Trial>> {
        self.check()?;
        self.config().trials_of_one_round(split, self.drawn()?)
    }

    fn drawn(&self) -> Result<Vec<Parameters>> {
        if self.n_iter == 0 {
            return Err(Error::parameter(
                "n_iter",
                "at least 1",
                0,
                "10 is scikit-learn's default",
            ));
        }
        self.param_distributions.sample(self.n_iter, self.random_state)
    }

    fn plan(&self, _: &Available) -> Result<Box<dyn RoundPlan>> {
        Ok(Box::new(OneRound(Some(self.drawn()?))))
    }
}

halving_search! {
    /// All combinations of a grid by successive halving: first with few images or epochs, then the better ones with
    /// more; scikit-learn's `HalvingGridSearchCV`.
    HalvingGridSearchCv from MinResources::Exhaust {
        /// The values to try. Names are fields of the network's settings or of [`FitConfig`].
        param_grid: ParameterGrid = ParameterGrid::new(),
    }
}

impl HalvingGridSearchCv {
    /// Checks every setting, and every combination's names and values.
    ///
    /// # Errors
    /// If a setting is not allowed; the message names it and the allowed values.
    pub fn check(&self) -> Result<()> {
        let candidates = self.param_grid.combinations()?;
        self.halving().check(&candidates, self.fit.epochs)?;
        self.config().check(&candidates)
    }

    fn plan(&self, available: &Available) -> Result<Box<dyn RoundPlan>> {
        Ok(Box::new(self.halving().plan(self.param_grid.combinations()?, available)?))
    }
}

halving_search! {
    /// Combinations drawn at random, by successive halving; scikit-learn's `HalvingRandomSearchCV`.
    HalvingRandomSearchCv from MinResources::Smallest {
        /// The distributions to draw from. Names are fields of the network's settings or of [`FitConfig`].
        param_distributions: ParameterDistributions = ParameterDistributions::new(),
        /// Number of combinations to draw; 0, scikit-learn's `"exhaust"`, for the number with which the last round uses
        /// as much as possible.
        n_candidates: usize = 0,
    }
}

impl HalvingRandomSearchCv {
    /// Checks every setting, and the names and values of the combinations.
    ///
    /// # Errors
    /// If a setting is not allowed; the message names it and the allowed values.
    pub fn check(&self) -> Result<()> {
        if self.n_candidates == 0 && self.min_resources == MinResources::Exhaust {
            let expected = "a number, where `min_resources` is `Exhaust`";
            let advice = "one of the two must be known to work out the other";
            return Err(Error::parameter("n_candidates", expected, 0, advice));
        }
        let drawn = self.param_distributions.sample(self.n_candidates.max(1), self.random_state)?;
        self.halving().check(&drawn, self.fit.epochs)?;
        self.config().check(&drawn)
    }

    fn plan(&self, available: &Available) -> Result<Box<dyn RoundPlan>> {
        let halving = self.halving();
        let candidates = match self.n_candidates {
            0 => {
                let (least, most) = halving.limits(available)?;
                most / least
            }
            count => count,
        };
        let drawn = self.param_distributions.sample(candidates, self.random_state)?;
        Ok(Box::new(halving.plan(drawn, available)?))
    }
}
