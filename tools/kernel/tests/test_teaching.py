"""Error messages for people who are new to Rust, or to notebooks."""

def test_a_compile_error_shows_rustcs_words_at_the_cells_lines(session):
    cell = session.run('// one\n\nlet number: i32 = 1;\nlet text: String = number;')
    assert cell.name == "CompileError"
    assert cell.text == "mismatched types (line 4)"
    number = cell.reply["execution_count"]
    assert f"--> cell [{number}], line 4, column 20" in cell.traceback
    assert "4 | let text: String = number;" in cell.traceback
    assert "expected due to this" in cell.traceback
    assert "try using a conversion method" in cell.traceback
    assert "\x1b[" in "".join(cell.reply["traceback"]), "in colours"


def test_with_letters_that_are_not_ascii_too(session):
    cell = session.run('let größe = "ä"; let n: i32 = größe;')
    assert "line 1, column 31" in cell.traceback, cell
    assert "expected `i32`, found `&str`" in cell.traceback


def test_every_error_is_shown_once(session):
    cell = session.run("let a: i32 = \"1\";\nlet b: String = 2;")
    assert cell.text == "mismatched types (line 1), and 1 more", cell
    assert cell.traceback.count("error[E0308]") == 2


def test_an_import_that_is_missing_is_told(session):
    cell = session.run("let map: HashMap<i32, i32> = HashMap::new();")
    assert "use std::collections::HashMap;" in cell.traceback, cell
    assert "set-up cell" not in cell.text, "rustc knows better"


def test_a_variable_that_was_moved_tells_where(session):
    first = session.run('let words = vec!["a".to_owned()];').reply["execution_count"]
    second = session.run("let theirs = words;").reply["execution_count"]
    cell = session.run("words.len()")
    assert f"`words` was moved away in cell [{second}]; use `&words` or `words.clone()` there" in cell.text, cell
    assert f"run cell [{first}] again" in cell.text
    assert "help: `words` was moved away" in cell.traceback


def test_a_variable_of_a_cell_that_failed_tells_so(session):
    number = session.run('let half = 1;\nlet loaded = std::fs::read("/nowhere")?;').reply["execution_count"]
    cell = session.run("loaded.len()")
    assert f"cell [{number}] sets `loaded`, but it failed" in cell.text, cell


def test_a_function_of_a_cell_that_failed_tells_so(session):
    number = session.run("fn third(x: i32) -> i32 { x / 3; }").reply["execution_count"]
    cell = session.run("third(4)")
    assert f"cell [{number}] defines `third`, but it failed" in cell.text, cell
    # rustc's suggestion is about a line between two of evcxr's.
    assert ")));" not in cell.traceback, cell


def test_a_variable_that_may_not_change_tells_its_cell(session):
    number = session.run("let fixed = vec![1];").reply["execution_count"]
    for source in ("fixed.push(2);", "fixed = vec![2]"):
        cell = session.run(source)
        assert f"(line 1): cell [{number}] sets `fixed` without `mut`; write `let mut fixed = …`" in cell.text, cell
        assert f"cell [{cell.reply['execution_count']}], line 1, column 1" in cell.traceback, cell
        assert "evcxr" not in cell.traceback


def test_a_value_is_shown_at_its_line(session):
    """rustc's message spans evcxr's own lines, before the value and after it."""
    cell = session.run("let small: u8 = 255;\nsmall + 1")
    assert cell.text == "this arithmetic operation will overflow (line 2)", cell
    shown = "2 | small + 1\n  | ^^^^^^^^^ attempt to compute `u8::MAX + 1_u8`, which would overflow"
    assert shown in cell.traceback, cell
    cell = session.run("struct Plain;\nPlain")
    assert cell.text == "`Plain` doesn't implement `Debug` (line 2)", cell
    assert "2 | Plain\n  | ^^^^^" in cell.traceback, cell
    cell = session.run("1u8.nothing()")
    assert "1 | 1u8.nothing()\n  |     ^^^^^^^" in cell.traceback, cell


def test_lines_of_the_cell_keep_their_numbers_beside_those_of_other_files(session):
    cell = session.run("let numbers = vec![1];\nlet all = numbers.iter().map(|x| x * x).collect();")
    assert "   2 | let all: Vec<_> = numbers" in cell.traceback, cell


