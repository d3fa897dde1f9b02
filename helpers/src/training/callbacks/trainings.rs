//! Progress of several trainings that run one after the other: one bar for all of them, one line each.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use super::{Callback, Callbacks, TrainBatch};
use crate::display::{Bar, print_line};
use crate::error::Result;
use crate::text::{counted, duration};
use crate::training::state::TrainingState;

/// Steps of the bar per training, for any number of epochs.
const STEPS: usize = 1000;

/// One bar for several trainings; each prints a line when it has ended.
pub(crate) struct Trainings {
    bar: Rc<RefCell<TrainingsBar>>,
    started: Instant,
}

struct TrainingsBar {
    bar: Bar,
    count: usize,
    done: usize,
    epochs: usize,
}

impl Trainings {
    /// Starts a bar for `count` trainings.
    pub(crate) fn new(count: usize) -> Trainings {
        let mut bar = Bar::new(STEPS * count);
        // At once, or it would stand below the first training's line.
        bar.show(&format!("training 1 of {count}"));
        let bar = TrainingsBar { bar, count, done: 0, epochs: 1 };
        Trainings { bar: Rc::new(RefCell::new(bar)), started: Instant::now() }
    }

    /// Callbacks for the next training: they move the bar and show nothing else.
    pub(crate) fn callbacks(&self) -> Callbacks {
        Callbacks::default().silent().with(self.bar.clone())
    }

    /// Prints the result of a training.
    pub(crate) fn ended(&mut self, line: &str) {
        self.bar.borrow_mut().done += 1;
        print_line(line);
    }

    /// Ends the bar after the last training.
    pub(crate) fn finish(self) {
        let seconds = duration(self.started.elapsed().as_secs_f64());
        if let Some(bar) = Rc::into_inner(self.bar).map(RefCell::into_inner) {
            bar.bar.close(&format!("{} in {seconds}", counted(bar.count, "training")));
        }
    }
}

impl Callback for TrainingsBar {
    fn on_train_begin(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        self.epochs = training.config().epochs;
        Ok(())
    }

    fn on_train_batch_end(&mut self, batch: &TrainBatch) -> Result<()> {
        let (number, count, epochs) = (self.done + 1, self.count, self.epochs);
        let epoch = (batch.epoch - 1) as f64 + batch.batch as f64 / batch.batches as f64;
        let step = STEPS * self.done + (STEPS as f64 * epoch / epochs as f64) as usize;
        self.bar.tick(step, |_, remaining| {
            format!(
                "training {number} of {count}, epoch {} of {epochs}, ETA {}",
                batch.epoch,
                duration(remaining)
            )
        });
        Ok(())
    }
}
