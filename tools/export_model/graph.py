"""The layers of helpers as operators of ONNX, one function per layer.

Inside the graph an image is (N, channels, height, width), as in helpers' memory; inputs and outputs have the order of
`X.npy`, channels last. Each function takes the graph so far and the layer's settings; names and order of the weights
are those of `helpers/src/layers`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from model_file import ExportError, ModelFile

# Of April 2025: the newest that onnxruntime 1.23 supports, which is the last version for Python 3.10.
OPSET = 23


class Graph:
    """A graph to which operators are appended."""

    def __init__(self, value: str, shape: list[int]):
        self.nodes: list = []
        self.initializers: list = []
        # The graph's last value, and its shape for one image.
        self.value, self.shape = value, list(shape)

    def add(self, operator: str, *inputs: str, shape: list[int] | None = None, **attributes) -> None:
        """Appends an operator; `inputs` are its inputs in addition to the last value."""
        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, [self.value, *inputs], [output], **attributes))
        self.value = output
        if shape is not None:
            self.shape = shape

    def constant(self, values: np.ndarray, name: str | None = None) -> str:
        """Adds an array to the graph; returns its name."""
        name = name or f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name


class Weights:
    """The weights of one layer, by their names in the file."""

    def __init__(self, model: ModelFile, layer: str):
        self.model, self.layer = model, layer

    def put(self, graph: Graph, name: str) -> str:
        """Adds one of them to the graph; returns its name there."""
        name = f"{self.layer}.{name}"
        if name not in self.model.weights:
            raise ExportError(f"{self.model.path}: expected the weights `{name}`, found none; train the model again")
        return graph.constant(self.model.weights[name], name)

    def inside(self, name: str) -> Weights:
        """The weights of a layer inside this one."""
        return Weights(self.model, f"{self.layer}.{name}")


def same_padding(length: int, kernel_size: int, strides: int) -> tuple[int, int]:
    """Zeros before and after a side; as in TensorFlow an odd one is added after."""
    added = max((length - 1) // strides * strides + kernel_size - length, 0)
    return added // 2, added - added // 2


def conv2d(graph: Graph, settings: dict, weights: Weights) -> None:
    _, height, width = graph.shape
    kernel, strides = settings["kernel_size"], settings["strides"]
    (top, bottom), (left, right) = (same_padding(side, kernel, strides) for side in (height, width))
    names = ["kernel", "bias"] if settings["use_bias"] else ["kernel"]
    graph.add(
        "Conv",
        *(weights.put(graph, name) for name in names),
        shape=[settings["filters"], (height - 1) // strides + 1, (width - 1) // strides + 1],
        kernel_shape=[kernel, kernel],
        strides=[strides, strides],
        pads=[top, left, bottom, right],
        group=settings["groups"],
    )


def dense(graph: Graph, settings: dict, weights: Weights) -> None:
    names = ["kernel", "bias"] if settings["use_bias"] else ["kernel"]
    inputs = [weights.put(graph, name) for name in names]
    graph.add("Gemm", *inputs, shape=[settings["units"]], transB=1)


def batch_normalization(graph: Graph, settings: dict, weights: Weights) -> None:
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    graph.add("BatchNormalization", *(weights.put(graph, name) for name in names), epsilon=settings["epsilon"])


def relu(graph: Graph, _settings: None, _weights: Weights) -> None:
    graph.add("Relu")


def relu6(graph: Graph, _settings: None, _weights: Weights) -> None:
    graph.add("Clip", graph.constant(np.float32(0)), graph.constant(np.float32(6)))


def sigmoid(graph: Graph, _settings: None, _weights: Weights) -> None:
    graph.add("Sigmoid")


def elu(graph: Graph, settings: dict, _weights: Weights) -> None:
    graph.add("Elu", alpha=settings["alpha"])


def leaky_relu(graph: Graph, settings: dict, _weights: Weights) -> None:
    graph.add("LeakyRelu", alpha=settings["negative_slope"])


def nothing(_graph: Graph, _settings: dict, _weights: Weights) -> None:
    """For a layer that only acts in training."""


def pooling(operator: str) -> Layer:
    def pooled(graph: Graph, settings: dict, _weights: Weights) -> None:
        size = settings["pool_size"]
        channels, height, width = graph.shape
        shape = [channels, height // size, width // size]
        graph.add(operator, shape=shape, kernel_shape=[size, size], strides=[size, size])

    return pooled


def global_average_pooling2d(graph: Graph, _settings: None, _weights: Weights) -> None:
    graph.add("GlobalAveragePool")
    graph.add("Flatten", shape=graph.shape[:1])


def flatten(graph: Graph, _settings: None, _weights: Weights) -> None:
    if len(graph.shape) == 3:
        graph.add("Transpose", perm=[0, 2, 3, 1])
    graph.add("Flatten", shape=[int(np.prod(graph.shape))])


def reshape(graph: Graph, settings: dict, _weights: Weights) -> None:
    channels, height, width = settings["channels"], settings["height"], settings["width"]
    graph.add("Reshape", graph.constant(np.array([-1, height, width, channels])))
    graph.add("Transpose", shape=[channels, height, width], perm=[0, 3, 1, 2])


def cropping2d(graph: Graph, settings: dict, _weights: Weights) -> None:
    height, width = settings["height"], settings["width"]
    begin, end, axes = ([0, 0], [height, width], [2, 3])
    inputs = [graph.constant(np.array(values)) for values in (begin, end, axes)]
    graph.add("Slice", *inputs, shape=[graph.shape[0], height, width])


def resize(graph: Graph, settings: dict, _weights: Weights) -> None:
    height, width = settings["height"], settings["width"]
    graph.add(
        "Resize",
        *["", "", graph.constant(np.array([height, width]))],
        shape=[graph.shape[0], height, width],
        mode="linear",
        coordinate_transformation_mode="half_pixel",
        axes=[2, 3],
    )


def up_sampling2d(graph: Graph, settings: dict, _weights: Weights) -> None:
    size = settings["size"]
    channels, height, width = graph.shape
    graph.add(
        "Resize",
        *["", graph.constant(np.array([size, size], np.float32))],
        shape=[channels, height * size, width * size],
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
        axes=[2, 3],
    )


def repeat_channels(graph: Graph, settings: dict, _weights: Weights) -> None:
    times = settings["times"]
    channels, height, width = graph.shape
    graph.add("Tile", graph.constant(np.array([1, times, 1, 1])), shape=[channels * times, height, width])


def block(graph: Graph, settings: dict, weights: Weights) -> None:
    for index, layer in enumerate(settings["layers"]):
        add(graph, layer, weights.inside(f"{index}.{kind(layer)}"))


def residual(graph: Graph, settings: dict, weights: Weights) -> None:
    before = graph.value
    block(graph, settings, weights)
    graph.add("Add", before)


Layer = Callable[[Graph, dict, Weights], None]
LAYERS: dict[str, Layer] = {
    "average_pooling2d": pooling("AveragePool"),
    "batch_normalization": batch_normalization,
    "block": block,
    "conv2d": conv2d,
    "cropping2d": cropping2d,
    "dense": dense,
    "dropout": nothing,
    "elu": elu,
    "flatten": flatten,
    "gaussian_noise": nothing,
    "global_average_pooling2d": global_average_pooling2d,
    "leaky_relu": leaky_relu,
    "max_pooling2d": pooling("MaxPool"),
    "relu": relu,
    "relu6": relu6,
    "repeat_channels": repeat_channels,
    "reshape": reshape,
    "residual": residual,
    "resize": resize,
    "sigmoid": sigmoid,
    "up_sampling2d": up_sampling2d,
}


def kind(layer: dict) -> str:
    """The kind of a layer, by which helpers numbers layers."""
    (name, settings), *_ = layer.items()
    return "depthwise_conv2d" if name == "conv2d" and settings["groups"] > 1 else name


def add(graph: Graph, layer: dict, weights: Weights) -> None:
    """Appends a layer to the graph."""
    (name, settings), *_ = layer.items()
    if name not in LAYERS:
        raise ExportError(f"the layer `{name}` has no function in tools/export_model/graph.py; write one beside the others")
    LAYERS[name](graph, settings, weights)


def names(layers: list[dict]) -> list[str]:
    """The layers' names in the file: Keras's numbering, `dense`, `dense_1`, …; a block has its own name."""
    counts: dict[str, int] = {}
    found = []
    for layer in layers:
        if "block" in layer:
            found.append(layer["block"]["name"])
            continue
        number = counts.get(kind(layer), 0)
        counts[kind(layer)] = number + 1
        found.append(f"{kind(layer)}_{number}" if number else kind(layer))
    return found


def add_input(graph: Graph, model: ModelFile) -> list[int | str]:
    """Converts the bytes of `X.npy` to the first layer's input; returns the graph's input shape."""
    channels, height, width = model.input_shape
    graph.add("Cast", to=TensorProto.FLOAT)
    mean, std = (np.broadcast_to(np.array(values), channels) for values in (model.mean, model.std))
    if channels == 1:
        graph.add("Unsqueeze", graph.constant(np.array([3])))
    graph.add("Mul", graph.constant((1 / (255 * std)).astype(np.float32)))
    graph.add("Add", graph.constant((-mean / std).astype(np.float32)))
    graph.add("Transpose", shape=[channels, height, width], perm=[0, 3, 1, 2])
    return ["N", height, width] if channels == 1 else ["N", height, width, channels]


def add_mirrored(graph: Graph) -> None:
    """Adds the mirror images, left and right, behind the images of the batch."""
    images = graph.value
    starts, ends, axes, steps = (graph.constant(np.array([number])) for number in (-1, np.iinfo(np.int64).min, 3, -1))
    graph.add("Slice", starts, ends, axes, steps)
    mirrored, graph.value = graph.value, images
    graph.add("Concat", mirrored, axis=0)


def average_mirrored(graph: Graph) -> None:
    """The mean of each image's output and of its mirror image's."""
    graph.add("Reshape", graph.constant(np.array([2, -1, *graph.shape])))
    graph.add("ReduceMean", graph.constant(np.array([0])), keepdims=0)


def add_output(graph: Graph) -> list[int | str]:
    """Adds the output, probabilities or images in the order of the input; returns its shape."""
    if len(graph.shape) == 1:
        graph.add("Softmax", axis=-1)
        return ["N", *graph.shape]
    channels, height, width = graph.shape
    graph.add("Transpose", perm=[0, 2, 3, 1])
    if channels == 1:
        graph.add("Squeeze", graph.constant(np.array([3])))
        return ["N", height, width]
    return ["N", height, width, channels]
