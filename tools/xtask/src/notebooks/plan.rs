//! Which notebooks run, with which parameters.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::flags::Parameter;
use crate::notebooks::jupyter::export_folder;
use crate::notebooks::notebook::Notebook;
use crate::notebooks::paths;
use crate::project::Project;

/// The parameters of a quick run, for the notebooks that have them.
const QUICK: [(&str, &str); 5] = [
    ("data", "../data/sample"),
    ("sample", "2000"),
    ("epochs", "3"),
    ("quick", "true"),
    ("export", "../export/quick"),
];

/// Which notebooks run, and how.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) notebooks: Vec<Notebook>,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) quick: bool,
    /// Whether to skip notebooks whose inputs have not changed.
    pub(crate) resume: bool,
    /// Whether these are all notebooks of the project.
    pub(crate) whole: bool,
    /// The Dask cluster for the trials of searches.
    pub(crate) cluster: Option<String>,
}

impl Plan {
    /// The notebooks with these `names` (all numbered ones if there are none), with the `given` parameters.
    ///
    /// # Errors
    /// If a name means no notebook or several, or none of the notebooks has one of the parameters.
    pub(crate) fn new(
        all: Vec<Notebook>,
        names: &[String],
        given: &[Parameter],
        quick: bool,
    ) -> Result<Plan, Failure> {
        if !all.iter().any(Notebook::is_numbered) {
            return Err(Failure::new("there are no notebooks in notebooks/"));
        }
        let chosen: BTreeSet<usize> =
            names.iter().map(|name| index_of(&all, name)).collect::<Result<_, _>>()?;
        let is_chosen = |(index, notebook): &(usize, Notebook)| match chosen.is_empty() {
            true => notebook.is_numbered(),
            false => chosen.contains(index),
        };
        let count = all.iter().filter(|notebook| notebook.is_numbered()).count();
        let notebooks: Vec<Notebook> =
            all.into_iter().enumerate().filter(is_chosen).map(|(_, notebook)| notebook).collect();
        let whole = notebooks.iter().filter(|notebook| notebook.is_numbered()).count() == count;
        check_parameters(&notebooks, given)?;
        let mut parameters: Vec<Parameter> = Vec::new();
        if quick {
            parameters.extend(QUICK.map(|(name, value)| parameter(name, value)));
            parameters.retain(|quick| !given.iter().any(|one| one.name == quick.name));
        }
        parameters.extend_from_slice(given);
        Ok(Plan { notebooks, parameters, quick, resume: false, whole, cluster: None })
    }

    /// All notebooks in the quickest mode, on a user's X.npy and y.npy in `folder`; results go there, too.
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
        // Pictures of 96 x 96 in colour make a dense network of 14 million weights: 60 trials of it, and brief trainings
        // of five codes, took two thirds of the time of all eleven notebooks.
        let given = [
            ("data", &*seen),
            ("export", &export),
            ("sample", "0"),
            ("epochs", "1"),
            ("dropouts", "[0.2, 0.35]"),
            ("kernel_initializers", r#"["glorot_uniform", "he_normal"]"#),
            ("sweep_divisors", "[4.0, 1.0]"),
        ];
        let given = given.map(|(name, value)| parameter(name, value));
        Plan::new(all, &[], &given, true)
    }

    /// The same plan, with results in this folder; its path is that from `notebooks/`.
    pub(crate) fn exporting_to(mut self, export: String) -> Plan {
        self.parameters.retain(|parameter| parameter.name != "export");
        self.parameters.push(Parameter { name: "export".to_owned(), value: export });
        self
    }

    /// The kind of run: part of the path of its logs, unfinished notebooks and records, since different kinds can run
    /// at the same time.
    pub(crate) fn kind(&self, project: &Project) -> &'static str {
        match (self.export(project) == export_folder(project, self.quick), self.quick) {
            (false, _) => "own",
            (true, true) => "quick",
            (true, false) => "full",
        }
    }

    /// The parameters for `notebook`: those that it declares.
    pub(crate) fn parameters_of(&self, notebook: &Notebook) -> Vec<Parameter> {
        let fits = |given: &&Parameter| notebook.parameters().any(|one| one.name == given.name);
        self.parameters.iter().filter(fits).cloned().collect()
    }

    /// Whether the notebooks read `data/`, because no parameter names another folder.
    pub(crate) fn reads_full_data(&self) -> bool {
        !self.parameters.iter().any(|parameter| parameter.name == "data")
    }

    /// The folder for results and executed notebooks: that of the parameter `export`, if given.
    pub(crate) fn export(&self, project: &Project) -> PathBuf {
        let given = self.parameters.iter().rfind(|parameter| parameter.name == "export");
        given.map_or_else(
            || export_folder(project, self.quick),
            |export| paths::without_dots(&project.path("notebooks").join(&export.value)),
        )
    }

    /// The folder that holds the executed notebooks after a run.
    pub(crate) fn results(&self, project: &Project) -> PathBuf {
        folder_of_results(&self.export(project), &self.parameters)
    }
}

