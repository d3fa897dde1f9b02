"""evcxr's analyser tells the types of variables from what it is shown, and mistakes are explained at once."""

from pathlib import Path

import pytest

KERNEL = Path(__file__).resolve().parents[3] / ".tools" / "kernel"
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
    assert shown in session.run(USED, last=shown)


def test_a_mistake_is_explained_without_compiling_helpers_again(session):
    session.run(FIRST)
    (folder,) = KERNEL.glob(f"sessions/{session.manager.provisioner.pid}-*/")

    def compiled():
        found = folder.rglob("*.rmeta")
        return {path.name: path.stat().st_mtime_ns for path in found if "ctx" not in path.name}

    before = compiled()
    assert any("helpers" in name for name in before)
    said = []
    reply = session.client.execute_interactive(
        "let mistake = nobody_knows_this;", timeout=240, output_hook=lambda message: said.append(message["content"])
    )
    assert reply["content"]["status"] == "error"
    assert "nobody_knows_this" in str(said)
    assert compiled() == before
