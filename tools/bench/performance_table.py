"""Writes the table of ratios in docs/performance.md from `export/bench.json`, the worst first: `python3 tools/bench/performance_table.py`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import driver

ROOT = Path(__file__).resolve().parents[2]
HEAD = ["| what | helpers | best peer | times as fast (single rounds) | of the ceiling |", "| --- | --- | --- | --- | --- |"]


def rows(whole: dict) -> list[str]:
    """A row for each figure that has a ratio to the best peer."""
    found = []
    for name in driver.PARTS:
        for one in driver.comparisons(whole.get(name, {})):
            for figure in one.get("figures", []):
                ratio = one["ratio"].get(figure["key"])
                if ratio and figure["unit"] in ("s", "images/s") and figure["key"] not in driver.LEFT_OUT:
                    title = one.get("title", name.replace("_", " "))
                    found.append((ratio["median"], row(f"{title}: {figure['name']}", one, figure, ratio)))
    return [text for _, text in sorted(found)]


def row(title: str, one: dict, figure: dict, ratio: dict) -> str:
    key, unit = figure["key"], figure["unit"]
    peer = one["best_peer"][key]
    ours = next(side for side in one["sides"].values() if side["ours"])[key]
    theirs = one["sides"][peer][key]["median"]
    share = f"{ours['share_of_ceiling']:.0%}" if "share_of_ceiling" in ours else ""
    times = f"**{ratio['median']:.2f}** ({ratio['min']:.2f} to {ratio['max']:.2f})"
    return f"| {title} | {number(ours['median'])} {unit} | {peer}, {number(theirs)} {unit} | {times} | {share} |"


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def renewed(text: str, whole: dict) -> str:
    """The text with the rows of its table replaced."""
    lines = text.split("\n")
    first = lines.index(HEAD[0]) + len(HEAD)
    last = next(at for at in range(first, len(lines)) if not lines[at].startswith("|"))
    return "\n".join(lines[:first] + rows(whole) + lines[last:])


def main() -> int:
    page = ROOT / "docs" / "performance.md"
    whole = json.loads((ROOT / "export" / "bench.json").read_text())
    page.write_text(renewed(page.read_text(), whole))
    return 0


if __name__ == "__main__":
    sys.exit(main())
