"""`notebook-kernel add`: a crate becomes a part of the warm build, and a `:dep` for it leaves nothing to compile.

`cargo xtask kernel add` sets up and calls it.
"""

import subprocess
import time

import pytest
from conftest import KERNEL, ROOT, Session, folder_of

FIRST = ':dep helpers = { path = "../helpers" }\nuse helpers::prelude::*;'
PROGRAM = KERNEL / "notebook-kernel"


def call(*words):
    return subprocess.run(
        [PROGRAM, *words, "--repository", ROOT], cwd=ROOT, capture_output=True, text=True, timeout=900, check=False
    )


@pytest.fixture(scope="module")
def added():
    """A small crate that shares nothing with helpers: features that it turned on for others would have those compiled anew."""
    adding = subprocess.Popen(
        [PROGRAM, "add", "levenshtein@1", "--repository", ROOT], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    # A kernel that starts meanwhile has the warm build before, to its end.
    session = Session()
    try:
        assert session.run(FIRST).status == "ok"
        before = session.run('thousands(1234)')
        out, error = adding.communicate(timeout=900)
        after = session.run(f"thousands(1235) // {time.time_ns()}, as no cell before")
        assert (before.value, after.value) == ('"1,234"', '"1,235"'), (before, after)
    finally:
        session.close()
    assert adding.returncode == 0, error
    assert '`:dep levenshtein = "1' in out
    yield
    assert call("remove", "levenshtein").returncode == 0
    assert "levenshtein" not in call("list").stdout


def test_a_crate_that_was_added_leaves_nothing_to_compile(added):
    assert 'levenshtein = "1' in call("list").stdout
    session = Session()
    try:
        # Before its `:dep` it is not there, as for everybody else.
        assert session.run("use levenshtein::levenshtein;").status == "error"
        assert session.run(FIRST).status == "ok"
        session.run('let dataset = Dataset::load("../data/sample")?;')
        cell = session.run(':dep levenshtein = "1"\nlevenshtein::levenshtein("kitten", "sitting")')
        assert cell.value == "3", cell
        assert not cell.of("display_data"), "nothing tells of a wait"
        assert session.run("dataset.len()").value == "4000", "variables stay"
        assert not (folder_of(session) / "target").exists(), "cargo compiles nothing"
    finally:
        session.close()


def test_a_crate_that_is_not_there_changes_nothing(added):
    template = (KERNEL / "template").resolve()
    done = call("add", "no-crate-has-such-a-name-0")
    assert done.returncode == 1
    assert "cargo finds no crate `no-crate-has-such-a-name-0`" in done.stderr, done
    # A program is no crate for a cell.
    done = call("add", "ripgrep@14.1.1")
    assert done.returncode == 1
    assert "`ripgrep@14.1.1` cannot be added, and the warm build is as it was before" in done.stderr, done
    assert "missing a lib target" in done.stderr, done
    assert (KERNEL / "template").resolve() == template
    assert "ripgrep" not in call("list").stdout
    done = call("remove", "serde")
    assert done.returncode == 1 and "`serde` was not added" in done.stderr, done
