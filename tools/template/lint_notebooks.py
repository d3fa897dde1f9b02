"""The rules that every notebook source keeps, checked on its JSON alone.

    python tools/template/lint_notebooks.py notebooks/          # says what is wrong; exit 1 if anything is
    python tools/template/lint_notebooks.py --fix notebooks/    # takes outputs and other marks of a run out first

A message names the file, the cell, the rule, and why the rule is there. Start at `lint`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from whole import write_whole

LONGEST_CELL = 15
WIDEST_LINE = 120
NAME = re.compile(r"^(\d\d)_[a-z0-9_]+$")
TITLE = re.compile(r"^#\s+(\d+)\.\s+\S")
CELL_ID = re.compile(r"^[a-z][a-z0-9-]{1,63}$")
CHANCE_ID = re.compile(r"^(?=.*\d)[0-9a-f]{8}$")
DEP = re.compile(r"^\s*:dep\b", re.MULTILINE)
USE = re.compile(r"^\s*use\s", re.MULTILINE)
HELPERS_DEP = ':dep helpers = { path = "../helpers" }'
HELPERS_USE = "use helpers::prelude::*;"
LET = re.compile(r"^let\s+[a-z_][a-z0-9_]*\s*(:\s*[^=]+?)?\s*=\s*\S[\s\S]*$")
ABSOLUTE = re.compile(
    r"(?<![\w.~:/)\]])(/(?:home|root|Users|tmp|work|mnt|opt|var|usr|etc|srv|private|Volumes)/[\w./-]*)"
    r"|\b([A-Za-z]:\\\\?[\w\\]+)|(file://[^\s)\"]*)|\"(/[\w.-][^\"\n]*)\""
)
RESULT = re.compile(
    r"\b0\.\d{3,}\b|\b\d+\.\d+\s?%|\b(?:accuracy|loss|precision|recall|psnr|ssim|mse)\b[^.|\n]{0,25}?\b(0?\.\d{2,}|(?!95)\d{2,3}\s?%)",
    re.IGNORECASE,
)
# Parameters that `cargo xtask run -p NAME VALUE`, a quick run and the README count on.
TRAINING = {4, 6, 8, 10, 11}
OF_TRAINING = ["data", "sample", "epochs", "patience", "seed"]
OF_RESULTS = ["export", "quick"]
SAVES = re.compile(r"\bsave_(metrics|predictions)\s*\(")
DEFINED = re.compile(r"^let\s+(?:mut\s+)?([a-z_][a-z0-9_]*)")
RUN_METADATA = ["papermill", "execution", "ExecuteTime", "widgets"]

WHY = {
    "json": "papermill and JupyterLab cannot open the file",
    "name": "names and titles give the order of the tasks",
    "title": "the number of a title is the number of its file",
    "kernel": "papermill starts the kernel that the file names",
    "format": "cell ids exist from nbformat 4.5 on",
    "parameters": "papermill puts its values after the one cell tagged `parameters`, and reads their types there",
    "parameters-content": "values given by papermill replace plain `let` lines; anything else would run twice or not at all",
    "parameters-promised": "a run sets these names in each notebook that has them, and a notebook without one would go on "
    "with all images, all epochs or the wrong folder and say nothing",
    "setup": "`:dep` and `use` have one place, so that the prelude stays the whole vocabulary",
    "outputs": "sources carry no outputs, so that a diff shows the change; `--fix` takes them out",
    "counts": "sources carry no execution counts, so that a diff shows the change; `--fix` takes them out",
    "run-metadata": "marks of a run belong to executed copies; `--fix` takes them out",
    "injected": "values of one run belong to executed copies; `--fix` takes the cell out",
    "paths": "a path of one machine does not exist on the next",
    "ids": "ids stay the same from edit to edit and say what a cell is for",
    "results": "another run changes such a number; a cell prints it",
    "conclusion": "a notebook ends with the answer to its task",
    "empty": "an empty cell tells the reader nothing",
    "width": "a longer line leaves the page and makes readers scroll",
    "length": "loops, plotting and shared code belong in helpers",
}


@dataclass(frozen=True)
class Finding:
    """One broken rule. A `warning` does not fail the run."""

    file: Path
    cell: str
    rule: str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        place = f"{self.file}, {self.cell}" if self.cell else str(self.file)
        return f"{'warning' if self.warning else 'error'}: {place}: {self.rule}: {self.message} ({WHY[self.rule]})"


def text(cell: dict) -> str:
    source = cell.get("source", "")
    return "".join(source) if isinstance(source, list) else str(source)


def tags(cell: dict) -> list:
    return cell.get("metadata", {}).get("tags", []) or []


def without_comments(code: str) -> str:
    """The code without `//` and `/* */` comments, its strings kept."""
    pattern = r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*[\s\S]*?\*/'
    return re.sub(pattern, lambda match: match[1] or "", code)


def statements(code: str) -> list[str]:
    """The code split at the semicolons that are outside strings."""
    parts = re.findall(r'(?:"(?:\\.|[^"\\])*"|[^;"])+|;', without_comments(code))
    return [part.strip() for part in parts if part != ";" and part.strip()]


def lint_file(path: Path) -> list[Finding]:
    """Every broken rule of one notebook, in the order of its cells."""
    findings: list[Finding] = []

    def found(rule: str, message: str, cell: str = "", warning: bool = False) -> None:
        findings.append(Finding(path, cell, rule, message, warning))

    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = notebook["cells"]
        metadata = notebook.get("metadata", {})
        assert isinstance(cells, list) and all(isinstance(cell, dict) for cell in cells)
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AssertionError) as error:
        reason = (
            f"line {error.lineno}: {error.msg}"
            if isinstance(error, json.JSONDecodeError)
            else f"{type(error).__name__}: {error}"
        )
        found("json", f"not a notebook: {reason}")
        return findings

    def place(index: int) -> str:
        return f"cell {index + 1} ({cells[index].get('id', 'no id')})"

    name = NAME.match(path.stem)
    if not name:
        found("name", f"`{path.name}` is not named like `06_cnn_training.ipynb`")
    if (notebook.get("nbformat"), notebook.get("nbformat_minor")) < (4, 5):
        found(
            "format", f"nbformat is {notebook.get('nbformat')}.{notebook.get('nbformat_minor')}, expected 4.5"
        )
    kernel = metadata.get("kernelspec", {}).get("name")
    if kernel != "rust":
        found("kernel", f"kernel is `{kernel}`, expected `rust`")
    for key in RUN_METADATA:
        if key in metadata:
            found("run-metadata", f"the notebook's metadata holds `{key}`")

    first = text(cells[0]) if cells and cells[0].get("cell_type") == "markdown" else ""
    title = TITLE.match(first)
    if not title:
        found(
            "title",
            "the first cell does not start with a title like `# 6. A convolutional network`",
            place(0) if cells else "",
        )
    elif name and int(title[1]) != int(name[1]):
        found("title", f"the title says {title[1]}, the file says {name[1]}", place(0))

    seen: dict[str, int] = {}
    for index, cell in enumerate(cells):
        kind, source, here = cell.get("cell_type"), text(cell), place(index)
        identity = cell.get("id")
        if not identity:
            found("ids", "the cell has no id", here)
        elif identity in seen:
            found("ids", f"cell {seen[identity] + 1} has this id too", here)
        elif not CELL_ID.match(str(identity)) or CHANCE_ID.match(str(identity)):
            found("ids", f"`{identity}` is not a readable id like `parameters` or `fit-baseline`", here)
        seen.setdefault(str(identity), index)
        if not source.strip():
            found("empty", "the cell is empty", here)
        for key in RUN_METADATA:
            if key in cell.get("metadata", {}):
                found("run-metadata", f"the cell's metadata holds `{key}`", here)
        for match in ABSOLUTE.finditer(source):
            found(
                "paths",
                f"`{next(filter(None, match.groups()))}` is an absolute path; name it from the notebook's folder",
                here,
            )
        if kind == "code":
            if cell.get("outputs"):
                found("outputs", f"the cell carries {len(cell['outputs'])} outputs", here)
            if cell.get("execution_count") is not None:
                found("counts", f"the cell carries execution count {cell['execution_count']}", here)
            if "injected-parameters" in tags(cell):
                found("injected", "the cell was put in by papermill", here)
            for line in source.splitlines():
                if len(line) > WIDEST_LINE:
                    found(
                        "width",
                        f"a line of {len(line)} characters: `{line.strip()[:40]}…`",
                        here,
                        warning=True,
                    )
            lines = len(source.strip().splitlines())
            if lines > LONGEST_CELL and "parameters" not in tags(cell):
                found("length", f"the cell has {lines} lines, more than {LONGEST_CELL}", here, warning=True)
        elif kind == "markdown":
            for match in RESULT.finditer(source):
                found("results", f"`{match[0].strip()}` looks like a result", here)

    check_setup(cells, place, found)
    check_parameters(cells, place, found)
    check_promised(cells, int(name[1]) if name else 0, place, found)

    if not cells or cells[-1].get("cell_type") != "markdown":
        found("conclusion", "the last cell is not text", place(len(cells) - 1) if cells else "")
    elif not any(
        cell.get("cell_type") == "markdown"
        and re.search(r"^##\s+.*conclusion", text(cell), re.IGNORECASE | re.MULTILINE)
        for cell in cells
    ):
        found("conclusion", "no heading `## Conclusion`", place(len(cells) - 1))
    return findings


def check_setup(cells: list[dict], place, found) -> None:
    code = [index for index, cell in enumerate(cells) if cell.get("cell_type") == "code"]
    setups = [
        index
        for index in code
        if DEP.search(text(cells[index])) or USE.search(without_comments(text(cells[index])))
    ]
    if not setups:
        found("setup", f"no set-up cell with `{HELPERS_DEP}` and `{HELPERS_USE}`")
        return
    for index in setups[1:]:
        found("setup", f"`:dep` or `use` again, after {place(setups[0])}", place(index))
    source = text(cells[setups[0]])
    for line in (HELPERS_DEP, HELPERS_USE):
        if line not in source:
            found("setup", f"the set-up cell lacks `{line}`", place(setups[0]))
    if setups[0] != code[0]:
        found("setup", "the set-up cell is not the first code cell", place(setups[0]))


def check_parameters(cells: list[dict], place, found) -> None:
    tagged = [index for index, cell in enumerate(cells) if "parameters" in tags(cell)]
    if len(tagged) != 1:
        found(
            "parameters",
            f"{len(tagged)} cells are tagged `parameters`, expected one",
            place(tagged[1]) if tagged else "",
        )
    for index in tagged:
        if cells[index].get("cell_type") != "code":
            found("parameters", "the cell tagged `parameters` is not code", place(index))
            continue
        for statement in statements(text(cells[index])):
            if not LET.match(statement):
                found(
                    "parameters-content",
                    f"`{statement.splitlines()[0]}` is not `let name: type = value;`",
                    place(index),
                )


def check_promised(cells: list[dict], number: int, place, found) -> None:
    """What trains takes the parameters of a training, what keeps results takes where, and what reads takes from where."""
    tagged = [index for index, cell in enumerate(cells) if "parameters" in tags(cell)]
    if not tagged:
        return  # said already
    lines = [line for index in tagged for line in statements(text(cells[index]))]
    defined = {match[1] for match in map(DEFINED.match, lines) if match}
    code = [without_comments(text(cell)) for cell in cells if cell.get("cell_type") == "code"]
    wanted = OF_TRAINING if number in TRAINING else []
    if any(map(SAVES.search, code)):
        wanted = wanted + OF_RESULTS
    for missing in [name for name in wanted if name not in defined]:
        found("parameters-promised", f"no parameter `{missing}`", place(tagged[0]))
    if not defined & {"data", "export"}:
        found("parameters-promised", "neither a parameter `data` nor `export`", place(tagged[0]))


def fix_file(path: Path) -> bool:
    """Takes outputs, counts, run metadata and injected cells out; True if the file changed."""
    before = path.read_text(encoding="utf-8")
    notebook = json.loads(before)
    notebook["cells"] = [
        cell
        for cell in notebook["cells"]
        if not {"injected-parameters", "papermill-error-cell-tag"} & set(tags(cell))
    ]
    for holder in [notebook, *notebook["cells"]]:
        for key in RUN_METADATA:
            holder.get("metadata", {}).pop(key, None)
    for cell in notebook["cells"]:
        if cell.get("cell_type") == "code":
            cell["outputs"], cell["execution_count"] = [], None
    if notebook == json.loads(before):
        return False
    write_whole(path, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    return True


def lint(paths: list[Path]) -> list[Finding]:
    """Every broken rule of these notebooks, or of the notebooks in these folders."""
    files: list[Path] = []
    findings: list[Finding] = []
    for path in paths:
        inside = sorted(path.glob("*.ipynb")) if path.is_dir() else [path]
        if not inside:
            findings.append(Finding(path, "", "json", "no notebooks in this folder"))
        files += inside
    numbers: dict[str, Path] = {}
    for file in files:
        findings += lint_file(file)
        other = numbers.setdefault(file.stem[:2], file)
        if other != file and other.parent == file.parent:
            findings.append(Finding(file, "", "name", f"{other.name} has the same number"))
    return findings


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Checks notebook sources against the rules they keep.")
    parser.add_argument("paths", type=Path, nargs="+", help="notebooks, or folders of notebooks")
    parser.add_argument(
        "--fix", action="store_true", help="first take out outputs, counts and other marks of a run"
    )
    options = parser.parse_args(arguments)
    if options.fix:
        for path in options.paths:
            for file in sorted(path.glob("*.ipynb")) if path.is_dir() else [path]:
                try:
                    if fix_file(file):
                        print(f"fixed: {file}")
                except (ValueError, KeyError):
                    pass  # lint says what is wrong with it
                except OSError as error:
                    print(f"error: cannot fix {file}: {error.strerror or error}; it is as it was", file=sys.stderr)
                    return 1
    findings = lint(options.paths)
    for finding in findings:
        print(finding, file=sys.stderr)
    errors = sum(not finding.warning for finding in findings)
    count = sum(len(list(path.glob("*.ipynb"))) if path.is_dir() else 1 for path in options.paths)
    print(f"{count} notebooks, {errors} errors, {len(findings) - errors} warnings")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
