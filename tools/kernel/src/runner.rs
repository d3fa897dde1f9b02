//! The process that runs the cells: loads what evcxr has compiled, calls it, and reports its end.
//!
//! It does what evcxr's own process does, with three differences. Commands and answers have their own socket, so that
//! standard input and output belong to the cells. Text printed without a line break is flushed when a cell ends. A cell
//! that cannot be loaded only reports that; the process and all variables stay.

use std::env;
use std::ffi::{CStr, CString, c_void};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{FromRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{OnceLock, mpsc};
use std::thread;

use crate::environment::{remove_environment, set_environment};
use crate::paths::{FLUSH_LIBRARY, REPOSITORY_VARIABLE};
use crate::{libtorch, parent, toolchain};

/// evcxr marks the process that it starts for the cells with this variable.
pub(crate) const CHILD_VARIABLE: &str = "EVCXR_IS_RUNTIME";
/// Tells the runner the descriptor of its socket.
pub(crate) const COMMAND_VARIABLE: &str = "NOTEBOOK_RUNNER";
/// Carries the kernel's `RUST_BACKTRACE` past evcxr, which sets it to 1.
pub(crate) const BACKTRACE_VARIABLE: &str = "NOTEBOOK_BACKTRACE";

/// What the relay says besides evcxr's own `LOAD_AND_RUN LIBRARY FUNCTION`.
pub(crate) const FLUSH: &str = "FLUSH";
/// The runner's answers: a cell begins, it has ended, it cannot be loaded, the output is flushed.
pub(crate) const BEGUN: &str = "BEGUN";
pub(crate) const DONE: &str = "DONE";
pub(crate) const FAILED: &str = "FAILED ";
pub(crate) const FLUSHED: &str = "FLUSHED";

/// A compiled cell: takes the variable store and gives it back.
type Cell = unsafe extern "C" fn(*mut c_void) -> *mut c_void;

/// Prepares a process for cells: the runner, or evcxr's own process, which runs the cells while the warm build is made.
pub(crate) fn prepare_if_child() {
    if env::var_os(CHILD_VARIABLE).is_none() {
        return;
    }
    if let Ok(backtrace) = env::var(BACKTRACE_VARIABLE) {
        set_environment([("RUST_BACKTRACE", backtrace)]);
    }
    toolchain::restore_environment();
    libtorch::load();
    parent::end_with_it();
}

/// Runs cells and never returns, if this process is the runner. `leave` removes from the environment what programs that
/// cells start must not inherit.
pub(crate) fn run_if_runner(leave: impl FnOnce()) {
    let Ok(descriptor) = env::var(COMMAND_VARIABLE) else { return };
    let Ok(descriptor) = descriptor.parse::<RawFd>() else { return };
    remove_environment([COMMAND_VARIABLE]);
    let mut interrupts = Interrupts::of_cells();
    prepare_if_child();
    leave();
    // SAFETY: the relay has opened the descriptor for this process, and nothing else here uses it.
    let command = unsafe {
        // Processes that a cell starts do not inherit it.
        libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
        UnixStream::from_raw_fd(descriptor)
    };
    let answers = command.try_clone();
    let (cells, waiting) = mpsc::channel();
    thread::spawn(move || listen(command, &cells));
    // Loads the flush library now, so that no cell waits for it.
    flush();
    let mut variables = std::ptr::null_mut();
    if let Ok(mut answers) = answers {
        while let Ok(line) = waiting.recv() {
            let ended = load(&line).map(|cell| {
                interrupts.let_in();
                answer(&mut answers, BEGUN);
                // SAFETY: evcxr has compiled the function for this: it takes and returns the variable store, null at
                // first. The library is never closed, so pointers into it stay valid.
                variables = unsafe { cell(variables) };
                interrupts.keep_out();
            });
            flush();
            match ended {
                Ok(()) => answer(&mut answers, DONE),
                Err(message) => {
                    answer(&mut answers, &(FAILED.to_owned() + &message.replace('\n', " ")))
                }
            }
        }
    }
    // Exits without dropping variables, as evcxr's own process does.
    std::process::exit(0)
}

/// Sends the relay one line. A lost relay is noticed where its commands are read.
fn answer(to: &mut UnixStream, line: &str) {
    let _ = to.write_all(format!("{line}\n").as_bytes());
}

/// How this process reacts to SIGINT. While a cell runs, it ends the process unless the cell's code handles it. Between
/// cells it is ignored: it came too late for the last cell, and all variables would be lost.
struct Interrupts {
    of_cells: libc::sigaction,
}

impl Interrupts {
    /// Resets SIGINT: a process that a script starts in the background inherits that interrupts are ignored.
    fn of_cells() -> Interrupts {
        // SAFETY: the calls take numbers, a set that the first call initialises, and a structure that is valid as
        // zeros.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, libc::SIGINT);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
            let mut interrupts = Interrupts { of_cells: std::mem::zeroed() };
            interrupts.keep_out();
            interrupts.of_cells.sa_sigaction = libc::SIG_DFL;
            interrupts
        }
    }

    fn keep_out(&mut self) {
        // SAFETY: zeros and a number are a valid action; the call saves the previous one, which a cell may have set.
        unsafe {
            let mut ignore: libc::sigaction = std::mem::zeroed();
            ignore.sa_sigaction = libc::SIG_IGN;
            libc::sigaction(libc::SIGINT, &ignore, &mut self.of_cells);
        }
    }

    fn let_in(&self) {
        // SAFETY: the action is one that was in force.
        unsafe { libc::sigaction(libc::SIGINT, &self.of_cells, std::ptr::null_mut()) };
    }
}

