"""Pictures of the pages and of the lab, for README and the manual.

    .tools/python/bin/python tools/template/pictures.py export docs/pictures

The submission on a desk, on a phone, in the dark and as it is printed, and the lab's start page. Needs Chromium.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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


def shoot(page: Page, path: Path) -> None:
    """A picture of few colours, a tenth of what Chromium writes."""
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        page.screenshot(Path(file.name))
        picture = Image.open(io.BytesIO(Path(file.name).read_bytes())).convert("RGB")
    picture.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {picture.width} x {picture.height}, {path.stat().st_size / 1000:.0f} kB")


def pages(browser: Browser, export: Path, out: Path) -> None:
    for name, width, height, dark, medium in VIEWS:
        with browser.open(export / "submission.html", width, height, dark) as page:
            if medium == "print":
                page.call("Emulation.setEmulatedMedia", media=medium)
            shoot(page, out / f"{name}.png")


def lab(browser: Browser, out: Path) -> None:
    """The lab as it opens, with settings of its own: nobody's are read or changed."""
    with tempfile.TemporaryDirectory() as folder:
        names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
        command += ["--ServerApp.port=0", f"--ServerApp.root_dir={ROOT / 'notebooks'}"]
        command += ["--LabApp.default_url=/lab/tree/README.md"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        server = subprocess.Popen(command, env=os.environ | dict.fromkeys(names, folder), **quiet)
        try:
            target = browser.call("Target.createTarget", url="about:blank")["targetId"]
            session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            page = Page(browser, target, session, address(Path(folder)))
            for domain in ("Page", "Runtime"):
                page.call(f"{domain}.enable")
            page.resize(1280, 800)
            page.load()
            ready = "!!document.querySelector('.jp-RenderedMarkdown h1') && !document.querySelector('#jupyterlab-splash')"
            while not page.ask(ready):
                time.sleep(0.2)
            time.sleep(1)
            shoot(page, out / "lab.png")
        finally:
            server.terminate()
            server.wait(30)


def address(folder: Path) -> str:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for path in folder.glob("jpserver-*.json"):
            try:
                told = json.loads(path.read_text())
                return f"{told['url']}lab?token={told['token']}"
            except (ValueError, KeyError):
                pass
        time.sleep(0.2)
    raise SystemExit("JupyterLab does not start")


def main(export: str, out: str) -> None:
    Path(out).mkdir(parents=True, exist_ok=True)
    with Browser(find_chromium() or sys.exit("no Chromium found")) as browser:
        pages(browser, Path(export), Path(out))
        lab(browser, Path(out))


if __name__ == "__main__":
    main(*sys.argv[1:])