/// The folder of a run's results: a sample has its own folder if `export` has the results of all images
/// (`Artifacts::for_data` in helpers).
pub(super) fn folder_of_results(export: &Path, parameters: &[Parameter]) -> PathBuf {
    let sample = parameters.iter().find(|parameter| parameter.name == "sample");
    let own = sample.map(|sample| export.join(format!("sample_{}", sample.value)));
    own.filter(|folder| folder.is_dir()).unwrap_or_else(|| export.to_owned())
}

fn parameter(name: &str, value: &str) -> Parameter {
    Parameter { name: name.to_owned(), value: value.to_owned() }
}

/// The notebook that a person means by `06`, `06_cnn_training` or a path.
fn index_of(all: &[Notebook], name: &str) -> Result<usize, Failure> {
    let word = Path::new(name).file_name().unwrap_or_default().to_string_lossy();
    let word = word.strip_suffix(".ipynb").unwrap_or(&word);
    if let Some(index) = all.iter().position(|notebook| notebook.name == word) {
        return Ok(index);
    }
    // A copy that JupyterLab made is only meant if its full name is given.
    let start = format!("{word}_");
    let means = |notebook: &Notebook| notebook.is_numbered() && notebook.name.starts_with(&start);
    let found: Vec<usize> = (0..all.len()).filter(|&index| means(&all[index])).collect();
    let names = |indices: &[usize]| {
        indices.iter().map(|&index| &*all[index].name).collect::<Vec<_>>().join(", ")
    };
    match found[..] {
        [index] => Ok(index),
        [] => Err(Failure::new(format!("there is no notebook `{name}`"))
            .advice(format!("take one of {}", names(&(0..all.len()).collect::<Vec<_>>())))),
        _ => Err(Failure::new(format!("`{name}` is ambiguous"))
            .advice(format!("take one of {}", names(&found)))),
    }
}

