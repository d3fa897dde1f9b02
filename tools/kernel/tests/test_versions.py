"""Whatever the first cell of a notebook is, helpers has the tested versions of its crates, already compiled."""

import re

from conftest import KERNEL, folder_of


def versions(lock_file):
    return set(re.findall(r'name = "(.+)"\nversion = "(.+)"', lock_file.read_text()))


def test_a_cell_before_helpers_makes_cargo_forget_no_version(session):
    # If the first cells used no crate, cargo would make a lock file without any.
    assert session.run('println!("{}", 1 + 1);').stream() == "2\n"
    cell = session.run(':dep helpers = { path = "../helpers" }\nprintln!("{}", helpers::text::thousands(7));')
    assert cell.stream() == "7\n"
    tested = versions(KERNEL / "template" / "configuration" / "Cargo.lock")
    assert len(tested) > 50
    assert versions(folder_of(session) / "Cargo.lock") == tested


def test_a_dependency_that_comes_later_keeps_variables(session, tmp_path):
    session.run(':dep helpers = { path = "../helpers" }\nuse helpers::prelude::*;')
    assert session.run('let dataset = Dataset::load("../data/sample")?;').status == "ok"
    crate = tmp_path / "tiny"
    (crate / "src").mkdir(parents=True)
    (crate / "Cargo.toml").write_text('[package]\nname = "tiny"\nversion = "0.1.0"\nedition = "2024"\n')
    (crate / "src/lib.rs").write_text("pub fn seven() -> i32 { 7 }\n")
    cell = session.run(f':dep tiny = {{ path = "{crate}" }}\ntiny::seven()')
    assert cell.value == "7", cell
    assert session.run("dataset.len()").value == "4000"
