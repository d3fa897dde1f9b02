"""The rules for notebook sources, checked on their JSON only.

    python tools/template/lint_notebooks.py notebooks/          # says what is wrong; exit 1 if anything is
    python tools/template/lint_notebooks.py --fix notebooks/    # takes outputs and other marks of a run out first

A message names the file, the cell, the rule, and the reason for the rule. Start at `lint`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from parameters import declaration, declarations, is_parameters_cell, source_of, statements
from whole import write_whole

LONGEST_CELL = 15
# Limits for all notebooks together: lines of code in cells, and the share of cells that are not about data, networks or
# findings.
MOST_LINES = 450
MOST_BOOKKEEPING = 0.2
WIDEST_LINE = 120
NAME = re.compile(r"^(\d\d)_[a-z0-9_]+$")
TITLE = re.compile(r"^#\s+(\d+)\.\s+\S")
TASKS = Path(__file__).resolve().parents[2] / "docs" / "tasks.md"
TASK = re.compile(r"^(\d+)\. (\*\*.+)$", re.MULTILINE)
CELL_ID = re.compile(r"^[a-z][a-z0-9-]{1,63}$")
CHANCE_ID = re.compile(r"^(?=.*\d)[0-9a-f]{8}$")
DEP = re.compile(r"^\s*:dep\b", re.MULTILINE)
USE = re.compile(r"^\s*use\s", re.MULTILINE)
HELPERS_DEP = ':dep helpers = { path = "../helpers" }'
HELPERS_USE = "use helpers::prelude::*;"
ABSOLUTE = re.compile(
    r"(?<![\w.~:/)\]])(/(?:home|root|Users|tmp|work|mnt|opt|var|usr|etc|srv|private|Volumes)/[\w./-]*)"
    r"|\b([A-Za-z]:\\\\?[\w\\]+)|(file://[^\s)\"]*)|\"(/[\w.-][^\"\n]*)\""
)
RESULT = re.compile(
    r"\b0\.\d{3,}\b|\b\d+\.\d+\s?%|\b(?:accuracy|loss|precision|recall|psnr|ssim|mse)\b[^.|\n]{0,25}?\b(0?\.\d{2,}|(?!95)\d{2,3}\s?%)",
    re.IGNORECASE,
)
# Notebooks that train: their parameters are used by `cargo xtask run -p NAME VALUE`, by a quick run and in the README.
TRAINING = {4, 6, 8, 10, 11}
OF_TRAINING = ["data", "sample", "epochs", "patience", "seed"]
OF_RESULTS = ["export", "quick"]
SAVES = re.compile(r"\bRun::new\s*\(|\bsave_(metrics|predictions)\s*\(")
OF_COURSE = {"epochs": "50", "patience": "5"}
# Code that belongs into `Run` and the tables of helpers.
BOOKKEEPING = re.compile(r"\bMetrics::new\b|\bPredictions::new\b|\bTable::new\b|\bColumn::|\.push\s*\(|\bsave_(?:metrics|predictions|history)\b")
# A statement that sets up, loads another notebook's results, or keeps those of this one.
HOUSEKEEPING = re.compile(
    r"^(?::dep|use)\s|^(?:let\s+(?:mut\s+)?\w+\s*=\s*)?"
    r"(?:Run::new\s*\(|run\s*\.\s*(?:config|keep|best|load_\w+)\s*\(|\w+\s*\.\s*take_best_model\s*\()"
)
# The last expression of a cell that shows a figure or a table.
SHOWS = re.compile(r"^(?!fn\s|let\s).*(?:\.(?:plot|table)\(\)|\b(?:plot|show)_\w+\()", re.DOTALL)
NUMBERED = re.compile(r"\b(Figure|Table)s? (\d+)\.(\d+)(?: and (\d+)\.(\d+))?")
# A caption of a figure, or the label of a table.
CAPTION = re.compile(r"(?:\.caption\(\s*(?:format!\(\s*)?|\.label\(\s*|\{\s*)\"(Figure|Table) (\d+)\.(\d+)")
CONCLUSION = re.compile(r"^##\s+.*conclusion", re.IGNORECASE | re.MULTILINE)
RUN_METADATA = ["papermill", "execution", "ExecuteTime", "widgets"]

WHY = {
    "json": "papermill and JupyterLab cannot open the file",
    "name": "names and titles give the order of the tasks",
    "title": "the number of a title is the number of its file",
    "task": "a notebook answers the task in the words of the course, and a reader compares the two",
    "kernel": "papermill starts the kernel that the file names",
    "format": "cell ids exist from nbformat 4.5 on",
    "parameters": "papermill puts its values after the one cell tagged `parameters`, and reads their types there",
    "parameters-content": "values given by papermill replace plain `let` lines; anything else would run twice or not at all",
    "parameters-promised": "a run sets these names in each notebook that has them, and a notebook without one would go on "
    "with all images, all epochs or the wrong folder and say nothing",
    "setup": "`:dep` and `use` have one place, so that the prelude stays the whole vocabulary",
    "rule-of-course": "the course fixes 50 epochs and a patience of 5, for every training",
    "numbers": "a reader finds a figure or table by its number, and the text says what it is for",
    "bookkeeping": "a page is about data, networks and findings; `Run` and the tables of helpers do the rest",
    "outputs": "sources carry no outputs, so that a diff shows the change; `--fix` takes them out",
    "counts": "sources carry no execution counts, so that a diff shows the change; `--fix` takes them out",
    "run-metadata": "marks of a run belong to executed copies; `--fix` takes them out",
    "injected": "values of one run belong to executed copies; `--fix` takes the cell out",
    "paths": "a path of one machine does not exist on the next",
    "ids": "ids stay the same from edit to edit and say what a cell is for",
    "results": "another run changes such a number; a cell prints it",
    "conclusion": "a notebook ends with the answer to its task, and with what this run found",
    "empty": "an empty cell tells the reader nothing",
    "width": "a longer line leaves the page and makes readers scroll",
    "length": "loops, plotting and shared code belong in helpers",
}

# What JupyterLab saves, and `--fix` takes out.
MARKS_OF_A_RUN = {"outputs", "counts", "run-metadata", "injected"}


@dataclass(frozen=True)
class Finding:
    """One broken rule. A `warning` does not fail the run."""

    file: Path
    cell: str
    rule: str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        where = f"{self.file}, {self.cell}" if self.cell else str(self.file)
        return f"{'warning' if self.warning else 'error'}: {where}: {self.rule}: {self.message} ({WHY[self.rule]})"


def tags(cell: dict) -> list:
    return cell.get("metadata", {}).get("tags", []) or []


def code_of(cell: dict) -> str:
    """The cell's code without comments."""
    return "\n".join(statements(source_of(cell)))


