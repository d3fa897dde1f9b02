"""The grid search with scikit-learn, whatever library its estimator trains with."""

from __future__ import annotations

import images
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV, StratifiedKFold

# What an estimator takes of the specification as it is.
SETTINGS = ("epochs", "patience", "batch_size", "learning_rate", "validation", "seed", "format")


def search(spec: dict, estimator: type[BaseEstimator]) -> dict:
    """Searches; gives what was found, and what shows that all sides did the same."""
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
