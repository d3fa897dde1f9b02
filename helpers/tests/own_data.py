"""Makes data sets for bring_your_own_data.rs: own_data.py good|bad FOLDER.

Each case is a folder of its own under FOLDER with X.npy, y.npy and, in some, classes.txt. For the good ones it prints
what they must load as, worked out here with NumPy alone.
"""

import hashlib
import json
import os
import struct
import sys
from pathlib import Path

import numpy as np

root = Path(sys.argv[2])
draw = np.random.default_rng(7)
expected = {}


def save(name, x, y, classes=None, version=None):
    """Writes a case; x and y are arrays to save, bytes to write as they are, or None for no file."""
    folder = root / name
    folder.mkdir()
    for file, content in [("X.npy", x), ("y.npy", y)]:
        if isinstance(content, bytes):
            (folder / file).write_bytes(content)
        elif content is not None:
            with open(folder / file, "wb") as target:
                np.lib.format.write_array(target, content, version=version)
    if classes is not None:
        (folder / "classes.txt").write_bytes(classes)
    return folder


def good(name, x, pixels, y, ids, names, classes=None, version=None):
    folder = save(name, x, y, classes, version)
    pixels = np.asarray(pixels)
    assert pixels.min() >= 0 and pixels.max() <= 255 and (pixels == np.floor(pixels)).all()
    channels = pixels.shape[3] if pixels.ndim == 4 else 1
    expected[name] = {
        "shape": [*pixels.shape[1:3], channels], "pixels": pixels.reshape(-1).astype(int).tolist(),
        "labels": np.asarray(ids).tolist(), "class_names": names,
        "x_sha256": hashlib.sha256((folder / "X.npy").read_bytes()).hexdigest(),
        "y_sha256": hashlib.sha256((folder / "y.npy").read_bytes()).hexdigest(),
    }


def whole(shape, top):
    """Whole numbers from 0 to top, both of which occur."""
    values = draw.integers(0, top + 1, shape)
    values.flat[0], values.flat[-1] = 0, top
    return values


def rounded(values):
    return np.floor(values + 0.5)


