//! Interrupts (SIGINT, Jupyter's stop button): long work stops between two steps with an error, and its partial results
//! stay.
//!
//! Without a handler an interrupt ends the process, and with it all variables of a notebook. Start at
//! [`InterruptGuard::new`].

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::error::{Error, Result};

/// If the first interrupt was not noticed for this long, a second one ends the process.
const PATIENCE_SECONDS: i64 = 5;

/// When the first interrupt came, in seconds since the machine started; 0 if none did.
///
/// A signal handler can only set a static. Each cell of a notebook links its own copy of it, which is harmless: the
/// value matters during one call, and the handler is removed with the last [`InterruptGuard`].
static INTERRUPTED_AT: AtomicI64 = AtomicI64::new(0);
static GUARDS: Mutex<Guards> = Mutex::new(Guards { alive: 0, installed: false });

struct Guards {
    alive: usize,
    /// True when the handler is ours. If the program has a handler of its own, that one stays.
    installed: bool,
}

/// While one is alive an interrupt does not end the process but is reported by [`InterruptGuard::check`].
pub(crate) struct InterruptGuard(());

impl InterruptGuard {
    /// Catches interrupts from now on; all guards that are alive report the same one.
    pub(crate) fn new() -> InterruptGuard {
        let mut guards = guards();
        if guards.alive == 0 {
            INTERRUPTED_AT.store(0, Ordering::SeqCst);
            guards.installed = handler() == libc::SIG_DFL;
            if guards.installed {
                set_handler(note_interrupt as extern "C" fn(libc::c_int) as libc::sighandler_t);
            }
        }
        guards.alive += 1;
        InterruptGuard(())
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        INTERRUPTED_AT.load(Ordering::SeqCst) != 0
    }

    /// Call it between two steps of the work.
    ///
    /// # Errors
    /// [`Error::Interrupted`], with what to do about it.
    pub(crate) fn check(&self, work: &str, advice: &str) -> Result<()> {
        if self.is_interrupted() {
            return Err(Error::Interrupted { work: work.to_owned(), advice: advice.to_owned() });
        }
        Ok(())
    }
}

impl Drop for InterruptGuard {
    fn drop(&mut self) {
        let mut guards = guards();
        guards.alive -= 1;
        if guards.alive == 0 && guards.installed {
            set_handler(libc::SIG_DFL);
        }
    }
}

fn guards() -> MutexGuard<'static, Guards> {
    GUARDS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

extern "C" fn note_interrupt(signal: libc::c_int) {
    let now = seconds();
    match INTERRUPTED_AT.compare_exchange(0, now, Ordering::SeqCst, Ordering::SeqCst) {
        Err(first) if now - first >= PATIENCE_SECONDS => {
            set_handler(libc::SIG_DFL);
            // SAFETY: both calls may be made in a signal handler, and take nothing but numbers.
            unsafe { libc::kill(libc::getpid(), signal) };
        }
        _ => {}
    }
}

/// Seconds since the machine started, never 0.
fn seconds() -> i64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call is allowed in a signal handler, and writes only to `now`.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec + 1
}

/// The current handler of interrupts.
fn handler() -> libc::sighandler_t {
    // SAFETY: the structure is valid as zeros; the call only writes to it and changes no handler.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGINT, std::ptr::null(), &mut now);
        now.sa_sigaction
    }
}

/// Installs a handler of interrupts: `SIG_DFL`, or a function that may run at any moment.
fn set_handler(handler: libc::sighandler_t) {
    // SAFETY: all bits of the structure may be 0, which is an empty mask; the call reads it alone, and may be made in a
    // signal handler. Both callers give a handler of the kind that the flags say, one argument, which allocates nothing
    // and waits for nobody; its code stays in memory, as evcxr never unloads a cell.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        // Interrupted reads and writes go on by themselves.
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGINT, &action, std::ptr::null_mut());
    }
}
