"""The folded parts of a page: bookkeeping cells, and the beginning of a long log."""

from __future__ import annotations

import re
from itertools import groupby

import nbformat

# A log with more lines than this only shows its end, where the result is.
LONG, END = 24, 12
# A line of at least three words, none of them aligned by blanks, that ends as a sentence does.
SENTENCE = re.compile(r"\S+( \S+){2,}[.!?]")


def is_bookkeeping(cell: nbformat.NotebookNode) -> bool:
    """True for a cell that only names crates, and for the one that papermill adds."""
    if "injected-parameters" in cell.metadata.get("tags", []):
        return True
    lines = [line.strip() for line in cell.source.splitlines()]
    code = [line for line in lines if line and not line.startswith("//")]
    return bool(code) and all(line.startswith((":dep ", "use ", "extern crate ")) for line in code)


def code_label(cell: nbformat.NotebookNode) -> str:
    """The label above a code cell, folded or not."""
    tags = cell.metadata.get("tags", [])
    if "injected-parameters" in tags:
        return "Parameters given to this run"
    if "parameters" in tags:
        return "Parameters"
    return "Set-up" if is_bookkeeping(cell) else "Code"


def log_parts(text: str) -> tuple[str, str]:
    """The part of a log that is folded, empty if it is short, and the visible part."""
    lines = text.splitlines(keepends=True)
    if len(lines) <= LONG:
        return "", text
    return "".join(lines[:-END]), "".join(lines[-END:])


def printed(text: str) -> list[tuple[bool, str]]:
    """What code printed, in blocks: of sentences (True), which a page sets like its text, and of other lines."""
    lines = text.splitlines(keepends=True)
    return [(said, "".join(block)) for said, block in groupby(lines, lambda line: bool(SENTENCE.fullmatch(line.rstrip())))]
