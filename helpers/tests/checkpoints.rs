//! A training that is stopped at any moment, and started again, ends as if nothing had happened.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use helpers::prelude::*;

const CHECKPOINT: &str = "checkpoint.safetensors";
const MODEL: &str = "model.safetensors";
const FOLDER: &str = "CHECKPOINT_TEST_FOLDER";

fn split() -> Split {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
    let dataset = Dataset::load(sample).unwrap().take_stratified(600, 1).unwrap();
    dataset.split(SplitConfig::default()).unwrap()
}

fn config() -> FitConfig {
    FitConfig {
        epochs: 8,
        patience: 8,
        augmentation: Augmentation { horizontal_flip: true, shift: 1, erase: 0.2 },
        ..FitConfig::default()
    }
}

fn model(split: &Split, hidden: usize, seed: u64) -> Model {
    let shape = split.train.dataset().image_shape();
    let config = DenseConfig { hidden: vec![hidden, 32], ..DenseConfig::default() };
    config.network(shape, split.train.dataset().classes()).build(seed).unwrap()
}

/// The figures of a history that do not depend on how long things took, by their bits.
fn figures(history: &History) -> Vec<[u64; 5]> {
    let bits = |record: &helpers::training::EpochRecord| {
        let helpers::training::EpochRecord { loss, accuracy, val_loss, val_accuracy, .. } = *record;
        [loss, accuracy, val_loss, val_accuracy, record.learning_rate].map(f64::to_bits)
    };
    history.epochs.iter().map(bits).collect()
}

/// Trains in `folder`, with a checkpoint, and leaves the model and its figures there.
fn train(folder: &Path) {
    let split = split();
    let mut model = model(&split, 256, 3);
    model.backup_and_restore(folder.join(CHECKPOINT));
    let history = model.fit(&split, config()).unwrap();
    model.save(folder.join(MODEL)).unwrap();
    fs::write(folder.join("figures"), format!("{:?}", figures(&history))).unwrap();
}

/// What the processes of the test below run; it does nothing in an ordinary run of the tests.
#[test]
#[ignore = "a part of the next test"]
fn training_in_a_process_of_its_own() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        train(&PathBuf::from(folder));
    }
}

fn start(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "training_in_a_process_of_its_own"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn twenty_kills_leave_no_trace() {
    let (calm, rough) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let begun = Instant::now();
    assert!(start(calm.path()).wait().unwrap().success());
    let whole = begun.elapsed();
    // Fractions of a golden ratio fall anywhere: before the first epoch, inside one, while a checkpoint is written.
    let mut kills = 0;
    while kills < 20 {
        let share = (f64::from(kills) * 0.618_033_988_75).fract();
        let mut process = start(rough.path());
        sleep(whole.mul_f64(0.2 + 0.5 * share).max(Duration::from_millis(20)));
        if process.try_wait().unwrap().is_some() {
            // It ended before it could be killed: from the beginning again.
            fs::remove_file(rough.path().join(CHECKPOINT)).unwrap();
            continue;
        }
        process.kill().unwrap();
        process.wait().unwrap();
        kills += 1;
    }
    assert!(start(rough.path()).wait().unwrap().success());
    for file in [MODEL, "figures"] {
        let read = |folder: &tempfile::TempDir| fs::read(folder.path().join(file)).unwrap();
        assert!(read(&calm) == read(&rough), "{file} differs after {kills} kills");
    }
}

/// The checkpoint of a training that ended.
fn ended(folder: &Path, split: &Split) -> PathBuf {
    let path = folder.join(CHECKPOINT);
    let mut model = model(split, 16, 3);
    model.backup_and_restore(&path);
    model.fit(split, config()).unwrap();
    path
}

#[test]
fn a_training_that_ended_gives_its_result_again() {
    let (folder, split) = (tempfile::tempdir().unwrap(), split());
    let path = ended(folder.path(), &split);
    let before = fs::read(&path).unwrap();
    let fit = |backup: bool| {
        let mut model = model(&split, 16, 3);
        if backup {
            model.backup_and_restore(&path);
        }
        let history = model.fit(&split, config()).unwrap();
        (figures(&history), history.best_epoch, model.predict(&split.validation).unwrap())
    };
    assert!(fit(true) == fit(false));
    assert!(fs::read(&path).unwrap() == before, "nothing was trained, so nothing is written");
}

#[test]
fn the_checkpoint_of_another_training_is_not_used() {
    let (folder, split) = (tempfile::tempdir().unwrap(), split());
    let path = ended(folder.path(), &split);
    let kept = fs::read(&path).unwrap();
    let fit = |backup: Option<&Path>, hidden, seed, config: FitConfig| {
        let mut model = model(&split, hidden, seed);
        if let Some(path) = backup {
            model.backup_and_restore(path);
        }
        let history = model.fit(&split, config).unwrap();
        figures(&history)
    };
    let others = [
        ("network", 24, 3, config()),
        ("first weights", 16, 4, config()),
        ("settings", 16, 3, FitConfig { learning_rate: 2e-3, ..config() }),
    ];
    for (what, hidden, seed, config) in others {
        fs::write(&path, &kept).unwrap();
        let with = fit(Some(&path), hidden, seed, config.clone());
        assert!(with == fit(None, hidden, seed, config), "the {what} of another training");
    }
}

#[test]
fn a_damaged_checkpoint_is_not_used() {
    let (folder, split) = (tempfile::tempdir().unwrap(), split());
    let path = ended(folder.path(), &split);
    let whole = fs::read(&path).unwrap();
    let mut undisturbed = model(&split, 16, 3);
    let expected = figures(&undisturbed.fit(&split, config()).unwrap());
    let cut = |length: usize| whole[..length].to_vec();
    let flipped = |place: usize| {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        bytes
    };
    let damaged = [
        cut(0),
        cut(1),
        cut(7),
        cut(8),
        cut(100),
        cut(whole.len() / 2),
        cut(whole.len() - 1),
        flipped(0),
        flipped(9),
        flipped(300),
        flipped(whole.len() / 2),
        flipped(whole.len() - 1),
        b"{}".to_vec(),
        vec![0xff; 64],
    ];
    for (case, bytes) in damaged.iter().enumerate() {
        fs::write(&path, bytes).unwrap();
        let mut model = model(&split, 16, 3);
        model.backup_and_restore(&path);
        assert!(figures(&model.fit(&split, config()).unwrap()) == expected, "case {case}");
    }
}

#[test]
fn a_checkpoint_that_cannot_be_written_does_not_stop_the_training() {
    let (folder, split) = (tempfile::tempdir().unwrap(), split());
    let file = folder.path().join("no folder");
    fs::write(&file, "a file where a folder should be").unwrap();
    let mut model = model(&split, 16, 3);
    model.backup_and_restore(file.join(CHECKPOINT));
    assert_eq!(model.fit(&split, config()).unwrap().epochs_run(), 8);
}
