"""A kernel for the tests."""

import re
import signal
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from queue import Empty

import pytest
from jupyter_client import KernelManager

ROOT = Path(__file__).resolve().parents[3]
NOTEBOOKS = ROOT / "notebooks"
KERNEL = ROOT / ".tools" / "kernel"
SECONDS = 240


def pytest_configure(config):
    config.addinivalue_line("markers", "browser: opens JupyterLab in headless Chromium; leave out with -m 'not browser'")


def plain(text):
    """Text without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


class Cell:
    """The messages of a cell that was run."""

    def __init__(self, reply, messages):
        self.reply = reply["content"]
        self.metadata = reply["metadata"]
        self.messages = messages
        self.status = self.reply["status"]
        self.name = self.reply.get("ename")
        self.text = self.reply.get("evalue", "")
        self.traceback = plain("\n".join(self.reply.get("traceback", [])))

    def of(self, *kinds):
        return [message["content"] for message in self.messages if message["msg_type"] in kinds]

    def stream(self, name="stdout"):
        return "".join(content["text"] for content in self.of("stream") if content["name"] == name)

    @property
    def shown(self):
        """The plain text of all outputs, values last, without replaced ones."""
        return [content["data"].get("text/plain") for content in self.of("display_data", "execute_result")]

    @property
    def value(self):
        values = self.of("execute_result")
        return values[0]["data"].get("text/plain") if values else None

    def __repr__(self):
        return f"{self.status} {self.name}: {self.text}\n{self.traceback}\n{self.stream()}{self.stream('stderr')}"


class Gate:
    """A cell waits for it until a test opens it, so that the speed of either does not matter."""

    def __init__(self, folder):
        self.path = Path(tempfile.mktemp(dir=folder))
        self.wait = (
            f'while !std::path::Path::new("{self.path}").exists() '
            "{ std::thread::sleep(std::time::Duration::from_millis(10)); }"
        )

    def open(self):
        self.path.touch()


class Session:
    """One kernel, used as JupyterLab uses it."""

    def __init__(self, **options):
        self.manager = KernelManager(kernel_name="rust", **options)
        self.manager.start_kernel(cwd=str(NOTEBOOKS))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=SECONDS)

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=False)

    def interrupt(self):
        """Like JupyterLab's stop button."""
        self.manager.interrupt_kernel()

    def send(self, code, **options):
        """Sends a request to run a cell."""
        return self.client.execute(code, **{"allow_stdin": False, **options})

    def run(self, code, stop_at=None, stop_after=None, answers=(), **options):
        """Runs a cell to its end. Interrupts it when ``stop_at`` is printed, or ``stop_after`` seconds after it was
        sent."""
        return self.finish(self.send(code, allow_stdin=bool(answers), **options), stop_at, stop_after, answers)

    @contextmanager
    def held(self):
        """Requests that are sent in this block wait in the kernel until all of them have arrived."""
        with tempfile.TemporaryDirectory() as folder:
            gate = Gate(folder)
            request = self.send(gate.wait)
            yield
            # Uses the same socket, so when this is answered all earlier requests have arrived, too.
            self.ask("kernel_info_request")
            gate.open()
            self.finish(request)

    def wait_for_text(self, text):
        """Waits until a cell prints this."""
        while text not in str(self.client.get_iopub_msg(timeout=SECONDS)["content"].get("text")):
            pass

    def finish(self, request, stop_at=None, stop_after=None, answers=()):
        """The outcome of a cell that was sent; ``seconds`` is the time it took after an interrupt."""
        messages, idle, answers = [], False, list(answers)
        begun = time.monotonic()
        stopped = None
        while not idle:
            assert time.monotonic() < begun + SECONDS, f"the cell never ends; so far: {messages}"
            if stop_after is not None and time.monotonic() > begun + stop_after:
                self.interrupt()
                stopped, stop_after = time.monotonic(), None
            if answers and self.client.stdin_channel.msg_ready():
                self.client.get_stdin_msg()
                self.client.input(answers.pop(0))
            try:
                message = self.client.get_iopub_msg(timeout=0.02 if stop_after is not None or answers else 0.2)
            except Empty:
                continue
            if message["parent_header"].get("msg_id") != request:
                continue
            messages.append(message)
            if stop_at and stop_at in str(message["content"].get("text", "")):
                self.interrupt()
                stopped, stop_at = time.monotonic(), None
            idle = message["content"].get("execution_state") == "idle"
        cell = Cell(self.reply(request), messages)
        cell.seconds = time.monotonic() - (stopped or begun)
        return cell

    def reply(self, request):
        while True:
            reply = self.client.get_shell_msg(timeout=SECONDS)
            if reply["parent_header"].get("msg_id") == request:
                return reply

    def ask(self, kind, channel="shell", **content):
        """Sends any other request; returns the content of its reply."""
        message = self.client.session.msg(kind, content)
        getattr(self.client, f"{channel}_channel").send(message)
        get = self.client.get_shell_msg if channel == "shell" else self.client.get_control_msg
        while True:
            reply = get(timeout=SECONDS)
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                return reply["content"]

    def is_alive(self, name="kept"):
        """Whether a variable that was set to 41 still exists."""
        return self.run(f"{name} + 1").value == "42"


def folder_of(session):
    """The folder of a session, in which its cells are compiled."""
    (folder,) = KERNEL.glob(f"sessions/{session.manager.provisioner.pid}-*/")
    return folder


@pytest.fixture(scope="module")
def session():
    session = Session()
    yield session
    session.close()


@pytest.fixture
def gate(tmp_path):
    return Gate(tmp_path)


@pytest.fixture
def own_session():
    """For a test after which the kernel cannot be used by others."""
    session = Session()
    yield session
    session.close()


@pytest.fixture
def background_session():
    """A kernel of a Jupyter that a script started in the background, for which the shell sets interrupts to be
    ignored."""
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        session = Session()
    finally:
        signal.signal(signal.SIGINT, usual)
    yield session
    session.close()
