"""The folded parts of a page: bookkeeping cells, and the beginning of long logs."""

import pytest
import synthetic
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output


def page_of(exported, *cells):
    return exported(n04_baseline_model=synthetic.notebook([new_markdown_cell("# 4. A title"), *cells]))[
        "04_baseline_model"
    ]


@pytest.mark.parametrize(
    ("source", "tags", "label", "is_open"),
    [
        (':dep helpers = { path = "../helpers" }\n// the crate\n\nuse helpers::prelude::*;', [], "Set-up", False),
        ("let epochs: usize = 50;", ["parameters"], "Parameters", True),
        ("let quick = true;", ["injected-parameters"], "Parameters given to this run", False),
        ("use helpers::prelude::*;\nlet x = 1;", [], "Code", True),
        ("// only a remark", [], "Code", True),
        ("", [], "Code", True),
    ],
)
def test_bookkeeping_cells_are_folded_from_the_start(exported, source, tags, label, is_open):
    cell = new_code_cell(source)
    cell.metadata["tags"] = tags
    block = page_of(exported, cell).select_one("details.code")
    assert block.summary.text.startswith(label)
    assert block.has_attr("open") == is_open
    assert block.select_one("pre").text.strip() == source.strip()


def lines(count: int) -> str:
    return "".join(f"epoch {number}\n" for number in range(1, count + 1))


@pytest.mark.parametrize("kind", ["stdout", "stderr", "value"])
def test_a_long_log_shows_its_last_lines_and_folds_the_rest(exported, kind):
    value = new_output("execute_result", {"text/plain": lines(50)})
    output = value if kind == "value" else new_output("stream", name=kind, text=lines(50))
    block = page_of(exported, new_code_cell("fit()", outputs=[output])).select_one(".output")
    folded, shown = block.details, block.find("pre", recursive=False)
    assert folded.summary.text == "Lines 1 to 38 of 50" and not folded.has_attr("open")
    assert folded.pre.text.splitlines()[-1] == "epoch 38"
    assert shown.text.splitlines() == [f"epoch {number}" for number in range(39, 51)]


def test_a_short_log_is_one_block(exported):
    output = new_output("stream", name="stdout", text=lines(24))
    block = page_of(exported, new_code_cell("fit()", outputs=[output])).select_one(".output")
    assert block.details is None
    assert block.pre.text == lines(24)


def test_an_error_is_never_folded(exported):
    output = new_output("error", ename="Error", evalue="bad", traceback=lines(50).splitlines())
    block = page_of(exported, new_code_cell("fit()?", outputs=[output])).select_one(".output.error")
    assert block.details is None
    assert len(block.pre.text.splitlines()) == 50
