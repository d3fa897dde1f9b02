"""Writes layers.json: what PyTorch makes of each layer, forward and backward, for `helpers/src/layers/tests.rs`.

    python3 helpers/tests/reference/layers.py        # with PyTorch 2.13; .tools/bench/bin/python has it after a benchmark

A case holds a layer as helpers writes it, whether it trains, input and weights, what comes out, and the gradients of the
input and of the weights when each output is weighed by a slope of its own. All tensors are `float32`, row by row.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F

torch.manual_seed(5)
INITIALIZER = "glorot_uniform"


def same(x, side, strides):
    """TensorFlow's "same" padding: an odd pixel goes below and to the right."""
    pads = []
    for length in (x.shape[3], x.shape[2]):
        added = max(((length - 1) // strides) * strides + side - length, 0)
        pads += [added // 2, added - added // 2]
    return F.pad(x, pads)


def conv2d(filters, side, strides, groups, use_bias, channels):
    layer = {
        "conv2d": {
            "filters": filters,
            "kernel_size": side,
            "strides": strides,
            "groups": groups,
            "use_bias": use_bias,
            "kernel_initializer": INITIALIZER,
        }
    }
    weights = [torch.randn(filters, channels // groups, side, side)] + [torch.randn(filters)] * use_bias

    def forward(x, kernel, bias=None):
        return F.conv2d(same(x, side, strides), kernel, bias, strides, groups=groups)

    return layer, weights, forward


def batch_normalization(channels, training):
    layer = {"batch_normalization": {"momentum": 0.9, "epsilon": 0.001}}
    weights = [torch.rand(channels) + 0.5 for _ in range(4)]

    def forward(x, gamma, beta, mean, variance):
        # PyTorch updates them in place.
        return F.batch_norm(x, mean.detach(), variance.detach(), gamma, beta, training, 0.1, 0.001)

    return layer, weights, forward


def cases():
    image, odd = (4, 4, 4), (3, 5, 3)
    for shape in (image, odd):
        channels = shape[0]
        for side, strides in ((1, 1), (3, 1), (3, 2), (5, 2)):
            yield shape, True, *conv2d(2, side, strides, 1, True, channels)
        yield shape, True, *conv2d(channels, 3, 2, channels, False, channels)
        for training in (True, False):
            yield shape, training, *batch_normalization(channels, training)
        plain = [
            ({"relu": None}, F.relu),
            ({"relu6": None}, F.relu6),
            ({"sigmoid": None}, torch.sigmoid),
            ({"leaky_relu": {"negative_slope": 0.3}}, lambda x: F.leaky_relu(x, 0.3)),
            ({"elu": {"alpha": 1.5}}, lambda x: F.elu(x, 1.5)),
            ({"max_pooling2d": {"pool_size": 2}}, lambda x: F.max_pool2d(x, 2)),
            ({"average_pooling2d": {"pool_size": 2}}, lambda x: F.avg_pool2d(x, 2)),
            ({"global_average_pooling2d": None}, lambda x: x.mean((2, 3))),
            ({"up_sampling2d": {"size": 2}}, lambda x: F.interpolate(x, scale_factor=2)),
            ({"cropping2d": {"height": 3, "width": 2}}, lambda x: x[:, :, :3, :2]),
            ({"flatten": None}, lambda x: x.permute(0, 2, 3, 1).flatten(1)),
            ({"resize": {"height": 7, "width": 2}}, lambda x: F.interpolate(x, (7, 2), mode="bilinear")),
            ({"repeat_channels": {"times": 3}}, lambda x: x.repeat(1, 3, 1, 1)),
            ({"dropout": {"rate": 0.0}}, lambda x: x),
            ({"gaussian_noise": {"stddev": 0.0}}, lambda x: x),
        ]
        for layer, forward in plain:
            yield shape, True, layer, [], forward
    dense = {"dense": {"units": 3, "use_bias": True, "kernel_initializer": INITIALIZER}}
    yield (7,), True, dense, [torch.randn(3, 7), torch.randn(3)], F.linear
    reshape = {"reshape": {"channels": 2, "height": 3, "width": 4}}
    yield (24,), True, reshape, [], lambda x: x.reshape(-1, 3, 4, 2).permute(0, 3, 1, 2)
    yield (5,), True, *batch_normalization(5, True)
    convolution, weights, forward = conv2d(4, 3, 1, 1, True, 4)
    inside = {"layers": [convolution, {"relu": None}]}
    yield image, True, {"residual": inside}, weights, lambda x, *w: x + F.relu(forward(x, *w))
    yield image, True, {"block": {"name": "stem", **inside}}, weights, lambda x, *w: F.relu(forward(x, *w))


def tensor(value):
    return {"shape": list(value.shape), "values": [float(f"{v:.9g}") for v in value.detach().flatten().tolist()]}


def main():
    written = []
    for shape, training, layer, weights, forward in cases():
        x = (torch.randn(2, *shape) * 3).requires_grad_()
        before = [weight.clone() for weight in weights]
        leaves = [weight.clone().requires_grad_() for weight in weights]
        output = forward(x, *leaves)
        slopes = torch.randn_like(output)
        (output * slopes).sum().backward()
        written.append(
            {
                "layer": layer,
                "training": training,
                "input": tensor(x),
                "weights": [tensor(weight) for weight in before],
                "output": tensor(output),
                "slopes": tensor(slopes),
                "of_input": tensor(x.grad),
                "of_weights": [None if leaf.grad is None else tensor(leaf.grad) for leaf in leaves],
                "weights_after": [tensor(leaf) for leaf in leaves],
            }
        )
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in written)
    Path(__file__).with_suffix(".json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