class Lint:
    """The rules, applied to one notebook; `findings` are the broken ones."""

    def __init__(self, path: Path):
        self.path = path
        self.findings: list[Finding] = []
        self.notebook: dict = {}
        self.cells: list[dict] = []

    def found(self, rule: str, message: str, index: int | None = None, warning: bool = False) -> None:
        cell = "" if index is None or not self.cells else self.name_of(index)
        self.findings.append(Finding(self.path, cell, rule, message, warning))

    def name_of(self, index: int) -> str:
        return f"cell {index % len(self.cells) + 1} ({self.cells[index].get('id', 'no id')})"

    def of_kind(self, kind: str) -> list[int]:
        return [index for index, cell in enumerate(self.cells) if cell.get("cell_type") == kind]

    def check(self) -> list[Finding]:
        """Every broken rule, in the order of the cells."""
        if self.read():
            self.check_file()
            self.check_title()
            self.check_task()
            self.check_cells()
            self.check_setup()
            self.check_parameters()
            self.check_promised()
            self.check_rule_of_course()
            self.check_numbers()
            self.check_bookkeeping()
            self.check_conclusion()
        return self.findings

    def read(self) -> bool:
        try:
            self.notebook = json.loads(self.path.read_text(encoding="utf-8"))
            self.cells = self.notebook["cells"]
            assert isinstance(self.cells, list) and all(isinstance(cell, dict) for cell in self.cells)
        except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError, AssertionError) as error:
            is_json = isinstance(error, json.JSONDecodeError)
            reason = f"line {error.lineno}: {error.msg}" if is_json else f"{type(error).__name__}: {error}"
            self.cells = []
            self.found("json", f"not a notebook: {reason}")
            return False
        return True

    def check_file(self) -> None:
        metadata = self.notebook.get("metadata", {})
        if not NAME.match(self.path.stem):
            self.found("name", f"`{self.path.name}` is not named like `06_cnn_training.ipynb`")
        version = self.notebook.get("nbformat"), self.notebook.get("nbformat_minor")
        if version < (4, 5):
            self.found("format", f"nbformat is {version[0]}.{version[1]}, expected 4.5")
        kernel = metadata.get("kernelspec", {}).get("name")
        if kernel != "rust":
            self.found("kernel", f"kernel is `{kernel}`, expected `rust`")
        for key in RUN_METADATA:
            if key in metadata:
                self.found("run-metadata", f"the notebook's metadata holds `{key}`")

    def check_title(self) -> None:
        is_text = bool(self.cells) and self.cells[0].get("cell_type") == "markdown"
        title = TITLE.match(source_of(self.cells[0])) if is_text else None
        name = NAME.match(self.path.stem)
        if not title:
            wanted = "# 6. A convolutional network"
            self.found("title", f"the first cell does not start with a title like `{wanted}`", 0)
        elif name and int(title[1]) != int(name[1]):
            self.found("title", f"the title says {title[1]}, the file says {name[1]}", 0)

    def check_task(self) -> None:
        """The first cell must quote the task of this notebook, word for word."""
        name = NAME.match(self.path.stem)
        task = tasks().get(int(name[1])) if name else None
        if task and not (self.cells and f"\n> {task}\n" in source_of(self.cells[0]) + "\n"):
            self.found("task", f"the first cell does not quote `> {task[:60]}…` from docs/{TASKS.name}", 0)

    def check_cells(self) -> None:
        seen: dict[str, int] = {}
        for index, cell in enumerate(self.cells):
            self.check_id(index, seen)
            source = source_of(cell)
            if not source.strip():
                self.found("empty", "the cell is empty", index)
            for key in RUN_METADATA:
                if key in cell.get("metadata", {}):
                    self.found("run-metadata", f"the cell's metadata holds `{key}`", index)
            for match in ABSOLUTE.finditer(source):
                path = next(filter(None, match.groups()))
                self.found("paths", f"`{path}` is an absolute path; name it from the notebook's folder", index)
            if cell.get("cell_type") == "code":
                self.check_code(index)
            elif cell.get("cell_type") == "markdown":
                for match in RESULT.finditer(source):
                    self.found("results", f"`{match[0].strip()}` looks like a result", index)

    def check_id(self, index: int, seen: dict[str, int]) -> None:
        identity = self.cells[index].get("id")
        if not identity:
            self.found("ids", "the cell has no id", index)
        elif identity in seen:
            self.found("ids", f"cell {seen[identity] + 1} has this id too", index)
        elif not CELL_ID.match(str(identity)) or CHANCE_ID.match(str(identity)):
            self.found("ids", f"`{identity}` is not a readable id like `parameters` or `fit-baseline`", index)
        seen.setdefault(str(identity), index)

    def check_code(self, index: int) -> None:
        cell = self.cells[index]
        source = source_of(cell)
        if cell.get("outputs"):
            self.found("outputs", f"the cell carries {len(cell['outputs'])} outputs", index)
        if cell.get("execution_count") is not None:
            self.found("counts", f"the cell carries execution count {cell['execution_count']}", index)
        if "injected-parameters" in tags(cell):
            self.found("injected", "the cell was put in by papermill", index)
        for line in source.splitlines():
            if len(line) > WIDEST_LINE:
                message = f"a line of {len(line)} characters: `{line.strip()[:40]}…`"
                self.found("width", message, index, warning=True)
        lines = len(source.strip().splitlines())
        if lines > LONGEST_CELL and not is_parameters_cell(cell):
            self.found("length", f"the cell has {lines} lines, more than {LONGEST_CELL}", index, warning=True)

    def check_setup(self) -> None:
        code = self.of_kind("code")
        setups = [
            index
            for index in code
            if DEP.search(source_of(self.cells[index])) or USE.search(code_of(self.cells[index]))
        ]
        if not setups:
            self.found("setup", f"no set-up cell with `{HELPERS_DEP}` and `{HELPERS_USE}`")
            return
        for index in setups[1:]:
            self.found("setup", f"`:dep` or `use` again, after {self.name_of(setups[0])}", index)
        for line in (HELPERS_DEP, HELPERS_USE):
            if line not in source_of(self.cells[setups[0]]):
                self.found("setup", f"the set-up cell lacks `{line}`", setups[0])
        if setups[0] != code[0]:
            self.found("setup", "the set-up cell is not the first code cell", setups[0])

    def check_parameters(self) -> None:
        tagged = [index for index, cell in enumerate(self.cells) if is_parameters_cell(cell)]
        if len(tagged) != 1:
            second = tagged[1] if tagged else None
            self.found("parameters", f"{len(tagged)} cells are tagged `parameters`, expected one", second)
        for index in tagged:
            if self.cells[index].get("cell_type") != "code":
                self.found("parameters", "the cell tagged `parameters` is not code", index)
                continue
            for statement in statements(source_of(self.cells[index])):
                declared = declaration(statement)
                if not declared or declared.mutable or declared.name != declared.name.lower():
                    message = f"`{statement.splitlines()[0]}` is not `let name: type = value;`"
                    self.found("parameters-content", message, index)

    def check_promised(self) -> None:
        """Checks for the parameters of a training, of a notebook that keeps results, and for the folder that a notebook
        reads."""
        tagged = [index for index, cell in enumerate(self.cells) if is_parameters_cell(cell)]
        if not tagged:
            return  # already reported
        sources = [source_of(self.cells[index]) for index in tagged]
        defined = {one.name for source in sources for one in declarations(source)}
        name = NAME.match(self.path.stem)
        wanted = OF_TRAINING if name and int(name[1]) in TRAINING else []
        if any(SAVES.search(code_of(self.cells[index])) for index in self.of_kind("code")):
            wanted = wanted + OF_RESULTS
        for missing in [name for name in wanted if name not in defined]:
            self.found("parameters-promised", f"no parameter `{missing}`", tagged[0])
        if not defined & {"data", "export"}:
            self.found("parameters-promised", "neither a parameter `data` nor `export`", tagged[0])

    def check_rule_of_course(self) -> None:
        for index in self.of_kind("code"):
            if not is_parameters_cell(self.cells[index]):
                continue
            for one in declarations(source_of(self.cells[index])):
                expected = OF_COURSE.get(one.name)
                if expected and one.default != expected:
                    self.found("rule-of-course", f"`{one.name}` is {one.default}, expected {expected}", index)

    def check_numbers(self) -> None:
        """Figures and tables must be numbered in order, and the text must refer to each of them."""
        name = NAME.match(self.path.stem)
        notebook = int(name[1]) if name else 0
        named = set()
        for index in self.of_kind("markdown"):
            for kind, first, second, other_first, other_second in NUMBERED.findall(source_of(self.cells[index])):
                named |= {(kind, first, second), (kind, other_first, other_second)}
        last = {"Figure": 0, "Table": 0}
        for index in self.of_kind("code"):
            for kind, of, number in dict.fromkeys(CAPTION.findall(source_of(self.cells[index]))):
                if (int(of), int(number)) != (notebook, last[kind] + 1):
                    expected = f"{kind} {notebook}.{last[kind] + 1}"
                    self.found("numbers", f"{kind} {of}.{number} stands where {expected} is due", index)
                last[kind] = int(number)
                if (kind, of, number) not in named:
                    self.found("numbers", f"no text names {kind} {of}.{number}", index)
            last_statement = (statements(source_of(self.cells[index])) or [""])[-1]
            if not last_statement.endswith(";") and SHOWS.search(last_statement) and not CAPTION.search(last_statement):
                self.found("numbers", "a figure without `.caption(\"Figure …\")`, or a table without `.label`", index)

    def check_bookkeeping(self) -> None:
        for index in self.of_kind("code"):
            if match := BOOKKEEPING.search(code_of(self.cells[index])):
                self.found("bookkeeping", f"`{match[0]}` in a cell", index)

    def is_housekeeping(self, index: int) -> bool:
        said = statements(source_of(self.cells[index]))
        return is_parameters_cell(self.cells[index]) or bool(said) and all(map(HOUSEKEEPING.search, said))

    def check_conclusion(self) -> None:
        if not self.cells or self.cells[-1].get("cell_type") != "markdown":
            self.found("conclusion", "the last cell is not text", -1)
            return
        headings = [index for index in self.of_kind("markdown") if CONCLUSION.search(source_of(self.cells[index]))]
        if not headings:
            self.found("conclusion", "no heading `## Conclusion`", -1)
        elif not any(index > headings[-1] for index in self.of_kind("code")):
            self.found("conclusion", "no cell below the heading prints what was found", headings[-1])


