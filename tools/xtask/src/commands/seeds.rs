//! `cargo xtask seeds`: repeats the trainings with other seeds, and measures how much their scores differ.

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

/// The notebooks that score a model.
const SCORING: [&str; 5] = ["04", "06", "07", "08", "11"];
/// The notebook with the search, only if requested: it takes about as long as all others together, and they do not use
/// its result.
const SEARCHING: &str = "10";
const MODELS: [&str; 5] = ["baseline", "cnn", "transfer", "tuning", "autoencoder"];
/// Default seeds, in addition to the published one.
const SEEDS: [u64; 2] = [1, 2];

/// Trains with each seed, in `seeds/SEED` below the results, and writes `seeds.json` from the metrics of these and of
/// the published trainings. A stopped training is resumed from its checkpoint.
pub(crate) fn run(project: &Project, flags: &Seeds) -> Result<(), Failure> {
    let seeds = if flags.seed.is_empty() { SEEDS.to_vec() } else { flags.seed.clone() };
    let searching = flags.search.then_some(SEARCHING);
    let names: Vec<String> = SCORING.into_iter().chain(searching).map(str::to_owned).collect();
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

/// For each model its seeds and, in the same order, its scores on both parts, with their mean and standard deviation. A
/// folder without a model is skipped for that model.
fn collected(folders: &[impl AsRef<Path>]) -> Result<Value, Failure> {
    let mut models: BTreeMap<&str, Value> = BTreeMap::new();
    for name in MODELS {
        let score = if name == "autoencoder" { "psnr_db" } else { "accuracy" };
        let mut seeds = Vec::new();
        let mut scores = [Vec::new(), Vec::new()];
        for folder in folders {
            let path = folder.as_ref().join("metrics").join(format!("{name}.json"));
            let Ok(text) = fs::read(&path) else { continue };
            let metrics: Value = serde_json::from_slice(&text)
                .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
            seeds.push(metrics["seed"].clone());
            for (part, scores) in ["validation", "test"].into_iter().zip(&mut scores) {
                // A denoiser with exact images has no finite score.
                scores.push(metrics[part][score].as_f64().ok_or_else(|| {
                    Failure::new(format!("{}: no {part} {score}", path.display()))
                })?);
            }
        }
        if seeds.is_empty() {
            continue;
        }
        let [validation, test] = scores;
        let [(validation_mean, validation_std), (test_mean, test_std)] =
            [&validation, &test].map(|scores| mean_and_deviation(scores));
        models.insert(name, json!({
            "seed": seeds, "validation": validation, "validation_mean": validation_mean, "validation_std": validation_std,
            "test": test, "test_mean": test_mean, "test_std": test_std,
        }));
    }
    Ok(
        json!({ "schema": 1, "std": "of a sample: divided by one less than the number of seeds", "models": models }),
    )
}

/// The mean and the sample standard deviation, which needs at least two values.
fn mean_and_deviation(values: &[f64]) -> (f64, Option<f64>) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_each_seed_stand_beside_each_other() {
        let folders = [1, 3].map(|seed| {
            let folder = tempfile::tempdir().unwrap();
            let metrics = folder.path().join("metrics");
            fs::create_dir(&metrics).unwrap();
            let scores = |score: f64| json!({"accuracy": score, "psnr_db": 10.0 * score});
            let text =
                json!({"seed": seed, "validation": scores(0.5), "test": scores(f64::from(seed))})
                    .to_string();
            fs::write(metrics.join("cnn.json"), &text).unwrap();
            if seed == 3 {
                fs::write(metrics.join("autoencoder.json"), &text).unwrap();
            }
            folder
        });
        let paths: Vec<&Path> = folders.iter().map(tempfile::TempDir::path).collect();
        let found = collected(&paths).unwrap();
        // 1 and 3: the mean is 2, and the variance (1 + 1) / (2 - 1).
        let cnn = json!({
            "seed": [1, 3], "validation": [0.5, 0.5], "validation_mean": 0.5, "validation_std": 0.0,
            "test": [1.0, 3.0], "test_mean": 2.0, "test_std": 2.0_f64.sqrt(),
        });
        let autoencoder = json!({
            "seed": [3], "validation": [5.0], "validation_mean": 5.0, "validation_std": null,
            "test": [30.0], "test_mean": 30.0, "test_std": null,
        });
        assert_eq!(found["models"], json!({"cnn": cnn, "autoencoder": autoencoder}));
    }
}
