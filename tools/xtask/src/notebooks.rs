//! `cargo xtask run`: notebooks, one after the other, through papermill.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::notebook::Notebook;
use crate::process;
use crate::project::{Project, files, is_hidden, remove, write_whole};
use crate::screen::{Screen, Step};
use crate::stamp::{hash_of, sha256, sha256_of_file};

/// What a quick run sets, in the notebooks that have the parameter.
const QUICK: [(&str, &str); 5] = [
    ("data", "../data/sample"),
    ("sample", "2000"),
    ("epochs", "3"),
    ("quick", "true"),
    ("export", "../export/quick"),
];

/// Seconds that one cell of a quick run may take; a full training may take hours.
const QUICK_CELL: &str = "900";

/// Which notebooks, and how.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) notebooks: Vec<Notebook>,
    parameters: Vec<(String, String)>,
    pub(crate) quick: bool,
    resume: bool,
    /// If these are all notebooks.
    whole: bool,
    /// Where results go, for those that must not be mixed with the usual ones.
    apart: Option<PathBuf>,
}

impl Plan {
    /// The notebooks that `names` mean (all of them if there is none), with the `given` parameters.
    ///
    /// # Errors
    /// If a name means no notebook, or none of the notebooks has one of the parameters.
    pub(crate) fn new(
        all: Vec<Notebook>,
        names: &[String],
        given: &[(String, String)],
        quick: bool,
        resume: bool,
    ) -> Result<Plan, Failure> {
        if all.is_empty() {
            return Err(Failure::new("there are no notebooks in notebooks/"));
        }
        let mut chosen = BTreeSet::new();
        for name in names {
            let word = Path::new(name).file_stem().unwrap_or_default().to_string_lossy();
            let means = |notebook: &Notebook| {
                notebook.name == word || notebook.name.starts_with(&format!("{word}_"))
            };
            let Some(index) = all.iter().position(means) else {
                let names: Vec<&str> = all.iter().map(|notebook| &*notebook.name).collect();
                return Err(Failure::new(format!("there is no notebook `{name}`"))
                    .advice(format!("take one of {}", names.join(", "))));
            };
            chosen.insert(index);
        }
        let whole = chosen.is_empty() || chosen.len() == all.len();
        let notebooks: Vec<Notebook> = all
            .into_iter()
            .enumerate()
            .filter(|(index, _)| chosen.is_empty() || chosen.contains(index))
            .map(|(_, notebook)| notebook)
            .collect();
        let known: BTreeSet<String> = notebooks.iter().flat_map(Notebook::parameters).collect();
        if let Some((name, _)) = given.iter().find(|(name, _)| !known.contains(name)) {
            let known: Vec<String> = known.into_iter().collect();
            return Err(Failure::new(format!("no parameter `{name}` in the notebooks to run"))
                .advice(format!("there are {}", known.join(", "))));
        }
        let mut parameters: Vec<(String, String)> = Vec::new();
        if quick {
            parameters.extend(QUICK.map(|(name, value)| (name.to_owned(), value.to_owned())));
            parameters.retain(|(name, _)| !given.iter().any(|(other, _)| other == name));
        }
        parameters.extend_from_slice(given);
        Ok(Plan { notebooks, parameters, quick, resume, whole, apart: None })
    }

    /// All notebooks, as quick as can be, on the X.npy and y.npy of somebody's own in `folder`; results go there, too.
    ///
    /// # Errors
    /// If there are no notebooks.
    pub(crate) fn on_own_data(
        all: Vec<Notebook>,
        project: &Project,
        folder: &Path,
    ) -> Result<Plan, Failure> {
        let seen = format!("../{}", project.show(folder));
        let export = format!("{seen}/export");
        let given = [("data", &*seen), ("export", &export), ("sample", "0"), ("epochs", "1")];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let plan = Plan::new(all, &[], &given, true, false)?;
        Ok(Plan { apart: Some(folder.join("export")), ..plan })
    }

