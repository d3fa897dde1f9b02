"""A cell that fails is answered with an error, and the requests after it with `aborted`."""

import pytest
from failures import EVCXR_DIES, FAILURES


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failed_cell_is_an_error(session, kind):
    source, name, word = FAILURES[kind]
    with session.held():
        failing = session.send(source)
        behind = [session.send("let never = 1;"), session.send('println!("never");')]

    cell = session.finish(failing)
    assert (cell.status, cell.name) == ("error", name), cell
    assert word in cell.text, cell
    (error,) = cell.of("error")
    assert error == {key: cell.reply[key] for key in ("ename", "evalue", "traceback")}
    assert word.removeprefix("(line ").removesuffix(")") in cell.traceback
    for frame in ("lib.rs", "evcxr", "command_", "__rust"):
        assert frame not in cell.traceback, cell
    assert "panicked at" not in cell.stream("stderr"), "the error says it"
    for request in behind:
        aborted = session.finish(request)
        assert aborted.status == "aborted"
        assert not aborted.of("execute_input", "stream")
    # The kernel can be used at once.
    assert session.run("40 + 2").value == "42"


def test_output_before_a_failure_stays(session):
    cell = session.run('eprintln!("a warning");\nprint!("loading ... ");\nstd::fs::read("/nowhere")?;')
    assert cell.stream() == "loading ... "
    assert cell.stream("stderr") == "a warning\n"
    assert cell.text == "No such file or directory (os error 2)"
    cell = session.run('println!("before");\nstd::fs::read("/nowhere")?;')
    assert (cell.stream(), cell.stream("stderr")) == ("before\n", "")
    cell = session.run('println!("before");\nlet none: Option<i32> = None;\nnone.unwrap();')
    assert cell.stream() == "before\n"
    assert "line 3, column" in cell.traceback, cell


@pytest.mark.parametrize("place", ["alone", "behind another statement"])
def test_an_error_tells_the_line_that_returned_it(session, place):
    line = 'std::fs::read("/nowhere")?;' if place == "alone" else 'let a = 1; std::fs::read("/nowhere")?;'
    cell = session.run(f"let first = 1;\n{line}\nfirst")
    assert f"cell [{cell.reply['execution_count']}], line 2, column {line.index('std') + 1}" in cell.traceback, cell
    assert (cell.name, cell.text, cell.stream()) == ("Error", "No such file or directory (os error 2)", "")


def test_an_error_of_several_lines_is_whole(session):
    text = 'writeln!(f, "the first line")?;\n        writeln!(f, "the second")?;\n        write!(f, "the last")'
    cell = session.run(
        "#[derive(Debug)]\nstruct Long;\nimpl std::fmt::Display for Long {\n"
        "    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {\n"
        f"        {text}\n    }}\n}}\nErr::<(), _>(Long)?;"
    )
    assert (cell.name, cell.text) == ("Error", "the first line\nthe second\nthe last"), cell
    assert cell.stream("stderr") == ""


def test_variables_survive_a_panic_and_an_error(session):
    session.run("let kept = 41;")
    for source in ("panic!(\"no\");", "Err::<(), _>(\"no\")?;", "let bad = nowhere;", "let bad = (1;"):
        assert session.run(source).status == "error"
        assert session.is_alive()


def test_who_wants_it_goes_on_behind_a_failure(session):
    with session.held():
        failing = session.send('panic!("no");', stop_on_error=False)
        behind = session.send("40 + 2")
    assert session.finish(failing).status == "error"
    assert session.finish(behind).value == "42"


def test_a_cell_asked_after_the_answer_runs(session):
    for _ in range(3):
        assert session.run('panic!("no");').status == "error"
        assert session.run("40 + 2").value == "42"


def test_a_panic_in_a_function_of_another_cell_tells_that_cell(session):
    cell = session.run("fn third(x: &[i32]) -> i32 {\n    // why\n    x[2]\n}")
    number = cell.reply["execution_count"]
    cell = session.run("third(&[])")
    assert f"cell [{number}], line 3, column 5" in cell.traceback, cell


def test_a_panic_in_another_thread_is_text(session):
    cell = session.run('let _ = std::thread::spawn(|| panic!("elsewhere")).join();\nprintln!("after");')
    assert cell.status == "ok"
    assert "elsewhere" in cell.stream("stderr")
    assert cell.stream() == "after\n"


def test_evcxr_that_dies_is_an_error_and_started_again(own_session):
    session = own_session
    with session.held():
        failing = session.send(EVCXR_DIES)
        behind = session.send("1")
    cell = session.finish(failing)
    assert cell.name == "DeadKernel", cell
    assert "all variables are lost" in cell.text
    assert session.finish(behind).status == "aborted"
    assert session.run("40 + 2").value == "42"


@pytest.mark.parametrize("line", ["alone", "in a loop"])
def test_a_panic_elsewhere_tells_the_line_of_the_cell_that_led_to_it(session, line):
    """In the standard library's own code, which knows nothing of its caller."""
    panics = "let early = std::time::Instant::now() - std::time::Duration::MAX;"
    inner = panics if line == "alone" else f"for _ in 0..2 {{\n    {panics}\n}}"
    cell = session.run(f"let first = 1;\n{inner}\nfirst")
    number = 2 if line == "alone" else 3
    assert f"cell [{cell.reply['execution_count']}], line {number}, column" in cell.traceback, cell
    assert panics in cell.traceback
    for frame in (".rs", "evcxr_at", "  at "):
        assert frame not in cell.traceback, cell


def test_a_panic_below_helpers_tells_the_line_of_the_cell(session):
    assert session.run(':dep helpers = { path = "../helpers" }\nuse helpers::prelude::*;').status == "ok"
    cell = session.run("let first = 1;\nconfusion_matrix(&[0], &[0], 2)?[(5, 5)]")
    assert (cell.name, "out of bounds" in cell.text) == ("Panic", True), cell
    assert f"cell [{cell.reply['execution_count']}], line 2, column" in cell.traceback, cell
    assert ".rs" not in cell.traceback, cell


def test_a_compile_error_shows_nothing_that_was_added_to_the_cell(session):
    cell = session.run("let first = vec![1];\nif first.len() > 1 {\n    first.nothing();\n}\nfirst")
    assert "line 3, column 11" in cell.traceback, cell
    assert "evcxr" not in cell.traceback, cell


def test_a_type_that_is_declared_anew_costs_its_variables_alone(session):
    session.run("let kept = 41;")
    session.run("struct Point { x: u8 }\nlet point = Point { x: 1 };")
    # The same names with other types: the value must not be read as one of the new type.
    session.run("struct Point { x: String }")
    cell = session.run("point.x.len()")
    assert cell.name == "CompileError", cell
    assert session.is_alive()
