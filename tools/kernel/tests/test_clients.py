"""Every program that runs notebooks notices a failed cell without help."""

import asyncio
import json
import subprocess
import sys

import nbformat
import pytest
from conftest import NOTEBOOKS, ROOT, plain
from failures import ALL_FAILURES, FAILURES
from jupyter_client.asynchronous import AsyncKernelClient
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

KERNEL = {"name": "rust", "display_name": "Rust", "language": "rust"}
BIN = ROOT / ".tools" / "python" / "bin"


def notebook(*sources, tags=()):
    cells = [new_code_cell(source) for source in sources]
    for cell in cells:
        cell.metadata["tags"] = list(tags)
    return new_notebook(cells=cells, metadata={"kernelspec": KERNEL})


def errors(nb):
    """The errors of each code cell."""
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    return [[output for output in cell.outputs if output.output_type == "error"] for cell in code]


def call(folder, nb, *words):
    path = folder / "source.ipynb"
    nbformat.write(nb, path)
    command = [str(BIN / words[0]), *(word.replace("SOURCE", str(path)) for word in words[1:])]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)


class Attached(NotebookClient):
    """nbclient on an existing kernel, so that a table of failures does not start a kernel for each."""

    async def run_on(self, session):
        self.reset_execution_trackers()
        self.kc = AsyncKernelClient()
        self.kc.load_connection_info(session.manager.get_connection_info(session=False))
        self.kc.start_channels()
        try:
            await self.kc.wait_for_ready(timeout=60)
            for index, cell in enumerate(self.nb.cells):
                await self.async_execute_cell(cell, index)
        finally:
            self.kc.stop_channels()


def run_attached(nb, session, **options):
    client = Attached(nb, km=session.manager, kernel_name="rust", timeout=120, **options)
    asyncio.run(client.run_on(session))
    return nb


@pytest.mark.parametrize("kind", FAILURES)
def test_nbclient_stops(session, kind):
    source, name, word = FAILURES[kind]
    nb = notebook("let before = 1;", source, "let after = 2;")
    with pytest.raises(CellExecutionError) as raised:
        run_attached(nb, session)
    assert raised.value.ename == name
    assert word in raised.value.evalue
    assert [len(found) for found in errors(nb)] == [0, 1, 0]
    assert nb.cells[2].execution_count is None


def test_nbclient_goes_on_where_an_exception_is_expected(session):
    nb = notebook(*(source for source, _, _ in FAILURES.values()), tags=["raises-exception"])
    run_attached(nb, session)
    assert [[error.ename for error in found] for found in errors(nb)] == [[name] for _, name, _ in FAILURES.values()]


def test_nbclient_goes_on_where_errors_are_allowed(session):
    nb = notebook('panic!("no");', "40 + 2")
    run_attached(nb, session, allow_errors=True)
    assert nb.cells[1].outputs[0].data["text/plain"] == "42"


def test_a_long_line_does_not_hold_up_nbclient(session):
    """The time that it takes to join streams grows with the square of a line's length."""
    nb = notebook('println!("{}", "x".repeat(100_000));')
    run_attached(nb, session, coalesce_streams=True)
    (output,) = nb.cells[0].outputs
    assert max(map(len, output.text.splitlines())) <= 32 * 1024
    assert output.text.replace("\n", "") == "x" * 100_000


def failures_in_a_row():
    """A notebook with a cell of each kind and one behind them, and the errors' names in each. Only the last failure is not
    expected."""
    nb = notebook(*(source for source, _, _ in ALL_FAILURES.values()), tags=["raises-exception"])
    nb.cells[-1].metadata["tags"] = []
    nb.cells.append(new_code_cell('println!("never");'))
    return nb, [[name] for _, name, _ in ALL_FAILURES.values()] + [[]]


def names(nb):
    return [[error.ename for error in found] for found in errors(nb)]


def test_papermill_sees_each_failure_with_its_own_engine(tmp_path):
    out = tmp_path / "out.ipynb"
    nb, expected = failures_in_a_row()
    run = call(tmp_path, nb, "papermill", "SOURCE", str(out), "--engine", "nbclient", "--no-progress-bar")
    assert run.returncode == 1, run.stderr
    nb = nbformat.read(out, 4)
    # It puts a note in front of a notebook that failed.
    assert [found for found in names(nb) if found] == expected[:-1], run.stderr
    assert nb.metadata.papermill.exception is True
    assert nb.cells[-1].execution_count is None


