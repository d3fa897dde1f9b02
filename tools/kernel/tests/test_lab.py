"""JupyterLab as a reader sees it: its start page and menus, how "Run All Cells" shows the progress of cells, what a student
does with a notebook, and that closing a page loses no outputs.

Pictures of what the student sees stay in `.tools/run/lab`."""

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
from conftest import ROOT, Gate
from nbformat.v4 import new_code_cell, new_notebook
from test_interrupt import MODEL, SET_UP

sys.path.append(str(ROOT / "tools" / "template"))

from browser import Browser, Page, find_chromium  # noqa: E402

KERNEL = {"name": "rust", "display_name": "Rust", "language": "rust"}
CELLS = [
    'println!("first");',
    'println!("step 1"); WAIT println!("step 2");',
    # This cell may fail: the cells after it are run.
    'let n: Result<i32, &str> = Err("no helpers::data::Dataset");\nn.unwrap()',
    'println!("behind it");',
    "let x: Vec<i32> = vec![];\nx[3]",
    'println!("never");',
]
ALLOWED = {2: {"tags": ["raises-exception"]}}
# Shows a display that is replaced later, between two waits.
LONG = """
fn show(text: &str, update: &str) {
    println!("EVCXR_BEGIN_CONTENT text/plain display_id=bar{update}\\n{text}\\nEVCXR_END_CONTENT");
}
show("a third", "");
println!("begun");
WAIT
show("two thirds", " update");
println!("under way");
WAIT
show("all of it", " update");
println!("ended");
"""


@pytest.fixture
def lab(tmp_path, gate):
    """JupyterLab on its own folder; returns its address."""
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
KERNEL_STATUS = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status"
PROMPTS = "[...document.querySelectorAll('.jp-CodeCell .jp-InputArea-prompt')].map(prompt => prompt.innerText)"


def ask_server(lab, path):
    """The server's response to a request for this path."""
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
    for file in [ROOT / "notebooks" / "README.md", *(ROOT / "notebooks").glob("*.ipynb")]:
        shutil.copy(file, tmp_path / "notebooks")
    with Browser(program) as browser:
        page = open_page(browser, lab.replace("fails.ipynb", "README.md"))
        wait_for(page, "document.querySelectorAll('.jp-RenderedMarkdown table a').length >= 11")
        shown = page.ask("[...document.querySelectorAll('.jp-RenderedMarkdown table a')].map(link => link.innerText)")
        wait_for(page, "document.querySelectorAll('.jp-DirListing-itemText').length >= 12")
        cut = "[...document.querySelectorAll('.jp-DirListing-itemText')].filter(name => name.scrollWidth > name.clientWidth)"
        assert page.ask(f"{cut}.map(name => name.innerText)") == []
        keep_picture(page, "start_page")
    names = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    text = (ROOT / "notebooks" / "README.md").read_text()
    assert len(shown) == len(names)
    assert [name for name in names if f"({name}.ipynb)" not in text] == []


def open_notebook(browser, url, cells):
    page = open_page(browser, url)
    wait_for(page, f"document.querySelectorAll('.jp-CodeCell').length >= {cells}")
    # The page's indicator is idle before there is a kernel; a cell that is run then opens the dialog for choosing a
    # kernel.
    wait_for(page, f"['idle', 'busy'].includes({KERNEL_STATUS})")
    return page


def keep_picture(page, name):
    folder = ROOT / ".tools" / "run" / "lab"
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(folder / f"{name}.png")


NOTEBOOK = "window.jupyterapp.shell.currentWidget.content"
EPOCHS = 20
STUDENT = [
    SET_UP,
    MODEL + "model.summary()",
    "dataset.plot_class_counts()?",
    "let double = 2 * no_such_name;",
    f"""let config = FitConfig {{ epochs: {EPOCHS}, patience: {EPOCHS}, batch_size: 16, ..FitConfig::default() }};
let history = model.fit_with(&split, config, Callbacks::default().backup_and_restore("CHECKPOINT"))?;
println!("{{}} epochs", history.epochs_run());""",
    "model.",
]


