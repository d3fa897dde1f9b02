"""The response times of a notebook: from the start of the kernel to the first value on the page, and of single cells.

Our kernel runs the first cells of notebooks 01 and 04, a Python kernel the equivalent cells with Keras; both use the
Jupyter protocol, as JupyterLab does, and the same X.npy. Both are measured three times: started when the first cell is
run, opened before, and restarted with the same cells. In the end comes a mistake.
`--stock` adds evcxr without our kernel, which first compiles for minutes.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys

import measure
from measure import BenchError, Figure, Side, peer

FIGURES = [
    # The first ones are drawn.
    Figure("first_value_seconds", "first value", "s", higher_is_better=False),
    Figure("cell_seconds", "median cell", "s", higher_is_better=False),
    Figure("error_seconds", "first compile error", "s", higher_is_better=False),
    Figure("start_seconds", "kernel start", "s", higher_is_better=False),
    Figure("empty_megabytes", "memory without data", "MB", higher_is_better=False),
    Figure("memory_megabytes", "memory", "MB", higher_is_better=False),
    Figure("disk_megabytes", "disk", "MB", higher_is_better=False),
]
# How a kernel starts, and the words for it in a title.
STARTS = {"cold": "", "warm": ", warm", "restart": ", restarted"}
NOTEBOOKS = {"01_data_loading": 5, "04_baseline_model": 4}
ROOM = measure.ROOT / ".tools" / "kernel"


def ours(name: str, argv: list[str], sessions: str, **settings: object) -> Side:
    """A kernel for Rust: its command, and the folder for the builds of its sessions."""
    libraries = str(measure.ROOT / ".tools" / "torch" / "torch" / "lib")
    variables = {
        "NOTEBOOK_REPOSITORY": str(measure.ROOT),
        "DYLD_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH": libraries,
    }
    side = kernel(name, language="rust", argv=argv, variables=variables | settings, sessions=sessions)
    side.ours = name == "helpers"
    return side


def kernel(name: str, **settings: object) -> Side:
    return peer(name, "notebook_cells.py", measure.cores(), **settings)


def run(args: argparse.Namespace, ceilings: dict | None) -> dict:
    program = ROOM / "notebook-kernel"
    connection = ["--control_file", "{connection_file}"]
    sides = [
        ours("helpers", [str(program), *connection], str(ROOM / "sessions"), GOMP_SPINCOUNT="20000"),
        kernel(
            "Python with Keras", language="python", variables={}, sessions="",
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        ),
    ]  # fmt: skip
    only_cold = []
    if args.stock:
        stock = "evcxr_jupyter"
        if shutil.which(stock) is None:
            raise BenchError(
                "`--stock` needs evcxr_jupyter on the path, found none; "
                "`cargo install --locked evcxr_jupyter` puts it there"
            )
        build = str(measure.SCRATCH / "evcxr")
        libtorch = str(measure.ROOT / ".tools" / "libtorch")
        settings = {"EVCXR_TMPDIR": build, "LIBTORCH": libtorch}
        only_cold.append(ours("stock evcxr", [stock, *connection], build, **settings))
    sections = {}
    for (notebook, cells), (start, title) in itertools.product(NOTEBOOKS.items(), STARTS.items()):
        taking_part = sides + (only_cold if start == "cold" else [])
        spec = {"data": str(args.data), "notebook": notebook, "cells": cells, "start": start}
        found = measure.rounds(taking_part, args.rounds, spec, args.seed, one_line)
        results = [[result for _, result in runs] for runs in found]
        section = measure.compared(taking_part, results, FIGURES, spec, args)
        for side, runs in zip(taking_part, results, strict=True):
            section["sides"][side.name]["cells_seconds"] = [result["cells_seconds"] for result in runs]
        section["title"] = f"notebook {notebook[:2]}{title}"
        sections[notebook if start == "cold" else f"{notebook}_{start}"] = section
    return {"notebooks": sections}


def one_line(result: dict) -> str:
    return f"first value {result['first_value_seconds']:.1f} s, median cell {result['cell_seconds']:.2f} s"


def show(section: dict) -> str:
    return "\n\n".join(measure.table(one, one["title"]) for one in section["notebooks"].values())


def charts(section: dict) -> list[dict]:
    drawn = []
    for notebook, one in section["notebooks"].items():
        name = notebook[:2] + "".join(f"_{start}" for start in STARTS if notebook.endswith(f"_{start}"))
        title = one["title"].capitalize()
        drawn += [chart | {"name": f"{name}_{chart['name']}"} for chart in measure.bars(one, title)]
    return drawn
