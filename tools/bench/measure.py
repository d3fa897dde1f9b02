"""The common code of all parts of the benchmark: sides that run in turn, and the statistics of their results.

A side is a program: it reads a specification as JSON from stdin, and the last line that it prints is its result. Start
at `rounds` and `compared`.
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
from importlib import metadata
from pathlib import Path

from cpu_torch import LATE

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# Emptied before each run of a side.
SCRATCH = ROOT / ".tools" / "bench-scratch"
# Images that are made for a part and removed when it ends.
MADE = ROOT / ".tools" / "bench-data"
PEERS = ["ipykernel", "keras", "numpy", "scikit-learn", "tensorflow", "tensorflow-cpu", "torch"]

# Number of images in a quick run, which only shows that all sides run.
QUICK_IMAGES = 2400


class BenchError(Exception):
    """An error for the user, shown without a traceback."""


@dataclass
class Side:
    """One implementation that is measured."""

    name: str
    command: list[str]
    ours: bool = False
    settings: dict = field(default_factory=dict)
    # Threads of each process that computes.
    threads: int = 1
    # If it does not work it is left out, with the reason; for example, `torch.compile` needs its own compiler.
    optional: bool = False
    # Environment variables beside those that every side has.
    variables: dict[str, str] = field(default_factory=dict)
    # If so, the result has all other lines that the side prints, as `lines`.
    listens: bool = False


@dataclass(frozen=True)
class Figure:
    """A quantity that is measured: its key in a side's result, and its name for readers."""

    key: str
    name: str
    unit: str
    higher_is_better: bool = True

    @property
    def title(self) -> str:
        return f"{self.name}, {self.unit}"


TRAINING = Figure("train_images_per_second", "training", "images/s")
PREDICTION = Figure("predict_images_per_second", "prediction", "images/s")


def helpers(name: str, program: Path, threads: int, **settings: object) -> Side:
    """A side of helpers: the program of this folder, with libtorch in its loader path."""
    command = [str(ROOT / "tools" / "with-libtorch"), str(program)]
    return Side(name, command, ours=True, settings=settings, threads=threads)


def peer(name: str, script: str, threads: int, optional: bool = False, **settings: object) -> Side:
    """A side in Python: a script of this folder."""
    command = [sys.executable, str(HERE / script)]
    return Side(name, command, settings=settings, threads=threads, optional=optional)


