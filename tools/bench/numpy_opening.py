"""From X.npy to the first batch with NumPy: `numpy_opening.py < spec.json`, the result is the last line printed."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np


def measure(spec: dict) -> dict:
    folder = Path(spec["data"])
    started = time.perf_counter()
    x = np.load(folder / "X.npy", mmap_mode="r" if spec["mmap"] else None)
    y = np.load(folder / "y.npy")
    # Random rows of the whole file, as in a shuffled batch.
    rows = np.random.default_rng(spec["seed"]).choice(len(y), spec["batch_size"], replace=False)
    batch = x[rows].astype(np.float32) / 255
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "mean_pixel": float(batch.mean())} | memory()


def memory() -> dict:
    """This process's peak memory, and its current memory without the pages of files; only on Linux."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return {"peak_megabytes": None, "own_megabytes": None}
    kilobytes = {line.split(":")[0]: line.split()[1] for line in lines if line.endswith(" kB")}
    peak, own = (int(kilobytes[name]) * 1024 / 1e6 for name in ("VmHWM", "RssAnon"))
    return {"peak_megabytes": peak, "own_megabytes": own}


if __name__ == "__main__":
    print(json.dumps(measure(json.load(sys.stdin))), flush=True)
