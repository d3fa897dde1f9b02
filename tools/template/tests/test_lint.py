"""Each rule of the notebook lint, with a notebook that breaks it and one that does not."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import lint_notebooks
import pytest
from lint_notebooks import lint, lint_file, main, tasks

# The parameters of every training, with a comment that contains a semicolon.
NAMES = """let data = "../data"; // folder; of X.npy
// a whole line
let sample: usize = 0;
let epochs: usize = 50;
let patience: usize = 5;
let seed: u64 = 42;
"""

TASK = f"> {tasks()[6]}"

GOOD = {
    "nbformat": 4,
    "nbformat_minor": 5,
    "metadata": {"kernelspec": {"name": "rust", "display_name": "Rust", "language": "rust"}},
    "cells": [
        {"cell_type": "markdown", "id": "title", "metadata": {}, "source": f"# 6. A convolutional network\n\n{TASK}\n\nWith 12% for test."},
        {
            "cell_type": "code", "id": "setup", "metadata": {}, "outputs": [], "execution_count": None,
            "source": ':dep helpers = { path = "../helpers" }\nuse helpers::prelude::*;',
        },
        {
            "cell_type": "code", "id": "parameters", "metadata": {"tags": ["parameters"]}, "outputs": [], "execution_count": None,
            "source": NAMES + "let rates: Vec<f64> = vec![0.1, 0.2];\n",
        },
        {"cell_type": "code", "id": "fit", "metadata": {}, "outputs": [], "execution_count": None, "source": "let user = 1;"},
        {"cell_type": "markdown", "id": "conclusion", "metadata": {}, "source": "## Conclusion\n\nIt learns, and its 95% interval is narrow."},
        {"cell_type": "code", "id": "findings", "metadata": {}, "outputs": [], "execution_count": None, "source": "println!(\"{user}\");"},
        {"cell_type": "markdown", "id": "what-follows", "metadata": {}, "source": "The next notebook scores it."},
    ],
}  # fmt: skip


@pytest.fixture
def check(tmp_path):
    """Writes GOOD after a change; returns the rules that it breaks."""

    def run(change=lambda book: None, name: str = "06_cnn_training.ipynb") -> list[str]:
        book = copy.deepcopy(GOOD)
        change(book)
        path = tmp_path / name
        path.write_text(json.dumps(book))
        run.findings = lint_file(path)
        run.path = path
        return [finding.rule for finding in run.findings]

    return run


def put(cell: int, key: str, value):
    return lambda book: book["cells"][cell].__setitem__(key, value)


def without(name: str) -> str:
    """The parameters of a training without this one."""
    return "\n".join(line for line in NAMES.splitlines() if not line.startswith(f"let {name}"))


def meta(**entries):
    return lambda book: book["metadata"].update(entries)


def test_a_good_notebook_breaks_no_rule(check):
    assert check() == []


def test_figures_and_tables_that_are_numbered_and_named_are_fine(check):
    def change(book):
        put(3, "source", 'a.plot()?.caption("Figure 6.1. A.");\nb.plot()?.caption("Figure 6.2. B.");\nt.label("Table 6.1")')(book)
        put(4, "source", "## Conclusion\n\nSee Figures 6.1 and 6.2, and Table 6.1.")(book)

    assert check(change) == []


BROKEN = {
    "name": [(lambda book: None, "6_cnn.ipynb"), (lambda book: None, "06-cnn.ipynb")],
    "title": [
        put(0, "source", f"# 7. A convolutional network\n\n{TASK}"),
        put(0, "source", f"# A convolutional network\n\n{TASK}"),
        put(0, "source", f"## 6. A convolutional network\n\n{TASK}"),
        put(0, "cell_type", "raw"),
    ],
    "task": [
        put(0, "source", "# 6. A convolutional network"),
        put(0, "source", f"# 6. A convolutional network\n\n> {tasks()[7]}"),
        put(0, "source", f"# 6. A convolutional network\n\n{TASK.replace('Train', 'Fit')}"),
    ],
    "kernel": [meta(kernelspec={"name": "python3"}), meta(kernelspec={})],
    "format": [lambda book: book.update(nbformat_minor=4)],
    "parameters": [put(2, "metadata", {}), put(3, "metadata", {"tags": ["parameters"]})],
    "parameters-content": [
        put(2, "source", NAMES + "let mut rate = 0.1;"),
        put(2, "source", NAMES + 'println!("{seed}");'),
        put(2, "source", NAMES + "let rate = 0.1; rate"),
        put(2, "source", NAMES + "let rate: f64;"),
    ],
    "parameters-promised": [
        *[put(2, "source", without(name)) for name in ["data", "sample", "epochs", "patience", "seed"]],
        put(3, "source", 'let mut run = Run::new("cnn", "../export", false);'),
    ],
    "rule-of-course": [
        put(2, "source", NAMES.replace("epochs: usize = 50", "epochs: usize = 30")),
        put(2, "source", NAMES.replace("patience: usize = 5", "patience: usize = 6")),
    ],
    "numbers": [
        put(3, "source", 'history.plot()?.caption("Figure 6.1. Loss.")'),
        put(3, "source", 'summary.table().label("Table 6.1")'),
        put(3, "source", "history\n    .plot()?"),
        put(3, "source", "let names = data.names();\nplot_confusion(&matrix, names)?"),
        put(3, "source", 'show_classes(&dataset, 10, seed)?.caption("Images of each class.")'),
        put(3, "source", "summary.table()"),
        lambda book: (
            put(3, "source", 'history.plot()?.caption("Figure 6.2. Loss.")')(book),
            put(4, "source", "## Conclusion\n\nSee Figure 6.2.")(book),
        ),
        lambda book: (
            put(3, "source", 'history.plot()?.caption(format!(\n"Figure 5.1. Loss {}.", 1))')(book),
            put(4, "source", "## Conclusion\n\nSee Figure 5.1.")(book),
        ),
    ],
    "bookkeeping": [
        put(3, "source", "let mut table = Table::new(columns);"),
        put(3, "source", "written.push(path);"),
    ],
    "setup": [
        put(1, "source", "let x = 1;"),
        put(1, "source", ':dep helpers = { path = "../helpers" }'),
        put(1, "source", ":dep helpers\nuse helpers::prelude::*;"),
        put(3, "source", "use std::fs;"),
        put(3, "source", ":dep rand"),
        lambda book: book["cells"].insert(1, {**book["cells"][3], "id": "early"}),
    ],
    "outputs": [put(3, "outputs", [{"output_type": "stream", "name": "stdout", "text": "1"}])],
    "counts": [put(3, "execution_count", 3)],
    "run-metadata": [meta(papermill={}), put(3, "metadata", {"papermill": {}}), put(3, "metadata", {"execution": {}})],
    "injected": [put(3, "metadata", {"tags": ["injected-parameters"]})],
    "paths": [
        put(3, "source", 'let path = "/home/someone/data";'),
        put(3, "source", 'let path = "/data";'),
        put(3, "source", r'let path = "C:\\data";'),
        put(4, "source", "## Conclusion\n\nSee file:///a and /tmp/x."),
    ],
    "ids": [
        lambda book: book["cells"][3].pop("id"),
        put(3, "id", "setup"),
        put(3, "id", "a1b2c3d4"),
        put(3, "id", "Fit The Network"),
    ],
    "results": [
        put(4, "source", "## Conclusion\n\nAccuracy is 0.938 at the end."),
        put(4, "source", "## Conclusion\n\nIt reaches 93.8% of them."),
        put(4, "source", "## Conclusion\n\nThe accuracy rises to 0.93."),
        put(4, "source", "## Conclusion\n\nThe accuracy is 93 %."),
    ],
    "conclusion": [
        lambda book: book["cells"].append({**book["cells"][3], "id": "last"}),
        put(4, "source", "## The end"),
        lambda book: book["cells"].pop(5),
    ],
    "empty": [put(3, "source", " \n")],
    "width": [put(3, "source", "let x = 1; //" + 110 * "-")],
    "length": [put(3, "source", "let x = 1;\n" * 16)],
}  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "change"), [(rule, change) for rule, changes in BROKEN.items() for change in changes]
)
def test_a_broken_rule_is_found_alone(check, rule, change):
    change, name = change if isinstance(change, tuple) else (change, "06_cnn_training.ipynb")
    assert set(check(change, name)) == {rule}


def test_only_what_trains_takes_the_parameters_of_a_training(check):
    def of(parameters, code="let user = 1;"):
        def change(book):
            book["cells"][0]["source"] = f"# 9. A table\n\n> {tasks()[9]}"
            book["cells"][2]["source"] = parameters
            book["cells"][3]["source"] = code

        return check(change, "09_comparative_table.ipynb")

    assert of('let export = "../export";') == []
    assert of("let images = 8;") == ["parameters-promised"]
    saving = "let mut run = Run::new(\"cnn\", export, quick);"
    assert of('let export = "../export";', saving) == ["parameters-promised"]
    assert "no parameter `quick`" in check.findings[0].message
    assert of('let export = "../export";\nlet quick: bool = false;', saving) == []
    assert of('let export = "../export";', "// " + saving) == []


def test_every_rule_has_a_failing_example_and_a_reason():
    assert set(BROKEN) | {"json"} == set(lint_notebooks.WHY)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"cells": [1]}', "\udcff"])
def test_a_file_that_is_no_notebook_is_found(tmp_path, content):
    path = tmp_path / "06_cnn_training.ipynb"
    path.write_bytes(content.encode(errors="surrogateescape"))
    assert [finding.rule for finding in lint_file(path)] == ["json"]


@pytest.mark.parametrize(
    "text",
    [
        "train/test",
        "either and/or",
        "https://example.org/data/x",
        "../data/sample",
        "a 3/4 share",
        "`export/metrics/cnn.json`",
    ],
)
def test_relative_paths_and_addresses_are_fine(check, text):
    assert check(put(4, "source", f"## Conclusion\n\n{text}")) == []


@pytest.mark.parametrize(
    "text",
    [
        "12% for test",
        "noise of variance 0.3",
        "a rate of 0.05",
        "the 95% interval of the accuracy",
        "accuracy with its 95% interval",
    ],
)
def test_settings_are_no_results(check, text):
    assert check(put(4, "source", f"## Conclusion\n\n{text}")) == []


def test_a_message_gives_file_cell_rule_and_reason(check):
    check(put(3, "execution_count", 3))
    message = str(check.findings[0])
    assert message.startswith(
        f"error: {check.path}, cell 4 (fit): counts: the cell carries execution count 3"
    )
    assert lint_notebooks.WHY["counts"] in message


@pytest.mark.parametrize("shown", ["fn grid() -> Result<Figure> {\n    grid.plot()\n}", "let figure = history.plot()?;", "history.plot()?;"])
def test_a_figure_that_is_not_shown_needs_no_caption(check, shown):
    assert check(put(3, "source", shown)) == []


def test_all_notebooks_together_have_few_lines_and_little_bookkeeping(tmp_path):
    parameters = NAMES + 'let export = "../export";\nlet quick = false;'

    def findings(steps: list[str]) -> list[str]:
        for number, words in tasks().items():
            book = copy.deepcopy(GOOD)
            book["cells"][0]["source"] = f"# {number}. A title\n\n> {words}"
            book["cells"][2]["source"] = parameters
            book["cells"][3:4] = [
                {**book["cells"][3], "id": f"step-{number}", "source": source} for number, source in enumerate(steps)
            ]
            (tmp_path / f"{number:02}_a.ipynb").write_text(json.dumps(book))
        return [finding.message for finding in lint([tmp_path])]

    # Set-up and parameters are two of ten cells; a cell that only loads or keeps results would be a third.
    work = ["let user = 1;"] * 7
    assert findings(work) == []
    loads = 'let mut run = Run::new("cnn", export, quick);\nlet split = run.load_split(data, sample, seed)?;'
    keeps = 'let tuned = full.take_best_model()?;\nrun.config("search", &search)?;\nrun.best(params, score)?;'
    for cell in (loads, keeps):
        assert findings([cell, *work[1:]]) == ["33 of 110 cells set up, load or keep, more than 20%"]
    assert findings([loads + "\nlet fit = FitConfig { epochs };", *work[1:]]) == []
    # In each notebook 2 lines of set-up, 8 of parameters, 1 of findings; empty lines do not count.
    assert findings([*["let x = 1;\n" * 14] * 2, "let x = 1;\n\nlet y = 1;", *work[3:]]) == ["495 lines of code in cells, more than 450"]
    assert findings([*["let x = 1;\n" * 11] * 2, "let x = 1;\n\nlet y = 1;", *work[3:]]) == []


def test_a_long_cell_is_only_a_warning(check):
    check(put(3, "source", "let x = 1;\n" * 16))
    assert [finding.warning for finding in check.findings] == [True]
    assert main([str(check.path)]) == 0


def test_two_files_of_one_number_are_found(check, tmp_path):
    check(name="06_a.ipynb")
    check(name="06_b.ipynb")
    assert [finding.message for finding in lint([tmp_path])] == ["06_a.ipynb has the same number"]


def test_an_empty_folder_is_found(tmp_path):
    assert main([str(tmp_path)]) == 1


def test_fix_takes_the_marks_of_a_run_out_and_nothing_else(check):
    def ran(book):
        book["metadata"]["papermill"] = {}
        book["cells"][3].update(
            execution_count=3, outputs=[{"output_type": "stream", "name": "stdout", "text": "1"}]
        )
        book["cells"][3]["metadata"]["papermill"] = {}
        book["cells"].insert(
            3, {**book["cells"][2], "id": "injected", "metadata": {"tags": ["injected-parameters"]}}
        )

    assert check(ran) != []
    assert main(["--fix", str(check.path)]) == 0
    assert json.loads(check.path.read_text()) == GOOD
    assert not lint_notebooks.fix_file(check.path)


def test_the_command_says_what_is_wrong(check):
    check(put(3, "execution_count", 3))
    command = [sys.executable, Path(lint_notebooks.__file__), check.path]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1
    assert "cell 4 (fit): counts" in result.stderr
    assert result.stderr.endswith("outputs that JupyterLab has saved are taken out by `cargo xtask clean`\n")
    assert result.stdout == "1 notebooks, 1 errors, 0 warnings\n"
