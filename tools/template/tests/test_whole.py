"""With a full disk or two writers at once a page or a notebook is complete: either the old or the new one.

The disk is full in two ways: this process's files may not grow beyond some bytes (RLIMIT_FSIZE, works everywhere), and
a file system of a few kilobytes, if the user may mount one.
"""

import contextlib
import multiprocessing
import resource
import subprocess
import sys
from pathlib import Path

import export
import lint_notebooks
import pytest
import synthetic
from whole import write_whole


@contextlib.contextmanager
def files_end_at(size: int):
    """As with a full disk: no file grows beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_ends_at_any_byte_leaves_the_old_file_alone(tmp_path):
    path, old, new = tmp_path / "file.html", "the old page", "a new page, and a longer one"
    path.write_text(old)
    for size in range(len(new)):
        with files_end_at(size), pytest.raises(OSError, match="File too large"):
            write_whole(path, new)
        assert path.read_text() == old
        assert list(tmp_path.iterdir()) == [path]
    with files_end_at(len(new)):
        write_whole(path, new)
    assert path.read_text() == new


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_pages_that_do_not_fit_leave_the_old_ones_and_say_so(tmp_path):
    executed = synthetic.write_all(tmp_path / "in", {"01_data_loading": synthetic.data_loading()})
    out = tmp_path / "out"
    export.export(executed, out)
    before = contents(out)
    synthetic.write_all(executed, {"01_data_loading": synthetic.data_loading(quick=True)})
    for size in (0, 1, 1000, len(before["submission.html"]) // 2):
        with files_end_at(size), pytest.raises(export.ExportError) as error:
            export.export(executed, out)
        assert str(out / "01_data_loading.html") in str(error.value)
        assert "the disk has room" in str(error.value)
        assert contents(out) == before
    # If the first page fits and the one with all notebooks does not, the latter keeps its old content.
    synthetic.write_all(executed, {"06_cnn_training": synthetic.cnn_training()})
    with files_end_at(len(before["01_data_loading.html"]) + 1000), pytest.raises(export.ExportError) as error:
        export.export(executed, out)
    assert "06_cnn_training" in str(error.value) or "submission.html" in str(error.value)
    assert contents(out)["submission.html"] == before["submission.html"]
    assert not [name for name in contents(out) if name.startswith(".")]


def test_a_notebook_that_cannot_be_fixed_stays_as_it_was(tmp_path, capsys):
    book = synthetic.data_loading()
    path = synthetic.write_all(tmp_path, {"01_data_loading": book}) / "01_data_loading.ipynb"
    before = path.read_bytes()
    with files_end_at(100):
        assert lint_notebooks.main(["--fix", str(path)]) == 1
    assert f"cannot fix {path}: File too large; it is as it was" in capsys.readouterr().err
    assert contents(tmp_path) == {path.name: before}


SMALL_DISK = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from whole import write_whole
folder = Path(sys.argv[1])
write_whole(folder / "page.html", "old" * 1000)
try:
    write_whole(folder / "page.html", "new" * 100_000)
except OSError as error:
    assert error.errno == 28, error
else:
    sys.exit("300 kB went into a file system of 64")
assert (folder / "page.html").read_text() == "old" * 1000
assert [path.name for path in folder.iterdir()] == ["page.html"]
write_whole(folder / "page.html", "new" * 1000)
print("held")
"""


def test_a_small_file_system_runs_full(tmp_path):
    mount = 'mount -t tmpfs -o size=64k none "$1" && shift && exec "$@"'
    tools = Path(export.__file__).parent
    command = ["sh", "-c", mount, "sh", tmp_path, sys.executable, "-c", SMALL_DISK, tmp_path, tools]
    allowed = subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode == 0
    if not allowed:
        # The tests above simulate the full disk without a file system.
        return
    result = subprocess.run(["unshare", "-rm", *command], capture_output=True, text=True)
    if "permission denied" in result.stderr:
        return
    assert result.stdout == "held\n", result.stderr


def write_again_and_again(path: Path, letter: str, times: int) -> None:
    for _ in range(times):
        write_whole(path, letter * 50_000)


def test_a_reader_never_sees_half_of_what_two_processes_write(tmp_path):
    path = tmp_path / "submission.html"
    write_whole(path, "a" * 50_000)
    writers = [
        multiprocessing.get_context("spawn").Process(target=write_again_and_again, args=(path, letter, 200))
        for letter in "ab"
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        text = path.read_text()
        assert len(text) == 50_000
        assert text in ("a" * 50_000, "b" * 50_000)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert list(tmp_path.iterdir()) == [path]


def test_two_exports_at_once_leave_whole_pages(tmp_path):
    executed = synthetic.write_all(tmp_path / "in", {"01_data_loading": synthetic.data_loading()})
    out = tmp_path / "out"
    command = [sys.executable, export.__file__, "--executed", executed, "--out", out]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert sorted(contents(out)) == ["01_data_loading.html", "submission.html"]
    assert all(text.rstrip().endswith(b"</html>") for text in contents(out).values())
