"""Displays that are replaced are logged by papermill, too."""

import logging

import nbformat
import papermill_rust.live as live
import pytest
from papermill.engines import NotebookExecutionManager


@pytest.fixture
def logged(caplog):
    """Sends updates of displays to a client; returns what it logs."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("fit()")])
    log = logging.getLogger("papermill")
    manager = NotebookExecutionManager(notebook, progress_bar=False)
    client = live.LiveNotebookClient(manager, log=log, log_output=True)
    client.clear_before_next_output = False  # as for each cell

    def send(display, text, kind="update_display_data"):
        content = {"data": {"text/plain": text}, "metadata": {}, "transient": {"display_id": display}}
        message = {"msg_type": kind, "header": {"msg_type": kind}, "parent_header": {"msg_id": "1"}, "content": content}
        client.process_message(message, notebook.cells[0], 0)
        return notebook.cells[0].outputs[-1].data["text/plain"]

    with caplog.at_level(logging.INFO, logger="papermill"):
        send("bar", "epoch 1/3", "display_data")
        send("record", "epoch 1", "display_data")
        send.lines = lambda: [record.getMessage() for record in caplog.records]
        yield send


def test_each_line_of_a_record_is_logged_once(logged):
    for text in ("epoch 1\nepoch 2", "epoch 1\nepoch 2", "epoch 2\nepoch 3\nepoch 4"):
        assert logged("record", text) == text
    assert logged.lines() == ["epoch 2", "epoch 3\nepoch 4"]


def test_a_bar_is_logged_now_and_then(logged, monkeypatch):
    begun = live.time.monotonic()
    for seconds in (1, 6, 7, 12):
        monkeypatch.setattr(live.time, "monotonic", lambda seconds=seconds: begun + seconds)
        logged("bar", f"epoch 1/3, second {seconds}")
    assert logged.lines() == ["epoch 1/3, second 6", "epoch 1/3, second 12"]


def test_papermill_uses_it():
    import papermill_rust.engine  # noqa: F401

    assert live.engines.PapermillNotebookClient is live.LiveNotebookClient