    /// What tells its logs, half-run notebooks and memory from those of other runs, which may go on side by side.
    fn kind(&self) -> &'static str {
        match (&self.apart, self.quick) {
            (Some(_), _) => "own",
            (None, true) => "quick",
            (None, false) => "full",
        }
    }

    /// What `notebook` is given: only what it has.
    fn parameters_of(&self, notebook: &Notebook) -> Vec<(String, String)> {
        let known = notebook.parameters();
        let fits = |(name, _): &&(String, String)| known.contains(name);
        self.parameters.iter().filter(fits).cloned().collect()
    }

    /// If a notebook will read `data/` rather than what a parameter names.
    pub(crate) fn reads_full_data(&self) -> bool {
        !self.parameters.iter().any(|(name, _)| name == "data")
    }

    /// Where results go.
    pub(crate) fn export(&self, project: &Project) -> PathBuf {
        self.apart.clone().unwrap_or_else(|| export_folder(project, self.quick))
    }
}

pub(crate) fn export_folder(project: &Project, quick: bool) -> PathBuf {
    project.path(if quick { "export/quick" } else { "export" })
}

/// Runs the notebooks of `plan`, under [`Project::lock_runs`]; stops at the first that fails. `finished` hears of each that did not.
pub(crate) fn run(
    project: &Project,
    plan: &Plan,
    screen: &mut Screen,
    mut finished: impl FnMut(&Notebook),
) -> Result<(), Failure> {
    let mut memory = Memory::read(project, plan.kind());
    // A run of everything, begun anew, takes nothing from the last one.
    if plan.whole && !plan.resume {
        let folders = UNFINISHED.map(|name| plan.export(project).join(name));
        if let Some(told) = dropped(project, &folders) {
            println!("{told}");
        }
        for folder in folders {
            remove(&folder).map_err(|error| Failure::of_file("remove", &folder, &error))?;
        }
    }
    let shared = shared_inputs(project);
    let mut data = BTreeMap::new();
    for notebook in &plan.notebooks {
        let mut step = screen.step(&match plan.apart {
            Some(_) => format!("{}, own data", notebook.name),
            None => notebook.name.clone(),
        });
        let parameters = plan.parameters_of(notebook);
        let export = plan.export(project);
        let before = artifacts(&export);
        let folder = data_folder(&parameters);
        let data = data.entry(folder.to_owned()).or_insert_with(|| hash_of_data(project, folder));
        let inputs = inputs(notebook, &memory.made_before(notebook), &before);
        let key = key(notebook, &parameters, &[&shared, data], &inputs);
        let executed = export.join(format!("{}.ipynb", notebook.name));
        if plan.resume && executed.exists() && memory.is_fresh(notebook, &key, &before) {
            step.done("unchanged since its last run");
            finished(notebook);
            continue;
        }
        memory.forget(notebook);
        memory.write()?;
        run_one(project, &mut step, notebook, &parameters, &executed, plan)?;
        let after = artifacts(&export);
        let mut made: BTreeMap<String, String> = after;
        made.retain(|name, hash| before.get(name) != Some(hash) || memory.made(notebook, name));
        memory.keep(notebook, &key, made);
        memory.write()?;
        step.done("done");
        finished(notebook);
    }
    Ok(())
}

/// What is said when a run begins anew and drops what an earlier one kept to go on from; nothing if there is none.
fn dropped(project: &Project, folders: &[PathBuf]) -> Option<String> {
    let full = |folder: &&PathBuf| !files(folder).is_empty();
    let there: Vec<String> =
        folders.iter().filter(full).map(|folder| project.show(folder)).collect();
    (!there.is_empty()).then(|| {
        format!(
            "begins anew, without what an earlier run kept in {}; `--resume` would go on from there",
            there.join(" and ")
        )
    })
}

