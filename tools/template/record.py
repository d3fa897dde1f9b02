"""How a page can be made again: the record at its foot, and the data in its head."""

from __future__ import annotations

import shlex

from executed import Notebook
from results import Results

VERSIONS = {"rustc": "Rust", "libtorch": "libtorch", "tch": "tch", "helpers": "helpers"}

# The parameters of `--quick` (tools/xtask/src/notebooks/plan.rs).
QUICK = {"data": "../data/sample", "sample": "2000", "epochs": "3", "quick": "true", "export": "../export/quick"}


def record_of(notebooks: list[Notebook], results: Results) -> list[tuple[str, list[str]]]:
    """Names and values: command, versions, processor, seed, hashes of the data. If notebooks differ in a value, all
    values are listed."""
    record = {
        "Made by": commands_of(notebooks),
        "Versions": versions_of(notebooks, results),
        "Processor": distinct(map(processor_of, results.files)),
        "Seed": distinct(
            [str(file.get("seed", "")) for file in results.files]
            + [book.parameters.get("seed", "") for book in notebooks]
        ),
        "SHA-256 of X.npy": distinct(within(file, "dataset", "x_sha256") for file in results.files),
        "SHA-256 of y.npy": distinct(within(file, "dataset", "y_sha256") for file in results.files),
    }
    return [(name, values) for name, values in record.items() if values]


def commands_of(notebooks: list[Notebook]) -> list[str]:
    """The commands that make the same pages again: a submission, or runs with their parameters, and then the export."""
    quick = " --quick" if notebooks and all(book.quick for book in notebooks) else ""
    own: dict[tuple[str, str], list[str]] = {}
    for book in notebooks:
        for name, value in book.given.items():
            if not (quick and QUICK.get(name) == value):
                own.setdefault((name, value), []).append(book.name[:2])
    if not own:
        return [f"cargo xtask submission{quick}"]
    # First the parameters that are given to all notebooks that have them, then those of some.
    runs = {"": ""}
    for (name, value), numbers in own.items():
        everywhere = numbers == [book.name[:2] for book in notebooks if name in book.parameters]
        which = "" if everywhere else "".join(f" {number}" for number in numbers)
        # A path is relative to the folder of the notebooks.
        runs[which] = runs.get(which, "") + f" -p {name} {shlex.quote(value.removeprefix('../'))}"
    return [f"cargo xtask run{which}{words}{quick}" for which, words in runs.items()] + [f"cargo xtask export{quick}"]


def data_of(results: Results) -> str:
    """The images that were used, as `70,000 images of 28 × 28 pixels, 10 classes`."""
    return "; ".join(distinct(map(data_in, results.files)))


def data_in(metrics: dict) -> str:
    dataset = metrics.get("dataset")
    shape = dataset.get("shape") if isinstance(dataset, dict) else None
    if not isinstance(shape, list) or len(shape) < 3 or not all(isinstance(size, int) for size in shape):
        return ""
    classes = within(metrics, "dataset", "classes")
    return f"{shape[0]:,} images of {shape[1]} × {shape[2]} pixels" + (f", {classes} classes" if classes else "")


def versions_of(notebooks: list[Notebook], results: Results) -> list[str]:
    """The versions in the metrics and in the notebooks' metadata; Rust's from the metadata only without metrics."""
    found = [
        f"{name} {version}"
        for key, name in VERSIONS.items()
        for version in distinct(within(file, "versions", key) for file in results.files)
    ]
    told = [f"{name} {version}" for book in notebooks for name, version in book.run.items()]
    return distinct(found + [text for text in told if not (found and text.startswith("Rust "))])


def processor_of(metrics: dict) -> str:
    """Processor, its instruction sets, threads, and the precision that `auto` selects there
    (helpers/src/models/precision.rs)."""
    threads, can = within(metrics, "threads"), within(metrics, "cpu_capability")
    precision = within(metrics, "config", "fit", "precision")
    if precision == "auto" and can:
        precision = f"auto: {'bfloat16' if 'BF16' in can else 'float32'}"
    parts = [
        within(metrics, "processor"),
        can,
        f"{threads} threads" if threads else "",
        f"precision {precision}" if precision else "",
    ]
    return ", ".join(part for part in parts if part)


def within(metrics: dict, *path: str) -> str:
    """The text at the end of a path of keys; empty if there is none."""
    value: object = metrics
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return "" if value is None else str(value)


def distinct(texts) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text))
