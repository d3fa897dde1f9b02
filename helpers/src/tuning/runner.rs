//! What a search knows of whatever runs its trials.

use std::sync::{Mutex, MutexGuard};

use super::trial::{TrialResult, TrialSpec};

/// What runs trials: the local processes of [`LocalProcesses`](super::LocalProcesses), a cluster, or a bridge to an engine of your own.
///
/// The search calls it from several threads at once.
pub trait TrialRunner: Sync {
    /// Runs one trial to its end.
    ///
    /// # Errors
    /// In one line for people: what went wrong.
    fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String>;

    /// How many trials it runs side by side; none for as many as the search's `n_jobs` says.
    fn slots(&self) -> Option<usize> {
        None
    }
}

/// A lock that a panic elsewhere does not take along.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
