"""How the cost of an epoch grows with images, batch size, image side, threads and classes; a chart for each.

helpers with its default settings next to PyTorch with channels last, in the number format that helpers chooses here.
"""

from __future__ import annotations

import argparse
import shutil

import measure
from measure import TRAINING, helpers, peer
from parts.throughput import SPECS

# Images of an epoch when the axis is another one; the training part of the generated data set has as many.
IMAGES = 4000
AXES = {
    "images": {"name": "Images of an epoch", "values": [1000, 3000, 10000, 30000, 60000]},
    "batch_size": {"name": "Batch size", "values": [16, 32, 64, 128, 256, 512]},
    "side": {"name": "Image side, pixels", "values": [28, 64, 128, 224]},
    "threads": {"name": "Threads", "values": [1, 2]},
    "classes": {"name": "Classes", "values": [2, 10, 100, 1000]},
}
QUICK_AXES = {
    "images": [300, 600],
    "batch_size": [64, 128],
    "side": [28, 32],
    "threads": [1, 2],
    "classes": [2, 10],
}


def point(axis: str, value: int, quick: bool) -> dict:
    """The settings of the measurement at one value of an axis."""
    images = 600 if quick else IMAGES
    settings = {"images": images, "batch_size": 128, "side": 28, "threads": measure.cores(), "classes": 10}
    settings[axis] = value
    if axis == "side":
        # The same number of pixels at each side length, and batches that fit into memory.
        settings["images"] = max(images * 28 * 28 // (value * value), 96)
        settings["batch_size"] = 32
    if axis == "classes":
        # The smallest class needs an image in each part of the split.
        settings["images"] = max(images, 12 * value)
    return settings


def run(args: argparse.Namespace, ceilings: dict | None) -> dict:
    narrow = "bfloat16" if ceilings and ceilings["format"] == "bfloat16" else "float32"
    names = ("helpers", f"PyTorch, channels last{', bf16' if narrow == 'bfloat16' else ''}")
    axes: dict = {}
    try:
        for axis, about in AXES.items():
            rows = []
            for value in QUICK_AXES[axis] if args.quick else about["values"]:
                if axis == "threads" and value > measure.cores():
                    continue
                settings = point(axis, value, args.quick)
                threads = settings["threads"]
                # The training part is 0.88 * 0.88 of all images.
                made = int(settings["images"] / 0.77) + 2 * settings["classes"]
                folder = measure.make_images(measure.MADE / axis, made, settings["side"], settings["classes"])
                spec = SPECS["cnn"] | {"task": "throughput", "data": str(folder), "epochs": 1}
                spec |= {"images": settings["images"], "batch_size": settings["batch_size"]}
                sides = [
                    helpers(f"{names[0]}, {axis} {value}", args.program, threads, format="default"),
                    peer(
                        f"{names[1]}, {axis} {value}", "torch_throughput.py", threads,
                        format=narrow, compile=False, channels_last=True,
                    ),
                ]  # fmt: skip
                found = measure.rounds(sides, args.rounds, spec, args.seed, one_line)
                rows.append({"value": value, "settings": settings} | times(names, found, settings["images"]))
            axes[axis] = {"name": about["name"], "rows": rows}
    finally:
        shutil.rmtree(measure.MADE, ignore_errors=True)
    return {
        "axes": axes,
        "sides": {},
        "settings": {"network": SPECS["cnn"]["network"], "rounds": args.rounds, "seed": args.seed},
    }


def times(names: tuple[str, ...], found: list, images: int) -> dict:
    """Seconds per epoch for each side."""
    epochs = [[images / result[TRAINING.key] for _, result in runs] for runs in found]
    return {"seconds": {name: measure.spread(values) for name, values in zip(names, epochs, strict=True)}}


def one_line(result: dict) -> str:
    return f"{result[TRAINING.key]:8.0f} images/s"


def per_image(row: dict, name: str) -> float:
    """Milliseconds for an image."""
    return 1000 * row["seconds"][name]["median"] / row["settings"]["images"]


def show(section: dict) -> str:
    lines = []
    for axis in section["axes"].values():
        for name in axis["rows"][0]["seconds"]:
            lines.append(f"{axis['name']:<28}{name:<32}{'s an epoch':>12}{'ms an image':>14}")
            for row in axis["rows"]:
                seconds = row["seconds"][name]["median"]
                lines.append(f"{row['value']:>28,}{'':<32}{seconds:>12.3f}{per_image(row, name):>14.3f}")
    return "\n".join(lines)


def charts(section: dict) -> list[dict]:
    """Seconds per epoch if the number of images grows, which should be a straight line; otherwise the time per
    image."""
    drawn = []
    for axis, about in section["axes"].items():
        whole = axis == "images"
        lines = []
        for name in about["rows"][0]["seconds"]:
            value = (lambda row: row["seconds"][name]["median"]) if whole else (lambda row: per_image(row, name))  # noqa: B023
            lines.append(
                {
                    "name": name,
                    "x": [float(row["value"]) for row in about["rows"]],
                    "y": [value(row) for row in about["rows"]],
                }
            )
        drawn.append(
            {
                "kind": "lines",
                "name": axis,
                "title": f"Training the CNN: {about['name'].split(',')[0].lower()}",
                "x_name": about["name"],
                "y_name": "Seconds an epoch" if whole else "Milliseconds an image",
                # Powers of two or ten are evenly spaced on a logarithmic axis.
                "log_x": axis in ("batch_size", "classes", "side"),
                "log_y": axis == "side",
                "lines": lines,
            }
        )
    return drawn
