"""What a kernel says about the cells that pages have asked it to run."""

import asyncio
import time
from queue import Empty

from nbformat.v4 import output_from_msg
from tornado.web import HTTPError

OUTPUTS = {"stream", "display_data", "execute_result", "error", "update_display_data", "clear_output"}
# The notebook is saved a second after its last change: with a change every half second it never would be.
WRITE = 2
# The same while nobody looks.
WRITE_ALONE = 15
# A page that goes this soon after the end of a cell may not have written all of it.
RECENT = 5


class Request:
    """A cell that was asked for, and all that it has shown."""

    def __init__(self, cell, page):
        self.cell = cell
        # Who writes its outputs; none for the server.
        self.page = page
        self.outputs, self.names = [], []
        self.clears = False
        self.count = None
        self.ended = None
        self.changed = False

    def take(self, kind, message):
        """One of the messages that are outputs."""
        content = message["content"]
        if kind == "clear_output":
            self.clears = content.get("wait", False)
            if not self.clears:
                self.clear()
            return
        if self.clears:
            self.clear()
        output = output_from_msg(message)
        last = self.outputs[-1] if self.outputs else {}
        if kind == "stream" and last.get("output_type") == "stream" and last["name"] == output["name"]:
            last["text"] += output["text"]
        else:
            self.outputs.append(output)
            self.names.append(content.get("transient", {}).get("display_id"))

    def replace(self, name, content):
        """Shows something else under a name, wherever that stands."""
        for place, other in enumerate(self.names):
            if other == name:
                self.outputs[place].update(data=content["data"], metadata=content["metadata"])
                self.changed = True

    def clear(self):
        self.outputs, self.names, self.clears = [], [], False

    def is_recent(self):
        return self.ended is None or time.monotonic() - self.ended < RECENT


class Keeper:
    """Listens to one kernel, and writes what belongs to pages that have gone."""

    all: dict = {}

    @classmethod
    def of(cls, kernel, kernels, settings, log):
        """The one of this kernel."""
        keeper = cls.all.get(kernel)
        if keeper is None or keeper.task.done():
            keeper = cls.all[kernel] = cls(kernel, kernels, settings, log)
            keeper.task = asyncio.ensure_future(keeper.listen())
        return keeper

    def __init__(self, kernel, kernels, settings, log):
        self.kernel, self.kernels, self.settings, self.log = kernel, kernels, settings, log
        self.requests: dict[str, Request] = {}
        self.pages: set[str] = set()
        self.next = 0.0

    def asked(self, request, cell, page):
        """A page has asked for a cell."""
        # What an earlier run of the same cell says is no longer of interest.
        self.requests = {name: other for name, other in self.requests.items() if other.cell != cell}
        self.requests[request] = Request(cell, page)

    def writes(self, request):
        """Whether the server writes the outputs of this request."""
        return request in self.requests and self.requests[request].page is None

    def page_came(self, page):
        self.pages.add(page)
        self.next = 0.0

    def page_gone(self, page):
        """From now on the server writes what comes of this page's cells."""
        self.pages.discard(page)
        for request in self.requests.values():
            if request.page == page and request.is_recent():
                request.page, request.changed = None, True
        self.next = 0.0

    async def listen(self):
        """Until the kernel is gone for good."""
        client = self.kernels.get_kernel(self.kernel).client()
        client.iopub_channel.start()
        try:
            while self.kernel in self.kernels:
                try:
                    self.take(await client.get_iopub_msg(timeout=0.3))
                except Empty:
                    pass
                if time.monotonic() >= self.next:
                    self.next = time.monotonic() + (WRITE if self.pages else WRITE_ALONE)
                    await self.write()
                    self.forget()
        finally:
            client.iopub_channel.stop()
            self.all.pop(self.kernel, None)

    def take(self, message):
        """Something that the kernel has said."""
        kind, content = message["msg_type"], message["content"]
        state = content.get("execution_state") if kind == "status" else None
        if kind == "update_display_data":
            name = content.get("transient", {}).get("display_id")
            for request in self.requests.values():
                request.replace(name, content)
        if state in ("starting", "restarting"):
            # Whatever ran has ended with the kernel before.
            for request in self.requests.values():
                self.end(request)
        request = self.requests.get(message["parent_header"].get("msg_id"))
        if request is None:
            return
        if kind == "execute_input":
            request.count = content["execution_count"]
        elif state == "idle":
            self.end(request)
        elif kind in OUTPUTS and kind != "update_display_data":
            request.take(kind, message)
        request.changed = True

    def end(self, request):
        if request.ended is None:
            request.ended, request.changed = time.monotonic(), True
            self.next = 0.0

    def forget(self):
        """What has ended and is written is in the notebook; a display may still be replaced by a later cell."""
        self.requests = {
            name: request
            for name, request in self.requests.items()
            if request.is_recent() or (request.page is None and (request.changed or any(request.names)))
        }

    async def write(self):
        """Writes what has changed into the notebook."""
        changed = [request for request in self.requests.values() if request.changed and request.page is None]
        if not changed:
            return
        try:
            session = await self.settings["session_manager"].get_session(kernel_id=self.kernel)
            documents = self.settings["keep_outputs_documents"]
            notebook = await documents(
                path=session["path"], content_type="notebook", file_format="json", copy=False, create=True
            )
        except HTTPError as error:
            # The kernel belongs to no notebook, or that is no longer there.
            self.log.warning("keep_outputs: nowhere to write to: %s", error)
            return
        except Exception:
            self.log.exception("keep_outputs: cannot write; the next try follows")
            return
        cells = {cell.get("id"): cell for cell in notebook.ycells}
        for request in changed:
            request.changed = False
            cell = cells.get(request.cell)
            if cell is not None and "outputs" in cell:
                with notebook.ydoc.transaction():
                    write_cell(notebook, cell, request)


def write_cell(notebook, cell, request):
    """Brings a cell of the shared notebook up to date; what is there already stays."""
    there = cell["outputs"].to_py()
    same = 0
    while same < min(len(there), len(request.outputs)) and there[same] == request.outputs[same]:
        same += 1
    if there[same:] or request.outputs[same:]:
        del cell["outputs"][same:]
        for output in notebook._create_youtputs(request.outputs[same:]):
            cell["outputs"].append(output)
    cell["execution_count"] = request.count
    cell["execution_state"] = "running" if request.ended is None else "idle"
