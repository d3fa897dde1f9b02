//! Interrupts (SIGINT, the stop button of Jupyter): long work ends between two steps, with an error, and keeps what it has.
//!
//! An interrupt otherwise ends the process, and all variables of a notebook with it. Start at [`Watch::start`].

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::error::{Error, Result};

/// How long the work has to notice the first interrupt; one that comes later ends the process after all.
const PATIENCE_SECONDS: i64 = 5;

/// When the first interrupt came, in seconds since the machine started; 0 if none did.
///
/// A signal handler has nothing but statics to leave a word in. Each cell of a notebook links its own; they are used while
/// one call runs, and the handler goes with the last [`Watch`].
static ASKED: AtomicI64 = AtomicI64::new(0);
static WATCHES: Mutex<Watches> = Mutex::new(Watches { living: 0, installed: false });

struct Watches {
    living: usize,
    /// If the handler is ours. A program that has one of its own keeps it.
    installed: bool,
}

/// While one lives an interrupt does not end the process, but is there to be asked for.
pub(crate) struct Watch(());

impl Watch {
    /// Listens from now on; watches inside each other, and side by side, hear of the same interrupt.
    pub(crate) fn start() -> Watch {
        let mut watches = watches();
        if watches.living == 0 {
            ASKED.store(0, Ordering::SeqCst);
            watches.installed = handler() == libc::SIG_DFL;
            if watches.installed {
                set_handler(listen as extern "C" fn(libc::c_int) as libc::sighandler_t);
            }
        }
        watches.living += 1;
        Watch(())
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        ASKED.load(Ordering::SeqCst) != 0
    }

    /// To be asked between two steps.
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

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watches = watches();
        watches.living -= 1;
        if watches.living == 0 && watches.installed {
            set_handler(libc::SIG_DFL);
        }
    }
}

fn watches() -> MutexGuard<'static, Watches> {
    WATCHES.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

extern "C" fn listen(signal: libc::c_int) {
    let now = seconds();
    match ASKED.compare_exchange(0, now, Ordering::SeqCst, Ordering::SeqCst) {
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
    // SAFETY: the call may be made in a signal handler, and writes to `now` alone.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec + 1
}

/// What is done about an interrupt now.
fn handler() -> libc::sighandler_t {
    // SAFETY: of this structure of numbers all bits may be 0; the call writes to it alone and changes nothing.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGINT, std::ptr::null(), &mut now);
        now.sa_sigaction
    }
}

/// Sets what is done about an interrupt: `SIG_DFL`, or a function that may run at any moment.
fn set_handler(handler: libc::sighandler_t) {
    // SAFETY: all bits of the structure may be 0, which is an empty mask; the call reads it alone, and may be made in a
    // signal handler. Both callers give a handler of the kind that the flags say, one argument, which allocates nothing
    // and waits for nobody; its code stays in memory, as evcxr never unloads a cell.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        // Reading and writing go on as if nothing had happened.
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGINT, &action, std::ptr::null_mut());
    }
}
