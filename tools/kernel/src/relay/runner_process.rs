//! The runner as the relay holds it: started, spoken to, ended.

use std::env;
use std::io::{self, PipeReader, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command};

use crate::link::LINK_VARIABLE;
use crate::paths::program;
use crate::runner::{COMMAND_VARIABLE, FLUSH};

/// What tells helpers that whatever it shows may be replaced later.
const FRONT_VARIABLE: &str = "NOTEBOOK_FRONT";

pub(crate) struct RunnerProcess {
    child: Child,
    /// Cells to run go in, and how they ended comes out.
    pub(crate) command: UnixStream,
    /// The cells' standard input: a datagram is what one read gives, and an empty one is an end of input that leaves it open.
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
            // An interrupt goes to the runner and whatever its cells have started, and to nobody else.
            .process_group(0);
        // SAFETY: both functions may be called between a fork and what follows it, and take numbers.
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

    /// Has it run a compiled cell; the line is evcxr's.
    pub(crate) fn load(&mut self, line: &[u8]) {
        self.say(line);
    }

    /// Has it write out what cells have printed without a line break, and say so.
    pub(crate) fn flush(&mut self) {
        self.say(FLUSH.as_bytes());
    }

    fn say(&mut self, line: &[u8]) {
        // One that is gone is noticed when its answers are read.
        let _ = self.command.write_all(line).and_then(|()| self.command.write_all(b"\n"));
    }

    /// What the thread that runs the cells is at; nothing where the system does not tell.
    pub(crate) fn pace(&self) -> Option<Pace> {
        let pid = self.pid();
        let about = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/stat")).ok()?;
        // The name stands in brackets, and may hold anything.
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

/// What a thread is at.
pub(crate) struct Pace {
    /// For a time, for another thread, for input: not for the processor, and not for the disk.
    pub(crate) waits_for_others: bool,
    /// The processor's time that it has had, in hundredths of a second.
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

/// Room for what a cell prints at once, where the system gives it; a smaller pipe is slower and nothing else.
fn make_large(pipe: &impl AsRawFd) {
    #[cfg(target_os = "linux")]
    // SAFETY: the call takes numbers.
    unsafe {
        libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, 1 << 20)
    };
    #[cfg(not(target_os = "linux"))]
    let _ = pipe;
}

/// Has each write to this pipe be read by itself.
fn keep_pieces_apart(pipe: &impl AsRawFd) {
    #[cfg(target_os = "linux")]
    // SAFETY: the call takes numbers. The flags of this end belong to it alone.
    unsafe {
        libc::fcntl(pipe.as_raw_fd(), libc::F_SETFL, libc::O_DIRECT)
    };
    #[cfg(not(target_os = "linux"))]
    let _ = pipe;
}
