//! The command line: the commands, their help texts, and how they are parsed.

use std::ffi::OsString;
use std::str::FromStr;

use crate::failure::Failure;

xflags::xflags! {
    /// Set-up, runs, export, tests and benchmark of the notebooks.
    cmd xtask {
        /// Set up, fetch the data, run all notebooks in order, write the HTML submission to export/.
        cmd submission {
            /// A small sample and few epochs, results in export/quick; minutes.
            optional --quick
            /// Skip the notebooks whose inputs have not changed since their last good run.
            optional --resume
            /// Set a parameter, as in `run`: with `-p data FOLDER` the results of your own data go to FOLDER/export.
            repeated -p,--parameter name_value: Parameter
            /// What stands at the head of the submission; `Deep learning on image data` unless told otherwise.
            optional --title text: String
            /// Who hands it in; stands under the title.
            optional --author name: String
            /// For which course; stands under the title.
            optional --course name: String
        }
        /// Set up, then run every test: format, lints, Rust, Python, quick notebooks (on imported pictures, and killed, too),
        /// pages in a browser.
        cmd test {
            /// Leave out what needs a browser, and say so at the end.
            optional --no-browser
            /// How often the second quick submission is killed before its results are compared with the first's, the
            /// last time at its pages; 3 unless told otherwise, 0 leaves it out.
            optional --kills n: Kills
        }
        /// Make everything that notebooks and tests need, in .tools/; skips what is up to date.
        cmd setup {
            /// libtorch with CUDA (the default where nvidia-smi answers).
            optional --cuda
            /// libtorch without CUDA, whatever the machine has.
            optional --cpu
        }
        /// Say what is there, in which version, and what to do about the rest; changes nothing.
        cmd doctor {}
        /// Fetch Fashion-MNIST as data/X.npy and data/y.npy; somebody's own files are left alone.
        cmd data {
            /// Also make data/sample again, the 4,000 images that the repository holds.
            optional --sample
        }
        /// Make X.npy and y.npy: from a folder with a subfolder of pictures for each class, from a CSV file (a picture and
        /// its class in each row), from an .npz file, or from MNIST's own files.
        cmd import {
            required source: OsString
            /// Pixels a side of each picture; 96 unless told otherwise.
            optional --size pixels: OsString
            /// Grey pictures instead of coloured ones.
            optional --grey
            /// What becomes of a picture that is no square: `crop` (the default), `pad` or `stretch`.
            optional --fit how: OsString
            /// Where the files go, data/ unless told otherwise; what is there is never overwritten.
            optional --into folder: OsString
            /// The name of the images in an .npz file, where it is no usual one.
            optional --images name: OsString
            /// The name of the labels in it; of MNIST's files the one with the labels.
            optional --labels name: OsString
        }
        /// Say what a trained model sees in pictures (JPEG, PNG, …) or in arrays like X.npy: classes and probabilities.
        cmd predict {
            /// `cnn` means export/models/cnn.safetensors.
            required model: OsString
            repeated picture: OsString
            /// JSON instead of a table.
            optional --json
            /// Draw the first 40 with what the model says, to this PNG file.
            optional --plot file: OsString
            /// Write all that comes out, a row for each picture, for `np.load`; of a model that restores images the images.
            optional --array file: OsString
            /// So many classes for each picture, the most probable first; 3 unless told otherwise.
            optional --top number: OsString
            /// What becomes of a picture of another shape: `crop` (the default), `pad` or `stretch`.
            optional --fit how: OsString
            /// Make light dark and dark light first: for photos on white where the model has learnt from pictures on black.
            optional --invert
            /// Compute in 32 bits, whatever the model was trained in.
            optional --float32
            /// The model of a quick run, from export/quick/models.
            optional --quick
        }
        /// Write a trained model for other programs: ONNX, which takes bytes as in X.npy and gives probabilities.
        cmd export-model {
            /// `cnn` means export/models/cnn.safetensors.
            required model: OsString
            /// ONNX, the only format so far and the default.
            optional --onnx
            /// The file to write; beside the model unless told otherwise.
            optional --into file: OsString
            /// The model of a quick run, from export/quick/models.
            optional --quick
        }
        /// Set up, fetch the data, then open JupyterLab on the notebooks; what follows goes to JupyterLab.
        cmd lab {
            repeated option: OsString
        }
        /// Show the trainings in TensorBoard, on this machine alone: their epochs, settings, and trials of searches.
        cmd board {
            /// Those of quick runs, in export/quick.
            optional --quick
            /// The port of its page; 6006 unless told otherwise.
            optional --port number: u16
        }
        /// Set up, then change which crates notebooks find compiled: `add CRATE[@VERSION]`, `remove CRATE`, `list`.
        cmd kernel {
            required action: Action
            optional name: String
        }
        /// Run notebooks headless; without a name all of them, and write the HTML pages. `06` is enough for 06_cnn_training.
        cmd run {
            repeated notebook: String
            /// Set a parameter, `-p NAME VALUE`, in those of the notebooks that have it; may be repeated. A relative
            /// path is taken from the folder where the command is given. With `-p data FOLDER` and no `-p export` the results
            /// of your own data go to FOLDER/export; those of the project's data stay.
            repeated -p,--parameter name_value: Parameter
            /// A small sample and few epochs, results in export/quick; minutes.
            optional --quick
            /// Skip the notebooks whose inputs have not changed since their last good run.
            optional --resume
            /// Run the trials of searches on the Dask cluster with this address, `tcp://host:8786`.
            optional --cluster address: String
        }
        /// Train again with other seeds (1 and 2 unless told otherwise), and write the scores of all to export/seeds.json.
        cmd seeds {
            repeated seed: u64
            /// Notebook 10 as well, which takes about as long as all others together.
            optional --search
            /// A small sample and few epochs, results in export/quick; minutes.
            optional --quick
        }
        /// Write the HTML pages anew from the executed notebooks in export/.
        cmd export {
            /// Those in export/quick.
            optional --quick
            /// Those in this folder, or in `export` below it: the results of your own data.
            optional --from folder: OsString
            /// What stands at the head of the submission; `Deep learning on image data` unless told otherwise.
            optional --title text: String
            /// Who hands it in; stands under the title.
            optional --author name: String
            /// For which course; stands under the title.
            optional --course name: String
            /// Print submission.pdf, too, in Chromium or Chrome.
            optional --pdf
        }
        /// Set up the peers, then measure helpers against scikit-learn, Keras and PyTorch; to export/bench.json.
        cmd bench {
            /// How often each side runs, in turn with the others; 3 unless told otherwise.
            optional --rounds n: Rounds
            /// One part alone: ceilings, grid_search, dense, cnn, autoencoder, transfer, features, time_to_accuracy,
            /// busy, threads, layers, cells, opening, search_scale or growth.
            optional --only part: String
            /// Leave out the peers of a network that have this in their name: `compiled`, which takes minutes.
            optional --without word: String
            /// `cells` also with evcxr_jupyter as `cargo install` gives it: minutes a round.
            optional --stock
            /// A small sample and one round, to see that all sides run; results in export/quick.
            optional --quick
        }
        /// Remove what runs leave behind: logs, half-run notebooks, export/quick, sessions of kernels, what trainings and
        /// searches would go on from (export/checkpoints, export/trials), and the outputs that JupyterLab has saved in
        /// notebooks/01 to 11; cells stay as they are.
        cmd clean {
            /// Everything that is not in a fresh clone: also .tools/, target/, the fetched data, trained models
            /// (export/models), runs on a part of the images (export/sample_4000), export/seeds and
            /// export/submission.pdf. Your own data stays.
            optional --all
        }
    }
}