/// Runs one notebook and puts the executed copy to its place.
fn run_one(
    project: &Project,
    step: &mut Step,
    notebook: &Notebook,
    parameters: &[(String, String)],
    executed: &Path,
    plan: &Plan,
) -> Result<(), Failure> {
    let kind = plan.kind();
    let folder = project.tools("run").join(kind);
    fs::create_dir_all(&folder).map_err(|error| Failure::of_file("make", &folder, &error))?;
    let out = folder.join(format!("{}.ipynb", notebook.name));
    let mut papermill = jupyter(project, "papermill");
    // Paths relative to the root: they are kept in the executed notebook.
    papermill.arg(format!("notebooks/{}.ipynb", notebook.name)).arg(project.show(&out));
    papermill.args(["--progress-bar", "--log-output"]);
    // Killed with no time to end what it started, this program leaves none of it at work.
    papermill.env("NOTEBOOK_RUN_PARENT", std::process::id().to_string());
    if plan.quick {
        papermill.args(["--execution-timeout", QUICK_CELL]);
    }
    for (name, value) in parameters {
        papermill.args(["-p", name, value]);
    }
    let _ = fs::remove_file(&out);
    let log = format!("run-{kind}-{}", notebook.name);
    let (status, output) = process::observe(project, step, &mut papermill, &log, progress)?;
    if status.success() {
        return Notebook::read(&out)?.save_executed(project, executed);
    }
    let Some((cell, message)) = Notebook::read(&out).ok().and_then(|notebook| notebook.error())
    else {
        let what = format!("{} failed ({status})", notebook.name);
        let log = project.show(&project.log(&log));
        return Err(Failure::of_command(what, process::show(project, &papermill), log, &output));
    };
    let mut lines = message.lines();
    let first = lines.next().unwrap_or("failed without a message");
    let rest: Vec<String> = lines.take(20).map(|line| format!("\n    {line}")).collect();
    Err(Failure::new(format!("{}, cell {cell}: {first}{}", notebook.name, rest.concat()))
        .advice(format!("look at {}, the notebook as far as it came", project.show(&out))))
}

/// A program of Jupyter that reads and writes nothing in the home directory.
pub(crate) fn jupyter(project: &Project, program: &str) -> Command {
    let mut command = project.command(project.python(program));
    for (variable, folder) in [
        ("JUPYTER_CONFIG_DIR", "config"),
        ("JUPYTER_DATA_DIR", "data"),
        ("JUPYTER_RUNTIME_DIR", "runtime"),
        ("IPYTHONDIR", "ipython"),
    ] {
        command.env(variable, project.tools("jupyter").join(folder));
    }
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// `cell 4 of 19` out of papermill's bar, and the last line that a cell printed.
fn progress(log: &str) -> String {
    let mut cell = String::new();
    let mut last = String::new();
    for line in log.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()) {
        if let Some((before, _)) = line.split_once(" [").filter(|_| line.contains("cell")) {
            let counts = before.rsplit(' ').next().unwrap_or_default();
            if let Some((done, of)) = counts.split_once('/') {
                cell = format!("cell {done} of {of}");
                continue;
            }
        }
        // Lines of progress begin so.
        last = line.trim_start_matches("… ").to_owned();
    }
    match (cell.is_empty(), last.to_lowercase().starts_with("epoch")) {
        (false, true) => format!("{cell}, {last}"),
        (false, false) => cell,
        (true, _) => last,
    }
}

/// What every notebook depends on: helpers, the kernel, the versions of all crates.
fn shared_inputs(project: &Project) -> String {
    let paths = [
        "helpers/src",
        "helpers/Cargo.toml",
        "Cargo.lock",
        "tools/kernel/src",
        "rust-toolchain.toml",
    ];
    sha256(paths.map(|path| hash_of(&project.path(path))).concat().as_bytes())
}

/// The files that `notebook` may read of those that earlier ones made: those whose names it quotes, or
/// all of them if it quotes none (it may walk over the folder).
fn inputs(
    notebook: &Notebook,
    earlier: &BTreeSet<String>,
    present: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let stem =
        |name: &str| Path::new(name).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let quotes_some = present.keys().any(|name| notebook.quotes(&stem(name)));
    let mut inputs = present.clone();
    inputs
        .retain(|name, _| earlier.contains(name) && (!quotes_some || notebook.quotes(&stem(name))));
    inputs
}

