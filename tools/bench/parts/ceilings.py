"""The machine's maximum speed with the libtorch that helpers uses; the other parts are shares of it."""

from __future__ import annotations

import argparse

import measure
from measure import Figure, helpers

FIGURES = [
    Figure("float32_gflops", "products of float32", "GFLOP/s"),
    Figure("bfloat16_gflops", "products of bf16", "GFLOP/s"),
    Figure("copy_gigabytes_per_second", "copying memory", "GB/s"),
]


def run(args: argparse.Namespace, ceilings: dict | None) -> dict:
    spec = {"task": "ceilings", "side": 512 if args.quick else 2048, "megabytes": 32 if args.quick else 512}
    sides = [helpers("libtorch", args.program, measure.cores())]
    found = measure.rounds(sides, args.rounds, spec, args.seed, one_line)
    section = measure.compared(sides, [[result for _, result in found[0]]], FIGURES, spec, args)
    section["format"] = found[0][0][1]["format"]
    return section


def one_line(result: dict) -> str:
    shown = [f"{result[figure.key]:.0f} {figure.unit}" for figure in FIGURES if result[figure.key] is not None]
    return ", ".join(shown)


def medians(section: dict) -> dict:
    """The ceilings by key; none if the processor does not multiply in this format."""
    found = section["sides"]["libtorch"]
    return {figure.key: found.get(figure.key, {}).get("median") for figure in FIGURES} | {"format": section["format"]}


def show(section: dict) -> str:
    return measure.table(section, "ceilings")


def charts(section: dict) -> list[dict]:
    return []