/// A notebook's parameter and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Parameter {
    type Err = String;

    fn from_str(text: &str) -> Result<Parameter, String> {
        let (name, value) = text.split_once('=').ok_or("it takes two words: -p NAME VALUE")?;
        Ok(Parameter { name: name.to_owned(), value: value.to_owned() })
    }
}

/// What to do with the crates that the kernel's warm build includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Add,
    Remove,
    List,
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Action, String> {
        match text {
            "add" => Ok(Action::Add),
            "remove" => Ok(Action::Remove),
            "list" => Ok(Action::List),
            _ => Err(format!("it takes `add`, `remove` or `list`, got `{text}`")),
        }
    }
}

/// The number of kills of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kills(pub(crate) usize);

impl FromStr for Kills {
    type Err = String;

    fn from_str(text: &str) -> Result<Kills, String> {
        let number =
            text.parse().map_err(|_| format!("it takes a whole number from 0 up, got `{text}`"))?;
        Ok(Kills(number))
    }
}

/// The number of runs of each side of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rounds(pub(crate) usize);

impl FromStr for Rounds {
    type Err = String;

    fn from_str(text: &str) -> Result<Rounds, String> {
        match text.parse() {
            Ok(number) if number >= 1 => Ok(Rounds(number)),
            _ => Err(format!("it takes a whole number from 1 up, got `{text}`")),
        }
    }
}