if sys.argv[1] == "good":
    # Lopsided on purpose: 6 images of 5 rows and 4 columns, three classes.
    grey, colour = whole((6, 5, 4), 255), whole((6, 5, 4, 3), 255)
    unit, unit_colour = draw.random((6, 5, 4)), draw.random((6, 5, 4, 3))
    y = ids = np.array([0, 1, 2, 2, 1, 0])
    names = ["0", "1", "2"]

    good("grey_uint8", grey.astype(np.uint8), grey, y, ids, names)
    good("rgb_uint8", colour.astype(np.uint8), colour, y, ids, names)
    good("one_channel", grey.astype(np.uint8)[..., None], grey, y, ids, names)
    good("fortran_grey", np.asfortranarray(grey.astype(np.uint8)), grey, y, ids, names)
    good("fortran_rgb", np.asfortranarray(colour.astype(np.uint8)), colour, y, ids, names)
    good("fortran_float64_rgb", np.asfortranarray(unit_colour), rounded(unit_colour * 255), y, ids, names)
    good("fortran_big_endian", np.asfortranarray(grey.astype(">i4")), grey, y, ids, names)
    for kind in ["<i2", ">i2", "<u2", ">u4", "<i4", ">i8", "<u8"]:
        good("integers_" + kind.replace("<", "little_").replace(">", "big_"), grey.astype(kind), grey, y, ids, names)
    small = whole((6, 5, 4), 127)
    good("int8", small.astype(np.int8), small, y, ids, names)
    for kind in ["<f4", ">f4", "<f8", ">f8"]:
        x = unit.astype(kind)
        good("unit_" + kind.replace("<", "little_").replace(">", "big_"), x,
             rounded(x.astype(np.float64) * 255), y, ids, names)
    half = unit.astype(np.float16)
    good("unit_float16", half, rounded(half.astype(np.float64) * 255), y, ids, names)
    good("float_to_255", grey.astype(np.float32), grey, y, ids, names)
    good("float_between", grey * 0.75 + 0.1, rounded(grey * 0.75 + 0.1), y, ids, names)
    beyond = unit.copy()
    beyond.flat[:2] = [1.0000004, -0.0000004]
    good("rounding_errors", beyond, rounded(np.clip(beyond, 0, 1) * 255), y, ids, names)
    mask = whole((6, 5, 4), 1)
    good("black_and_white", mask.astype(np.uint8), mask * 255, y, ids, names)
    twelve_bits = whole((6, 5, 4), 3900)
    good("twelve_bits", twelve_bits.astype(np.uint16), rounded(twelve_bits * 255 / 3900), y, ids, names)
    sixteen_bits = whole((6, 5, 4), 65535)
    good("sixteen_bits", sixteen_bits.astype(">u2"), rounded(sixteen_bits * 255 / 65535), y, ids, names)
    offset = whole((6, 5, 4), 70)
    good("offset_16_bit", (offset + 32800).astype(np.uint16), rounded(offset * 255 / 70), y, ids, names)
    sixteen = whole((6, 5, 4), 16)
    good("whole_numbers_to_16", sixteen.astype(np.uint8), rounded(sixteen * 255 / 16), y, ids, names)
    good("floats_to_16", sixteen.astype(np.float64), rounded(sixteen * 255 / 16), y, ids, names)
    around_zero = unit * 1.9 - 1
    around_zero.flat[:2] = [-1, 0.9]
    good("minus_one_to_one", around_zero, rounded((around_zero + 1) * 127.5), y, ids, names)
    standardised = ((grey - grey.mean()) / grey.std()).astype(np.float32)
    from_black = standardised.astype(float) - standardised.min()
    levels = rounded(from_black * (255 / from_black.max()))
    good("standardised", standardised, levels, y, ids, names)
    good("standardised_fortran", np.asfortranarray(standardised), levels, y, ids, names)
    good("bool", mask.astype(bool), mask * 255, y, ids, names)
    good("bool_fortran", np.asfortranarray(mask.astype(bool)), mask * 255, y, ids, names)
    good("version_2", grey.astype(np.uint8), grey, y, ids, names, version=(2, 0))
    good("version_3", grey.astype(np.uint8), grey, y, ids, names, version=(3, 0))

    x = grey.astype(np.uint8)
    words = np.array(["b", "äther", "Zebra", "Zebra", "äther", "b"])
    word_names, word_ids = np.unique(words, return_inverse=True)
    good("strings", x, grey, words, word_ids, word_names.tolist())
    good("strings_big_endian", x, grey, words.astype(">U9"), word_ids, word_names.tolist())
    good("strings_column", x, grey, words[:, None], word_ids, word_names.tolist())
    good("strings_of_bytes", x, grey, np.char.encode(words, "utf-8"), word_ids, word_names.tolist())
    good("strings_and_classes", x, grey, words, word_ids, word_names.tolist(), "Zebra\nb\näther\n".encode())
    hostile = np.array(["<script>alert(1)</script>", "EVCXR_END_CONTENT", "a&b"] * 2)
    good("hostile_names", x, grey, hostile, [0, 1, 2] * 2, ["<script>alert(1)</script>", "EVCXR-END_CONTENT", "a&b"])
    hot = np.eye(3)[[0, 1, 2, 2, 1, 0]]
    good("one_hot", x, grey, hot.astype(np.uint8), ids, names)
    good("one_hot_fortran_float", x, grey, np.asfortranarray(hot), ids, names)
    good("column", x, grey, y[:, None].astype(">i4"), ids, names)
    good("whole_floats", x, grey, y.astype(np.float32), ids, names)
    good("from_one", x, grey, y + 1, ids, ["1", "2", "3"])
    good("gaps", x, grey, np.array([20, 3, 7, 7, 3, 20], np.uint64), [2, 0, 1, 1, 0, 2], ["3", "7", "20"])
    good("truth_values", x, grey, y == 1, [0, 1, 0, 0, 1, 0], ["False", "True"])
    good("truth_values_and_classes", x, grey, y == 1, [0, 1, 0, 0, 1, 0], ["no", "yes"], b"no\nyes\n")
    good("one_hot_bool", x, grey, hot.astype(bool), ids, names)
    good("classes", x, grey, y, ids, ["Bag", "Ankle boot", "T-shirt/top"], b"Bag\nAnkle boot\nT-shirt/top")
    good("classes_windows", x, grey, y, ids, ["Käse", "b", "c"], "\ufeffKäse\r\nb\r\n c \r\n\r\n".encode())
    json.dump(expected, sys.stdout)
    sys.exit()

