//! One trial of a search: a network trained on one fold's training part and scored on the part held out.
//!
//! A trial runs in the program `trial` of this package: `trial < spec.json > result.json` reads a [`TrialSpec`], writes
//! a [`TrialResult`], exits with 0 only if the result is complete, and prints messages for people to stderr. `trial
//! --serve` runs one trial after the other, one line in and one line out for each. With separate processes, parallel
//! trials do not share libtorch's single random generator or each other's crashes, and run wherever a program can be
//! started: [`TrialRunner`](super::TrialRunner) is the only interface that a search uses.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::network::Network;
use super::origin::Origin;
use super::pruner::Cut;
use super::rows::Rows;
pub use super::scoring::Score;
use crate::data::model_selection::{Draw, TestSize, train_test_split};
use crate::data::{Dataset, DatasetInfo, Subset};
use crate::error::{Error, Result};
use crate::models::Precision;
use crate::system::environment::{Environment, code_version};
use crate::system::files::write_among_many;
use crate::text::clean_text;
use crate::training::{
    BackupAndRestore, Callback, Callbacks, FitConfig, History, Record, TrainingState,
};

/// More threads than any machine has processor cores; libtorch starts any number that is requested, and aborts.
const MOST_THREADS: usize = 1024;

/// The complete specification of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialSpec {
    /// The version of the code that must run it, from [`code_version`].
    pub code: String,
    /// The network with all its settings.
    pub network: Network,
    /// The training with all its settings; its seed also draws the first weights and the inner validation part.
    pub fit: FitConfig,
    /// The folder with X.npy and y.npy, on the machine that runs the trial; not part of the trial's identity.
    pub data: PathBuf,
    /// SHA-256 of X.npy.
    pub x_sha256: String,
    /// SHA-256 of y.npy.
    pub y_sha256: String,
    /// Rows of X.npy to learn from; early stopping takes its share of them.
    pub train: Rows,
    /// Rows of X.npy that are only used for the scores.
    pub test: Rows,
    /// Share of `train` that steers early stopping, above 0 and below 1.
    pub validation: f64,
    /// Number of threads; it influences the last digits of the result.
    pub threads: usize,
    /// Whether the part that the trial is trained on is scored, too.
    pub return_train_score: bool,
    /// The part of the training to run; none for all of it.
    pub stage: Option<Stage>,
    /// The scores below which the training stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// The checkpoint that a trial without a stage keeps while it runs; not part of the trial's identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
}

/// The checkpoint of a trial, with which one that was killed goes on, to the same result; it is removed when the trial
/// has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The folder of the file, whose name is the trial's id.
    pub folder: PathBuf,
    /// It is written after an epoch that ends at least this many seconds after the last write.
    pub seconds: f64,
}

/// [`Checkpoint::seconds`] of a search: short trials write none, and a long one loses little when it is killed.
const SAVE_SECONDS: f64 = 30.0;

/// The first epochs of a training that another trial may continue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Number of epochs from the beginning of the training.
    pub epochs: usize,
    /// The file with the checkpoint for the next stage. It is not part of the trial's identity; neither are the folder
    /// of the data and the next field.
    pub checkpoint: PathBuf,
    /// The checkpoint of the stage before. Without it the training starts again from the beginning, and has the same
    /// result.
    pub resume_from: Option<PathBuf>,
}

/// The result of one trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialResult {
    /// The trial's [`TrialSpec::id`].
    pub id: String,
    /// The scores on the part held out.
    pub test: Score,
    /// The scores on the fold's training part, if requested.
    pub train: Option<Score>,
    /// The training, epoch by epoch; its validation part is the inner one.
    pub history: History,
    /// Seconds of building and training.
    pub fit_seconds: f64,
    /// Seconds of scoring the part held out.
    pub score_seconds: f64,
    /// Whether it was stopped because others were better.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pruned: bool,
    /// The conditions that it was computed under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

impl TrialSpec {
    /// SHA-256 of everything except the locations of files: trials with the same id have the same result.
    pub fn id(&self) -> String {
        let (train, test) = (Rows::default(), Rows::default());
        let mut identity =
            TrialSpec { data: PathBuf::new(), train, test, checkpoint: None, ..self.clone() };
        if let Some(stage) = &mut identity.stage {
            (stage.checkpoint, stage.resume_from) = (PathBuf::new(), None);
        }
        #[allow(clippy::expect_used, reason = "none of them can fail to be written")]
        let text = serde_json::to_string(&identity).expect("a specification is plain values");
        let hash = Sha256::new_with_prefix(text).chain_update(self.train.sha256());
        format!("{:x}", hash.chain_update(self.test.sha256()).finalize())
    }

