"""Which cells the benchmark of response times runs."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import notebook_cells


def test_no_kernel_has_run_the_cells_before_and_their_values_stay_last():
    codes = [":dep helpers = 1\nuse a;", "let x = 1;\nx", "y"]
    one, two = (notebook_cells.unseen(codes, "rust") for _ in range(2))
    assert not set(one) & set(two)
    assert one[0].startswith(codes[0] + "\nlet _ = ")
    assert all(cell.endswith("_u64;\n" + code) for cell, code in zip(one[1:], codes[1:], strict=True))
    (mistake,) = notebook_cells.unseen([notebook_cells.MISTAKES["rust"]], "rust")
    assert mistake.startswith("let mistake: i32 = nowhere;\nlet _ = ")
