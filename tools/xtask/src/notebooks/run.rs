//! `cargo xtask run`: runs notebooks, one after the other, with papermill.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::failure::Failure;
use crate::files::{files, remove};
use crate::flags::Parameter;
use crate::notebooks::jupyter::jupyter;
use crate::notebooks::notebook::Notebook;
use crate::notebooks::plan::{Plan, folder_of_results};
use crate::notebooks::records::{self, Records, UNFINISHED};
use crate::process;
use crate::progress::{Progress, Step, say};
use crate::project::Project;

/// Seconds that one cell of a quick run may take; other runs have no limit, since a full training may take hours.
const QUICK_CELL: &str = "900";

/// Runs the notebooks of `plan`, under [`Project::lock_runs`]; stops at the first that fails. Calls `finished` after
/// each notebook that succeeds.
pub(crate) fn run(
    project: &Project,
    plan: &Plan,
    progress: &mut Progress,
    mut finished: impl FnMut(&Notebook),
) -> Result<(), Failure> {
    let (kind, export) = (plan.kind(project), plan.export(project));
    let mut records = Records::read(project, kind);
    // A new run of all notebooks uses nothing of the last run.
    if plan.whole && !plan.resume {
        let folders = UNFINISHED.map(|name| export.join(name));
        if let Some(told) = dropped(project, &folders) {
            say(&told);
        }
        for folder in folders {
            remove(&folder).map_err(|error| Failure::of_file("remove", &folder, &error))?;
        }
    }
    let shared = records::shared_inputs(project);
    let mut data = BTreeMap::new();
    for notebook in &plan.notebooks {
        let mut step = progress.step(&match kind {
            "own" => format!("{}, to {}", notebook.name, project.show(&export)),
            _ => notebook.name.clone(),
        });
        let parameters = plan.parameters_of(notebook);
        let before = records::artifacts(&export);
        let folder = records::data_folder(&parameters);
        let data =
            data.entry(folder.to_owned()).or_insert_with(|| records::hash_of_data(project, folder));
        let inputs = records::inputs(notebook, &records.made_before(notebook), &before);
        let key = records::key(notebook, &parameters, &[&shared, data], &inputs);
        let executed =
            folder_of_results(&export, &parameters).join(format!("{}.ipynb", notebook.name));
        if plan.resume && executed.exists() && records.is_fresh(notebook, &key, &before) {
            step.done("unchanged since its last run");
            finished(notebook);
            continue;
        }
        records.forget(notebook);
        records.write()?;
        let out = run_one(project, &mut step, notebook, &parameters, plan)?;
        let folder = folder_of_results(&export, &parameters);
        out.save_executed(project, &folder.join(format!("{}.ipynb", notebook.name)))?;
        let after = records::artifacts(&export);
        let mut made: BTreeMap<String, String> = after;
        made.retain(|name, hash| before.get(name) != Some(hash) || records.made(notebook, name));
        records.keep(notebook, &key, made);
        records.write()?;
        step.done("done");
        finished(notebook);
    }
    Ok(())
}

/// The message for a new run that drops the files from which an earlier one could be resumed; none if there are no
/// files.
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

/// Runs one notebook; returns the executed copy.
fn run_one(
    project: &Project,
    step: &mut Step,
    notebook: &Notebook,
    parameters: &[Parameter],
    plan: &Plan,
) -> Result<Notebook, Failure> {
    let kind = plan.kind(project);
    let folder = project.tools("run").join(kind);
    fs::create_dir_all(&folder).map_err(|error| Failure::of_file("make", &folder, &error))?;
    let out = folder.join(format!("{}.ipynb", notebook.name));
    let mut papermill = jupyter(project, "papermill");
    // Relative to the root, because the paths are kept in the executed notebook.
    papermill.arg(format!("notebooks/{}.ipynb", notebook.name)).arg(project.show(&out));
    papermill.args(["--progress-bar", "--log-output"]);
    // The papermill process watches this one, and ends if this one is killed.
    papermill.env("NOTEBOOK_RUN_PARENT", std::process::id().to_string());
    if let Some(cluster) = &plan.cluster {
        papermill.env("TRIAL_CLUSTER", cluster);
    }
    if plan.quick {
        papermill.args(["--execution-timeout", QUICK_CELL]);
    }
    for parameter in parameters {
        papermill.args(["-p", &parameter.name, &parameter.value]);
    }
    let _ = fs::remove_file(&out);
    let log = format!("run-{kind}-{}", notebook.name);
    let (status, output) = process::observe(project, step, &mut papermill, &log, sentence)?;
    if status.success() {
        return Notebook::read(&out);
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

/// `cell 4 of 19` out of papermill's bar, and the last line that a cell printed.
fn sentence(log: &str) -> String {
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
        // Lines of progress begin with this.
        last = line.trim_start_matches("… ").to_owned();
    }
    match (cell.is_empty(), last.to_lowercase().starts_with("epoch")) {
        (false, true) => format!("{cell}, {last}"),
        (false, false) => cell,
        (true, _) => last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn papermills_bar_becomes_a_sentence() {
        let bar = "Executing:  21%|██1  | 4/19 [00:12<00:45,  3.0s/cell]";
        assert_eq!(sentence(bar), "cell 4 of 19");
        assert_eq!(
            sentence(&format!("{bar}\nepoch 3/50  loss 0.4")),
            "cell 4 of 19, epoch 3/50  loss 0.4"
        );
        assert_eq!(sentence(&format!("{bar}\n… epoch 4: 20%")), "cell 4 of 19, epoch 4: 20%");
        assert_eq!(sentence("starting"), "starting");
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
}
