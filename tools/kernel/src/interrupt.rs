//! Interrupts: SIGINT, which Jupyter sends for its stop button, in the kernel and in the child that runs the cells.
//!
//! evcxr answers Jupyter's interrupt message by killing the child, and all variables are lost. So the kernelspec asks for the
//! signal instead. In the child it ends a cell that listens to it, as all that takes long in helpers does, with an error;
//! it ends the child if a cell is running that does not; and it does nothing while no cell is running. Compilers are ended
//! by it as they are in a terminal, and the kernel itself is not touched.

use std::env;
use std::fs;
use std::path::Path;
use std::process;
use std::thread;

use crate::environment::set_environment;

/// Names the file in which the child says which process it is.
const CHILD_FILE_VARIABLE: &str = "NOTEBOOK_CHILD_FILE";

const LOST: &str = "interrupted: the cell does not listen and was ended, and all variables with it; \
    run the cells above once more\n";

/// In the kernel: keeps interrupts from ending it, and passes them on to the child, in case they were sent to the kernel
/// alone. Before any other thread is started.
pub(crate) fn pass_on(session: &Path) {
    let child_file = session.join("child");
    set_environment([(CHILD_FILE_VARIABLE, child_file.display().to_string())]);
    block();
    thread::spawn(move || {
        loop {
            wait();
            let child = fs::read_to_string(&child_file).ok();
            if let Some(child) = child.and_then(|text| text.parse::<libc::pid_t>().ok()) {
                // SAFETY: the call takes two numbers.
                unsafe { libc::kill(child, libc::SIGINT) };
            }
        }
    });
}

/// In the child: does with an interrupt what there is to be done. Before any other thread is started.
pub(crate) fn listen_in_child() {
    block();
    if let Some(file) = env::var_os(CHILD_FILE_VARIABLE) {
        // Without it an interrupt that only the kernel gets is lost.
        let _ = fs::write(file, process::id().to_string());
    }
    thread::spawn(|| {
        loop {
            wait();
            let nobody_listens = handler() == libc::SIG_DFL;
            if nobody_listens && waits_for_a_cell() {
                continue;
            }
            if nobody_listens {
                // Not by `eprintln`, which waits for a cell that is printing.
                //
                // SAFETY: the text is as long as its length says.
                unsafe { libc::write(libc::STDERR_FILENO, LOST.as_ptr().cast(), LOST.len()) };
            }
            deliver();
        }
    });
}

/// Whether the child's main thread is reading its next command.
fn waits_for_a_cell() -> bool {
    #[cfg(target_os = "linux")]
    {
        // The main thread has the number of the process. "read" with descriptor 0 is what it does between cells.
        let call = fs::read_to_string(format!("/proc/self/task/{}/syscall", process::id()));
        call.is_ok_and(|call| call.starts_with(&format!("{} 0x0 ", libc::SYS_read)))
    }
    #[cfg(not(target_os = "linux"))]
    false
}

fn interrupt_alone() -> libc::sigset_t {
    // SAFETY: the first call makes a set out of whatever `set` holds; the second adds a signal that exists.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGINT);
        set
    }
}

/// Keeps interrupts waiting for [`wait`], in this thread and in those that it starts from now on. Programs that are
/// started get them as usual: the standard library sees to that.
///
/// Shells have what a script starts in the background ignore interrupts, and all that it starts in turn. Those of the
/// terminal are meant, not those of Jupyter's stop button.
fn block() {
    // SAFETY: the first call reads the set, and is not asked for the one before; the second takes numbers.
    unsafe {
        libc::pthread_sigmask(libc::SIG_BLOCK, &interrupt_alone(), std::ptr::null_mut());
        libc::signal(libc::SIGINT, libc::SIG_DFL);
    }
}

/// Waits for an interrupt and takes it.
fn wait() {
    let mut signal = 0;
    // SAFETY: the call reads the set and writes to `signal`.
    unsafe { libc::sigwait(&interrupt_alone(), &mut signal) };
}

/// What is done about an interrupt now: `SIG_DFL`, `SIG_IGN` or a cell's own handler.
fn handler() -> libc::sighandler_t {
    // SAFETY: of this structure of numbers all bits may be 0; the call writes to it alone and changes nothing.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGINT, std::ptr::null(), &mut now);
        now.sa_sigaction
    }
}

/// Has done with an interrupt, in this thread, what would be done had none been blocked.
fn deliver() {
    let set = interrupt_alone();
    // SAFETY: the calls read the set and take a number; whoever has installed a handler has it run in any thread.
    unsafe {
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
        libc::raise(libc::SIGINT);
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
    }
}
