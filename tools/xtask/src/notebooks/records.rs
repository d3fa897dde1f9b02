//! The inputs of existing results, from which a resumed run decides which notebooks it can skip.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::files::{files, is_hidden, write_whole};
use crate::flags::Parameter;
use crate::hash::{hash_of, sha256, sha256_of_file};
use crate::notebooks::notebook::Notebook;
use crate::project::Project;

/// The inputs that all notebooks share: helpers, the kernel, the versions of all crates.
pub(crate) fn shared_inputs(project: &Project) -> String {
    let paths = [
        "helpers/src",
        "helpers/Cargo.toml",
        "Cargo.lock",
        "tools/kernel/src",
        "rust-toolchain.toml",
    ];
    sha256(paths.map(|path| hash_of(&project.path(path))).concat().as_bytes())
}

/// The files of earlier notebooks that `notebook` may read: those whose names it quotes, or all of them if it quotes
/// none, since it may list the folder.
pub(crate) fn inputs(
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
pub(crate) fn key(
    notebook: &Notebook,
    parameters: &[Parameter],
    shared: &[&str],
    inputs: &BTreeMap<String, String>,
) -> String {
    let parameters: Vec<[&str; 2]> =
        parameters.iter().map(|one| [&*one.name, &*one.value]).collect();
    sha256(json!([notebook.hash(), parameters, shared, inputs]).to_string().as_bytes())
}

/// The data folder of a notebook, relative to notebooks/.
pub(crate) fn data_folder(parameters: &[Parameter]) -> &str {
    parameters.iter().find(|one| one.name == "data").map_or("../data", |one| &one.value)
}

pub(crate) fn hash_of_data(project: &Project, folder: &str) -> String {
    let folder = project.path("notebooks").join(folder);
    ["X.npy", "y.npy", "classes.txt"].map(|name| hash_of(&folder.join(name))).concat()
}

/// Folders in the export folder that only serve to resume runs, and are no results.
pub(crate) const UNFINISHED: [&str; 2] = ["checkpoints", "trials"];

/// The models, metrics and figures in the export folder, with their hashes.
pub(crate) fn artifacts(export: &Path) -> BTreeMap<String, String> {
    let others = [UNFINISHED[0], UNFINISHED[1], "logs", "quick"].map(|name| export.join(name));
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

/// The inputs and the results of each notebook's last successful run.
#[derive(Debug)]
pub(crate) struct Records {
    path: PathBuf,
    runs: Value,
}

impl Records {
    pub(crate) fn read(project: &Project, kind: &str) -> Records {
        let path = project.tools("run").join(format!("{kind}.json"));
        let text = fs::read_to_string(&path).unwrap_or_default();
        Records { path, runs: serde_json::from_str(&text).unwrap_or_else(|_| json!({})) }
    }

    pub(crate) fn is_fresh(
        &self,
        notebook: &Notebook,
        key: &str,
        present: &BTreeMap<String, String>,
    ) -> bool {
        let run = &self.runs[&notebook.name];
        // A later notebook may have added to a file, for example the CNN's scores on the test part.
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

    /// Whether `notebook` made the file in its last run.
    pub(crate) fn made(&self, notebook: &Notebook, file: &str) -> bool {
        !self.runs[&notebook.name]["made"][file].is_null()
    }

    /// The files that the notebooks before `notebook` wrote.
    pub(crate) fn made_before(&self, notebook: &Notebook) -> BTreeSet<String> {
        let runs = self.runs.as_object().into_iter().flatten();
        runs.filter(|(name, _)| **name < notebook.name)
            .flat_map(|(_, run)| run["made"].as_object().into_iter().flatten())
            .map(|(name, _)| name.clone())
            .collect()
    }

    pub(crate) fn keep(&mut self, notebook: &Notebook, key: &str, made: BTreeMap<String, String>) {
        self.runs[&notebook.name] = json!({"key": key, "made": made});
    }

    /// Marks the last run of `notebook` as outdated; the list of its files is kept.
    pub(crate) fn forget(&mut self, notebook: &Notebook) {
        let made = self.runs[&notebook.name]["made"].take();
        self.runs[&notebook.name] = json!({"made": made});
    }

    pub(crate) fn write(&self) -> Result<(), Failure> {
        write_whole(&self.path, format!("{:#}\n", self.runs).as_bytes())
            .map_err(|error| Failure::of_file("write", &self.path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notebooks::notebook::tests::notebook;

    fn hashes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(name, hash)| (name.to_owned(), hash.to_owned())).collect()
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
        let run = notebook("07", &[], &["let seed = 1;"]);
        let other = notebook("07", &[], &["let seed = 2;"]);
        let seed = [Parameter { name: "seed".to_owned(), value: "3".to_owned() }];
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
            let inputs = inputs(&notebook("07", &[], &[code]), &earlier, &present);
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
        let run = notebook("06_cnn_training", &[], &[]);
        let made = hashes(&[("metrics/cnn.json", "1")]);
        let mut records = Records::read(&project, "quick");
        assert!(!records.is_fresh(&run, "key", &made));
        records.keep(&run, "key", made.clone());
        records.write().unwrap();
        let mut records = Records::read(&project, "quick");
        assert!(records.is_fresh(&run, "key", &made));
        assert!(!records.is_fresh(&run, "other", &made));
        assert!(!records.is_fresh(&run, "key", &hashes(&[("metrics/cnn.json", "2")])));
        assert!(!records.is_fresh(&run, "key", &BTreeMap::new()));
        assert_eq!(records.made_before(&notebook("07", &[], &[])).len(), 1);
        assert_eq!(records.made_before(&notebook("05", &[], &[])).len(), 0);
        // Notebook 7 adds to the file, so it is no longer what notebook 6 wrote; that is no reason to train again.
        let added = hashes(&[("metrics/cnn.json", "2")]);
        records.keep(&notebook("07_performance_evaluation", &[], &[]), "key", added.clone());
        assert!(records.is_fresh(&run, "key", &added));
        assert!(!records.is_fresh(&run, "key", &hashes(&[("metrics/cnn.json", "3")])));
        records.forget(&run);
        assert!(!records.is_fresh(&run, "key", &made));
        assert!(records.made(&run, "metrics/cnn.json"), "known still, in case it is written again");
    }
}
