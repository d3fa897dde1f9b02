"""Runs a Rust notebook, and stops at the first cell that fails.

evcxr answers "ok" to a cell that panics and to one that returns early through ``?``; all that is left
of the failure is text on stderr. So each cell gets a fresh variable before its first statement, in
the kernel only: evcxr keeps it if the cell ran to its end and drops it otherwise, and its command
``:vars``, which compiles nothing, tells which.
"""

import asyncio
import os
import re
import sys
import threading
import time
from pathlib import Path
from queue import Empty

import click
from jupyter_core.utils import ensure_async
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbclient.util import run_sync
from nbformat.v4 import new_output
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, NBClientEngine, papermill_engines
from papermill.exceptions import PapermillException
from papermill.log import logger
from papermill.utils import nb_language

from .declarations import declared_by
from .parameters import RustTranslator

# How long to wait for messages that follow the kernel's answer: after a cell that went well, and for
# the text of an error, which is known to come.
GRACE_SECONDS = 0.02
ERROR_SECONDS = 2.0

# Where a program that runs notebooks puts its process number, so that papermill ends with it.
PARENT_VARIABLE = "NOTEBOOK_RUN_PARENT"


def end_with_parent():
    """Ends this process soon after the one that started it, if that asked for it: what a killed run left behind would
    go on to train for hours, and write its results over those of the next run."""
    # What a cell starts has another parent, and must not find the variable.
    starter = os.environ.pop(PARENT_VARIABLE, None)
    if starter is None:
        return
    parent = os.getppid()
    if starter != str(parent):
        print(
            f"error: the program that started this run (process {starter}) is gone; start the run again",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class WrongFolderError(PapermillException, click.ClickException):
    """A notebook that runs in a folder its paths do not fit. On the command line: one line, no traceback."""


def check_dependencies(nb, directory):
    """Refuses a folder in which a crate of the notebook is not where its ``:dep`` line says.

    A notebook from standard input (``papermill - -``) has no folder, so its paths are taken from the current one.
    """
    for path in re.findall(r'^\s*:dep\b.*?\bpath\s*=\s*"([^"]+)"', "\n".join(cell.source for cell in nb.cells), re.M):
        if not Path(directory, path).is_dir():
            raise WrongFolderError(
                f"the notebook runs in {directory}, and its crate `{path}` is not there: "
                "give the command in the notebook's own folder, or name that one: --cwd notebooks"
            )


class RustEngine(Engine):
    """The engine of Rust notebooks."""

    # The working directory outside of papermill's --cwd.
    _directory = None

    @classmethod
    def nb_language(cls, nb, language=None):
        # papermill asks this just before it translates the parameters.
        RustTranslator.declared = declared_by(nb)
        return super().nb_language(nb, language)

    @classmethod
    def nb_kernel_name(cls, nb, name=None):
        # papermill asks this just before it enters --cwd.
        cls._directory = os.getcwd()
        return super().nb_kernel_name(nb, name)

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man,
        kernel_name,
        log_output=False,
        stdout_file=None,
        stderr_file=None,
        start_timeout=60,
        execution_timeout=None,
        input_path=None,
        **kwargs,
    ):
        end_with_parent()
        directory = cls._kernel_directory(input_path)
        check_dependencies(nb_man.nb, directory)
        client = RustNotebookClient(
            nb_man,
            kernel_name=kernel_name,
            timeout=execution_timeout,
            startup_timeout=start_timeout,
            resources={"metadata": {"path": directory}},
            coalesce_streams=True,
            log=logger,
            log_output=log_output,
            stdout_file=stdout_file,
            stderr_file=stderr_file,
            **{name: value for name, value in kwargs.items() if name not in ("timeout", "resources")},
        )
        return client.execute()

    @classmethod
    def _kernel_directory(cls, input_path):
        """The notebook's own folder, as in JupyterLab, so that its relative paths hold. Where papermill
        is called with --cwd, that one, which is then the current directory."""
        here = os.getcwd()
        if cls._directory not in (None, here) or not input_path:
            return here
        folder = Path(here, input_path).parent
        return str(folder) if folder.is_dir() else here


class EarlyEnd(CellExecutionError):
    """A cell that the kernel calls good, and that panicked or returned through ``?``."""


