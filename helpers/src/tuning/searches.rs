//! The four searches of scikit-learn: all combinations or some drawn at random, at once or by successive halving.
//!
//! Start at [`GridSearchCv`]: `GridSearchCv { param_grid, .. }.fit(&split)?` gives [`SearchResults`].

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::config::{SearchConfig, Trial};
use super::confirmation::Confirmation;
use super::distributions::ParameterDistributions;
use super::folds::Folds;
use super::grid::{ParameterGrid, Parameters};
use super::halving::{Available, Halving, MinResources, OneRound, Plan, Resource};
use super::launcher::Launcher;
use super::network::Network;
use super::pruner::MedianPruner;
use super::results::{Choice, ErrorScore, SearchResults};
use super::runner::TrialRunner;
use super::scoring::Scoring;
use crate::data::Split;
use crate::error::{Error, Result};
use crate::training::FitConfig;

/// A search: its own settings, and after them those that all searches have. Structs cannot share fields, and a setting
/// that lay in a struct of its own would not be where scikit-learn has it.
macro_rules! search {
    ($(#[$about:meta])* $name:ident { $($(#[$field_about:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_about])* pub $field: $type,)*
            /// The network, with the settings that are not searched.
            pub network: Network,
            /// The training of each trial, with the settings that are not searched. Its seed is that of all trials.
            pub fit: FitConfig,
            /// Images of the training part that the search looks at, stratified; 0 for all of them.
            pub images: usize,
            /// The folds.
            pub cv: Folds,
            /// How often each combination is trained on each fold, each time with the next seed: what differs between
            /// them is luck. The folds with the second seed follow those with the first.
            pub n_repeats: usize,
            /// What a trial is judged by, and the combinations are ranked by; `cv_results` has all metrics.
            pub scoring: Scoring,
            /// Which combination is the best.
            pub choice: Choice,
            /// Stops trials that are behind most others; none runs all to their end. Not where rounds differ in epochs,
            /// which is another way to do that.
            pub pruner: Option<MedianPruner>,
            /// Whether the best combination is trained again, on the whole training part.
            pub refit: bool,
            /// Most epochs of that training, 0 for as many as a trial has.
            pub refit_epochs: usize,
            /// Share of a fold's training part that steers early stopping in a trial; the part that scores is not
            /// looked at.
            pub validation: f64,
            /// Trials side by side, which share the processor's threads; -1 for one a thread, -2 for one fewer, and so
            /// on.
            pub n_jobs: isize,
            /// Where trials run: on this machine, or on a cluster, where `n_jobs` only says how many threads each has.
            pub launcher: Launcher,
            /// 0: prints nothing; 1: a line a trial, with the time left; 2: the seconds of each trial, too.
            pub verbose: u8,
            /// The score of a trial that failed.
            pub error_score: ErrorScore,
            /// Whether the images a trial learnt from are scored, too.
            pub return_train_score: bool,
            /// The folder where finished trials are kept, one file each; a search that finds one there does not repeat
            /// it. The checkpoint of the last training is kept there, too.
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
            /// combination on all of `split.train`, steered by `split.validation`. `split.test` is not looked at.
            ///
            /// # Errors
            /// If a setting is out of range, the program that runs trials is not there, no cluster answers, there is nothing to train
            /// because each combination had a trial that failed (or one failed, with [`ErrorScore::Raise`]), the last
            /// training fails, or somebody interrupts it (SIGINT).
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

            /// Trains the best combination of a search, and `others` beside it, on all of `split.train`, each with
            /// `n_seeds` seeds, steered and scored by `split.validation`: a trial has fewer images than the last training,
            /// and luck decides between combinations that are close. `split.test` is not looked at.
            ///
            /// - `results`: of this search; `refit: false` saves a training
            /// - `others`: such as the settings that were there before the search
            ///
            /// # Errors
            /// If a combination does not fit the network, `n_seeds` is 0, or a training fails or is interrupted (SIGINT);
            /// run again, trainings that ended are read from `trials` and one that was stopped goes on.
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

/// A search by successive halving: its own settings, and after them those that both have.
macro_rules! halving_search {
    ($(#[$about:meta])* $name:ident from $least:path { $($own:tt)* }) => {
        search! {
            $(#[$about])*
            $name {
                $($own)*
                /// One of so many candidates goes on to the next round, which has so many times as much; above 1.
                factor: f64 = 3.0,
                /// What a round has more of.
                resource: Resource = Resource::NSamples,
                /// The most that a candidate gets, 0 for all images or all epochs.
                max_resources: usize = 0,
                /// What each candidate gets in the first round.
                min_resources: MinResources = $least,
                /// Whether the first rounds repeat the least amount until few enough candidates are left.
                aggressive_elimination: bool = false,
                /// Seed of what is drawn, the images of a round among it, below 2^32.
                random_state: u64 = 42,
            }
        }

        impl $name {
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
    /// All combinations of a grid, each with everything; scikit-learn's `GridSearchCV`.
    GridSearchCv {
        /// The values to try. Names are fields of the network's settings or of [`FitConfig`].
        param_grid: ParameterGrid = ParameterGrid::new(),
    }
}

impl GridSearchCv {
    /// Checks every setting, and every combination's names and values.
    ///
    /// # Errors
    /// If one cannot be; the message says which, and what it may be.
    pub fn check(&self) -> Result<()> {
        self.config().check(&self.param_grid.combinations()?)
    }

    /// Every trial of the search, combination after combination and within it fold after fold, for `split.train`.
    ///
    /// Any engine may run them, too: the program's output, as `ID.json` in the folder of finished trials, is what the
    /// search looks for.
    ///
    /// # Errors
    /// If a setting is out of range, or the images cannot be divided so.
    pub fn trials(&self, split: &Split) -> Result<Vec<Trial>> {
        self.check()?;
        let config = self.config();
        let (images, folds) = config.folds(split)?;
        let round = OneRound(Some(self.param_grid.combinations()?)).next(&[]);
        round.map_or(Ok(Vec::new()), |round| config.trials(&images, &folds, &round))
    }

    fn plan(&self, _: &Available) -> Result<Box<dyn Plan>> {
        Ok(Box::new(OneRound(Some(self.param_grid.combinations()?))))
    }
}

search! {
    /// Combinations drawn at random, each with everything; scikit-learn's `RandomizedSearchCV`.
    RandomizedSearchCv {
        /// What is drawn from. Names are fields of the network's settings or of [`FitConfig`].
        param_distributions: ParameterDistributions = ParameterDistributions::new(),
        /// Combinations to draw.
        n_iter: usize = 10,
        /// Seed of the draw, below 2^32.
        random_state: u64 = 42,
    }
}

impl RandomizedSearchCv {
    /// Checks every setting, and every combination's names and values.
    ///
    /// # Errors
    /// If one cannot be; the message says which, and what it may be.
    pub fn check(&self) -> Result<()> {
        self.config().check(&self.drawn()?)
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

    fn plan(&self, _: &Available) -> Result<Box<dyn Plan>> {
        Ok(Box::new(OneRound(Some(self.drawn()?))))
    }
}

halving_search! {
    /// All combinations of a grid by successive halving: with little at first, the better ones again with more;
    /// scikit-learn's `HalvingGridSearchCV`.
    HalvingGridSearchCv from MinResources::Exhaust {
        /// The values to try. Names are fields of the network's settings or of [`FitConfig`].
        param_grid: ParameterGrid = ParameterGrid::new(),
    }
}

impl HalvingGridSearchCv {
    /// Checks every setting, and every combination's names and values.
    ///
    /// # Errors
    /// If one cannot be; the message says which, and what it may be.
    pub fn check(&self) -> Result<()> {
        let candidates = self.param_grid.combinations()?;
        self.halving().check(&candidates, self.fit.epochs)?;
        self.config().check(&candidates)
    }

    fn plan(&self, available: &Available) -> Result<Box<dyn Plan>> {
        Ok(Box::new(self.halving().plan(self.param_grid.combinations()?, available)?))
    }
}

halving_search! {
    /// Combinations drawn at random, by successive halving; scikit-learn's `HalvingRandomSearchCV`.
    HalvingRandomSearchCv from MinResources::Smallest {
        /// What is drawn from. Names are fields of the network's settings or of [`FitConfig`].
        param_distributions: ParameterDistributions = ParameterDistributions::new(),
        /// Combinations to draw; 0, scikit-learn's `"exhaust"`, for as many as let the last round use all there is.
        n_candidates: usize = 0,
    }
}

impl HalvingRandomSearchCv {
    /// Checks every setting, and the names and values of the combinations.
    ///
    /// # Errors
    /// If one cannot be; the message says which, and what it may be.
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

    fn plan(&self, available: &Available) -> Result<Box<dyn Plan>> {
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
