"""evcxr's analyser finds the types of variables in the sources that it has, and mistakes are explained at once."""

import pytest
from conftest import KERNEL, folder_of

FIRST = ':dep helpers = { path = "../helpers" }\nuse helpers::prelude::*;'

STANDARD = """
let words = "b a b".split(' ').map(str::to_owned).collect::<Vec<_>>();
let counts = words.iter().fold(std::collections::BTreeMap::new(), |mut counts, word| {
    *counts.entry(word.clone()).or_insert(0) += 1;
    counts
});
let distinct = words.iter().cloned().collect::<std::collections::HashSet<_>>();
let largest = counts.values().copied().max();
let started = std::time::Instant::now();
let halves = [1.0, 3.0].map(|value| value / 2.0);
let path = std::path::Path::new("a").join("b");
"""
USED = 'println!("{counts:?} {} {largest:?} {} {halves:?} {}", distinct.len(), started.elapsed().as_secs() < 600, path.display());'


@pytest.mark.skipif(
    not (KERNEL / "rust-src" / "std").exists(), reason="the compiler has come without the component rust-src"
)
def test_variables_of_the_standard_library_need_no_type(session):
    session.run(STANDARD)
    shown = '{"a": 1, "b": 2} 2 Some(2) true [0.5, 1.5] a/b'
    assert shown in session.run(USED).stream()


def test_what_methods_of_other_crates_give_needs_no_type(session):
    session.run(FIRST)
    # An array of `ndarray`, whose sources the analyser also has.
    matrix = "confusion_matrix(&[0, 1, 1], &[0, 1, 0], 2)?"
    session.run(f"let total = {matrix}.sum();\nlet rows = {matrix}.nrows();")
    assert session.run('println!("{total} {rows}");').stream() == "3 2\n"


def test_a_mistake_is_explained_without_compiling_helpers(session):
    session.run(FIRST)
    template = (KERNEL / "template").resolve()

    def compiled():
        return {path: path.stat().st_mtime_ns for path in (template / "target").rglob("*.rmeta")}

    before = compiled()
    assert any("helpers" in path.name for path in before)
    cell = session.run("let mistake = nobody_knows_this;")
    assert cell.status == "error"
    assert "nobody_knows_this" in cell.traceback
    assert compiled() == before
    assert not (folder_of(session) / "target").exists()