class RustNotebookClient(PapermillNotebookClient):
    """Talks to the kernel; decides whether a cell went well."""

    number = 0
    passed_time_limit = False

    def execute(self, **kwargs):
        self.reset_execution_trackers()
        with self.setup_kernel(**kwargs):
            # Before the cells, unlike papermill: afterwards the kernel may be dead.
            answer = self.wait_for_reply(self.kc.kernel_info())
            self.nb.metadata["language_info"] = answer["content"]["language_info"]
            self.papermill_execute_cells()
        return self.nb

    async def async_execute_cell(self, cell, cell_index, execution_count=None, store_history=True):
        if cell.cell_type != "code" or not cell.source.strip():
            return cell
        self.number += 1
        self.passed_time_limit = False
        marker = f"cell_{self.number}_done"
        marked = with_marker(cell.source, marker)
        try:
            await self._send(marked, cell, cell_index)
            if marked != cell.source and not await self._is_kept(marker, cell):
                await self._collect_late_output(cell, ERROR_SECONDS, until_stderr=True)
                raise self._early_end(cell)
        except EarlyEnd:
            raise
        except CellExecutionError:
            await self._collect_late_output(cell, GRACE_SECONDS)
            if self.passed_time_limit:
                raise self._failed(cell, "TimeLimit", f"the cell passed its time limit of {self.timeout} s") from None
            if marker in str([output.get("traceback") for output in cell.outputs]):
                # The compiler shows the line with the marker. Compiled as it is, the cell gives the same
                # error with the source that its author knows.
                await self._send_unmarked(cell, cell_index)
            self._name_cell(cell)
            raise
        except CellTimeoutError:
            raise self._failed(cell, "TimeLimit", f"the cell passed its time limit of {self.timeout} s") from None
        except DeadKernelError:
            self._failed(cell, "DeadKernel", "the kernel died while it ran this cell")
            self.nb_man.cell_exception(cell, cell_index=cell_index)
            raise
        await self._collect_late_output(cell, GRACE_SECONDS)
        return cell

    execute_cell = run_sync(async_execute_cell)

    async def _send(self, source, cell, cell_index):
        """Runs ``source`` as if it were the cell's own."""
        execute = self.kc.execute
        self.kc.execute = lambda _, **options: execute(source, **options)
        try:
            await super().async_execute_cell(cell, cell_index, execution_count=self.number)
        finally:
            self.kc.execute = execute

    async def _send_unmarked(self, cell, cell_index):
        outputs = cell.outputs
        try:
            await self._send(cell.source, cell, cell_index)
        except CellExecutionError:
            return
        cell.outputs = outputs

    def process_message(self, msg, cell, cell_index):
        # The kernel counts our own requests as well.
        if "execution_count" in msg["content"]:
            msg["content"]["execution_count"] = self.number
        return super().process_message(msg, cell, cell_index)

    async def _async_handle_timeout(self, timeout, cell=None):
        # An interrupt ends the process that runs the cell, and the kernel is free to answer again.
        self.passed_time_limit = True
        await ensure_async(self.km.interrupt_kernel())
        return {"content": {"status": "error", "ename": "TimeLimit", "evalue": "", "traceback": []}}

    async def _is_kept(self, marker, cell):
        """Whether the kernel still has the variable ``marker``."""
        request = self.kc.execute(":vars", silent=True, store_history=False)
        variables = ""
        while True:
            try:
                message = await ensure_async(self.kc.iopub_channel.get_msg(timeout=self.iopub_timeout))
            except Empty:
                await self._async_check_alive()
                continue
            content = message["content"]
            if message["msg_type"] == "stream":
                self._add_stream(cell, content)
            elif message["parent_header"].get("msg_id") != request:
                continue
            elif message["msg_type"] == "execute_result":
                variables = content["data"].get("text/plain", "")
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                break
        await self.async_wait_for_reply(request)
        return re.search(rf"^{marker}:", variables, re.MULTILINE) is not None

    async def _collect_late_output(self, cell, seconds, until_stderr=False):
        """Adds what the cell still prints: stderr may arrive after the kernel's answer."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            has_text = any(output.get("name") == "stderr" for output in cell.outputs)
            wait = GRACE_SECONDS * 5 if until_stderr and has_text else deadline - asyncio.get_running_loop().time()
            try:
                message = await ensure_async(self.kc.iopub_channel.get_msg(timeout=max(wait, 0.001)))
            except Empty:
                return
            if message["msg_type"] == "stream":
                self._add_stream(cell, message["content"])

    def _add_stream(self, cell, content):
        for output in cell.outputs:
            if output.output_type == "stream" and output.name == content["name"]:
                output.text += content["text"]
                return
        cell.outputs.append(new_output("stream", name=content["name"], text=content["text"]))

    def _early_end(self, cell):
        """The error of a cell that panicked or returned through ``?``, made of what it wrote to stderr."""
        text = "".join(output.text for output in cell.outputs if output.get("name") == "stderr")
        before, panic = split_panic(text)
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        if panic:
            if before:
                self._add_stream(cell, {"name": "stderr", "text": before})
            return self._failed(cell, "Panic", panic, EarlyEnd)
        message = text.strip() or "the cell returned before its end, without a message"
        return self._failed(cell, "Error", message, EarlyEnd)

    def _failed(self, cell, name, message, error=CellExecutionError):
        """Puts the error into the notebook, in place of the kernel's own, and gives it back to be raised."""
        outputs, cell.outputs = cell.outputs, []
        for output in outputs:
            if output.output_type == "stream":
                self._add_stream(cell, output)
            elif output.output_type != "error":
                cell.outputs.append(output)
        traceback = f"{name}: {message}".splitlines()
        cell.outputs.append(new_output("error", ename=name, evalue=message, traceback=traceback))
        cell.execution_count = self.number
        return error.from_cell_and_msg(cell, {"ename": name, "evalue": message, "traceback": traceback})

    def _name_cell(self, cell):
        """The compiler's messages name the kernel's own count; the notebook's reader knows another."""
        for output in cell.outputs:
            if output.output_type == "error":
                output.traceback = [
                    re.sub(r"\bcommand_\d+\b", f"cell [{self.number}]", line) for line in output.traceback
                ]


