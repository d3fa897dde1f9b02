//! Compares several models by their files in the folder of results.

use super::folder::{made_by, scored_by};
use super::metrics::Metrics;
use super::predictions::Predictions;
use crate::evaluation::{Comparisons, Evaluation};
use crate::text::clean_text;
use crate::{Error, Result};

/// The models with their test scores, the most accurate first; equal ones in the order of their names.
///
/// # Errors
/// If there is no model, if one is no classifier, or if they were not made from the same data, seed and split.
pub fn by_accuracy(models: &[Metrics]) -> Result<Vec<(&Metrics, Evaluation)>> {
    let Some(first) = models.first() else { return Err(Error::NothingToScore) };
    for other in models {
        let same = |metrics: &Metrics| {
            (
                metrics.dataset.clone(),
                metrics.seed,
                metrics.split,
                metrics.quick,
                metrics.config.get("split").cloned(),
            )
        };
        if same(other) != same(first) {
            let (a, b) = (clean_text(&first.name), clean_text(&other.name));
            return Err(Error::parameter(
                "models",
                "metrics of one data set, seed, split and kind of run",
                format!("`{a}` and `{b}` that differ in them"),
                format!("run {} and {} again", made_by(&first.name), made_by(&other.name)),
            ));
        }
    }
    let mut scored = Vec::new();
    for metrics in models {
        scored.push((metrics, metrics.test_evaluation()?));
    }
    scored.sort_by(|(a, a_test), (b, b_test)| {
        b_test.accuracy.total_cmp(&a_test.accuracy).then_with(|| a.name.cmp(&b.name))
    });
    Ok(scored)
}

/// McNemar's test between each pair of these models.
///
/// # Errors
/// If the predictions are not of the same images.
pub fn compare_predictions(models: &[Predictions]) -> Result<Comparisons> {
    let Some(first) = models.first() else { return Err(Error::NothingToScore) };
    if let Some(other) = models.iter().find(|other| {
        (&other.images_sha256, &other.y_true) != (&first.images_sha256, &first.y_true)
    }) {
        let (a, b) = (clean_text(&first.name), clean_text(&other.name));
        return Err(Error::parameter(
            "models",
            "predictions for the same images",
            format!("`{a}` and `{b}`, made for others"),
            format!("run {} and {} again", scored_by(&first.name), scored_by(&other.name)),
        ));
    }
    let named: Vec<(&str, &[i64])> =
        models.iter().map(|model| (model.name.as_str(), model.y_pred.as_slice())).collect();
    Comparisons::new(&named, &first.y_true)
}
