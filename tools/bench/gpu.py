"""Does helpers compute on a GPU what it computes on the processor, and how fast beside PyTorch?

    python3 tools/bench/gpu.py --program bench --out gpu.json

Needs Python with PyTorch, NumPy and scikit-learn, and no cargo: `gpu-build` makes the program on another machine, for
the version of PyTorch that it names. Without a GPU all but the speeds is done, with the code for a GPU on the
processor.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import measure
import numpy as np
from measure import PREDICTION, TRAINING, Side
from parts.throughput import SPECS, TITLES, WEIGHTS

SAMPLE = measure.ROOT / "data" / "sample"
# As many as Fashion-MNIST has; 54,208 of them are for training.
IMAGES, TRAINED = 70000, 54208
# EfficientNet-Lite0 takes far longer for an image.
CHECKED = {"transfer": 300}


def gpu() -> str | None:
    """The GPU's name, memory and driver."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def library() -> str:
    """The folder of the installed PyTorch's libraries."""
    torch = importlib.util.find_spec("torch")
    if torch is None or torch.origin is None:
        raise measure.BenchError("PyTorch is not installed in this Python; the program runs with its libraries")
    return str(Path(torch.origin).parent / "lib")


def ours(program: Path, **variables: str) -> Side:
    """helpers, with the installed PyTorch's libraries and the GPU, which other parts of the benchmark hide."""
    variables = {"LD_LIBRARY_PATH": library(), "CUDA_VISIBLE_DEVICES": "0"} | variables
    return Side("helpers", [str(program)], True, threads=measure.cores(), variables=variables)


def checks(program: Path, seed: int) -> dict:
    """Each network on both devices; products in 32 bits, which NVIDIA's libraries else shorten to 19."""
    side, found = ours(program, NVIDIA_TF32_OVERRIDE="0"), {}
    for name, usual in SPECS.items():
        network = usual["network"]
        if "dropout" in network:
            network = network | {"dropout": 0.0}
        if name == "transfer" and not WEIGHTS.exists():
            print(f"{TITLES[name]} is left out: {WEIGHTS.relative_to(measure.ROOT)} is not there", flush=True)
            continue
        with tempfile.TemporaryDirectory() as folder:
            spec = {"task": "device", "data": str(SAMPLE), "folder": folder, "seed": seed}
            spec |= {key: usual[key] for key in ("batch_size", "learning_rate")}
            spec |= {"network": network, "images": CHECKED.get(name, 1000), "epochs": 3}
            found[name] = measure.run(side, spec)[1]
        print(f"{TITLES[name]}, {found[name]['device']}", flush=True)
        for check in found[name]["checks"]:
            verdict = "" if check["passed"] else "  FAILED"
            print(f"  {check['check']:<32}{check['found']!s:>24} of at most {check['at_most']}{verdict}", flush=True)
    return found


def repeated(folder: Path) -> None:
    """Writes the sample's images again and again, until there are as many as in the full data."""
    for name in ("X.npy", "y.npy"):
        values = np.load(SAMPLE / name)
        np.save(folder / name, np.resize(values, (IMAGES, *values.shape[1:])))


def speed(program: Path, seed: int) -> dict:
    """The CNN's images a second beside PyTorch, both in bf16 and with the same batches."""
    compiled = {"compile": "max-autotune", "channels_last": True, "format": "bfloat16", "device": "cuda"}
    helpers = ours(program)
    helpers.settings = {"format": "default"}
    peer = measure.peer("PyTorch, max-autotune", "torch_throughput.py", helpers.threads, **compiled)
    peer.variables = {"CUDA_VISIBLE_DEVICES": "0"}
    with tempfile.TemporaryDirectory() as folder:
        repeated(Path(folder))
        # All of the training part.
        spec = SPECS["cnn"] | {"task": "throughput", "data": folder, "images": IMAGES, "seed": seed}
        found = {side.name: measure.run(side, spec)[1] for side in (helpers, peer)}
    for name, result in found.items():
        result["epoch_seconds"] = TRAINED / result[TRAINING.key]
        speeds = "".join(f"{result[of.key]:>12.0f} {of.unit} in {of.name}" for of in (TRAINING, PREDICTION))
        print(f"{name:<44}{speeds}, {result['epoch_seconds']:.2f} s an epoch of {TRAINED} images", flush=True)
    return found


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, required=True, help="the program that `gpu-build` made")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file for the results")
    parser.add_argument("--seed", type=int, default=42)
    args = parser.parse_args(words)
    try:
        machine = measure.machine() | {"gpu": gpu(), "versions": measure.versions({})}
        whole = {"machine": machine, "checks": checks(args.program.resolve(), args.seed)}
        missing = next((one["missing"] for one in whole["checks"].values()), None)
        if missing:
            print(f"\nno GPU was found, so speeds are left out: {missing}", flush=True)
        # What was checked is kept, whatever becomes of the speeds.
        args.out.write_text(json.dumps(whole, indent=1) + "\n")
        if not missing:
            whole["speed"] = speed(args.program.resolve(), args.seed)
            args.out.write_text(json.dumps(whole, indent=1) + "\n")
    except measure.BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    failed = [check for one in whole["checks"].values() for check in one["checks"] if not check["passed"]]
    print(f"{len(failed)} checks failed" if failed else "all checks passed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
