"""Outputs of cells that a page leaves out, reports or refuses."""

from __future__ import annotations

import re
from pathlib import Path

import bs4
import nbformat
from executed import Notebook

# The public types of helpers, whose `Debug` texts begin with their names. If an output is such a text, a table or a
# figure is missing (evcxr did not call `evcxr_display`), or it has no meaning for a reader.
# Within a macro a declaration is indented; the types that `search!` and `halving_search!` make are named in their calls.
DECLARED = re.compile(
    r"^(?: *pub (?:struct|enum)|\w*search! \{\n(?: *///.*\n)*) *(\w+)",
    re.MULTILINE,
)
SOURCES = Path(__file__).parents[2] / "helpers" / "src"
TYPES = sorted(
    {
        name
        for path in SOURCES.rglob("*.rs")
        for name in DECLARED.findall(path.read_text(encoding="utf-8"))
    }
)
# The class of the charts and folded lines that a training or a search showed while it ran (helpers/src/display).
LIVE = "helpers-live"
# Also the first of several in a list or a tuple.
DEBUG = re.compile(rf"(?:Ok\(|Some\(|\[|\()*(?:{'|'.join(TYPES)})(?:\(|:| \{{)")


def prepare(source: nbformat.NotebookNode, notebook: Notebook) -> None:
    """Removes outputs without meaning for a reader, and records those that should not have been shown like this."""
    drop_progress(source)
    drop_repeated_charts(source)
    for number, cell in enumerate(source.cells, start=1):
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if is_shown(out, f"cell {cell.get('id', number)}", notebook)]


def drop_progress(source: nbformat.NotebookNode) -> None:
    """Removes lines of progress, which helpers' `print_progress` begins with an ellipsis."""
    for cell in source.cells:
        for out in cell.get("outputs", []):
            if out.output_type == "stream" and out.name == "stdout":
                lines = out.text.splitlines(keepends=True)
                out.text = "".join(line for line in lines if not line.startswith("… "))
        if "outputs" in cell:
            cell.outputs = [out for out in cell.outputs if out.output_type != "stream" or out.text]


def drop_repeated_charts(source: nbformat.NotebookNode) -> None:
    """Removes the live charts of a training if its cell also shows the finished figure."""
    for cell in source.cells:
        shown = [out.data for out in cell.get("outputs", []) if "text/html" in out.get("data", {})]
        if not any("<figure" in data["text/html"] for data in shown):
            continue
        for data in shown:
            if LIVE in data["text/html"]:
                soup = bs4.BeautifulSoup(data["text/html"], "html.parser")
                for chart in soup.select(f".{LIVE} svg"):
                    chart.decompose()
                data["text/html"] = str(soup)


def is_shown(output: nbformat.NotebookNode, cell: str, notebook: Notebook) -> bool:
    """False for the value `()` of a cell that ends with a loop; other bare values are reported or refused."""
    if "data" not in output or set(output.data) != {"text/plain"}:
        return True
    text = output.data["text/plain"].strip()
    if output.output_type == "execute_result" and text == "()":
        return False
    if DEBUG.match(text):
        notebook.refused.append(
            f"{notebook.name}, {cell}: shows `{text[:60]}` and not the thing itself; end the cell with the variable's name "
            "alone, or with a call that takes it by reference, and with `?` where it can fail, and run the notebook again"
        )
    elif output.output_type == "execute_result":
        notebook.warnings.append(
            f"{notebook.name}: {cell}: `{text[:60]}` is shown as plain text; "
            "end the cell with a value that shows itself (a variable's name, not a call that moves it)"
        )
    return True
