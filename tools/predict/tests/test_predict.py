"""A trained model outside its notebook: the output of `predict`, and that other programs compute the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools/export_model"))
import export_model
from model_file import ModelFile, checksum

SAMPLE = ROOT / "data/sample/X.npy"
CLASSES = ["left", "right"]


@pytest.fixture(scope="session")
def program():
    """The program that the Rust tests have built."""
    subprocess.run(["cargo", "build", "--locked", "--quiet", "--package", "predict"], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return [ROOT / "tools/with-libtorch", target / "debug/predict"]


@pytest.fixture
def run(program, tmp_path):
    def run(*words, ok=True):
        done = subprocess.run([*program, *map(str, words)], capture_output=True, text=True, cwd=tmp_path)
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done.stdout if ok else done.stderr

    return run


def written(path, kernel, *after):
    """The file of a model for grey pictures of 2 × 4 pixels: a dense layer with this kernel, and layers after it."""
    dense = {"units": len(kernel), "use_bias": True, "kernel_initializer": "he_normal"}
    layers = [{"flatten": None}, {"dense": dense}, *after]
    config = {
        "format": 2,
        "network": {"input": [1, 2, 4], "layers": layers, "kernel_initializer": "he_normal"},
        "normalization": {"mean": [0.0], "std": [1.0]},
        "precision": "auto",
        "trained_on": [
            {
                "dataset": {"images": 9, "shape": [9, 2, 4], "classes": 2, "x_sha256": "", "y_sha256": ""},
                "class_names": CLASSES,
                "split": None,
                "rows_sha256": "",
            }
        ],
    }
    weights = {"dense.kernel": kernel, "dense.bias": np.zeros(len(kernel), np.float32)}
    metadata = {"config": json.dumps(config)}
    save_file(weights, path, metadata=metadata | {"sha256": checksum(metadata, weights)})
    return path


@pytest.fixture
def model(tmp_path):
    """Decides whether the left or the right half of a picture is lighter."""
    kernel = np.array([[1, 1, -1, -1] * 2, [-1, -1, 1, 1] * 2], np.float32)
    return written(tmp_path / "halves.safetensors", kernel)


def picture(path, lighter, size=(4, 2)):
    made = np.zeros((size[1], size[0]), np.uint8)
    half = size[0] // 2
    made[:, :half] = 255 if lighter == "left" else 0
    made[:, half:] = 0 if lighter == "left" else 255
    Image.fromarray(made).save(path)
    return path


def test_pictures_are_answered_in_a_table_and_as_json(run, model, tmp_path):
    names = [picture(tmp_path / name, side) for name, side in (("a.png", "left"), ("b.bmp", "right"))]
    table = run(model, *names)
    assert [line.split()[:2] for line in table.splitlines() if ".png" in line or ".bmp" in line] == [
        [str(names[0]), "left"],
        [str(names[1]), "right"],
    ]
    answers = json.loads(run(model, *names, "--json", "--top", 2, "--float32"))
    assert [answer["picture"] for answer in answers] == [str(name) for name in names]
    first = answers[0]["predictions"]
    assert [one["label"] for one in first] == CLASSES
    # Four white pixels for one class, and none for the other: softmax of 4 and -4.
    assert first[0]["probability"] == pytest.approx(1 / (1 + np.exp(-8)), abs=1e-6)
    assert sum(one["probability"] for one in first) == pytest.approx(1, abs=1e-6)
    dark_for_light = json.loads(run(model, names[0], "--json", "--invert"))
    assert dark_for_light[0]["predictions"][0]["label"] == "right"


def test_what_cannot_be_read_is_named_and_the_others_are_answered(run, model, tmp_path):
    good, bad = picture(tmp_path / "good.png", "left"), tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    done = run(model, good, bad, ok=False)
    assert done.startswith(f"left out: {bad}: ")
    assert "none of the pictures can be read" in run(model, bad, ok=False)
    assert "name at least one picture" in run(model, ok=False)
    assert "missing.safetensors" in run(tmp_path / "missing.safetensors", good, ok=False)


def test_arrays_are_answered_row_by_row_and_drawn(run, model, tmp_path):
    images = np.zeros((3, 2, 4), np.uint8)
    images[0, :, :2], images[1, :, 2:], images[2, :, :1] = 255, 255, 255
    np.save(tmp_path / "X.npy", images)
    run(model, "X.npy", "--array", "out.npy", "--plot", "seen.png", "--float32")
    kept = np.load(tmp_path / "out.npy")
    assert kept.shape == (3, 2)
    np.testing.assert_allclose(kept[:, 0], 1 / (1 + np.exp([-8, 8, -4])), atol=1e-6)
    assert Image.open(tmp_path / "seen.png").width > 300
    answers = json.loads(run(model, "X.npy", "--json"))
    assert [answer["picture"] for answer in answers] == ["X.npy[0]", "X.npy[1]", "X.npy[2]"]
    np.save(tmp_path / "large.npy", np.zeros((2, 5, 5), np.uint8))
    assert "2 × 4" in run(model, "large.npy", ok=False)


def test_what_a_model_restores_is_drawn_beside_the_pictures(run, tmp_path):
    image = {"reshape": {"channels": 1, "height": 2, "width": 4}}
    mirror = written(tmp_path / "mirror.safetensors", np.eye(8, dtype=np.float32)[::-1].copy(), image)
    shown = picture(tmp_path / "a.png", "left")
    assert run(mirror, shown, "--plot", "seen.png", "--array", "out.npy", "--float32") == ""
    np.testing.assert_allclose(np.load(tmp_path / "out.npy")[0].reshape(2, 4), [[0, 0, 1, 1]] * 2, atol=1e-6)
    drawn = np.asarray(Image.open(tmp_path / "seen.png").convert("L"), float)
    # Two tiles, and half of each is black.
    dark = [int((half < 40).sum()) for half in np.array_split(drawn[drawn.shape[0] // 2 :], 2, axis=1)]
    assert min(dark) > 500, dark
    for options in ([], ["--json"], ["--json", "--plot", "b.png"]):
        assert "--plot FILE.png draws them" in run(mirror, shown, *options, ok=False)


def trained(request):
    folder = request.config.getoption("--models")
    return sorted(Path(folder).glob("*.safetensors")) if folder else []


def test_other_programs_get_the_same_from_trained_models(run, request, tmp_path):
    """With `--models export/quick/models` each of them is exported and run by onnxruntime, and compared with helpers in
    32 bits."""
    models = trained(request)
    if not models:
        pytest.skip("no --models")
    assert {path.stem for path in models} == {"autoencoder", "baseline", "cnn", "transfer", "tuning"}
    images = np.load(SAMPLE)[:400]
    np.save(tmp_path / "X.npy", images)
    for path in models:
        run(path, "X.npy", "--float32", "--array", "out.npy", *(["--top", 1] if path.stem != "autoencoder" else []))
        expected = np.load(tmp_path / "out.npy")
        made = export_model.to_onnx(ModelFile.read(path))
        session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {"images": images})
        np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-4, err_msg=path.stem)
        (one,) = session.run(None, {"images": images[:1]})
        np.testing.assert_allclose(one.reshape(-1), expected[0], atol=1e-4, err_msg=path.stem)


def test_the_example_of_the_manual_reads_a_model(model):
    """Runs the ten lines in docs/deploying.md unchanged."""
    text = (ROOT / "docs/deploying.md").read_text()
    example = text.split("```python\n")[1].split("```")[0]
    assert len(example.strip().splitlines()) <= 10
    names = {}
    exec(example.replace("export/models/cnn.safetensors", str(model)), names)
    expected = load_file(model)
    assert set(names["weights"]) == set(expected)
    assert names["config"]["network"]["input"] == [1, 2, 4]
