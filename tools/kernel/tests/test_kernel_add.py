"""`notebook-kernel add`: adds a crate to the warm build, so that nothing has to be compiled for its `:dep`.

`cargo xtask kernel add` runs set-up and calls it.
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
    """A small crate without common dependencies with helpers: features that it enabled in them would cause a new
    compilation."""
    adding = subprocess.Popen(
        [PROGRAM, "add", "levenshtein@1", "--repository", ROOT], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    # A kernel that was started earlier keeps the previous warm build until it ends.
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
        # Without its `:dep` the crate cannot be used, like any other.
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
    # A program cannot be a dependency of a cell.
    done = call("add", "ripgrep@14.1.1")
    assert done.returncode == 1
    assert "`ripgrep@14.1.1` cannot be added, and the warm build is as it was before" in done.stderr, done
    assert "missing a lib target" in done.stderr, done
    assert (KERNEL / "template").resolve() == template
    assert "ripgrep" not in call("list").stdout
    done = call("remove", "serde")
    assert done.returncode == 1 and "`serde` was not added" in done.stderr, done
