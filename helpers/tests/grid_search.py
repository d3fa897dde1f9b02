"""Prints searches for grid_search.rs: what scikit-learn's GridSearchCV makes of scores that are given to it.

The argument is the path of a y.npy. The search sees the training part of it, as a student would make it; the model is a
stand-in that looks its scores up.
"""

import json
import sys
import warnings

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GridSearchCV, KFold, ParameterGrid, StratifiedKFold, train_test_split

warnings.simplefilter("ignore")
draw = np.random.default_rng(20260301)
y = np.load(sys.argv[1])


class StubClassifier(ClassifierMixin, BaseEstimator):
    """Its score is in a table: by combination, by fold, by part. A classifier: then an integer means stratified folds."""

    tables = {}

    def __init__(self, dropout=0.0, batch_size=1, kernel_initializer=""):
        self.dropout, self.batch_size, self.kernel_initializer = dropout, batch_size, kernel_initializer

    def fit(self, rows, labels):
        # The fold is the one whose test rows are missing.
        self.fold = next(fold for fold, test in enumerate(self.tables["folds"]) if test[0] not in set(rows[:, 0]))
        params = self.get_params()
        self.candidate = next(
            index for index, point in enumerate(self.tables["points"]) if all(params[name] == point[name] for name in point))
        if self.tables["test"][self.candidate][self.fold] is None:
            raise ValueError("this one fails")
        return self

    def score(self, rows, labels):
        part = "test" if rows[0, 0] in set(self.tables["folds"][self.fold]) else "train"
        return self.tables[part][self.candidate][self.fold]


def plain(values):
    """As JSON has it: no number is null."""
    return [None if np.isnan(value) else float(value) for value in values]


cases = []
for number in range(24):
    seed = int(draw.integers(2**32))
    images = int(draw.integers(200, 600))
    rows, _ = train_test_split(np.arange(len(y)), train_size=images, stratify=y, random_state=seed)
    rows, _ = train_test_split(rows, test_size=0.12, stratify=y[rows], random_state=seed)
    rows, _ = train_test_split(rows, test_size=0.12, stratify=y[rows], random_state=seed)
    grid = {
        "dropout": [0.0, 0.1, 0.2, 0.5][: int(draw.integers(1, 5))],
        "kernel_initializer": ["zeros", "he_normal", "glorot_uniform"][: int(draw.integers(1, 4))],
    }
    if number % 3 == 0:
        grid = [grid, {"batch_size": [64, 16]}]
    points = list(ParameterGrid(grid))
    n_splits = int(draw.integers(2, 12))
    kind = ["count", "k_fold", "stratified_k_fold"][number % 3]
    shuffle = bool(draw.random() < 0.7) and kind != "count"
    folds = {"n_splits": n_splits, "shuffle": shuffle, "random_state": seed if shuffle else None}
    splitter = {"count": n_splits, "k_fold": KFold(**folds), "stratified_k_fold": StratifiedKFold(**folds)}[kind]
    real = StratifiedKFold(n_splits) if kind == "count" else splitter
    tests = [rows[test].tolist() for _, test in real.split(rows, y[rows])]
    # Two digits make ties; some trials fail; in the last case all do.
    digits, failing = int(draw.integers(1, 5)), draw.choice([0.0, 0.0, 0.1, 0.6]) if number < 23 else 1.0

    def table(failing):
        values = np.round(draw.random((len(points), n_splits)), digits).tolist()
        return [[None if draw.random() < failing else value for value in line] for line in values]

    StubClassifier.tables = {"folds": tests, "points": points, "test": table(failing), "train": table(0.0)}
    error_score = np.nan if draw.random() < 0.7 else 0.25
    train_scores = bool(draw.random() < 0.5)
    search = GridSearchCV(
        StubClassifier(), grid, cv=splitter, refit=False, error_score=error_score, return_train_score=train_scores)
    try:
        search.fit(rows[:, None], y[rows])
        found = search.cv_results_
        answer = {
            "mean_test_score": plain(found["mean_test_score"]), "std_test_score": plain(found["std_test_score"]),
            "rank_test_score": found["rank_test_score"].tolist(), "params": found["params"],
            "split_test_score": [plain(found[f"split{fold}_test_score"]) for fold in range(n_splits)],
            "mean_train_score": plain(found["mean_train_score"]) if train_scores else None,
            "std_train_score": plain(found["std_train_score"]) if train_scores else None,
            "best_index": int(search.best_index_), "best_score": plain([search.best_score_])[0],
            "best_params": search.best_params_,
        }
    except ValueError:
        answer = None
    cases.append({
        "seed": seed, "images": images, "grid": grid, "folds": kind, "n_splits": n_splits, "shuffle": shuffle,
        "fold_rows": tests, "test": StubClassifier.tables["test"], "train": StubClassifier.tables["train"],
        "error_score": None if np.isnan(error_score) else error_score, "return_train_score": train_scores,
        "answer": answer,
    })
json.dump(cases, sys.stdout)
