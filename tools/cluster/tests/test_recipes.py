"""The commands of docs/cluster.md that need no Dask, with a stub instead of the program `trial`."""

import re
import subprocess
from pathlib import Path

import pytest

TEXT = (Path(__file__).resolve().parents[3] / "docs/cluster.md").read_text().split("## Without Dask")[1]

# It writes down and prints its input, and fails half-way for one of the trials.
TRIAL = """#!/bin/sh
read spec
echo "$spec" >> started
printf '%s, ' "$spec"
test "$spec" != two || exit 1
echo done
"""


def loop(engine):
    """What an engine does with the commands in the documentation."""
    listing, line = (next(line for line in TEXT.splitlines() if line.startswith(start)) for start in ("find specs", engine))
    if engine == "parallel":
        return f"{listing}; for spec in $(cat specs.txt); do {line.split('--workdir . ')[1].split(' <')[0].replace('{}', '$spec')}; done"
    variable, elements = re.search(r"\$\{(\w+)}", line)[1], re.search(r"--array.1-(\d+) ", line)[1]
    return f"{listing}; for {variable} in $(seq {elements}); do export {variable}; bash -c '{line.split(chr(39))[1]}'; done"


@pytest.mark.parametrize("engine", ["sbatch", "parallel", "hq submit"])
def test_results_lie_where_the_search_looks_for_them(tmp_path, engine):
    (tmp_path / "specs").mkdir()
    (tmp_path / ".tools").mkdir()
    (tmp_path / ".tools/trial").write_text(TRIAL)
    (tmp_path / ".tools/trial").chmod(0o755)
    specs = {"0a": "one", "5b": "two", "ff": "three"} | {f"a{number}": f"more{number}" for number in range(9)}
    for name, spec in specs.items():
        (tmp_path / f"specs/{name}.json").write_text(spec + "\n")
    (tmp_path / "one-trial").write_text(TEXT.split("```sh\n")[1].split("```")[0])
    subprocess.run(["bash", "-c", loop(engine)], cwd=tmp_path, timeout=60)
    found = {path.name: path.read_text() for path in (tmp_path / "export/trials").glob("*.json")}
    expected = {f"{name}.json": f"{spec}, done\n" for name, spec in specs.items() if spec != "two"}
    assert found == expected, "and nothing of the one that failed"
    # Submitted again, it runs what has no result.
    subprocess.run(["bash", "-c", loop(engine)], cwd=tmp_path, timeout=60)
    assert sorted((tmp_path / "started").read_text().split()) == sorted([*specs.values(), "two"])


def test_a_trial_that_an_engine_starts_twice_has_a_whole_result(tmp_path):
    (tmp_path / ".tools").mkdir()
    # The first one writes slowly what the second one writes at once.
    slow = '#!/bin/sh\nread spec\nmkdir first && sleep 1\nprintf %s "$spec, "\necho done\n'
    (tmp_path / ".tools/trial").write_text(slow)
    (tmp_path / ".tools/trial").chmod(0o755)
    (tmp_path / "0a.json").write_text("one\n")
    (tmp_path / "one-trial").write_text(TEXT.split("```sh\n")[1].split("```")[0])
    both = [subprocess.Popen(["sh", "one-trial", "0a.json"], cwd=tmp_path) for _ in range(2)]
    # Each has a part of its own: the one that is faster does not take away the other's.
    assert [one.wait(60) for one in both] == [0, 0]
    results = [path.name for path in (tmp_path / "export/trials").iterdir()]
    assert results == ["0a.json"] and (tmp_path / "export/trials/0a.json").read_text() == "one, done\n"
