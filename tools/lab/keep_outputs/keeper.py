"""Keeps a kernel's output for the cells that pages have requested."""

import asyncio
import time

from jupyter_client.session import Session
from jupyter_core.utils import ensure_async
from nbformat.v4 import output_from_msg
from tornado.web import HTTPError

OUTPUTS = {"stream", "display_data", "execute_result", "error", "clear_output"}
# Seconds. A page that is reloaded is back in three, and one whose connection broke tries again after 0, 1, 3 and 7. A
# page saves its notebook every ten seconds, so the output of a cell that ended shortly before the page was closed may
# not be in the file.
GRACE = 10


class Request:
    """A cell that was requested, and its outputs."""

    def __init__(self, id, cell, page):
        self.id, self.cell, self.page = id, cell, page
        self.outputs, self.names = [], []
        self.clears = False
        self.count = None
        # The last message that was processed.
        self.last = None
        # The times at which the cell ended, its page was closed, and the file was written; none before that.
        self.ended = self.left = self.saved = None

    def take(self, message):
        """Processes a message about this request."""
        kind, content = message["msg_type"], message["content"]
        self.last = message["header"]["msg_id"]
        if kind == "execute_input":
            self.count = content["execution_count"]
        elif kind == "status" and content["execution_state"] == "idle":
            self.end()
        elif kind == "clear_output" and content.get("wait"):
            self.clears = True
        elif kind == "clear_output":
            self.clear()
        elif kind in OUTPUTS:
            self.add(message)

    def add(self, message):
        if self.clears:
            self.clear()
        output = output_from_msg(message)
        last = self.outputs[-1] if self.outputs else {}
        if output["output_type"] == last.get("output_type") == "stream" and output["name"] == last["name"]:
            last["text"] += output["text"]
        else:
            self.outputs.append(output)
            self.names.append(message["content"].get("transient", {}).get("display_id"))

    def replace(self, name, content):
        """Replaces the content of a display."""
        for output, other in zip(self.outputs, self.names):
            if other == name:
                output.update(data=content["data"], metadata=content["metadata"])

    def clear(self):
        self.outputs, self.names, self.clears = [], [], False

    def end(self):
        self.ended = self.ended or time.monotonic()

    def messages(self):
        """The shortest list of messages with the same outputs."""
        for output, name in zip(self.outputs, self.names):
            content = {key: value for key, value in output.items() if key != "output_type"}
            yield self.message(output["output_type"], {**content, "transient": {"display_id": name} if name else {}})
        if self.ended:
            yield self.message("status", {"execution_state": "idle"})

    def message(self, kind, content):
        return {"header": {"msg_type": kind}, "parent_header": {"msg_id": self.id}, "content": content}


class Keeper:
    """Listens to one kernel, and keeps the outputs of closed pages' cells."""

    all: dict = {}

    @classmethod
    def of(cls, id, kernels, settings, log):
        """The keeper of this kernel."""
        if id not in cls.all:
            for gone in [other for other in cls.all if other not in kernels]:
                cls.all.pop(gone).stream.close()
            keeper = cls.all[id] = cls(id, settings, log)
            kernel = kernels.get_kernel(id)
            # A session refuses a message whose signature it has already seen, and the kernel's own session reads the
            # same messages.
            session = Session(config=kernel.session.config, key=kernel.session.key)
            keeper.stream = kernel.connect_iopub()
            keeper.stream.on_recv(lambda parts: keeper.take(session.deserialize(session.feed_identities(parts)[1])))
        return cls.all[id]

    def __init__(self, id, settings, log):
        self.id, self.settings, self.log = id, settings, log
        self.requests: dict[str, Request] = {}
        self.lock = asyncio.Lock()

    def asked(self, id, cell, page):
        """A page has requested a cell."""
        # The outputs of an earlier run of the same cell are no longer needed.
        self.requests = {name: other for name, other in self.requests.items() if other.cell != cell and not self.is_past(other)}
        self.requests[id] = Request(id, cell, page)

    def is_past(self, request):
        """Whether no page will need this request again."""
        since = request.saved if request.left else request.ended
        return since is not None and time.monotonic() - since > GRACE

    def page_came(self, page):
        """A page was connected, for the first time or again."""
        for request in self.requests.values():
            if request.page == page:
                request.left = None

    def page_gone(self, page):
        """A page was closed: the server keeps the outputs of its cells from now on."""
        for request in self.requests.values():
            if request.page == page and not self.is_past(request):
                request.left = time.monotonic()
                asyncio.get_running_loop().call_later(GRACE + 0.1, self.settle, request)

    def take_over(self, page):
        """The cells of closed pages, which now belong to the page that asks."""
        requests = [request for request in self.requests.values() if request.left and not self.is_past(request)]
        for request in requests:
            request.page, request.left = page, None
        names = ("id", "cell", "count", "last")
        return [
            {name: getattr(request, name) for name in names}
            | {"saved": bool(request.saved), "messages": list(request.messages())}
            for request in requests
        ]

    def take(self, message):
        """Processes a message of the kernel."""
        kind, content = message["msg_type"], message["content"]
        request = self.requests.get(message["parent_header"].get("msg_id"))
        if kind == "update_display_data":
            for other in self.requests.values():
                other.replace(content.get("transient", {}).get("display_id"), content)
        ended = [request] if request else []
        if kind == "status" and content["execution_state"] in ("starting", "restarting"):
            # Cells that were running ended with the previous kernel.
            ended = list(self.requests.values())
            for other in ended:
                other.end()
        if request:
            request.take(message)
        for other in ended:
            self.settle(other)

    def settle(self, request):
        """Writes a cell into the file if it has ended, its page does not come back, and it was not run again."""
        is_due = request.ended and request.left and time.monotonic() - request.left >= GRACE
        if is_due and not request.saved and self.requests.get(request.id) is request:
            request.saved = time.monotonic()
            # The event loop has only a weak reference to a task, so it could be garbage-collected.
            self.writing = asyncio.ensure_future(self.write(request))

    async def write(self, request):
        """Writes the cell's outputs into the notebook's file."""
        try:
            # Without the lock two writes at once could lose one of the cells.
            async with self.lock:
                path = (await self.settings["session_manager"].get_session(kernel_id=self.id))["path"]
                files = self.settings["contents_manager"]
                model = await ensure_async(files.get(path, type="notebook"))
                if write_cell(model["content"], request):
                    await ensure_async(files.save({key: model[key] for key in ("type", "format", "content")}, path))
        except HTTPError as error:
            self.log.warning("keep_outputs: the outputs of a cell are lost, since its notebook cannot be written: %s", error)


def write_cell(notebook, request):
    """Updates a cell of the notebook; returns whether that changes anything."""
    for cell in notebook["cells"]:
        if cell.get("id") == request.cell and cell["cell_type"] == "code":
            new = {"outputs": request.outputs, "execution_count": request.count}
            if any(cell[key] != value for key, value in new.items()):
                cell.update(new)
                # Trusted, like a cell that a page has run: whoever may run cells here has run it.
                cell["metadata"]["trusted"] = True
                return True
    return False
