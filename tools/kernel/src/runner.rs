//! The process that runs the cells: loads what evcxr has compiled, calls it, and says when it has come to its end.
//!
//! It does what evcxr's own does, with three differences: commands and answers have a socket of their own, so that the
//! cells' standard input and output are theirs; what a cell has printed without a line break is written out when it ends;
//! and a cell that cannot be loaded ends with that message, and not the process with all variables.

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
/// Names the descriptor of the socket to the runner.
pub(crate) const COMMAND_VARIABLE: &str = "NOTEBOOK_RUNNER";
/// Carries the kernel's `RUST_BACKTRACE` past evcxr, which sets it to 1.
pub(crate) const BACKTRACE_VARIABLE: &str = "NOTEBOOK_BACKTRACE";

/// What the relay says besides evcxr's own `LOAD_AND_RUN LIBRARY FUNCTION`.
pub(crate) const FLUSH: &str = "FLUSH";
/// What the runner answers: a cell begins, it has come to its end, it cannot be loaded; what was printed is written out.
pub(crate) const BEGUN: &str = "BEGUN";
pub(crate) const DONE: &str = "DONE";
pub(crate) const FAILED: &str = "FAILED ";
pub(crate) const FLUSHED: &str = "FLUSHED";

/// A cell: takes the variables and gives them back.
type Cell = unsafe extern "C" fn(*mut c_void) -> *mut c_void;

/// In evcxr's own process for cells, which the warm build uses, and in the runner: what cells need of a process.
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

/// In the runner: runs cells, and does not come back.
pub(crate) fn run_if_runner() {
    let Ok(descriptor) = env::var(COMMAND_VARIABLE) else { return };
    let Ok(descriptor) = descriptor.parse::<RawFd>() else { return };
    remove_environment([COMMAND_VARIABLE]);
    let mut interrupts = Interrupts::of_cells();
    prepare_if_child();
    // SAFETY: the relay has opened it for this process, which has no other name for it.
    let command = unsafe {
        // Nothing that a cell starts gets it.
        libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
        UnixStream::from_raw_fd(descriptor)
    };
    let answers = command.try_clone();
    let (cells, waiting) = mpsc::channel();
    thread::spawn(move || listen(command, &cells));
    // Reads the library for it, so that no cell has to wait.
    flush();
    let mut variables = std::ptr::null_mut();
    if let Ok(mut answers) = answers {
        while let Ok(line) = waiting.recv() {
            let ended = load(&line).map(|cell| {
                interrupts.let_in();
                answer(&mut answers, BEGUN);
                // SAFETY: evcxr has compiled the function for this purpose: it takes what the last cell gave, or nothing,
                // and gives the like back. The library is never closed, so what variables point to stays.
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
    // Destructors of variables do not run when a notebook's process ends; with evcxr's own they do not, either.
    std::process::exit(0)
}

/// Tells the relay something, in one piece. One that is gone is noticed where its commands are read.
fn answer(to: &mut UnixStream, line: &str) {
    let _ = to.write_all(format!("{line}\n").as_bytes());
}

/// What an interrupt does. While a cell runs it ends this process, unless what runs listens to it; between cells it comes too
/// late for the one before, and all variables would be lost for nothing.
struct Interrupts {
    of_cells: libc::sigaction,
}

impl Interrupts {
    /// A shell has what a script starts in the background ignore interrupts, and all that it starts in turn: not so here.
    fn of_cells() -> Interrupts {
        // SAFETY: the calls take numbers, a set that the first of them makes, and a structure for which zeros are the usual
        // action.
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
        // SAFETY: zeros and a number are a whole action, and the call writes the one before, which a cell may have set.
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

/// Passes cells on to the main thread, and flushes whenever that is wished, in the middle of a cell, too.
fn listen(command: UnixStream, cells: &mpsc::Sender<String>) {
    let answers = command.try_clone();
    for line in BufReader::new(command).lines().map_while(Result::ok) {
        if line == FLUSH {
            let answers = answers.as_ref().ok().and_then(|answers| answers.try_clone().ok());
            // In a thread of its own: a cell that holds its output for itself holds this up.
            thread::spawn(move || {
                flush();
                answers.into_iter().for_each(|mut answers| answer(&mut answers, FLUSHED));
            });
        } else if cells.send(line).is_err() {
            return;
        }
    }
    // The relay is gone, and with it everybody who could see what the cell does.
    // SAFETY: `_exit` ends the process at once. Exit handlers must not run: the main thread may be inside a cell.
    unsafe { libc::_exit(0) }
}

/// The cell that a command of evcxr's names.
fn load(line: &str) -> Result<Cell, String> {
    // The library's path may hold blanks.
    let call = line.strip_prefix("LOAD_AND_RUN ").and_then(|rest| rest.rsplit_once(' '));
    let (library, function) = call.ok_or_else(|| format!("cannot read the command `{line}`"))?;
    let cell = find(library, function).or_else(|error| {
        // Without its number: one that is run again is the same then, and is not compiled again.
        find(library, toolchain::without_number(function)).map_err(|_| error)
    })?;
    // SAFETY: evcxr has compiled the function to be called so.
    Ok(unsafe { std::mem::transmute::<*mut c_void, Cell>(cell) })
}

/// The address of a function in a library, which is loaded and stays.
fn find(library: &str, function: &str) -> Result<*mut c_void, String> {
    let c_string = |text: &str| CString::new(text).map_err(|error| error.to_string());
    let (library, function) = (c_string(library)?, c_string(function)?);
    // SAFETY: both names end with a zero. What runs when a library is loaded is code of the person whose kernel this is.
    // `dlerror` gives a text that ends with a zero, or nothing.
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

/// Writes out what cells have printed without a line break: cells share a standard library, this program has its own, and
/// so a library that is linked with theirs has to do it (`template/flush.rs`).
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