class Student:
    """What somebody does in an open notebook, with the cells counted from 0."""

    def __init__(self, page):
        self.page = page
        page.resize(1280, 1600)
        # Keys arrive although another page may be in front.
        page.call("Emulation.setFocusEmulationEnabled", enabled=True)

    def command(self, name):
        self.page.ask(f"void window.jupyterapp.commands.execute('{name}')")

    def run(self, cell):
        self.page.ask(f"void ({NOTEBOOK}.activeCellIndex = {cell})")
        self.command("notebook:run-cell")

    def type(self, cell, source):
        """Replaces a cell's source, and leaves the cursor at its end."""
        self.page.ask(
            f"""(() => {{
              const notebook = {NOTEBOOK}, source = {json.dumps(source)};
              notebook.activeCellIndex = {cell};
              notebook.mode = 'edit';
              notebook.activeCell.model.sharedModel.setSource(source);
              notebook.activeCell.editor.focus();
              notebook.activeCell.editor.setCursorPosition({{ line: 0, column: source.length }});
            }})()"""
        )

    def press(self, key, number, shift=False):
        words = {"key": key, "code": key, "windowsVirtualKeyCode": number, "modifiers": 8 if shift else 0}
        for kind in ("rawKeyDown", "keyUp"):
            self.page.call("Input.dispatchKeyEvent", type=kind, **words)

    def press_tab_until(self, condition, shift=False):
        # Before that, Tab would indent the line.
        wait_for(self.page, "!!document.querySelector('.jp-Notebook .jp-mod-active .jp-mod-completer-enabled')")
        deadline = time.monotonic() + 120
        while not self.page.ask(condition):
            assert time.monotonic() < deadline, self.page.ask("document.body.innerText")[-3000:]
            self.press("Tab", 9, shift)
            until = time.monotonic() + 5
            while time.monotonic() < until and not self.page.ask(condition):
                time.sleep(0.1)

    def wait_for(self, cell, condition):
        """Waits until this holds of a cell's `output`, or of the `text` in it."""
        wait_for(
            self.page,
            f"""(() => {{
              const output = {NOTEBOOK}.widgets[{cell}].outputArea.node, text = output.textContent;
              return {condition};
            }})()""",
        )


