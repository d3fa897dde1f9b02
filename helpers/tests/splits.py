"""Prints cases for splits_match_scikit_learn.rs: what scikit-learn was asked, and the indices it gave.

With the argument `grids`: parameter grids and their combinations. With the path of a y.npy: the parts of samples of it,
as a student would make them, in places of the whole.
"""

import json
import sys
import warnings

import numpy as np
from sklearn.model_selection import KFold, RepeatedStratifiedKFold, ShuffleSplit, StratifiedKFold, StratifiedShuffleSplit
from sklearn.model_selection import ParameterGrid, train_test_split

warnings.simplefilter("ignore")
cases = []


def ask(what, labels, seed, splits, test_size=None, n_splits=None, shuffle=None):
    """Keeps one case; where scikit-learn refuses, no splits are expected."""
    try:
        answer = [{"train": np.asarray(train).tolist(), "test": np.asarray(test).tolist()} for train, test in splits()]
    except ValueError:
        answer = []
    if test_size is not None:
        test_size = {"Count" if isinstance(test_size, int) else "Share": test_size}
    cases.append({
        "what": what, "labels": np.asarray(labels).tolist(), "seed": seed, "splits": answer,
        "test_size": test_size, "n_splits": n_splits, "shuffle": shuffle,
    })


def ask_train_test(labels, test_size, seed):
    indices = np.arange(len(labels))
    ask("stratified", labels, seed, test_size=test_size,
        splits=lambda: [train_test_split(indices, test_size=test_size, random_state=seed, stratify=labels)])
    ask("shuffled", labels, seed, test_size=test_size,
        splits=lambda: [train_test_split(indices, test_size=test_size, random_state=seed)])
    ask("in order", labels, seed, test_size=test_size,
        splits=lambda: [train_test_split(indices, test_size=test_size, shuffle=False)])


def ask_folds(labels, n_splits, shuffle, seed):
    random_state = seed if shuffle else None
    for folds in (KFold, StratifiedKFold):
        splitter = folds(n_splits=n_splits, shuffle=shuffle, random_state=random_state)
        ask(folds.__name__, labels, seed, lambda: splitter.split(labels, labels), n_splits=n_splits, shuffle=shuffle)


# The cases themselves are drawn with NumPy's newer generator: nothing they rest on is what is tested.
draw = np.random.default_rng(20240229)
seeds = [0, 1, 2, 7, 42, 1234, 2**31 - 1, 2**31, 2**32 - 1]

if sys.argv[1:] == ["grids"]:
    words = ["dropout", "Dropout", "a", "b10", "b9", "epochs", "\u00e9poque", "kernel_initializer", "_seed", "zeta"]
    values = [0, 1, -3, 0.5, 1e-3, True, False, "relu", "", "he_normal"]
    grids = []
    for number in range(60):
        maps = [
            {str(name): [values[index] for index in draw.integers(0, len(values), draw.integers(1, 4))]
             for name in draw.choice(words, draw.integers(0, 5), replace=False)}
            for _ in range(1 if number < 40 else int(draw.integers(1, 4)))
        ]
        grid = maps[0] if number < 40 else maps
        grids.append({"grid": grid, "combinations": list(ParameterGrid(grid))})
    json.dump(grids, sys.stdout)
    sys.exit()

if sys.argv[1:]:
    y = np.load(sys.argv[1])
    parts = []
    for n in [0, 500, 999, 2000, 3990]:
        for stratify in [True, False]:
            for test, validation, seed in [(0.12, 0.12, 42), (0.12, 0.12, 0), (0.2, 0.25, 7), (0.333, 0.1, 2**32 - 1)]:
                rest = np.arange(len(y))
                if n:
                    rest, _ = train_test_split(rest, train_size=n, stratify=y, random_state=seed)
                again = {"random_state": seed}
                rest, tests = train_test_split(rest, test_size=test, stratify=y[rest] if stratify else None, **again)
                train, validates = train_test_split(
                    rest, test_size=validation, stratify=y[rest] if stratify else None, **again)
                parts.append({
                    "n": n, "config": {
                        "test_size": test, "validation_size": validation, "random_state": seed, "stratify": stratify},
                    "train": train.tolist(), "validation": validates.tolist(), "test": tests.tolist(),
                })
    json.dump(parts, sys.stdout)
    sys.exit()

