"""Interrupting a training costs an epoch at most: run the cell again, and it goes on."""

import re

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
let checkpoint = CHECKPOINT;
"""
FIT = f"""
let config = FitConfig {{ epochs: {EPOCHS}, patience: {EPOCHS}, batch_size: 16, ..FitConfig::default() }};
let history = model.fit_with(&split, config, Callbacks::default().backup_and_restore(checkpoint))?;
println!("{{}} epochs", history.epochs_run());
"""


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


def test_an_interrupt_does_no_more_than_it_must(background_session):
    session = background_session
    session.run("let kept = 41;")
    # Nothing is running.
    session.interrupt()
    assert session.run('println!("{}", kept + 1);', last="42") == "42\n"

    # A cell of its own loop does not listen. It ends, and the kernel goes on.
    loop = 'println!("begins"); loop { std::thread::sleep(std::time::Duration::from_millis(10)); }'
    stopped = session.run(loop, stop_at="begins", last="all variables")
    assert "interrupted: the cell does not listen" in stopped
    assert session.run('println!("{}", 40 + 2);', last="42") == "42\n"
