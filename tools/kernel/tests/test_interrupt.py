"""Interrupting a training costs an epoch at most: run the cells again, and it goes on."""

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
                self.manager.interrupt_kernel()
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
    stopped = session.run(FIT, stop_at=f"epoch  3/{EPOCHS}")
    assert f"epoch {EPOCHS}/{EPOCHS}" not in stopped, "the training ended before it could be interrupted"
    done = max(int(number) for number in re.findall(rf"^epoch +(\d+)/{EPOCHS}", stopped, re.MULTILINE))

    # An interrupt takes the process of the cells, and all variables with it.
    session.run(SET_UP)
    session.run(model)
    again = session.run(FIT, last=f"{EPOCHS} epochs")
    goes_on = re.search(r"goes on after epoch (\d+),", again)
    assert goes_on, again
    # An epoch's checkpoint is written just before its line is printed: one that was printed is kept, and one that was
    # kept may not have been printed.
    assert int(goes_on[1]) in (done, done + 1)
    # The cell shows all epochs, those before the interrupt too.
    shown = [int(number) for number in re.findall(rf"^epoch +(\d+)/{EPOCHS}", again, re.MULTILINE)]
    assert shown == list(range(1, EPOCHS + 1))