@pytest.mark.browser
def test_a_student_sees_mends_trains_stops_and_starts_anew(lab, tmp_path):
    program = find_chromium()
    assert program, "no Chromium or Chrome; `cargo xtask test --no-browser` leaves this out"
    checkpoint = str(tmp_path / "checkpoint.safetensors")
    sources = [source.replace("../", f"{ROOT}/").replace("CHECKPOINT", checkpoint) for source in STUDENT]
    for name, cells in (("student", sources), ("second", ['println!("{}", 6 * 7);'])):
        nb = new_notebook(cells=list(map(new_code_cell, cells)), metadata={"kernelspec": KERNEL})
        nbformat.write(nb, tmp_path / "notebooks" / f"{name}.ipynb")
    with Browser(program) as browser:
        student = Student(page := open_notebook(browser, lab.replace("fails", "student"), len(STUDENT)))
        student.command("notebook:run-all-cells")
        student.wait_for(3, "text.includes('no_such_name')")
        student.wait_for(1, "output.querySelectorAll('table tbody tr').length > 3")
        student.wait_for(2, "output.querySelector('img')?.naturalWidth > 300")
        keep_picture(page, "table_figure_mistake")

        student.type(3, "let double: i32 = 2 * 21;\ndouble")
        student.run(3)
        student.wait_for(3, "text.includes('42') && !text.includes('no_such_name')")

        items = "[...document.querySelectorAll('.jp-Completer-item')].map(item => item.textContent).join()"
        student.type(5, "model.")
        student.press_tab_until(f"{items}.includes('summary')")
        keep_picture(page, "completion")
        student.press("Escape", 27)
        student.type(5, "model.summary")
        student.press_tab_until("document.querySelector('.jp-Tooltip')?.textContent.includes('summary')", shift=True)
        keep_picture(page, "documentation")
        student.command("tooltip:dismiss")
        student.type(5, "model.count_params()")

        student.run(4)
        chart = f"({NOTEBOOK}.widgets[4].outputArea.node.querySelector('.helpers-live svg')?.innerHTML ?? '')"
        wait_for(page, f"{chart} !== ''")
        before = page.ask(chart)
        wait_for(page, f"{chart} !== {json.dumps(before)}")
        student.command("notebook:interrupt-kernel")
        student.wait_for(4, "/goes on after epoch \\d+/.test(text)")
        keep_picture(page, "chart_interrupted")
        student.run(4)
        # Another notebook answers while this one trains; in a workspace of its own, or JupyterLab loads its page twice.
        second = open_notebook(browser, lab.replace("tree/fails", "workspaces/second/tree/second"), 1)
        second.ask("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        wait_for(second, f"{OUTPUTS}[0].trim() === '42'")
        browser.call("Target.closeTarget", targetId=second.target)
        student.wait_for(4, f"text.includes('{EPOCHS} epochs')")

        student.command("notebook:restart-run-all")
        wait_for(page, "!!document.querySelector('.jp-Dialog .jp-mod-accept')")
        page.ask("document.querySelector('.jp-Dialog .jp-mod-accept').click()")
        prompts = f"{PROMPTS}.map(prompt => prompt.replace(/\\D/g, '')).join()"
        wait_for(page, f"{prompts} === '1,2,3,4,5,6' && {KERNEL_STATUS} === 'idle'")
        student.wait_for(4, f"text.includes('{EPOCHS} epochs')")
        keep_picture(page, "run_again")


@pytest.mark.browser
def test_run_all_stops_and_shows_output_while_a_cell_runs(lab, gate):
    program = find_chromium()
    assert program, "no Chromium or Chrome; `cargo xtask test --no-browser` leaves this out"
    with Browser(program) as browser:
        page = open_notebook(browser, lab, len(CELLS))
        # The code is highlighted as Rust.
        wait_for(page, "document.querySelectorAll('.jp-CodeCell .cm-line span').length > 5")
        page.ask("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        wait_for(page, f"{OUTPUTS}[1].includes('step 1')")
        gate.open()
        wait_for(page, f"{OUTPUTS}[4].includes('index out of bounds')")
        # The error arrives before the reply with the cell's number.
        wait_for(page, f"/[0-9]/.test({PROMPTS}[4]) && !{PROMPTS}.some(prompt => prompt.includes('*'))")
        outputs, prompts = page.ask(OUTPUTS), page.ask(PROMPTS)
        assert outputs[0].strip() == "first"
        assert "cell [3], line 2, column" in outputs[2] and "no helpers::data::Dataset" in outputs[2]
        wait_for(page, "!document.querySelector('.jp-OutputArea a')", 10)
        assert outputs[3].strip() == "behind it"
        assert "cell [5], line 2, column" in outputs[4]
        assert outputs[5].strip() == ""
        assert [bool(re.search(r"\d", prompt)) for prompt in prompts] == [True] * 5 + [False]


@pytest.mark.browser
def test_a_closed_page_loses_no_output(lab, tmp_path):
    program = find_chromium()
    assert program, "no Chromium or Chrome; `cargo xtask test --no-browser` leaves this out"
    gates = [Gate(tmp_path), Gate(tmp_path)]
    source = LONG
    for gate in gates:
        source = source.replace("WAIT", gate.wait, 1)
    file = tmp_path / "notebooks" / "long.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(source)], metadata={"kernelspec": KERNEL}), file)
    before = without_outputs(file)
    url = lab.replace("fails.ipynb", "long.ipynb")
    with Browser(program) as browser:
        page = open_notebook(browser, url, 1)
        page.ask("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        wait_for(page, f"{OUTPUTS}[0].includes('begun')")
        browser.call("Target.closeTarget", targetId=page.target)

        # A page that is opened while the cell runs takes it over, and saves its outputs.
        page = open_notebook(browser, url, 1)
        wait_for(page, f"{OUTPUTS}[0].includes('begun') && {PROMPTS}[0].includes('*')")
        gates[0].open()
        wait_for(page, f"{OUTPUTS}[0].includes('under way')")
        assert page.ask(OUTPUTS)[0].split() == "two thirds begun under way".split()
        page.ask("void window.jupyterapp.commands.execute('docmanager:save')")
        wait_for_output(file, "under way")
        assert not page.ask("!!document.querySelector('.jp-Dialog')")
        browser.call("Target.closeTarget", targetId=page.target)

        # The outputs of a cell that ends without a page are in the file, and on a page that is opened later.
        gates[1].open()
        wait_for_output(file, "ended")
        page = open_notebook(browser, url, 1)
        wait_for(page, f"{OUTPUTS}[0].includes('ended')")
        assert page.ask(OUTPUTS)[0].split() == "all of it begun under way ended".split()
        assert [re.sub(r"\D", "", prompt) for prompt in page.ask(PROMPTS)] == ["1"]
    (cell,) = json.loads(file.read_text())["cells"]
    kinds = [(output["output_type"], output.get("text") or output["data"]["text/plain"]) for output in cell["outputs"]]
    assert [(kind, "".join(text).split()) for kind, text in kinds] == [
        ("display_data", "all of it".split()),
        ("stream", "begun under way ended".split()),
    ]
    # The file has new outputs only, and the folder has no new files.
    assert without_outputs(file) == before
    names = {path.name for path in file.parent.iterdir()}
    assert names <= {"fails.ipynb", "long.ipynb", ".ipynb_checkpoints"}, names


def without_outputs(path):
    """A notebook's file without the changes of a run."""
    notebook = json.loads(path.read_text())
    notebook["metadata"].pop("language_info", None)
    for cell in notebook["cells"]:
        cell.update(outputs=[], execution_count=None)
        cell["source"] = "".join(cell["source"])
    return notebook


def wait_for_output(file, text):
    deadline = time.monotonic() + 240
    while text not in str(outputs := json.loads(file.read_text())["cells"][0]["outputs"]):
        assert time.monotonic() < deadline, outputs
        time.sleep(0.2)
