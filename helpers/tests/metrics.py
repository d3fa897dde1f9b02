"""Prints cases for metrics_match_scikit_learn.rs: predictions, and what scikit-learn and SciPy make of them."""

import json
import warnings

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

warnings.simplefilter("ignore")


def scored(rng, images, classes, skill):
    """Probabilities in float32 that favour the true class by `skill`, which may leave classes without any image."""
    y_true = rng.integers(0, max(1, classes - rng.integers(0, 2)), images)
    logits = rng.normal(size=(images, classes)).astype(np.float32)
    logits[np.arange(images), y_true] += np.float32(skill)
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = (e / e.sum(axis=1, keepdims=True)).astype(np.float32)
    if images > 3:
        # Certain and wrong, certain and right, and a tie.
        probabilities[0] = np.eye(classes, dtype=np.float32)[(y_true[0] + 1) % classes]
        probabilities[1] = np.eye(classes, dtype=np.float32)[y_true[1]]
        probabilities[2] = np.float32(1 / classes)
    y_pred = probabilities.argmax(axis=1)
    known = list(range(classes))
    each = precision_recall_fscore_support(y_true, y_pred, labels=known, zero_division=0)
    means = {
        name: precision_recall_fscore_support(y_true, y_pred, labels=known, average=name, zero_division=0)[:3]
        for name in ("macro", "weighted")
    }
    interval = binomtest(int((y_true == y_pred).sum()), images).proportion_ci(0.95, method="wilson")
    return {
        "probabilities": probabilities.tolist(),
        "y_true": y_true.tolist(),
        "loss": log_loss(y_true, probabilities, labels=known),
        "accuracy": accuracy_score(y_true, y_pred),
        # For two classes scikit-learn takes the scores of one.
        "top_3": top_k_accuracy_score(y_true, probabilities, k=3, labels=known) if classes > 2 else 1.0,
        "top_2": top_k_accuracy_score(y_true, probabilities, k=2, labels=known) if classes > 2 else 1.0,
        # As the scorers of these names call them.
        "balanced_accuracy": balanced_accuracy_score(y_true, y_pred),
        "f1_macro": f1_score(y_true, y_pred, average="macro"),
        "interval": [interval.low, interval.high],
        "matrix": confusion_matrix(y_true, y_pred, labels=known).tolist(),
        "precision": each[0].tolist(),
        "recall": each[1].tolist(),
        "f1": each[2].tolist(),
        "support": each[3].tolist(),
        "macro": list(means["macro"]),
        "weighted": list(means["weighted"]),
    }


def main():
    rng = np.random.default_rng(7)
    sizes = [(1, 2), (2, 2), (5, 3), (17, 3), (100, 10), (333, 4), (1000, 10), (400, 37)]
    cases = [scored(rng, images, classes, skill) for images, classes in sizes for skill in (0.0, 2.0, 8.0)]
    counts = [(0, 0), (0, 1), (1, 1), (5, 0), (3, 9), (10, 12), (40, 81), (200, 260), (388, 124), (4000, 4100), (0, 900)]
    tests = [
        {"only_first": b, "only_second": c, "p": binomtest(b, b + c).pvalue if b + c else 1.0}
        for b, c in counts + [(c, b) for b, c in counts]
    ]
    print(json.dumps({"scored": cases, "mcnemar": tests}))


main()