x = whole((4, 3, 5), 255).astype(np.uint8)
y = np.array([0, 1, 0, 1])
x_bytes, y_bytes = [(save("whole_" + name, x, y) / f"{name}.npy").read_bytes() for name in ("X", "y")]


def header(text, data=b"", version=1):
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode("latin1") + data


def declaring(shape, descr="'|u1'", data=b"", version=1):
    return header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n", data, version)


def edited(array, index, value):
    array = array.copy()
    array[index] = value
    return array


# The file
save("no_x", None, y)
save("no_y", x, None)
save("no_folder", None, None).rmdir()
(save("x_is_a_folder", None, y) / "X.npy").mkdir()
(save("y_is_a_folder", x, None) / "y.npy").mkdir()
(save("x_dangles", None, y) / "X.npy").symlink_to("nowhere.npy")
os.mkfifo(save("x_is_a_pipe", None, y) / "X.npy")
save("empty", b"", y)
save("three_bytes", x_bytes[:3], y)
save("only_magic", x_bytes[:6], y)
save("cut_in_version", x_bytes[:7], y)
save("cut_in_length", x_bytes[:9], y)
save("cut_in_header", x_bytes[:40], y)
save("no_data", x_bytes[:128], y)
save("last_byte_missing", x_bytes[:-1], y)
save("one_byte_more", x_bytes + b"\0", y)
save("two_arrays", x_bytes + y_bytes, y)
save("png", b"\x89PNG\r\n\x1a\n" + bytes(50), y)
save("html", b"<html><script>alert(1)</script></html>", y)
save("npz", b"PK\x03\x04" + bytes(50), y)
save("pickle", b"\x80\x04\x95" + bytes(50), y)
save("version_0", b"\x93NUMPY\x00\x00" + x_bytes[8:], y)
save("version_9", b"\x93NUMPY\x09\x00" + x_bytes[8:], y)
save("header_of_gigabytes", b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + bytes(100), y)
save("header_no_dictionary", header("[1, 2, 3]\n"), y)
save("header_without_shape", header("{'descr': '|u1', 'fortran_order': False, }\n"), y)
save("header_of_code", header("{'descr': '|u1', 'fortran_order': False, 'shape': __import__('os')}\n"), y)
save("order_is_a_number", header("{'descr': '|u1', 'fortran_order': 1, 'shape': (4, 3, 5)}\n"), y)

# The shape
save("gigabytes_declared", declaring("(1000000, 1000, 1000)", data=bytes(60)), y)
save("shape_overflows", declaring("(4294967296, 4294967296, 4294967296)", data=bytes(60)), y)
save("side_overflows", declaring("(99999999999999999999, 3, 5)", data=bytes(60)), y)
save("negative_side", declaring("(4, -3, 5)", data=bytes(60)), y)
save("no_images", np.zeros((0, 3, 5), np.uint8), np.zeros(0, int))
save("no_rows", np.zeros((4, 0, 5), np.uint8), y)
for axes in [0, 1, 2, 5, 6]:
    save(f"axes_{axes}", np.zeros((4, 3, 5, 1, 2, 2)[:axes], np.uint8), y)
save("channels_first", np.zeros((4, 3, 8, 8), np.uint8), y)
save("transparency", np.zeros((4, 8, 8, 4), np.uint8), y)
save("two_channels", np.zeros((4, 8, 8, 2), np.uint8), y)

# The type of X
save("objects", np.array([np.zeros((3, 5)), np.zeros((3, 4)), None, 1], dtype=object), y)
save("objects_hidden", declaring("(4, 3, 5)", "'|O'", bytes(480)), y)
save("structured", np.zeros((4, 3, 5), [("r", "u1"), ("g", "u1")]), y)
save("complex", np.zeros((4, 3, 5), complex), y)
save("bool_of_two", declaring("(4, 3, 5)", "'|b1'", bytes([2]) * 60), y)
save("dates", np.zeros((4, 3, 5), "M8[s]"), y)
save("void", np.zeros((4, 3, 5), "V3"), y)
save("text", np.full((4, 3, 5), "a"), y)
save("long_double", declaring("(4, 3, 5)", "'<f16'", bytes(960)), y)
save("unknown_type", declaring("(4, 3, 5)", "'<q8'", bytes(480)), y)
save("three_byte_integers", declaring("(4, 3, 5)", "'<i3'", bytes(180)), y)

