//! The relay, between evcxr and the runner, which runs the cells: output goes to the front as it comes, and only lines
//! of evcxr's own protocol go to evcxr.
//!
//! evcxr finds the end of a cell by comparing lines of output of the process that it started for the cells. Here that
//! process is the relay. It starts the runner, which reports the end of a cell over a socket of its own. So printed
//! text is never taken for the end of a cell, and a cell may end in the middle of a line.

mod errors;
mod input;
mod reader;
mod runner_process;

use std::env;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use self::errors::Errors;
use self::input::Input;
use self::reader::{Piece, Reader};
use self::runner_process::{RunnerProcess, waiting_bytes};
use crate::link::{LINK_VARIABLE, Order, Report, Stream};
use crate::outcome::Outcome;
use crate::runner::{BEGUN, CHILD_VARIABLE, COMMAND_VARIABLE, DONE, FAILED, FLUSHED};

/// What evcxr waits for at the end of a cell.
const COMPLETE: &str = "EVCXR_EXECUTION_COMPLETE\n";
/// Not valid UTF-8: evcxr takes the cell as failed and keeps all variables as they were.
const REFUSAL: &[u8] = b"\xff\n";
/// How long something shown is held back, in case another MIME type of it follows, or the cell ends and it is the
/// value.
const SETTLE: Duration = Duration::from_millis(100);
/// How often to look whether the cell has gone on to something else.
const LOOK: Duration = Duration::from_millis(10);
/// Processor time, in hundredths of a second, that is more than a cell needs between the writes of one message.
const GONE_ON: u64 = 2;
/// Most time that a question waits for text the cell printed before it: a cell may hold its output lock.
const ASKED_SOON: Duration = Duration::from_millis(200);

/// Bytes of output that one read takes at most.
const READ_AT_ONCE: usize = 1 << 16;

/// Becomes the relay if evcxr has started this process for cells under a front; then it never returns.
pub(crate) fn run_if_relay() {
    if env::var_os(CHILD_VARIABLE).is_none() || env::var_os(COMMAND_VARIABLE).is_some() {
        return;
    }
    let Some(link) = env::var_os(LINK_VARIABLE) else { return };
    let code = match UnixStream::connect(link).map_err(Into::into).and_then(Relay::start) {
        Ok(mut relay) => relay.run(),
        Err(error) => {
            eprintln!("the process that runs the cells does not start: {error}");
            1
        }
    };
    std::process::exit(code);
}

/// A cell's question for input.
struct Question {
    prompt: String,
    password: bool,
}

struct Relay {
    link: UnixStream,
    runner: RunnerProcess,
    reader: Reader,
    errors: Errors,
    errors_closed: bool,
    input: Input,
    /// A question that waits until the text printed before it has arrived, at the latest until this time.
    question: Option<(Question, Instant)>,
    /// When to check whether what is held back to be shown is complete.
    settles: Instant,
    /// Bytes of standard output that may have been written before the last bytes read from standard error.
    unsure: usize,
    /// The cell's processor time at the first check after its last write.
    wrote: Option<u64>,
    /// Incomplete lines from evcxr, from the front, from the runner.
    from_evcxr: Lines,
    from_front: Lines,
    from_runner: Lines,
    /// Where the cell returns an error or panics, once it has said so.
    error_at: Option<(usize, usize)>,
    running: bool,
    /// False until the runner reports that the cell has begun; an earlier interrupt waits for that.
    begun: bool,
    interrupted: bool,
    /// False while the cell that evcxr compiles must not run.
    allowed: bool,
}

impl Relay {
    fn start(link: UnixStream) -> Outcome<Relay> {
        let runner = RunnerProcess::start()?;
        let mut relay = Relay {
            link,
            reader: Reader::default(),
            errors: Errors::default(),
            errors_closed: false,
            input: Input::new(runner.pid()),
            question: None,
            settles: Instant::now(),
            unsure: 0,
            wrote: None,
            error_at: None,
            runner,
            from_evcxr: Lines::default(),
            from_front: Lines::default(),
            from_runner: Lines::default(),
            running: false,
            begun: false,
            interrupted: false,
            allowed: true,
        };
        relay.tell(&Report::Started { relay: std::process::id().cast_signed() });
        Ok(relay)
    }

