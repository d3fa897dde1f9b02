//! `cargo xtask seeds`: the trainings again with other seeds, and how far their scores lie apart.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::data::fashion_mnist;
use crate::failure::Failure;
use crate::files::write_whole;
use crate::flags::{Parameter, Seeds};
use crate::notebooks::{self, Notebook, Plan, export_folder};
use crate::progress::{Progress, say};
use crate::project::Project;
use crate::setup;

/// The notebooks that score a model. 10 is left out: it takes as long as all others and changes no setting.
const SCORING: [&str; 5] = ["04", "06", "07", "08", "11"];
/// Seeds beside the published one, unless told otherwise.
const SEEDS: [u64; 2] = [1, 2];

/// Trains with each seed, in `seeds/SEED` below the results, and writes `seeds.json` from their metrics and the published
/// ones. A training that was stopped goes on from its checkpoint.
pub(crate) fn run(project: &Project, flags: &Seeds) -> Result<(), Failure> {
    let seeds = if flags.seed.is_empty() { SEEDS.to_vec() } else { flags.seed.clone() };
    let names = SCORING.map(str::to_owned);
    let export = export_folder(project, flags.quick);
    let steps = setup::steps(project, None)?;
    let with_data = !flags.quick;
    let count = steps.len() + usize::from(with_data) + seeds.len() * names.len();
    let mut progress = Progress::new(count);
    setup::run(project, steps, &mut progress)?;
    if with_data {
        fashion_mnist::fetch(project, progress.step("Data"))?;
    }
    let _runs = project.lock_runs(flags.quick)?;
    let mut folders = vec![export.clone()];
    for seed in seeds {
        let folder = export.join("seeds").join(seed.to_string());
        let given =
            [("seed", seed.to_string()), ("export", format!("../{}", project.show(&folder)))];
        let given = given.map(|(name, value)| Parameter { name: name.to_owned(), value });
        let plan = Plan::new(Notebook::all(project)?, &names, &given, flags.quick)?;
        notebooks::run(project, &plan, &mut progress, |_| {})?;
        folders.push(folder);
    }
    let path = export.join("seeds.json");
    let text = serde_json::to_string_pretty(&collected(&folders)?).unwrap_or_default() + "\n";
    write_whole(&path, text.as_bytes())
        .map_err(|error| Failure::of_file("write", &path, &error))?;
    say(&format!("\n{}", project.show(&path)));
    Ok(())
}

/// For each model its seeds and, in the same order, its scores on both parts; a model that a folder lacks is left out there.
fn collected(folders: &[impl AsRef<Path>]) -> Result<Value, Failure> {
    let mut models: BTreeMap<String, BTreeMap<&str, Vec<Value>>> = BTreeMap::new();
    for folder in folders {
        for name in ["baseline", "cnn", "transfer", "autoencoder"] {
            let path = folder.as_ref().join("metrics").join(format!("{name}.json"));
            let Ok(text) = fs::read(&path) else { continue };
            let metrics: Value = serde_json::from_slice(&text)
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
            let model = models.entry(name.to_owned()).or_default();
            let mut keep = |key, value: &Value| model.entry(key).or_default().push(value.clone());
            keep("seed", &metrics["seed"]);
            let score = if name == "autoencoder" { "psnr_db" } else { "accuracy" };
            keep("validation", &metrics["validation"][score]);
            keep("test", &metrics["test"][score]);
        }
    }
    Ok(json!({ "schema": 1, "models": models }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_each_seed_stand_beside_each_other() {
        let folders = [1, 2].map(|seed| {
            let folder = tempfile::tempdir().unwrap();
            let metrics = folder.path().join("metrics");
            fs::create_dir(&metrics).unwrap();
            let text = json!({"seed": seed, "validation": {"accuracy": 0.5}, "test": {"accuracy": f64::from(seed)}});
            fs::write(metrics.join("cnn.json"), text.to_string()).unwrap();
            folder
        });
        let paths: Vec<&Path> = folders.iter().map(tempfile::TempDir::path).collect();
        let expected =
            json!({"cnn": {"seed": [1, 2], "validation": [0.5, 0.5], "test": [1.0, 2.0]}});
        assert_eq!(collected(&paths).unwrap(), json!({"schema": 1, "models": expected}));
    }
}