# The values of X
save("nan", edited(x / 255, (2, 1, 3), np.nan), y)
save("nan_fortran", np.asfortranarray(edited(x / 255, (2, 1, 3), np.nan)), y)
save("infinite", edited(x.astype(np.float32), (3, 2, 4), np.inf), y)
save("minus_infinite_rgb", edited(np.zeros((4, 3, 5, 3)), (1, 2, 3, 2), -np.inf), y)
save("negative", edited(x.astype(np.int16), (0, 2, 1), -7), y)
save("slightly_negative", np.linspace(-0.1, 2.0, 60).reshape(4, 3, 5), y)
save("outlier", edited(np.linspace(0, 2, 60).reshape(4, 3, 5), (1, 0, 4), 60000), y)
save("constant", np.full((4, 3, 5), 300), y)
save("very_negative", edited(x / 255, (1, 0, 4), -1.5), y)
save("large_integers", edited(x.astype(np.int64), (0, 0, 0), 65536), y)
save("large_floats", edited(x.astype(float), (0, 0, 0), 1e6), y)

# y
save("lengths_differ", x, y[:3])
save("labels_swapped", y, x)
save("y_scalar", x, np.array(3))
save("y_three_axes", x, y.reshape(4, 1, 1))
save("y_strings_in_a_table", x, np.full((4, 2), "a"))
save("y_objects", x, np.array(["cat", "dog", "cat", "dog"], dtype=object))
save("y_dates", x, y.astype("M8[D]"))
save("y_negative", x, np.array([0, 1, -1, 1]))
save("y_fraction", x, np.array([0, 1, 0.5, 1]))
save("y_nan", x, np.array([0, np.nan, 1, 1]))
save("y_beyond_64_bits", x, np.array([0, 0, 2**64 - 1, 2**64 - 1], np.uint64))
save("y_cut", x, y_bytes[:-3])
save("one_class", x, np.zeros(4, int))
save("one_image_in_a_class", x, np.array([0, 0, 0, 7]))
save("measurements", x, np.array([10, 20, 30, 40]))
save("two_ones", x, np.array([[1, 0], [0, 1], [1, 1], [0, 1]]))
save("no_one", x, np.array([[1, 0], [0, 1], [1, 0], [0, 0]]))
save("probabilities", x, np.array([[1, 0], [0, 1], [0.3, 0.7], [0, 1]]))
save("empty_column", x, np.eye(3)[[0, 1, 0, 1]])
save("blank_label", x, np.array(["a", "a", "", ""]))
save("control_character", x, np.array(["a", "a", "b\nEVCXR_END_CONTENT\n", "b"]))
save("bytes_not_utf8", x, np.array([b"a", b"a", b"\xff", b"b"]))
save("no_character", x, declaring("(4,)", "'<U1'", struct.pack("<4I", 97, 97, 0x110000, 98)))
save("long_label", x, np.array(["a", "a", "b" * 201, "b"]))
save("huge_strings", x, declaring("(0,)", "'<U1000000000000000'"))

# classes.txt
save("classes_too_few", x, y, b"cat\n")
save("classes_too_many", x, y, b"cat\ndog\nbird\n")
save("classes_empty", x, y, b"")
save("classes_twice", x, y, b"cat\ncat\n")
save("classes_blank_line", x, y, b"cat\n\ndog\n")
save("classes_not_utf8", x, y, b"cat\n\xff\n")
save("classes_control", x, y, b"cat\ndog\x1b[31m\n")
save("classes_other_strings", x, np.array(["cat", "dog", "cat", "dog"]), b"cat\nbird\n")
save("classes_huge", x, y, b"cat\n" * 300000)
(save("classes_is_a_folder", x, y) / "classes.txt").mkdir()
(save("classes_dangles", x, y) / "classes.txt").symlink_to("nowhere.txt")