# Permutations around the lengths at which the mask of random bits grows.
for samples in [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 255, 256, 257, 623, 624, 625, 65536, 65537]:
    for seed in seeds if samples < 1000 else seeds[:2]:
        ask("permutation", np.zeros(samples, int), seed,
            lambda: [(np.random.RandomState(seed).permutation(samples), [])])

# Balanced classes: every remainder is tied, and the ties are drawn.
for classes in [2, 3, 5, 10, 17]:
    for size in [2, 3, 7, 20]:
        labels = np.tile(np.arange(classes), size)
        for test_size in [0.12, 0.25, 0.5, 0.9, classes, classes + 1, classes * size - classes]:
            for seed in [0, 42, int(draw.integers(2**32))]:
                ask_train_test(labels, test_size, seed)

# Unbalanced ones, in random order, with gaps between the ids.
for _ in range(150):
    classes = int(draw.integers(2, 15))
    counts = draw.integers(1 if draw.random() < 0.1 else 2, 60, classes)
    labels = draw.permutation(np.repeat(draw.permutation(3 * classes)[:classes], counts))
    share = float(np.round(draw.uniform(0.01, 0.99), int(draw.integers(1, 6))))
    test_size = share if draw.random() < 0.6 else int(draw.integers(0, len(labels) + 2))
    ask_train_test(labels, test_size if test_size not in (0.0, 1.0) else 0.3, int(draw.integers(2**32)))

# Shares whose product with the number of samples lands a rounding error beside a whole number.
for samples in [25, 50, 75, 100, 175, 700, 1000]:
    for share in [0.04, 0.07, 0.12, 0.14, 0.28, 0.29, 0.55, 0.56, 0.57, 0.58]:
        ask_train_test(np.arange(samples) % 3, share, 5)

# Several splits from one state: the ties are drawn anew in each.
for seed in seeds:
    for classes, size, test_size in [(3, 5, 0.2), (4, 7, 5), (10, 13, 0.12)]:
        labels = draw.permutation(np.repeat(np.arange(classes), size))
        splitter = StratifiedShuffleSplit(n_splits=4, test_size=test_size, random_state=seed)
        ask("StratifiedShuffleSplit", labels, seed, lambda: splitter.split(labels, labels),
            test_size=test_size, n_splits=4)
        plain = ShuffleSplit(n_splits=4, test_size=test_size, random_state=seed)
        ask("ShuffleSplit", labels, seed, lambda: plain.split(labels), test_size=test_size, n_splits=4)

# Folds: sizes that do not divide, classes smaller than the number of folds, classes not in ascending order.
for samples in [2, 3, 5, 10, 11, 29, 100]:
    for n_splits in [2, 3, 5, 10]:
        for shuffle in [False, True]:
            for classes in [1, 2, 3, 7]:
                labels = draw.integers(0, classes, samples) * 5
                ask_folds(labels, n_splits, shuffle, int(draw.integers(2**32)))

# Folds that are drawn several times from one state.
for seed in seeds:
    for samples, n_splits in [(29, 2), (100, 5)]:
        labels = (np.arange(samples) * 7 % 3) * 5
        repeated = RepeatedStratifiedKFold(n_splits=n_splits, n_repeats=3, random_state=seed)
        ask("RepeatedStratifiedKFold", labels, seed, lambda: repeated.split(labels, labels), n_splits=n_splits)

# The real thing: 70,000 images, ten classes, twice 12%.
labels = draw.permutation(np.repeat(np.arange(10), 7000))
ask_train_test(labels, 0.12, 42)
ask_train_test(labels[:61600], 0.12, 42)
ask_folds(labels[:6160], 5, True, 42)

json.dump(cases, sys.stdout)
