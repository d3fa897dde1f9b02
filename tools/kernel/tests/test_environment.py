"""Kernels that are not started from a shell: by VS Code, by a JupyterLab from a desktop's menu, or by a cell."""

import json

import nbformat
import pytest
from conftest import ROOT, Session
from jupyter_client.kernelspec import KernelSpecManager

SPEC = json.loads((ROOT / ".tools/python/share/jupyter/kernels/rust/kernel.json").read_text())


@pytest.fixture
def start(tmp_path):
    """Starts a kernel with changed environment variables."""
    sessions = []

    def start(**variables):
        folder = tmp_path / "kernels" / "rust"
        folder.mkdir(parents=True)
        spec = {**SPEC, "env": {**SPEC["env"], "PATH": "/usr/bin:/bin", "CARGO_HOME": "", **variables}}
        (folder / "kernel.json").write_text(json.dumps(spec))
        specs = KernelSpecManager(kernel_dirs=[str(tmp_path / "kernels")], ensure_native_kernel=False)
        sessions.append(Session(kernel_spec_manager=specs))
        return sessions[-1]

    yield start
    for session in sessions:
        session.close()


def test_the_compiler_need_not_be_on_the_path(start):
    session = start()
    cell = session.run("let a: i32 = 41;\na + 1")
    assert cell.value == "42", cell


@pytest.mark.parametrize("gone", ["compiler", "warm build"])
def test_what_is_missing_is_told_in_the_notebook(start, tmp_path, gone):
    repository = tmp_path / "repository"
    (repository / "helpers").mkdir(parents=True)
    (repository / "helpers" / "Cargo.toml").write_text("")
    nowhere = {"NOTEBOOK_RUST": str(tmp_path), "HOME": str(tmp_path)}
    session = start(**(nowhere if gone == "compiler" else {"NOTEBOOK_REPOSITORY": str(repository)}))
    # The message is repeated: if the kernel ended, it would be started again and again.
    for _ in range(2):
        cell = session.run("1 + 1")
        assert (cell.status, cell.name) == ("error", "DeadKernel"), cell
        word = "the Rust compiler is gone" if gone == "compiler" else "it has no warm build yet; run `cargo xtask setup`"
        assert word in cell.text and "restart the kernel" in cell.text, cell
    assert session.ask("complete_request", code="std::", cursor_pos=5)["matches"] == []


@pytest.mark.parametrize("way", ["a command", "a line for the shell"])
def test_a_cell_that_runs_a_notebook_starts_a_kernel_of_its_own(own_session, tmp_path, way):
    cells = [nbformat.v4.new_code_cell(source) for source in ("let inner = 6;", 'panic!("within {}", inner * 7);')]
    kernel = {"name": "rust", "display_name": "Rust", "language": "rust"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), tmp_path / "inner.ipynb")
    words = [str(ROOT / ".tools/python/bin/jupyter"), "nbconvert", "--execute", "--to", "notebook", str(tmp_path / "inner.ipynb")]
    if way == "a command":
        words = ", ".join(f'"{word}"' for word in words)
        source = (
            f"let words = [{words}];\n"
            "let done = std::process::Command::new(words[0]).args(&words[1..]).output()?;\n"
            'println!("{:?} {}", done.status.code(), String::from_utf8_lossy(&done.stderr));'
        )
    else:
        source = f"!{' '.join(words)} 2>&1; echo \"Some($?)\""
    own_session.run("let outer = 41;")
    cell = own_session.run(source)
    assert "within 42" in str(cell.messages), cell
    assert "Some(1)" in str(cell.messages), cell
    assert own_session.is_alive("outer")
