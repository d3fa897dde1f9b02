"""Seconds from the start of the training until the validation accuracy first passes a mark, helpers beside Keras.

Each side has the settings that are best for it. When the clock starts, the images are in memory and the libraries are
loaded. The time includes the validation after each epoch, and everything that is compiled or traced on the way.
"""

from __future__ import annotations

import argparse

import measure
from measure import Figure, helpers, peer
from parts.throughput import SPECS, TITLES

SECONDS = Figure("seconds", "until the mark", "s", higher_is_better=False)
# The network of the throughput part; dropout only helps in longer trainings than these.
TASKS = {
    "dense": {"mark": 0.88, "epochs": 6, "network": SPECS["dense"]["network"] | {"dropout": 0.1}},
    "cnn": {"mark": 0.92, "epochs": 8, "network": SPECS["cnn"]["network"] | {"dropout": 0.2}},
}
# The learning rate falls along a cosine over all epochs, on both sides.
USUAL = {"batch_size": 128, "learning_rate": 2e-3, "warmup_epochs": 0.5}
# Reached within an epoch or two on a small sample.
QUICK = {"mark": 0.3, "epochs": 3, "images": measure.QUICK_IMAGES}


def run(args: argparse.Namespace, ceilings: dict | None) -> dict:
    threads = measure.cores()
    sides = [
        helpers("helpers", args.program, threads, format="default"),
        helpers("helpers, float32", args.program, threads, format="float32"),
        peer("Keras", "keras_accuracy.py", threads, format="float32", compile=False),
        peer("Keras, bf16", "keras_accuracy.py", threads, format="mixed_bfloat16", compile=False),
        peer("Keras, XLA", "keras_accuracy.py", threads, True, format="float32", compile=True),
    ]
    sides, sections = measure.fitting(sides, args.without), {}
    for network, task in TASKS.items():
        spec = USUAL | task | {"task": "time_to_accuracy", "data": str(args.data), "images": 0}
        if args.quick:
            spec |= QUICK
        found = measure.rounds(sides, args.rounds, spec, args.seed, one_line)
        results = [[result for _, result in runs] for runs in found]
        section = measure.compared(sides, results, [SECONDS], spec, args)
        for side, runs in zip(sides, results, strict=True):
            if runs:
                section["sides"][side.name]["val_accuracy"] = [result["val_accuracy"] for result in runs]
        section["title"] = f"{TITLES[network]} to {100 * spec['mark']:.0f}%"
        sections[network] = section
    return {"networks": sections}


def one_line(result: dict) -> str:
    seconds, last = result["seconds"], 100 * result["val_accuracy"][-1]
    reached = f"passed after {seconds:.1f} s" if seconds is not None else "not passed"
    return f"{reached}, {last:.1f}% after {len(result['val_accuracy'])} epochs"


def show(section: dict) -> str:
    return "\n\n".join(measure.table(one, one["title"]) for one in section["networks"].values())


def charts(section: dict) -> list[dict]:
    drawn = []
    for network, one in section["networks"].items():
        drawn += [chart | {"name": f"{network}_{chart['name']}"} for chart in measure.bars(one, one["title"])]
    return drawn