def cores() -> int:
    """Number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_bf16() -> bool:
    """Whether the processor multiplies in bf16; others emulate it, many times slower."""
    try:
        return "bf16" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def fitting(sides: list[Side], without: str | None = None) -> list[Side]:
    """The sides that suit this processor; peers that have `without` in their name are left out."""
    sides = [side for side in sides if without is None or side.ours or without not in side.name]
    if has_bf16():
        return sides
    print("sides in bf16 are left out: this processor does not multiply in it", flush=True)
    return [side for side in sides if "bf" not in str(side.settings.get("format"))]


def environment(side: Side) -> dict[str, str]:
    """The environment variables of a side: the number of threads for every library, and no GPU."""
    threads = side.threads
    threads_of = ["OMP_NUM", "MKL_NUM", "OPENBLAS_NUM", "TF_NUM_INTRAOP", "TF_NUM_INTEROP"]
    variables = {f"{library}_THREADS": str(threads) for library in threads_of}
    others = {
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if Path(side.command[-1]).name.startswith("torch_"):
        others[LATE] = "1"
    return os.environ | variables | others | side.variables


def run(side: Side, spec: dict) -> tuple[float, dict]:
    """Runs a side in an empty scratch folder; returns its seconds and its result."""
    shutil.rmtree(SCRATCH, ignore_errors=True)
    (SCRATCH / "trials").mkdir(parents=True)
    text = json.dumps(spec | side.settings)
    log = SCRATCH / "stderr.log"
    started = time.perf_counter()
    with log.open("wb") as errors, subprocess.Popen(
        side.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
        env=environment(side), cwd=ROOT,
    ) as child:  # fmt: skip
        try:
            child.stdin.write(text)
            child.stdin.close()
        except BrokenPipeError:
            pass  # if it has already ended, its output says why
        seconds, result, lines = math.nan, None, []
        for line in child.stdout:
            if line.startswith("{"):
                seconds, result = time.perf_counter() - started, json.loads(line)
            elif side.listens:
                lines.append(line)
    if child.returncode != 0 or result is None:
        last = "\n  ".join(log.read_text(errors="replace").splitlines()[-15:])
        raise BenchError(f"{side.name} failed (status {child.returncode}):\n  {last}")
    shutil.rmtree(SCRATCH, ignore_errors=True)
    return seconds, result | {"lines": lines} if side.listens else result


def rounds(sides: list[Side], count: int, spec: dict, seed: int, show) -> list[list[tuple[float, dict]]]:
    """Runs every side once per round; returns seconds and result of each side in each round.

    Each round has its own seed and starts with another side, so that a side does not always run after the same one.
    """
    found: list[list] = [[] for _ in sides]
    left_out: set[int] = set()
    for number in range(count):
        for step in range(len(sides)):
            index = (number + step) % len(sides)
            if index in left_out:
                continue
            head = f"round {number + 1} of {count}, {sides[index].name}"
            print(f"{head:<54}", end="", flush=True)
            try:
                seconds, result = run(sides[index], spec | {"seed": seed + number})
            except BenchError as error:
                if not sides[index].optional:
                    raise
                print(f"left out: {error}", flush=True)
                left_out.add(index)
                found[index].clear()
                continue
            print(f"{seconds:7.1f} s  {show(result)}", flush=True)
            found[index].append((seconds, result))
    return found


def spread(values: list[float]) -> dict:
    """Statistics of repeated measurements."""
    return {
        "values": values,
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
    }


def compare(ours: list[float], theirs: list[float], higher_is_better: bool) -> dict:
    """How many times as fast as a peer we are: the ratio of the medians, and that of the worst and of the best
    round."""
    ratios = [a / b if higher_is_better else b / a for a, b in zip(ours, theirs, strict=True)]
    a, b = statistics.median(ours), statistics.median(theirs)
    return {"median": a / b if higher_is_better else b / a, "min": min(ratios), "max": max(ratios)}


def check(name: str, ours: list[float], theirs: list[float], tolerance: float) -> dict:
    """How much a side's scores differ from ours, with the same seeds, folds and settings.

    They are similar if they differ by less than `tolerance` or by less than the noise.
    """
    pairs = [a - b for a, b in zip(ours, theirs, strict=True)]
    mean = statistics.fmean(pairs)
    error = statistics.stdev(pairs) / math.sqrt(len(pairs)) if len(pairs) > 1 else 0.0
    return {
        "name": name,
        "mean": statistics.fmean(theirs),
        "below_helpers": mean,
        "standard_error": error if len(pairs) > 1 else None,
        "similar": abs(mean) <= max(tolerance, 3 * error),
    }


def compared(
    sides: list[Side], results: list[list[dict]], figures: list[Figure], settings: dict, args: argparse.Namespace
) -> dict:
    """A section of the results: each side's figures, and the ratio of helpers to the best peer for each of them.

    The first side is helpers with its default settings. A side without results was left out; a side without a value for
    a figure is ignored for that figure.
    """
    section: dict = {}
    ours = results[0]
    for side, runs in zip(sides, results, strict=True):
        if not runs:
            continue
        entry = {"ours": side.ours, "settings": side.settings | {"threads_each": side.threads}}
        for figure in figures:
            values = [result.get(figure.key) for result in runs]
            if None in values:
                continue
            entry[figure.key] = spread(values)
            own = [result.get(figure.key) for result in ours]
            if side is not sides[0] and None not in own:
                entry[figure.key]["helpers_ratio"] = compare(own, values, figure.higher_is_better)
        section[side.name] = entry
    best, ratio = {}, {}
    for figure in figures:
        peers = [name for name, entry in section.items() if not entry["ours"] and figure.key in entry]
        if peers and figure.key in section[sides[0].name]:
            choose = max if figure.higher_is_better else min
            name = choose(peers, key=lambda name: section[name][figure.key]["median"])
            best[figure.key], ratio[figure.key] = name, section[name][figure.key]["helpers_ratio"]
    return {
        "figures": [vars(figure) for figure in figures],
        "settings": {k: v for k, v in settings.items() if k not in ("data", "trials", "task")}
        | {"seed": args.seed, "rounds": args.rounds, "data": args.data.name, "quick": args.quick},
        "sides": section,
        "best_peer": best,
        "ratio": ratio,
        "cpu_capability": ours[0].get("cpu_capability"),
        "versions": versions(ours[0].get("versions", {})),
    }


def share(section: dict, key: str, flop: float, ceilings: dict) -> None:
    """Adds to each side the arithmetic throughput behind a figure in images per second, and its share of the machine's
    ceiling."""
    for entry in section["sides"].values():
        if key not in entry:
            continue
        narrow = "bf" in entry["settings"].get("format", "")
        if entry["settings"].get("format") == "default":
            narrow = section["default_format"] == "bfloat16"
        ceiling = ceilings["bfloat16_gflops" if narrow else "float32_gflops"]
        if ceiling:
            entry[key]["gflop_per_second"] = entry[key]["median"] * flop / 1e9
            entry[key]["share_of_ceiling"] = entry[key]["gflop_per_second"] / ceiling


def unlike(section: dict) -> list[str]:
    """The sides whose score differs from ours by more than the noise: they did not do the same work."""
    found = []
    for name, side in section.get("sides", {}).items():
        apart = side.get("check")
        if apart and not apart["similar"]:
            noise = apart["standard_error"]
            noise = f", with a standard error of {noise:.4f}" if noise is not None else ""
            found.append(
                f"{name}: helpers' mean {apart['name']} is {apart['below_helpers']:+.4f} from its {apart['mean']:.4f}{noise}"
            )
    return found


def number(value: float) -> str:
    """Three digits, or all digits before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(section: dict, title: str) -> str:
    """A row for each side and figure, then a sentence for each ratio."""
    wide = max(28, *(len(name) + 2 for name in section["sides"]))
    lines = [f"{title:<{wide}}{'':<14}{'median':>10}{'spread':>22}{'helpers is':>12}{'of ceiling':>12}"]
    for figure in (Figure(**fields) for fields in section["figures"]):
        for name, side in section["sides"].items():
            values = side.get(figure.key)
            if values is None:
                lines.append(f"{name:<{wide}}{figure.name:<14}{'none':>10}")
                continue
            span = f"{number(values['min'])} to {number(values['max'])}"
            ratio = f"{values['helpers_ratio']['median']:.2f} x" if "helpers_ratio" in values else ""
            share = f"{100 * values['share_of_ceiling']:.1f}%" if "share_of_ceiling" in values else ""
            lines.append(f"{name:<{wide}}{figure.name:<14}{number(values['median']):>10}{span:>22}{ratio:>12}{share:>12}")
        lines.append(f"{'':<{wide}}{figure.title}")
        ratio = section["ratio"].get(figure.key)
        if ratio:
            better = "as fast" if figure.unit in ("images/s", "s") else "as good"
            lines.append(
                f"{figure.name}: helpers is {ratio['median']:.2f} times {better} as the best peer, "
                f"{section['best_peer'][figure.key]} ({ratio['min']:.2f} to {ratio['max']:.2f} in single rounds)"
            )
    return "\n".join(lines)


