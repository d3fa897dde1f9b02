"""Made-up metrics of a run whose best model differs significantly from one other, but not from the next."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import synthetic

DATA = {"images": 70000, "shape": [70000, 28, 28], "classes": 10, "x_sha256": "ab" * 32, "y_sha256": "cd" * 32}


def metrics(accuracy: float, low: float, high: float, **kw) -> dict:
    return {
        "schema": 1,
        "dataset": DATA,
        "seed": 42,
        "config": {"fit": {"precision": "auto"}},
        "parameters": 1496074,
        "epochs_run": 41,
        "test": {"images": 8400, "accuracy": accuracy, "accuracy_ci95": [low, high]},
        "fit_seconds": 154.1,
        "threads": 2,
        "processor": "AMD EPYC",
        "cpu_capability": "AVX512_BF16",
        "versions": {"helpers": "0.1.0", "libtorch": "2.13.0", "rustc": "1.95.0", "tch": "0.26.0"},
    } | kw


def all_metrics() -> dict[str, dict]:
    return {
        "baseline": metrics(0.9114, 0.9052, 0.9173),
        "cnn": metrics(0.9498, 0.945, 0.954),
        "transfer": metrics(0.9525, 0.9477, 0.9568),
        "tuning": metrics(0.9071, 0.9008, 0.9131),
        "autoencoder": metrics(0, 0, 0, rate=0.0995, test={"noisy_psnr_db": 5.09, "psnr_db": 19.11}),
    }


def write_results(folder: Path, files: dict[str, dict | str]) -> Path:
    """Writes metrics into `folder` as a run does; a value of type text is written unchanged."""
    (folder / "metrics").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / "metrics" / f"{name}.json").write_text(text, encoding="utf-8")
    return folder


def write_picture(folder: Path, name: str = "predictions") -> None:
    """Saves the picture of `synthetic.figure`, as a notebook would."""
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    (folder / "figures" / f"{name}.png").write_bytes(base64.b64decode(synthetic.png()))