    /// [`Origin::task`].
    pub(super) fn task(&self) -> String {
        let mut task = TrialSpec { code: String::new(), threads: 0, ..self.clone() };
        task.fit.precision = Precision::default();
        task.id()
    }

    /// The origin of a result that this process computes.
    pub(super) fn origin(&self) -> Origin {
        Origin {
            task: self.task(),
            code: self.code.clone(),
            threads: self.threads,
            precision: self.fit.precision.resolve(),
            processor: Environment::current().cpu_capability,
        }
    }

    /// Whether these are the data of the specification.
    fn is_about(&self, data: &DatasetInfo) -> bool {
        (&data.x_sha256, &data.y_sha256) == (&self.x_sha256, &self.y_sha256)
    }

    /// Checks what can be checked without the data.
    ///
    /// # Errors
    /// If a setting is out of range, a part is empty, or a row both trains and scores.
    pub fn check(&self) -> Result<()> {
        self.fit.check()?;
        let parts = [("train", &self.train), ("test", &self.test)];
        for (name, rows) in parts {
            if rows.is_empty() {
                return Err(Error::parameter(name, "at least one row", "none", "use fewer folds"));
            }
        }
        let train: BTreeSet<usize> = self.train.iter().copied().collect();
        if let Some(row) = self.test.iter().find(|row| train.contains(row)) {
            return Err(Error::parameter(
                "test",
                "rows that are not in `train`",
                format!("row {row}, which is"),
                "a score on images that were learnt from says nothing",
            ));
        }
        if !(1..=MOST_THREADS).contains(&self.threads) {
            return Err(Error::parameter(
                "threads",
                format!("from 1 to {MOST_THREADS}"),
                self.threads,
                "one a processor core at most",
            ));
        }
        Ok(())
    }

    /// Divides the fold's training part in two: images to train on, and images for early stopping. The part that scores
    /// is not used.
    ///
    /// Stratified where possible: the first rounds of a search by halving may have one image of a class, or fewer
    /// images for early stopping than there are classes.
    ///
    /// # Errors
    /// If one of the two would be empty.
    pub fn inner_split(&self, train: &Subset) -> Result<(Subset, Subset)> {
        let share = TestSize::Share(self.validation);
        let draw = |draw: Draw| train_test_split(&train.labels(), share, draw, self.fit.seed);
        let parts = draw(Draw::Stratified).or_else(|_| draw(Draw::Shuffled))?;
        let images = |positions: Vec<usize>| {
            let index = |position: usize| train.indices()[position];
            train.dataset().subset(positions.into_iter().map(index).collect())
        };
        Ok((images(parts.train)?, images(parts.test)?))
    }

    /// The data of this specification: what is loaded already, or the files.
    fn dataset(&self, loaded: Option<Dataset>) -> Result<Dataset> {
        // A file that images are read from on demand may have changed: it is loaded and checked again.
        let copied = |data: &Dataset| data.found_images().is_ok_and(|found| !found.in_file);
        let dataset = match loaded.filter(copied) {
            Some(dataset) if self.is_about(&dataset.info()?) => dataset,
            _ => Dataset::load(&self.data)?,
        };
        let info = dataset.info()?;
        if self.is_about(&info) {
            return Ok(dataset);
        }
        Err(Error::File {
            path: self.data.clone(),
            expected: format!(
                "X.npy and y.npy with SHA-256 {} and {}",
                self.x_sha256, self.y_sha256
            ),
            found: format!("{} and {}", info.x_sha256, info.y_sha256),
            advice: "start the search again on the data that are there now".to_owned(),
        })
    }

    /// Runs the trial in this process, which should do nothing else: it sets libtorch's number of threads.
    ///
    /// `loaded` keeps the data between trials: they are used again if they have the hashes of this specification.
    ///
    /// # Errors
    /// If this code or the data are not those of the specification, a setting is out of range, or training fails.
    pub fn run(&self, loaded: &mut Option<Dataset>) -> Result<TrialResult> {
        if self.code != code_version() {
            return Err(Error::parameter(
                "code",
                format!("`{}`, that of this program", code_version()),
                format!("`{}`", clean_text(&self.code)),
                "`cargo xtask setup` builds the program anew",
            ));
        }
        self.check()?;
        tch::set_num_threads(self.threads as i32);
        let dataset = self.dataset(loaded.take())?;
        let (train, test) =
            (dataset.subset(self.train.to_vec())?, dataset.subset(self.test.to_vec())?);
        let (fit, validation) = self.inner_split(&train)?;
        let started = Instant::now();
        let network = self.network.network(dataset.image_shape(), dataset.classes());
        let mut model = network.build(self.fit.seed)?;
        let trained = model.fit_on_with(&fit, &validation, self.fit.clone(), self.callbacks());
        // A training that fails would fail again; one that is interrupted goes on from its checkpoint.
        if trained.as_ref().is_err_and(|error| !matches!(error, Error::Interrupted { .. })) {
            self.remove_checkpoint();
        }
        let history = trained?;
        let fit_seconds = started.elapsed().as_secs_f64();
        let started = Instant::now();
        let test = Score::of(&model, &test)?;
        let score_seconds = started.elapsed().as_secs_f64();
        let train = if self.return_train_score { Some(Score::of(&model, &train)?) } else { None };
        *loaded = Some(dataset);
        self.remove_checkpoint();
        let epochs = history.epochs.iter().map(Record::row);
        let pruned = self.cut.as_ref().is_some_and(|cut| cut.stops(epochs));
        let (id, origin) = (self.id(), Some(self.origin()));
        Ok(TrialResult { id, test, train, history, fit_seconds, score_seconds, pruned, origin })
    }
}