/// Passes cells on to the main thread, and flushes on request, also in the middle of a cell.
fn listen(command: UnixStream, cells: &mpsc::Sender<String>) {
    let answers = command.try_clone();
    for line in BufReader::new(command).lines().map_while(Result::ok) {
        if line == FLUSH {
            let answers = answers.as_ref().ok().and_then(|answers| answers.try_clone().ok());
            // In its own thread: a cell that holds the lock on its output blocks the flush.
            thread::spawn(move || {
                flush();
                answers.into_iter().for_each(|mut answers| answer(&mut answers, FLUSHED));
            });
        } else if cells.send(line).is_err() {
            return;
        }
    }
    // The relay is gone, so nobody sees what the cell does.
    // SAFETY: `_exit` ends the process at once. Exit handlers must not run: the main thread may be inside a cell.
    unsafe { libc::_exit(0) }
}

/// The cell that a command of evcxr's names.
fn load(line: &str) -> Result<Cell, String> {
    // The library's path may hold blanks.
    let call = line.strip_prefix("LOAD_AND_RUN ").and_then(|rest| rest.rsplit_once(' '));
    let (library, function) = call.ok_or_else(|| format!("cannot read the command `{line}`"))?;
    let cell = find(library, function).or_else(|error| {
        // Cells are compiled without a number in the name, so that equal cells are equal files and are not compiled
        // again.
        find(library, toolchain::without_number(function)).map_err(|_| error)
    })?;
    // SAFETY: evcxr has compiled the function to be called so.
    Ok(unsafe { std::mem::transmute::<*mut c_void, Cell>(cell) })
}

/// Loads a library, which stays loaded, and returns the address of a function in it.
fn find(library: &str, function: &str) -> Result<*mut c_void, String> {
    let c_string = |text: &str| CString::new(text).map_err(|error| error.to_string());
    let (library, function) = (c_string(library)?, c_string(function)?);
    // SAFETY: both strings end with a zero. Code that runs on loading belongs to the user of this kernel. `dlerror`
    // returns a zero-terminated text or null.
    unsafe {
        let handle = libc::dlopen(library.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL);
        let address = match handle.is_null() {
            true => handle,
            false => libc::dlsym(handle, function.as_ptr()),
        };
        if address.is_null() {
            let error = libc::dlerror();
            let known = (!error.is_null()).then(|| CStr::from_ptr(error).to_string_lossy());
            return Err(known.map_or_else(|| "no such function".to_owned(), Into::into));
        }
        Ok(address)
    }
}

/// Flushes what cells have printed without a line break. The buffer is in the standard library that cells share; this
/// program has its own copy, so a library that is linked like the cells does it (`template/flush.rs`).
fn flush() {
    static FLUSH: OnceLock<Option<extern "C" fn()>> = OnceLock::new();
    let found = FLUSH.get_or_init(|| {
        let root = PathBuf::from(env::var_os(REPOSITORY_VARIABLE)?);
        let address = find(root.join(FLUSH_LIBRARY).to_str()?, "notebook_flush").ok()?;
        // SAFETY: `template/flush.rs` defines it so.
        Some(unsafe { std::mem::transmute::<*mut c_void, extern "C" fn()>(address) })
    });
    if let Some(flush) = found {
        flush();
    }
}
