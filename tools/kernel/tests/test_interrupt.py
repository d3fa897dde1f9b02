"""Interrupting a training costs an epoch at most: run the cell again, and it goes on."""

import re
import time
from pathlib import Path
from queue import Empty

import pytest
from jupyter_client import KernelManager

NOTEBOOKS = Path(__file__).resolve().parents[3] / "notebooks"
EPOCHS = 12

SET_UP = """
:dep helpers = { path = "../helpers" }
use helpers::prelude::*;
"""
MODEL = """
let dataset = Dataset::load("../data/sample")?;
let split = dataset.split(SplitConfig::default())?;
let network = DenseConfig { hidden: vec![512, 256], ..DenseConfig::default() };
let mut model = network.network(dataset.image_shape(), dataset.classes()).build(7)?;
model.backup_and_restore(CHECKPOINT);
"""
FIT = f"""
let config = FitConfig {{ epochs: {EPOCHS}, patience: {EPOCHS}, batch_size: 16, ..FitConfig::default() }};
let history = model.fit(&split, config)?;
println!("{{}} epochs", history.epochs_run());
"""


class Session:
    """One kernel, as JupyterLab holds it."""

    def __init__(self):
        self.manager = KernelManager(kernel_name="rust")
        self.manager.start_kernel(cwd=str(NOTEBOOKS))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=False)

    def interrupt(self):
        """As JupyterLab's stop button."""
        self.manager.interrupt_kernel()

    def run(self, code, stop_at=None, last=None):
        """Runs a cell to its end and gives what it printed; interrupts it once ``stop_at`` is printed.

        What a cell prints last may arrive after the kernel said that it is idle; ``last`` is waited for.
        """
        request = self.client.execute(code)
        printed, idle, deadline = "", False, time.monotonic() + 240
        while time.monotonic() < deadline:
            if idle and (last is None or last in printed):
                return printed
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except Empty:
                continue
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            printed += content.get("text", "") if message["msg_type"] == "stream" else ""
            if stop_at and stop_at in printed:
                self.interrupt()
                stop_at = None
            idle = idle or content.get("execution_state") == "idle"
        raise AssertionError(f"waited for {last or 'the end of the cell'}; so far it printed:\n{printed}")


@pytest.fixture
def session():
    session = Session()
    yield session
    session.close()


def test_an_interrupted_training_goes_on(session, tmp_path):
    model = MODEL.replace("CHECKPOINT", f'"{tmp_path / "checkpoint.safetensors"}"')
    session.run(SET_UP)
    session.run(model)
    stopped = session.run(FIT, stop_at=f"epoch  3/{EPOCHS}", last="was interrupted")
    assert f"epoch {EPOCHS}/{EPOCHS}" not in stopped, "the training ended before it could be interrupted"
    done = max(int(number) for number in re.findall(rf"^epoch +(\d+)/{EPOCHS}", stopped, re.MULTILINE))
    assert f"run it again, and it goes on after epoch {done}" in stopped

    # That cell alone, again: all variables are there.
    again = session.run(FIT, last=f"{EPOCHS} epochs")
    goes_on = re.search(r"goes on after epoch (\d+),", again)
    assert goes_on, again
    assert int(goes_on[1]) == done
    # The cell shows all epochs, those before the interrupt too.
    shown = [int(number) for number in re.findall(rf"^epoch +(\d+)/{EPOCHS}", again, re.MULTILINE)]
    assert shown == list(range(1, EPOCHS + 1))


def test_an_interrupt_does_no_more_than_it_must(session):
    session.run("let kept = 41;")
    # Nothing is running.
    session.interrupt()
    assert session.run('println!("{}", kept + 1);', last="42") == "42\n"

    # A cell of its own loop does not listen. It ends, and the kernel goes on.
    loop = 'println!("begins"); loop { std::thread::sleep(std::time::Duration::from_millis(10)); }'
    stopped = session.run(loop, stop_at="begins", last="all variables")
    assert "interrupted: the cell does not listen" in stopped
    assert session.run('println!("{}", 40 + 2);', last="42") == "42\n"