impl Checkpoint {
    /// The checkpoint of a search's trial.
    pub(super) fn of_search(folder: PathBuf) -> Checkpoint {
        Checkpoint { folder, seconds: SAVE_SECONDS }
    }
}

impl TrialSpec {
    /// The file of [`TrialSpec::checkpoint`].
    pub fn checkpoint_path(&self) -> Option<PathBuf> {
        let checkpoint = self.checkpoint.as_ref()?;
        Some(checkpoint.folder.join(format!("{}.safetensors", self.id())))
    }

    /// Removes its checkpoint, once its result is there; one that stays only takes space.
    pub(super) fn remove_checkpoint(&self) {
        if let Some(path) = self.checkpoint_path() {
            let _ = fs::remove_file(path);
        }
    }

    fn callbacks(&self) -> Callbacks {
        let mut callbacks = self.stage.as_ref().map(Stage::callbacks).unwrap_or_default();
        if let (Some(path), Some(checkpoint)) = (self.checkpoint_path(), &self.checkpoint) {
            let backup = BackupAndRestore::new(path).save_freq(usize::MAX);
            callbacks = callbacks.first(backup.save_seconds(checkpoint.seconds));
        }
        match &self.cut {
            Some(cut) => callbacks.with(cut.clone()),
            None => callbacks,
        }
    }
}

impl Stage {
    /// Callbacks that resume the training where the stage before ended, and stop it where this one ends.
    fn callbacks(&self) -> Callbacks {
        if let Some(before) = &self.resume_from
            && !self.checkpoint.exists()
        {
            // Without a checkpoint the training starts from the beginning. A checkpoint gets its name only when it is
            // complete: one that was cut off would be preferred to the one of the stage before.
            let _ = fs::read(before).map(|bytes| write_among_many(&self.checkpoint, &bytes));
        }
        let backup = BackupAndRestore::new(&self.checkpoint)
            .save_freq(self.epochs)
            .save_seconds(SAVE_SECONDS);
        Callbacks::default().with(StopAfter(self.epochs)).first(backup)
    }
}

/// Ends a training after this many epochs.
struct StopAfter(usize);

impl Callback for StopAfter {
    fn on_train_begin(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        self.on_epoch_end(training)
    }

    fn on_epoch_end(&mut self, training: &mut TrainingState<'_>) -> Result<()> {
        if training.epochs().len() >= self.0 {
            training.stop("the stage ends here");
        }
        Ok(())
    }
}

