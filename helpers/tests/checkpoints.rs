//! A training that is stopped at any moment, and started again, ends as if nothing had happened.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use helpers::architectures::{AutoencoderConfig, CnnConfig, DenseConfig};
use helpers::data::Split;
use helpers::models::Model;
use helpers::prelude::*;
use helpers::training::{Callbacks, DenoisingRecord, EpochRecord, History};
use helpers::{Error, Result};

const CHECKPOINT: &str = "checkpoint.safetensors";
const MODEL: &str = "model.safetensors";
const FOLDER: &str = "CHECKPOINT_TEST_FOLDER";
const KIND: &str = "CHECKPOINT_TEST_KIND";
const EPOCHS: usize = 8;

fn split_of(images: usize) -> Split {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample");
    let dataset = Dataset::load(sample).unwrap().take_stratified(images, 1).unwrap();
    dataset.split(SplitConfig::default()).unwrap()
}

fn split() -> Split {
    split_of(600)
}

fn config() -> FitConfig {
    FitConfig {
        epochs: EPOCHS,
        patience: EPOCHS,
        augmentation: Augmentation { horizontal_flip: true, shift: 0.04, erase: 0.2 },
        // The one schedule that depends on the epochs before.
        schedule: Schedule::ReduceOnPlateau { factor: 0.5, patience: 2 },
        learning_rate: 1e-3,
        weight_decay: 1e-4,
        label_smoothing: 0.0,
        ema_momentum: Some(0.9),
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
    let bits = |record: &EpochRecord| {
        let EpochRecord { loss, accuracy, val_loss, val_accuracy, learning_rate, .. } = *record;
        [loss, accuracy, val_loss, val_accuracy, learning_rate].map(f64::to_bits)
    };
    history.epochs.iter().map(bits).collect()
}

/// Runs a cell, and once more whenever it says that it was interrupted.
fn until_it_ends<T>(mut cell: impl FnMut() -> Result<T>) -> T {
    loop {
        match cell() {
            Err(Error::Interrupted { work, advice }) => println!("interrupted: {work}; {advice}"),
            other => return other.unwrap(),
        }
    }
}

/// A training in a process of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Epochs of a tenth of a second, and checkpoints of some megabytes.
    Dense,
    /// Stopped early by its validation loss.
    Cnn,
    /// To which noise is added that no epoch repeats.
    Denoiser,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Dense, Kind::Cnn, Kind::Denoiser];

    /// Trains in `folder`, with a checkpoint, and leaves the model and its figures there.
    fn train(self, folder: &Path) {
        let split = split_of(if self == Kind::Dense { 600 } else { 300 });
        let shape = split.train.dataset().image_shape();
        let classes = split.train.dataset().classes();
        let mut model = match self {
            Kind::Dense => model(&split, 256, 3),
            Kind::Cnn => {
                let network =
                    CnnConfig { filters: [4, 8, 8, 8], dense: 16, ..CnnConfig::default() };
                network.network(shape, classes).build(3).unwrap()
            }
            Kind::Denoiser => {
                let network = AutoencoderConfig { filters: [4, 8], dense: 32, rate: 0.02 };
                network.network(shape).unwrap().build(3).unwrap()
            }
        };
        let callbacks = || Callbacks::default().backup_and_restore(folder.join(CHECKPOINT));
        let config = FitConfig { batch_size: 16, ..config() };
        let told = match self {
            Kind::Dense => {
                let history = until_it_ends(|| model.fit_with(&split, config.clone(), callbacks()));
                format!("{:?} {}", figures(&history), history.stopped_early)
            }
            Kind::Cnn => {
                let config = FitConfig { patience: 1, epochs: 30, learning_rate: 0.01, ..config };
                let config = FitConfig { mixup: 0.2, cutmix: 1.0, ..config };
                let history = model.fit_with(&split, config, callbacks()).unwrap();
                // Long after the last of three kills.
                assert!(history.stopped_early && history.epochs_run() > 9, "{history:?}");
                format!("{:?} {}", figures(&history), history.best_epoch)
            }
            Kind::Denoiser => {
                let noise = GaussianNoise::default();
                let history = until_it_ends(|| {
                    model.fit_denoiser(&split, noise, config.clone(), callbacks())
                });
                let bits = |record: &DenoisingRecord| {
                    [record.loss, record.val_loss, record.val_psnr_db].map(f64::to_bits)
                };
                format!("{:?}", history.epochs.iter().map(bits).collect::<Vec<_>>())
            }
        };
        model.save(folder.join(MODEL)).unwrap();
        fs::write(folder.join("figures"), told).unwrap();
    }
}

/// What the processes of the tests below run; it does nothing in an ordinary run of the tests.
#[test]
#[ignore = "a part of the next tests"]
fn training_in_a_process_of_its_own() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let name = std::env::var(KIND).unwrap();
    let kind = Kind::ALL.into_iter().find(|kind| format!("{kind:?}") == name).unwrap();
    listen_to_interrupts();
    kind.train(&PathBuf::from(folder));
}

