"""JupyterLab as a reader meets it: its start page, what it offers, and how "Run All Cells" shows what cells do."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest
from conftest import ROOT
from nbformat.v4 import new_code_cell, new_notebook

sys.path.append(str(ROOT / "tools" / "template"))

from browser import Browser, Page, find_chromium  # noqa: E402

KERNEL = {"name": "rust", "display_name": "Rust", "language": "rust"}
CELLS = [
    'println!("first");',
    'println!("step 1"); WAIT println!("step 2");',
    # Allowed to fail: what is behind it runs.
    "let n: Option<i32> = None;\nn.unwrap()",
    'println!("behind it");',
    "let x: Vec<i32> = vec![];\nx[3]",
    'println!("never");',
]
ALLOWED = {2: {"tags": ["raises-exception"]}}


@pytest.fixture
def lab(tmp_path, gate):
    """JupyterLab on a folder of its own: its address."""
    folder, own = tmp_path / "notebooks", tmp_path / "own"
    folder.mkdir()
    cells = [
        new_code_cell(source.replace("WAIT", gate.wait), metadata=ALLOWED.get(index, {})) for index, source in enumerate(CELLS)
    ]
    nb = new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
    nbformat.write(nb, folder / "fails.ipynb")
    variables = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    environment = {**os.environ, **{name: str(own) for name in variables}}
    log = open(tmp_path / "log", "w")
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1",
               "--ServerApp.port=0", f"--ServerApp.root_dir={folder}", "--LabApp.expose_app_in_browser=True"]  # fmt: skip
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield address(own, server, tmp_path / "log")
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
                return told["url"] + "lab/tree/fails.ipynb?token=" + told["token"]
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


def wait_for(page, expression, seconds=240):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if page.ask(expression):
            return
        time.sleep(0.1)
    raise AssertionError(f"{expression}: {page.ask('document.body.innerText')[-3000:]}")


OUTPUTS = "[...document.querySelectorAll('.jp-CodeCell')].map(cell => cell.querySelector('.jp-OutputArea').innerText)"
PROMPTS = "[...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')].map(prompt => prompt.innerText)"


def ask_server(lab, path):
    """The server's answer to a request for this path."""
    site, _, token = lab.partition("lab/tree/fails.ipynb?token=")
    with urllib.request.urlopen(f"{site}{path}?token={token}") as answer:
        return json.load(answer)


def test_the_lab_offers_rust_alone_saves_often_and_shows_no_news(lab):
    assert list(ask_server(lab, "api/kernelspecs")["kernelspecs"]) == ["rust"]

    def default(plugin, name):
        return ask_server(lab, f"lab/api/settings/@jupyterlab/{plugin}")["schema"]["properties"][name]["default"]

    assert default("docmanager-extension:plugin", "autosaveInterval") == 10
    assert default("apputils-extension:notification", "fetchNews") == "false"
    assert default("filebrowser-extension:browser", "showLastModifiedColumn") is False


@pytest.mark.browser
def test_the_start_page_is_shown_with_a_link_to_each_notebook(lab, tmp_path):
    program = find_chromium()
    assert program, "no Chromium or Chrome; `cargo xtask test --no-browser` leaves this out"
    shutil.copy(ROOT / "notebooks" / "README.md", tmp_path / "notebooks")
    with Browser(program) as browser:
        page = open_page(browser, lab.replace("fails.ipynb", "README.md"))
        wait_for(page, "document.querySelectorAll('.jp-RenderedMarkdown table a').length >= 11")
        shown = page.ask("[...document.querySelectorAll('.jp-RenderedMarkdown table a')].map(link => link.innerText)")
    names = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    text = (ROOT / "notebooks" / "README.md").read_text()
    assert len(shown) == len(names)
    assert [name for name in names if f"({name}.ipynb)" not in text] == []


@pytest.mark.browser
def test_run_all_stops_and_shows_output_while_a_cell_runs(lab, gate):
    program = find_chromium()
    assert program, "no Chromium or Chrome; `cargo xtask test --no-browser` leaves this out"
    with Browser(program) as browser:
        page = open_page(browser, lab)
        wait_for(page, f"document.querySelectorAll('.jp-CodeCell').length >= {len(CELLS)}")
        wait_for(page, "document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status === 'idle'")
        # Highlighted as Rust.
        wait_for(page, "document.querySelectorAll('.jp-CodeCell .cm-line span').length > 5")
        page.ask("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        wait_for(page, f"{OUTPUTS}[1].includes('step 1')")
        gate.open()
        wait_for(page, f"{OUTPUTS}[4].includes('index out of bounds')")
        wait_for(page, f"!{PROMPTS}.some(prompt => prompt.includes('*'))")
        outputs, prompts = page.ask(OUTPUTS), page.ask(PROMPTS)
        assert outputs[0].strip() == "first"
        assert "cell [3], line 2, column" in outputs[2] and "None" in outputs[2]
        assert outputs[3].strip() == "behind it"
        assert "cell [5], line 2, column" in outputs[4]
        assert outputs[5].strip() == ""
        assert [bool(re.search(r"\d", prompt)) for prompt in prompts] == [True] * 5 + [False]
