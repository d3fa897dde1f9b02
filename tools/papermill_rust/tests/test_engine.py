"""Runs in the real kernel: the outputs of a good notebook, that a failure stops the run, and how paths are resolved."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import time

import nbformat
import pytest
from conftest import PACKAGE, notebook
from jupyter_client import KernelManager
from nbformat.v4 import new_notebook

from papermill_rust.engine import DefaultEngine, NBClientEngine, RustEngine

PARAMETERS = """\
let epochs: usize = 50; // at most
let learning_rate: f64 = 0.001; // Adam's step
let data = "../data"; // the folder of X.npy
"""


def test_a_good_notebook_runs_to_its_end(papermill):
    crate = papermill.folder / "tiny"
    (crate / "src").mkdir(parents=True)
    (crate / "Cargo.toml").write_text('[package]\nname = "tiny"\nversion = "0.1.0"\nedition = "2024"\n')
    (crate / "src/lib.rs").write_text("pub fn seven() -> i32 { 7 }\n")
    sources = [
        ':dep tiny = { path = "../tiny" }',
        "use tiny::seven;\nuse std::fmt::Write;",
        "fn half(x: f64) -> f64 { x / 2.0 }\nstruct Point { x: i32 }",
        "// only a comment",
        "for epoch in 1..=epochs { println!(\"epoch {epoch}\"); }\neprintln!(\"a warning\");",
        "let p = Point { x: seven() };\nformat!(\"{} {} {} {data}\", p.x, half(learning_rate), epochs)",
        'std::env::current_dir()?.ends_with("notebooks")',
    ]

    run = papermill.run(notebook(*sources, parameters=PARAMETERS), "-p", "learning_rate", 1, "-p", "epochs", 40)

    assert run.status == 0, run.text
    assert [cell.source for cell in run.code] == [
        PARAMETERS,
        "// Parameters\nlet learning_rate: f64 = 1.0;\nlet epochs: usize = 40;\n",
        *sources,
    ]
    assert [cell.execution_count for cell in run.code] == list(range(1, 10))
    assert run.stream(6) == "".join(f"epoch {epoch}\n" for epoch in range(1, 41))
    assert run.stream(6, "stderr") == "a warning\n"
    result, directory = run.result(7), run.result(8)
    assert result.data["text/plain"] == '"7 0.5 40 ../data"'
    assert result.execution_count == 8
    assert directory.data["text/plain"] == "true"
    assert run.nb.metadata.papermill.exception is None


def piped(papermill, nb, *arguments):
    """Calls papermill from the root with the notebook on standard input; returns its status and the error message."""
    command = [sys.executable, "-m", "papermill", "-", "-", "--no-progress-bar", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    text = nbformat.writes(nb)
    run = subprocess.run(
        command, cwd=papermill.folder, env=environment, input=text, capture_output=True, text=True, timeout=240
    )
    return run.returncode, run.stdout, run.stderr


def test_a_notebook_from_standard_input_says_which_folder_it_needs(papermill):
    nb = notebook(':dep tiny = { path = "../tiny" }\n1')
    status, _, errors = piped(papermill, nb)
    assert status == 1
    assert f"Error: the notebook runs in {papermill.folder}, and its crate `../tiny` is not there" in errors
    assert "--cwd notebooks" in errors
    assert "Traceback" not in errors


def test_a_notebook_from_standard_input_runs_in_the_folder_that_is_named(papermill):
    status, output, errors = piped(papermill, notebook('std::env::current_dir()?.ends_with("notebooks")'), "--cwd", "notebooks")
    assert status == 0, errors
    assert nbformat.reads(output, 4).cells[-1].outputs[0].data["text/plain"] == "true"


def test_a_failed_cell_stops_the_run(papermill):
    """`tools/kernel/tests` has all kinds of failures, and all other clients."""
    source = 'let text = std::fs::read_to_string("missing.npy")?;\ntext.len()'
    run = papermill.run(notebook('let before: i32 = 1;\neprintln!("a warning before");', source, "let after = 2;"))

    assert run.status == 1, run.text
    (error,) = run.errors(1)
    assert error.ename == "Error"
    assert "No such file" in error.evalue
    assert "No such file" in run.text, "the command line says it too"
    assert run.code[1].source == source
    assert run.code[1].execution_count == 2
    assert run.code[2].execution_count is None, "the next cell is not run"
    assert run.nb.metadata.papermill.exception is True
    assert run.stream(0, "stderr") == "a warning before\n"


def test_a_cell_past_its_time_limit_stops_the_run_and_was_saved_on_the_way(papermill):
    slow = 'for step in 1..1000 { println!("step {step}"); std::thread::sleep(std::time::Duration::from_millis(200)); }'

    process = papermill.start(notebook(slow, "1"), "--execution-timeout", 8, "--autosave-cell-every", 1)
    seen = False
    while process.poll() is None and not seen:
        time.sleep(0.2)
        seen = papermill.output.exists() and "step 2" in papermill.output.read_text()
    run = papermill.finish(process)

    assert seen, "the notebook on disk shows what a running cell has printed"
    assert run.status == 1, run.text
    assert "timed out" in run.text
    assert run.stream(0).startswith("step 1\nstep 2\n")
    assert run.code[1].execution_count is None


def test_a_run_that_is_killed_takes_its_kernel_with_it(papermill):
    # Repeatedly: papermill saves a cell's outputs only when another one arrives a second after the cell began.
    source = (
        "for _ in 0..600 {\n"
        '    println!("{}", std::process::id());\n'
        "    std::thread::sleep(std::time::Duration::from_secs(1));\n"
        "}"
    )
    process = papermill.start(notebook(source), "--autosave-cell-every", 1)
    runner = None
    while runner is None:
        assert process.poll() is None
        time.sleep(0.2)
        text = papermill.output.read_text() if papermill.output.exists() else ""
        found = re.search(r'"(\d+)\\n', text)
        runner = found and int(found[1])
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while os.path.exists(f"/proc/{runner}"):
        assert time.monotonic() < deadline, "the process that runs cells goes on"
        time.sleep(0.2)


@pytest.mark.parametrize("within", [".", "notebooks", "elsewhere"])
def test_relative_paths_hold_wherever_papermill_is_called_from(papermill, within):
    """Calling `papermill 04_baseline_model.ipynb out.ipynb` inside `notebooks/` works like the README's call from the
    root."""
    (papermill.folder / "elsewhere").mkdir()
    crate = papermill.folder / "tiny"
    (crate / "src").mkdir(parents=True)
    (crate / "Cargo.toml").write_text('[package]\nname = "tiny"\nversion = "0.1.0"\nedition = "2024"\n')
    (crate / "src/lib.rs").write_text("pub fn seven() -> i32 { 7 }\n")
    (papermill.folder / "data").mkdir()
    (papermill.folder / "data/file").write_text("kept")
    nb = notebook(
        ':dep tiny = { path = "../tiny" }',
        'format!("{} {} {epochs}", tiny::seven(), std::fs::read_to_string(format!("{data}/file"))?)',
        parameters=PARAMETERS,
    )

    run = papermill.run(nb, "-p", "epochs", 3, within=within)

    assert run.status == 0, run.text
    assert run.result(3).data["text/plain"] == '"7 kept 3"'


def test_cwd_is_where_the_kernel_runs(papermill):
    (papermill.folder / "elsewhere").mkdir()

    run = papermill.run(notebook('std::env::current_dir()?.ends_with("elsewhere")'), "--cwd", "elsewhere")

    assert run.result(0).data["text/plain"] == "true"


def test_two_runs_at_once_do_not_meet(papermill):
    nb = notebook("let numbers: Vec<i32> = (0..5).collect();", "numbers.iter().sum::<i32>()")
    outputs = [papermill.folder / "one.ipynb", papermill.folder / "two.ipynb"]

    processes = [papermill.start(nb, output=output) for output in outputs]
    runs = [papermill.finish(process, output) for process, output in zip(processes, outputs)]

    assert [run.status for run in runs] == [0, 0]
    assert [run.result(1).data["text/plain"] for run in runs] == ["10", "10"]


def test_other_languages_keep_papermills_own_engine():
    kernelspec = {"name": "python3", "display_name": "Python", "language": "python"}
    python = new_notebook(metadata={"kernelspec": kernelspec})
    assert DefaultEngine._engine(python) is NBClientEngine
    assert DefaultEngine._engine(notebook()) is RustEngine


WATCHED = """
import os, subprocess, sys, time
code = '''
import os, time
from papermill_rust import engine
engine.end_with_parent()
print(os.getpid(), flush=True)
time.sleep(60)
'''
os.environ.pop("NOTEBOOK_RUN_PARENT", None)
if sys.argv[1] == "ask":
    os.environ["NOTEBOOK_RUN_PARENT"] = str(os.getpid())
