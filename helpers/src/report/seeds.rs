//! How far the scores of other seeds lie apart.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::artifacts::Run;
use crate::display::{Column, Table};
use crate::system::files::{ReadError, read_regular};
use crate::text::clean_text;
use crate::{Error, Result};

/// As `cargo xtask seeds` writes it.
#[derive(Deserialize)]
struct Seeds {
    models: BTreeMap<String, Scores>,
}

/// Of one model, an entry for each seed; accuracies, or PSNR in dB.
#[derive(Deserialize)]
struct Scores {
    seed: Vec<u64>,
    validation: Vec<f64>,
    test: Vec<f64>,
}

const LARGEST: u64 = 1 << 20;

impl Run {
    /// Mean and standard deviation of each classifier's scores over several seeds (each with its own split, weights and
    /// order of images), from `seeds.json` in the folder of results, which `cargo xtask seeds` makes. Without that file the
    /// table has no row, and says so.
    ///
    /// # Errors
    /// If the file cannot be read, or holds something else.
    pub fn seeds_table(&self) -> Result<Table> {
        let path = self.path("seeds.json");
        let columns = [
            Column::text("Model"),
            Column::text("Seeds"),
            Column::percent("Validation accuracy, mean", 2),
            Column::percent("Test accuracy, mean", 2),
            Column::decimal("Standard deviation", 2).unit("points"),
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
            "Scores over several seeds, each with its own split, weights and order of images; the deviation is that of the \
             test accuracy.",
        );
        for (name, scores) in &seeds.models {
            // A denoiser has no accuracy.
            if name == "autoencoder" {
                continue;
            }
            let (validation, (test, deviation)) = (mean(&scores.validation).0, mean(&scores.test));
            let listed: Vec<String> = scores.seed.iter().map(u64::to_string).collect();
            table.push([
                clean_text(name).into(),
                listed.join(", ").into(),
                validation.into(),
                test.into(),
                (100.0 * deviation).into(),
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

/// Mean and standard deviation, the latter with one degree of freedom taken off.
fn mean(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0)).sqrt())
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
            "cnn": {"seed": [3, 1, 2], "validation": [0.9, 0.92, 0.94], "test": [0.91, 0.92, 0.93]},
            "autoencoder": {"seed": [3], "validation": [19.0], "test": [19.1]}}}"#;
        std::fs::write(folder.path().join("seeds.json"), text).unwrap();
        let table = run.seeds_table().unwrap();
        let text = table.to_text();
        let row = text.lines().find(|line| line.starts_with("cnn")).unwrap();
        let row: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(row, ["cnn", "3,", "1,", "2", "92.00", "92.00", "1.00"], "{text}");
        assert_eq!(table.len(), 1);
        std::fs::write(folder.path().join("seeds.json"), "[]").unwrap();
        let error = run.seeds_table().unwrap_err().to_string();
        assert!(error.contains("run `cargo xtask seeds` again"), "{error}");
    }
}
