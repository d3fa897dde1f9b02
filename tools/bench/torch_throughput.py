"""Images a second with PyTorch: `torch_throughput.py < spec.json`, the result is the last line printed.

As fast as PyTorch allows with its own means: the images are one normalised tensor in memory, there is no data loader,
and Adam is the fused one. `device` is "cuda" for a GPU; `compile` is true or a mode of `torch.compile`.
"""

from __future__ import annotations

import json
import sys
import time

import images
import torch
import torch_networks
from torch import nn


def prepared(spec: dict) -> tuple[nn.Module, tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """The network, and images with class ids for training and for validation."""
    settings = spec["network"]
    denoises, tunes = settings["kind"] == "autoencoder", settings["kind"] == "transfer"
    parts = images.parts(spec, normalise=not denoises and not tunes)
    (train_x, train_y), (check_x, check_y) = (
        (torch.from_numpy(x).movedim(-1, 1).contiguous(), torch.from_numpy(y)) for x, y in parts[:2]
    )
    if denoises:
        network = torch_networks.autoencoder(settings, tuple(train_x.shape[1:]))
    else:
        # The pretrained network expects pixels in 0..255.
        train_x, check_x = (x * 255 if tunes else x for x in (train_x, check_x))
        network = torch_networks.classifier(settings, tuple(train_x.shape[1:]), parts[2])
    if spec["channels_last"]:
        network = network.to(memory_format=torch.channels_last)
        train_x, check_x = (x.contiguous(memory_format=torch.channels_last) for x in (train_x, check_x))
    return network, (train_x, train_y), (check_x, check_y)


def measure(spec: dict) -> dict:
    """Trains and predicts; returns the speeds, and a score that shows whether the network learnt."""
    torch.manual_seed(spec["seed"])
    device = spec.get("device", "cpu")
    denoises = spec["network"]["kind"] == "autoencoder"
    network, (train_x, train_y), (check_x, check_y) = prepared(spec)
    network, train_x, train_y, check_x, check_y = (
        each.to(device) for each in (network, train_x, train_y, check_x, check_y)
    )
    # Compiled separately for each batch size; a single graph for all of them would be slower.
    mode = spec["compile"] if isinstance(spec["compile"], str) else None
    forward = torch.compile(network, dynamic=False, mode=mode) if spec["compile"] else network
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=spec["learning_rate"], fused=True)
    narrow = torch.autocast(device, dtype=torch.bfloat16, enabled=spec["format"] == "bfloat16")

    def clock() -> float:
        """The time, when the GPU has done what it was told."""
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def train(epochs: int) -> float:
        network.train()
        started = clock()
        for _ in range(epochs):
            for indices in torch.randperm(len(train_x), device=device).split(spec["batch_size"]):
                batch = train_x[indices]
                with narrow:
                    outputs = forward(batch)
                if denoises:
                    loss = nn.functional.mse_loss(outputs.float(), batch)
                else:
                    loss = nn.functional.cross_entropy(outputs.float(), train_y[indices])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return clock() - started

    def predict(x: torch.Tensor) -> torch.Tensor:
        network.eval()
        with torch.inference_mode(), narrow:
            outputs = torch.cat([forward(part).float() for part in x.split(512)])
        return outputs if denoises else outputs.softmax(1)

    train(1)
    training = train(spec["epochs"])
    # Predicts everything once, so that also the last, shorter batch is compiled before the clock starts.
    predict(train_x)
    started = clock()
    predict(train_x)
    prediction = clock() - started
    predicted = predict(check_x)
    if denoises:
        score = {"psnr_db": -10 * nn.functional.mse_loss(predicted, check_x).log10().item()}
    else:
        score = {"accuracy": (predicted.argmax(1) == check_y).double().mean().item()}
    return score | {
        "train_images_per_second": len(train_x) * spec["epochs"] / training,
        "predict_images_per_second": len(train_x) / prediction,
    }


if __name__ == "__main__":
    print(json.dumps(measure(json.load(sys.stdin))), flush=True)
