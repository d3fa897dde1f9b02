//! Cells that read a line from standard input.
//!
//! Nothing announces that a cell waits for input. But `/proc` shows when a process is inside `read` of descriptor 0.

use std::collections::VecDeque;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

/// A check costs some 20 microseconds. The interval grows, so that a training of hours is hardly ever checked.
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_millis(250);
/// As much as fits into what the standard library reads at once.
const PART: usize = 4096;

/// What is known of the input of the cell that runs.
pub(crate) struct Input {
    pid: i32,
    began: Instant,
    looked: Instant,
    /// True from the question to the answer.
    asked: bool,
    /// Parts of an answer that were not handed out yet.
    parts: VecDeque<Vec<u8>>,
}

impl Input {
    pub(crate) fn new(pid: i32) -> Input {
        let now = Instant::now();
        Input { pid, began: now, looked: now, asked: false, parts: VecDeque::new() }
    }

    /// A cell begins.
    pub(crate) fn begin(&mut self) {
        *self = Input::new(self.pid);
    }

    /// Forgets input that the ended cell has not read.
    pub(crate) fn forget(&mut self) {
        self.parts.clear();
        self.asked = false;
    }

    pub(crate) fn asked(&mut self) {
        self.asked = true;
    }

    /// When to call [`Input::asks`] again.
    pub(crate) fn next_look(&self) -> Instant {
        let age = self.looked.saturating_duration_since(self.began);
        self.looked + (age / 10).clamp(SHORTEST, LONGEST)
    }

    /// Whether the cell waits for a line and no question was sent yet. If parts of the last answer remain, sends the
    /// next one.
    pub(crate) fn asks(&mut self, now: Instant, to: &UnixDatagram) -> bool {
        if now < self.next_look() {
            return false;
        }
        self.looked = now;
        if self.asked || unread(to) || !waits_for_input(self.pid) {
            return false;
        }
        match self.parts.pop_front() {
            Some(part) => {
                let _ = to.send(&part);
                false
            }
            None => true,
        }
    }

    pub(crate) fn answer(&mut self, line: &str, to: &UnixDatagram) {
        let line = format!("{line}\n");
        self.parts.extend(line.as_bytes().chunks(PART).map(<[u8]>::to_vec));
        self.hand_out(to);
    }

    /// Sends an end of input, for one read.
    pub(crate) fn end(&mut self, to: &UnixDatagram) {
        self.parts.push_back(Vec::new());
        self.hand_out(to);
    }

    fn hand_out(&mut self, to: &UnixDatagram) {
        self.asked = false;
        if let Some(part) = self.parts.pop_front() {
            let _ = to.send(&part);
        }
        self.looked = Instant::now();
        self.began = self.looked;
    }
}

/// Whether something that was sent has not been read.
fn unread(to: &UnixDatagram) -> bool {
    let mut count: libc::c_int = 0;
    // SAFETY: the call writes a number of this size.
    let asked = unsafe { libc::ioctl(to.as_raw_fd(), libc::TIOCOUTQ, &mut count) };
    asked == 0 && count > 0
}

/// Whether the main thread of this process is reading its standard input.
fn waits_for_input(pid: i32) -> bool {
    #[cfg(target_os = "linux")]
    {
        let call = fs::read_to_string(format!("/proc/{pid}/task/{pid}/syscall"));
        call.is_ok_and(|call| call.starts_with(&format!("{} 0x0 ", libc::SYS_read)))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (pid, fs::exists("/proc"));
        false
    }
}
