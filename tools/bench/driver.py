"""The benchmark: helpers and the peers do the same work in turn, round after round.

    python driver.py --data data --out export/bench.json --rounds 3 --only grid_search

Each part is a file in `parts`; `measure` has their common code. The driver needs the standard library only; `cargo
xtask bench` makes the environment of the peers. Results go to a JSON file, tables to the screen, charts to `figures`
beside the file.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType

import measure
from measure import ROOT, BenchError
from parts import (
    busy,
    cells,
    ceilings,
    grid_search,
    growth,
    layers,
    opening,
    search_scale,
    threads,
    throughput,
    time_to_accuracy,
)

# Included in another figure.
LEFT_OUT = {"start_seconds"}
# The layout of the file of results.
SCHEMA = 2


@dataclass(frozen=True)
class Measurement:
    """One thing to measure, and the module that shows it."""

    run: Callable[[argparse.Namespace, dict | None], dict]
    module: ModuleType
    # Its figures are shares of the machine's ceilings, which are then measured in the same call.
    shares: bool = False


PARTS = {
    "ceilings": Measurement(ceilings.run, ceilings),
    "grid_search": Measurement(grid_search.run, grid_search),
    **{name: Measurement(partial(throughput.run, name), throughput, shares=True) for name in throughput.SPECS},
    "features": Measurement(throughput.features, throughput, shares=True),
    "time_to_accuracy": Measurement(time_to_accuracy.run, time_to_accuracy),
    "busy": Measurement(busy.run, busy),
    "threads": Measurement(threads.run, threads),
    "layers": Measurement(layers.run, layers, shares=True),
    "cells": Measurement(cells.run, cells),
    "opening": Measurement(opening.run, opening),
    "search_scale": Measurement(search_scale.run, search_scale),
    "growth": Measurement(growth.run, growth, shares=True),
}


def chosen(only: str | None) -> list[str]:
    """The parts to measure; the ceilings come first if they are needed."""
    if only is None:
        return list(PARTS)
    return ["ceilings", only] if PARTS[only].shares else [only]


def comparisons(result: dict) -> list[dict]:
    """The sections of a part that contain sides: the part itself, or one for each network, file or notebook."""
    nested = [one for key in ("networks", "files", "notebooks") for one in result.get(key, {}).values()]
    return nested or [result]


def ratios(whole: dict) -> list[tuple[str, float]]:
    """How many times as fast as the best peer helpers is, for everything that was measured; the lowest ratio first."""
    found = []
    for name in PARTS:
        for one in comparisons(whole.get(name, {})):
            for figure in one.get("figures", []):
                ratio = one["ratio"].get(figure["key"])
                if ratio and figure["unit"] in ("s", "images/s") and figure["key"] not in LEFT_OUT:
                    found.append((f"{one.get('title', name.replace('_', ' '))}: {figure['name']}", ratio["median"]))
    return sorted(found, key=lambda pair: pair[1])


def overview(whole: dict) -> dict | None:
    """The chart of all ratios."""
    found = ratios(whole)
    if not found:
        return None
    return {
        "kind": "bars",
        "name": "ratios",
        "title": "helpers beside the best peer",
        "value_name": "Times as fast as the best peer (1 is as fast)",
        # A name has room for about thirty letters.
        "names": [name.replace("EfficientNet-", "").replace(": until the mark", "") for name, _ in found],
        "values": [float(f"{ratio:.3g}") for _, ratio in found],
    }


def draw(args: argparse.Namespace, part: str, charts: list[dict]) -> list[dict]:
    """Draws a part's charts into `figures` beside the results."""
    folder = args.out.resolve().parent / "figures"
    return [
        measure.draw(args.program, chart, folder / f"bench_{part}{'_' if chart['name'] else ''}{chart['name']}.png")
        for chart in charts
    ]


def write(path: Path, section: str, result: object) -> dict:
    """Writes one section to the file and returns the whole content; the results of other calls stay."""
    whole = json.loads(path.read_text()) if path.exists() else {}
    if whole.get("schema") != SCHEMA:
        whole = {"schema": SCHEMA}
    whole[section] = result
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".fresh")
    # The project's path on this machine is removed.
    text = json.dumps(whole, indent=1).replace(f"{ROOT}/", "").replace(str(ROOT), ".")
    fresh.write_text(text + "\n")
    fresh.replace(path)
    return whole


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with X.npy and y.npy")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file for the results")
    parser.add_argument("--program", type=Path, default=ROOT / "target" / "release" / "bench", help="our side")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side runs")
    parser.add_argument("--only", choices=PARTS, help="one part of the benchmark")
    parser.add_argument("--without", metavar="WORD", help="leave out the peers with this in their name")
    parser.add_argument("--quick", action="store_true", help="so little work that figures and scores mean nothing")
    parser.add_argument("--stock", action="store_true", help="`cells` also with evcxr_jupyter as it comes")
    parser.add_argument("--seed", type=int, default=42, help="of the first round; each next one adds 1")
    args = parser.parse_args(words)
    if args.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {args.rounds}")
    args.data = args.data.resolve()
    return args


def main() -> int:
    args = arguments()
    wrong, found = [], None
    try:
        for name in chosen(args.only):
            part = PARTS[name]
            print(f"\n{name}", flush=True)
            result = part.run(args, found) | {"machine": measure.machine(), "without": args.without}
            if name == "ceilings":
                found = ceilings.medians(result)
            result["charts"] = draw(args, name, part.module.charts(result))
            whole = write(args.out, name, result)
            print(f"\n{part.module.show(result)}\n", flush=True)
            # A quick run only shows that all sides run; its scores are too low to compare.
            for one in [] if args.quick else comparisons(result):
                wrong += measure.unlike(one)
        chart = overview(whole)
        if chart:
            write(args.out, "charts", draw(args, "ratios", [chart | {"name": ""}]))
    except BenchError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(measure.SCRATCH, ignore_errors=True)
    for text in wrong:
        print(f"error: {text}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
