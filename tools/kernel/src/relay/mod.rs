//! Between evcxr and the process that runs the cells, the runner: what cells print goes to the front as it comes, and only
//! the lines of evcxr's own protocol go to evcxr.
//!
//! evcxr starts this program as the process that runs the cells, and finds the end of a cell by comparing lines of its
//! output. Here that process is the relay, and starts the runner, which says through a socket of its own when a cell has
//! ended. So nothing that a cell prints can be taken for its end, and a cell that ends in the middle of a line ends.

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
/// No text: evcxr takes the cell as failed and keeps everything as it was before.
const REFUSAL: &[u8] = b"\xff\n";
/// How long a thing to show waits for another form of it, or for the end of the cell, whose value it is then.
const SETTLE: Duration = Duration::from_millis(100);
/// How often to look whether the cell has gone on to something else.
const LOOK: Duration = Duration::from_millis(10);
/// So much of the processor's time, in hundredths of a second, takes nothing that a cell writes in one go.
const GONE_ON: u64 = 2;
/// How long a question waits for what the cell has printed before it; a cell may hold its output for itself.
const ASKED_SOON: Duration = Duration::from_millis(200);

/// Bytes of output.
const READ_AT_ONCE: usize = 1 << 16;

/// In the process that evcxr starts, under a front: the relay, which does not come back.
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

/// What a cell asks for input with.
struct Question {
    prompt: String,
    password: bool,
}

struct Relay {
    link: UnixStream,
    runner: RunnerProcess,
    reader: Reader,
    errors: Errors,
    input: Input,
    /// The cell's question for input, once what was printed before it has come; at the latest then.
    question: Option<(Question, Instant)>,
    /// When to look whether what is to be shown is whole.
    settles: Instant,
    /// So many bytes of output may have been written before what was last read of standard error.
    unsure: usize,
    /// The processor's time that the cell had had when it was first looked at after it wrote.
    wrote: Option<u64>,
    /// Lines that have not ended: evcxr's, the front's, the runner's.
    from_evcxr: Lines,
    from_front: Lines,
    from_runner: Lines,
    running: bool,
    /// False until a cell that is to run has begun; an interrupt that comes before waits for that.
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
            input: Input::new(runner.pid()),
            question: None,
            settles: Instant::now(),
            unsure: 0,
            wrote: None,
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

    /// Until evcxr or the runner is gone; the status to end with.
    fn run(&mut self) -> i32 {
        loop {
            let [evcxr, front, runner, errors, output] = self.wait();
            if front && !self.take_orders() {
                // Without a front nobody reads, and nobody waits.
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
            self.runner.errors.as_raw_fd(),
            self.runner.output.as_ref().map_or(-1, AsRawFd::as_raw_fd),
        ];
        let mut polled =
            descriptors.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        // SAFETY: the array lives through the call, which writes to it, and has five elements.
        unsafe { libc::poll(polled.as_mut_ptr(), 5, self.timeout()) };
        polled.map(|polled| polled.revents != 0)
    }

    /// How long nothing has to be done of its own accord, in milliseconds.
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

    /// Whether the cell is at something else than what it wrote last: it waits, or it has computed for a while. One that has
    /// lost the processor between two lines has not gone on.
    fn has_gone_on(&mut self) -> bool {
        let Some(pace) = self.runner.pace() else { return true };
        let wrote = *self.wrote.get_or_insert(pace.ticks);
        pace.waits_for_others || pace.ticks >= wrote + GONE_ON
    }

    /// Standard error, at most so many bytes of it.
    fn take_errors(&mut self, most: usize) {
        // More than a pipe passes on as one piece.
        let mut buffer = [0; 1 << 13];
        let mut taken = 0;
        while taken < most {
            let Ok(count @ 1..) = self.runner.errors.read(&mut buffer) else { break };
            taken += count;
            self.errors.push(&buffer[..count], Instant::now());
        }
        if taken > 0 {
            self.wrote = None;
            self.unsure = waiting_bytes(self.runner.output.as_ref());
        }
    }

    /// Standard output, at most so many bytes of it; how many it were.
    fn take_output(&mut self, most: usize) -> usize {
        let mut buffer = [0; READ_AT_ONCE];
        let sure = self.unsure == 0;
        let most = most.min(if sure { buffer.len() } else { self.unsure.min(buffer.len()) });
        // Reading nothing would look like the end.
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
                    // The text of an error is written before the line that tells of it.
                    self.take_errors(waiting_bytes(Some(&self.runner.errors)));
                } else if sure && pieces.iter().any(|piece| matches!(piece, Piece::Text(_))) {
                    // What was written to standard error before other text is no error's, which is the last.
                    let before = self.errors.harmless().unwrap_or_default();
                    self.tell_text(Stream::Stderr, before);
                }
                self.tell_pieces(pieces);
                count
            }
            Err(_) => 0,
        }
    }

    /// All output that had been written when this was called: what a cell has started may write on.
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
                Piece::Panic(line) => {
                    let (before, message) = self.errors.panicked();
                    self.tell_text(Stream::Stderr, before);
                    self.tell(&Report::Panicked { message });
                    to_evcxr(&line);
                }
                Piece::Error(line) => {
                    let (before, message) = self.errors.returned();
                    self.tell_text(Stream::Stderr, before);
                    self.tell(&Report::Returned { message });
                    to_evcxr(&line);
                }
                Piece::ForEvcxr(line) => to_evcxr(&line),
                Piece::Input { prompt, password } => self.ask(Question { prompt, password }),
            }
        }
    }

    fn ask(&mut self, question: Question) {
        self.input.asked();
        // What the cell has asked in words stands in its buffer if it did not flush.
        self.runner.flush();
        self.question = Some((question, Instant::now() + ASKED_SOON));
    }

    /// What was printed before a question, and then that.
    fn tell_question(&mut self) {
        self.take_waiting_output();
        if let Some((Question { prompt, password }, _)) = self.question.take() {
            self.tell(&Report::Input { prompt, password });
        }
    }

    /// What the front wants; false if it is gone.
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
                Ok(Order::Answer(line)) => self.input.answer(&line, &self.runner.input),
                Ok(Order::EndOfInput) => self.input.end(&self.runner.input),
                Ok(Order::Interrupt) | Err(_) => {}
            }
        }
        true
    }

    /// What the runner says of the cell; false if it is gone.
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

    /// All that is left of a cell that has ended.
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
            // The front may have said in the meantime that this one must not run.
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

/// Cuts what comes into lines.
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
