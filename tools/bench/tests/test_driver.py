"""The driver's arithmetic and its messages, on made-up results and on sides that are one line of Python."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import driver


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "SCRATCH", tmp_path / "scratch")


def side(name: str, code: str, **settings) -> driver.Side:
    return driver.Side(name, [sys.executable, "-c", code], settings=settings)


ECHO = "import json, sys; print('a line'); print(json.dumps(json.load(sys.stdin)))"


def test_a_side_gets_the_specification_with_its_own_settings():
    seconds, result = driver.run(side("echo", ECHO, jobs=2), {"jobs": 1, "images": 600})
    assert result == {"jobs": 2, "images": 600}
    assert seconds > 0


def test_a_side_that_fails_is_named_with_its_last_words():
    with pytest.raises(driver.BenchError, match=r"broken failed \(status 3\)[\s\S]*no memory"):
        driver.run(side("broken", "import sys; print('no memory', file=sys.stderr); sys.exit(3)"), {})


def test_a_side_without_a_result_fails():
    with pytest.raises(driver.BenchError, match="silent failed"):
        driver.run(side("silent", "pass"), {})


def test_each_round_starts_with_another_side_and_has_its_own_seed(capsys):
    sides = [side(name, ECHO) for name in "abc"]
    found = driver.rounds(sides, 2, {}, 42, lambda result: "")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(", ")[1][0] for line in lines] == ["a", "b", "c", "b", "c", "a"]
    assert [[result["seed"] for _, result in runs] for runs in found] == [[42, 43]] * 3


def test_a_ratio_says_how_many_times_as_fast_we_are():
    # Seconds: the medians are 10 and 32; round by round 3, 4 and 2.
    assert driver.compare([10, 8, 20], [30, 32, 40], False) == pytest.approx({"median": 3.2, "min": 2, "max": 4})
    # Images a second.
    assert driver.compare([40.0], [10.0], True)["median"] == 4


def test_accuracies_differ_when_they_are_apart_beyond_noise_and_tolerance():
    assert driver.difference([0.80, 0.90], [0.80, 0.90])["similar"]
    assert driver.difference([0.805, 0.905], [0.80, 0.90])["similar"], "within the tolerance"
    assert not driver.difference([0.85, 0.951], [0.80, 0.90])["similar"]
    noisy = driver.difference([0.60, 0.95], [0.70, 0.80])
    assert noisy["mean"] == pytest.approx(0.025) and noisy["similar"], "one fold each way"


def result(**changes) -> dict:
    base = {"best_params": {"dropout": 0.0}, "best_score": 0.9, "scores": [[0.9] * 3] * 12, "computed": 36}
    return base | {"fold_sums": [1, 2, 3], "versions": {"tch": "0"}, "cpu_capability": "AVX2"} | changes


def search(monkeypatch, results: list[dict]) -> dict:
    def rounds(sides, count, spec, seed, show):
        return [[(10.0 * (k + 1), r)] for k, r in enumerate(results)]

    monkeypatch.setattr(driver, "rounds", rounds)
    return driver.grid_search(argparse.Namespace(data=Path("data"), program=Path("bench"), images=0, rounds=1, seed=42))


def test_the_better_peer_counts(monkeypatch):
    section = search(monkeypatch, [result()] * 5)
    assert section["best_peer"] == "Keras, 1 job"
    assert section["ratio"]["median"] == 3
    assert driver.unlike(section) == []
    text = driver.show_grid_search(section)
    assert "Keras, 1 job, takes 3.00 times as long" in text


def test_another_accuracy_is_reported(monkeypatch):
    section = search(monkeypatch, [result()] * 3 + [result(scores=[[0.5] * 3] * 12), result()])
    (text,) = driver.unlike(section)
    assert "Keras, 2 jobs: helpers' mean accuracy is +40.00 points" in text


def test_a_search_that_found_finished_trials_is_refused(monkeypatch):
    with pytest.raises(driver.BenchError, match="did not compute all 36 trials"):
        search(monkeypatch, [result(computed=0)] + [result()] * 4)


def test_other_folds_are_refused(monkeypatch):
    with pytest.raises(driver.BenchError, match="had other folds"):
        search(monkeypatch, [result()] * 4 + [result(fold_sums=[3, 2, 1])])


def test_a_speed_counts_against_the_best_peer_and_what_does_not_work_is_left_out(monkeypatch):
    def rounds(sides, count, spec, seed, show):
        def result(side: driver.Side) -> list[tuple[float, dict]]:
            if side.optional:
                return []
            speed = 40.0 if side.ours else 20.0 if side.name == "PyTorch, bf16" else 10.0
            speeds = {"train_images_per_second": speed, "predict_images_per_second": 2 * speed}
            return [(1.0, speeds | {"accuracy": 0.8, "versions": {}, "cpu_capability": "AVX2"})]

        return [result(side) for side in sides]

    monkeypatch.setattr(driver, "rounds", rounds)
    args = argparse.Namespace(data=Path("data"), program=Path("bench"), images=0, rounds=1, seed=42)
    section = driver.throughput("cnn", args)
    assert section["best_peer"]["train_images_per_second"] == "PyTorch, bf16"
    assert section["ratio"]["predict_images_per_second"]["median"] == 2
    assert "PyTorch, compiled" not in section["sides"]
    assert "train: helpers is 2.00 times as fast" in driver.show_throughput(section)
    assert driver.unlike(section) == []


def test_a_file_keeps_the_other_sections(tmp_path):
    path = tmp_path / "export" / "bench.json"
    driver.write(path, "training", {"a": 1})
    driver.write(path, "grid_search", {"b": 2})
    assert json.loads(path.read_text()) == {"schema": 1, "training": {"a": 1}, "grid_search": {"b": 2}}


def test_no_rounds_are_refused(capsys):
    with pytest.raises(SystemExit):
        driver.arguments(["--data", "data", "--out", "x.json", "--rounds", "0"])
    assert "--rounds must be at least 1, got 0" in capsys.readouterr().err