    /// Runs until evcxr or the runner is gone; returns the exit status.
    fn run(&mut self) -> i32 {
        loop {
            let [evcxr, front, runner, errors, output] = self.wait();
            if front && !self.take_orders() {
                // Without a front nobody sees the output.
                return self.end();
            }
            if errors || output {
                self.take_errors(usize::MAX);
            }
            if output {
                self.take_output(usize::MAX);
            }
            if runner && !self.take_answers() {
                return self.tell_exit();
            }
            if evcxr && !self.take_commands() {
                return self.end();
            }
            self.take_time();
        }
    }

    /// Waits until something has come: from evcxr, from the front, from the runner, on its standard error or output.
    fn wait(&mut self) -> [bool; 5] {
        let descriptors = [
            libc::STDIN_FILENO,
            self.link.as_raw_fd(),
            self.runner.command.as_raw_fd(),
            if self.errors_closed { -1 } else { self.runner.errors.as_raw_fd() },
            self.runner.output.as_ref().map_or(-1, AsRawFd::as_raw_fd),
        ];
        let mut polled =
            descriptors.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        // SAFETY: the array lives through the call, which writes to it, and has five elements.
        unsafe { libc::poll(polled.as_mut_ptr(), 5, self.timeout()) };
        polled.map(|polled| polled.revents != 0)
    }

    /// Milliseconds until the next thing that is due by time; -1 for no limit.
    fn timeout(&self) -> i32 {
        let now = Instant::now();
        let mut until = self.errors.until();
        let mut before =
            |other: Instant| until = Some(until.map_or(other, |until| until.min(other)));
        if self.reader.holds_a_bundle() {
            before(self.settles);
        }
        if let Some((_, latest)) = self.question {
            before(latest);
        } else if self.running {
            before(self.input.next_look());
        }
        until.map_or(-1, |until| {
            let wait = until.saturating_duration_since(now).as_millis() + 1;
            i32::try_from(wait).unwrap_or(i32::MAX)
        })
    }

    fn take_time(&mut self) {
        let now = Instant::now();
        let errors_wait = self.errors.until().is_some_and(|until| until <= now);
        let shown_waits = self.reader.holds_a_bundle() && self.settles <= now;
        let gone_on = (errors_wait || shown_waits) && self.has_gone_on();
        if let Some(text) = self.errors.due(now, gone_on) {
            self.tell_text(Stream::Stderr, text);
        }
        if shown_waits {
            if gone_on && waiting_bytes(self.runner.output.as_ref()) == 0 {
                let pieces = self.reader.settle();
                self.tell_pieces(pieces);
            } else {
                self.settles = now + LOOK;
            }
        }
        if self.question.as_ref().is_some_and(|(_, latest)| *latest <= now) {
            self.tell_question();
        }
        let asked = self.question.is_some();
        if self.running && !asked && self.input.asks(now, &self.runner.input) {
            self.ask(Question { prompt: String::new(), password: false });
        }
    }

    /// Whether the cell does something else since its last write: it waits for something, or has computed for a while.
    /// A cell that only lost the processor between two lines has not gone on.
    fn has_gone_on(&mut self) -> bool {
        let Some(pace) = self.runner.pace() else { return true };
        let wrote = *self.wrote.get_or_insert(pace.ticks);
        pace.waits_for_others || pace.ticks >= wrote + GONE_ON
    }

    /// Reads standard error, at most `most` bytes.
    fn take_errors(&mut self, most: usize) {
        // Larger than any single piece that a pipe delivers.
        let mut buffer = [0; 1 << 13];
        let mut taken = 0;
        while taken < most {
            let Ok(count) = self.runner.errors.read(&mut buffer) else { break };
            // The cell has closed it, and polling would say so for ever.
            self.errors_closed = count == 0;
            if self.errors_closed {
                break;
            }
            taken += count;
            self.errors.push(&buffer[..count], Instant::now());
        }
        if taken > 0 {
            self.wrote = None;
            self.unsure = waiting_bytes(self.runner.output.as_ref());
        }
    }

