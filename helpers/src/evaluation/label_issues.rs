//! Labels that a model contradicts: confident learning.

use ndarray::Array2;

use super::metrics::{argmax, check_classes, check_lengths};
use crate::error::Result;

/// An image whose label is doubtful.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelIssue {
    /// Index of the image among the given ones.
    pub image: usize,
    /// Its label.
    pub label: usize,
    /// The class that the model sees.
    pub suggested: usize,
    /// The predicted probability of its label (the self-confidence), in 0..=1.
    pub self_confidence: f64,
    /// The probability of the suggested class, in 0..=1.
    pub confidence: f64,
}

/// Images whose label a model contradicts with confidence, the least probable label first: confident learning (Northcutt
/// et al. 2021), as cleanlab's `find_label_issues(filter_by="confident_learning",
/// return_indices_ranked_by="self_confidence")`.
///
/// A class is a candidate if its probability is at least its mean probability among the images with that label. If the
/// most probable candidate is not the given label, the label is doubtful.
///
/// - `probabilities`: shape `(N, classes)`, each row by a model that has not learnt from that image
///   ([`cross_val_predict`](crate::tuning::cross_val_predict))
/// - `labels`: class ids in `0..classes`, shape `(N,)`
///
/// # Errors
/// If there is no image, the lengths differ, a class lies outside `0..classes`, or a row does not add up to 1.
pub fn find_label_issues(labels: &[i64], probabilities: &Array2<f32>) -> Result<Vec<LabelIssue>> {
    check_lengths(labels.len(), probabilities.nrows())?;
    let classes = probabilities.ncols();
    check_classes(labels, classes)?;
    let predicted = argmax(probabilities)?;
    let value = |image: usize, class: usize| f64::from(probabilities[(image, class)]);
    let threshold = |class: usize| {
        let own: Vec<f64> = (0..labels.len())
            .filter(|&image| labels[image] == class as i64)
            .map(|image| value(image, class))
            .collect();
        // A class without images is never a candidate.
        if own.is_empty() { f64::INFINITY } else { own.iter().sum::<f64>() / own.len() as f64 }
    };
    let thresholds: Vec<f64> = (0..classes).map(threshold).collect();
    let issue = |image: usize| {
        let label = labels[image] as usize;
        let suggested =
            (0..classes).filter(|&class| value(image, class) >= thresholds[class] - 1e-6).reduce(
                |best, class| if value(image, class) > value(image, best) { class } else { best },
            )?;
        let doubtful = suggested != label && predicted[image] != labels[image];
        let (self_confidence, confidence) = (value(image, label), value(image, suggested));
        doubtful.then_some(LabelIssue { image, label, suggested, self_confidence, confidence })
    };
    let mut issues: Vec<LabelIssue> = (0..labels.len()).filter_map(issue).collect();
    issues.sort_by(|a, b| a.self_confidence.total_cmp(&b.self_confidence));
    Ok(issues)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    /// Means: class 0 (0.9 + 0.1) / 2 = 0.5, class 1 (0.6 + 0.8) / 2 = 0.7. The second image is called 1 with 0.9; the last
    /// one of class 1 is called 0 with 0.4 alone, which is below what class 0 usually has.
    #[test]
    fn a_label_is_doubtful_where_another_class_is_as_probable_as_it_usually_is() {
        let probabilities = array![[0.9_f32, 0.1], [0.1, 0.9], [0.4, 0.6], [0.2, 0.8]];
        let issues = find_label_issues(&[0, 0, 1, 1], &probabilities).unwrap();
        let found: Vec<_> = issues.iter().map(|i| (i.image, i.label, i.suggested)).collect();
        assert_eq!(found, [(1, 0, 1)]);
        assert!((issues[0].self_confidence - 0.1).abs() < 1e-6);
        assert!((issues[0].confidence - 0.9).abs() < 1e-6);
    }

    /// `reference/looking.json`, from cleanlab.
    #[test]
    fn doubtful_labels_agree_with_cleanlab() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/looking.json");
        let text = std::fs::read_to_string(path).unwrap();
        let reference = &serde_json::from_str::<serde_json::Value>(&text).unwrap()["suspects"];
        let labels: Vec<i64> = serde_json::from_value(reference["labels"].clone()).unwrap();
        let expected: Vec<usize> = serde_json::from_value(reference["found"].clone()).unwrap();
        let rows = reference["probabilities"].as_array().unwrap();
        let value = |(row, class): (usize, usize)| rows[row][class].as_f64().unwrap() as f32;
        let probabilities = Array2::from_shape_fn((labels.len(), 3), value);
        let issues = find_label_issues(&labels, &probabilities).unwrap();
        let found: Vec<usize> = issues.iter().map(|issue| issue.image).collect();
        assert!(expected.len() > 5);
        assert_eq!(found, expected);
    }
}
