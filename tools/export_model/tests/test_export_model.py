"""The export of models: each layer has the same output as in PyTorch, and files that are not models are refused."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from safetensors.numpy import save_file

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import export_model
import graph as graphs
from model_file import FORMAT, ExportError, ModelFile, checksum

# PyTorch's outputs for each layer; the tests of helpers' own layers use the same file.
CASES = [
    case
    for case in json.loads((ROOT / "helpers/tests/reference/layers.json").read_text())
    # Batch statistics and random numbers are only used in training.
    if not (case["training"] and {"batch_normalization", "dropout", "gaussian_noise"} & set(case["layer"]))
]


def tensor(values):
    return np.array(values["values"], np.float32).reshape(values["shape"])


class InOrder:
    """The weights of a case in order, because they have no names there."""

    def __init__(self, weights):
        self.weights = iter(weights)

    def put(self, graph, _name):
        return graph.constant(tensor(next(self.weights)))

    def inside(self, _name):
        return self


def run(model, inputs):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (output,) = session.run(None, inputs)
    return output


@pytest.mark.parametrize("case", CASES, ids=lambda case: next(iter(case["layer"])))
def test_a_layer_gives_what_pytorch_gives(case):
    images = tensor(case["input"])
    graph = graphs.Graph("in", images.shape[1:])
    graph.add("Identity")
    graphs.add(graph, case["layer"], InOrder(case["weights"]))
    expected = tensor(case["output"])
    assert graph.shape == list(expected.shape[1:])
    shapes = [["N", *images.shape[1:]], ["N", *expected.shape[1:]]]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in zip(("in", graph.value), shapes)]
    made = helper.make_model(
        helper.make_graph(graph.nodes, "layer", values[:1], values[1:], graph.initializers),
        opset_imports=[helper.make_opsetid("", graphs.OPSET)],
        ir_version=export_model.IR_VERSION,
    )
    onnx.checker.check_model(made, full_check=True)
    np.testing.assert_allclose(run(made, {"in": images}), expected, rtol=1e-5, atol=1e-5)


def test_every_layer_that_can_be_exported_is_one_of_helpers_and_tried():
    listed = (ROOT / "helpers/src/layers/mod.rs").read_text().split("\nlayers! {")[1].split("\n}")[0]
    names = [line.strip(" ,") for line in listed.splitlines() if line.strip() and "///" not in line]
    snake = {"".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_") for name in names}
    assert len(snake) > 15
    assert set(graphs.LAYERS) <= snake
    tried = {next(iter(case["layer"])) for case in CASES}
    assert set(graphs.LAYERS) - tried == {"dropout", "gaussian_noise"}


def write_model(path, shape, layers, weights, mean=(0.25,), std=(0.5,), class_names=("bag", "boot"), **changes):
    config = {
        "format": FORMAT,
        "network": {"input": shape, "layers": layers},
        "normalization": {"mean": list(mean), "std": list(std)},
        "trained_on": [{"class_names": list(class_names)}],
    } | changes
    metadata = {"config": json.dumps(config)}
    save_file(weights, path, metadata=metadata | {"sha256": checksum(metadata, weights)})
    return path


DENSE = {"dense": {"units": 2, "use_bias": True, "kernel_initializer": "he_normal"}}


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("shape, mean, std", [([1, 2, 3], [0.25], [0.5]), ([3, 2, 3], [0.1, 0.2, 0.3], [0.5, 1.0, 2.0])])
def test_bytes_go_in_and_probabilities_come_out(tmp_path, shape, mean, std, mirrored):
    rng = np.random.default_rng(1)
    kernel, bias = rng.normal(size=(2, int(np.prod(shape)))).astype(np.float32), np.array([0.5, -0.5], np.float32)
    weights = {"dense.kernel": kernel, "dense.bias": bias}
    path = write_model(tmp_path / "m.safetensors", shape, [{"flatten": None}, DENSE], weights, mean, std, mirrored=mirrored)
    assert export_model.main([str(path), str(tmp_path / "m.onnx")]) == 0
    made = onnx.load(tmp_path / "m.onnx")
    assert json.loads({prop.key: prop.value for prop in made.metadata_props}["class_names"]) == ["bag", "boot"]
    for images in (1, 5):
        size = (images, 2, 3) if shape[0] == 1 else (images, 2, 3, 3)
        pixels = rng.integers(0, 256, size, np.uint8)
        normal = (pixels.reshape(images, 2, 3, -1) / 255 - mean) / std
        sides = [normal, normal[:, :, ::-1]] if mirrored else [normal]
        logits = np.array([side.reshape(images, -1) @ kernel.T + bias for side in sides])
        expected = (np.exp(logits) / np.exp(logits).sum(2, keepdims=True)).mean(0)
        np.testing.assert_allclose(run(made, {"images": pixels}), expected, atol=1e-6)


def test_what_is_no_model_is_refused_in_words(tmp_path, capsys):
    def refused(path):
        assert export_model.main([str(path), str(tmp_path / "out.onnx")]) == 1
        assert not list(tmp_path.glob("out.onnx*"))
        return capsys.readouterr().err

    assert "no such file" in refused(tmp_path / "missing.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no model")
    assert "expected a model file, found none" in refused(broken)
    save_file({"a": np.zeros(1, np.float32)}, tmp_path / "other.safetensors")
    assert "expected the settings of a model" in refused(tmp_path / "other.safetensors")
    old = write_model(tmp_path / "old.safetensors", [1, 2, 3], [], {}, format=FORMAT - 1)
    assert f"expected a model file of format {FORMAT}, found {FORMAT - 1}" in refused(old)
    damaged = write_model(tmp_path / "damaged.safetensors", [1, 2, 3], [DENSE], {"dense.kernel": np.ones((2, 6), np.float32)})
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\1")
    assert "expected a file that is whole" in refused(damaged)
    unknown = write_model(tmp_path / "new.safetensors", [1, 2, 3], [{"attention": {}}], {})
    assert "the layer `attention` has no function" in refused(unknown)
    bare = write_model(tmp_path / "bare.safetensors", [1, 2, 3], [{"flatten": None}, DENSE], {})
    assert "expected the weights `dense.kernel`, found none" in refused(bare)
    vectors = write_model(tmp_path / "head.safetensors", [6], [DENSE], {})
    assert "takes vectors" in refused(vectors)
    with pytest.raises(ExportError, match="cannot write"):
        export_model.write(helper.make_model(helper.make_graph([], "g", [], [])), tmp_path / "nowhere" / "m.onnx")


def test_the_page_names_the_version_of_onnx_and_why():
    page = " ".join((ROOT / "docs/deploying.md").read_text().split())
    assert f"opset {graphs.OPSET}, the newest that onnxruntime for Python 3.10 reads (" in page


def test_the_format_is_that_of_helpers():
    assert f"const FORMAT: u32 = {FORMAT};" in (ROOT / "helpers/src/models/saving.rs").read_text()
