"""The metrics of a run, read from `metrics/NAME.json` beside the executed notebooks.

The files may be missing, of another schema or broken: then they are ignored, with a note. Every text in them is data;
the pages escape it.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

SCHEMA = 1
# The file, what readers call the model (as in helpers/src/artifacts/names.rs), and the notebook that makes it.
MODELS = {
    "baseline": ("dense network", "nb04"),
    "cnn": ("convolutional network", "nb06"),
    "transfer": ("fine-tuned EfficientNet", "nb08"),
    "tuning": ("tuned dense network", "nb10"),
}
AUTOENCODER = "autoencoder"


@dataclass(frozen=True)
class Score:
    """One model on the test images: accuracy and its 95% interval as fractions."""

    name: str
    notebook: str
    accuracy: float
    low: float
    high: float
    images: int
    parameters: int
    epochs: int
    fit_seconds: float


@dataclass(frozen=True)
class Denoising:
    """The autoencoder on the test images: PSNR in dB before and after, and the number of values of the code per value
    of the image."""

    noisy: float
    restored: float
    rate: float


@dataclass
class Results:
    """All metrics, the best model first. `files` are the parsed metrics, for the facts about the run."""

    scores: list[Score] = field(default_factory=list)
    denoising: Denoising | None = None
    files: list[dict] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def read_results(folder: Path) -> Results:
    """Reads the metrics in `folder`; unreadable files are ignored and noted."""
    results = Results()
    for name in (*MODELS, AUTOENCODER):
        path = folder / f"{name}.json"
        if not path.is_file():
            continue
        try:
            metrics = json.loads(path.read_text(encoding="utf-8"))
            if metrics["schema"] != SCHEMA:
                raise ValueError(f"schema {metrics['schema']}, and this reads {SCHEMA}")
            if name == AUTOENCODER:
                results.denoising = denoising_of(metrics)
            else:
                results.scores.append(score_of(name, metrics))
            results.files.append(metrics)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else error
            results.warnings.append(f"metrics/{path.name} is left out of the first screen: {reason}")
    results.scores.sort(key=lambda score: -score.accuracy)
    return results


def score_of(name: str, metrics: dict) -> Score:
    test = metrics["test"]
    low, high = test["accuracy_ci95"]
    title, notebook = MODELS[name]
    return Score(
        name=title,
        notebook=notebook,
        accuracy=share(test["accuracy"]),
        low=share(low),
        high=share(high),
        images=whole(test["images"]),
        parameters=whole(metrics["parameters"]),
        epochs=whole(metrics["epochs_run"]),
        fit_seconds=number(metrics["fit_seconds"]),
    )


def denoising_of(metrics: dict) -> Denoising:
    test = metrics["test"]
    return Denoising(number(test["noisy_psnr_db"]), number(test["psnr_db"]), share(metrics["rate"]))


def number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{value!r:.40} is not a number")
    return float(value)


def share(value: object) -> float:
    if not 0 <= number(value) <= 1:
        raise ValueError(f"{value!r:.40} is not between 0 and 1")
    return number(value)


def whole(value: object) -> int:
    if number(value) != int(number(value)):
        raise ValueError(f"{value!r:.40} is not a whole number")
    return int(number(value))
