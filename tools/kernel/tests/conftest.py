"""A kernel to talk to."""

import signal
import time
from pathlib import Path
from queue import Empty

import pytest
from jupyter_client import KernelManager

NOTEBOOKS = Path(__file__).resolve().parents[3] / "notebooks"
SECONDS = 240


class Session:
    """One kernel, as JupyterLab holds it."""

    def __init__(self):
        self.manager = KernelManager(kernel_name="rust")
        self.manager.start_kernel(cwd=str(NOTEBOOKS))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=False)

    def interrupt(self):
        """As JupyterLab's stop button."""
        self.manager.interrupt_kernel()

    def run(self, code, stop_at=None, last=None):
        """Runs a cell to its end and gives what it printed; interrupts it once ``stop_at`` is printed.

        What a cell prints last may arrive after the kernel said that it is idle; ``last`` is waited for.
        """
        request = self.client.execute(code)
        printed, idle, deadline = "", False, time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if idle and (last is None or last in printed):
                return printed
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except Empty:
                continue
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            printed += content.get("text", "") if message["msg_type"] == "stream" else ""
            if stop_at and stop_at in printed:
                self.interrupt()
                stop_at = None
            idle = idle or content.get("execution_state") == "idle"
        raise AssertionError(f"waited for {last or 'the end of the cell'}; so far it printed:\n{printed}")


@pytest.fixture
def session():
    session = Session()
    yield session
    session.close()


@pytest.fixture
def background_session():
    """One of a Jupyter that a script has started in the background: the shell has it ignore interrupts."""
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        session = Session()
    finally:
        signal.signal(signal.SIGINT, usual)
    yield session
    session.close()
