"""Whether two runs came to the same numbers, to the last digit.

    python3 tools/xtask/python/compare_metrics.py OLD NEW [--rename NAME=NEW_NAME ...] [--ignore NAME ...]

OLD and NEW are folders such as `export/quick/metrics`, or single files of them. With the same seed, data, processor and
threads two runs agree in everything but times, speeds and versions, which are left out. A NAME is a field's dotted path
(`config.split.test`) or the end of one (`shift`); both options may be repeated. Prints each difference; ends with 1 if
there is one, and with 2 if there is nothing to compare.
"""

import argparse
import json
import re
import sys
from pathlib import Path

# What differs between two runs of the same code.
VARYING = ("versions", "fit_seconds", "train_images_per_second", "predict_images_per_second", "trials")


def fields(value, path=""):
    """Every value below `value` with its dotted path, numbers in their original notation."""
    if isinstance(value, dict):
        inner = [(f"{path}.{key}" if path else key, item) for key, item in value.items()]
    elif isinstance(value, list):
        inner = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    else:
        return {path: value}
    if not inner:
        return {path: value}
    return {name: leaf for key, item in inner for name, leaf in fields(item, key).items()}


def named(name):
    """A pattern for dotted paths that contain `name` as whole words."""
    return re.compile(rf"(^|\.){re.escape(name)}(?=[.\[]|$)")


def read(path, renamed, ignored):
    """A metrics file's fields under their new names, without the ignored ones."""
    # Numbers are compared as text: one with another notation is a different number.
    found = fields(json.loads(path.read_text(encoding="utf-8"), parse_float=str, parse_int=str))
    kept = {}
    for field, value in found.items():
        for old, new in renamed:
            field = named(old).sub(rf"\g<1>{new}", field)
        if not any(named(name).search(field) for name in ignored):
            kept[field] = value
    return kept


def differences(old, new):
    """One line for each field that differs."""
    for field in sorted(old.keys() | new.keys()):
        left, right = old.get(field, "(missing)"), new.get(field, "(missing)")
        if left != right:
            yield f"{field}: {left} -> {right}"


def files(path):
    """The JSON files below a folder by their relative names; for a single file, by its name."""
    if path.is_file():
        return {path.name: path}
    return {str(file.relative_to(path)): file for file in sorted(path.rglob("*.json"))}


def main(words=None):
    """Compares two runs and prints what differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--rename", action="append", default=[], metavar="NAME=NEW_NAME")
    parser.add_argument("--ignore", action="append", default=[], metavar="NAME")
    given = parser.parse_args(words)
    renamed = [tuple(pair.split("=", 1)) for pair in given.rename]
    if any(len(pair) < 2 for pair in renamed):
        parser.error("--rename takes NAME=NEW_NAME")
    old, new = files(given.old), files(given.new)
    if not old or not new:
        print(f"no JSON file in {given.old if not old else given.new}", file=sys.stderr)
        return 2
    count = 0
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            lines = [f"only in {given.old if name in old else given.new}"]
        else:
            ignored = [*VARYING, *given.ignore]
            lines = list(differences(read(old[name], renamed, ignored), read(new[name], renamed, ignored)))
        count += len(lines)
        print(f"{name}: {'the same' if not lines else f'{len(lines)} differ'}")
        for line in lines:
            print(f"  {line}")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
