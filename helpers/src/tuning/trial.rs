//! One trial of a search: a network trained on one fold's training part and scored on the part held out.
//!
//! A trial is a process of its own, the program `trial` of this package: `trial < spec.json > result.json`, a
//! [`TrialSpec`] in, a [`TrialResult`] out, exit code 0 only with a whole result, and words for people on stderr. So
//! trials side by side each have libtorch's one random generator for themselves, survive each other's faults, and run
//! wherever something can start a program: [`Launcher`] is all that a search knows of it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::grid::Parameters;
use crate::artifacts::code_version;
use crate::data::split::{Draw, TestSize, train_test_split};
use crate::data::{Dataset, ImageShape, Subset};
use crate::error::{Error, Result};
use crate::models::{CnnConfig, DenseConfig, Initializer, Sequential};
use crate::text::{clean_text, shown_path};
use crate::training::{FitConfig, History};

/// The network that is tuned, with the settings that the grid leaves alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// The dense network of notebook 4.
    Dense(DenseConfig),
    /// The convolutional network of notebook 6.
    Cnn(CnnConfig),
}

impl Default for Network {
    fn default() -> Network {
        Network::Dense(DenseConfig::default())
    }
}

impl Network {
    /// The network of this name, `dense` or `cnn`, with its default settings.
    ///
    /// # Errors
    /// If the name is neither.
    pub fn from_name(name: &str) -> Result<Network> {
        match name {
            "dense" => Ok(Network::Dense(DenseConfig::default())),
            "cnn" => Ok(Network::Cnn(CnnConfig::default())),
            other => Err(Error::parameter(
                "network",
                "`dense` or `cnn`",
                format!("`{}`", clean_text(other)),
                "`dense` is the baseline of notebook 4",
            )),
        }
    }

    /// `dense` or `cnn`.
    pub fn name(&self) -> &'static str {
        match self {
            Network::Dense(_) => "dense",
            Network::Cnn(_) => "cnn",
        }
    }

    /// The layers for images of this shape.
    pub fn network(&self, shape: ImageShape, classes: usize) -> Sequential {
        match self {
            Network::Dense(config) => config.network(shape, classes),
            Network::Cnn(config) => config.network(shape, classes),
        }
    }

    /// This network and this training with the given parameters in place of their own.
    ///
    /// A name is a field of the network's settings ([`DenseConfig`], [`CnnConfig`]) or of [`FitConfig`];
    /// `kernel_initializer` also takes Keras's names for the initializers.
    ///
    /// # Errors
    /// If a name is a field of neither, or its value does not fit.
    pub fn with(&self, fit: &FitConfig, params: &Parameters) -> Result<(Network, FitConfig)> {
        let (mut network, mut fit) = (self.clone(), fit.clone());
        for (name, value) in params {
            let mut value = value.clone();
            if let ("kernel_initializer", Value::String(text)) = (name.as_str(), &value) {
                value = as_json(&Initializer::from_name(text)?);
            }
            let known = match &mut network {
                Network::Dense(config) => set(config, name, &value)?,
                Network::Cnn(config) => set(config, name, &value)?,
            };
            if !known && !set(&mut fit, name, &value)? {
                return Err(Error::parameter(
                    "param_grid",
                    format!("names among {}", self.names(&fit).join(", ")),
                    format!("`{}`", clean_text(name)),
                    format!("these are the settings of the {} network and of `fit`", self.name()),
                ));
            }
        }
        Ok((network, fit))
    }

    /// Every name that [`Network::with`] takes.
    fn names(&self, fit: &FitConfig) -> Vec<String> {
        let own = match self {
            Network::Dense(config) => as_json(config),
            Network::Cnn(config) => as_json(config),
        };
        let maps = [own, as_json(fit)];
        maps.iter().filter_map(Value::as_object).flat_map(|map| map.keys().cloned()).collect()
    }
}

fn as_json(config: &impl Serialize) -> Value {
    serde_json::to_value(config).expect("settings are plain values")
}

/// Sets one field; gives whether there is one of this name.
fn set<T: Serialize + DeserializeOwned>(config: &mut T, name: &str, value: &Value) -> Result<bool> {
    let mut map = as_json(config);
    let Some(field) = map.get_mut(name) else { return Ok(false) };
    *field = value.clone();
    *config = serde_json::from_value(map).map_err(|error| {
        Error::parameter(
            "param_grid",
            format!("a value that fits `{}`", clean_text(name)),
            clean_text(&value.to_string()),
            clean_text(&error.to_string()),
        )
    })?;
    Ok(true)
}

/// More threads than any machine has processor cores; libtorch would start as many as it is told, and abort.
const MOST_THREADS: usize = 1024;

/// Everything that one trial depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialSpec {
    /// The code that must run it, as [`code_version`] says.
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
    pub train: Vec<usize>,
    /// Rows of X.npy that score, and do nothing else.
    pub test: Vec<usize>,
    /// Share of `train` that steers early stopping, above 0 and below 1.
    pub validation: f64,
    /// Threads to compute with: their number is part of the result's last digits.
    pub threads: usize,
    /// Whether the part that was learnt from is scored, too.
    pub return_train_score: bool,
}

