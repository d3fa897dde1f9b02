//! Work that goes on beside what the user waits for, on threads of its own with low priority.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Involuntary context switches of all background threads, up to the last [`count_switches`] of each.
static SWITCHES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// What this thread has added to [`SWITCHES`]; none on a thread that is not in the background.
    static COUNTED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Runs work on a new thread with low priority. Long work should call [`count_switches`] now and then.
pub(crate) fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    std::thread::spawn(move || {
        #[cfg(target_os = "linux")]
        // SAFETY: a plain system call; on Linux 0 means the calling thread. A refusal does no harm.
        unsafe {
            libc::setpriority(libc::PRIO_PROCESS, 0, 10);
        }
        COUNTED.set(Some(0));
        let result = work();
        count_switches();
        result
    })
}

/// Counts the involuntary context switches since its last call, if this thread is one in the background. A thread of low
/// priority is interrupted for our own work, too, so its switches do not show that the machine is busy.
pub(crate) fn count_switches() {
    #[cfg(target_os = "linux")]
    if let Some(before) = COUNTED.get() {
        let now = involuntary_switches(libc::RUSAGE_THREAD);
        COUNTED.set(Some(now));
        SWITCHES.fetch_add(now.saturating_sub(before), Ordering::Relaxed);
    }
}

/// Involuntary context switches so far of this process without its background threads; 0 where the system does not count
/// them.
pub(crate) fn foreground_switches() -> u64 {
    #[cfg(unix)]
    {
        // In this order, so that no switch is taken off that is not in the sum yet.
        let background = SWITCHES.load(Ordering::Relaxed);
        involuntary_switches(libc::RUSAGE_SELF).saturating_sub(background)
    }
    #[cfg(not(unix))]
    0
}

/// Involuntary context switches of the process or of this thread; ended threads count in those of the process.
#[cfg(unix)]
fn involuntary_switches(whose: libc::c_int) -> u64 {
    // SAFETY: the structure is plain numbers, and the call fills it.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    unsafe { libc::getrusage(whose, &raw mut usage) };
    u64::try_from(usage.ru_nivcsw).unwrap_or(0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// More threads than processors, which give way to each other: Linux counts that as involuntary.
    #[test]
    fn switches_of_background_threads_are_not_those_of_the_foreground() {
        let threads = 2 * std::thread::available_parallelism().unwrap().get() + 2;
        let give_way = || {
            // Few, because beside other programs each may take a time slice.
            for _ in 0..100_000 {
                if involuntary_switches(libc::RUSAGE_THREAD) >= 5 {
                    break;
                }
                std::thread::yield_now();
            }
            involuntary_switches(libc::RUSAGE_THREAD)
        };
        let threads: Vec<_> = (0..threads).map(|_| in_background(give_way)).collect();
        let background: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert!(background > 0);
        let foreground = foreground_switches();
        assert!(foreground + background <= involuntary_switches(libc::RUSAGE_SELF));
    }
}
