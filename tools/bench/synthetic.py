"""Images without meaning, of any number and size: `synthetic.py < spec.json` writes X.npy and y.npy into a folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np


def make(spec: dict) -> dict:
    folder, images, side = Path(spec["folder"]), spec["images"], spec["side"]
    rng = np.random.default_rng(0)
    np.save(folder / "y.npy", np.arange(images) % spec["classes"])
    x = np.lib.format.open_memmap(folder / "X.npy", "w+", np.uint8, (images, side, side))
    # Written in pieces: the file may be larger than the memory.
    piece = max(1, 100_000_000 // (side * side))
    for start in range(0, images, piece):
        count = min(piece, images - start)
        x[start : start + count] = rng.integers(0, 256, (count, side, side), np.uint8)
    x.flush()
    return {"images": images}


if __name__ == "__main__":
    print(json.dumps(make(json.load(sys.stdin))), flush=True)
