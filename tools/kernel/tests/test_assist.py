"""Completion and documentation."""

import pytest

SET_UP = ':dep helpers = { path = "../helpers" }\nuse helpers::prelude::*;'


@pytest.fixture(scope="module")
def prepared(session):
    assert session.run(SET_UP).status == "ok"
    assert session.run('let dataset = Dataset::load("../data/sample")?;\nlet value_long = 1;').status == "ok"
    return session


def complete(session, code):
    """The completions at ``|``, and the code with the first one in place."""
    at = code.index("|")
    code = code.replace("|", "")
    found = session.ask("complete_request", code=code, cursor_pos=at)
    assert found["status"] == "ok"
    matches = found["matches"]
    return matches, matches and code[: found["cursor_start"]] + matches[0] + code[found["cursor_end"] :]


def test_behind_flags_and_other_letters(prepared):
    assert complete(prepared, 'let s = "🇩🇪🇫🇷 é"; value_lon|')[1] == 'let s = "🇩🇪🇫🇷 é"; value_long'


def test_in_the_middle_of_a_name(prepared):
    matches, code = complete(prepared, "let n = value_l|xyz;")
    assert "value_long" in matches
    assert code == "let n = value_long;"


def test_what_a_cell_may_not_use_is_left_out(prepared):
    matches, _ = complete(prepared, "dataset.|")
    assert {"classes()", "len()", "split(config)"} <= set(matches)
    assert "loaded" not in matches, "a field of its own"
    assert "x_sentence()" not in matches, "a function that helpers keeps for itself"


def inspect(session, code):
    at = code.index("|")
    return session.ask("inspect_request", code=code.replace("|", ""), cursor_pos=at, detail_level=0)


@pytest.mark.parametrize("code", ["dataset.sp|lit(", "dataset.split|(", "let s = dataset.split(|)", "dataset.split(SplitConfig|"])
def test_documentation_of_helpers(prepared, code):
    found = inspect(prepared, code)
    assert found["found"] is True
    assert "plit" in found["data"]["text/plain"]
    assert len(found["data"]["text/plain"]) > 100, found["data"]["text/plain"]


def test_what_is_not_known_is_not_found(prepared):
    assert inspect(prepared, "nobody_knows_this|")["found"] is False
