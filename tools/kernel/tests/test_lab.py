"""JupyterLab in a browser: "Run All Cells" stops at the first cell that fails, what a cell shows is there while it runs, and
nothing of it is lost when the page is closed."""

import json
import os
import re
import subprocess
import sys
import time

import nbformat
import pytest
from conftest import ROOT
from nbformat.v4 import new_code_cell, new_notebook

sys.path.append(str(ROOT / "tools" / "template" / "tests"))

from browser import Browser, Page, find_chromium  # noqa: E402

KERNEL = {"name": "rust", "display_name": "Rust", "language": "rust"}
# Shows something that is replaced later, on both sides of a wait.
LONG = """
fn show(text: &str, update: &str) {
    println!("EVCXR_BEGIN_CONTENT text/plain display_id=bar{update}\\n{text}\\nEVCXR_END_CONTENT");
}
show("half of it", "");
println!("begun");
WAIT
show("all of it", " update");
println!("ended");
"""
CELLS = [
    'println!("first");',
    'println!("step 1"); WAIT println!("step 2");',
    "let x: Vec<i32> = vec![];\nx[3]",
    'println!("never");',
]
# Shows something that is replaced later, on both sides of a wait.
LONG = """
fn show(text: &str, update: &str) {
    println!("EVCXR_BEGIN_CONTENT text/plain display_id=bar{update}\\n{text}\\nEVCXR_END_CONTENT");
}
show("half of it", "");
println!("begun");
WAIT
show("all of it", " update");
println!("ended");
"""


@pytest.fixture
def lab(tmp_path, gate):
    """JupyterLab on a folder of its own: the address of a notebook's page."""
    folder, own = tmp_path / "notebooks", tmp_path / "own"
    folder.mkdir()
    for name, sources in (("fails", CELLS), ("expects", CELLS), ("long", [LONG, "40 + 2"])):
        cells = [new_code_cell(source.replace("WAIT", gate.wait)) for source in sources]
        if name == "expects":
            cells[2].metadata["tags"] = ["raises-exception"]
        nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": KERNEL}), folder / f"{name}.ipynb")
    variables = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    environment = {**os.environ, **{name: str(own) for name in variables}}
    log = open(tmp_path / "log", "w")
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
               "--ServerApp.port=0", f"--ServerApp.root_dir={folder}", "--LabApp.expose_app_in_browser=True"]  # fmt: skip
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield address(own, server, tmp_path / "log").format
    finally:
        server.terminate()
        server.wait(60)
        log.close()


def address(own, server, log):
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        for file in own.glob("jpserver-*.json"):
            told = json.loads(file.read_text() or "{}")
            if told.get("port"):
                return told["url"] + "lab/tree/{}.ipynb?token=" + told["token"]
        time.sleep(0.2)
    raise AssertionError(log.read_text())


def open_page(browser, url):
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    page = Page(browser, target, session, url)
    for domain in ("Page", "Runtime"):
        page.call(f"{domain}.enable")
    page.resize(1280, 1000)
    page.load()
    return page


def open_notebook(browser, url, cells):
    page = open_page(browser, url)
    wait_for(page, f"document.querySelectorAll('.jp-CodeCell').length >= {cells}")
    wait_for(page, "['idle', 'busy'].includes(document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status)")
    return page


def wait_for(page, expression, seconds=240):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if page.ask(expression):
            return
        time.sleep(0.1)
    raise AssertionError(f"{expression}: {page.ask('document.body.innerText')[-3000:]}")


OUTPUTS = "[...document.querySelectorAll('.jp-CodeCell')].map(cell => cell.querySelector('.jp-OutputArea').innerText)"
PROMPTS = "[...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')].map(prompt => prompt.innerText)"


@pytest.mark.browser
def test_run_all_stops_and_shows_output_while_a_cell_runs(lab, gate):
    program = find_chromium()
    assert program, "no Chromium or Chrome; `cargo xtask test --no-browser` leaves this out"
    with Browser(program) as browser:
        page = open_notebook(browser, lab("fails"), 4)
        # Highlighted as Rust.
        wait_for(page, "document.querySelectorAll('.jp-CodeCell .cm-line span').length > 5")
        page.ask("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        wait_for(page, f"{OUTPUTS}[1].includes('step 1')")
        gate.open()
        wait_for(page, f"{OUTPUTS}[2].includes('index out of bounds')")
        wait_for(page, f"!{PROMPTS}.some(prompt => prompt.includes('*'))")
        outputs, prompts = page.ask(OUTPUTS), page.ask(PROMPTS)
        assert outputs[0].strip() == "first"
        assert "cell [3], line 2, column" in outputs[2]
        assert outputs[3].strip() == ""
        assert [bool(re.search(r"\d", prompt)) for prompt in prompts] == [True, True, True, False]

        # With the tag `raises-exception` it goes on.
        page = open_notebook(browser, lab("expects"), 4)
        page.ask("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        wait_for(page, f"{OUTPUTS}[3].includes('never')")
        assert "index out of bounds" in page.ask(OUTPUTS)[2]


def without_outputs(path):
    """A notebook's file as it was before it was run."""
    notebook = json.loads(path.read_text())
    notebook["metadata"].pop("language_info", None)
    for cell in notebook["cells"]:
        cell.update(outputs=[], execution_count=None)
    return notebook


@pytest.mark.browser
def test_a_closed_page_loses_no_output(lab, gate, tmp_path):
    program = find_chromium()
    assert program, "no Chromium or Chrome; `cargo xtask test --no-browser` leaves this out"
    file = tmp_path / "notebooks" / "long.ipynb"
    before = without_outputs(file)
    with Browser(program) as browser:
        page = open_notebook(browser, lab("long"), 2)
        page.ask("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        wait_for(page, f"{OUTPUTS}[0].includes('begun')")
        browser.call("Target.closeTarget", targetId=page.target)
        gate.open()
        # The cell goes on, and its end is in the file; the one behind it runs, too.
        wait_for_file(file, ["ended", "all of it", '"42"'])
        page = open_notebook(browser, lab("long"), 2)
        wait_for(page, f"{OUTPUTS}[1].includes('42')")
        first, second = page.ask(OUTPUTS)
        assert first.split() == "all of it begun ended".split() and second.split()[-1] == "42"
        assert [re.sub(r"\D", "", prompt) for prompt in page.ask(PROMPTS)] == ["1", "2"]
    (cell, _) = json.loads(file.read_text())["cells"]
    kinds = [(output["output_type"], output.get("text") or output["data"]["text/plain"]) for output in cell["outputs"]]
    assert [kind for kind, _ in kinds] == ["display_data", "stream"]
    assert "".join(kinds[1][1]) == "begun\nended\n"
    # Nothing but outputs has come to the file, and nothing to its folder.
    assert without_outputs(file) == before
    names = {path.name for path in file.parent.iterdir()}
    assert names <= {"expects.ipynb", "fails.ipynb", "long.ipynb", ".ipynb_checkpoints"}, names


def wait_for_file(file, words):
    deadline = time.monotonic() + 240
    while not all(word in file.read_text() for word in words):
        assert time.monotonic() < deadline, file.read_text()
        time.sleep(0.2)
