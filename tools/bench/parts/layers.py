"""Where the time of a training step and of a prediction goes: each product of the dense network, the CNN and the
autoencoder, beside what the machine's products and memory allow for it (Williams et al. 2009, "Roofline").

The products are those that oneDNN reports, which computes them in bf16; in 32 bits MKL does, and tells nothing. What is
left of the time is everything else: normalisation, pooling, the optimiser, the loss, the way from bytes to a batch.
"""

from __future__ import annotations

import argparse
import re
import statistics
from collections import defaultdict
from dataclasses import replace
from math import prod

import measure
from measure import PREDICTION, TRAINING, helpers
from parts.throughput import SPECS, TITLES, one_line

NETWORKS = ["dense", "cnn", "autoencoder"]
# Whole batches of training, and of predictions, which have 512 images.
IMAGES = {"images": 6144, "epochs": 1}
PREDICTED = 512
SPEEDS = {"training": TRAINING, "prediction": PREDICTION}
DIRECTIONS = {"backward_data": "gradient of the input", "backward_weights": "gradient of the kernel"}


def run(args: argparse.Namespace, ceilings: dict | None) -> dict:
    networks = {}
    for network in NETWORKS:
        spec = SPECS[network] | {"task": "throughput", "data": str(args.data)} | IMAGES
        if args.quick:
            spec |= {"images": 4 * PREDICTED}
        side = helpers("helpers", args.program, measure.cores(), format="default")
        side = replace(side, variables={"ONEDNN_VERBOSE": "profile_exec"}, listens=True)
        [[(_, result)]] = measure.rounds([side], 1, spec, args.seed, one_line(list(SPEEDS.values())))
        batches = {"training": spec["batch_size"], "prediction": PREDICTED}
        phases = {
            name: phase(lines, spec["images"] // batches[name], batches[name] / result[SPEEDS[name].key], ceilings)
            for name, lines in by_phase(result["lines"]).items()
        }
        networks[network] = {"title": TITLES[network], "format": result["format"], "phases": phases}
    settings = {"seed": args.seed, "quick": args.quick, "data": args.data.name}
    return {"layers": networks, "ceilings": ceilings or {}, "sides": {}, "settings": settings}


def by_phase(lines: list[str]) -> dict[str, list[str]]:
    """The lines of each phase that the program names."""
    found: dict[str, list[str]] = {name: [] for name in SPEEDS}
    now: list[str] = []
    for line in lines:
        if line.startswith("phase "):
            now = found.get(line.split()[1], [])
        now.append(line)
    return found


def phase(lines: list[str], batches: int, seconds: float, ceilings: dict | None) -> dict:
    """The products of a batch, the slowest first; `seconds` is all the time that a batch takes.

    What is done less than once for each batch belongs to something else, such as the validation after an epoch.
    """
    times: dict[tuple, list[float]] = defaultdict(list)
    for line in lines:
        fields = line.strip().split(",")
        if fields[0] == "onednn_verbose" and "exec" in fields:
            kind, _, direction, types = fields[fields.index("exec") + 2 :][:4]
            times[kind, direction, types, fields[-2]].append(float(fields[-1]) / 1000)
    products, reorders = [], 0.0
    for (kind, direction, types, shape), found in times.items():
        calls = round(len(found) / batches)
        if calls == 0:
            continue
        # The gradients of kernels are computed in parts, each on one thread, several at once.
        at_once = min(measure.cores(), calls) if direction == "backward_weights" else 1
        taken = statistics.median(found) * calls / at_once
        work = work_of(kind, types, shape)
        if work is None:
            reorders += taken
            continue
        flop, moved = (calls * amount for amount in work)
        name = f"{kind} {shape}" if kind == "matmul" else f"{shown(shape)}, {DIRECTIONS.get(direction, 'forward')}"
        row = {"name": name, "direction": DIRECTIONS.get(direction, "forward" if kind != "matmul" else "product")}
        row |= {"seconds": taken, "calls": calls, "gflop_per_second": flop / taken / 1e9, "flop_per_byte": flop / moved}
        roof = roof_of(row["flop_per_byte"], ceilings, "bf16" in types)
        products.append(row | ({"share_of_ceiling": row["gflop_per_second"] / roof} if roof else {}))
    products.sort(key=lambda row: -row["seconds"])
    rest = seconds - sum(row["seconds"] for row in products) - reorders
    return {"products": products, "seconds": seconds, "reorder_seconds": reorders, "rest_seconds": rest}


def sizes(shape: str) -> dict[str, int]:
    """The numbers of a convolution's problem description, as `mb128_ic32oc64_ih28oh28kh3...`."""
    return {"g": 1} | {name: int(number) for name, number in re.findall(r"([a-z]+)(\d+)", shape)}


def shown(shape: str) -> str:
    of = sizes(shape)
    return f"{of['kh']} x {of['kw']}, {of['ic']} to {of['oc']} channels, {of['oh']} x {of['ow']}"


def work_of(kind: str, types: str, shape: str) -> tuple[float, float] | None:
    """Operations, and bytes read and written if each value is once; none for what is no product."""
    width = {name: int(bits) / 8 for name, bits in re.findall(r"(src|wei|dst)[:_][a-z]+(\d+)", types)}
    if kind == "matmul" and (found := re.fullmatch(r"(\d+)x(\d+):(\d+)x(\d+)", shape)):
        rows, inner, _, columns = map(int, found.groups())
        values = {"src": rows * inner, "wei": inner * columns, "dst": rows * columns}
        flop = 2 * rows * inner * columns
    elif kind == "convolution":
        of = sizes(shape)
        kernel = prod(of[name] for name in ("oc", "ic", "kh", "kw")) // of["g"]
        values = {"src": prod(of[name] for name in ("mb", "ic", "ih", "iw")), "wei": kernel}
        values["dst"] = prod(of[name] for name in ("mb", "oc", "oh", "ow"))
        flop = 2 * of["mb"] * of["oh"] * of["ow"] * kernel
    else:
        return None
    return flop, sum(count * width.get(name, 4) for name, count in values.items())


def roof_of(flop_per_byte: float, ceilings: dict | None, narrow: bool) -> float | None:
    """The most operations a second with so many for each byte, in GFLOP/s; none where no ceilings were measured."""
    peak = (ceilings or {}).get("bfloat16_gflops" if narrow else "float32_gflops")
    memory = (ceilings or {}).get("copy_gigabytes_per_second")
    return min(peak, flop_per_byte * memory) if peak and memory else None


def show(section: dict) -> str:
    lines = []
    for network in section["layers"].values():
        for name, one in network["phases"].items():
            title = f"{network['title']}, {name}: {1000 * one['seconds']:.2f} ms a batch"
            lines.append(f"{title:<62}{'ms':>8}{'GFLOP/s':>10}{'FLOP/byte':>11}{'of ceiling':>12}")
            for row in one["products"]:
                share = f"{row['share_of_ceiling']:.0%}" if "share_of_ceiling" in row else ""
                speed, density = measure.number(row["gflop_per_second"]), measure.number(row["flop_per_byte"])
                lines.append(f"{row['name']:<62}{1000 * row['seconds']:>8.3f}{speed:>10}{density:>11}{share:>12}")
            for what in ("reorder", "rest"):
                lines.append(f"{what:<62}{1000 * one[f'{what}_seconds']:>8.3f}")
    return "\n".join(lines)


def charts(section: dict) -> list[dict]:
    """A roofline for each network: its products, and above them the most that the machine's memory and products allow."""
    drawn = []
    for key, network in section["layers"].items():
        groups: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for name, one in network["phases"].items():
            for row in one["products"]:
                groups[f"{name}, {row['direction']}"].append((row["flop_per_byte"], row["gflop_per_second"]))
        if groups:
            drawn.append(
                {
                    "kind": "lines",
                    "name": key,
                    "title": f"{network['title']}: products and their ceiling",
                    "x_name": "Operations for each byte",
                    "y_name": "GFLOP/s",
                    "log_x": True,
                    "log_y": True,
                    "lines": roofs([x for group in groups.values() for x, _ in group], section["ceilings"]),
                    "points": [line(name, group) for name, group in groups.items()],
                }
            )
    return drawn


def roofs(densities: list[float], ceilings: dict) -> list[dict]:
    """The ceiling from the least operations for each byte to the most: it rises with them as far as memory limits it."""
    peak, memory = (ceilings.get(key) for key in ("bfloat16_gflops", "copy_gigabytes_per_second"))
    if not peak or not memory:
        return []
    low, high = min(densities), max(densities)
    ends = sorted({low, min(max(peak / memory, low), high), high})
    return [line("ceiling", [(x, min(peak, x * memory)) for x in ends])]


def line(name: str, points: list[tuple[float, float]]) -> dict:
    points = sorted(points)
    return {"name": name, "x": [x for x, _ in points], "y": [y for _, y in points]}
