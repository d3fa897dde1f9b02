"""The parameters cell: its declarations, and the values that it accepts."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import notebook
from papermill.inspection import inspect_notebook

from papermill_rust.declarations import Declaration, declarations, declared_by, main, statements, type_of
from papermill_rust.parameters import ParameterError, assignment

CELL = """\
// Parameters
let data = "../data; // here"; // the folder of X.npy
let sample: usize = 0; let epochs: usize = 50; // at most
let mut learning_rate: f64 = 1e-3;
let layers: Vec<usize> = vec![64, 32]; // hidden; in order
let limit: Option<f64> =
    None;
let model = build(1, "a;b");
"""


def test_names_types_defaults_and_comments_are_read():
    assert declarations(CELL) == [
        Declaration("data", '"../data; // here"', None, "the folder of X.npy"),
        Declaration("sample", "0", "usize"),
        Declaration("epochs", "50", "usize", "at most"),
        Declaration("learning_rate", "1e-3", "f64", mutable=True),
        Declaration("layers", "vec![64, 32]", "Vec<usize>", "hidden; in order"),
        Declaration("limit", "None", "Option<f64>"),
        Declaration("model", 'build(1, "a;b")'),
    ]


def test_statements_lose_their_comments_and_nothing_else():
    source = 'let a = "x; // y"; // here; there\nfit(a)?; /* ; */\nlet c = \';\';\n{ a; b }'
    assert statements(source) == ['let a = "x; // y";', "fit(a)?;", "let c = ';';", "{ a; b }"]
    code = 'let a = 1; // let b = 1;\n/* let c = 2; */ let d = "\\"; ";'
    assert statements(code) == ["let a = 1;", 'let d = "\\"; ";']


def test_the_text_of_a_default_is_what_a_person_would_write():
    texts = {one.name: one.text for one in declarations('let a = "../data"; let b = 5; let c = "say \\"x\\"";')}
    assert texts == {"a": "../data", "b": "5", "c": '"say \\"x\\""'}


def test_declarations_of_files_are_printed_as_json(tmp_path, capsys):
    path = tmp_path / "01.ipynb"
    nbformat.write(notebook("let later = 1;", parameters="let epochs: usize = 50; // at most"), path)
    main([path])
    (found,) = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["default"], one["annotation"]) for one in found] == [("epochs", "50", "usize")]
    path.write_text("{")
    with pytest.raises(SystemExit, match="01.ipynb is not a notebook"):
        main([path])


def test_a_file_may_hold_a_cell_as_a_list_of_lines():
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": ["let a = 1;\n", "let b = 2;"]}
    assert [one.name for one in declared_by({"cells": [cell]})] == ["a", "b"]


def test_declarations_need_no_papermill():
    """The lint reads them with the system's Python, before anything is installed."""
    code = "import sys; sys.modules['papermill'] = None; import papermill_rust.declarations"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=True)


@pytest.mark.parametrize(
    ("default", "kind"),
    [
        ("true", "bool"),
        ("42", "i32"),
        ("-1", "i32"),
        ("0xff", "i32"),
        ("1_000_u64", "u64"),
        ("1.0", "f64"),
        ("-1e-3", "f64"),
        ("1e-3_f32", "f32"),
        ("f64::INFINITY", "f64"),
        ('"a"', "&str"),
        ('r#"a"#', "&str"),
        ('"a".to_owned()', "String"),
        ('String::from("a")', "String"),
        ("'x'", "char"),
        ("Some(0.5)", "Option<f64>"),
        ("vec![1.0, 2.0]", "Vec<f64>"),
        ("[[1, 2], [3, 4]]", "[[i32; 2]; 2]"),
        ("None", "None"),
        ("vec![]", "None"),
        ("vec![1, 2.0]", "None"),
        ("Adam::new()", "None"),
    ],
)
def test_a_default_tells_its_type(default, kind):
    assert str(type_of(default)) == kind


