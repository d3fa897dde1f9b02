//! How much the scores differ between seeds.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::artifacts::{Run, display_name};
use crate::display::{Column, Table};
use crate::system::files::{ReadError, read_regular};
use crate::text::clean_text;
use crate::{Error, Result};

/// The file that `cargo xtask seeds` writes.
#[derive(Deserialize)]
struct Seeds {
    models: BTreeMap<String, Scores>,
}

/// One model: an entry for each seed, and the statistics that `cargo xtask seeds` computes. Accuracies, or PSNR in dB.
#[derive(Deserialize)]
struct Scores {
    seed: Vec<u64>,
    validation_mean: f64,
    validation_std: Option<f64>,
    test_mean: f64,
    test_std: Option<f64>,
}

const LARGEST: u64 = 1 << 20;

impl Run {
    /// Mean and standard deviation of each model's scores over several seeds (each with its own split, weights and order
    /// of images), from `seeds.json` in the folder of results, which `cargo xtask seeds` makes. Without that file the
    /// table has no row, and says so.
    ///
    /// # Errors
    /// If the file cannot be read, or holds something else.
    pub fn seeds_table(&self) -> Result<Table> {
        let path = self.path("seeds.json");
        let columns = [
            Column::text("Model"),
            Column::text("Seeds"),
            Column::number_text("Validation, mean"),
            Column::number_text("Standard deviation"),
            Column::number_text("Test, mean"),
            Column::number_text("Standard deviation"),
        ];
        let table = Table::new(columns);
        let text = match read_regular(&path, LARGEST) {
            Ok(text) => text,
            Err(ReadError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                let said = "Other seeds have not been run: `cargo xtask seeds` runs them and writes seeds.json.";
                return Ok(table.caption(said));
            }
            Err(ReadError::Io(source)) => {
                let advice = "make it readable".to_owned();
                return Err(Error::Io { action: "read", path, source, advice });
            }
            Err(ReadError::Other(found)) => return Err(broken(path, found)),
        };
        let seeds: Seeds =
            serde_json::from_slice(&text).map_err(|error| broken(path, error.to_string()))?;
        let mut table = table.caption(
            "Accuracy, or PSNR in dB, over several seeds, each with its own split, weights and order of images. The \
             deviation is that of a sample: it divides by one less than the number of seeds.",
        );
        for (name, scores) in &seeds.models {
            let (factor, unit) = if name == "autoencoder" { (1.0, " dB") } else { (100.0, "%") };
            let shown = |value: f64| format!("{:.2}{unit}", factor * value);
            let listed: Vec<String> = scores.seed.iter().map(u64::to_string).collect();
            table.push([
                display_name(name).into(),
                listed.join(", ").into(),
                shown(scores.validation_mean).into(),
                scores.validation_std.map(shown).into(),
                shown(scores.test_mean).into(),
                scores.test_std.map(shown).into(),
            ]);
        }
        Ok(table)
    }
}

fn broken(path: std::path::PathBuf, found: String) -> Error {
    let expected = "scores of several seeds".to_owned();
    let advice = "run `cargo xtask seeds` again".to_owned();
    Error::File { path, expected, found: clean_text(&found), advice }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_model_has_its_mean_and_deviation_over_the_seeds() {
        let folder = tempfile::tempdir().unwrap();
        let run = Run::new("comparison", folder.path(), false);
        let empty = run.seeds_table().unwrap();
        assert!(empty.is_empty() && empty.to_text().contains("`cargo xtask seeds`"));
        let text = r#"{"schema": 1, "models": {
            "cnn": {"seed": [3, 1, 2], "validation_mean": 0.92, "validation_std": 0.02, "test_mean": 0.9125,
                    "test_std": 0.01},
            "autoencoder": {"seed": [3], "validation_mean": 19.0, "validation_std": null, "test_mean": 19.125,
                    "test_std": null}}}"#;
        std::fs::write(folder.path().join("seeds.json"), text).unwrap();
        let text = run.seeds_table().unwrap().to_text();
        let row = |name: &str| -> Vec<String> {
            let row = text.lines().find(|line| line.starts_with(name)).unwrap();
            row.split_whitespace().map(str::to_owned).collect()
        };
        let expected =
            ["convolutional", "network", "3,", "1,", "2", "92.00%", "2.00%", "91.25%", "1.00%"];
        assert_eq!(row("convolutional"), expected, "{text}");
        let expected = ["autoencoder", "3", "19.00", "dB", "–", "19.12", "dB", "–"];
        assert_eq!(row("autoencoder"), expected, "{text}");
        std::fs::write(folder.path().join("seeds.json"), "[]").unwrap();
        let error = run.seeds_table().unwrap_err().to_string();
        assert!(error.contains("run `cargo xtask seeds` again"), "{error}");
    }
}
