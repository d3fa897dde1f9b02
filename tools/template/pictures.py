"""Makes pictures of the pages and of JupyterLab, for README and the manual.

    .tools/python/bin/python tools/template/pictures.py export docs/pictures

The submission on a desktop, on a phone, in dark mode and in print, JupyterLab's start page, and a training in it. Needs
Chromium, and the kernel that `cargo xtask setup` installs.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from browser import Browser, Page, find_chromium
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
# Name, width, height, dark, and the medium.
VIEWS = [
    ("desktop", 1280, 860, False, "screen"),
    ("dark", 1280, 860, True, "screen"),
    ("phone", 390, 844, False, "screen"),
    ("print", 794, 1123, False, "print"),
]
# The first sheet of A4: the margins of `@page`, and nothing of what begins on the next one.
FIRST_SHEET = """(() => {
  document.body.style.padding = "16mm 15mm 18mm";
  document.querySelectorAll(".layout, .record").forEach((part) => { part.style.display = "none"; });
})()"""


def picture(page: Page) -> Image.Image:
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        page.screenshot(Path(file.name))
        return Image.open(io.BytesIO(Path(file.name).read_bytes())).convert("RGB")


def save(picture: Image.Image, path: Path) -> None:
    """Saves a picture with few colours: the file has a tenth of the size of Chromium's."""
    picture.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {picture.width} x {picture.height}, {path.stat().st_size / 1000:.0f} kB")


def pages(browser: Browser, export: Path, out: Path) -> None:
    for name, width, height, dark, medium in VIEWS:
        with browser.open(export / "submission.html", width, height, dark) as page:
            if medium == "print":
                page.call("Emulation.setEmulatedMedia", media=medium)
                page.ask(FIRST_SHEET)
            save(picture(page), out / f"{name}.png")


@contextmanager
def lab(browser: Browser, root: Path, path: str, height: int) -> Iterator[Page]:
    """Opens a file in a JupyterLab with its own settings: those of the user are neither read nor changed."""
    with tempfile.TemporaryDirectory() as folder:
        names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
        command += ["--ServerApp.port=0", f"--ServerApp.root_dir={root}", "--LabApp.expose_app_in_browser=True"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        server = subprocess.Popen(command, env=os.environ | dict.fromkeys(names, folder), **quiet)
        try:
            target = browser.call("Target.createTarget", url="about:blank")["targetId"]
            session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            page = Page(browser, target, session, address(Path(folder), path))
            for domain in ("Page", "Runtime"):
                page.call(f"{domain}.enable")
            page.resize(1280, height)
            page.load()
            yield page
        finally:
            server.terminate()
            server.wait(30)


def start_page(browser: Browser, out: Path) -> None:
    with lab(browser, ROOT / "notebooks", "README.md", 800) as page:
        wait_for(page, "!!document.querySelector('.jp-RenderedMarkdown h1') && !document.querySelector('#jupyterlab-splash')")
        time.sleep(1)
        save(picture(page), out / "lab.png")


# The cells in the picture of a training.
CELLS = [
    ':dep helpers = { path = "../helpers" }\nuse helpers::prelude::*;',
    'let dataset = Dataset::load("../data/sample")?;\nlet split = dataset.split(SplitConfig::default())?;',
    "let mut cnn = helpers::architectures::CnnConfig::default().network(dataset.image_shape(), dataset.classes()).build(42)?;",
    "let history = cnn.fit(&split, FitConfig { epochs: 8, ..FitConfig::default() })?;",
    "let labels = split.test.labels();\nlabels[100_000]",
    'println!("not reached");',
]


def training(browser: Browser, out: Path) -> None:
    """A training's first epoch, its chart after five, an error message, and the kernel after a restart, in one
    picture."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    notebook.metadata.kernelspec = {"name": "rust", "display_name": "Rust", "language": "rust"}
    path = ROOT / "target" / "training.ipynb"
    nbformat.write(notebook, path)
    run_all = "void window.jupyterapp.commands.execute('notebook:run-all-cells')"
    with lab(browser, ROOT / "target", path.name, 900) as page:
        wait_for(page, f"document.querySelectorAll('.jp-CodeCell').length === {len(CELLS)}")
        wait_for(page, "document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status === 'idle'")
        page.ask("void window.jupyterapp.commands.execute('application:toggle-left-area')")
        # JupyterLab ignores cells that are run before it has received the kernel's information.
        time.sleep(3)
        states = []
        for words in ("epoch 1/8, step 1", "epoch 5/8, step 1", "index out of bounds", "epoch 1/8, step 1"):
            if len(states) in (0, 3):
                restart = "window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.restart().then(() => 1)"
                page.ask(restart if states else "1")
                page.ask(run_all)
            wait_for(page, f"document.querySelector('.jp-Notebook').innerText.includes({json.dumps(words)})")
            time.sleep(0.5)
            states.append(picture(page).crop((40, 96, 1240, 800)))
    path.unlink()
    (width, height), gap = states[0].size, 16
    whole = Image.new("RGB", (2 * width + gap, 2 * height + gap), (190, 190, 190))
    for index, state in enumerate(states):
        whole.paste(state, (index % 2 * (width + gap), index // 2 * (height + gap)))
    save(whole.resize((whole.width * 2 // 3, whole.height * 2 // 3), Image.Resampling.LANCZOS), out / "training.png")


def wait_for(page: Page, condition: str, seconds: float = 300) -> None:
    until = time.monotonic() + seconds
    while not page.ask(f"!!({condition})"):
        if time.monotonic() > until:
            raise SystemExit(f"JupyterLab does not show what was waited for: {condition}")
        time.sleep(0.2)


def address(folder: Path, path: str) -> str:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for file in folder.glob("jpserver-*.json"):
            try:
                told = json.loads(file.read_text())
                return f"{told['url']}lab/tree/{path}?token={told['token']}"
            except (ValueError, KeyError):
                pass
        time.sleep(0.2)
    raise SystemExit("JupyterLab does not start")


def main(export: str, out: str) -> None:
    Path(out).mkdir(parents=True, exist_ok=True)
    with Browser(find_chromium() or sys.exit("no Chromium found")) as browser:
        pages(browser, Path(export), Path(out))
        start_page(browser, Path(out))
        training(browser, Path(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
