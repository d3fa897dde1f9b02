"""A notebook's first cells through the Jupyter protocol: `notebook_cells.py < spec.json`, the result is the last line.

Times start when a kernel is requested; with `warm` at its first cell, for a kernel that was started earlier and has
answered a completion, as in a notebook that was opened some seconds ago; with `restart` at the restart of a kernel that
has run the same cells. A cell's time is from its request until the kernel is idle again.

Each measurement runs cells that no kernel has run before: compiled cells are kept, so that others would be compiled in the
first round alone. After a restart they are the same as before it: unchanged cells in a new session.
"""

from __future__ import annotations

import json
import os
import secrets
import statistics
import sys
import time
from pathlib import Path

from jupyter_client import BlockingKernelClient, KernelManager
from jupyter_client.kernelspec import KernelSpec

ROOT = Path(__file__).resolve().parents[2]
# Without our warm build evcxr compiles libtorch's bindings in the first cell.
LONGEST_CELL = 1800
# What a user would write with Keras instead of the notebook with this name.
PYTHON = {
    "01_data_loading": [
        "import numpy as np\nimport keras",
        "x, y = np.load(f'{data}/X.npy'), np.load(f'{data}/y.npy').ravel()\nx.shape, x.dtype, y.shape",
        "print(len(x), 'images of', x.shape[1:], 'and', len(y), 'labels from', y.min(), 'to', y.max())",
        "counts = np.bincount(y)\ncounts",
    ],
    "04_baseline_model": [
        "import numpy as np\nimport keras",
        "x, y = np.load(f'{data}/X.npy'), np.load(f'{data}/y.npy').ravel()\nx.shape, x.dtype, y.shape",
        "order = np.random.default_rng(42).permutation(len(x))\n"
        "test, validation, train = np.split(order, [int(0.12 * len(x)), int(0.2256 * len(x))])\n"
        "len(train), len(validation), len(test)",
        "layers = [keras.layers.Input(x.shape[1:]), keras.layers.Flatten()]\n"
        "for units in (1024, 512, 256, 128):\n"
        "    layers += [keras.layers.Dense(units, use_bias=False), keras.layers.BatchNormalization()]\n"
        "    layers += [keras.layers.ReLU(), keras.layers.Dropout(0.35)]\n"
        "baseline = keras.Sequential([*layers, keras.layers.Dense(10)])\n"
        "baseline.summary()",
    ],
}


# A mistake that the compiler or the interpreter finds.
MISTAKES = {"rust": "let mistake: i32 = nowhere;", "python": "mistake = nowhere"}


def unseen(codes: list[str], language: str) -> list[str]:
    """The cells with a statement in each that was in none before."""
    statement = {"rust": "let _ = {}_u64;", "python": "_ = {}"}[language]
    # A cell's last line is its value, but for the first one, whose first lines are the kernel's.
    first, *rest = [(statement.format(secrets.randbits(62)), code) for code in codes]
    return ["\n".join(reversed(first)), *("\n".join(pair) for pair in rest)]