def with_marker(source, marker):
    """``source`` with a variable ``marker`` declared before its first statement, on the same line.

    evcxr reads lines that start with ``:`` or ``!`` itself, and skips blank lines and comments, up to
    the first line of Rust. A cell without any is given back as it is: nothing in it can end early.
    """
    start = 0
    for line in source.splitlines(keepends=True):
        if line.strip() and not re.match(r"!| *:[^ ]*( |$)|//", line.rstrip("\n")):
            break
        start += len(line)
    else:
        return source
    attributes = re.match(r"(\s*#!\[[^\]]*\])*\s*", source[start:])
    start += attributes.end()
    return f"{source[:start]}let {marker}: bool = true; {source[start:]}"


def split_panic(text):
    """What stderr holds before a panic's message, and that message with its location, if there is one."""
    matches = list(re.finditer(r"^\n?thread '[^\n]*' (?:\(\d+\) )?panicked at (?P<location>[^\n]*):\n", text, re.MULTILINE))
    if not matches:
        return text, ""
    last = matches[-1]
    message = re.sub(r"^note: run with `RUST_BACKTRACE=.*\n?", "", text[last.end() :], flags=re.MULTILINE).strip()
    # evcxr's own file says nothing: it holds the cell and much more. Other locations are told from the
    # repository or from the crate on.
    location = re.sub(r"^.*/registry/src/[^/]+/|^.*/(?=helpers/src/)", "", last["location"])
    location = "" if location.startswith("src/lib.rs:") else f"\nat {location}"
    return text[: last.start()], message + location


class DefaultEngine(Engine):
    """What papermill uses where the command line names no engine: for Rust this one, else its own."""

    other = NBClientEngine

    @classmethod
    def _engine(cls, nb):
        try:
            language = nb_language(nb)
        except ValueError:
            language = ""
        return RustEngine if language.lower() == "rust" else cls.other

    @classmethod
    def nb_language(cls, nb, language=None):
        return cls._engine(nb).nb_language(nb, language)

    @classmethod
    def nb_kernel_name(cls, nb, name=None):
        return cls._engine(nb).nb_kernel_name(nb, name)

    @classmethod
    def execute_notebook(cls, nb, kernel_name, *arguments, **options):
        return cls._engine(nb).execute_notebook(nb, kernel_name, *arguments, **options)


papermill_engines.register(None, DefaultEngine)
