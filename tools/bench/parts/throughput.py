"""Images a second in training and in prediction, by helpers, PyTorch and Keras: the same layers, batches and optimiser.

Keras has no EfficientNet-Lite0, so PyTorch is the only peer for fine-tuning it and computing its features.
"""

from __future__ import annotations

import argparse

import measure
from measure import PREDICTION, TRAINING, Figure, Side, helpers, peer

HIDDEN = [512, 256, 128, 64]
WEIGHTS = measure.ROOT / ".tools" / "weights" / "efficientnet_lite0.safetensors"
USUAL = {"batch_size": 128, "learning_rate": 1e-3}
SPECS = {
    "dense": USUAL
    | {"network": {"kind": "dense", "hidden": HIDDEN, "dropout": 0.25}, "images": 20000, "epochs": 3},
    "cnn": USUAL
    | {
        "network": {"kind": "cnn", "filters": [32, 64, 128, 128], "dense": 128, "dropout": 0.4},
        "images": 6000,
        "epochs": 2,
    },
    "autoencoder": USUAL
    | {
        "network": {
            "kind": "autoencoder",
            "rate": 0.1,
            "filters": [32, 64],
            "dense": 512,
            "noise": {"mean": 0.1, "variance": 0.3},
        },
        "images": 6000,
        "epochs": 2,
    },
    # Fine-tunes the same layers as notebook 08: all blocks from this one on, except depthwise convolutions and batch
    # normalisation.
    "transfer": {
        "network": {
            "kind": "transfer",
            "input_size": 80,
            "dropout": 0.2,
            "weights": str(WEIGHTS),
            "fine_tune_from": "block_4",
        },
        "batch_size": 64,
        "learning_rate": 3e-4,
        "images": 2000,
        "epochs": 2,
    },
}
FEATURES = {
    "task": "features",
    "input_size": 96,
    "weights": str(WEIGHTS),
    "images": 4000,
    "folder": str(measure.SCRATCH / "features"),
}
EXTRACTION = Figure("features_per_second", "features", "images/s")
TITLES = {
    "dense": "Dense network",
    "cnn": "CNN",
    "autoencoder": "Autoencoder",
    "transfer": "Fine-tuning EfficientNet-Lite0",
    "features": "Frozen EfficientNet-Lite0",
}
# How close a score must be to ours after a single, short training, which is not averaged over folds.
SCORES = {"autoencoder": ("psnr_db", 0.5)}
SCORE = ("accuracy", 0.03)
# For the mean feature; the number format and folded batch normalisation change it by less.
FEATURES_SCORE = ("mean_feature", 0.02)


def torch(name: str, threads: int, script: str, optional: bool = False, **settings: object) -> Side:
    usual = {"format": "float32", "compile": False, "channels_last": False}
    return peer(f"PyTorch, {name}", script, threads, optional, **usual | settings)


def keras(name: str, threads: int, optional: bool = False, **settings: object) -> Side:
    usual = {"format": "float32", "compile": False}
    return peer(f"Keras{name}", "keras_throughput.py", threads, optional, **usual | settings)


def sides_of(network: str, args: argparse.Namespace) -> list[Side]:
    """All sides that can do it; the first is helpers with its default settings."""
    threads, script = measure.cores(), "torch_throughput.py"
    sides = [
        helpers("helpers", args.program, threads, format="default"),
        helpers("helpers, float32", args.program, threads, format="float32"),
        torch("eager", threads, script),
        torch("bf16", threads, script, format="bfloat16"),
        torch("compiled", threads, script, optional=True, compile=True),
        torch("compiled, bf16", threads, script, optional=True, compile=True, format="bfloat16"),
    ]
    if network != "dense":
        wide = {"channels_last": True}
        sides += [
            torch("channels last", threads, script, **wide),
            torch("channels last, bf16", threads, script, format="bfloat16", **wide),
            torch("compiled, channels last", threads, script, optional=True, compile=True, **wide),
            torch("compiled, channels last, bf16", threads, script, True, compile=True, format="bfloat16", **wide),
        ]
    if network != "transfer":
        sides += [
            keras("", threads),
            keras(", bf16", threads, format="mixed_bfloat16"),
            keras(", XLA", threads, optional=True, compile=True),
        ]
    return measure.fitting(sides, args.without)


def run(network: str, args: argparse.Namespace, ceilings: dict | None) -> dict:
    spec = SPECS[network] | {"task": "throughput", "data": str(args.data)}
    if args.quick:
        spec |= {"images": 256 if network == "transfer" else measure.QUICK_IMAGES, "epochs": 1}
    figures = [TRAINING, PREDICTION]
    sides = sides_of(network, args)
    name, tolerance = SCORES.get(network, SCORE)
    found = measure.rounds(sides, args.rounds, spec, args.seed, one_line(figures))
    section = finished(sides, found, figures, spec, args, (name, tolerance))
    flop = found[0][0][1]["flop"]
    section["flop_per_image"] = flop
    section["parameters"] = found[0][0][1]["parameters"]
    section["title"] = TITLES[network]
    if ceilings:
        measure.share(section, TRAINING.key, flop["train"], ceilings)
        measure.share(section, PREDICTION.key, flop["predict"], ceilings)
    return section


def features(args: argparse.Namespace, ceilings: dict | None) -> dict:
    """Computing the frozen network's output for each image, once: notebook 08's first phase."""
    spec = FEATURES | {"data": str(args.data)}
    if args.quick:
        spec |= {"images": 256}
    threads, script = measure.cores(), "torch_features.py"
    wide = {"channels_last": True, "folded": True}
    sides = [
        helpers("helpers", args.program, threads, format="default"),
        helpers("helpers, float32", args.program, threads, format="float32"),
        torch("eager", threads, script, folded=False),
        torch("channels last, folded", threads, script, **wide),
        torch("channels last, folded, bf16", threads, script, format="bfloat16", **wide),
        torch("compiled, bf16", threads, script, optional=True, compile=True, format="bfloat16", **wide),
    ]
    sides = measure.fitting(sides)
    found = measure.rounds(sides, args.rounds, spec, args.seed, one_line([EXTRACTION]))
    section = finished(sides, found, [EXTRACTION], spec, args, FEATURES_SCORE)
    section["flop_per_image"] = found[0][0][1]["flop"]
    section["title"] = TITLES["features"]
    if ceilings:
        measure.share(section, EXTRACTION.key, section["flop_per_image"]["predict"], ceilings)
    return section


def finished(
    sides: list[Side], found: list, figures: list[Figure], spec: dict, args: argparse.Namespace, score: tuple[str, float]
) -> dict:
    """The section, with each side's score compared with ours."""
    results = [[result for _, result in runs] for runs in found]
    section = measure.compared(sides, results, figures, spec, args)
    section["default_format"] = results[0][0]["format"]
    scores = [[result[score[0]] for result in runs] for runs in results]
    for side, runs in zip(sides[1:], scores[1:], strict=True):
        if runs:
            section["sides"][side.name]["check"] = measure.check(score[0], scores[0], runs, score[1])
    return section


def one_line(figures: list[Figure]):
    return lambda result: "  ".join(f"{result[figure.key]:8.0f} {figure.unit}" for figure in figures)


def show(section: dict) -> str:
    return measure.table(section, section["title"])


def charts(section: dict) -> list[dict]:
    return measure.bars(section, section["title"])
