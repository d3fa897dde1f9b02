//! The results of finished trials in their folder: those of this search, and those of the same trials under other
//! conditions.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use super::config::Trial;
use super::origin::Origin;
use super::pool::Pool;
use super::trial::{TrialResult, TrialSpec};
use crate::display::print_line;
use crate::error::{Error, Result};
use crate::system::environment::Environment;
use crate::system::files::{ReadError, read_regular, remove_leftovers, write_among_many};
use crate::text::{clean_text, counted, shown_path};

/// The most bytes of a kept result; usually it has some kilobytes, one row per epoch.
const LARGEST_RESULT: u64 = 1 << 26;

/// The number of results from which on it is said that they are looked for.
const MANY: usize = 1_000;

/// The number of threads that read results: a folder on the network answers each of them after a moment.
const READERS: usize = 8;

/// The most results of other trials that are read for a note.
const MOST_OTHERS: usize = 1_000;

/// The age of a checkpoint that nobody goes on with.
const MONTH: Duration = Duration::from_secs(30 * 86_400);

/// How the conditions of a result differ from those of the trial of this search, in words.
fn difference(origin: &Origin, spec: &TrialSpec) -> String {
    if origin.code != spec.code {
        "with other code".to_owned()
    } else if origin.threads != spec.threads {
        format!("with `threads` {}, here {}", origin.threads, spec.threads)
    } else {
        format!("in {:?}, here {:?}", origin.precision, spec.fit.precision)
    }
}

impl Pool<'_> {
    /// For each trial, its result if an earlier search already finished it.
    ///
    /// # Errors
    /// If a result is there and the system does not let it be read.
    pub(super) fn kept(&self) -> Result<Vec<Option<TrialResult>>> {
        remove_leftovers(self.folder, OsStr::new("."));
        remove_old_checkpoints(self.folder);
        if self.verbose > 0 && self.trials.len() >= MANY {
            let (trials, folder) = (counted(self.trials.len(), "trial"), shown_path(self.folder));
            print_line(&format!("looking for the results of {trials} in {folder}"));
        }
        let read = |trials: &[Trial]| -> Result<Vec<Option<TrialResult>>> {
            trials.iter().map(|trial| self.kept_result(&trial.spec)).collect()
        };
        let share = self.trials.len().div_ceil(READERS).max(1);
        let kept = thread::scope(|scope| -> Result<Vec<Option<TrialResult>>> {
            let readers: Vec<_> =
                self.trials.chunks(share).map(|trials| scope.spawn(move || read(trials))).collect();
            let mut kept = Vec::new();
            for reader in readers {
                kept.extend(
                    reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?,
                );
            }
            Ok(kept)
        })?;
        if self.verbose > 0 {
            self.notes(&kept).iter().for_each(|note| print_line(note));
        }
        Ok(kept)
    }

    /// The result of this trial, if there is one. A damaged one counts as none.
    ///
    /// # Errors
    /// If it is there and the system does not let it be read: it would be computed again for nothing.
    pub(super) fn kept_result(&self, spec: &TrialSpec) -> Result<Option<TrialResult>> {
        let id = spec.id();
        let path = self.path(&id);
        match read_regular(&path, LARGEST_RESULT) {
            Ok(bytes) => Ok(TrialResult::parse(&bytes, &id)),
            Err(ReadError::Io(source)) if source.kind() != ErrorKind::NotFound => Err(Error::Io {
                action: "read",
                path,
                source,
                advice: "make it readable, or remove it to run its trial again".into(),
            }),
            Err(_) => Ok(None),
        }
    }

    /// The file of a finished trial.
    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    pub(super) fn keep(&self, result: &TrialResult) -> Result<()> {
        let text = serde_json::to_vec(result).map_err(Error::internal)?;
        write_among_many(&self.path(&result.id), &text)
    }

    /// Which kept results were computed on another processor, and which trials run again because their results were
    /// computed under other conditions.
    fn notes(&self, kept: &[Option<TrialResult>]) -> Vec<String> {
        let here = Environment::current().cpu_capability;
        let processor = |result: &TrialResult| Some(result.origin.as_ref()?.processor.clone());
        let processors = kept.iter().flatten().filter_map(processor).filter(|there| *there != here);
        let elsewhere = counts(processors).into_iter().map(|(there, count)| {
            format!(
                "note: {} computed on a processor with {}, this one has {here}: the last digits may differ",
                counted(count, "kept result"),
                clean_text(&there)
            )
        });
        let others = counts(self.under_other_conditions(kept)).into_iter().map(|(what, count)| {
            format!(
                "note: {} in {} of the same trials {}, not used",
                counted(count, "result"),
                shown_path(self.folder),
                clean_text(&what)
            )
        });
        elsewhere.chain(others).collect()
    }

    /// For each result in the folder of a trial that has none here, what is different about it.
    fn under_other_conditions(&self, kept: &[Option<TrialResult>]) -> Vec<String> {
        /// The part of a result that is needed here.
        #[derive(Deserialize)]
        struct Other {
            origin: Option<Origin>,
        }
        let Ok(entries) = std::fs::read_dir(self.folder) else { return Vec::new() };
        let ours: BTreeSet<PathBuf> =
            kept.iter().flatten().map(|result| self.path(&result.id)).collect();
        let is_other = |path: &PathBuf| {
            path.extension().is_some_and(|extension| extension == "json") && !ours.contains(path)
        };
        let origin = |path: PathBuf| {
            let bytes = read_regular(&path, LARGEST_RESULT).ok()?;
            serde_json::from_slice::<Other>(&bytes).ok()?.origin
        };
        let others = entries.flatten().map(|entry| entry.path()).filter(is_other);
        let origins: Vec<Origin> = others.take(MOST_OTHERS).filter_map(origin).collect();
        if origins.is_empty() {
            return Vec::new();
        }
        let missing = self.trials.iter().zip(kept).filter(|(_, kept)| kept.is_none());
        let missing: BTreeMap<String, &TrialSpec> =
            missing.map(|(trial, _)| (trial.spec.task(), &trial.spec)).collect();
        let differs = |origin: &Origin| Some(difference(origin, missing.get(&origin.task)?));
        origins.iter().filter_map(differs).collect()
    }
}