def cells_of(spec: dict) -> list[str]:
    """The code to run, with the data folder set as papermill would set it."""
    folder = json.dumps(spec["data"])
    if spec["language"] == "python":
        first, *rest = PYTHON[spec["notebook"]]
        return [first, f"data = {folder}", *rest]
    notebook = json.loads((ROOT / "notebooks" / f"{spec['notebook']}.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"][: spec["cells"]]
    codes = []
    for cell in cells:
        codes.append("".join(cell["source"]))
        if "parameters" in cell["metadata"].get("tags", []):
            codes.append(f"let data = {folder};")
    return codes


def measure(spec: dict) -> dict:
    manager = KernelManager(kernel_name="bench")
    specification = KernelSpec(
        argv=spec["argv"], display_name="bench", language=spec["language"], env=spec["variables"]
    )
    manager.kernel_spec_manager.get_kernel_spec = lambda name: specification
    folder = str(ROOT / "notebooks")
    sessions = Path(spec["sessions"]) if spec["sessions"] else None
    before = set(sessions.iterdir()) if sessions and sessions.is_dir() else set()
    language = spec["language"]
    # Messages about a cell are kept like a compiled one, so that the mistake must be new as well.
    cells, (mistake,) = unseen(cells_of(spec), language), unseen([MISTAKES[language]], language)
    started = time.perf_counter()
    manager.start_kernel(cwd=folder)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=LONGEST_CELL)
        if spec["start"] == "warm":
            client.complete("let", reply=True, timeout=LONGEST_CELL)
            started = time.perf_counter()
        elif spec["start"] == "restart":
            for code in cells:
                run(client, code, language)
            started = time.perf_counter()
            manager.restart_kernel(now=False)
            client.wait_for_ready(timeout=LONGEST_CELL)
        start = time.perf_counter() - started
        first, empty, seconds = None, None, []
        for code in cells:
            begun = time.perf_counter()
            shown = run(client, code, language)
            seconds.append(time.perf_counter() - begun)
            if empty is None:
                # The first cell loads libraries and sets no variable. Reading this takes time, which counts for no cell.
                begun = time.perf_counter()
                empty = memory(manager.provisioner.pid)
                started += time.perf_counter() - begun
            if first is None and any(kind in ("execute_result", "display_data") for kind, _ in shown):
                first = time.perf_counter() - started
        begun = time.perf_counter()
        run(client, mistake, language, fails=True)
        error = time.perf_counter() - begun
        own = [folder for folder in sessions.iterdir() if folder not in before] if sessions else []
        return {
            "start_seconds": start,
            "first_value_seconds": first,
            "cell_seconds": statistics.median(seconds),
            "cells_seconds": seconds,
            "error_seconds": error,
            "empty_megabytes": empty,
            "memory_megabytes": memory(manager.provisioner.pid),
            "disk_megabytes": sum(disk(folder) for folder in own),
        }
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=False)


def run(client: BlockingKernelClient, code: str, language: str, fails: bool = False) -> list:
    """Runs a cell, which succeeds or `fails`; returns what the page would show."""
    shown = []
    reply = client.execute_interactive(
        code, timeout=LONGEST_CELL, output_hook=lambda message: note(message, shown)
    )
    errors = [message for kind, message in shown if kind in ("error", "stderr")]
    # evcxr reports `ok` for a cell that panics or returns early; both leave a message on stderr.
    if (reply["content"]["status"] != "ok" or bool(errors and language == "rust")) != fails:
        raise RuntimeError(f"the cell {'succeeded' if fails else 'failed'}: {code}\n{errors}")
    return shown


def note(message: dict, shown: list) -> None:
    """Keeps what the page would show."""
    kind, content = message["msg_type"], message["content"]
    if kind == "stream":
        shown.append((content["name"], content["text"]))
    elif kind in ("execute_result", "display_data"):
        shown.append((kind, ""))
    elif kind == "error":
        shown.append((kind, "\n".join(content["traceback"])))


def memory(process: int) -> float | None:
    """Megabytes of a process and its descendants, with shared pages counted once; only on Linux."""
    if not Path("/proc/self/smaps_rollup").exists():
        return None
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name before it is in brackets and may contain spaces.
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    family, grown = {process}, True
    while grown:
        children = {child for child, parent in parents.items() if parent in family} - family
        family |= children
        grown = bool(children)
    total = 0
    for member in family:
        try:
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024 / 1e6


def disk(folder: Path) -> float:
    """Megabytes that are freed when the folder is removed: files with another hard link elsewhere do not count."""
    total = 0
    for path, _, files in os.walk(folder):
        for name in files:
            try:
                about = os.lstat(os.path.join(path, name))
            except OSError:
                continue
            if about.st_nlink == 1:
                total += about.st_blocks * 512
    return total / 1e6


if __name__ == "__main__":
    print(json.dumps(measure(json.load(sys.stdin))), flush=True)
