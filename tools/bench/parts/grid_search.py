"""The same grid search by `GridSearchCv`, and by scikit-learn's `GridSearchCV` with Keras and with PyTorch.

The time is from the start of the process until its best parameters are known. All sides use the same folds and images.
"""

from __future__ import annotations

import argparse

import measure
from measure import BenchError, Figure, helpers, peer
from parts.throughput import HIDDEN

SEARCH = {
    "hidden": HIDDEN,
    "batch_size": 128,
    "learning_rate": 1e-3,
    "images": 6000,
    "dropout": [0.0, 0.15, 0.3, 0.45],
    "kernel_initializer": ["glorot_uniform", "he_uniform", "he_normal"],
    "folds": 3,
    "epochs": 3,
    "patience": 5,
    "validation": 0.12,
}
SECONDS = Figure("seconds", "whole search", "s", higher_is_better=False)
# Enough to show that all sides run and do the same: with all settings Keras needs minutes.
QUICK = {"images": measure.QUICK_IMAGES, "dropout": [0.0, 0.3], "kernel_initializer": ["he_normal"], "folds": 2}
# Two sides do the same if their mean accuracies differ by less than this, whatever the noise is.
TOLERANCE = 0.02


def run(args: argparse.Namespace, ceilings: dict | None) -> dict:
    jobs = 2
    each = max(1, measure.cores() // jobs)
    sides = [
        helpers(f"helpers, {jobs} jobs", args.program, each, jobs=jobs, format="default"),
        helpers(f"helpers, {jobs} jobs, float32", args.program, each, jobs=jobs, format="float32"),
    ]
    for name, script, narrow in (
        ("Keras", "keras_search.py", "mixed_bfloat16"),
        ("PyTorch", "torch_search.py", "bfloat16"),
    ):
        sides += [
            peer(f"{name}, 1 job", script, measure.cores(), jobs=1, format="float32"),
            peer(f"{name}, {jobs} jobs", script, each, jobs=jobs, format="float32"),
            peer(f"{name}, {jobs} jobs, bf16", script, each, jobs=jobs, format=narrow),
        ]
    spec = SEARCH | {"task": "grid_search", "data": str(args.data), "trials": str(measure.SCRATCH / "trials")}
    if args.quick:
        spec |= QUICK
    sides = measure.fitting(sides)
    found = measure.rounds(sides, args.rounds, spec, args.seed, one_line)

    fits = len(spec["dropout"]) * len(spec["kernel_initializer"]) * spec["folds"]
    for side, runs in zip(sides, found, strict=True):
        if any(result["computed"] != fits for _, result in runs):
            raise BenchError(f"{side.name} did not compute all {fits} trials; its time says nothing")
        if [r["fold_sums"] for _, r in runs] != [r["fold_sums"] for _, r in found[0]]:
            raise BenchError(f"{side.name} had other folds than {sides[0].name}")
    results = [[result | {"seconds": seconds} for seconds, result in runs] for runs in found]
    section = measure.compared(sides, results, [SECONDS], spec, args)
    flat = [[s for result in runs for row in result["scores"] for s in row] for runs in results]
    for side, runs, scores in zip(sides, results, flat, strict=True):
        entry = section["sides"][side.name]
        entry["best_params"] = [result["best_params"] for result in runs]
        if side is not sides[0]:
            entry["check"] = measure.check("accuracy", flat[0], scores, TOLERANCE)
    return section


def one_line(result: dict) -> str:
    params = ", ".join(f"{name} {value}" for name, value in result["best_params"].items())
    return f"best {100 * result['best_score']:.2f}%, {params}"


def show(section: dict) -> str:
    return measure.table(section, "grid search")


def charts(section: dict) -> list[dict]:
    return measure.bars(section, "Grid search")
