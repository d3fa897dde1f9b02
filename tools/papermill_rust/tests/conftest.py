"""Small notebooks, run by papermill's command line in the real kernel."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

PACKAGE = Path(__file__).resolve().parent.parent


def notebook(*cells, parameters=None):
    """A Rust notebook with these code cells; ``parameters`` becomes the first cell, with that tag."""
    nb = new_notebook(
        cells=[new_code_cell(source) for source in cells],
        metadata={"kernelspec": {"name": "rust", "display_name": "Rust", "language": "rust"}},
    )
    if parameters is not None:
        nb.cells.insert(0, new_code_cell(parameters, metadata={"tags": ["parameters"]}))
        nb.cells.insert(0, new_markdown_cell("# 1. A test"))
    return nb


@dataclass
class Run:
    """The results of a call of papermill."""

    status: int
    text: str
    nb: nbformat.NotebookNode | None

    @property
    def code(self):
        """The code cells, without the marks that papermill adds on failure."""
        return [cell for cell in self.nb.cells if cell.cell_type == "code"]

    def stream(self, index, name="stdout"):
        return "".join(output.text for output in self.code[index].outputs if output.get("name") == name)

    def result(self, index):
        """The value that a cell shows. On a slow machine a line before it says how long a crate took to compile."""
        return next(output for output in self.code[index].outputs if output.output_type == "execute_result")

    def errors(self, index):
        return [output for output in self.code[index].outputs if output.output_type == "error"]


class Papermill:
    """Notebooks in ``folder/notebooks``; papermill is called from ``folder`` or from its subfolder ``within``."""

    def __init__(self, folder):
        self.folder = folder
        self.notebooks = folder / "notebooks"
        self.notebooks.mkdir()
        self.output = folder / "out.ipynb"

    def start(self, nb, *arguments, output=None, within="."):
        path = self.notebooks / "source.ipynb"
        nbformat.write(nb, path)
        source = os.path.relpath(path, self.folder / within)
        command = [sys.executable, "-m", "papermill", source, str(output or self.output)]
        paths = [str(PACKAGE), os.environ.get("PYTHONPATH", "")]
        return subprocess.Popen(
            [*command, "--no-progress-bar", *map(str, arguments)],
            cwd=self.folder / within,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, process, output=None):
        text, _ = process.communicate(timeout=240)
        path = output or self.output
        return Run(process.returncode, text, nbformat.read(path, 4) if path.exists() else None)

    def run(self, nb, *arguments, within="."):
        return self.finish(self.start(nb, *arguments, within=within))


@pytest.fixture
def papermill(tmp_path):
    return Papermill(tmp_path)