impl TrialResult {
    /// The result in this text, if it is complete and of the trial `id`.
    pub fn parse(text: &[u8], id: &str) -> Option<TrialResult> {
        serde_json::from_slice(text).ok().filter(|result: &TrialResult| result.id == id)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::architectures::DenseConfig;
    use crate::tuning::Network;

    fn sample() -> Dataset {
        Dataset::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample")).unwrap()
    }

    fn spec(dataset: &Dataset) -> TrialSpec {
        let info = dataset.info().unwrap();
        TrialSpec {
            code: code_version(),
            network: Network::Dense(DenseConfig { hidden: vec![16], ..DenseConfig::default() }),
            fit: FitConfig { epochs: 1, ..FitConfig::default() },
            data: dataset.folder().to_owned(),
            x_sha256: info.x_sha256,
            y_sha256: info.y_sha256,
            train: (0..300).collect(),
            test: (300..400).collect(),
            validation: 0.2,
            threads: 1,
            return_train_score: false,
            stage: None,
            cut: None,
            checkpoint: None,
        }
    }

    fn stage(epochs: usize) -> Option<Stage> {
        Some(Stage { epochs, checkpoint: PathBuf::new(), resume_from: None })
    }

    fn cut(least: f64) -> Option<Cut> {
        Some(Cut { scoring: Default::default(), after: 0, below: vec![least] })
    }

    #[test]
    fn everything_but_where_files_lie_makes_another_trial() {
        let spec = spec(&sample());
        let same = TrialSpec { data: PathBuf::from("elsewhere"), ..spec.clone() };
        assert_eq!(same.id(), spec.id());
        let [here, there] = ["here", "there"].map(|folder| {
            let stage =
                Stage { epochs: 1, checkpoint: folder.into(), resume_from: Some(folder.into()) };
            TrialSpec { stage: Some(stage), ..spec.clone() }.id()
        });
        assert_eq!(here, there);
        let kept =
            TrialSpec { checkpoint: Some(Checkpoint::of_search("here".into())), ..spec.clone() };
        assert_eq!(kept.id(), spec.id());
        let path = Path::new("here").join(format!("{}.safetensors", spec.id()));
        assert_eq!((kept.checkpoint_path(), spec.checkpoint_path()), (Some(path), None));
        assert_eq!(spec.id().len(), 64);
        let others = [
            TrialSpec { code: "other".into(), ..spec.clone() },
            TrialSpec { network: Network::default(), ..spec.clone() },
            TrialSpec { fit: FitConfig { seed: 1, ..spec.fit.clone() }, ..spec.clone() },
            TrialSpec { x_sha256: "0".into(), ..spec.clone() },
            TrialSpec { y_sha256: "0".into(), ..spec.clone() },
            TrialSpec { train: (1..300).collect(), ..spec.clone() },
            TrialSpec { test: (300..399).collect(), ..spec.clone() },
            TrialSpec { validation: 0.25, ..spec.clone() },
            TrialSpec { threads: 2, ..spec.clone() },
            TrialSpec { return_train_score: true, ..spec.clone() },
            TrialSpec { cut: cut(0.5), ..spec.clone() },
            TrialSpec { cut: cut(0.6), ..spec.clone() },
            TrialSpec { stage: stage(1), ..spec.clone() },
            TrialSpec { stage: stage(2), ..spec.clone() },
        ];
        let ids: BTreeSet<String> = others.iter().chain([&spec]).map(TrialSpec::id).collect();
        assert_eq!(ids.len(), others.len() + 1);
    }

    #[test]
    fn a_stage_goes_on_from_a_whole_checkpoint_or_from_none() {
        let folder = tempfile::tempdir().unwrap();
        let [before, checkpoint] = ["before", "now"].map(|name| folder.path().join(name));
        let length = 64 << 20;
        fs::write(&before, vec![7; length]).unwrap();
        let stage = Stage { epochs: 2, checkpoint, resume_from: Some(before) };
        std::thread::scope(|scope| {
            let copy = scope.spawn(|| drop(stage.callbacks()));
            while !copy.is_finished() {
                let seen = fs::metadata(&stage.checkpoint).map(|about| about.len() as usize);
                assert!(seen.is_err() || seen.is_ok_and(|seen| seen == length), "it is cut off");
            }
        });
        assert_eq!(fs::metadata(&stage.checkpoint).unwrap().len() as usize, length);
    }

    #[test]
    fn a_specification_survives_json() {
        let spec = spec(&sample());
        let text = serde_json::to_string(&spec).unwrap();
        let again: TrialSpec = serde_json::from_str(&text).unwrap();
        assert_eq!((&again, again.id()), (&spec, spec.id()));
    }

    #[test]
    fn a_row_that_trains_and_scores_is_refused() {
        let leak = TrialSpec { test: (299..400).collect(), ..spec(&sample()) };
        let text = leak.check().unwrap_err().to_string();
        assert!(
            text.starts_with("`test` must be rows that are not in `train`, got row 299"),
            "{text}"
        );
    }

    #[test]
    fn early_stopping_sees_the_training_part_alone() {
        let dataset = sample();
        let spec = spec(&dataset);
        let train = dataset.subset(spec.train.to_vec()).unwrap();
        let (fit, validation) = spec.inner_split(&train).unwrap();
        assert_eq!((fit.len(), validation.len()), (240, 60));
        let mut both: Vec<usize> = [fit.indices(), validation.indices()].concat();
        both.sort_unstable();
        assert_eq!(both[..], spec.train[..]);
    }

    #[test]
    fn other_code_and_other_data_are_refused() {
        let spec = spec(&sample());
        let other = TrialSpec { code: "older".into(), ..spec.clone() };
        assert!(other.run(&mut None).unwrap_err().to_string().contains("`cargo xtask setup`"));
        let other = TrialSpec { x_sha256: "ab".into(), ..spec };
        let text = other.run(&mut None).unwrap_err().to_string();
        assert!(text.contains("expected X.npy and y.npy with SHA-256 ab and "), "{text}");
    }
}