/// A hash of all that a notebook's result depends on.
fn key(
    notebook: &Notebook,
    parameters: &[(String, String)],
    shared: &[&str],
    inputs: &BTreeMap<String, String>,
) -> String {
    sha256(json!([notebook.hash(), parameters, shared, inputs]).to_string().as_bytes())
}

/// The data that a notebook reads, seen from notebooks/.
fn data_folder(parameters: &[(String, String)]) -> &str {
    parameters.iter().find(|(name, _)| name == "data").map_or("../data", |(_, folder)| folder)
}

fn hash_of_data(project: &Project, folder: &str) -> String {
    let folder = project.path("notebooks").join(folder);
    ["X.npy", "y.npy", "classes.txt"].map(|name| hash_of(&folder.join(name))).concat()
}

/// What runs keep in the export folder to go on from, which is no result.
const UNFINISHED: [&str; 2] = ["checkpoints", "trials"];

/// The models, metrics and figures in the export folder, with their hashes.
fn artifacts(export: &Path) -> BTreeMap<String, String> {
    let others = [UNFINISHED[0], UNFINISHED[1], "quick"].map(|name| export.join(name));
    files(export)
        .into_iter()
        .filter(|path| !others.iter().any(|folder| path.starts_with(folder)) && !is_hidden(path))
        .filter(|path| !["ipynb", "html"].iter().any(|end| path.extension() == Some(end.as_ref())))
        .filter_map(|path| {
            let name = path.strip_prefix(export).ok()?.to_string_lossy().into_owned();
            Some((name, sha256_of_file(&path).ok()?))
        })
        .collect()
}

/// What the last good run of each notebook was made from, and what it made.
#[derive(Debug)]
struct Memory {
    path: PathBuf,
    runs: Value,
}

impl Memory {
    fn read(project: &Project, kind: &str) -> Memory {
        let path = project.tools("run").join(format!("{kind}.json"));
        let text = fs::read_to_string(&path).unwrap_or_default();
        Memory { path, runs: serde_json::from_str(&text).unwrap_or_else(|_| json!({})) }
    }

    fn is_fresh(&self, notebook: &Notebook, key: &str, present: &BTreeMap<String, String>) -> bool {
        let run = &self.runs[&notebook.name];
        // A later notebook may have added to a file: the CNN's scores on the test part, to name one.
        let later = |file: &str, found: &str| {
            let runs = self.runs.as_object().into_iter().flatten();
            runs.filter(|(name, _)| **name > notebook.name)
                .any(|(_, later)| later["made"][file] == found)
        };
        let whole = run["made"].as_object().is_some_and(|made| {
            made.iter().all(|(name, hash)| {
                present.get(name).is_some_and(|found| hash == found || later(name, found))
            })
        });
        run["key"] == key && whole
    }

    /// If `notebook` made the file in its last run.
    fn made(&self, notebook: &Notebook, file: &str) -> bool {
        !self.runs[&notebook.name]["made"][file].is_null()
    }

    /// The files that notebooks before `notebook` made.
    fn made_before(&self, notebook: &Notebook) -> BTreeSet<String> {
        let runs = self.runs.as_object().into_iter().flatten();
        runs.filter(|(name, _)| **name < notebook.name)
            .flat_map(|(_, run)| run["made"].as_object().into_iter().flatten())
            .map(|(name, _)| name.clone())
            .collect()
    }

    fn keep(&mut self, notebook: &Notebook, key: &str, made: BTreeMap<String, String>) {
        self.runs[&notebook.name] = json!({"key": key, "made": made});
    }

    /// Makes the last run of `notebook` count for nothing; what it made stays known.
    fn forget(&mut self, notebook: &Notebook) {
        let made = self.runs[&notebook.name]["made"].take();
        self.runs[&notebook.name] = json!({"made": made});
    }

