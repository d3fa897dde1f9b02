"""Prints searches for searches.rs: what scikit-learn's four searches make of scores that a formula gives.

The argument is the path of a y.npy. A search sees the training part of it, as a student would make it. The score of a trial
follows from its parameters, from what the round gave it, and from the sums of the rows that trained and scored, so that another
row gives another score.
"""

import json
import sys
import warnings

import numpy as np
from scipy.stats import loguniform, randint, uniform
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    KFold,
    ParameterGrid,
    ParameterSampler,
    RandomizedSearchCV,
    StratifiedKFold,
    train_test_split,
)

warnings.simplefilter("ignore")
draw = np.random.default_rng(20261127)
y = np.load(sys.argv[1])
PRIME = 1_000_003


class StubClassifier(ClassifierMixin, BaseEstimator):
    """Scores by a formula of whole numbers; one in `failing` trials fails."""

    failing = 0

    def __init__(self, dropout=0.0, batch_size=1, learning_rate=0.001, weight_decay=0.0, epochs=0):
        self.dropout, self.batch_size, self.learning_rate = dropout, batch_size, learning_rate
        self.weight_decay, self.epochs = weight_decay, epochs

    def fit(self, rows, labels):
        self.sums = int(rows.sum()), len(rows)
        return self

    def score(self, rows, labels):
        millionths = [round(float(value) * 1e6) for value in (self.dropout, self.learning_rate, self.weight_decay)]
        values = [*millionths, int(self.batch_size), int(self.epochs), *self.sums, int(rows.sum()), len(rows)]
        number = 0
        for value in values:
            number = (number * 7919 + value) % PRIME
        if self.failing and number % self.failing == 0:
            raise ValueError("this one fails")
        return number / PRIME


def plain(values):
    """As JSON has it: no number is null."""
    return [None if np.isnan(value) else float(value) for value in values]


def parameters(random):
    """A set of parameters: for scikit-learn, and as JSON."""
    theirs, ours = {}, {}
    lists = {"dropout": [0.0, 0.1, 0.2, 0.35, 0.5], "batch_size": [16, 32, 64, 128, 256, 512, 1024]}
    for name, values in lists.items():
        theirs[name] = ours[name] = values[: int(draw.integers(1, len(values) + 1))]
    if random and draw.random() < 0.7:
        low, high = float(draw.integers(1, 9)) / 1e4, float(draw.integers(1, 9)) / 10
        theirs["learning_rate"], ours["learning_rate"] = loguniform(low, high), {"log_uniform": {"low": low, "high": high}}
        theirs["weight_decay"], ours["weight_decay"] = uniform(low, high), {"uniform": {"loc": low, "scale": high}}
        low, high = int(draw.integers(1, 100)), int(draw.integers(100, 5000))
        theirs["batch_size"], ours["batch_size"] = randint(low, high), {"rand_int": {"low": low, "high": high}}
    return theirs, ours


def halving_settings(images):
    """The settings of a search by halving: for scikit-learn, and as JSON."""
    theirs = {
        "factor": [2, 3, 2.5, 4][int(draw.integers(4))],
        "aggressive_elimination": bool(draw.random() < 0.3),
        "min_resources": ["exhaust", "smallest", None][int(draw.integers(3))],
    }
    ours = dict(theirs)
    epochs = draw.random() < 0.5
    most = int(draw.integers(20, 101)) if epochs else images
    if theirs["min_resources"] is None:
        theirs["min_resources"] = ours["min_resources"] = int(draw.integers(1, 5)) * (1 if epochs else 50)
    if epochs:
        theirs |= {"resource": "epochs", "max_resources": most}
        ours |= {"resource": "epochs", "max_resources": most}
    elif draw.random() < 0.3:
        theirs["max_resources"] = ours["max_resources"] = most - int(draw.integers(1, 100))
    return theirs, ours


def rounds(search):
    """What a search by halving says of its rounds, as whole numbers: `min_resources_` may be a float that is one."""
    lists = ("n_resources", "n_candidates")
    numbers = (
        "n_remaining_candidates", "min_resources", "max_resources", "n_iterations", "n_required_iterations",
        "n_possible_iterations",
    )  # fmt: skip
    told = {name: int(getattr(search, name + "_")) for name in numbers}
    return told | {name: [int(value) for value in getattr(search, name + "_")] for name in lists}


