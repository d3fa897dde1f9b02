//! Interrupts: Jupyter's stop button, sent as a signal or as a message. Whatever a cell is doing, it ends, and
//! variables are kept wherever that is possible.
//!
//! - A cell that is not compiled yet ends at once and never runs; evcxr's compilers are killed.
//! - A cell that runs gets SIGINT. Long work in helpers checks for it and returns an error; a loop in the cell itself
//!   does not, so the process that runs it ends.
//! - A cell that waits for input gets an end of input first, because that keeps all variables.
//! - A cell that handles SIGINT itself and goes on is killed by an interrupt that comes [`DEAF`] after its first one.
//! - A completion during which evcxr waits for cargo ends because cargo is killed.

use std::time::{Duration, Instant};

use super::cell::Stage;
use super::failure::Failure;
use super::{Front, Work, WorkKind};
use crate::link::Order;

/// How long a cell may go on after its end of input before it is interrupted.
const PATIENCE: Duration = Duration::from_secs(1);
/// A cell that still runs this long after its first interrupt is killed by the next one. Work in helpers ends between two
/// steps, and by itself at an interrupt that comes five seconds after the first.
const DEAF: Duration = Duration::from_secs(10);
/// How often compilers are killed again: evcxr starts one after the other.
const AGAIN: Duration = Duration::from_millis(100);

impl Front {
    pub(super) fn interrupt(&mut self) {
        let waits_for = |work: &Work| matches!(work.kind, WorkKind::Assist(_) | WorkKind::WarmUp);
        if let Some(inner) =
            self.inner.as_ref().filter(|_| self.work.as_ref().is_some_and(waits_for))
        {
            inner.end_compilers(self.relays.last().and_then(|relay| relay.process));
        }
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
            Stage::Running => {
                let first = *cell.interrupted_at.get_or_insert_with(Instant::now);
                let is_deaf = first.elapsed() >= DEAF;
                self.order(if is_deaf { Order::Kill } else { Order::Interrupt });
            }
        }
    }

    /// The relay confirms that it runs no cell from now on. The compiled one may have started just before.
    pub(super) fn refused(&mut self) {
        self.refusing = false;
        if self.cell.as_ref().is_some_and(|cell| cell.stage == Stage::Compiling) {
            self.abandon();
        } else {
            self.order(Order::Allow(true));
        }
    }

    /// Ends a cell that has not run, even if evcxr is still compiling it.
    fn abandon(&mut self) {
        if let Some(work) = self.work.as_mut().filter(|work| work.kind == WorkKind::Cell) {
            work.kind = WorkKind::Abandoned;
            self.end_compilers_at = Some(Instant::now());
        }
        if let Some(cell) = self.cell.take() {
            self.fail(cell, Failure::interrupted_before());
        }
    }

    /// Kills compilers as long as evcxr starts new ones for an abandoned cell, and interrupts a cell that goes on after
    /// its end of input.
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
