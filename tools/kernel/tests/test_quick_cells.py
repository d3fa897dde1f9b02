"""Cells are compiled against the warm build, with the same results as when cargo compiles them."""

import os
import shutil
import time

import pytest
from conftest import Session, folder_of

FIRST = ':dep helpers = { path = "../helpers" }\nuse helpers::prelude::*;'


def compiled(session):
    """The source of the last compiled cell; none if all were kept."""
    file = folder_of(session) / "cell" / "src" / "lib.rs"
    return file.read_text() if file.exists() else ""


@pytest.fixture(scope="module", autouse=True)
def helpers(session):
    assert session.run(FIRST).status == "ok"


def test_cells_are_linked_with_the_library(session):
    session.run(f"let kept = vec![1, 2, 3]; // {time.time_ns()}, as no cell before")
    # evcxr's variable store is in the library. If this fails, evcxr's store has changed: see `toolchain/cell.rs`.
    assert "use notebook_library::store as evcxr_internal_runtime;" in compiled(session)
    assert "mod evcxr_internal_runtime" not in compiled(session)
    folder = folder_of(session)
    assert not (folder / "target").exists()
    files = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    assert sum(file.stat().st_size for file in files) < 20e6


def test_a_cell_that_is_run_again_is_not_compiled_again(session):
    code = f'println!("again"); // {time.time_ns()}'
    assert session.run(code).stream() == "again\n"
    assert "again" in compiled(session)
    session.run(f'println!("between"); // {time.time_ns()}')
    assert session.run(code).stream() == "again\n"
    assert "again" not in compiled(session)


def test_a_refusal_is_told_again_in_the_same_words(session):
    code = f"let wrong: u8 = 1; // {time.time_ns()}\nlet mistake: u8 = nobody_knows_this;"
    first, second = session.run(code), session.run(code)
    assert "nobody_knows_this" in first.traceback
    # Each cell has its own number.
    assert second.traceback.splitlines()[2:] == first.traceback.splitlines()[2:]


def test_a_number_whose_type_is_open_is_shown(session):
    """With `ShowResult` in scope, which offers numbers the method that evcxr shows values with."""
    assert session.run("let whole = 2 * 21;\nwhole").value == "42"
    assert session.run("let part = 1.5; (part)").value == "1.5"
    assert session.run("let few = 300; let wide: u16 = few; few").value == "300"
    # The types are those of any program.
    sizes = session.run('println!("{} {} {}", size_of_val(&whole), size_of_val(&part), size_of_val(&few));')
    assert sizes.stream() == "4 8 2\n", sizes


def test_levels_of_optimisation_are_known(session):
    session.run("let kept = vec![1, 2, 3];")
    session.run(":opt 3")
    assert session.run('println!("{} {}", kept.len(), thousands(1234));').stream() == "3 1,234\n"
    # Overflow checks stay on, as in evcxr at every optimisation level.
    cell = session.run("let one = std::env::args().count().min(1) as u8;\nlet above = u8::MAX + one;")
    assert "overflow" in cell.text
    session.run(":opt 0")
    assert not (folder_of(session) / "target").exists()


def test_a_cell_finds_the_persons_own_tools(session):
    asked = "command -v cargo; echo home=$CARGO_HOME; env | grep -c NOTEBOOK_TOOLS"
    said = session.run(
        f'let said = std::process::Command::new("sh").args(["-c", "{asked}"]).output()?;\n'
        'println!("{}", String::from_utf8(said.stdout)?);'
    )
    tool, home, count = said.stream().split()
    assert tool == shutil.which("cargo")
    assert home == f"home={os.environ.get('CARGO_HOME', '')}"
    assert count == "0"


def test_an_unchanged_cell_is_not_compiled_in_another_session(session):
    number = time.time_ns()
    code = f'fn one() -> u8 {{ 1 }}\nfn two() -> u8 {{ 2 }}\nlet (a, b) = (one(), two());\nprintln!("{{a}}{{b}}"); // {number}'
    shown = []
    for _ in range(2):
        other = Session()
        try:
            other.run(FIRST)
            shown.append((other.run(code).stream(), str(number) in compiled(other)))
        finally:
            other.close()
    assert shown == [("12\n", True), ("12\n", False)]


def test_two_kernels_at_once(session):
    other = Session()
    try:
        other.run(FIRST)
        sent = [one.send(f"let own = {number};") for number, one in enumerate((session, other))]
        for one, request in zip((session, other), sent, strict=True):
            one.finish(request)
        assert [one.run('println!("{own}");').stream() for one in (session, other)] == ["0\n", "1\n"]
    finally:
        other.close()


def told(cell):
    return [content["data"].get("text/plain", "") for content in cell.of("display_data", "update_display_data")]


def test_ten_starts_in_a_row():
    for number in range(10):
        other = Session()
        try:
            assert other.run(f"{number} + 1").value == str(number + 1)
            folder = folder_of(other)
        finally:
            other.close()
        assert not folder.exists()


def test_another_dependency_keeps_all_variables(own_session):
    session = own_session
    session.run(FIRST)
    session.run("#[derive(Debug)]\nstruct Own { value: u8 }\nlet own = Own { value: 7 };")
    session.run(
        'let dataset = Dataset::load("../data/sample")?;\n'
        "let model = Sequential::new(dataset.image_shape()).flatten().dense(2).build(7)?;"
    )
    # A version of this crate is already compiled.
    cell = session.run(':dep half = "2"\nprintln!("{}", half::f16::from_f32(1.5));')
    assert cell.stream() == "1.5\n", cell
    assert any("with cargo, as it has other dependencies" in text or "compiled" in text for text in told(cell)), "of the wait"
    cell = session.run('println!("{own:?} {}", dataset.len() > 0 && model.count_params() > 0);')
    assert cell.stream() == "Own { value: 7 } true\n", cell
    # A cell that cargo compiles tells where it fails, too.
    for failing in ('std::fs::read("/nowhere")?;', "let early = std::time::Instant::now() - std::time::Duration::MAX;"):
        cell = session.run(f"let first = 1;\n{failing}")
        assert cell.name in ("Error", "Panic") and "line 2, column" in cell.traceback, cell
    # It is compiled again when it changes.
    assert session.run('println!("one");').stream() + session.run('println!("two");').stream() == "one\ntwo\n"
    # In a copy of the warm build, and without compiling helpers again.
    assert (folder_of(session) / "target").exists()
    assert "helpers" not in "".join(told(cell))


def test_a_kernel_reads_helpers_before_its_first_cell(own_session):
    manifest = folder_of(own_session) / "Cargo.toml"
    for _ in range(12_000):
        if manifest.exists() and "helpers = " in manifest.read_text():
            break
        time.sleep(0.02)
    assert "helpers = " in manifest.read_text()
    # A request waits until that is finished. Then no trace of it is left, and nothing was compiled.
    own_session.ask("complete_request", code="std::", cursor_pos=5)
    assert "helpers" not in manifest.read_text() + compiled(own_session)
    cell = own_session.run("Dataset::load")
    assert cell.status == "error" and cell.reply["execution_count"] == 1