/// Loss and accuracy on one part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Images scored.
    pub images: usize,
    /// Mean cross-entropy.
    pub loss: f64,
    /// Share of images that are right, in 0..=1.
    pub accuracy: f64,
}

/// What one trial found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialResult {
    /// The trial's [`TrialSpec::id`].
    pub id: String,
    /// On the part held out.
    pub test: Score,
    /// On the fold's training part, where that was asked for.
    pub train: Option<Score>,
    /// The training, epoch by epoch; its validation part is the inner one.
    pub history: History,
    /// Seconds of building and training.
    pub fit_seconds: f64,
    /// Seconds of scoring the part held out.
    pub score_seconds: f64,
}

impl TrialSpec {
    /// SHA-256 of everything but the folder's name: two trials of one id have one result.
    pub fn id(&self) -> String {
        let identity = TrialSpec { data: PathBuf::new(), ..self.clone() };
        let text = serde_json::to_string(&identity).expect("a specification is plain values");
        format!("{:x}", Sha256::digest(text))
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

    /// The fold's training part in two: what is learnt from, and what steers early stopping. The part that scores
    /// plays no role.
    ///
    /// # Errors
    /// If the share leaves a part empty or without one of the classes.
    pub fn inner_split(&self, train: &Subset) -> Result<(Subset, Subset)> {
        let share = TestSize::Share(self.validation);
        let parts = train_test_split(&train.labels(), share, Draw::Stratified, self.fit.seed)?;
        let images = |places: Vec<usize>| {
            train.dataset().subset(places.into_iter().map(|place| train.indices()[place]).collect())
        };
        Ok((images(parts.train)?, images(parts.test)?))
    }

    /// Runs the trial in this process, which should have nothing else to do: it sets libtorch's threads.
    ///
    /// # Errors
    /// If this is other code than the specification asks for, the data are others, a setting is out of range, or
    /// training fails.
    pub fn run(&self) -> Result<TrialResult> {
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
        let dataset = Dataset::load(&self.data)?;
        let info = dataset.info();
        if (&info.x_sha256, &info.y_sha256) != (&self.x_sha256, &self.y_sha256) {
            return Err(Error::File {
                path: self.data.clone(),
                expected: format!(
                    "X.npy and y.npy with SHA-256 {} and {}",
                    self.x_sha256, self.y_sha256
                ),
                found: format!("{} and {}", info.x_sha256, info.y_sha256),
                advice: "start the search again on the data that are there now".to_owned(),
            });
        }
        let (train, test) =
            (dataset.subset(self.train.clone())?, dataset.subset(self.test.clone())?);
        let (fit, validation) = self.inner_split(&train)?;
        let started = Instant::now();
        let network = self.network.network(dataset.image_shape(), dataset.classes());
        let mut model = network.build(self.fit.seed)?;
        let history = model.fit_on(&fit, &validation, self.fit.clone())?;
        let fit_seconds = started.elapsed().as_secs_f64();
        let score = |part: &Subset| -> Result<Score> {
            let scored = model.evaluate(part)?;
            Ok(Score { images: scored.images, loss: scored.loss, accuracy: scored.accuracy })
        };
        let started = Instant::now();
        let test = score(&test)?;
        let score_seconds = started.elapsed().as_secs_f64();
        let train = if self.return_train_score { Some(score(&train)?) } else { None };
        Ok(TrialResult { id: self.id(), test, train, history, fit_seconds, score_seconds })
    }
}

impl TrialResult {
    /// The result that this text holds, if it is a whole one of the trial `id`.
    pub fn parse(text: &[u8], id: &str) -> Option<TrialResult> {
        serde_json::from_slice(text).ok().filter(|result: &TrialResult| result.id == id)
    }
}

/// What runs trials: the local processes of [`LocalProcesses`], or a bridge to an engine of your own.
///
/// The search calls it from several threads at once.
pub trait Launcher: Sync {
    /// Runs one trial to its end.
    ///
    /// # Errors
    /// In one line for people: what went wrong.
    fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String>;
}

/// Trials as processes on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalProcesses {
    program: PathBuf,
}

/// The variable that names another program than the one set-up makes.
pub const TRIAL_PROGRAM: &str = "TRIAL_PROGRAM";

impl LocalProcesses {
    /// The program that `cargo xtask setup` made, or the one that the variable [`TRIAL_PROGRAM`] names.
    ///
    /// # Errors
    /// If it is not there, or was made from other sources than this code.
    pub fn find() -> Result<LocalProcesses> {
        let made = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/trial");
        let processes =
            LocalProcesses::new(std::env::var_os(TRIAL_PROGRAM).map_or_else(made, PathBuf::from));
        processes.check()?;
        Ok(processes)
    }

    /// This program, as it is.
    pub fn new(program: impl Into<PathBuf>) -> LocalProcesses {
        LocalProcesses { program: program.into() }
    }

