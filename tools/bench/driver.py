"""The benchmark: helpers and the peers do the same work in turn, round after round.

    python driver.py --data data --out export/bench.json --rounds 3 --only grid_search

A side is a program: it reads a specification as JSON from stdin, and the last line it prints is its result. Seconds run
from the start of its process to that line, so that everything a person would wait for counts. Needs the standard
library alone; `cargo xtask bench` makes the environment that the peers run in. Start at `grid_search` and
`throughput`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SCRATCH = ROOT / ".tools" / "bench-scratch"
PEERS = ["keras", "numpy", "scikit-learn", "tensorflow", "tensorflow-cpu", "torch"]

NETWORK = {"hidden": [512, 256, 128, 64], "batch_size": 128, "learning_rate": 1e-3}
SEARCH = NETWORK | {
    "images": 6000,
    "dropout": [0.0, 0.15, 0.3, 0.45],
    "kernel_initializer": ["glorot_uniform", "he_uniform", "he_normal"],
    "folds": 3,
    "epochs": 3,
    "patience": 5,
    "validation": 0.12,
}
SPEED = NETWORK | {"filters": [32, 64, 128, 128], "dense": 128}
SPEEDS = {
    "dense": SPEED | {"images": 20000, "epochs": 3, "dropout": 0.25},
    "cnn": SPEED | {"images": 6000, "epochs": 2, "dropout": 0.4},
}
# Two sides whose mean accuracies differ by less than this do the same, whatever the noise is.
TOLERANCE = 0.02
# The same for a single, short training, which no folds average.
TOLERANCE_OF_ONE = 0.03


class BenchError(Exception):
    """What a person is told, without a trace."""


@dataclass
class Side:
    """One way to do the work."""

    name: str
    command: list[str]
    ours: bool = False
    settings: dict = field(default_factory=dict)
    # Threads of each process that computes.
    threads: int = 1
    # Left out, with the reason, where it does not work; `torch.compile` wants a compiler of its own, for one.
    optional: bool = False


def helpers(name: str, program: Path, threads: int, **settings: object) -> Side:
    """A side of helpers: the program of this folder, with libtorch on its loader path."""
    command = [str(ROOT / "tools" / "with-libtorch"), str(program)]
    return Side(name, command, ours=True, settings=settings, threads=threads)


def peer(name: str, script: str, threads: int, optional: bool = False, **settings: object) -> Side:
    """A side in Python: a script of this folder."""
    command = [sys.executable, str(HERE / script)]
    return Side(name, command, settings=settings, threads=threads, optional=optional)


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(threads: int) -> dict[str, str]:
    """The variables a side starts with: every library gets so many threads, and no GPU."""
    threads_of = ["OMP_NUM", "MKL_NUM", "OPENBLAS_NUM", "TF_NUM_INTRAOP", "TF_NUM_INTEROP"]
    variables = {f"{library}_THREADS": str(threads) for library in threads_of}
    others = {
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return os.environ | variables | others


def run(side: Side, spec: dict) -> tuple[float, dict]:
    """Runs a side on an empty scratch folder; gives its seconds and its result."""
    shutil.rmtree(SCRATCH, ignore_errors=True)
    (SCRATCH / "trials").mkdir(parents=True)
    text = json.dumps(spec | side.settings)
    log = SCRATCH / "stderr.log"
    started = time.perf_counter()
    with log.open("wb") as errors, subprocess.Popen(
        side.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
        env=environment(side.threads), cwd=ROOT,
    ) as child:  # fmt: skip
        try:
            child.stdin.write(text)
            child.stdin.close()
        except BrokenPipeError:
            pass  # it has ended already, and says why itself
        seconds, result = math.nan, None
        for line in child.stdout:
            if line.startswith("{"):
                seconds, result = time.perf_counter() - started, json.loads(line)
    if child.returncode != 0 or result is None:
        last = "\n  ".join(log.read_text(errors="replace").splitlines()[-15:])
        raise BenchError(f"{side.name} failed (status {child.returncode}):\n  {last}")
    shutil.rmtree(SCRATCH, ignore_errors=True)
    return seconds, result


def rounds(sides: list[Side], count: int, spec: dict, seed: int, show) -> list[list[tuple[float, dict]]]:
    """Every side once a round; gives for each side, round for round, seconds and result.

    Each round has a seed of its own and starts with another side, so that nobody always follows the same neighbour.
    """
    found: list[list] = [[] for _ in sides]
    left_out: set[int] = set()
    for number in range(count):
        for step in range(len(sides)):
            place = (number + step) % len(sides)
            if place in left_out:
                continue
            head = f"round {number + 1} of {count}, {sides[place].name}"
            print(f"{head:<48}", end="", flush=True)
            try:
                seconds, result = run(sides[place], spec | {"seed": seed + number})
            except BenchError as error:
                if not sides[place].optional:
                    raise
                print(f"left out: {error}", flush=True)
                left_out.add(place)
                found[place].clear()
                continue
            print(f"{seconds:7.1f} s  {show(result)}", flush=True)
            found[place].append((seconds, result))
    return found


def spread(values: list[float]) -> dict:
    """What a row of measurements comes to."""
    return {
        "values": values,
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
    }


def difference(ours: list[float], theirs: list[float]) -> dict:
    """How far apart the accuracies of two sides are, over the same folds and settings."""
    pairs = [a - b for a, b in zip(ours, theirs, strict=True)]
    mean = statistics.fmean(pairs)
    error = statistics.stdev(pairs) / math.sqrt(len(pairs)) if len(pairs) > 1 else math.inf
    return {
        "mean": mean,
        "standard_error": error,
        "similar": abs(mean) <= max(TOLERANCE, 3 * error),
    }


def compare(ours: list[float], theirs: list[float], higher_is_better: bool) -> dict:
    """How many times as fast as a peer we are: of the medians, and in the worst and the best round."""
    ratios = [a / b if higher_is_better else b / a for a, b in zip(ours, theirs, strict=True)]
    a, b = statistics.median(ours), statistics.median(theirs)
    return {"median": a / b if higher_is_better else b / a, "min": min(ratios), "max": max(ratios)}


def grid_search(args: argparse.Namespace) -> dict:
    """The same grid search by `GridSearchCv` and by scikit-learn's `GridSearchCV` with Keras."""
    jobs = 2
    each = max(1, cores() // jobs)
    sides = [
        helpers(f"helpers, {jobs} jobs", args.program, each, jobs=jobs, format="default"),
        helpers(f"helpers, {jobs} jobs, float32", args.program, each, jobs=jobs, format="float32"),
        peer("Keras, 1 job", "keras_search.py", cores(), jobs=1, format="float32"),
        peer(f"Keras, {jobs} jobs", "keras_search.py", each, jobs=jobs, format="float32"),
        peer(f"Keras, {jobs} jobs, bf16", "keras_search.py", each, jobs=jobs, format="mixed_bfloat16"),
    ]
    spec = SEARCH | {"task": "grid_search", "data": str(args.data), "trials": str(SCRATCH / "trials")}
    if args.images:
        spec["images"] = args.images
    show = lambda result: f"best {100 * result['best_score']:.2f}%, {plain(result['best_params'])}"  # noqa: E731
    found = rounds(sides, args.rounds, spec, args.seed, show)

    fits = len(spec["dropout"]) * len(spec["kernel_initializer"]) * spec["folds"]
    flat = [[s for _, result in runs for row in result["scores"] for s in row] for runs in found]
    for side, runs in zip(sides, found, strict=True):
        if any(result["computed"] != fits for _, result in runs):
            raise BenchError(f"{side.name} did not compute all {fits} trials; its time says nothing")
        if [r["fold_sums"] for _, r in runs] != [r["fold_sums"] for _, r in found[0]]:
            raise BenchError(f"{side.name} had other folds than {sides[0].name}")
    times = [[seconds for seconds, _ in runs] for runs in found]
    best = min((k for k, side in enumerate(sides) if not side.ours), key=lambda k: statistics.median(times[k]))
    return {
        "settings": {k: v for k, v in spec.items() if k not in ("data", "trials")}
        | {"seed": args.seed, "rounds": args.rounds, "data": Path(args.data).name},
        "sides": {
            side.name: {
                "settings": side.settings | {"threads_each": side.threads},
                "seconds": spread(times[k]),
                "mean_accuracy": statistics.fmean(flat[k]),
                "best_params": [result["best_params"] for _, result in found[k]],
                "accuracy_below_helpers": None if k == 0 else difference(flat[0], flat[k]),
                "times_as_long_as_helpers": None if k == 0 else compare(times[0], times[k], False),
            }
            for k, side in enumerate(sides)
        },
        "best_peer": sides[best].name,
        "ratio": compare(times[0], times[best], False),
        "cpu_capability": found[0][0][1]["cpu_capability"],
        "versions": versions(found[0][0][1]["versions"]),
    }


def throughput(network: str, args: argparse.Namespace) -> dict:
    """Images a second, in training and in prediction, by helpers, PyTorch and Keras."""
    threads = cores()

    def torch(name: str, optional: bool = False, **settings: object) -> Side:
        usual = {"format": "float32", "compile": False, "channels_last": False}
        return peer(f"PyTorch, {name}", "torch_throughput.py", threads, optional, **usual | settings)

    def keras(name: str, optional: bool = False, **settings: object) -> Side:
        usual = {"format": "float32", "compile": False}
        return peer(f"Keras{name}", "keras_throughput.py", threads, optional, **usual | settings)

    sides = [
        helpers("helpers", args.program, threads, format="default"),
        helpers("helpers, float32", args.program, threads, format="float32"),
        torch("eager"),
        torch("bf16", format="bfloat16"),
        torch("compiled", optional=True, compile=True),
        torch("compiled, bf16", optional=True, compile=True, format="bfloat16"),
        keras(""),
        keras(", bf16", format="mixed_bfloat16"),
        keras(", XLA", optional=True, compile=True),
    ]
    if network == "cnn":
        sides += [
            torch("channels last", channels_last=True),
            torch("channels last, bf16", channels_last=True, format="bfloat16"),
        ]
    spec = SPEEDS[network] | {"task": "throughput", "network": network, "data": str(args.data)}
    if args.images:
        spec["images"] = args.images
    speeds = ("train_images_per_second", "predict_images_per_second")
    show = lambda result: "  ".join(f"{result[speed]:8.0f}/s" for speed in speeds)  # noqa: E731
    found = rounds(sides, args.rounds, spec, args.seed, show)

    results = [[result for _, result in runs] for runs in found]
    ours = {speed: [result[speed] for result in results[0]] for speed in speeds}
    section: dict = {}
    for side, runs in zip(sides, results, strict=True):
        if not runs:
            continue
        accuracy = statistics.fmean(result["accuracy"] for result in runs)
        apart = statistics.fmean(result["accuracy"] for result in results[0]) - accuracy
        section[side.name] = {
            "settings": side.settings | {"threads_each": side.threads},
            "mean_accuracy": accuracy,
            "accuracy_below_helpers": {
                "mean": apart,
                "standard_error": None,
                "similar": abs(apart) <= TOLERANCE_OF_ONE,
            },
        }
        for speed in speeds:
            values = [result[speed] for result in runs]
            section[side.name][speed] = spread(values)
            section[side.name][f"helpers_{speed}_ratio"] = compare(ours[speed], values, True)
    peers = [side.name for side in sides if not side.ours and side.name in section]
    best = {speed: max(peers, key=lambda name: section[name][speed]["median"]) for speed in speeds}
    return {
        "settings": {k: v for k, v in spec.items() if k != "data"}
        | {"seed": args.seed, "rounds": args.rounds, "data": Path(args.data).name},
        "sides": section,
        "best_peer": best,
        "ratio": {speed: section[best[speed]][f"helpers_{speed}_ratio"] for speed in speeds},
        "cpu_capability": results[0][0]["cpu_capability"],
        "versions": versions(results[0][0]["versions"]),
    }


def show_throughput(section: dict) -> str:
    title = f"{section['settings']['network']}, images a second"
    lines = [f"{title:<26}{'training':>10}{'spread':>20}{'prediction':>12}{'spread':>20}"]
    for name, side in section["sides"].items():
        cells = ""
        for speed, width in (("train_images_per_second", 10), ("predict_images_per_second", 12)):
            values = side[speed]
            span = f"{values['min']:,.0f} to {values['max']:,.0f}"
            cells += f"{values['median']:>{width},.0f}{span:>20}"
        lines.append(f"{name:<26}{cells}")
    for speed, ratio in section["ratio"].items():
        lines.append(
            f"{speed.split('_')[0]}: helpers is {ratio['median']:.2f} times as fast as the best peer, "
            f"{section['best_peer'][speed]} ({ratio['min']:.2f} to {ratio['max']:.2f} in single rounds)"
        )
    return "\n".join(lines)


def show_grid_search(section: dict) -> str:
    lines = [f"{'grid search':<26}{'seconds':>9}{'spread':>18}{'times as long':>15}{'mean accuracy':>15}"]
    for name, side in section["sides"].items():
        seconds, times = side["seconds"], side["times_as_long_as_helpers"]
        span = f"{seconds['min']:.1f} to {seconds['max']:.1f}"
        ratio = f"{times['median']:.2f}" if times else "1"
        accuracy = f"{100 * side['mean_accuracy']:.2f}%"
        lines.append(f"{name:<26}{seconds['median']:>9.1f}{span:>18}{ratio:>15}{accuracy:>15}")
    ratio = section["ratio"]
    lines.append(
        f"the better peer, {section['best_peer']}, takes {ratio['median']:.2f} times as long as helpers "
        f"({ratio['min']:.2f} to {ratio['max']:.2f} in single rounds)"
    )
    return "\n".join(lines)


def unlike(section: dict) -> list[str]:
    """The sides whose accuracy differs from ours beyond the noise: they did something else."""
    found = []
    for name, side in section["sides"].items():
        apart = side["accuracy_below_helpers"]
        if apart and not apart["similar"]:
            noise = apart["standard_error"]
            noise = f", with a standard error of {100 * noise:.2f}" if noise is not None else ""
            found.append(f"{name}: helpers' mean accuracy is {100 * apart['mean']:+.2f} points from its own{noise}")
    return found


def plain(params: dict) -> str:
    return ", ".join(f"{name} {value}" for name, value in params.items())


def versions(ours: dict) -> dict:
    """Of helpers' parts and of the peers that are installed."""
    found = dict(ours) | {"python": platform.python_version()}
    for name in PEERS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict:
    """The processor and its memory."""
    model = platform.processor() or platform.machine()
    memory = None
    try:
        text = Path("/proc/cpuinfo").read_text()
        model = next(line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    if hasattr(os, "sysconf"):
        memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    return {
        "processor": model,
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": cores(),
        "memory_gib": memory,
    }


SECTIONS = {
    "grid_search": (grid_search, show_grid_search),
    "dense": (partial(throughput, "dense"), show_throughput),
    "cnn": (partial(throughput, "cnn"), show_throughput),
}


def write(path: Path, section: str, result: dict) -> None:
    """Puts one section into the file; what other calls measured stays."""
    whole = json.loads(path.read_text()) if path.exists() else {}
    whole |= {"schema": 1, section: result}
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".fresh")
    fresh.write_text(json.dumps(whole, indent=1) + "\n")
    fresh.replace(path)


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder with X.npy and y.npy")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file for the results")
    parser.add_argument("--program", type=Path, default=ROOT / "target" / "release" / "bench", help="our side")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side runs")
    parser.add_argument("--only", choices=SECTIONS, help="one part of the benchmark")
    parser.add_argument("--images", type=int, default=0, help="other than the usual number of images")
    parser.add_argument("--seed", type=int, default=42, help="of the first round; each next one adds 1")
    args = parser.parse_args(words)
    if args.rounds < 1:
        parser.error(f"--rounds must be at least 1, got {args.rounds}")
    args.data = args.data.resolve()
    return args


def main() -> int:
    args = arguments()
    wrong = []
    try:
        for name, (measure, show) in SECTIONS.items():
            if args.only in (None, name):
                result = measure(args) | {"machine": machine()}
                write(args.out, name, result)
                print(f"\n{show(result)}\n", flush=True)
                wrong += unlike(result)
    except BenchError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    for text in wrong:
        print(f"error: {text}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
