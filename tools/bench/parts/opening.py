"""From X.npy on the disk to the first batch of 128 images, pixels in 0..1, and the memory that this takes.

Measured for the data set and for generated files of 1 GB and 5 GB, which are full of pixels and removed afterwards:
helpers copies the first one into memory, beside what goes on, and leaves the second one in its file. On all sides, the
files are in the page cache when they are opened, as in a second run of a notebook. The pages of a mapped file count as
memory while they are in use, although the system can drop them at any time: `own` leaves them out.
"""

from __future__ import annotations

import argparse
import shutil

import measure
from measure import Figure, helpers, peer

FIGURES = [
    Figure("seconds", "first batch", "s", higher_is_better=False),
    Figure("peak_megabytes", "peak memory", "MB", higher_is_better=False),
    Figure("own_megabytes", "own memory", "MB", higher_is_better=False),
]
BYTES = {"given": None, "medium": 1_000_000_000, "large": 5_000_000_000}
SIDE = 224
QUICK_IMAGES = 500


def run(args: argparse.Namespace, ceilings: dict | None) -> dict:
    sides = [
        helpers("helpers", args.program, measure.cores()),
        peer("numpy.load", "numpy_opening.py", measure.cores(), mmap=False),
        peer("numpy.load, mmap_mode", "numpy_opening.py", measure.cores(), mmap=True),
    ]
    sections = {}
    try:
        for name, size in BYTES.items():
            # One generated file at a time, so that it stays in the page cache.
            shutil.rmtree(measure.MADE, ignore_errors=True)
            data = args.data
            if size is not None:
                images = QUICK_IMAGES if args.quick else size // SIDE**2
                data = measure.make_images(measure.MADE / name, images, SIDE, 10)
            spec = {"task": "opening", "data": str(data), "batch_size": 128}
            found = measure.rounds(sides, args.rounds, spec, args.seed, one_line)
            results = [[result for _, result in runs] for runs in found]
            section = measure.compared(sides, results, FIGURES, spec, args)
            section["bytes"] = (data / "X.npy").stat().st_size
            section["title"] = f"opening {section['bytes'] / 1e6:,.0f} MB"
            sections[name] = section
    finally:
        shutil.rmtree(measure.MADE, ignore_errors=True)
    return {"files": sections}


def one_line(result: dict) -> str:
    return f"{result['seconds']:.3f} s, {result['peak_megabytes'] or 0:,.0f} MB"


def show(section: dict) -> str:
    return "\n\n".join(measure.table(one, one["title"]) for one in section["files"].values())


def charts(section: dict) -> list[dict]:
    drawn = []
    for name, one in section["files"].items():
        title = one["title"].replace("opening", "Opening")
        drawn += [chart | {"name": f"{name}_{chart['name']}"} for chart in measure.bars(one, title)]
    return drawn
