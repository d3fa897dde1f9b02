"""The kernel that is kept ready: who gets it, and that it is a kernel like any other."""

import os
import time

import pytest
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpecManager
from papermill_rust import ready

SECONDS = 300


# Without what pytest says of the test that runs: it is another one for the fixture.
ENVIRONMENT = {name: text for name, text in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


@pytest.fixture
def waiting(monkeypatch):
    """A kernel that waits for a notebook of the current folder; no other one follows it."""
    waiting = ready.Waiting()
    monkeypatch.setattr(ready, "waiting", waiting)
    monkeypatch.setattr(ready, "PAUSE", 10 * SECONDS)
    monkeypatch.setattr(ready, "LEAST_MEMORY", 0)
    start(waiting)
    yield waiting
    if waiting.kernel is not None:
        waiting.kernel.end()


def start(waiting):
    specification = KernelSpecManager().get_kernel_spec("rust")
    waiting.start(specification.argv, os.getcwd(), {**ENVIRONMENT, **specification.env})


def pid_of_waiting(waiting):
    assert waiting.answers.wait(SECONDS)
    return waiting.kernel.process.pid


def shown_by(client, code):
    """What a cell shows as plain text, and what it writes."""
    shown = []

    def note(message):
        content = message["content"]
        assert message["msg_type"] != "error", content
        shown.append(content.get("data", {}).get("text/plain", "") + content.get("text", ""))

    client.wait_for_ready(timeout=SECONDS)
    client.execute_interactive(code, timeout=SECONDS, output_hook=note)
    return "".join(shown).strip()


def test_a_notebook_gets_the_kernel_that_waits_whenever_it_is_started(waiting):
    waits = pid_of_waiting(waiting)
    manager = KernelManager(kernel_name="rust")
    manager.start_kernel(cwd=os.getcwd(), env=ENVIRONMENT)
    client = manager.client()
    client.start_channels()
    try:
        assert manager.provisioner.pid == waits
        assert waiting.kernel is None
        assert shown_by(client, "let first: usize = 20;\nfirst + 1") == "21"
        # It has forgotten what it looked at: neither names nor variables are left.
        assert shown_by(client, ":vars") == "first: usize"
        assert shown_by(client, "struct Dataset;\nstd::mem::size_of::<Dataset>()") == "0"
        told = manager.get_connection_info()

        # Twice: the second time what takes the first one's place ends, too.
        for answer in ("42", "43"):
            start(waiting)
            waits = pid_of_waiting(waiting)
            manager.restart_kernel(now=True)
            assert manager.provisioner.pid == waits
            assert manager.get_connection_info() == told
            # Those who talked to the kernel before need know of nothing.
            assert shown_by(client, f"{answer} + 0") == answer
            assert shown_by(client, ":vars") == ""

        # None waits: one is started, and is found at the same ports.
        manager.restart_kernel(now=True)
        assert manager.get_connection_info() == told
        assert shown_by(client, "6 * 7") == "42"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert not os.path.exists(manager.connection_file)


def test_one_that_was_started_when_asked_for_is_replaced_when_restarted(waiting):
    waiting_process(waiting)
    with waiting.lock:
        kept, waiting.kernel = waiting.kernel, None
    manager = KernelManager(kernel_name="rust")
    manager.start_kernel(cwd=os.getcwd(), env=ENVIRONMENT)
    client = manager.client()
    client.start_channels()
    try:
        assert manager.provisioner.pid != kept.process.pid
        assert shown_by(client, "6 * 7") == "42"
        waiting.kernel = kept
        manager.restart_kernel(now=True)
        assert manager.provisioner.pid == kept.process.pid
        assert shown_by(client, "6 * 8") == "48"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_kernel_with_a_key_of_its_own_is_started_anew(waiting):
    waits = waiting_process(waiting)
    manager = KernelManager(kernel_name="rust")
    # As a program does that tells others of its kernel before it starts it.
    manager.write_connection_file()
    key = manager.session.key
    try:
        with waiting.lock:
            kept, waiting.kernel = waiting.kernel, None
        manager.start_kernel(cwd=os.getcwd(), env=ENVIRONMENT)
        waiting.kernel = kept
        manager.restart_kernel(now=True)
        assert manager.session.key == key
        assert manager.provisioner.pid != waits.pid
        assert waiting.kernel is kept
    finally:
        manager.shutdown_kernel(now=True)


def test_a_kernel_that_is_to_have_other_ports_is_started_anew(waiting):
    waiting_process(waiting)
    manager = KernelManager(kernel_name="rust")
    manager.start_kernel(cwd=os.getcwd(), env=ENVIRONMENT)
    try:
        ports = manager.ports
        start(waiting)
        waits = waiting_process(waiting)
        manager.restart_kernel(now=True, newports=True)
        assert manager.provisioner.pid != waits.pid
        assert not set(ports) & set(manager.ports)
    finally:
        manager.shutdown_kernel(now=True)


def test_a_kernel_for_another_folder_is_not_handed_out(waiting, tmp_path):
    waits = waiting_process(waiting)
    manager = KernelManager(kernel_name="rust")
    manager.start_kernel(cwd=str(tmp_path), env=ENVIRONMENT)
    try:
        assert manager.provisioner.pid != waits.pid
        assert waits.poll() is not None
    finally:
        manager.shutdown_kernel(now=True)


def test_one_that_died_is_not_handed_out(waiting):
    waits = waiting_process(waiting)
    waits.kill()
    waits.wait()
    manager = KernelManager(kernel_name="rust")
    manager.start_kernel(cwd=os.getcwd(), env=ENVIRONMENT)
    try:
        assert manager.provisioner.has_process
        assert manager.provisioner.pid != waits.pid
    finally:
        manager.shutdown_kernel(now=True)


def waiting_process(waiting):
    """The process that waits, ready or not."""
    until = time.monotonic() + SECONDS
    while waiting.kernel is None:
        assert time.monotonic() < until
        time.sleep(0.05)
    return waiting.kernel.process


@pytest.mark.parametrize(
    ("name", "value", "alike"),
    [("JPY_SESSION_NAME", "a.ipynb", True), ("OMP_NUM_THREADS", "1", False), ("PATH", "/elsewhere", False)],
)
def test_kernels_stand_in_for_each_other_if_started_alike(name, value, alike):
    made = ready.made_in_one_way(["kernel"], ".", {"PATH": "/bin"})
    other = ready.made_in_one_way(["kernel"], os.getcwd(), {"PATH": "/bin", name: value})
    assert (made == other) == alike


def test_it_is_not_started_where_memory_is_short(monkeypatch):
    monkeypatch.setattr(ready, "available_memory", lambda: ready.LEAST_MEMORY - 1)
    waiting = ready.Waiting()
    waiting.start(["nothing-of-this-name"], ".", {})
    time.sleep(0.5)
    assert waiting.kernel is None
