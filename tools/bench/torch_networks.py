"""The networks of helpers, built with PyTorch: the same layers and initializers.

Images are `(N, C, H, W)`. The layers of EfficientNet-Lite0 have the names in its published weights, so that these can
be loaded.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn

# Blocks, kernel, stride of the first, expansion, filters: table 1 of Tan & Le 2019.
STAGES = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
]


def normalised(layer: nn.Module, norm: nn.Module) -> list[nn.Module]:
    nn.init.kaiming_normal_(layer.weight)
    return [layer, norm, nn.ReLU()]


def dense_layer(width: int, units: int) -> list[nn.Module]:
    return normalised(nn.Linear(width, units, bias=False), nn.BatchNorm1d(units, eps=1e-3))


def dense(settings: dict, shape: tuple[int, ...], classes: int) -> nn.Module:
    """The network of `DenseConfig`."""
    layers, width = [nn.Flatten()], torch.Size(shape).numel()
    for units in settings["hidden"]:
        layers += [*dense_layer(width, units), nn.Dropout(settings["dropout"])]
        width = units
    return nn.Sequential(*layers, nn.Linear(width, classes))


def cnn(settings: dict, shape: tuple[int, ...], classes: int) -> nn.Module:
    """The network of `CnnConfig`."""
    channels, height, width = shape
    layers: list[nn.Module] = []
    for filters, pools in zip(settings["filters"], [True, True, False, True], strict=True):
        convolution = nn.Conv2d(channels, filters, 3, padding=1, bias=False)
        layers += normalised(convolution, nn.BatchNorm2d(filters, eps=1e-3))
        channels = filters
        if pools:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
    units = settings["dense"]
    layers += [nn.Flatten(), nn.Dropout(settings["dropout"])]
    layers += dense_layer(channels * height * width, units)
    return nn.Sequential(*layers, nn.Dropout(settings["dropout"]), nn.Linear(units, classes))


class Same(nn.Conv2d):
    """A convolution that pads like TensorFlow: an odd pixel is added below and on the right."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sides = []
        for length, kernel, stride in zip(x.shape[:1:-1], self.kernel_size, self.stride, strict=True):
            padding = max((length - 1) // stride * stride + kernel - length, 0)
            sides += [padding // 2, padding - padding // 2]
        if sides[0] == sides[1] and sides[2] == sides[3]:
            return nn.functional.conv2d(
                x, self.weight, self.bias, self.stride, (sides[2], sides[0]), 1, self.groups
            )
        x = nn.functional.pad(x, sides)
        return nn.functional.conv2d(x, self.weight, self.bias, self.stride, 0, 1, self.groups)


class Noise(nn.Module):
    """Noise in training and in prediction."""

    def __init__(self, mean: float, variance: float) -> None:
        super().__init__()
        self.mean, self.deviation = mean, variance**0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.randn_like(x) * self.deviation + self.mean


class Crop(nn.Module):
    """The top left part."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[..., : self.height, : self.width]


def autoencoder(settings: dict, shape: tuple[int, ...]) -> nn.Module:
    """The network of `AutoencoderConfig`, with its noise layer."""
    channels, height, width = shape
    first, deeper = settings["filters"]
    layers: list[nn.Module] = [Noise(**settings["noise"])]
    before, halvings = channels, 0
    while halvings == 0 or max(height, width) > 8:
        filters, side = (first, 5) if halvings == 0 else (deeper, 3)
        convolution = Same(before, filters, side, stride=2, bias=False)
        layers += normalised(convolution, nn.BatchNorm2d(filters, eps=1e-3))
        height, width, halvings, before = -(-height // 2), -(-width // 2), halvings + 1, filters
    units = settings["dense"]
    code = min(int(settings["rate"] * torch.Size(shape).numel()), units)
    layers += [nn.Flatten(), *dense_layer(before * height * width, units), nn.Linear(units, code)]
    layers += dense_layer(code, units)
    layers += dense_layer(units, height * width * deeper)
    layers.append(nn.Unflatten(1, (deeper, height, width)))
    before = deeper
    for _ in range(halvings - 1):
        convolution = nn.Conv2d(before, first, 3, padding=1, bias=False)
        layers += [nn.Upsample(scale_factor=2), *normalised(convolution, nn.BatchNorm2d(first, eps=1e-3))]
        before = first
    layers += [nn.Upsample(scale_factor=2), nn.Conv2d(before, channels, 5, padding=2)]
    if (height << halvings, width << halvings) != shape[1:]:
        layers.append(Crop(*shape[1:]))
    return nn.Sequential(*layers, nn.Sigmoid())


class Block(nn.Module):
    """An inverted residual block: an expansion, a depthwise convolution, a projection."""

    def __init__(self, channels: int, filters: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.adds = stride == 1 and channels == filters
        if expansion > 1:
            self._expand_conv = nn.Conv2d(channels, wide, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(wide, eps=1e-3)
        self._depthwise_conv = Same(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = nn.BatchNorm2d(wide, eps=1e-3)
        self._project_conv = nn.Conv2d(wide, filters, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(filters, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inside = x
        if hasattr(self, "_expand_conv"):
            inside = nn.functional.relu6(self._bn0(self._expand_conv(inside)))
        inside = nn.functional.relu6(self._bn1(self._depthwise_conv(inside)))
        inside = self._bn2(self._project_conv(inside))
        return x + inside if self.adds else inside


class Lite0(nn.Module):
    """EfficientNet-Lite0 for images in 0..255; `head` is new, everything else comes from the published weights."""

    def __init__(self, weights: str, input_size: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.input_size = input_size
        self._conv_stem = Same(3, 32, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        blocks, channels = [], 32
        for count, kernel, stride, expansion, filters in STAGES:
            for index in range(count):
                blocks.append(Block(channels, filters, kernel, stride if index == 0 else 1, expansion))
                channels = filters
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(320, 1280, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(1280, eps=1e-3)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(1280, classes)
        own = {name for name in self.state_dict() if not name.startswith("head.") and "num_batches" not in name}
        tensors = read_safetensors(weights)
        self.load_state_dict({name: tensors[name] for name in own}, strict=False)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        size = (self.input_size, self.input_size)
        x = nn.functional.interpolate((x - 127) / 128, size, mode="bilinear", align_corners=False)
        if x.shape[1] == 1:
            x = x.repeat(1, 3, 1, 1)
        x = nn.functional.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return nn.functional.relu6(self._bn1(self._conv_head(x))).mean((2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.dropout(self.features(x)))

    def train(self, mode: bool = True) -> Lite0:
        """Batch normalisation keeps its statistics in fine-tuning, as in helpers."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def tune_from(self, block: str) -> None:
        """Makes this block and all after it trainable, except depthwise convolutions and batch normalisation."""
        self.requires_grad_(False)
        first = int(block.removeprefix("block_")) - 1
        for part in [*self._blocks[first:], self._conv_head, self.head]:
            for module in part.modules():
                if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1):
                    module.requires_grad_(True)

    def folded(self) -> Lite0:
        """Folds batch normalisation into the convolutions before it."""
        fuse = torch.nn.utils.fusion.fuse_conv_bn_eval
        self.eval()
        pairs = [("_conv_stem", "_bn0"), ("_conv_head", "_bn1")]
        inside = [("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
        for module, names in [(self, pairs), *((block, inside) for block in self._blocks)]:
            for convolution, norm in names:
                if hasattr(module, convolution):
                    setattr(module, convolution, fuse(getattr(module, convolution), getattr(module, norm)))
                    setattr(module, norm, nn.Identity())
        return self


def read_safetensors(path: str) -> dict[str, torch.Tensor]:
    """The tensors of a file of 32-bit floats: the header's length, the header in JSON, the values."""
    content = bytearray(Path(path).read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    tensors = {}
    for name, about in header.items():
        if about.get("dtype") == "F32":
            low, high = about["data_offsets"]
            values = torch.frombuffer(content, dtype=torch.float32, offset=start + low, count=(high - low) // 4)
            tensors[name] = values.reshape(about["shape"])
    return tensors


def classifier(settings: dict, shape: tuple[int, ...], classes: int) -> nn.Module:
    if settings["kind"] == "transfer":
        network = Lite0(settings["weights"], settings["input_size"], classes, settings["dropout"])
        network.tune_from(settings["fine_tune_from"])
        return network
    return {"dense": dense, "cnn": cnn}[settings["kind"]](settings, shape, classes)
