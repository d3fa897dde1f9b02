//! Interrupts: Jupyter's stop button, as a signal or as a message. Whatever a cell is doing, it ends, and variables stay
//! wherever that can be.
//!
//! - A cell that is not compiled yet ends at once and never runs; evcxr's compilers are ended.
//! - A cell that runs gets the signal. All that takes long in helpers listens to it and ends with an error; a loop of the
//!   cell's own does not, and the process that runs it ends.
//! - A cell that waits for input gets an end of input first, as that costs no variables.

use std::time::{Duration, Instant};

use super::cell::Stage;
use super::failure::Failure;
use super::{Front, WorkKind};
use crate::link::Order;

/// How long a cell has after its end of input.
const PATIENCE: Duration = Duration::from_secs(1);
/// evcxr starts one compiler after the other.
const AGAIN: Duration = Duration::from_millis(100);

impl Front {
    pub(super) fn interrupt(&mut self) {
        let Some(cell) = &mut self.cell else { return };
        cell.outcome.interrupted = true;
        match cell.stage {
            Stage::Waiting => self.abandon(),
            Stage::Compiling if self.relays.is_empty() => self.abandon(),
            Stage::Compiling => {
                self.refusing = true;
                self.order(Order::Allow(false));
                self.ping();
            }
            Stage::Running if cell.asks => {
                cell.asks = false;
                cell.end_at = Some(Instant::now() + PATIENCE);
                self.order(Order::EndOfInput);
            }
            Stage::Running => self.order(Order::Interrupt),
        }
    }

    /// The relay runs no cell from now on. The one that was compiled may have begun before.
    pub(super) fn refused(&mut self) {
        self.refusing = false;
        if self.cell.as_ref().is_some_and(|cell| cell.stage == Stage::Compiling) {
            self.abandon();
        } else {
            self.order(Order::Allow(true));
        }
    }

    /// Ends a cell that has not run, whatever evcxr is still doing about it.
    fn abandon(&mut self) {
        if let Some(work) = self.work.as_mut().filter(|work| work.kind == WorkKind::Cell) {
            work.kind = WorkKind::Abandoned;
            self.end_compilers_at = Some(Instant::now());
        }
        if let Some(cell) = self.cell.take() {
            self.fail(cell, Failure::interrupted_before());
        }
    }

    /// Ends compilers, as long as evcxr starts some for a cell that nobody waits for, and interrupts a cell that goes on
    /// after its end of input.
    pub(super) fn end_what_is_late(&mut self, now: Instant) {
        if self.end_compilers_at.is_some_and(|at| at <= now) {
            let abandoned = self.work.as_ref().is_some_and(|work| work.kind == WorkKind::Abandoned);
            self.end_compilers_at = abandoned.then_some(now + AGAIN);
            if let Some(inner) = self.inner.as_ref().filter(|_| abandoned) {
                inner.end_compilers(self.relays.last().and_then(|relay| relay.process));
            }
        }
        let late = self.cell.as_mut().filter(|cell| cell.end_at.is_some_and(|at| at <= now));
        if let Some(cell) = late {
            cell.end_at = None;
            self.order(Order::Interrupt);
        }
    }
}