/// In a process of its own: has it listen to interrupts, which a shell has its background programs ignore.
fn listen_to_interrupts() {
    // SAFETY: the call takes two numbers.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
}

/// Where a kill fell.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    /// An epoch's checkpoint is whole, and the next one's is not begun.
    InsideAnEpoch,
    /// Half a checkpoint was left behind.
    WhileWriting,
    /// Nothing was seen that would tell.
    Elsewhere,
}

/// A process that trains, and the epochs that it has printed.
struct Process {
    child: Child,
    lines: Receiver<String>,
    folder: PathBuf,
    /// Parts of checkpoints that were there before it.
    old: BTreeSet<OsString>,
    /// The last epoch that it took from a checkpoint, and the last one that it trained.
    taken: usize,
    trained: Option<usize>,
    /// How often it said that it was interrupted.
    interrupted: usize,
}

impl Process {
    fn start(kind: Kind, folder: &Path) -> Process {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--ignored",
                "--exact",
                "--nocapture",
                "checkpoints::training_in_a_process_of_its_own",
            ])
            .env(FOLDER, folder)
            .env(KIND, format!("{kind:?}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let old = parts(folder);
        let folder = folder.to_owned();
        Process { child, lines, folder, old, taken: 0, trained: None, interrupted: 0 }
    }

    fn ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Reads what was printed so far.
    fn listen(&mut self) {
        for line in self.lines.try_iter() {
            if line.starts_with("interrupted: ") {
                self.interrupted += 1;
                continue;
            }
            if let Some((_, rest)) = line.split_once("goes on after epoch ") {
                self.taken = rest.split_once(',').unwrap().0.parse().unwrap();
            }
            let number = line.strip_prefix("epoch ").and_then(|rest| rest.split_once('/'));
            let epoch = number.and_then(|(number, _)| number.trim().parse().ok());
            self.trained = epoch.filter(|&epoch| epoch > self.taken).or(self.trained);
        }
    }

    fn writes(&self) -> bool {
        parts(&self.folder).difference(&self.old).next().is_some()
    }

    /// Waits until this is seen; false if the training ends before.
    fn wait_for(&mut self, seen: impl Fn(&Process) -> bool) -> bool {
        let begun = Instant::now();
        loop {
            self.listen();
            if seen(self) {
                return true;
            }
            if self.ended() {
                return false;
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "the training does not get on");
            sleep(Duration::from_micros(100));
        }
    }

    /// Ends it with no word of warning, and looks where that fell; none if it had ended by itself.
    fn kill(mut self) -> Option<Moment> {
        self.child.kill().unwrap();
        if self.child.wait().unwrap().success() {
            return None;
        }
        self.listen();
        Some(match self.trained {
            _ if self.writes() => Moment::WhileWriting,
            Some(epoch) if epoch < EPOCHS => Moment::InsideAnEpoch,
            _ => Moment::Elsewhere,
        })
    }
}

/// The parts of checkpoints in a folder.
fn parts(folder: &Path) -> BTreeSet<OsString> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter(|name| name.as_encoded_bytes().ends_with(b".part")).collect()
}

/// Trains undisturbed; gives the time of an epoch.
fn train_calmly(kind: Kind, folder: &Path) -> Duration {
    let mut process = Process::start(kind, folder);
    assert!(process.wait_for(|process| process.trained >= Some(1)));
    let begun = Instant::now();
    let before = process.trained.unwrap();
    let last = if process.wait_for(|process| process.trained >= Some(4)) { 4 } else { before + 1 };
    let epoch = begun.elapsed() / (last - before) as u32;
    assert!(process.child.wait().unwrap().success());
    epoch
}

/// Fractions of the golden ratio fall anywhere.
fn share(count: usize) -> f64 {
    (count as f64 * 0.618_033_988_75).fract()
}

/// Lets it train to its end, and compares it with the undisturbed training, byte by byte.
fn compare(kind: Kind, calm: &Path, rough: &Path) {
    assert!(Process::start(kind, rough).child.wait().unwrap().success());
    same(kind, calm, rough);
}

fn same(kind: Kind, calm: &Path, rough: &Path) {
    for file in [MODEL, "figures"] {
        let read = |folder: &Path| fs::read(folder.join(file)).unwrap();
        assert!(read(calm) == read(rough), "{kind:?}: {file} differs from the undisturbed one");
    }
}

/// How often a test begins a training again that ended before it was disturbed. The time of an epoch says where in it
/// a kill falls, but a machine that was busy then and is no longer takes less; so half of it is taken the next time.
const ATTEMPTS: usize = 200;