/// How often each text occurs.
fn counts(texts: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    texts.into_iter().for_each(|text| *counts.entry(text).or_insert(0) += 1);
    counts
}

/// Removes the checkpoints of killed trials that no search has gone on with for a month: code that has changed makes
/// other trials.
fn remove_old_checkpoints(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        // Checkpoints of trials have their id as name, those of last trainings words.
        let of_trial = path.extension().is_some_and(|extension| extension == "safetensors")
            && path.file_stem().is_some_and(|name| name.len() == 64);
        let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        if of_trial && age().is_some_and(|age| age > MONTH) {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::models::Precision;
    use crate::training::History;
    use crate::tuning::{ErrorScore, Parameters, Score, Scoring, TrialRunner};

    /// Runs nothing.
    struct Never;

    impl TrialRunner for Never {
        fn run(&self, _: &TrialSpec) -> Result<TrialResult, String> {
            Err("never".to_owned())
        }
    }

    fn trial(threads: usize, code: &str, rows: [usize; 2]) -> Trial {
        let spec = json!({
            "code": code, "network": {"dense": {}}, "fit": {"precision": "float32"}, "data": "", "x_sha256": "",
            "y_sha256": "", "train": [rows[0]], "test": [rows[1]], "validation": 0.2, "threads": threads,
            "return_train_score": false, "stage": null,
        });
        let spec = serde_json::from_value(spec).unwrap();
        Trial { candidate: 0, fold: 0, params: Parameters::new(), spec }
    }

    fn result(spec: &TrialSpec, processor: &str) -> TrialResult {
        let history = History {
            epochs: Vec::new(),
            best_epoch: 0,
            stopped_early: false,
            fit_seconds: 0.5,
            train_images_per_second: 1.0,
            phases: Vec::new(),
        };
        TrialResult {
            id: spec.id(),
            test: Score::default(),
            train: None,
            history,
            fit_seconds: 0.5,
            score_seconds: 0.5,
            pruned: false,
            origin: Some(Origin { processor: processor.to_owned(), ..spec.origin() }),
        }
    }

    fn pool<'a>(folder: &'a Path, trials: &'a [Trial]) -> Pool<'a> {
        Pool {
            trials,
            launcher: &Never,
            n_jobs: 1,
            folder,
            scoring: Scoring::Accuracy,
            error_score: ErrorScore::Nan,
            verbose: 0,
        }
    }

    #[test]
    fn results_of_the_same_trials_under_other_conditions_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let trials = [trial(2, "now", [0, 1]), trial(2, "now", [1, 0]), trial(2, "now", [2, 3])];
        let pool = pool(folder.path(), &trials);
        assert!(pool.notes(&pool.kept().unwrap()).is_empty());
        let here = Environment::current().cpu_capability;
        let mut in_bf16 = trials[1].spec.clone();
        in_bf16.fit.precision = Precision::BFloat16;
        let others = [
            trial(4, "now", [0, 1]).spec,
            trial(4, "now", [1, 0]).spec,
            trial(2, "before", [0, 1]).spec,
            in_bf16,
            // Another trial, and one that has a result.
            trial(4, "now", [7, 8]).spec,
            trial(4, "now", [2, 3]).spec,
        ];
        for spec in &others {
            pool.keep(&result(spec, &here)).unwrap();
        }
        pool.keep(&result(&trials[2].spec, "an abacus")).unwrap();
        let kept = pool.kept().unwrap();
        assert_eq!(kept.iter().flatten().count(), 1);
        let place = shown_path(folder.path());
        let expected = [
            format!(
                "note: 1 kept result computed on a processor with an abacus, this one has {here}: the last digits may \
                 differ"
            ),
            format!(
                "note: 1 result in {place} of the same trials in BFloat16, here Float32, not used"
            ),
            format!("note: 1 result in {place} of the same trials with other code, not used"),
            format!(
                "note: 2 results in {place} of the same trials with `threads` 4, here 2, not used"
            ),
        ];
        let mut notes = pool.notes(&kept);
        notes.sort();
        assert_eq!(notes, expected);
    }

    #[test]
    fn a_result_that_cannot_be_read_is_not_computed_again() {
        let folder = tempfile::tempdir().unwrap();
        let trials = [trial(2, "now", [0, 1])];
        let pool = pool(folder.path(), &trials);
        let path = pool.path(&trials[0].spec.id());
        // Links that lead to each other: nobody may read that, not even root.
        std::os::unix::fs::symlink(&path, &path).unwrap();
        let text = pool.kept().unwrap_err().to_string();
        assert!(text.starts_with("cannot read "), "{text}");
        assert!(text.ends_with("make it readable, or remove it to run its trial again"), "{text}");
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "{").unwrap();
        assert_eq!(pool.kept().unwrap(), [None]);
    }
}
