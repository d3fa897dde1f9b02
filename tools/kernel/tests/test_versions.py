"""Whatever a notebook begins with, helpers comes in the versions that were tested, and compiled already."""

import re
from pathlib import Path

KERNEL = Path(__file__).resolve().parents[3] / ".tools" / "kernel"


def versions(lock_file):
    return set(re.findall(r'name = "(.+)"\nversion = "(.+)"', lock_file.read_text()))


def test_a_cell_before_helpers_makes_cargo_forget_no_version(session):
    # Of cells that use no crate cargo makes a lock file without any.
    session.run('println!("{}", 1 + 1);', last="2")
    session.run(':dep helpers = { path = "../helpers" }\nprintln!("{}", helpers::text::thousands(7));', last="7")
    (folder,) = KERNEL.glob(f"sessions/{session.manager.provisioner.pid}-*/")
    tested = versions(KERNEL / "template" / "configuration" / "Cargo.lock")
    assert len(tested) > 50
    assert versions(folder / "Cargo.lock") == tested