    fn write(&self) -> Result<(), Failure> {
        write_whole(&self.path, format!("{:#}\n", self.runs).as_bytes())
            .map_err(|error| Failure::of_file("write", &self.path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notebook::tests::notebook;

    fn plan(names: &[&str], given: &[(&str, &str)], quick: bool) -> Result<Plan, Failure> {
        let all = vec![
            notebook("01_data_loading", &["let data = \"../data\"; let sample = 0;"]),
            notebook("06_cnn_training", &["let data = \"../data\"; let epochs = 50;"]),
        ];
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let given: Vec<(String, String)> =
            given.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Plan::new(all, &names, &given, quick, false)
    }

    fn passed(plan: &Plan) -> Vec<String> {
        let parameters = plan.notebooks.iter().flat_map(|notebook| plan.parameters_of(notebook));
        parameters.map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn a_number_a_name_and_a_path_all_mean_the_notebook() {
        for name in ["06", "06_cnn_training", "notebooks/06_cnn_training.ipynb"] {
            let plan = plan(&[name], &[], false).unwrap();
            assert_eq!(plan.notebooks[0].name, "06_cnn_training");
            assert_eq!(plan.notebooks.len(), 1);
        }
        let text = plan(&["6"], &[], false).unwrap_err().to_string();
        assert!(text.contains("no notebook `6`") && text.contains("01_data_loading"), "{text}");
    }

    #[test]
    fn a_notebook_gets_only_the_parameters_it_has() {
        let plan = plan(&[], &[("epochs", "7")], true).unwrap();
        assert_eq!(
            passed(&plan),
            ["data=../data/sample", "sample=2000", "data=../data/sample", "epochs=7"]
        );
    }

    #[test]
    fn a_parameter_that_no_notebook_has_is_refused() {
        let text = plan(&["01"], &[("epochs", "7")], false).unwrap_err().to_string();
        assert!(text.starts_with("no parameter `epochs` in the notebooks to run"), "{text}");
        assert!(text.ends_with("there are data, sample"), "{text}");
    }

    #[test]
    fn the_full_data_is_needed_unless_other_data_is_named() {
        assert!(plan(&[], &[], false).unwrap().reads_full_data());
        assert!(!plan(&[], &[], true).unwrap().reads_full_data());
        assert!(!plan(&[], &[("data", "../mine")], false).unwrap().reads_full_data());
    }

    #[test]
    fn a_run_on_own_data_reads_it_whole_and_keeps_its_results_apart() {
        let project = Project::at(Path::new("/project"));
        let all = vec![
            notebook(
                "01_data_loading",
                &["let data = \"../data\"; let sample = 0; let quick = false;"],
            ),
            notebook("06_cnn_training", &["let export = \"../export\"; let epochs = 50;"]),
        ];
        let folder = project.tools("run/own-data");
        let plan = Plan::on_own_data(all, &project, &folder).unwrap();
        let place = "../.tools/run/own-data";
        assert_eq!(
            passed(&plan),
            [
                "quick=true".to_owned(),
                format!("data={place}"),
                "sample=0".to_owned(),
                format!("export={place}/export"),
                "epochs=1".to_owned()
            ]
        );
        assert_eq!(plan.export(&project), folder.join("export"));
        assert_eq!(plan.kind(), "own");
    }

    #[test]
    fn papermills_bar_becomes_a_sentence() {
        let bar = "Executing:  21%|██1  | 4/19 [00:12<00:45,  3.0s/cell]";
        assert_eq!(progress(bar), "cell 4 of 19");
        assert_eq!(
            progress(&format!("{bar}\nepoch 3/50  loss 0.4")),
            "cell 4 of 19, epoch 3/50  loss 0.4"
        );
        assert_eq!(progress(&format!("{bar}\n… epoch 4: 20%")), "cell 4 of 19, epoch 4: 20%");
        assert_eq!(progress("starting"), "starting");
    }

    fn hashes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(name, hash)| (name.to_owned(), hash.to_owned())).collect()
    }

    #[test]
    fn a_run_that_begins_anew_says_what_it_drops() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        let folders = UNFINISHED.map(|name| project.path("export").join(name));
        assert_eq!(dropped(&project, &folders), None);
        fs::create_dir_all(&folders[0]).unwrap();
        assert_eq!(dropped(&project, &folders), None, "an empty folder is no loss");
        for folder in &folders {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join("cnn"), "epochs").unwrap();
        }
        assert_eq!(
            dropped(&project, &folders).unwrap(),
            "begins anew, without what an earlier run kept in export/checkpoints and export/trials; `--resume` would go \
             on from there"
        );
    }

