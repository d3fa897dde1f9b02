//! A kernel ends with the program that started it, and each of its processes with the one above.

use std::os::unix::process::parent_id;
use std::thread;
use std::time::Duration;

/// Ends this process when its parent has ended, even in the middle of a long cell. Otherwise a kernel whose server or
/// papermill was killed would go on training.
pub(crate) fn end_with_it() {
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
