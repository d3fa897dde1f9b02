//! Callbacks of one's own beside the usual ones, and what they may rely on.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use helpers::architectures::DenseConfig;
use helpers::data::Split;
use helpers::models::Model;
use helpers::prelude::*;
use helpers::training::{Callback, Callbacks, EarlyStopping, EpochRow, TrainBatch, TrainingState};
use helpers::{Error, Result};

fn split() -> Split {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
    let dataset = Dataset::load(sample).unwrap().take_stratified(300, 1).unwrap();
    dataset.split(SplitConfig::default()).unwrap()
}

fn model(split: &Split) -> Model {
    let network = DenseConfig { hidden: vec![16], ..DenseConfig::default() };
    let dataset = split.train.dataset();
    network.network(dataset.image_shape(), dataset.classes()).build(3).unwrap()
}

fn config(epochs: usize) -> FitConfig {
    FitConfig { epochs, patience: epochs, batch_size: 32, ..FitConfig::default() }
}

/// Writes down what it is told, and does what it is asked to.
#[derive(Default)]
struct Witness {
    told: Vec<String>,
    stop_after: usize,
    fail_after: usize,
}

impl Callback for Witness {
    fn on_train_begin(&mut self, training: &mut TrainingState) -> Result<()> {
        self.told.push(format!("begin with {}", training.epochs().len()));
        Ok(())
    }

    fn on_epoch_begin(&mut self, training: &mut TrainingState) -> Result<()> {
        self.told.push(format!("after {}", training.epochs().len()));
        Ok(())
    }

    fn on_train_batch_end(&mut self, batch: &TrainBatch) -> Result<()> {
        if batch.batch == batch.batches {
            self.told.push(format!("{} batches", batch.batches));
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, training: &mut TrainingState) -> Result<()> {
        let &EpochRow { epoch, .. } = training.last_epoch().unwrap();
        self.told.push(format!("epoch {epoch}"));
        if epoch == self.stop_after {
            training.stop("enough");
        }
        if epoch == self.fail_after {
            // As an interrupt does, which a test cannot time.
            let (work, advice) = ("training".to_owned(), String::new());
            return Err(Error::Interrupted { work, advice });
        }
        Ok(())
    }

    fn on_train_end(&mut self, training: &mut TrainingState) -> Result<()> {
        self.told.push(format!("end, best {}", training.best_epoch()));
        Ok(())
    }
}

#[test]
fn a_callback_sees_all_and_may_stop() {
    let split = split();
    let witness = Rc::new(RefCell::new(Witness { stop_after: 2, ..Witness::default() }));
    let callbacks = Callbacks::default().silent().with(witness.clone());
    let history = model(&split).fit_with(&split, config(5), callbacks).unwrap();
    assert!(history.stopped_early && history.epochs_run() == 2, "{history:?}");
    let best = format!("end, best {}", history.best_epoch);
    let batches = format!("{} batches", split.train.len().div_ceil(32));
    let expected =
        ["begin with 0", "after 0", &batches, "epoch 1", "after 1", &batches, "epoch 2", &best];
    assert_eq!(witness.borrow().told, expected);
}

/// Keras's list: what is in it is all there is.
#[test]
fn a_list_of_ones_own_stops_when_it_says_so() {
    let split = split();
    // At this rate the loss rises after a few epochs; the settings alone would wait for all twelve.
    let config = || FitConfig { learning_rate: 0.3, schedule: Schedule::Constant, ..config(12) };
    let epochs =
        |callbacks| model(&split).fit_with(&split, config(), callbacks).unwrap().epochs_run();
    let patient = epochs(Callbacks::new());
    let stopped = epochs(Callbacks::new().with(EarlyStopping::new(1)));
    assert!(patient == 12 && stopped < 12, "{patient} {stopped}");
    assert_eq!(epochs(Callbacks::default().with(EarlyStopping::new(1)).silent()), stopped);
}

#[test]
fn callbacks_change_no_number() {
    let split = split();
    let with = |callbacks| {
        let mut model = model(&split);
        let history = model.fit_with(&split, config(3), callbacks).unwrap();
        let losses: Vec<u64> = history.epochs.iter().map(|row| row.val_loss.to_bits()).collect();
        (losses, model.predict(&split.test).unwrap())
    };
    let silent = || Callbacks::default().silent();
    assert!(with(silent()) == with(silent().with(Witness::default())));
}

/// Interrupted in its fourth epoch, saved, loaded by another process: the same cell goes on, and ends as if nothing had
/// happened. The training that has ended is another matter: its model is trained on, from the weights that it has.
#[test]
fn the_checkpoint_knows_the_weights_that_an_interrupt_left() {
    let (folder, split) = (tempfile::tempdir().unwrap(), split());
    let (checkpoint, saved) =
        (folder.path().join("checkpoint.safetensors"), folder.path().join("model.safetensors"));
    let mut undisturbed = model(&split);
    undisturbed.fit(&split, config(5)).unwrap();
    let expected = undisturbed.predict(&split.test).unwrap();

    let backup = || Callbacks::default().silent().backup_and_restore(&checkpoint);
    let mut interrupted = model(&split);
    let failing = Witness { fail_after: 3, ..Witness::default() };
    let error = interrupted.fit_with(&split, config(5), backup().with(failing)).unwrap_err();
    assert!(error.to_string().contains("goes on after epoch 3"), "{error}");
    interrupted.save(&saved).unwrap();

    let mut loaded = Model::load(&saved).unwrap();
    let witness = Rc::new(RefCell::new(Witness::default()));
    loaded.fit_with(&split, config(5), backup().with(witness.clone())).unwrap();
    assert_eq!(witness.borrow().told[..2], ["begin with 3", "after 3"]);
    assert!(loaded.predict(&split.test).unwrap() == expected);

    let witness = Rc::new(RefCell::new(Witness::default()));
    loaded.fit_with(&split, config(5), backup().with(witness.clone())).unwrap();
    assert_eq!(witness.borrow().told[0], "begin with 0");
}

#[test]
fn an_error_of_a_callback_ends_training_with_the_best_weights() {
    let split = split();
    let mut model = model(&split);
    let failing = Witness { fail_after: 2, ..Witness::default() };
    let error = model.fit_with(&split, config(4), Callbacks::default().with(failing)).unwrap_err();
    assert!(error.to_string().contains("no checkpoint to go on from"), "{error}");
    let after = model.evaluate(&split.validation).unwrap().loss;
    let mut two_epochs = self::model(&split);
    let best = two_epochs.fit(&split, FitConfig { patience: 4, ..config(4) }).unwrap();
    let lowest = best.epochs[..2].iter().map(|row| row.val_loss).fold(f64::INFINITY, f64::min);
    assert!((after - lowest).abs() < 1e-4, "{after} {lowest}");
}
