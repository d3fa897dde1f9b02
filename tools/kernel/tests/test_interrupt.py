"""Interrupts: they end a cell whatever it is doing, and keep what can be kept."""

import os
import re
import signal
import time

import pytest
from conftest import SECONDS, Session

EPOCHS = 8
SET_UP = """:dep helpers = { path = "../helpers" }
use helpers::prelude::*;
use helpers::{architectures::DenseConfig, training::Callbacks};"""
MODEL = """
let dataset = Dataset::load("../data/sample")?;
let split = dataset.split(SplitConfig::default())?;
let network = DenseConfig { hidden: vec![512, 256], ..DenseConfig::default() };
let mut model = network.network(dataset.image_shape(), dataset.classes()).build(7)?;
"""
FIT = f"""
let config = FitConfig {{ epochs: {EPOCHS}, patience: {EPOCHS}, batch_size: 16, ..FitConfig::default() }};
let history = model.fit_with(&split, config, Callbacks::default().backup_and_restore("CHECKPOINT"))?;
println!("{{}} epochs", history.epochs_run());
"""
SEARCH = """
let search = GridSearchCv {
    param_grid: ParameterGrid::new().parameter("dropout", (0..40).map(|n| f64::from(n) / 100.0).collect::<Vec<_>>()),
    network: Network::from_name("dense")?,
    images: 400,
    cv: StratifiedKFold { n_splits: 2, shuffle: true, random_state: 7 }.into(),
    fit: FitConfig { epochs: 1, ..FitConfig::default() },
    n_jobs: 1,
    trials: std::path::PathBuf::from("TRIALS"),
    ..GridSearchCv::default()
};
let results = search.fit(&split)?;
"""
LOOP = 'println!("begins"); loop { std::thread::sleep(std::time::Duration::from_millis(10)); }'
# The compiler needs minutes for it, because it computes the constant. An interrupt ends it.
HEAVY = """
#[allow(long_running_const_eval)]
const MANY: u64 = { let mut n = 0u64; while n < 2_000_000_000 { n += 1; } n };
let many = MANY;
"""


@pytest.fixture(scope="module")
def times():
    """The time that each took, printed at the end for people (`-s`)."""
    times = {}
    yield times
    print("\nfrom the interrupt to the end of the cell:")
    for state, seconds in times.items():
        print(f"  {state:<34} {seconds:5.2f} s")


@pytest.fixture(scope="module")
def kept(session):
    session.run("let kept = 41;")
    return session


def ends(cell, times, state):
    times[state] = cell.seconds
    # A busy machine may need longer than the second that it takes otherwise.
    assert cell.seconds < 15, state
    assert (cell.status, cell.name) == ("error", "Interrupted"), cell


@pytest.mark.parametrize("after", [0.02, 0.1, 0.4])
def test_while_a_cell_compiles(kept, times, after):
    cell = kept.run(HEAVY, stop_after=after)
    ends(cell, times, f"compiling, after {after} s")
    assert "all variables are as they were" in cell.text
    assert kept.is_alive()
    assert kept.run("many").status == "error", "it did not run"


def test_a_variable_that_the_cell_would_have_moved_stays(kept, times):
    kept.run('let text = "kept".to_owned();')
    cell = kept.run("let theirs = text;" + HEAVY, stop_after=0.4)
    ends(cell, times, "compiling, with a variable to move")
    assert "before it ran" in cell.text
    assert kept.run("text.len()").value == "4"


def test_when_nothing_runs(kept):
    kept.interrupt()
    time.sleep(0.2)
    assert kept.is_alive()


def test_as_a_message(kept, times):
    request = kept.send(LOOP.replace("begins", "a message"))
    kept.wait_for_text("a message")
    begun = time.monotonic()
    assert kept.ask("interrupt_request", "control")["status"] == "ok"
    cell = kept.finish(request)
    cell.seconds = time.monotonic() - begun
    ends(cell, times, "a loop, by a message")
    kept.run("let kept = 41;")


def test_a_loop_that_does_not_listen(kept, times):
    behind_loop = kept.send(LOOP)
    behind = kept.send("1")
    cell = kept.finish(behind_loop, stop_at="begins")
    ends(cell, times, "a loop of the cell's own")
    assert "does not listen" in cell.text and "all variables are lost" in cell.text
    assert kept.finish(behind).status == "aborted"
    cell = kept.run("kept + 1")
    assert "`kept` was lost with all other variables" in cell.text, cell
    assert kept.run("40 + 2").value == "42"
    kept.run("let kept = 41;")


def test_a_child_of_the_cell_ends_with_it(kept, times):
    source = 'println!("begins"); std::process::Command::new("sleep").arg("600").status()?;'
    ends(kept.run(source, stop_at="begins"), times, "a program that the cell has started")
    kept.run("let kept = 41;")


def test_training_keeps_all_and_goes_on(kept, times, tmp_path):
    session = kept
    fit = FIT.replace("CHECKPOINT", str(tmp_path / "checkpoint.safetensors"))
    assert session.run(SET_UP).status == "ok"
    cell = session.run(MODEL)
    assert cell.status == "ok", cell
    request = session.send(fit)
    # After a few epochs: their lines are shown, or the checkpoint exists.
    deadline = time.monotonic() + SECONDS
    while not (tmp_path / "checkpoint.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    begun = time.monotonic()
    session.interrupt()
    cell = session.finish(request)
    cell.seconds = time.monotonic() - begun
    ends(cell, times, "training")
    done = int(re.search(r"goes on after epoch (\d+)", cell.text)[1])
    assert 0 < done < EPOCHS

    # Runs only that cell again: all variables exist.
    again = session.run(fit)
    assert again.status == "ok", again
    assert f"{EPOCHS} epochs" in again.stream()
    assert session.is_alive()


def test_a_search_keeps_its_trials_and_all_variables(kept, times, tmp_path):
    session = kept
    assert session.run(SET_UP).status == "ok"
    assert session.run(MODEL).status == "ok"
    request = session.send(SEARCH.replace("TRIALS", str(tmp_path)))
    deadline = time.monotonic() + SECONDS
    while not any(tmp_path.rglob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    begun = time.monotonic()
    session.interrupt()
    cell = session.finish(request)
    cell.seconds = time.monotonic() - begun
    ends(cell, times, "a search")
    assert any(tmp_path.rglob("*.json")), "what was tried is not tried again"
    assert session.run("split.train.len() > 0 && model.count_params() > 0").value == "true"
    assert session.is_alive()


def test_a_script_in_the_background_ignores_interrupts_and_its_kernel_does_not(background_session, times):
    cell = background_session.run(LOOP, stop_at="begins")
    ends(cell, times, "a loop, Jupyter in the background")
    assert background_session.run("40 + 2").value == "42"


def test_before_evcxr_is_there(times):
    for _ in range(5):
        session = Session()
        try:
            cell = session.run("1", stop_after=0.1)
            assert session.run("40 + 2").value == "42"
        finally:
            session.close()
        # evcxr may have been ready before this process got processor time.
        if cell.status != "ok":
            return ends(cell, times, "the kernel is starting")
    raise AssertionError("each interrupt came too late")


def test_one_that_comes_between_cells_costs_no_variables(kept):
    """The front learns a moment later than the process that runs cells that a cell has ended."""
    runner = int(kept.run("std::process::id()").value)
    os.kill(runner, signal.SIGINT)
    time.sleep(0.2)
    assert kept.is_alive()
    assert int(kept.run("std::process::id()").value) == runner
