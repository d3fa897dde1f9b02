"""The script for a machine with a GPU, with a program that is one line of Python."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import gpu
import measure


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """Starts the script with a program that found this, and gives its status, its results and what was asked of it."""
    asked = []

    def run(**found):
        def side(of, spec):
            asked.append((of, spec | of.settings))
            speeds = {"train_images_per_second": gpu.TRAINED / 4, "predict_images_per_second": 1.0}
            return 1.0, found if spec["task"] == "device" else speeds

        monkeypatch.setattr(measure, "run", side)
        monkeypatch.setattr(gpu, "library", lambda: "torch/lib")
        monkeypatch.setattr(gpu, "WEIGHTS", tmp_path)
        status = gpu.main(["--program", "bench", "--out", str(tmp_path / "gpu.json")])
        return status, json.loads((tmp_path / "gpu.json").read_text()), asked

    return run


def check(**changes) -> dict:
    return {"check": "outputs", "found": 0.0, "at_most": 0.1, "passed": True} | changes


def test_without_a_gpu_every_network_is_checked_and_none_is_timed(ran, capsys):
    status, whole, asked = ran(device="the processor", missing="libtorch finds no GPU", checks=[check()])
    assert status == 0 and "speed" not in whole and list(whole["checks"]) == list(gpu.SPECS)
    assert "no GPU was found, so speeds are left out: libtorch finds no GPU" in capsys.readouterr().out
    assert [spec["network"].get("dropout", 0.0) for _, spec in asked] == [0.0] * 4
    assert all(of.variables["NVIDIA_TF32_OVERRIDE"] == "0" for of, _ in asked)
    assert measure.environment(asked[0][0])["CUDA_VISIBLE_DEVICES"] == "0"


def test_with_a_gpu_the_cnn_is_timed_beside_pytorch_at_its_best(ran):
    status, whole, asked = ran(device="a GPU (CUDA)", missing=None, checks=[check()])
    (_, ours), (_, peer) = asked[-2:]
    assert status == 0 and whole["speed"]["helpers"]["epoch_seconds"] == 4
    assert ours["network"] == peer["network"] and ours["batch_size"] == peer["batch_size"] and "device" not in ours
    assert (peer["compile"], peer["channels_last"], peer["format"]) == ("max-autotune", True, "bfloat16")


@pytest.mark.parametrize("found", [0.2, None])
def test_a_failed_check_fails_the_script_and_is_kept(ran, capsys, found):
    failed = check(found=found, passed=False)
    status, whole, _ = ran(device="a GPU (CUDA)", missing=None, checks=[failed])
    assert status == 1 and whole["checks"]["dense"]["checks"] == [failed]
    assert "FAILED" in capsys.readouterr().out


def test_the_sample_is_repeated_to_a_full_data_set(tmp_path):
    gpu.repeated(tmp_path)
    x, y = np.load(tmp_path / "X.npy", mmap_mode="r"), np.load(tmp_path / "y.npy")
    sample = np.load(gpu.SAMPLE / "X.npy")
    assert x.shape == (gpu.IMAGES, *sample.shape[1:]) and y.shape[0] == gpu.IMAGES
    assert (x[4000:8000] == sample).all() and (y[4000:8000] == y[:4000]).all()
