//! The runner as a child process of the relay: starting it, sending it commands, ending it.

use std::env;
use std::io::{self, PipeReader, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command};

use crate::link::LINK_VARIABLE;
use crate::paths::program;
use crate::runner::{COMMAND_VARIABLE, FLUSH};

/// Tells helpers that displays can be replaced in place.
const FRONT_VARIABLE: &str = "NOTEBOOK_FRONT";

pub(crate) struct RunnerProcess {
    child: Child,
    /// Commands to the runner, and its answers.
    pub(crate) command: UnixStream,
    /// The cells' standard input. One datagram serves one read; an empty one is an end of input after which reading can
    /// go on.
    pub(crate) input: UnixDatagram,
    pub(crate) output: Option<PipeReader>,
    pub(crate) errors: PipeReader,
}

impl RunnerProcess {
    pub(crate) fn start() -> io::Result<RunnerProcess> {
        let (command, its_command) = UnixStream::pair()?;
        let (input, its_input) = UnixDatagram::pair()?;
        let (output, its_output) = io::pipe()?;
        let (errors, its_errors) = io::pipe()?;
        input.set_nonblocking(true)?;
        make_large(&output);
        make_large(&errors);
        keep_pieces_apart(&its_errors);
        set_nonblocking(&errors)?;

        let inherited = its_command.as_raw_fd();
        let mut program = Command::new(program()?);
        program
            .args(env::args_os().skip(1))
            .env(COMMAND_VARIABLE, inherited.to_string())
            .env(FRONT_VARIABLE, "1")
            .env_remove(LINK_VARIABLE)
            .stdin(OwnedFd::from(its_input))
            .stdout(its_output)
            .stderr(its_errors)
            // A process group of its own: an interrupt reaches the runner and what its cells have started, and nothing
            // else.
            .process_group(0);
        // SAFETY: both functions are allowed between fork and exec, and take numbers.
        unsafe {
            program.pre_exec(move || {
                libc::fcntl(inherited, libc::F_SETFD, 0);
                #[cfg(target_os = "linux")]
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let child = program.spawn()?;
        Ok(RunnerProcess { child, command, input, output: Some(output), errors })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Makes it run a compiled cell; `line` is evcxr's command.
    pub(crate) fn load(&mut self, line: &[u8]) {
        self.say(line);
    }

    /// Makes it flush what cells have printed without a line break, and confirm that.
    pub(crate) fn flush(&mut self) {
        self.say(FLUSH.as_bytes());
    }

    fn say(&mut self, line: &[u8]) {
        // One that is gone is noticed when its answers are read.
        let _ = self.command.write_all(line).and_then(|()| self.command.write_all(b"\n"));
    }

    /// What the thread that runs the cells is doing; none where there is no `/proc`.
    pub(crate) fn pace(&self) -> Option<Pace> {
        let pid = self.pid();
        let about = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/stat")).ok()?;
        // The process name is in brackets and may hold anything, so fields are read after the last bracket.
        let mut fields = about.rsplit_once(')')?.1.split_whitespace();
        let waits_for_others = fields.next()? == "S";
        let (user, system) = (fields.nth(10)?, fields.next()?);
        Some(Pace {
            waits_for_others,
            ticks: user.parse::<u64>().ok()? + system.parse::<u64>().ok()?,
        })
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: the call takes two numbers.
        unsafe { libc::kill(-self.pid(), signal) };
    }

    /// Its exit code, or the signal that ended it.
    pub(crate) fn wait(&mut self) -> (Option<i32>, Option<i32>) {
        match self.child.wait() {
            Ok(status) => (status.code(), status.signal()),
            Err(_) => (None, None),
        }
    }

    /// Ends it, and what its cells have started.
    pub(crate) fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        let _ = self.child.wait();
    }
}

/// What a thread is doing.
pub(crate) struct Pace {
    /// It sleeps: waits for time, another thread or input, and not for the processor or the disk.
    pub(crate) waits_for_others: bool,
    /// Processor time used so far, in hundredths of a second.
    pub(crate) ticks: u64,
}

/// How many bytes can be read without waiting.
pub(crate) fn waiting_bytes(from: Option<&PipeReader>) -> usize {
    let mut count: libc::c_int = 0;
    // SAFETY: the call writes a number of this size.
    let asked =
        from.map(|from| unsafe { libc::ioctl(from.as_raw_fd(), libc::FIONREAD, &mut count) });
    if asked == Some(0) { usize::try_from(count).unwrap_or(0) } else { 0 }
}

fn set_nonblocking(pipe: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: the call takes numbers.
    match unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Enlarges the pipe, so that a cell can print much at once; where the system refuses, printing is only slower.
fn make_large(pipe: &impl AsRawFd) {
    #[cfg(target_os = "linux")]
    // SAFETY: the call takes numbers.
    unsafe {
        libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, 1 << 20)
    };
    #[cfg(not(target_os = "linux"))]
    let _ = pipe;
}

/// Makes every write to this pipe arrive as one read.
fn keep_pieces_apart(pipe: &impl AsRawFd) {
    #[cfg(target_os = "linux")]
    // SAFETY: the call takes numbers. The flags of this end belong to it alone.
    unsafe {
        libc::fcntl(pipe.as_raw_fd(), libc::F_SETFL, libc::O_DIRECT)
    };
    #[cfg(not(target_os = "linux"))]
    let _ = pipe;
}
