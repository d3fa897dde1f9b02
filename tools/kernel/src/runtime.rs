//! The child process that evcxr starts from this binary to run the cells.

use std::env;
use std::os::unix::process::parent_id;
use std::thread;
use std::time::Duration;

use crate::environment::set_environment;
use crate::interrupt;
use crate::libtorch;

/// evcxr marks its child with this variable.
const CHILD_VARIABLE: &str = "EVCXR_IS_RUNTIME";

/// Carries the kernel's `RUST_BACKTRACE` to the child, where evcxr sets it to 1.
pub(crate) const BACKTRACE_VARIABLE: &str = "NOTEBOOK_BACKTRACE";

/// Does nothing in the kernel itself. In the child: a panic prints its message without a backtrace
/// of evcxr's frames, an interrupt does no more than it must, and the child ends with its kernel, even
/// in the middle of a long cell.
pub(crate) fn prepare_if_child() {
    if env::var_os(CHILD_VARIABLE).is_none() {
        return;
    }
    if let Ok(backtrace) = env::var(BACKTRACE_VARIABLE) {
        set_environment([("RUST_BACKTRACE", backtrace)]);
    }
    interrupt::listen_in_child();
    libtorch::load();
    end_with_parent();
}

/// Ends this process when the one that started it is gone, even in the middle of a long cell: nobody else would end a
/// kernel whose server or papermill was killed, and it would keep on training.
pub(crate) fn end_with_parent() {
    let parent = parent_id();
    thread::spawn(move || {
        while parent_id() == parent {
            thread::sleep(Duration::from_secs(1));
        }
        // SAFETY: `_exit` ends the process at once. Exit handlers must not run: the main thread is
        // still inside a cell.
        unsafe { libc::_exit(1) }
    });
}