@cache
def tasks() -> dict[int, str]:
    """The tasks of the course, by number."""
    return {int(number): words for number, words in TASK.findall(TASKS.read_text(encoding="utf-8"))}


def lint_file(path: Path) -> list[Finding]:
    """Every broken rule of one notebook."""
    return Lint(path).check()


def fix_file(path: Path) -> bool:
    """Removes outputs, counts, run metadata and injected cells; returns True if the file changed."""
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


def lint_together(folder: Path) -> list[Finding]:
    """The rules for all notebooks of a folder together: see `MOST_LINES` and `MOST_BOOKKEEPING`."""
    read = [one for one in map(Lint, notebooks_in(folder)) if one.read()]
    cells = [(one, index) for one in read for index in one.of_kind("code")]
    sources = [source_of(one.cells[index]) for one, index in cells]
    lines = sum(bool(line.strip()) for source in sources for line in source.splitlines())
    housekeeping = sum(one.is_housekeeping(index) for one, index in cells)
    findings = []
    if lines > MOST_LINES:
        findings.append(Finding(folder, "", "length", f"{lines} lines of code in cells, more than {MOST_LINES}"))
    if housekeeping > MOST_BOOKKEEPING * len(cells):
        message = f"{housekeeping} of {len(cells)} cells set up, load or keep, more than {MOST_BOOKKEEPING:.0%}"
        findings.append(Finding(folder, "", "bookkeeping", message))
    return findings


def notebooks_in(path: Path) -> list[Path]:
    return sorted(path.glob("*.ipynb")) if path.is_dir() else [path]


def lint(paths: list[Path]) -> list[Finding]:
    """Every broken rule of these notebooks, or of the notebooks in these folders."""
    files: list[Path] = []
    findings: list[Finding] = []
    for path in paths:
        inside = notebooks_in(path)
        if not inside:
            findings.append(Finding(path, "", "json", "no notebooks in this folder"))
        if path.is_dir() and len(inside) >= len(tasks()):  # a few of them are not the submission
            findings += lint_together(path)
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
    files = [file for path in options.paths for file in notebooks_in(path)]
    for file in files if options.fix else []:
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
    if any(finding.rule in MARKS_OF_A_RUN for finding in findings):
        print("outputs that JupyterLab has saved are taken out by `cargo xtask clean`", file=sys.stderr)
    errors = sum(not finding.warning for finding in findings)
    print(f"{len(files)} notebooks, {errors} errors, {len(findings) - errors} warnings")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
