"""What a page folds away: bookkeeping cells, and the beginning of a long log."""

from __future__ import annotations

import nbformat

# A log longer than this shows its end, where the result stands.
LONG, END = 24, 12


def is_bookkeeping(cell: nbformat.NotebookNode) -> bool:
    """True for a cell that only names crates, and for the one that papermill puts in."""
    if "injected-parameters" in cell.metadata.get("tags", []):
        return True
    lines = [line.strip() for line in cell.source.splitlines()]
    code = [line for line in lines if line and not line.startswith("//")]
    return bool(code) and all(line.startswith((":dep ", "use ", "extern crate ")) for line in code)


def code_label(cell: nbformat.NotebookNode) -> str:
    """What stands over a code cell, folded or not."""
    tags = cell.metadata.get("tags", [])
    if "injected-parameters" in tags:
        return "Parameters given to this run"
    if "parameters" in tags:
        return "Parameters"
    return "Set-up" if is_bookkeeping(cell) else "Code"


def log_parts(text: str) -> tuple[str, str]:
    """The part of a log that is folded away, empty where it is short, and the part that shows."""
    lines = text.splitlines(keepends=True)
    if len(lines) <= LONG:
        return "", text
    return "".join(lines[:-END]), "".join(lines[-END:])