    /// Reads standard output, at most `most` bytes; returns how many.
    fn take_output(&mut self, most: usize) -> usize {
        let mut buffer = [0; READ_AT_ONCE];
        let sure = self.unsure == 0;
        let most = most.min(if sure { buffer.len() } else { self.unsure.min(buffer.len()) });
        // A read of 0 bytes would look like the end of the output.
        let Some(output) = self.runner.output.as_mut().filter(|_| most > 0) else { return 0 };
        match output.read(&mut buffer[..most]) {
            // The cell has closed it.
            Ok(0) => {
                self.runner.output = None;
                0
            }
            Ok(count) => {
                self.unsure = self.unsure.saturating_sub(count);
                (self.settles, self.wrote) = (Instant::now() + SETTLE, None);
                let pieces = self.reader.push(&buffer[..count]);
                let is_end = |piece: &Piece| matches!(piece, Piece::Panic(_) | Piece::Error(_));
                if pieces.iter().any(is_end) {
                    // An error's message is written before its protocol line.
                    self.take_errors(waiting_bytes(Some(&self.runner.errors)));
                } else if sure && pieces.iter().any(|piece| matches!(piece, Piece::Text(_))) {
                    // Text on standard error that comes before other text is not an error's message, which would be the
                    // last.
                    let before = self.errors.harmless().unwrap_or_default();
                    self.tell_text(Stream::Stderr, before);
                }
                self.tell_pieces(pieces);
                count
            }
            Err(_) => 0,
        }
    }

    /// Reads only the output that was there at the start: a process that the cell has started may write without end.
    fn take_waiting_output(&mut self) {
        let mut left = waiting_bytes(self.runner.output.as_ref());
        while left > 0 {
            match self.take_output(left) {
                0 => return,
                taken => left = left.saturating_sub(taken),
            }
        }
    }

    fn tell_pieces(&mut self, pieces: Vec<Piece>) {
        for piece in pieces {
            match piece {
                Piece::Text(text) => self.tell_text(Stream::Stdout, text),
                Piece::Shown(bundle) => self.tell(&Report::Shown(bundle)),
                Piece::Clear { wait } => self.tell(&Report::Clear { wait }),
                Piece::Panic(line) => {
                    let (before, message) = self.errors.panicked();
                    self.tell_text(Stream::Stderr, before);
                    let at = self.error_at.take();
                    self.tell(&Report::Panicked { message, at });
                    to_evcxr(&line);
                }
                Piece::ErrorAt(line, column) => self.error_at = Some((line, column)),
                Piece::Error(line) => {
                    let (before, message) = self.errors.returned();
                    self.tell_text(Stream::Stderr, before);
                    let at = self.error_at.take();
                    self.tell(&Report::Returned { message, at });
                    to_evcxr(&line);
                }
                Piece::ForEvcxr(line) => to_evcxr(&line),
                Piece::Input { prompt, password } => self.ask(Question { prompt, password }),
            }
        }
    }

    fn ask(&mut self, question: Question) {
        self.input.asked();
        // Without a flush the printed prompt may still be in the cell's buffer.
        self.runner.flush();
        self.question = Some((question, Instant::now() + ASKED_SOON));
    }

    /// Sends the text printed before a question, then the question.
    fn tell_question(&mut self) {
        self.take_waiting_output();
        if let Some((Question { prompt, password }, _)) = self.question.take() {
            self.tell(&Report::Input { prompt, password });
        }
    }

    /// Reads the front's orders; false if the front is gone.
    fn take_orders(&mut self) -> bool {
        let Ok(lines) = self.from_front.read(&self.link) else { return false };
        for line in lines {
            match serde_json::from_slice(&line) {
                Ok(Order::Ping) => self.tell(&Report::Pong),
                Ok(Order::Allow(allowed)) => self.allowed = allowed,
                Ok(Order::Interrupt) if self.running && self.begun => {
                    self.runner.signal(libc::SIGINT);
                }
                Ok(Order::Interrupt) if self.running => self.interrupted = true,
                Ok(Order::Kill) if self.running => self.runner.signal(libc::SIGKILL),
                Ok(Order::Answer(line)) => self.input.answer(&line, &self.runner.input),
                Ok(Order::EndOfInput) => self.input.end(&self.runner.input),
                Ok(Order::Interrupt | Order::Kill) | Err(_) => {}
            }
        }
        true
    }