@pytest.mark.parametrize("expect", [True, False])
def test_nbconvert_stops(tmp_path, expect):
    """At a failure that is not expected, and only there."""
    nb, expected = failures_in_a_row()
    nb.cells[-2].metadata["tags"] = ["raises-exception"] if expect else []
    run = call(tmp_path, nb, "jupyter", "nbconvert", "--execute", "--to", "notebook" if expect else "html", "SOURCE")
    assert run.returncode == (0 if expect else 1), run.stderr
    if expect:
        assert names(nbformat.read(tmp_path / "source.nbconvert.ipynb", 4)) == expected
    else:
        assert list(ALL_FAILURES.values())[-1][1] in run.stderr
        assert not (tmp_path / "source.html").exists()


def test_nbconvert_goes_on_where_errors_are_allowed(tmp_path):
    nb = notebook(*(source for source, _, _ in ALL_FAILURES.values()), 'println!("the end");')
    run = call(tmp_path, nb, "jupyter", "nbconvert", "--execute", "--allow-errors", "--to", "notebook", "SOURCE")
    assert run.returncode == 0, run.stderr
    executed = nbformat.read(tmp_path / "source.nbconvert.ipynb", 4)
    assert names(executed)[:-1] == [[name] for _, name, _ in ALL_FAILURES.values()]
    assert executed.cells[-1].outputs[0].text == "the end\n"
    assert executed.metadata.language_info.pygments_lexer == "rust"


def test_nbmake_stops(tmp_path):
    nb, expected = failures_in_a_row()
    nbformat.write(nb, tmp_path / "fails.ipynb")
    nb.cells[-2].metadata["tags"] = ["raises-exception"]
    nbformat.write(nb, tmp_path / "expects.ipynb")
    # `--overwrite` has it keep what it saw.
    command = [sys.executable, "-m", "pytest", "--nbmake", "--overwrite", "-p", "no:cacheprovider", "-q", str(tmp_path)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == 1, run.stdout
    assert "1 failed, 1 passed" in run.stdout, run.stdout
    for name in ("fails", "expects"):
        assert names(nbformat.read(tmp_path / f"{name}.ipynb", 4)) == expected
    assert f"fails.ipynb - {list(ALL_FAILURES.values())[-1][1]}" in plain(run.stdout), run.stdout


@pytest.mark.parametrize("kind", FAILURES)
def test_as_vs_code_speaks_to_a_kernel(session, kind):
    """VS Code's Jupyter extension requests the kernel's information, runs hidden cells, and sends all cells of "Run
    All" at once."""
    client = session.client
    assert session.ask("kernel_info_request")["language_info"]["name"] == "rust"
    assert session.ask("comm_info_request", target_name="jupyter.widget")["comms"] == {}
    hidden = session.run("", silent=False, store_history=False)
    assert hidden.status == "ok"
    source, name, _ = FAILURES[kind]
    sources = ["let before = 41;", "before + 1", source, 'println!("never");', "before"]
    with session.held():
        requests = [client.execute(source, silent=False, store_history=True, stop_on_error=True) for source in sources]
    cells = [session.finish(request) for request in requests]
    assert [cell.status for cell in cells] == ["ok", "ok", "error", "aborted", "aborted"]
    assert cells[1].value == "42"
    # It shows the error from the output, and marks the cell according to the reply.
    assert cells[2].of("error")[0]["ename"] == cells[2].reply["ename"] == name
    assert "no debugger" in session.ask("debug_request", "control", type="request", seq=1, command="debugInfo")["message"]


def test_jupyters_console_knows_whether_a_cell_is_whole(session):
    assert session.ask("is_complete_request", code="fn one() {") == {"status": "incomplete", "indent": "    "}
    assert session.ask("is_complete_request", code="1")["status"] == "complete"


def test_the_kernelspec_is_whole():
    spec = json.loads((ROOT / ".tools/python/share/jupyter/kernels/rust/kernel.json").read_text())
    assert spec["language"] == "rust"
    assert NOTEBOOKS.is_dir()
