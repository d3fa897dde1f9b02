"""The grid search with scikit-learn, for any library of the estimator."""

from __future__ import annotations

import json
import sys

import images
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split

# Settings that an estimator takes from the specification unchanged.
SETTINGS = ("epochs", "patience", "batch_size", "learning_rate", "validation", "seed", "format")


class Network(ClassifierMixin, BaseEstimator):
    """The dense network of `DenseConfig`, trained like a trial of helpers: the small estimator that a user writes to
    let scikit-learn train a network of another library.

    Each library is imported where it is needed: joblib's processes load these modules before they have anything to
    train.
    """

    def __init__(
        self,
        dropout: float = 0.0,
        kernel_initializer: str = "glorot_uniform",
        hidden: tuple[int, ...] = (),
        epochs: int = 1,
        patience: int = 5,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        validation: float = 0.12,
        seed: int = 42,
        format: str = "float32",
    ) -> None:
        self.dropout = dropout
        self.kernel_initializer = kernel_initializer
        self.hidden = hidden
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation = validation
        self.seed = seed
        self.format = format

    def parts(self, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Images for training and for early stopping, and the class ids of both, split like in a trial of helpers."""
        self.classes_ = np.unique(y)
        ids = np.searchsorted(self.classes_, y)
        return train_test_split(X, ids, test_size=self.validation, random_state=self.seed, stratify=ids)


def search(spec: dict, estimator: type[BaseEstimator]) -> dict:
    """Runs the search; returns the results, and figures that show whether all sides did the same."""
    seed = spec["seed"]
    x, y = images.load(spec["data"])
    rows = images.searched_rows(y, spec["images"], seed)
    x, y = images.scaled(x[rows]).reshape(len(rows), -1), y[rows]
    folds = list(StratifiedKFold(spec["folds"], shuffle=True, random_state=seed).split(x, y))
    network = estimator(hidden=tuple(spec["hidden"]), **{name: spec[name] for name in SETTINGS})
    grid = {name: spec[name] for name in ("dropout", "kernel_initializer")}
    found = GridSearchCV(
        network, grid, cv=folds, n_jobs=spec["jobs"], refit=False, error_score="raise"
    ).fit(x, y)
    scores = np.stack([found.cv_results_[f"split{k}_test_score"] for k in range(len(folds))], axis=1)
    return {
        "best_params": found.best_params_,
        "best_score": float(found.best_score_),
        "scores": scores.tolist(),
        "fold_sums": [int(rows[test].sum()) for _, test in folds],
        "computed": scores.size,
    }


def main(estimator: type[BaseEstimator]) -> None:
    """Reads the specification from stdin and prints the result."""
    print(json.dumps(search(json.load(sys.stdin), estimator)), flush=True)
