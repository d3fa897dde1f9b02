"""A headless Chromium with pipes for the DevTools protocol: only what is needed to open a page and query it.

Needs no driver program, no port and no package. Start at `Browser`.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"]
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
FLAGS = [
    "--headless", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--no-first-run", "--no-default-browser-check", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--mute-audio",
    "--remote-debugging-pipe",
]  # fmt: skip
# Chromium reads commands from file descriptor 3 and writes the answers to 4.
LAUNCH = """
import fcntl, os, sys
reader, writer = (fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3])
os.dup2(reader, 3); os.dup2(writer, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class BrowserError(Exception):
    """Chromium did not start, has ended, or refused a command."""


def find_chromium() -> str | None:
    """The browser in the variable CHROMIUM, or else the first one on the path."""
    named = os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    return next((path for path in map(shutil.which, NAMES) if path), None) or (
        MAC if os.path.exists(MAC) else None
    )


class Browser:
    """One Chromium with its own profile, both removed at the end of the `with` block."""

    def __init__(self, program: str):
        self.program = program
        self.number = 0
        self.events: list[dict] = []
        self.buffer = b""

    def __enter__(self) -> Browser:
        self.profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        self.log = open(Path(self.profile.name) / "log", "wb")
        command_out, self.commands = os.pipe()
        self.answers, answers_in = os.pipe()
        root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, str(command_out), str(answers_in), self.program, *FLAGS, *root,
             f"--user-data-dir={self.profile.name}/profile", "about:blank"],
            pass_fds=(command_out, answers_in), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
        )  # fmt: skip
        os.close(command_out)
        os.close(answers_in)
        return self

    def __exit__(self, *_) -> None:
        try:
            self.call("Browser.close", seconds=5)
        except BrowserError:
            pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.commands)
        os.close(self.answers)
        self.log.close()
        self.profile.cleanup()

    def call(self, method: str, session: str | None = None, seconds: float = 60, **parameters) -> dict:
        """Sends one command and returns its result; events that arrive before it are added to `events`."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        try:
            data = json.dumps(message).encode() + b"\0"
            while data:
                data = data[os.write(self.commands, data) :]
        except OSError as error:
            raise self.gone(method) from error
        until = time.monotonic() + seconds
        while True:
            answer = self.receive(until, method)
            if answer.get("id") != self.number:
                continue
            if "error" in answer:
                raise BrowserError(f"{method}: {answer['error'].get('message')}")
            return answer.get("result", {})

    def receive(self, until: float, what: str) -> dict:
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.answers], [], [], max(0, until - time.monotonic()))
            if not ready:
                raise BrowserError(f"no answer to {what}")
            data = os.read(self.answers, 1 << 16)
            if not data:
                raise self.gone(what)
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\0")
        message = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message

    def gone(self, what: str) -> BrowserError:
        self.log.flush()
        last = Path(self.log.name).read_text(errors="replace").strip().splitlines()[-3:]
        return BrowserError(f"{self.program} ended during {what}: {' / '.join(last)}")

    def open(self, path: Path, width: int = 1280, height: int = 900, dark: bool = False) -> Page:
        """Opens this file in a new tab, and waits until it is loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, target, session, path.resolve().as_uri())
        for domain in ("Page", "Network", "Runtime", "Log"):
            page.call(f"{domain}.enable")
        page.resize(width, height)
        page.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )
        page.load()
        return page


class Page:
    """One tab. `requests`, `complaints` and `dialogs` record what happened in it."""

    def __init__(self, browser: Browser, target: str, session: str, address: str):
        self.browser, self.target, self.session, self.address = browser, target, session, address

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_) -> None:
        self.browser.call("Target.closeTarget", targetId=self.target)

    def call(self, method: str, **parameters) -> dict:
        return self.browser.call(method, self.session, **parameters)

    def events(self, method: str) -> list[dict]:
        return [
            event["params"]
            for event in self.browser.events
            if event.get("sessionId") == self.session and event["method"] == method
        ]

    def load(self) -> None:
        answer = self.call("Page.navigate", url=self.address)
        if answer.get("errorText"):
            raise BrowserError(f"{self.address}: {answer['errorText']}")
        until = time.monotonic() + 60
        while not self.events("Page.loadEventFired"):
            self.browser.receive(until, "the page's load event")
        # Waits for two frames and a short time, so that late requests and errors are recorded.
        self.ask(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 150))))"
        )

    def resize(self, width: int, height: int = 900) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def ask(self, expression: str):
        """The value of a JavaScript expression in the page, promises awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserError(
                answer["exceptionDetails"].get("exception", {}).get("description", "JavaScript failed")
            )
        return answer["result"].get("value")

    @property
    def requests(self) -> list[str]:
        """The requests for anything except the file itself and data inside it."""
        urls = [event["request"]["url"] for event in self.events("Network.requestWillBeSent")]
        return [url for url in urls if not url.startswith("data:") and url.split("#")[0] != self.address]

    @property
    def complaints(self) -> list[str]:
        """Loads that failed, errors and warnings of the console, exceptions."""
        found = [
            f"failed to load: {event.get('errorText')}" for event in self.events("Network.loadingFailed")
        ]
        found += [
            f"{event['entry']['level']}: {event['entry']['text']}"
            for event in self.events("Log.entryAdded")
            if event["entry"]["level"] in ("error", "warning")
        ]
        found += [
            f"exception: {event['exceptionDetails'].get('text')}"
            for event in self.events("Runtime.exceptionThrown")
        ]
        found += [
            f"console.{event['type']}"
            for event in self.events("Runtime.consoleAPICalled")
            if event["type"] in ("error", "warning", "assert")
        ]
        return found

    @property
    def dialogs(self) -> list[str]:
        return [event["message"] for event in self.events("Page.javascriptDialogOpening")]

    def screenshot(self, path: Path, whole: bool = False) -> None:
        import base64

        answer = self.call(
            "Page.captureScreenshot",
            format="png",
            captureBeyondViewport=whole,
            **({"clip": self.area()} if whole else {}),
        )
        path.write_bytes(base64.b64decode(answer["data"]))

    def area(self) -> dict:
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        return {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
