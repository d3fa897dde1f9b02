"""Images a second with PyTorch: `torch_throughput.py < spec.json`, the result is the last line printed.

As fast as one gets it without leaving PyTorch's own ways: images lie in memory as one normalised tensor, no loader stands
before it, and Adam is the fused one.
"""

from __future__ import annotations

import json
import sys
import time

import images
import torch
from torch import nn


def normalised(layer: nn.Module, norm: nn.Module) -> list[nn.Module]:
    nn.init.kaiming_normal_(layer.weight)
    return [layer, norm, nn.ReLU()]


def dense(spec: dict, shape: tuple[int, ...], classes: int) -> nn.Module:
    """The network of `DenseConfig`."""
    layers, width = [nn.Flatten()], torch.Size(shape).numel()
    for units in spec["hidden"]:
        layers += normalised(nn.Linear(width, units, bias=False), nn.BatchNorm1d(units, eps=1e-3))
        layers.append(nn.Dropout(spec["dropout"]))
        width = units
    return nn.Sequential(*layers, nn.Linear(width, classes))


def cnn(spec: dict, shape: tuple[int, ...], classes: int) -> nn.Module:
    """The network of `CnnConfig`."""
    channels, height, width = shape
    layers: list[nn.Module] = []
    for filters, pools in zip(spec["filters"], [True, True, False, True], strict=True):
        convolution = nn.Conv2d(channels, filters, 3, padding=1, bias=False)
        layers += normalised(convolution, nn.BatchNorm2d(filters, eps=1e-3))
        channels = filters
        if pools:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
    units = spec["dense"]
    layers += [nn.Flatten(), nn.Dropout(spec["dropout"])]
    hidden = nn.Linear(channels * height * width, units, bias=False)
    layers += normalised(hidden, nn.BatchNorm1d(units, eps=1e-3))
    return nn.Sequential(*layers, nn.Dropout(spec["dropout"]), nn.Linear(units, classes))


def measure(spec: dict) -> dict:
    """Trains and predicts; gives the speeds, and the accuracy as a sign that something was learnt."""
    torch.manual_seed(spec["seed"])
    parts = images.parts(spec)
    (train_x, train_y), (check_x, check_y) = (
        (torch.from_numpy(x).movedim(-1, 1).contiguous(), torch.from_numpy(y)) for x, y in parts[:2]
    )
    network = {"dense": dense, "cnn": cnn}[spec["network"]](spec, train_x.shape[1:], parts[2])
    if spec["channels_last"]:
        network = network.to(memory_format=torch.channels_last)
        train_x, check_x = (x.contiguous(memory_format=torch.channels_last) for x in (train_x, check_x))
    # Each batch size is compiled by itself; one graph for all of them would be slower.
    forward = torch.compile(network, dynamic=False) if spec["compile"] else network
    optimizer = torch.optim.Adam(network.parameters(), lr=spec["learning_rate"], fused=True)
    narrow = torch.autocast("cpu", dtype=torch.bfloat16, enabled=spec["format"] == "bfloat16")

    def train(epochs: int) -> float:
        network.train()
        started = time.perf_counter()
        for _ in range(epochs):
            for places in torch.randperm(len(train_x)).split(spec["batch_size"]):
                with narrow:
                    logits = forward(train_x[places])
                loss = nn.functional.cross_entropy(logits.float(), train_y[places])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return time.perf_counter() - started

    def predict(x: torch.Tensor) -> torch.Tensor:
        network.eval()
        with torch.inference_mode(), narrow:
            return torch.cat([forward(part).float().softmax(1) for part in x.split(512)])

    train(1)
    training = train(spec["epochs"])
    # All of it once, so that what is compiled for its last, shorter batch is compiled before the clock starts.
    predict(train_x)
    started = time.perf_counter()
    predict(train_x)
    prediction = time.perf_counter() - started
    right = predict(check_x).argmax(1) == check_y
    return {
        "train_images_per_second": len(train_x) * spec["epochs"] / training,
        "predict_images_per_second": len(train_x) / prediction,
        "accuracy": right.double().mean().item(),
    }


if __name__ == "__main__":
    print(json.dumps(measure(json.load(sys.stdin))), flush=True)
