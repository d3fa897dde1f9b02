//! Actions around the epochs of a training, one file each.

mod backup_and_restore;
mod early_stopping;
mod progress;
mod tensor_board;
mod trainings;

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;

pub use backup_and_restore::BackupAndRestore;
pub use early_stopping::EarlyStopping;
pub use progress::Progress;
pub use tensor_board::TensorBoard;
pub(crate) use tensor_board::hparams;
pub(crate) use trainings::Trainings;

use super::config::FitConfig;
use super::state::TrainingState;
use crate::error::{Error, Result};

/// An action around the epochs of a training: Keras's `Callback`.
///
/// An error ends the training; the model then has the weights of its best epoch. To read what your own callback has
/// collected, give `fit_with` a clone of an `Rc<RefCell<_>>` around it, which is a callback too:
///
/// ```
/// use std::{cell::RefCell, rc::Rc};
/// use helpers::{Result, training::{Callback, Callbacks, TrainingState}};
///
/// /// Stops at a loss that is good enough, and counts the epochs until then.
/// #[derive(Default)]
/// struct GoodEnough { val_loss: f64, epochs: usize }
///
/// impl Callback for GoodEnough {
///     fn on_epoch_end(&mut self, training: &mut TrainingState) -> Result<()> {
///         self.epochs += 1;
///         if training.last_epoch().is_some_and(|epoch| epoch.val_loss <= self.val_loss) {
///             training.stop("the validation loss is low enough");
///         }
///         Ok(())
///     }
/// }
///
/// let good_enough = Rc::new(RefCell::new(GoodEnough { val_loss: 0.3, epochs: 0 }));
/// let callbacks = Callbacks::default().with(good_enough.clone());
/// // let history = model.fit_with(&split, config, callbacks)?;
/// println!("{} epochs", good_enough.borrow().epochs);
/// ```
pub trait Callback {
    /// Before the first epoch of this process, also if training goes on from a checkpoint.
    ///
    /// # Errors
    /// To keep training from beginning.
    fn on_train_begin(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        let _ = training;
        Ok(())
    }

    /// Before an epoch.
    ///
    /// # Errors
    /// To end training.
    fn on_epoch_begin(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        let _ = training;
        Ok(())
    }

    /// After each step of the optimiser.
    ///
    /// # Errors
    /// To end training in the middle of an epoch, whose figures are lost.
    fn on_train_batch_end(&mut self, batch: &TrainBatch) -> Result<()> {
        let _ = batch;
        Ok(())
    }

    /// After an epoch and its validation; [`TrainingState::last_epoch`] has its figures.
    ///
    /// # Errors
    /// To end training.
    fn on_epoch_end(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        let _ = training;
        Ok(())
    }

    /// After the last epoch, when the best weights have been restored; not after an error.
    ///
    /// # Errors
    /// If what it does fails.
    fn on_train_end(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        let _ = training;
        Ok(())
    }

    /// Instead of [`Callback::on_train_end`] when an error or an interrupt ends training; the best weights so far have
    /// been restored.
    fn on_train_error(&mut self, training: &mut TrainingState<'_>, error: &Error) {
        let _ = (training, error);
    }
}

/// A completed step of the optimiser.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainBatch {
    /// Counted from 1.
    pub epoch: usize,
    /// Counted from 1 in each epoch.
    pub batch: usize,
    /// Batches of an epoch.
    pub batches: usize,
    /// Mean training loss over the images of the epoch so far.
    pub loss: f64,
}

/// The callbacks of a training: Keras's list `callbacks`.
///
/// The default is [`EarlyStopping`] with the patience of [`FitConfig`] and then [`Progress`], both called after your
/// own. [`Callbacks::new`] starts without these two.
#[derive(Default)]
pub struct Callbacks {
    list: Vec<Box<dyn Callback>>,
    without_early_stopping: bool,
    silent: bool,
}

impl Callbacks {
    /// An empty list, without the defaults: without [`EarlyStopping`] all epochs are trained.
    ///
    /// ```
    /// use helpers::training::{Callbacks, EarlyStopping, Progress};
    /// let patient = Callbacks::new().with(EarlyStopping::new(20)).with(Progress::default());
    /// ```
    pub fn new() -> Callbacks {
        Callbacks { list: Vec::new(), without_early_stopping: true, silent: true }
    }

    /// Also keeps a checkpoint in the file `path`, and goes on from it: see [`BackupAndRestore`].
    pub fn backup_and_restore(self, path: impl Into<PathBuf>) -> Callbacks {
        self.first(BackupAndRestore::new(path))
    }

    /// Adds a callback that is called before all others.
    pub(crate) fn first(mut self, callback: impl Callback + 'static) -> Callbacks {
        // A checkpoint comes first: the others then see the epochs that it restores, and print an epoch only after it
        // is kept.
        self.list.insert(0, Box::new(callback));
        self
    }

    /// Adds your own callback; it is called after those added before it and before the default ones.
    pub fn with(mut self, callback: impl Callback + 'static) -> Callbacks {
        self.list.push(Box::new(callback));
        self
    }

    /// Without [`Progress`]: nothing is shown of epochs, as with Keras's `verbose=0`.
    pub fn silent(mut self) -> Callbacks {
        self.silent = true;
        self
    }

    /// All of them, in the order in which they are called.
    pub(super) fn in_order(self, config: &FitConfig) -> Vec<Box<dyn Callback>> {
        let mut list = self.list;
        if !self.without_early_stopping {
            list.push(Box::new(EarlyStopping::new(config.patience)));
        }
        if !self.silent {
            list.push(Box::new(Progress::default()));
        }
        list
    }
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stopping = if self.without_early_stopping { "without" } else { "with" };
        let progress = if self.silent { "without" } else { "with" };
        let added = self.list.len();
        write!(
            f,
            "Callbacks: {added} added, {stopping} early stopping by itself, {progress} progress"
        )
    }
}

impl<C: Callback> Callback for Rc<RefCell<C>> {
    fn on_train_begin(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        self.borrow_mut().on_train_begin(training)
    }

    fn on_epoch_begin(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        self.borrow_mut().on_epoch_begin(training)
    }

    fn on_train_batch_end(&mut self, batch: &TrainBatch) -> Result<()> {
        self.borrow_mut().on_train_batch_end(batch)
    }

    fn on_epoch_end(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        self.borrow_mut().on_epoch_end(training)
    }

    fn on_train_end(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        self.borrow_mut().on_train_end(training)
    }

    fn on_train_error(&mut self, training: &mut TrainingState<'_>, error: &Error) {
        self.borrow_mut().on_train_error(training, error);
    }
}
