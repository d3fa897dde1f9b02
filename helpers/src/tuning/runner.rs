//! The interface between a search and what runs its trials.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use super::trial::{TrialResult, TrialSpec};

/// Runs trials: the local processes of [`LocalProcesses`](super::LocalProcesses), a cluster, or your own
/// implementation.
///
/// The search calls it from several threads at once.
pub trait TrialRunner: Sync {
    /// Runs one trial to its end.
    ///
    /// # Errors
    /// What went wrong, as one line for people.
    fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String>;

    /// How many trials it runs in parallel; none if the search's `n_jobs` decides. The search asks repeatedly, because
    /// a cluster may grow.
    fn slots(&self) -> Option<usize> {
        None
    }

    /// Why it cannot run any more trials; none as long as it can. A trial that fails after that is not counted as
    /// failed: the search stops.
    fn over(&self) -> Option<String> {
        None
    }

    /// Removes its own copies of checkpoints that no trial needs any more.
    fn forget(&self, _checkpoints: &[PathBuf]) {}
}

/// Runs nothing: for a search that only looks for results.
pub(super) struct NoRunner;

impl TrialRunner for NoRunner {
    fn run(&self, _: &TrialSpec) -> Result<TrialResult, String> {
        Err("it has no result yet".to_owned())
    }

    fn slots(&self) -> Option<usize> {
        Some(1)
    }
}

/// Locks a mutex, also if another thread has panicked while it held the lock.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
