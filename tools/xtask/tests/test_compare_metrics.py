"""The comparison of two runs' metrics."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "python"))

import compare_metrics  # noqa: E402

METRICS = {
    "config": {"split": {"test": 0.12}, "fit": {"shift": 2}, "model": {"filters": [32, 64]}},
    "test": {"loss": 0.27874994221550514},
    "fit_seconds": 44.0,
    "versions": {"rustc": "1.95.0"},
}


def compared(tmp_path, capsys, change, *options):
    """The exit status and the output for `METRICS` compared with a changed copy."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        metrics = json.loads(json.dumps(METRICS))
        if name == "new":
            change(metrics)
        (tmp_path / name / "cnn.json").write_text(json.dumps(metrics))
    status = compare_metrics.main([str(tmp_path / "old"), str(tmp_path / "new"), *options])
    return status, capsys.readouterr().out


def test_times_and_versions_may_differ(tmp_path, capsys):
    def change(metrics):
        metrics["fit_seconds"] = 45.0
        metrics["versions"]["rustc"] = "1.96.0"

    assert compared(tmp_path, capsys, change) == (0, "cnn.json: the same\n")


def test_the_last_digit_counts(tmp_path, capsys):
    def change(metrics):
        metrics["test"]["loss"] = 0.27874994221550520

    status, text = compared(tmp_path, capsys, change)
    assert status == 1
    assert "test.loss: 0.27874994221550514 -> 0.2787499422155052" in text


def test_a_field_that_is_gone_is_a_difference(tmp_path, capsys):
    status, text = compared(tmp_path, capsys, lambda metrics: metrics["config"]["model"]["filters"].pop())
    assert status == 1
    assert "config.model.filters[1]: 64 -> (missing)" in text


def test_a_setting_that_was_renamed_is_compared_under_its_new_name(tmp_path, capsys):
    def change(metrics):
        metrics["config"]["split"] = {"test_size": 0.12}

    assert compared(tmp_path, capsys, change, "--rename", "split.test=split.test_size")[0] == 0


def test_a_renamed_setting_with_another_value_is_a_difference(tmp_path, capsys):
    def change(metrics):
        metrics["config"]["split"] = {"test_size": 0.13}

    status, text = compared(tmp_path, capsys, change, "--rename", "split.test=split.test_size")
    assert status == 1
    assert "config.split.test_size: 0.12 -> 0.13" in text


def test_a_setting_can_be_left_out_by_its_whole_name_alone(tmp_path, capsys):
    def change(metrics):
        metrics["config"]["fit"]["shift"] = 0.0714

    assert compared(tmp_path, capsys, change, "--ignore", "shift")[0] == 0
    for folder in ("old", "new"):
        (tmp_path / folder / "cnn.json").unlink()
        (tmp_path / folder).rmdir()
    assert compared(tmp_path, capsys, change, "--ignore", "shi")[0] == 1


def test_a_file_on_one_side_alone_is_a_difference(tmp_path, capsys):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cnn.json").write_text("{}")
    (tmp_path / "old" / "tuning.json").write_text("{}")
    assert compare_metrics.main([str(tmp_path / "old"), str(tmp_path / "new")]) == 1
    assert "only in" in capsys.readouterr().out


def test_nothing_to_compare_is_no_agreement(tmp_path):
    assert compare_metrics.main([str(tmp_path), str(tmp_path)]) == 2