def test_help_lists_the_parameters(papermill):
    path = papermill.notebooks / "source.ipynb"
    nbformat.write(notebook(parameters=CELL), path)

    run = papermill.run(notebook(parameters=CELL), "--help-notebook")

    assert run.status == 0
    assert "epochs: usize (default 50) at most" in " ".join(run.text.split())
    assert "data: &str (default \"../data; // here\") the folder of X.npy" in " ".join(run.text.split())
    assert inspect_notebook(path)["limit"] == {
        "name": "limit",
        "inferred_type_name": "Option<f64>",
        "default": "None",
        "help": "",
    }


NOTEBOOKS = sorted((Path(__file__).parents[3] / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def test_the_notebooks_are_found():
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{number:02}" for number in range(1, 12)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_names_types_and_defaults_of_every_notebook_are_read(path):
    """They are equal to the lines of the cell, and papermill can write values of their types."""
    cell = next(cell for cell in nbformat.read(path, 4).cells if "parameters" in cell.metadata.get("tags", []))
    lines = re.findall(r"^let (?:mut )?(\w+)(?:: ([^=]+?))? = (.*?);(?: // (.+))?$", cell.source, re.MULTILINE)
    assert len(lines) == len(cell.source.splitlines()), "a line each"

    found = inspect_notebook(path)

    assert list(found) == [name for name, *_ in lines]
    for name, kind, default, comment in lines:
        kind = kind or str(type_of(default))
        assert found[name] == {"name": name, "inferred_type_name": kind, "default": default, "help": comment}
        assert kind != "None", f"{name}: of no type that has literals"
    assert found["quick"]["inferred_type_name"] == "bool", "a quick run says so on the page"
    assert found["quick"]["default"] == "false"


def test_help_of_a_notebook_lists_its_parameters_from_its_own_folder():
    for path in NOTEBOOKS:
        command = [sys.executable, "-m", "papermill", "--help-notebook", path.name]
        run = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=240)
        assert run.returncode == 0, run.stderr
        text = " ".join((run.stdout + run.stderr).split())
        for name, found in inspect_notebook(path).items():
            assert f"{name}: {found['inferred_type_name']} (default {found['default']})" in text, path.name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-p", "epoch", 3], "Error: the notebook has no parameter `epoch`, only data, sample, epochs"),
        (["-p", "epoch", 3], "did you mean `epochs`?"),
        (["-p", "epochs", -1], "Error: parameter `epochs`: -1 is outside `usize`"),
        (["-p", "epochs", "many"], "Error: parameter `epochs`: 'many' is no `usize` (such as 7)"),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_runs(papermill, arguments, message):
    run = papermill.run(notebook("panic!()", parameters=CELL), *arguments)

    assert run.status == 1
    assert message in run.text
    assert "Traceback" not in run.text
    assert run.nb is None, "no output is written"


def test_a_parameter_without_a_parameters_cell_is_refused(papermill):
    run = papermill.run(notebook("1"), "-p", "epochs", 3)
    assert run.status == 1
    assert "Error: parameter `epochs`: the notebook has no cell tagged `parameters` that declares one" in run.text


def test_injected_lines_keep_the_declared_type(papermill):
    arguments = ["-p", "learning_rate", 1, "-p", "layers", "[8, 4]", "-p", "limit", 2, "-p", "data", "../data/sample"]

    run = papermill.run(notebook(parameters=CELL), *arguments, "-r", "sample", "7", "--prepare-only")

    assert run.status == 1, "-r gives text"
    run = papermill.run(notebook(parameters=CELL), *arguments, "--inject-paths", "--prepare-only")
    assert run.status == 0, run.text
    assert run.code[1].metadata.tags == ["injected-parameters"]
    assert run.code[1].source.splitlines() == [
        "// Parameters",
        'let PAPERMILL_INPUT_PATH: &str = "notebooks/source.ipynb";',
        f'let PAPERMILL_OUTPUT_PATH: &str = "{papermill.output}";',
        "let mut learning_rate: f64 = 1.0;",
        "let layers: Vec<usize> = vec![8, 4];",
        "let limit: Option<f64> = Some(2.0);",
        'let data: &str = "../data/sample";',
    ]


def test_an_unknown_type_is_named():
    with pytest.raises(ParameterError, match="its type `Adam` has no literals"):
        assignment(Declaration("optimizer", "Adam::new()", "Adam"), 1)