subprocess.Popen([sys.executable, "-c", code])
time.sleep(60)
"""


@pytest.mark.parametrize(("word", "ends"), [("ask", True), ("other", False)])
def test_a_run_ends_with_the_program_that_started_it_and_asked_for_that(word, ends):
    starter = subprocess.Popen([sys.executable, "-c", WATCHED, word], stdout=subprocess.PIPE, text=True)
    run = int(starter.stdout.readline())
    starter.kill()
    starter.wait()
    # The run has the other end of the pipe open until it ends.
    ended, _, _ = select.select([starter.stdout], [], [], 30 if ends else 3)
    assert bool(ended) == ends
    if not ends:
        os.kill(run, signal.SIGKILL)


def test_a_run_whose_starter_is_gone_before_it_begins_ends_at_once():
    code = "from papermill_rust import engine\nengine.end_with_parent()\nprint('goes on')"
    # The number of a process that is not its parent.
    environment = {**os.environ, "NOTEBOOK_RUN_PARENT": "1"}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "the program that started this run (process 1) is gone" in ended.stderr


def test_the_kernel_is_told_to_listen_on_this_machine_alone_and_to_want_signed_messages(tmp_path):
    manager = KernelManager(kernel_name="rust", connection_file=str(tmp_path / "kernel.json"))
    manager.write_connection_file()
    connection = json.loads((tmp_path / "kernel.json").read_text())
    assert (connection["ip"], connection["transport"]) == ("127.0.0.1", "tcp")
    assert connection["signature_scheme"] == "hmac-sha256"
    assert len(connection["key"]) >= 32
    assert (tmp_path / "kernel.json").stat().st_mode & 0o077 == 0, "the key is for its user alone"
    manager.cleanup_connection_file()
