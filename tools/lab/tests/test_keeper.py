"""The outputs that the server keeps for a cell are the same as a page would have shown."""

import asyncio
import logging

import pytest
from keep_outputs import keeper as module
from keep_outputs.keeper import Keeper


def message(kind, parent="1", **content):
    message.count += 1
    header = {"msg_type": kind, "msg_id": str(message.count)}
    return {"msg_type": kind, "header": header, "parent_header": {"msg_id": parent}, "content": content}


message.count = 0


def text(words, **names):
    return message("stream", **{"name": "stdout", "text": words} | names)


def shown(words, name=None, kind="display_data", parent="1"):
    transient = {"display_id": name} if name else {}
    return message(kind, parent, data={"text/plain": words}, metadata={}, transient=transient)


IDLE = {"execution_state": "idle"}


class Files:
    """A folder with one notebook, with the interface of the server's files."""

    def __init__(self):
        cells = [{"id": id, "cell_type": "code", "source": id, "metadata": {}, "outputs": [], "execution_count": None} for id in "ab"]
        self.cells, self.saves = cells, 0

    def get(self, path, type):
        assert (path, type) == ("some.ipynb", "notebook")
        return {"type": "notebook", "format": "json", "content": {"cells": [{**cell} for cell in self.cells]}, "path": path}

    def save(self, model, path):
        self.cells, self.saves = model["content"]["cells"], self.saves + 1

    async def get_session(self, kernel_id):
        return {"path": "some.ipynb"}


@pytest.fixture
def files(monkeypatch):
    monkeypatch.setattr(module, "GRACE", 0.2)
    return Files()


def run(files, steps):
    """A page requests cell `a`; then `steps` is called with the keeper, and the keeper has time to write."""

    async def go():
        keeper = Keeper("kernel", {"session_manager": files, "contents_manager": files}, logging.getLogger())
        keeper.asked("1", "a", "page")
        keeper.take(message("execute_input", execution_count=7))
        result = await steps(keeper)
        await asyncio.sleep(0.7)
        return result

    return asyncio.run(go())


def texts(cell):
    return [output.get("text") or output["data"]["text/plain"] for output in cell["outputs"]]


def test_what_ends_when_its_page_has_gone_is_in_the_file(files):
    async def steps(keeper):
        keeper.take(text("a\n"))
        keeper.page_gone("page")
        await asyncio.sleep(0.5)
        keeper.take(text("b\n"))
        keeper.take(text("c\n", name="stderr"))
        assert files.saves == 0
        keeper.take(message("status", **IDLE))

    run(files, steps)
    assert texts(files.cells[0]) == ["a\nb\n", "c\n"]
    assert files.cells[0]["execution_count"] == 7
    assert (files.cells[1]["outputs"], files.saves) == ([], 1)


def test_what_a_page_has_asked_for_is_written_by_that_page(files):
    async def steps(keeper):
        keeper.asked("2", "b", "second")
        keeper.take(text("a\n"))
        keeper.page_gone("third")
        keeper.take(message("status", **IDLE))
        keeper.take(message("status", "2", **IDLE))

    run(files, steps)
    assert files.saves == 0


def test_a_page_that_is_back_in_time_writes_by_itself(files):
    async def steps(keeper):
        keeper.page_gone("page")
        keeper.take(text("a\n"))
        keeper.take(message("status", **IDLE))
        keeper.page_came("page")

    run(files, steps)
    assert files.saves == 0


def test_a_page_that_is_opened_takes_the_cell_over(files):
    async def steps(keeper):
        keeper.take(text("a\n"))
        keeper.take(shown("0", "bar"))
        keeper.page_gone("page")
        await asyncio.sleep(0.5)
        keeper.take(text("b\n"))
        last = shown("1", "bar", kind="update_display_data")
        keeper.take(last)
        (request,) = keeper.take_over("second")
        assert keeper.take_over("third") == []
        keeper.take(message("status", **IDLE))
        return request, last

    request, last = run(files, steps)
    assert files.saves == 0
    assert {name: request[name] for name in ("id", "cell", "count", "saved")} == {"id": "1", "cell": "a", "count": 7, "saved": False}
    assert request["last"] == last["header"]["msg_id"]
    kinds = [(each["header"]["msg_type"], each["content"].get("transient")) for each in request["messages"]]
    assert kinds == [("stream", {}), ("display_data", {"display_id": "bar"}), ("stream", {})]
    assert request["messages"][1]["content"]["data"] == {"text/plain": "1"}


def test_what_was_just_written_is_told_so(files):
    async def steps(keeper):
        keeper.page_gone("page")
        await asyncio.sleep(0.5)
        keeper.take(message("status", **IDLE))
        (request,) = keeper.take_over("second")
        return request

    request = run(files, steps)
    assert request["saved"] and request["messages"][-1]["content"] == IDLE


def test_what_is_replaced_or_cleared_is_so_in_the_file(files):
    async def steps(keeper):
        keeper.take(shown("0", "bar"))
        keeper.take(message("clear_output", wait=True))
        keeper.take(shown("0", "bar"))
        keeper.take(shown("kept"))
        keeper.take(shown("1", "bar", kind="update_display_data", parent="another"))
        keeper.page_gone("page")
        keeper.take(message("status", **IDLE))

    run(files, steps)
    assert texts(files.cells[0]) == ["1", "kept"]


def test_a_kernel_that_starts_again_has_ended_its_cells(files):
    async def steps(keeper):
        keeper.take(text("a\n"))
        keeper.page_gone("page")
        await asyncio.sleep(0.5)
        keeper.take(message("status", parent="none", execution_state="restarting"))

    run(files, steps)
    assert texts(files.cells[0]) == ["a\n"]


def test_a_cell_that_was_run_again_is_not_overwritten(files):
    async def steps(keeper):
        keeper.take(text("old\n"))
        keeper.page_gone("page")
        keeper.take(message("status", **IDLE))
        keeper.asked("2", "a", "second")

    run(files, steps)
    assert files.saves == 0