KINDS = {
    "grid": GridSearchCV,
    "randomized": RandomizedSearchCV,
    "halving_grid": HalvingGridSearchCV,
    "halving_random": HalvingRandomSearchCV,
}

cases = []
for number in range(120):
    kind = list(KINDS)[number % 4]
    seed = int(draw.integers(2**32))
    images = int(draw.integers(900, 1900))
    rows, _ = train_test_split(np.arange(len(y)), train_size=images, stratify=y, random_state=seed)
    rows, _ = train_test_split(rows, test_size=0.12, stratify=y[rows], random_state=seed)
    rows, _ = train_test_split(rows, test_size=0.12, stratify=y[rows], random_state=seed)
    random = kind in ("randomized", "halving_random")
    sets = [parameters(random) for _ in range(2 if draw.random() < 0.3 else 1)]
    theirs, ours = [[side[index] for side in sets] for index in range(2)]
    searched = ("param_distributions" if random else "param_grid")
    settings = {searched: theirs if len(theirs) > 1 else theirs[0]}
    given = {searched: ours if len(ours) > 1 else ours[0]}
    if random:
        settings["random_state"] = given["random_state"] = seed
    if kind == "randomized":
        settings["n_iter"] = given["n_iter"] = int(draw.integers(1, 40))
    if kind.startswith("halving"):
        theirs, ours = halving_settings(len(rows))
        settings["random_state"] = given["random_state"] = seed
        settings |= theirs
        given |= ours
    if kind == "halving_random":
        exhaust = draw.random() < 0.5 and settings["min_resources"] != "exhaust"
        candidates = int(draw.integers(1, 60))
        settings["n_candidates"] = "exhaust" if exhaust else candidates
        given["n_candidates"] = 0 if exhaust else candidates
    n_splits = int(draw.integers(2, 6))
    stratified, shuffle = bool(draw.random() < 0.5), bool(draw.random() < 0.7)
    folds = {"n_splits": n_splits, "shuffle": shuffle, "random_state": seed if shuffle else None}
    # Few enough that no candidate without a score goes on: in which order those would, NumPy's sort does not say.
    StubClassifier.failing = int(draw.choice([0, 0, 29, 17]))
    search = KINDS[kind](StubClassifier(), **settings, cv=(StratifiedKFold if stratified else KFold)(**folds), refit=False)
    case = {
        "kind": kind, "seed": seed, "images": images, "n_splits": n_splits, "stratified": stratified, "shuffle": shuffle,
        "search": given, "failing": StubClassifier.failing, "answer": None,
    }  # fmt: skip
    try:
        search.fit(rows[:, None], y[rows])
    except ValueError as error:
        case["refused"] = str(error)
    else:
        found = search.cv_results_
        params = [{name: value for name, value in point.items() if name != "epochs"} for point in found["params"]]
        halving = kind.startswith("halving")
        case["answer"] = {
            "params": [{name: getattr(value, "item", lambda value=value: value)() for name, value in point.items()} for point in params],
            "mean_test_score": plain(found["mean_test_score"]), "rank_test_score": found["rank_test_score"].tolist(),
            "iter": found["iter"].tolist() if halving else [0] * len(params),
            "n_resources": found["n_resources"].tolist() if halving else None,
            "best_index": int(search.best_index_),
            "rounds": rounds(search) if halving else None,
        }  # fmt: skip
    cases.append(case)

# Draws without replacement by each of scikit-learn's three methods: few of many, some, nearly all.
samples = []
for size, count in [(40, 1), (40, 7), (40, 30), (40, 40), (1000, 3), (1000, 995), (1000, 1000), (7, 20)]:
    side = next(side for side in range(1, size + 1) if size % side == 0 and side * side >= min(size, 40))
    grid = {"a": list(range(side)), "b": list(range(size // side))}
    seed = int(draw.integers(2**32))
    points = list(ParameterSampler(grid, count, random_state=seed))
    assert len(ParameterGrid(grid)) == size
    samples.append({"grid": grid, "count": count, "seed": seed, "points": points})
json.dump({"cases": cases, "samples": samples}, sys.stdout)
