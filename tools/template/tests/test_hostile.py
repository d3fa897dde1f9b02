"""helpers' outputs for hostile class names, file names and errors, in a notebook and in pages in a browser.

`helpers/tests/hostile_names.rs` reads `hostile_outputs.json` from the display protocol, as the kernel does.
"""

import json
from pathlib import Path

import export
import pytest
import synthetic
from browser import Browser, find_chromium
from nbconvert.exporters import HTMLExporter
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from test_browser import problems

SHOWN = json.loads((Path(__file__).parent / "hostile_outputs.json").read_text(encoding="utf-8"))


def notebook():
    """An executed notebook with all these outputs; it ends with an error, as papermill writes it."""
    cells = [new_markdown_cell("# 2. Names of classes\n\nNothing here may run."), synthetic.parameters()]
    for output in SHOWN["outputs"]:
        cells.append(new_code_cell("value", outputs=[new_output("execute_result", output, execution_count=1)]))
    for error in SHOWN["errors"]:
        outputs = [new_output("stream", name=name, text=error + "\n") for name in ("stdout", "stderr")]
        outputs.append(new_output("error", ename="Error", evalue=error, traceback=["Error: " + error]))
        cells.append(new_code_cell("load()?", outputs=outputs))
    return synthetic.notebook(cells)


@pytest.fixture(scope="module")
def hostile_pages(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    synthetic.write_all(folder, {"02_data_visualization": notebook()})
    export.export(folder, folder)
    return folder


def test_there_is_something_hostile_in_it():
    text = json.dumps(SHOWN)
    for words in ("window.hostile", "&lt;script&gt;", "javascript:", "onerror", "EVCXR-END", "{{ 7 * 7 }}"):
        assert words in text


def test_helpers_leaves_the_exporter_nothing_to_take_out(hostile_pages, tmp_path):
    notes = [note for book in export.export(hostile_pages, tmp_path) for note in book.warnings]
    assert [note for note in notes if "took" in note] == []


@pytest.mark.browser
def test_nothing_runs_in_the_pages_and_names_are_shown_as_they_are(hostile_pages):
    program = find_chromium()
    assert program, "no Chromium or Chrome found; `cargo xtask test` says what to do"
    with Browser(program) as browser:
        for name in ("02_data_visualization.html", "submission.html"):
            with browser.open(hostile_pages / name) as page:
                assert problems(page) == [], name
                text = page.ask("document.querySelector('main').textContent")
                assert "<script>window.hostile = 'script'</script>" in text
                assert "{{ 7 * 7 }}{% raw %}" in text
                assert page.ask("document.querySelectorAll('main a[href]').length") == 0


@pytest.mark.browser
def test_nothing_runs_in_the_notebook_shown_without_our_policy(hostile_pages, tmp_path):
    """JupyterLab and plain nbconvert show a trusted notebook's HTML unchanged: helpers' escaping must be sufficient."""
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook())
    page_file = tmp_path / "plain.html"
    page_file.write_text(f"<!doctype html><meta charset='utf-8'><title>plain</title>{body}", encoding="utf-8")
    with Browser(find_chromium()) as browser, browser.open(page_file) as page:
        assert page.ask("window.hostile === undefined")
        assert page.requests == []
        assert page.dialogs == []
        # The test detects a name that is not escaped.
        broken = page_file.read_text().replace("&lt;script&gt;window.hostile", "<script>window.hostile", 1)
        (tmp_path / "broken.html").write_text(broken.replace("&lt;/script&gt;", "</script>"))
    with Browser(find_chromium()) as browser, browser.open(tmp_path / "broken.html") as page:
        assert page.ask("window.hostile !== undefined")