/// Why a command line cannot be run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The user requested help.
    Help(String),
    /// The command line is wrong.
    Wrong(String),
}

/// Parses the words after `cargo xtask`.
///
/// # Errors
/// A text for the user: the requested help, or what is wrong.
pub(crate) fn read(words: impl IntoIterator<Item = OsString>) -> Result<XtaskCmd, Refusal> {
    let words: Vec<OsString> = words.into_iter().collect();
    let is_help = |word: &OsString| ["-h", "--help"].iter().any(|help| word == help);
    let name = words.first().map_or("help".into(), |word| word.to_string_lossy());
    if name == "help" || is_help(&words[0]) {
        let command = words.get(1).and_then(|word| help_of(&word.to_string_lossy()));
        return Err(Refusal::Help(command.unwrap_or_else(overview)));
    }
    let Some(help) = help_of(&name) else {
        let names: Vec<&str> = sections().map(|(name, _)| name).collect();
        return Err(Refusal::Wrong(format!(
            "there is no command `{name}`; there are {}",
            names.join(", ")
        )));
    };
    // Words after `--` are for another program.
    if words.iter().take_while(|word| *word != "--").any(is_help) {
        return Err(Refusal::Help(help));
    }
    let name = name.into_owned();
    match Xtask::from_vec(prepared(words)) {
        Ok(flags) => Ok(flags.subcommand),
        Err(error) => Err(Refusal::Wrong(format!("cargo xtask {name}: {error}\n\n{help}"))),
    }
}

/// The words in the form that xflags parses: it has no flags with two values, and does not stop at JupyterLab's flags.
fn prepared(words: Vec<OsString>) -> Vec<OsString> {
    let mut prepared: Vec<OsString> = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "-p" || word == "--parameter" {
            prepared.push(word);
            let mut pair = words.next();
            if let (Some(pair), Some(value)) = (&mut pair, words.next()) {
                pair.push("=");
                pair.push(value);
            }
            prepared.extend(pair);
        } else {
            prepared.push(word);
        }
        if prepared == ["lab"] {
            prepared.push("--".into());
            prepared.extend(words.by_ref().skip_while(|word| word == "--"));
        }
    }
    prepared
}

/// Each command with its section of xflags' help.
fn sections() -> impl Iterator<Item = (&'static str, &'static str)> {
    let commands = Xtask::HELP_.split("\nxtask ").skip(1);
    commands.map(|section| section.split_once('\n').unwrap_or((section, "")))
}

fn help_of(command: &str) -> Option<String> {
    let (name, section) = sections().find(|(name, _)| *name == command)?;
    Some(format!("usage: cargo xtask {name}\n{}", section.trim_end()))
}

fn overview() -> String {
    let mut text = "usage: cargo xtask COMMAND\n\n".to_owned();
    for (name, section) in sections() {
        // The description, up to the first empty line.
        let lines = section.lines().take_while(|line| !line.trim().is_empty());
        let description: Vec<&str> = lines.map(str::trim).collect();
        text.push_str(&format!("  {name:<12} {}\n", description.join(" ")));
    }
    text + "\n`cargo xtask help COMMAND` lists the options of a command."
}