fn check_parameters(notebooks: &[Notebook], given: &[Parameter]) -> Result<(), Failure> {
    let known: BTreeSet<&str> =
        notebooks.iter().flat_map(Notebook::parameters).map(|one| &*one.name).collect();
    let Some(unknown) = given.iter().find(|given| !known.contains(&*given.name)) else {
        return Ok(());
    };
    let known: Vec<&str> = known.into_iter().collect();
    Err(Failure::new(format!("no parameter `{}` in the notebooks to run", unknown.name))
        .advice(format!("there are {}", known.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notebooks::notebook::tests::notebook;

    fn all() -> Vec<Notebook> {
        vec![
            notebook("01_data_loading-Copy1", &[("data", "\"../data\"")], &[]),
            notebook("01_data_loading", &[("data", "\"../data\""), ("sample", "0")], &[]),
            notebook("06_cnn_training", &[("data", "\"../data\""), ("epochs", "50")], &[]),
            notebook("Untitled", &[], &[]),
        ]
    }

    fn plan(names: &[&str], given: &[(&str, &str)], quick: bool) -> Result<Plan, Failure> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let given: Vec<Parameter> =
            given.iter().map(|(name, value)| parameter(name, value)).collect();
        Plan::new(all(), &names, &given, quick)
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.notebooks.iter().map(|notebook| &*notebook.name).collect()
    }

    fn passed(plan: &Plan) -> Vec<String> {
        let parameters = plan.notebooks.iter().flat_map(|notebook| plan.parameters_of(notebook));
        parameters.map(|one| format!("{}={}", one.name, one.value)).collect()
    }

    #[test]
    fn a_number_a_name_and_a_path_all_mean_the_notebook() {
        for name in ["06", "06_cnn_training", "notebooks/06_cnn_training.ipynb"] {
            assert_eq!(names(&plan(&[name], &[], false).unwrap()), ["06_cnn_training"]);
        }
        let text = plan(&["6"], &[], false).unwrap_err().to_string();
        assert!(text.contains("no notebook `6`") && text.contains("01_data_loading"), "{text}");
    }

    #[test]
    fn a_copy_runs_only_under_its_whole_name() {
        assert_eq!(names(&plan(&["01"], &[], false).unwrap()), ["01_data_loading"]);
        let copy = plan(&["01_data_loading-Copy1"], &[], false).unwrap();
        assert_eq!(names(&copy), ["01_data_loading-Copy1"]);
        assert!(!copy.whole);
        let whole = plan(&[], &[], false).unwrap();
        assert_eq!(names(&whole), ["01_data_loading", "06_cnn_training"]);
        assert!(whole.whole);
    }

    #[test]
    fn two_notebooks_of_one_number_are_ambiguous() {
        let mut two = all();
        two.push(notebook("06_other", &[], &[]));
        let text = Plan::new(two, &["06".to_owned()], &[], false).unwrap_err().to_string();
        assert!(text.contains("`06` is ambiguous"), "{text}");
        assert!(text.ends_with("take one of 06_cnn_training, 06_other"), "{text}");
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
    fn a_part_of_the_images_does_not_replace_the_page_of_all() {
        let folder = tempfile::tempdir().unwrap();
        let sample = [parameter("sample", "4000")];
        assert_eq!(folder_of_results(folder.path(), &sample), folder.path());
        let own = folder.path().join("sample_4000");
        std::fs::create_dir(&own).unwrap();
        assert_eq!(folder_of_results(folder.path(), &sample), own);
        assert_eq!(folder_of_results(folder.path(), &[]), folder.path());
    }

    #[test]
    fn a_run_on_own_data_reads_it_whole_and_keeps_its_results_apart() {
        let project = Project::at(Path::new("/project"));
        let all = vec![
            notebook("01_data_loading", &[("data", ""), ("sample", "0"), ("quick", "false")], &[]),
            notebook("06_cnn_training", &[("export", ""), ("epochs", "50")], &[]),
            notebook("10_tuning", &[("dropouts", ""), ("kernel_initializers", "")], &[]),
            notebook("11_autoencoder", &[("sweep_divisors", "")], &[]),
        ];
        let folder = project.tools("run/own-data");
        let plan = Plan::on_own_data(all, &project, &folder).unwrap();
        let seen = "../.tools/run/own-data";
        assert_eq!(
            passed(&plan),
            [
                "quick=true".to_owned(),
                format!("data={seen}"),
                "sample=0".to_owned(),
                format!("export={seen}/export"),
                "epochs=1".to_owned(),
                "dropouts=[0.2, 0.35]".to_owned(),
                r#"kernel_initializers=["glorot_uniform", "he_normal"]"#.to_owned(),
                "sweep_divisors=[4.0, 1.0]".to_owned()
            ]
        );
        assert_eq!(plan.export(&project), folder.join("export"));
        assert_eq!(plan.kind(&project), "own");
    }

    #[test]
    fn the_results_of_own_data_are_kept_where_the_notebooks_are_told() {
        let project = Project::at(Path::new("/project"));
        for quick in [false, true] {
            let all = vec![notebook("06_cnn_training", &[("data", ""), ("export", "")], &[])];
            let plan = Plan::new(all, &[], &[parameter("data", "/mine")], quick).unwrap();
            let plan = plan.exporting_to("/mine/export".to_owned());
            assert_eq!(passed(&plan), ["data=/mine", "export=/mine/export"]);
            assert_eq!(plan.results(&project), Path::new("/mine/export"));
            assert_eq!(plan.kind(&project), "own");
        }
    }

    #[test]
    fn executed_notebooks_go_where_the_results_go() {
        let project = Project::at(Path::new("/project"));
        let all = || vec![notebook("06_cnn_training", &[("export", ""), ("quick", "false")], &[])];
        let place = |export: Option<&str>, quick| {
            let given: Vec<Parameter> =
                export.map(|to| parameter("export", to)).into_iter().collect();
            let plan = Plan::new(all(), &[], &given, quick).unwrap();
            (plan.export(&project), plan.kind(&project))
        };
        assert_eq!(place(None, false), ("/project/export".into(), "full"));
        assert_eq!(place(Some("../export"), false), ("/project/export".into(), "full"));
        assert_eq!(place(None, true), ("/project/export/quick".into(), "quick"));
        assert_eq!(place(Some("../mine"), true), ("/project/mine".into(), "own"));
        assert_eq!(place(Some("/elsewhere"), false), ("/elsewhere".into(), "own"));
    }
}
