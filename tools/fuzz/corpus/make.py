"""Writes the part of the corpus that can be made with NumPy: arrays, class names, texts.

python3 tools/fuzz/corpus/make.py, with NumPy; `cargo run -p fuzz --bin corpus` writes the rest.
Inputs that the fuzzer found something with are called `found_*`, those changed by hand `hand_*`; neither program writes them.
"""

import io
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

CORPUS = Path(__file__).parent


def npy_bytes(array, version=None):
    file = io.BytesIO()
    npy.write_array(file, array, version=version, allow_pickle=False)
    return file.getvalue()


def write(target, name, content):
    folder = CORPUS / target
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)


def images():
    grey = np.arange(4 * 3 * 2).reshape(4, 3, 2) * 10
    colour = np.arange(4 * 2 * 2 * 3).reshape(4, 2, 2, 3)
    yield "u1", npy_bytes(grey.astype("u1"))
    yield "u1_colour", npy_bytes(colour.astype("u1"))
    yield "u1_fortran", npy_bytes(np.asfortranarray(colour.astype("u1")))
    yield "u1_black_white", npy_bytes((grey > 100).astype("u1"))
    yield "i1", npy_bytes((grey // 2).astype("i1"))
    yield "u2_big", npy_bytes((grey * 17).astype(">u2"))
    yield "i4_fortran_big", npy_bytes(np.asfortranarray((grey * 100).astype(">i4")))
    yield "i8", npy_bytes(grey.astype("<i8"))
    yield "u8", npy_bytes(grey.astype("<u8"))
    yield "f2", npy_bytes((grey / 230).astype("<f2"))
    yield "f2_big", npy_bytes(grey.astype(">f2"))
    yield "f4", npy_bytes((grey / 230).astype("<f4"))
    yield "f4_255_fortran", npy_bytes(np.asfortranarray(grey.astype("<f4")))
    yield "f8_big", npy_bytes((grey / 230).astype(">f8"))
    yield "f4_nan", npy_bytes(np.where(grey == 30, np.nan, 0.5).astype("<f4"))
    yield "f4_negative", npy_bytes(-grey.astype("<f4"))
    yield "version_2", npy_bytes(grey.astype("u1"), (2, 0))
    yield "version_3", npy_bytes(grey.astype("u1"), (3, 0))
    yield "bool", npy_bytes(grey > 100)
    yield "complex", npy_bytes(grey.astype("c8"))
    yield "records", npy_bytes(np.zeros((4, 2, 2), [("é", "u1"), ("b", "<f4", (2,))]), (3, 0))
    yield "no_dimension", npy_bytes(np.array(7, "u1"))
    yield "no_images", npy_bytes(np.zeros((0, 2, 2), "u1"))
    whole = npy_bytes(grey.astype("u1"))
    yield "cut_header", whole[:40]
    yield "cut_data", whole[:-1]
    yield "python_2", whole.replace(b"(4, 3, 2), }  ", b"(4L, 3L, 2L)}")
    yield "terabytes", whole.replace(b"(4, 3, 2), }" + b" " * 12, b"(4398046511104, 3, 2), }")


def labels():
    ids = np.array([0, 1, 2, 0, 1, 2])
    yield "i8", npy_bytes(ids.astype("<i8"))
    yield "u1_column", npy_bytes(ids.astype("u1").reshape(-1, 1))
    yield "i2_big_gaps", npy_bytes((ids * 7 + 3).astype(">i2"))
    yield "u8_large", npy_bytes(ids.astype("<u8") + np.uint64(2**53))
    yield "f4", npy_bytes(ids.astype("<f4"))
    yield "f8_fraction", npy_bytes(ids.astype("<f8") / 2)
    yield "i4_negative", npy_bytes(ids.astype("<i4") - 1)
    yield "one_hot", npy_bytes(np.eye(3)[ids].astype("<f4"))
    yield "one_hot_fortran", npy_bytes(np.asfortranarray(np.eye(3)[ids].astype("u1")))
    yield "two_ones", npy_bytes(np.ones((6, 3), "u1"))
    yield "text", npy_bytes(np.array(["coat", "bag", "été"])[ids])
    yield "text_big", npy_bytes(np.array(["coat", "bag", "été"])[ids].astype(">U4"))
    yield "bytes", npy_bytes(np.array([b"coat", b"bag", b"shoe"])[ids])
    yield "bytes_latin", npy_bytes(np.array(["été".encode("latin-1"), b"bag", b"shoe"])[ids])
    yield "hostile", npy_bytes(np.array(["<script>alert(1)</script>", "EVCXR_END_CONTENT", "a & b"])[ids])
    yield "control", npy_bytes(np.array(["a\nb", "c\x1b[1m", "d\u202e"])[ids])
    yield "one_class", npy_bytes(np.zeros(6, "u1"))
    yield "rare", npy_bytes(np.array([0, 0, 0, 0, 0, 1], "u1"))
    yield "cut_data", npy_bytes(ids.astype("<i8"))[:-3]


CLASS_NAMES = {
    "plain": "T-shirt/top\nTrouser\nPullover\n",
    "windows": "\ufeffcoat\r\nbag\r\nshoe",
    "hostile": "<script>alert(1)</script>\nEVCXR_BEGIN_CONTENT text/html\na & b\n\" onload=\"x\n",
    "twice": "coat\ncoat\n",
    "blank": "coat\n\nbag\n",
    "control": "coat\nb\x1b[1mag\n",
    "long": "coat\n" + "x" * 201,
}

DISPLAY = {
    "plain": "T-shirt/top",
    "script": "<script>alert('x')</script>",
    "attribute": "\" onload=\"alert(1)",
    "entity": "&lt;b&gt; &amp;amp; &#39;",
    "block": "\nEVCXR_END_CONTENT\nEVCXR_BEGIN_CONTENT text/html\n<b>",
    "hidden_marker": "EVCXR\0_END_CONTENT EVEVCXR_CXR_END_CONTENT EVCXR\u200e_",
    "directions": "a\u202eb\u2066c\ufeffd\u2028e\u0085f\tg",
    "long": "é<" * 150,
}


def main():
    for name, content in images():
        write("npy", f"{name}.npy", content)
    for name, content in labels():
        write("labels", f"{name}.npy", content)
    for target, texts in [("class_names", CLASS_NAMES), ("display", DISPLAY)]:
        for name, text in texts.items():
            write(target, f"{name}.txt", text.encode())
    write("class_names", "latin.txt", "été\nbag\n".encode("latin-1"))


if __name__ == "__main__":
    main()