#[test]
fn twenty_kills_leave_no_trace() {
    let (calm, rough) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut epoch = train_calmly(Kind::Dense, calm.path());
    let mut moments = Vec::new();
    let count = |moments: &[Moment], moment| moments.iter().filter(|&&m| m == moment).count();
    let enough = |moments: &[Moment]| {
        moments.len() >= 20
            && count(moments, Moment::InsideAnEpoch) >= 5
            && count(moments, Moment::WhileWriting) >= 5
    };
    for attempt in 0.. {
        if enough(&moments) {
            break;
        }
        assert!(attempt < ATTEMPTS, "kills fell {moments:?}");
        let mut process = Process::start(Kind::Dense, rough.path());
        let writing = attempt % 2 == 1;
        if writing {
            process.wait_for(Process::writes);
        } else {
            process.wait_for(|process| process.trained.is_some());
            sleep(epoch.mul_f64(0.8 * share(attempt)));
        }
        match process.kill() {
            Some(moment) => moments.push(moment),
            None => {
                fs::remove_file(rough.path().join(CHECKPOINT)).unwrap();
                epoch = if writing { epoch } else { epoch / 2 };
            }
        }
    }
    compare(Kind::Dense, calm.path(), rough.path());
    println!(
        "{} kills: {} inside an epoch, {} while a checkpoint was written",
        moments.len(),
        count(&moments, Moment::InsideAnEpoch),
        count(&moments, Moment::WhileWriting)
    );
}

/// Early stopping counts on, noise is drawn on, and batch normalisation keeps its averages.
#[test]
fn other_trainings_go_on_as_exactly() {
    for kind in [Kind::Cnn, Kind::Denoiser] {
        let (calm, rough) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut epoch = train_calmly(kind, calm.path());
        let mut kills = 0;
        for attempt in 0.. {
            if kills == 3 {
                break;
            }
            assert!(attempt < ATTEMPTS, "{kind:?} ended before kill {kills}");
            let mut process = Process::start(kind, rough.path());
            if process.wait_for(|process| process.trained.is_some()) {
                assert_eq!(process.taken > 0, kills > 0, "it goes on from where it was");
            }
            sleep(epoch.mul_f64(0.5 * share(kills)));
            if process.kill().is_some() {
                kills += 1;
            } else {
                fs::remove_file(rough.path().join(CHECKPOINT)).unwrap();
                (kills, epoch) = (0, epoch / 2);
            }
        }
        compare(kind, calm.path(), rough.path());
    }
}

/// The process stays, and in it the model, with other weights than those that the training began with.
#[test]
fn interrupts_leave_no_trace() {
    for kind in [Kind::Dense, Kind::Denoiser] {
        let (calm, rough) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut epoch = train_calmly(kind, calm.path());
        for attempt in 0.. {
            assert!(attempt < ATTEMPTS, "{kind:?} ended before it was interrupted five times");
            if interrupt(kind, rough.path(), epoch) {
                break;
            }
            fs::remove_file(rough.path().join(CHECKPOINT)).unwrap();
            epoch /= 2;
        }
        same(kind, calm.path(), rough.path());
    }
}

/// Interrupts a training five times, each time in another epoch; false if it ended before.
fn interrupt(kind: Kind, folder: &Path, epoch: Duration) -> bool {
    let mut process = Process::start(kind, folder);
    for count in 0..5 {
        if !process
            .wait_for(|process| process.trained > Some(count) && process.interrupted == count)
        {
            return false;
        }
        sleep(epoch.mul_f64(0.8 * share(count)));
        let child = process.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &child]).status().unwrap().success());
        if !process.wait_for(|process| process.interrupted > count) {
            return false;
        }
    }
    assert!(process.child.wait().unwrap().success());
    true
}

/// The checkpoint of a training that ended.
fn ended(folder: &Path, split: &Split) -> PathBuf {
    let path = folder.join(CHECKPOINT);
    let callbacks = Callbacks::default().backup_and_restore(&path);
    model(split, 16, 3).fit_with(split, config(), callbacks).unwrap();
    path
}

#[test]
fn a_training_that_ended_gives_its_result_again() {
    let (folder, split) = (tempfile::tempdir().unwrap(), split());
    let path = ended(folder.path(), &split);
    let before = fs::read(&path).unwrap();
    let fit = |backup: bool| {
        let mut model = model(&split, 16, 3);
        let mut callbacks = Callbacks::default();
        if backup {
            callbacks = callbacks.backup_and_restore(&path);
        }
        let history = model.fit_with(&split, config(), callbacks).unwrap();
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
        let mut callbacks = Callbacks::default();
        if let Some(path) = backup {
            callbacks = callbacks.backup_and_restore(path);
        }
        let history = model.fit_with(&split, config, callbacks).unwrap();
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
    let flipped = |index: usize| {
        let mut bytes = whole.clone();
        bytes[index] ^= 1;
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
        let callbacks = Callbacks::default().backup_and_restore(&path);
        let history = model(&split, 16, 3).fit_with(&split, config(), callbacks).unwrap();
        assert!(figures(&history) == expected, "case {case}");
    }
}

#[test]
fn a_checkpoint_that_cannot_be_written_does_not_stop_the_training() {
    let (folder, split) = (tempfile::tempdir().unwrap(), split());
    let file = folder.path().join("no folder");
    fs::write(&file, "a file where a folder should be").unwrap();
    let callbacks = Callbacks::default().backup_and_restore(file.join(CHECKPOINT));
    let history = model(&split, 16, 3).fit_with(&split, config(), callbacks).unwrap();
    assert_eq!(history.epochs_run(), EPOCHS);
}
