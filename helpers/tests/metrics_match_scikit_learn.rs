//! Scores are scikit-learn's, and the intervals and tests SciPy's.
//!
//! `metrics.py` draws predictions of many sizes and class counts, among them certain mistakes, ties and classes without
//! an image, and prints what those libraries make of them.

use crate::common;

use helpers::evaluation::{
    Evaluation, argmax, classification_report, confusion_matrix, mcnemar_exact, top_k_accuracy,
};
use helpers::tuning::Score;
use ndarray::Array2;
use serde::Deserialize;

#[derive(Deserialize)]
struct Answers {
    scored: Vec<Scored>,
    mcnemar: Vec<McNemar>,
}

#[derive(Deserialize)]
struct Scored {
    probabilities: Vec<Vec<f32>>,
    y_true: Vec<i64>,
    loss: f64,
    accuracy: f64,
    top_3: f64,
    top_2: f64,
    balanced_accuracy: f64,
    f1_macro: f64,
    interval: [f64; 2],
    matrix: Vec<Vec<u64>>,
    precision: Vec<f64>,
    recall: Vec<f64>,
    f1: Vec<f64>,
    support: Vec<usize>,
    #[serde(rename = "macro")]
    macro_average: [f64; 3],
    weighted: [f64; 3],
}

#[derive(Deserialize)]
struct McNemar {
    only_first: usize,
    only_second: usize,
    p: f64,
}

fn answers() -> Answers {
    serde_json::from_slice(&common::run_python("metrics.py", &[] as &[&str])).unwrap()
}

fn close(ours: f64, theirs: f64, tolerance: f64) -> bool {
    (ours - theirs).abs() <= tolerance * theirs.abs().max(1.0)
}

#[test]
fn scores_are_those_of_scikit_learn() {
    let cases = answers().scored;
    assert!(cases.len() >= 20);
    for (number, case) in cases.iter().enumerate() {
        let classes = case.matrix.len();
        let flat: Vec<f32> = case.probabilities.concat();
        let probabilities = Array2::from_shape_vec((case.y_true.len(), classes), flat).unwrap();
        let scored = Evaluation::from_probabilities(&probabilities, &case.y_true).unwrap();
        // scikit-learn cuts certain probabilities off at 1 - 1.2e-7 too: hence the tolerance.
        assert!(close(scored.loss, case.loss, 1e-6), "{number}: {} {}", scored.loss, case.loss);
        assert_eq!(scored.accuracy, case.accuracy, "{number}");
        let top_3 = top_k_accuracy(&case.y_true, &probabilities, 3).unwrap();
        assert!(close(top_3, case.top_3, 1e-12), "{number}: {top_3} {}", case.top_3);
        let score = Score::from_probabilities(&probabilities, &case.y_true).unwrap();
        assert_eq!((score.loss, score.accuracy), (scored.loss, scored.accuracy), "{number}");
        for (ours, theirs) in [
            (score.top_k_accuracy, case.top_2),
            (score.balanced_accuracy, case.balanced_accuracy),
            (score.f1_macro, case.f1_macro),
        ] {
            assert!(close(ours, theirs, 1e-12), "{number}: {ours} {theirs}");
        }
        for (ours, theirs) in scored.accuracy_ci95.into_iter().zip(case.interval) {
            assert!(close(ours, theirs, 1e-12), "{number}: {ours} {theirs}");
        }
        let y_pred = argmax(&probabilities).unwrap();
        let matrix = confusion_matrix(&case.y_true, &y_pred, classes).unwrap();
        assert_eq!(matrix.into_raw_vec_and_offset().0, case.matrix.concat(), "{number}");
        let names: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
        let report = classification_report(&case.y_true, &y_pred, &names).unwrap();
        for (class, scores) in report.classes.iter().enumerate() {
            let theirs = [case.precision[class], case.recall[class], case.f1[class]];
            for (ours, theirs) in
                [scores.precision, scores.recall, scores.f1].into_iter().zip(theirs)
            {
                assert!(close(ours, theirs, 1e-12), "{number}, class {class}: {ours} {theirs}");
            }
            assert_eq!(scores.support, case.support[class]);
        }
        let means =
            [(report.macro_average, case.macro_average), (report.weighted_average, case.weighted)];
        for (ours, theirs) in means {
            for (ours, theirs) in [ours.precision, ours.recall, ours.f1].into_iter().zip(theirs) {
                assert!(close(ours, theirs, 1e-12), "{number}: {ours} {theirs}");
            }
        }
    }
}

#[test]
fn mcnemars_test_is_the_exact_binomial_one() {
    for McNemar { only_first, only_second, p } in answers().mcnemar {
        let ours = mcnemar_exact(only_first, only_second);
        let close = (ours - p).abs() <= 1e-9 * p;
        assert!(close, "{only_first} to {only_second}: {ours} and {p}");
    }
}