impl Setup {
    /// Whether libtorch is the one with CUDA; none if the machine decides.
    ///
    /// # Errors
    /// If the user requested both.
    pub(crate) fn wants_cuda(&self) -> Result<Option<bool>, Failure> {
        match (self.cuda, self.cpu) {
            (true, true) => Err(Failure::new("`--cuda` and `--cpu` exclude each other")),
            (false, false) => Ok(None),
            (cuda, _) => Ok(Some(cuda)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(line: &str) -> Result<XtaskCmd, Refusal> {
        read(line.split_whitespace().map(OsString::from))
    }

    fn run(line: &str) -> Run {
        match given(line) {
            Ok(XtaskCmd::Run(run)) => run,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn parameters_take_two_words_and_may_be_repeated() {
        let run = run("run 06 -p epochs 3 -p seed 1 --quick 07");
        let pair =
            |name: &str, value: &str| Parameter { name: name.to_owned(), value: value.to_owned() };
        assert_eq!(run.parameter, [pair("epochs", "3"), pair("seed", "1")]);
        assert_eq!(run.notebook, ["06", "07"]);
        assert!(run.quick && !run.resume);
    }

    #[test]
    fn an_option_takes_one_word() {
        let Ok(XtaskCmd::Bench(bench)) = given("bench --rounds 5 --only grid_search --quick")
        else {
            panic!("not read")
        };
        assert_eq!((bench.rounds, bench.only.as_deref()), (Some(Rounds(5)), Some("grid_search")));
        assert!(bench.quick && !bench.stock);
    }

    #[test]
    fn a_value_may_look_like_a_flag_or_hold_an_equals_sign() {
        let run = run("run -p noise -0.5 -p name a=b");
        assert_eq!(run.parameter[0].value, "-0.5");
        assert_eq!(run.parameter[1].value, "a=b");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong = |line: &str| match given(line) {
            Err(Refusal::Wrong(text)) => text,
            other => panic!("{other:?}"),
        };
        assert!(wrong("run -p epochs").contains("it takes two words: -p NAME VALUE"));
        assert!(wrong("run -p").contains("expected a value for `-p`"));
        assert!(
            wrong("tset").starts_with("there is no command `tset`; there are submission, test,")
        );
        let text = wrong("test --quick");
        assert!(
            text.starts_with(
                "cargo xtask test: unexpected flag: `--quick`\n\nusage: cargo xtask test\n"
            ),
            "{text}"
        );
        assert!(text.contains("--kills <n>"), "{text}");
        assert!(wrong("setup now").contains("unexpected argument: \"now\""));
        assert!(wrong("test --kills").contains("expected a value for `--kills`"));
        assert!(wrong("bench --rounds").contains("expected a value for `--rounds`"));
        assert!(wrong("clean --everything").contains("unexpected flag: `--everything`"));
    }

    #[test]
    fn a_wrong_number_is_refused_with_what_is_right() {
        let wrong = |flag: &str, number: &str| {
            let words = flag.split(' ').chain([number]).map(OsString::from);
            match read(words) {
                Err(Refusal::Wrong(text)) => text,
                other => panic!("{other:?}"),
            }
        };
        for number in ["x", "", "-1", "2.5", "99999999999999999999"] {
            let text = wrong("test --kills", number);
            assert!(text.contains(&format!("a whole number from 0 up, got `{number}`")), "{text}");
        }
        for number in ["x", "", "0", "-1", "1.5", "99999999999999999999"] {
            let text = wrong("bench --rounds", number);
            assert!(text.contains(&format!("a whole number from 1 up, got `{number}`")), "{text}");
        }
    }

    #[test]
    fn a_submission_has_a_title_an_author_and_a_course() {
        let words = [
            "export",
            "--title",
            "My work",
            "--author",
            "Ada Example",
            "--course",
            "Images",
            "--pdf",
        ];
        let Ok(XtaskCmd::Export(export)) = read(words.map(OsString::from)) else {
            panic!("not read")
        };
        assert_eq!(export.title.as_deref(), Some("My work"));
        assert_eq!(export.author.as_deref(), Some("Ada Example"));
        assert_eq!(export.course.as_deref(), Some("Images"));
        assert!(export.pdf && !export.quick);
        let Ok(XtaskCmd::Submission(submission)) =
            given("submission --quick --title Work --author Ada")
        else {
            panic!("not read")
        };
        assert_eq!(submission.title.as_deref(), Some("Work"));
        assert_eq!((submission.author.as_deref(), submission.course), (Some("Ada"), None));
    }

    #[test]
    fn a_submission_of_own_data_has_parameters() {
        let Ok(XtaskCmd::Submission(submission)) = given("submission -p data mine --author Ada")
        else {
            panic!("not read")
        };
        assert_eq!(submission.parameter[0].value, "mine");
        let Ok(XtaskCmd::Export(export)) = given("export --from mine --pdf") else {
            panic!("not read")
        };
        assert_eq!(export.from, Some("mine".into()));
    }

    #[test]
    fn an_import_has_a_source_and_its_options() {
        let Ok(XtaskCmd::Import(import)) = given("import pictures --size 64 --grey --into mine")
        else {
            panic!("not read")
        };
        assert_eq!((import.source, import.grey), ("pictures".into(), true));
        assert_eq!((import.size, import.into), (Some("64".into()), Some("mine".into())));
        assert!(matches!(given("import"), Err(Refusal::Wrong(_))));
    }

    #[test]
    fn a_prediction_has_a_model_and_pictures() {
        let Ok(XtaskCmd::Predict(predict)) = given("predict cnn a.png b.jpg --top 2 --json") else {
            panic!("not read")
        };
        assert_eq!((predict.model, predict.picture.len()), ("cnn".into(), 2));
        assert_eq!((predict.top, predict.json, predict.plot), (Some("2".into()), true, None));
        let Ok(XtaskCmd::ExportModel(export)) = given("export-model cnn --onnx --into c.onnx")
        else {
            panic!("not read")
        };
        assert_eq!((export.model, export.into), ("cnn".into(), Some("c.onnx".into())));
    }

    #[test]
    fn the_programs_behind_it_have_no_option_that_is_not_offered() {
        for (command, theirs) in [
            ("predict", include_str!("../../predict/src/flags.rs")),
            ("import", include_str!("../../import/src/flags.rs")),
        ] {
            let help = help_of(command).unwrap();
            let lines = theirs.lines().filter_map(|line| line.trim().strip_prefix("optional "));
            let options: Vec<&str> = lines.filter_map(|line| line.split(' ').next()).collect();
            assert!(options.len() > 4, "{options:?}");
            for option in options {
                assert!(help.contains(&format!("    {option}")), "{command} {option}");
            }
        }
    }

    #[test]
    fn jupyters_options_are_passed_on() {
        for line in ["lab --no-browser --port 8889", "lab -- --no-browser --port 8889"] {
            let Ok(XtaskCmd::Lab(lab)) = given(line) else { panic!("{line}") };
            assert_eq!(lab.option, ["--no-browser", "--port", "8889"], "{line}");
        }
        let Ok(XtaskCmd::Lab(lab)) = given("lab -- --help") else { panic!("not read") };
        assert_eq!(lab.option, ["--help"]);
    }

    #[test]
    fn the_help_of_clean_names_what_cannot_be_made_again_in_a_moment() {
        let Err(Refusal::Help(text)) = given("help clean") else { panic!("no help") };
        for folder in ["export/checkpoints", "export/trials", "export/quick"] {
            assert!(text.contains(folder), "{text}");
        }
    }

    #[test]
    fn asking_for_help_runs_nothing() {
        let names: Vec<&str> = sections().map(|(name, _)| name).collect();
        assert_eq!(names.len(), 16);
        for name in names {
            let Err(Refusal::Help(text)) = given(&format!("help {name}")) else { panic!("{name}") };
            assert!(text.starts_with(&format!("usage: cargo xtask {name}\n  ")), "{text}");
            for line in
                [format!("{name} --help"), format!("{name} -h"), format!("{name} --quick --help")]
            {
                assert!(matches!(given(&line), Err(Refusal::Help(same)) if same == text), "{line}");
            }
        }
        for line in ["", "help", "--help", "-h"] {
            let Err(Refusal::Help(text)) = given(line) else { panic!("{line}") };
            assert!(text.contains("  submission   Set up, fetch the data,"), "{text}");
        }
    }

    #[test]
    fn a_crate_is_added_by_its_name() {
        let Ok(XtaskCmd::Kernel(kernel)) = given("kernel add itertools@0.14") else { panic!() };
        assert_eq!((kernel.action, kernel.name.as_deref()), (Action::Add, Some("itertools@0.14")));
        let Err(Refusal::Wrong(text)) = given("kernel drop itertools") else { panic!() };
        assert!(text.contains("it takes `add`, `remove` or `list`, got `drop`"), "{text}");
    }

    #[test]
    fn cuda_and_no_cuda_exclude_each_other() {
        let wants = |line: &str| match given(line) {
            Ok(XtaskCmd::Setup(setup)) => setup.wants_cuda(),
            other => panic!("{other:?}"),
        };
        assert_eq!(wants("setup").unwrap(), None);
        assert_eq!(wants("setup --cpu").unwrap(), Some(false));
        assert_eq!(wants("setup --cuda").unwrap(), Some(true));
        assert!(
            wants("setup --cuda --cpu").unwrap_err().to_string().contains("exclude each other")
        );
    }
}
