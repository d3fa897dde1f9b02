"""Executed notebooks of papermill: finds and reads them, with the facts about their runs."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import nbformat
from parameters import declared_by

NAME = re.compile(r"^(\d\d)_\w+$")


class ExportError(Exception):
    """What is wrong, where, and what to do."""


@dataclass
class Notebook:
    """One executed notebook, read and converted.

    `parameters` are all parameters, `given` those with a value that was set by papermill. `html` is the content of the
    article, with headings from `h1`; every id in it starts with `prefix`. `refused` lists its outputs that must not be
    on a page.
    """

    name: str
    title: str = ""
    html: str = ""
    sections: list[dict] = field(default_factory=list)
    pictures: int = 0
    parameters: dict[str, str] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    run: dict[str, str] = field(default_factory=dict)
    started: datetime | None = None
    seconds: float | None = None
    failed: bool = False
    warnings: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def prefix(self) -> str:
        return "nb" + self.name[:2]

    @property
    def quick(self) -> bool:
        return self.parameters.get("quick") == "true"

    @property
    def contents(self) -> dict:
        return {"id": self.prefix, "text": self.title, "children": self.sections}


def find_notebooks(folder: Path) -> list[Path]:
    """The notebooks of `folder` named like `06_cnn_training.ipynb`, in order."""
    if not folder.is_dir():
        raise ExportError(f"{folder} is not a folder; `cargo xtask run` makes executed notebooks")
    paths = sorted(path for path in folder.glob("*.ipynb") if NAME.match(path.stem))
    if not paths:
        raise ExportError(
            f"no executed notebooks in {folder} (names like 01_data_loading.ipynb); `cargo xtask run` makes them"
        )
    numbers: dict[str, Path] = {}
    for path in paths:
        other = numbers.setdefault(path.stem[:2], path)
        if other != path:
            raise ExportError(
                f"{other.name} and {path.name} have the same number; keep one of them in {folder}"
            )
    return paths


def read_notebook(path: Path) -> nbformat.NotebookNode:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"{path}: cannot be read: {error}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # missing cell ids, which matter in sources only
            notebook = nbformat.reads(text, as_version=4)
            nbformat.validate(notebook)
    except Exception as error:  # nbformat raises many kinds
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ExportError(f"{path}: not a notebook: {reason}; run this notebook again") from error
    return notebook


def parameters_of(notebook: nbformat.NotebookNode) -> tuple[dict[str, str], dict[str, str]]:
    """Names and values, as text: the defaults in the source, and the values that papermill set."""
    declared = {declaration.name: declaration.text for declaration in declared_by(notebook)}
    given = notebook.metadata.get("papermill", {}).get("parameters", {})
    text = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in given.items()}
    return declared, {name: value for name, value in text.items() if declared.get(name) != value}


def moment(text: str | None) -> datetime | None:
    try:
        when = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=timezone.utc)


def duration(seconds: float) -> str:
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def when(moment: datetime) -> str:
    moment = moment.astimezone(timezone.utc)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def open_notebook(path: Path) -> tuple[nbformat.NotebookNode, Notebook]:
    """A notebook's cells, and the facts that are known before they are converted."""
    source = read_notebook(path)
    declared, given = parameters_of(source)
    notebook = Notebook(name=path.stem, parameters=declared | given, given=given)
    record = source.metadata.get("papermill", {})
    notebook.started = moment(record.get("start_time"))
    notebook.seconds = record.get("duration")
    notebook.failed = bool(record.get("exception")) or any(
        output.output_type == "error" for cell in source.cells for output in cell.get("outputs", [])
    )
    language = source.metadata.get("language_info", {})
    if language.get("version"):
        notebook.run[language.get("name", "language").capitalize()] = str(language["version"])
    if record.get("version"):
        notebook.run["papermill"] = str(record["version"])
    return source, notebook
