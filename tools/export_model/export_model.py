"""A trained model for other programs: helpers' file in, ONNX out.

    python tools/export_model/export_model.py MODEL.safetensors OUT.onnx

The graph takes what lies in `X.npy`: `images`, uint8, (N, height, width) for grey pictures, (N, height, width, 3) for
coloured ones, any N. Normalisation and softmax are inside. It gives `probabilities`, (N, classes), or, where the network
makes images, `restored`, their values in 0..=1, in the shape of what came in. The class names stand in its metadata, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import onnx
from onnx import TensorProto, helper

import graph as graphs
from model_file import ExportError, ModelFile

# The oldest version of the file format that supports this set of operators.
IR_VERSION = helper.find_min_ir_version_for([helper.make_opsetid("", graphs.OPSET)])


def to_onnx(model: ModelFile) -> onnx.ModelProto:
    """The whole model, checked by onnx.

    Raises ExportError if a layer is unknown here.
    """
    if len(model.input_shape) != 3:
        raise ExportError(f"{model.path}: expected a network that takes images, found one that takes vectors; export the whole one")
    graph = graphs.Graph("images", model.input_shape)
    takes = graphs.add_input(graph, model)
    if model.mirrored:
        graphs.add_mirrored(graph)
    for layer, name in zip(model.layers, graphs.names(model.layers)):
        graphs.add(graph, layer, graphs.Weights(model, name))
    gives = graphs.add_output(graph)
    if model.mirrored:
        graphs.average_mirrored(graph)
    name = "probabilities" if len(gives) == 2 else "restored"
    graph.nodes[-1].output[0] = name
    made = helper.make_model(
        helper.make_graph(
            graph.nodes,
            model.path.stem,
            [helper.make_tensor_value_info("images", TensorProto.UINT8, takes)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, gives)],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", graphs.OPSET)],
        producer_name="helpers",
        ir_version=IR_VERSION,
    )
    if model.class_names:
        helper.set_model_props(made, {"class_names": json.dumps(model.class_names)})
    onnx.checker.check_model(made, full_check=True)
    return made


def write(made: onnx.ModelProto, path: Path) -> None:
    """Writes the file atomically: completely or not at all."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(made.SerializeToString())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ExportError(f"cannot write {path}: {error}") from None


def main(words: list[str]) -> int:
    if len(words) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    source, target = map(Path, words)
    try:
        model = ModelFile.read(source)
        made = to_onnx(model)
        write(made, target)
    except ExportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    shape = lambda value: " × ".join(side.dim_param or str(side.dim_value) for side in value.type.tensor_type.shape.dim)
    (takes,), (gives,) = made.graph.input, made.graph.output
    print(f"{target}: {takes.name} (uint8, {shape(takes)}) to {gives.name} (float32, {shape(gives)}), opset {graphs.OPSET}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