    /// Asks the program which code it was made from.
    fn check(&self) -> Result<()> {
        let refuse = |problem: String| Error::TrialProgram { path: self.program.clone(), problem };
        let output = Command::new(&self.program)
            .arg("--code")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| refuse(error.to_string()))?;
        let code = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(refuse(what_went_wrong(output.status, &output.stderr)));
        }
        if code.trim() != code_version() {
            return Err(refuse(
                "it was built from other sources than this notebook's helpers".to_owned(),
            ));
        }
        Ok(())
    }
}

impl Launcher for LocalProcesses {
    fn run(&self, spec: &TrialSpec) -> Result<TrialResult, String> {
        let text = serde_json::to_vec(spec).map_err(|error| error.to_string())?;
        let mut child = Command::new(&self.program)
            .env("OMP_NUM_THREADS", spec.threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", shown_path(&self.program)))?;
        // The program reads all before it writes. One that ended already says why itself.
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(&text);
        }
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(what_went_wrong(output.status, &output.stderr));
        }
        TrialResult::parse(&output.stdout, &spec.id()).ok_or_else(|| {
            "the program ended well and printed no whole result of this trial".to_owned()
        })
    }
}

/// The program's own message, or how it ended.
fn what_went_wrong(status: std::process::ExitStatus, stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    if let Some(message) = lines().rev().find_map(|line| line.strip_prefix("error: ")) {
        return clean_text(message);
    }
    let last = lines().next_back().unwrap_or("it printed nothing");
    clean_text(&format!("the program ended with {status}: {last}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tuning::ParameterGrid;

    fn sample() -> Dataset {
        Dataset::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/sample")).unwrap()
    }

    fn spec(dataset: &Dataset) -> TrialSpec {
        let info = dataset.info();
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
        }
    }

    fn with(network: &str, grid: ParameterGrid) -> Result<(Network, FitConfig)> {
        let params = grid.combinations()?.remove(0);
        Network::from_name(network)?.with(&FitConfig::default(), &params)
    }

    #[test]
    fn parameters_reach_the_network_and_the_training() {
        let grid = ParameterGrid::new()
            .parameter("dropout", [0.25])
            .parameter("kernel_initializer", ["random_normal"])
            .parameter("batch_size", [64]);
        for name in ["dense", "cnn"] {
            let (network, fit) = with(name, grid.clone()).unwrap();
            let (dropout, initializer) = match network {
                Network::Dense(config) => (config.dropout, config.kernel_initializer),
                Network::Cnn(config) => (config.dropout, config.kernel_initializer),
            };
            assert_eq!((dropout, fit.batch_size), (0.25, 64));
            assert_eq!(initializer, Initializer::RandomNormal { stddev: 0.05 });
        }
    }

    #[test]
    fn a_name_that_nothing_has_is_refused_with_those_there_are() {
        let text =
            with("dense", ParameterGrid::new().parameter("droput", [0.1])).unwrap_err().to_string();
        assert!(
            text.contains("dropout, hidden, kernel_initializer, ") && text.contains("`droput`"),
            "{text}"
        );
        let text = with("cnn", ParameterGrid::new().parameter("dropout", ["much"]))
            .unwrap_err()
            .to_string();
        assert!(text.contains("a value that fits `dropout`, got \"much\""), "{text}");
        let grid = ParameterGrid::new().parameter("kernel_initializer", ["he"]);
        let text = with("dense", grid).unwrap_err().to_string();
        assert!(text.contains("one of zeros, ones") && text.contains("got \"he\""), "{text}");
        assert!(
            with("forest", ParameterGrid::new())
                .unwrap_err()
                .to_string()
                .contains("`dense` or `cnn`")
        );
    }

    #[test]
    fn everything_but_the_folder_makes_another_trial() {
        let spec = spec(&sample());
        let same = TrialSpec { data: PathBuf::from("elsewhere"), ..spec.clone() };
        assert_eq!(same.id(), spec.id());
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
        ];
        let ids: BTreeSet<String> = others.iter().chain([&spec]).map(TrialSpec::id).collect();
        assert_eq!(ids.len(), others.len() + 1);
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
        let train = dataset.subset(spec.train.clone()).unwrap();
        let (fit, validation) = spec.inner_split(&train).unwrap();
        assert_eq!((fit.len(), validation.len()), (240, 60));
        let mut both: Vec<usize> = [fit.indices(), validation.indices()].concat();
        both.sort_unstable();
        assert_eq!(both, spec.train);
    }

    #[test]
    fn other_code_and_other_data_are_refused() {
        let spec = spec(&sample());
        let other = TrialSpec { code: "older".into(), ..spec.clone() };
        assert!(other.run().unwrap_err().to_string().contains("`cargo xtask setup`"));
        let other = TrialSpec { x_sha256: "ab".into(), ..spec };
        let text = other.run().unwrap_err().to_string();
        assert!(text.contains("expected X.npy and y.npy with SHA-256 ab and "), "{text}");
    }

    #[test]
    fn a_program_that_is_not_there_names_the_command_that_makes_it() {
        let text = LocalProcesses::new("nowhere/trial").check().unwrap_err().to_string();
        assert!(text.contains("nowhere/trial") && text.contains("`cargo xtask setup`"), "{text}");
    }
}