    #[test]
    fn what_a_killed_writer_left_is_no_artifact() {
        let folder = tempfile::tempdir().unwrap();
        let models = folder.path().join("models");
        fs::create_dir(&models).unwrap();
        for name in ["cnn.safetensors", ".cnn.safetensors.abcdef.part"] {
            fs::write(models.join(name), "weights").unwrap();
        }
        assert_eq!(
            artifacts(folder.path()).into_keys().collect::<Vec<_>>(),
            ["models/cnn.safetensors"]
        );
    }

    #[test]
    fn a_key_changes_with_each_input() {
        let run = notebook("07", &["let seed = 1;"]);
        let other = notebook("07", &["let seed = 2;"]);
        let seed = [("seed".to_owned(), "3".to_owned())];
        let none = BTreeMap::new();
        let model = hashes(&[("models/cnn.safetensors", "1")]);
        let keys = [
            key(&run, &[], &["helpers", "data"], &none),
            key(&other, &[], &["helpers", "data"], &none),
            key(&run, &seed, &["helpers", "data"], &none),
            key(&run, &[], &["helpers 2", "data"], &none),
            key(&run, &[], &["helpers", "data 2"], &none),
            key(&run, &[], &["helpers", "data"], &model),
        ];
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
        assert_eq!(keys[0], key(&run, &[], &["helpers", "data"], &none));
    }

    #[test]
    fn inputs_are_what_is_quoted_of_what_earlier_ones_made() {
        let present = hashes(&[
            ("metrics/cnn.json", "1"),
            ("metrics/baseline.json", "2"),
            ("metrics/own.json", "3"),
        ]);
        let earlier: BTreeSet<String> =
            ["metrics/cnn.json", "metrics/baseline.json"].map(str::to_owned).into();
        let names = |code: &str| {
            let inputs = inputs(&notebook("07", &["", code]), &earlier, &present);
            inputs.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(names("load(\"cnn\")"), ["metrics/cnn.json"]);
        assert_eq!(names("save(\"own\")"), Vec::<String>::new());
        assert_eq!(names("walk()"), ["metrics/baseline.json", "metrics/cnn.json"]);
    }

    #[test]
    fn a_run_is_fresh_while_its_key_and_what_it_made_stay() {
        let folder = tempfile::tempdir().unwrap();
        let project = Project::at(folder.path());
        let run = notebook("06_cnn_training", &[""]);
        let made = hashes(&[("metrics/cnn.json", "1")]);
        let mut memory = Memory::read(&project, "quick");
        assert!(!memory.is_fresh(&run, "key", &made));
        memory.keep(&run, "key", made.clone());
        memory.write().unwrap();
        let mut memory = Memory::read(&project, "quick");
        assert!(memory.is_fresh(&run, "key", &made));
        assert!(!memory.is_fresh(&run, "other", &made));
        assert!(!memory.is_fresh(&run, "key", &hashes(&[("metrics/cnn.json", "2")])));
        assert!(!memory.is_fresh(&run, "key", &BTreeMap::new()));
        assert_eq!(memory.made_before(&notebook("07", &[""])).len(), 1);
        assert_eq!(memory.made_before(&notebook("05", &[""])).len(), 0);
        // Notebook 7 adds to the file, so it is no longer what notebook 6 wrote; that is no reason to train again.
        let added = hashes(&[("metrics/cnn.json", "2")]);
        memory.keep(&notebook("07_performance_evaluation", &[""]), "key", added.clone());
        assert!(memory.is_fresh(&run, "key", &added));
        assert!(!memory.is_fresh(&run, "key", &hashes(&[("metrics/cnn.json", "3")])));
        memory.forget(&run);
        assert!(!memory.is_fresh(&run, "key", &made));
        assert!(memory.made(&run, "metrics/cnn.json"), "known still, in case it is written again");
    }
}