    /// Reads the runner's answers; false if the runner is gone.
    fn take_answers(&mut self) -> bool {
        let Ok(lines) = self.from_runner.read(&self.runner.command) else { return false };
        for line in lines {
            let line = String::from_utf8_lossy(&line).into_owned();
            if line == FLUSHED {
                self.tell_question();
                continue;
            }
            if line == BEGUN {
                self.begun = true;
                if self.interrupted {
                    self.runner.signal(libc::SIGINT);
                }
                continue;
            }
            self.take_rest();
            (self.running, self.question) = (false, None);
            self.input.forget();
            match line.strip_prefix(FAILED) {
                Some(message) => {
                    let message = message.to_owned();
                    self.tell(&Report::Unloadable { message });
                    write_to_evcxr(REFUSAL);
                }
                None => {
                    debug_assert_eq!(line, DONE);
                    self.tell(&Report::Ended);
                    write_to_evcxr(COMPLETE.as_bytes());
                }
            }
        }
        true
    }

    /// Sends all remaining output of a cell that has ended.
    fn take_rest(&mut self) {
        self.take_errors(waiting_bytes(Some(&self.runner.errors)));
        self.take_waiting_output();
        let (pieces, value) = self.reader.finish();
        self.tell_pieces(pieces);
        let errors = self.errors.all();
        self.tell_text(Stream::Stderr, errors);
        if let Some(value) = value {
            self.tell(&Report::Value(value));
        }
    }

    /// evcxr's commands; false if it is gone.
    fn take_commands(&mut self) -> bool {
        let Ok(lines) = self.from_evcxr.read(io::stdin()) else { return false };
        for line in lines {
            // The front may just have forbidden this cell.
            if !self.take_orders() {
                return false;
            }
            if !self.allowed {
                write_to_evcxr(REFUSAL);
            } else if line.starts_with(b"LOAD_AND_RUN ") {
                self.tell(&Report::Loading);
                (self.running, self.begun, self.interrupted) = (true, false, false);
                self.input.begin();
                self.runner.load(&line);
            }
        }
        true
    }

    fn tell_exit(&mut self) -> i32 {
        let status = self.runner.wait();
        self.take_rest();
        self.tell(&Report::Exited { code: status.0, signal: status.1 });
        self.runner.kill();
        status.0.unwrap_or(1)
    }

    fn end(&mut self) -> i32 {
        self.runner.kill();
        0
    }

    fn tell_text(&mut self, stream: Stream, text: String) {
        if !text.is_empty() {
            self.tell(&Report::Text { stream, text });
        }
    }

    fn tell(&mut self, report: &Report) {
        let mut line = serde_json::to_vec(report).unwrap_or_default();
        line.push(b'\n');
        // A front that is gone is noticed when its orders are read.
        let _ = self.link.write_all(&line);
    }
}

fn to_evcxr(line: &str) {
    write_to_evcxr(format!("{line}\n").as_bytes());
}

fn write_to_evcxr(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    // evcxr that is gone is noticed when its commands are read.
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// Splits a stream into lines.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    /// The lines that have come whole, without waiting for more; an error at the end of the stream.
    fn read(&mut self, from: impl AsFd) -> io::Result<Vec<Vec<u8>>> {
        let mut buffer = [0; 4096];
        let from = from.as_fd().as_raw_fd();
        loop {
            let mut polled = libc::pollfd { fd: from, events: libc::POLLIN, revents: 0 };
            // SAFETY: the structure lives through the call; the second call writes at most the buffer's length into it.
            let count = unsafe {
                if libc::poll(&mut polled, 1, 0) < 1 {
                    break;
                }
                libc::read(from, buffer.as_mut_ptr().cast(), buffer.len())
            };
            match usize::try_from(count) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.0.extend_from_slice(&buffer[..count]),
                Err(_) => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    error => return Err(error),
                },
            }
        }
        let mut lines = Vec::new();
        while let Some(end) = self.0.iter().position(|&byte| byte == b'\n') {
            let mut line: Vec<u8> = self.0.drain(..=end).collect();
            line.pop();
            lines.push(line);
        }
        Ok(lines)
    }
}