def test_a_warning_is_no_error(session):
    assert session.run("macro_rules! twice { ($x:expr) => { $x * 2 }; }\ntwice!(3)").value == "6"
    cell = session.run("nowhere_to_be_found")
    assert "and 1 more" not in cell.text and "unused" not in cell.traceback, cell


def test_a_return_is_told_that_a_cell_is_no_function(session):
    cell = session.run("return 5;")
    assert "a cell is none: its value is its last line" in cell.text, cell
    assert "VariableStore" not in cell.traceback, cell


def test_a_missing_semicolon_is_told_without_what_comes_next(session):
    cell = session.run("let one = 1\none")
    assert cell.text == "expected `;` (line 1)", cell
    assert "`fn`" not in cell.traceback, cell


def test_a_crate_that_is_not_there_tells_how_to_get_it(session):
    cell = session.run("use rand::Rng;")
    assert "`:dep rand = " in cell.text, cell


def test_what_a_cell_writes_names_its_own_lines(session):
    cell = session.run("let one = 1;\ndbg!(one + 1);")
    assert cell.stream("stderr") == f"[cell [{cell.reply['execution_count']}], line 2, column 1] one + 1 = 2\n"


def test_without_the_set_up_cell(own_session):
    session = own_session
    cell = session.run('let dataset = Dataset::load("../data/sample")?;')
    assert "the set-up cell (`:dep helpers = …` and `use helpers::prelude::*;`) has not run" in cell.text, cell
    cell = session.run("use helpers::prelude::*;")
    assert "has not run in this kernel" in cell.text, cell


def test_a_borrow_cannot_be_kept(session):
    session.run("let numbers = vec![1, 2, 3];")
    for source in ("let first = &numbers[0];", "let owned = String::from(\"a\");\nlet part = owned.as_str();"):
        cell = session.run(source)
        assert "a borrow cannot be kept from cell to cell" in cell.text, cell
        assert "EVCXR" not in cell.traceback and "persisted" not in cell.traceback.split("help:")[-1]
    assert session.run("numbers.len()").value == "3"


def test_a_type_without_a_name_cannot_be_kept(session):
    cell = session.run("let doubled = (0..3).map(|x| x * 2);")
    assert "`doubled`" in cell.text and "`.collect::<Vec<_>>()`" in cell.text, cell
    # evcxr writes the type of a kept text such that its check of a cell fails.
    session.run('let name = "Ann";')
    cell = session.run("let half = |x: f64| x / 2.0;")
    assert "`half` is a closure" in cell.text and "write a function (`fn half(" in cell.text, cell
    assert "(line 1)" in cell.text and "1 | let half = |x: f64|" in cell.traceback, cell
    cell = session.run("let parsed = \"1\".parse().unwrap();")
    assert "write it (`let parsed: Vec<f64> = …`)" in cell.text or "type annotations needed" in cell.traceback, cell


def test_a_bracket_tells_its_line(session):
    cell = session.run('let a = 1;\nprintln!("{}", (a + 1;\nlet b = 2;')
    assert cell.name == "SyntaxError"
    assert "line 2" in cell.text
    assert "printl" in cell.traceback


def test_a_dependency_that_is_not_there(session):
    cell = session.run(':dep nowhere = { path = "../nowhere" }')
    assert cell.status == "error"
    assert "nowhere" in cell.text


def test_no_internals_in_any_message(session):
    for source in ("numbers.nothing();", "struct A;\nlet a = A;\na", "let x = 1;\nx = 2;", "1 + \"a\"", "foo!()"):
        cell = session.run(source)
        assert cell.status == "error", source
        for word in ("evcxr", "lib.rs", "command_", "EVCXR"):
            assert word not in cell.traceback, cell


def test_an_error_without_a_text_is_told_to_have_one(session):
    cell = session.run("let first = 1;\nErr::<(), ()>(())?;")
    assert cell.name == "CompileError", cell
    assert "line 2" in cell.text and "its type needs `Display`" in cell.text, cell
    assert "evcxr" not in (cell.text + cell.traceback).lower(), cell
    assert session.run("Err::<(), ()>(()).map_err(|error| format!(\"{error:?}\"))?;").text == "()"
