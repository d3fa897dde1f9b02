"""The parser of parameters cells from `tools/papermill_rust`: always the copy in this repository, whether installed or
not."""

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "papermill_rust"))

from papermill_rust.declarations import (  # noqa: E402
    declaration,
    declarations,
    declared_by,
    is_parameters_cell,
    source_of,
    statements,
)

__all__ = ["declaration", "declarations", "declared_by", "is_parameters_cell", "source_of", "statements"]
