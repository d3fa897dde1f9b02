"""What the server keeps of a cell is what a page would have shown."""

from jupyter_ydoc import YNotebook
from keep_outputs.keeper import Keeper, Request, write_cell


def message(kind, parent="1", **content):
    return {"msg_type": kind, "header": {"msg_type": kind}, "parent_header": {"msg_id": parent}, "content": content}


def shown(text, name=None):
    transient = {"display_id": name} if name else {}
    return {"data": {"text/plain": text}, "metadata": {}, "transient": transient}


def keeper():
    keeper = Keeper("kernel", {}, {}, None)
    keeper.page_came("page")
    keeper.asked("1", "cell", "page")
    return keeper


def texts(request):
    return [output.get("text") or output["data"]["text/plain"] for output in request.outputs]


def test_the_server_writes_once_the_page_has_gone():
    one = keeper()
    one.take(message("stream", name="stdout", text="a\n"))
    assert not one.writes("1")
    one.page_gone("page")
    assert one.writes("1")
    one.take(message("stream", name="stdout", text="b\n"))
    one.take(message("stream", name="stderr", text="c\n"))
    assert texts(one.requests["1"]) == ["a\nb\n", "c\n"]


def test_a_cell_that_another_page_has_asked_for_is_that_pages():
    one = keeper()
    one.asked("2", "other", "second")
    one.page_gone("page")
    assert one.writes("1") and not one.writes("2")
    one.asked("3", "cell", "second")
    assert not one.writes("1") and not one.writes("3")


def test_what_is_replaced_or_cleared_is_so_here():
    one = keeper()
    one.take(message("display_data", **shown("0", "bar")))
    one.take(message("display_data", **shown("kept")))
    one.take(message("update_display_data", parent="later", **shown("1", "bar")))
    assert texts(one.requests["1"]) == ["1", "kept"]
    one.take(message("clear_output", wait=True))
    assert texts(one.requests["1"]) == ["1", "kept"]
    one.take(message("display_data", **shown("fresh")))
    assert texts(one.requests["1"]) == ["fresh"]


def test_a_kernel_that_starts_again_has_ended_its_cells():
    one = keeper()
    one.page_gone("page")
    one.take(message("status", parent="none", execution_state="restarting"))
    assert one.requests["1"].ended is not None


def test_what_was_written_is_forgotten_in_time():
    one = keeper()
    one.take(message("status", execution_state="idle"))
    one.forget()
    assert "1" in one.requests
    one.requests["1"].ended -= 100
    one.forget()
    assert "1" not in one.requests


def test_a_cell_of_the_notebook_is_brought_up_to_date():
    notebook = YNotebook()
    source = {"cell_type": "code", "id": "cell", "source": "1", "metadata": {}, "outputs": [], "execution_count": None}
    notebook.set({"cells": [source], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    request = Request("cell", None)
    for step in ("a\n", "b\n"):
        request.take("stream", message("stream", name="stdout", text=step))
        write_cell(notebook, notebook.ycells[0], request)
    request.take("display_data", message("display_data", **shown("figure")))
    request.count, request.ended = 7, 1.0
    write_cell(notebook, notebook.ycells[0], request)
    (cell,) = notebook.get()["cells"]
    assert cell["execution_count"] == 7
    assert [output["output_type"] for output in cell["outputs"]] == ["stream", "display_data"]
    assert cell["outputs"][0]["text"] == "a\nb\n"
    assert set(cell) == set(source)