def bars(section: dict, title: str, most: int = 2) -> list[dict]:
    """A chart for each of the first figures: one bar per side, helpers first."""
    charts = []
    for figure in (Figure(**fields) for fields in section["figures"][:most]):
        rows = [(name, side[figure.key]["median"]) for name, side in section["sides"].items() if figure.key in side]
        if rows:
            charts.append(
                {
                    "kind": "bars",
                    "name": figure.key,
                    "title": f"{title}: {figure.name}",
                    "value_name": f"{figure.name[0].upper()}{figure.name[1:]} ({figure.unit}), median",
                    "names": [name for name, _ in rows],
                    "values": [value for _, value in rows],
                }
            )
    return charts


def draw(program: Path, chart: dict, path: Path) -> dict:
    """Draws a chart in the same style as helpers' charts in the notebooks; returns the text that belongs to the
    picture."""
    spec = {k: v for k, v in chart.items() if k != "name"} | {"task": "chart", "path": str(path)}
    _, result = run(helpers(f"chart {path.name}", program, 1), spec)
    return {"file": path.name, "title": chart["title"], "alt": result["alt"]}


def make_images(folder: Path, images: int, side: int, classes: int) -> Path:
    """A folder with X.npy and y.npy that `synthetic.py` makes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    wanted = {"folder": str(folder), "images": images, "side": side, "classes": classes}
    run(peer("synthetic images", "synthetic.py", 1), wanted)
    return folder


def versions(ours: dict) -> dict:
    """The versions of helpers' parts and of the installed peers."""
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
