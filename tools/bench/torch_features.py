"""Features of the frozen EfficientNet-Lite0 with PyTorch: `torch_features.py < spec.json`."""

from __future__ import annotations

import json
import sys
import time

import images
import torch
import torch_networks


def measure(spec: dict) -> dict:
    torch.manual_seed(spec["seed"])
    x = torch.from_numpy(images.pixels(spec["data"], spec["images"], spec["seed"])).movedim(-1, 1).contiguous()
    network = torch_networks.Lite0(spec["weights"], spec["input_size"], 10, 0.0).eval()
    if spec["folded"]:
        network = network.folded()
    if spec["channels_last"]:
        network = network.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    forward = torch.compile(network.features, dynamic=False) if spec["compile"] else network.features
    narrow = torch.autocast("cpu", dtype=torch.bfloat16, enabled=spec["format"] == "bfloat16")

    def extract() -> torch.Tensor:
        with torch.inference_mode(), narrow:
            return torch.cat([forward(part.float()).float() for part in x.split(256)])

    if spec["compile"]:
        extract()
    started = time.perf_counter()
    features = extract()
    seconds = time.perf_counter() - started
    return {"features_per_second": len(x) / seconds, "mean_feature": features[:256].mean().item()}


if __name__ == "__main__":
    print(json.dumps(measure(json.load(sys.stdin))), flush=True)
