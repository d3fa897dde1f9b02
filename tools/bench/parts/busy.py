"""Images per second while other programs keep the processor busy: helpers, PyTorch and Keras next to none, one and two
of them.

A neighbour is an endless loop with the same priority. On two cores, the fair share next to one of them is three
quarters of the quiet speed: one whole core, and half of the other.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import measure
from measure import PREDICTION, TRAINING, Figure, helpers
from parts.throughput import SPECS, TITLES, keras, one_line, torch

# As many epochs as take us seconds: a time slice is 3 to 4 ms, and in the first ones helpers finds the best number of
# threads. Next to two programs the peers need a minute for them.
SIZES = {"dense": {"images": 20000, "epochs": 5}, "cnn": {"images": 3000, "epochs": 2}}
NEIGHBOURS = [0, 1, 2]


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """Runs this many busy programs during the measurement."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


def beside(count: int) -> str:
    return "quiet" if count == 0 else f"beside {count} busy program{'s' if count > 1 else ''}"


def figure_of(figure: Figure, count: int) -> Figure:
    return Figure(f"{figure.key}_{count}", f"{figure.name}, {beside(count)}", figure.unit)


def fair(count: int, cores: int) -> float:
    """Our fair share of the cores next to this many neighbours: half of each core with a neighbour, and all of the
    others."""
    return 1 - min(count, cores) / (2 * cores)


def sides_of(network: str, args: argparse.Namespace) -> list[measure.Side]:
    threads, wide = measure.cores(), {} if network == "dense" else {"channels_last": True}
    sides = [
        helpers("helpers", args.program, threads, format="default"),
        helpers("helpers, 1 thread", args.program, 1, format="default"),
        torch("float32", threads, "torch_throughput.py", **wide),
        torch("bf16", threads, "torch_throughput.py", format="bfloat16", **wide),
        keras("", threads),
    ]
    return measure.fitting(sides, args.without)


def run(args: argparse.Namespace, ceilings: dict | None) -> dict:
    counts = NEIGHBOURS[:2] if args.quick else NEIGHBOURS
    speeds = [TRAINING, PREDICTION]
    figures = [figure_of(figure, count) for figure in speeds for count in counts]
    sections = {}
    for network, size in SIZES.items():
        spec = SPECS[network] | size | {"task": "throughput", "data": str(args.data)}
        if args.quick:
            spec |= {"images": measure.QUICK_IMAGES, "epochs": 1}
        sides = sides_of(network, args)
        results: list[list[dict]] = [[{} for _ in range(args.rounds)] for _ in sides]
        for count in counts:
            print(beside(count), flush=True)
            with neighbours(count):
                found = measure.rounds(sides, args.rounds, spec, args.seed, one_line(speeds))
            for merged, runs in zip(results, found, strict=True):
                for into, (_, result) in zip(merged, runs, strict=True):
                    into |= result | {figure_of(figure, count).key: result[figure.key] for figure in speeds}
        section = measure.compared(sides, results, figures, spec, args)
        for side in section["sides"].values():
            for figure in speeds:
                quiet = side[figure_of(figure, 0).key]["median"]
                for count in counts[1:]:
                    entry = side[figure_of(figure, count).key]
                    entry["of_fair_share"] = entry["median"] / (quiet * fair(count, measure.cores()))
        section["title"] = f"{TITLES[network]}, busy"
        sections[network] = section
    return {"networks": sections}


def show(section: dict) -> str:
    lines = []
    for one in section["networks"].values():
        lines.append(measure.table(one, one["title"]))
        for name, side in one["sides"].items():
            kept = [f"{entry['of_fair_share']:.2f}" for entry in side.values() if isinstance(entry, dict) and "of_fair_share" in entry]
            lines.append(f"{name}: {', '.join(kept)} of the fair share ({', '.join(measured(one))})")
    return "\n".join(lines)


def measured(one: dict) -> list[str]:
    """The names of the figures for which a share is given, in order."""
    return [figure["name"] for figure in one["figures"] if not figure["key"].endswith("_0")]


def charts(section: dict) -> list[dict]:
    """A chart for each network: training, quiet and beside neighbours, side by side."""
    drawn = []
    for network, one in section["networks"].items():
        rows = [
            (f"{name}, {figure['name'].split(', ')[1]}", side[figure["key"]]["median"])
            for figure in one["figures"] if figure["key"].startswith(TRAINING.key)
            for name, side in one["sides"].items()
        ]  # fmt: skip
        drawn.append(
            {
                "kind": "bars",
                "name": network,
                "title": f"{TITLES[network]}: training beside busy programs",
                "value_name": "Training (images/s), median",
                "names": [name for name, _ in rows],
                "values": [value for _, value in rows],
            }
        )
    return drawn
