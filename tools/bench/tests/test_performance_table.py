"""The table of docs/performance.md, on a made-up result."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import performance_table


def figure(key, name, unit):
    return {"key": key, "name": name, "unit": unit, "higher_is_better": unit != "s"}


def spread(median, low, high):
    return {"median": median, "min": low, "max": high}


def section(title, figures, ours, theirs, ratio):
    sides = {"helpers": {"ours": True, **ours}, "PyTorch": {"ours": False, **theirs}}
    return {"title": title, "figures": figures, "sides": sides, "best_peer": dict.fromkeys(ratio, "PyTorch"), "ratio": ratio}


WHOLE = {
    "cnn": section(
        "CNN",
        [figure("train", "training", "images/s"), figure("seconds", "start", "s")],
        {"train": spread(4000, 1, 2) | {"share_of_ceiling": 0.297}, "seconds": spread(0.0123, 1, 2)},
        {"train": spread(1600, 1, 2), "seconds": spread(0.001, 1, 2)},
        {"train": spread(2.5, 2.25, 2.75), "seconds": spread(0.081, 0.0799, 0.09)},
    ),
    "cells": {
        "notebooks": {
            "a": section(
                "notebook 01",
                [
                    figure("first", "first value", "s"),
                    figure("start_seconds", "kernel start", "s"),
                    figure("memory", "memory", "MB"),
                ],
                {"first": spread(1.5, 1, 2), "start_seconds": spread(1, 1, 1), "memory": spread(1, 1, 1)},
                {"first": spread(3.0, 1, 2), "start_seconds": spread(1, 1, 1), "memory": spread(1, 1, 1)},
                {"first": spread(2, 1.9, 2.1), "start_seconds": spread(1, 1, 1), "memory": spread(1, 1, 1)},
            )
        }
    },
}
ROWS = [
    "| CNN: start | 0.0123 s | PyTorch, 0.001 s | **0.08** (0.08 to 0.09) |  |",
    "| notebook 01: first value | 1.5 s | PyTorch, 3 s | **2.00** (1.90 to 2.10) |  |",
    "| CNN: training | 4,000 images/s | PyTorch, 1,600 images/s | **2.50** (2.25 to 2.75) | 30% |",
]


def test_each_ratio_is_a_row_the_worst_first():
    assert performance_table.rows(WHOLE) == ROWS


def test_only_the_rows_of_the_table_are_replaced():
    before = ["text", *performance_table.HEAD, "| old | row |", "", "| another | table |"]
    after = ["text", *performance_table.HEAD, *ROWS, "", "| another | table |"]
    assert performance_table.renewed("\n".join(before), WHOLE) == "\n".join(after)


def test_the_page_has_the_table():
    text = (Path(__file__).resolve().parents[3] / "docs" / "performance.md").read_text()
    assert "\n".join(performance_table.HEAD) in text
