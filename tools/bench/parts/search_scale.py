"""The overhead of a search: stub trials that only sleep, on as many workers as wait for them.

A worker is a sleeping thread, so that a thousand of them fit on one machine. One more search, with trials that take no
time, shows what a hundred thousand of them cost in memory, files and time of the table.
"""

from __future__ import annotations

import argparse

import measure
from measure import Figure, helpers

WORKERS = [1, 10, 100, 1000]
SECONDS = [0.001, 0.01, 0.1, 1, 10, 100]
FOLDS = 3
# A search takes about this many seconds, and has at most this many trials.
WANTED, MOST = 4.0, 30000
MANY = 100_000
RATE = Figure("trials_per_second", "trials", "trials/s")


def searches(quick: bool) -> list[dict]:
    """Numbers of workers, the time of a trial, and numbers of combinations: at least one trial per worker."""
    found = []
    for seconds in [0.01] if quick else SECONDS:
        # Trials of 100 s take as long on one worker as on a thousand, so only one number of workers is measured.
        for workers in [2, 10] if quick else WORKERS if seconds < 100 else WORKERS[-1:]:
            trials = min(max(workers, workers * WANTED / seconds), MOST)
            found.append({"workers": workers, "seconds": seconds, "candidates": max(1, round(trials / FOLDS))})
    return [*found, {"workers": 1000, "seconds": 0.0, "candidates": 100 if quick else MANY // FOLDS}]


def run(args: argparse.Namespace, ceilings: dict | None) -> dict:
    side = helpers("helpers", args.program, 1)
    rows = []
    for one in searches(args.quick):
        spec = {"task": "search_scale", "data": str(args.data), "trials": str(measure.SCRATCH / "trials")} | one
        print(f"{one['workers']} workers, trials of {one['seconds']} s", flush=True)
        runs = [result for _, result in measure.rounds([side], args.rounds, spec, args.seed, one_line)[0]]
        row = {key: measure.spread([run[key] for run in runs]) for key in runs[0] if is_number(runs[0][key])} | one
        row["share_of_time"] = row["ideal_seconds"]["median"] / row["seconds_taken"]["median"]
        rows.append(row)
    return {"rows": rows, "sides": {}, "settings": {"rounds": args.rounds, "seed": args.seed, "quick": args.quick}}


def is_number(value: object) -> bool:
    return isinstance(value, (int, float))


def one_line(result: dict) -> str:
    return f"{result['trials']:,} trials, {result['trials_per_second']:,.0f} a second"


def show(section: dict) -> str:
    lines = [f"{'trial':>8}{'workers':>9}{'trials':>9}{'trials/s':>10}{'of the ideal':>14}"]
    *rows, many = section["rows"]
    for row in rows:
        rate, trials = row["trials_per_second"]["median"], row["trials"]["median"]
        lines.append(
            f"{row['seconds']:>6g} s{row['workers']:>9,}{trials:>9,.0f}{rate:>10,.0f}{100 * row['share_of_time']:>13.0f}%"
        )
    median = lambda key: many[key]["median"]
    lines.append(
        f"{median('trials'):,.0f} trials that take no time: {median('seconds_taken'):.0f} s, {median('trials_per_second'):,.0f} "
        f"a second, the first after {median('first_trial_seconds'):.1f} s; {median('search_megabytes'):,.0f} MB of memory, "
        f"{median('result_bytes'):,.0f} bytes a file, {median('table_seconds'):.2f} s for the table"
    )
    return "\n".join(lines)


def charts(section: dict) -> list[dict]:
    """The share of the workers' time that trials take, against the number of workers; a line for each time of a
    trial."""
    lines = []
    for seconds in SECONDS:
        rows = [row for row in section["rows"] if row["seconds"] == seconds]
        if len(rows) > 1:
            xs, ys = [row["workers"] for row in rows], [100 * row["share_of_time"] for row in rows]
            lines.append({"name": f"Trials of {seconds:g} s", "x": xs, "y": ys})
    if not lines:
        return []
    return [
        {
            "kind": "lines",
            "name": "",
            "title": "How busy a search keeps its workers",
            "x_name": "Workers",
            "y_name": "Time that trials have (% of the workers' time)",
            "log_x": True,
            "log_y": False,
            "lines": lines,
        }
    ]
