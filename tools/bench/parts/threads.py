"""Images per second by the number of threads, up to one for each core, and how many times as fast as with one thread that
is: helpers, and PyTorch in the number format that helpers chooses here.

helpers must learn the same with any number of threads, to the last digit.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import measure
from measure import PREDICTION, TRAINING, BenchError, Side, helpers
from parts.throughput import SCORE, SCORES, SPECS, TITLES, one_line, torch

NETWORKS = ["dense", "cnn", "autoencoder"]
FIGURES = [TRAINING, PREDICTION]


def numbers(cores: int) -> list[int]:
    """1, 2, 4 and so on, and all cores."""
    return [1 << power for power in range(cores.bit_length()) if 1 << power < cores] + [cores]


def counted(threads: int) -> str:
    return f"{threads} thread{'s' if threads > 1 else ''}"


def sides_of(network: str, args: argparse.Namespace) -> list[Side]:
    threads, wide = measure.cores(), {} if network == "dense" else {"channels_last": True}
    name, narrow = ("bf16", "bfloat16") if measure.has_bf16() else ("float32", "float32")
    sides = [
        helpers("helpers", args.program, threads, format="default"),
        torch(name, threads, "torch_throughput.py", format=narrow, **wide),
    ]
    return measure.fitting(sides, args.without)


def run(args: argparse.Namespace, ceilings: dict | None) -> dict:
    counts = numbers(measure.cores())
    scaling, versions = {}, {}
    for network in NETWORKS:
        spec = SPECS[network] | {"task": "throughput", "data": str(args.data)}
        if args.quick:
            spec |= {"images": measure.QUICK_IMAGES, "epochs": 1}
        kinds = sides_of(network, args)
        sides = [
            replace(kind, name=f"{kind.name}, {counted(count)}", threads=count) for kind in kinds for count in counts
        ]
        found = measure.rounds(sides, args.rounds, spec, args.seed, one_line(FIGURES))
        results = [[result for _, result in runs] for runs in found]
        sides_found = {}
        for at, kind in enumerate(kinds):
            of_kind = results[at * len(counts) :][: len(counts)]
            if kind.ours:
                agree(network, counts, of_kind)
            sides_found[kind.name] = {"settings": kind.settings} | {
                figure.key: scaled([[result[figure.key] for result in runs] for runs in of_kind]) for figure in FIGURES
            }
        scaling[network] = {"title": f"{TITLES[network]}, threads", "sides": sides_found}
        versions = measure.versions(results[0][0].get("versions", {}))
    settings = {"rounds": args.rounds, "seed": args.seed, "quick": args.quick, "data": args.data.name}
    return {"scaling": scaling, "threads": counts, "sides": {}, "settings": settings, "versions": versions}


def scaled(values: list[list[float]]) -> list[dict]:
    """Statistics for each number of threads, with the ratio to one thread in the same round."""
    return [measure.spread(these) | {"of_one": measure.compare(these, values[0], True)} for these in values]


def agree(network: str, counts: list[int], results: list[list[dict]]) -> None:
    """An error unless the scores are those of one thread, seed by seed."""
    score = SCORES.get(network, SCORE)[0]
    one, *others = [[result[score] for result in runs] for runs in results]
    for count, found in zip(counts[1:], others, strict=True):
        if found != one:
            raise BenchError(
                f"{TITLES[network]}: expected the same {score} with any number of threads, found {found} with "
                f"{counted(count)} and {one} with one"
            )


def show(section: dict) -> str:
    lines = []
    for one in section["scaling"].values():
        lines.append(f"{one['title']:<32}{'':<14}{'threads':>8}{'images/s':>12}{'times one thread':>18}")
        for name, side in one["sides"].items():
            for figure in FIGURES:
                for count, entry in zip(section["threads"], side[figure.key], strict=True):
                    speed, of_one = measure.number(entry["median"]), entry["of_one"]["median"]
                    lines.append(f"{name:<32}{figure.name:<14}{count:>8}{speed:>12}{of_one:>18.2f}")
    return "\n".join(lines)


def charts(section: dict) -> list[dict]:
    """How many times as fast as with one thread, for each network; equal to the number of threads at best."""
    return [
        {
            "kind": "lines",
            "name": network,
            "title": f"{TITLES[network]}: what threads bring",
            "x_name": "Threads",
            "y_name": "Times as fast as with one thread",
            "log_x": False,
            "log_y": False,
            "lines": [
                {
                    "name": f"{name}, {figure.name}",
                    "x": [float(count) for count in section["threads"]],
                    "y": [entry["of_one"]["median"] for entry in side[figure.key]],
                }
                for name, side in one["sides"].items()
                for figure in FIGURES
            ],
        }
        for network, one in section["scaling"].items()
    ]
