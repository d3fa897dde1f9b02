"""Arrays from pictures: the pixels are the same as Pillow's for every file format; broken files are left out; a stop
loses nothing."""

import csv
import gzip
import os
import random
import signal
import struct
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def program():
    """The program, built without the slow optimisations."""
    command = ["cargo", "build", "--locked", "--quiet", "--package", "import", "--message-format", "short"]
    subprocess.run(command, cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "debug" / "import"


@pytest.fixture
def run(program, tmp_path):
    def run(*words, ok=True):
        done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, cwd=tmp_path)
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done.stdout if ok else done.stderr

    return run


def picture(number, width=150, height=100):
    """A picture with edges, areas and a gradient, different for each number."""
    random_ = random.Random(number)
    made = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    draw = ImageDraw.Draw(made)
    for _ in range(6):
        x, y = random_.randrange(width), random_.randrange(height)
        colour = tuple(random_.randrange(256) for _ in range(3))
        draw.ellipse([x - 25, y - 15, x + 25, y + 15], fill=colour)
    return made


def beside(folder):
    """A second picture in the class `one`, and a second class: a data set has two of each at least."""
    for name in ("one/z", "two/a", "two/b"):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(90 + len(list(folder.rglob("*.png")))).save(path)


def expected(made, side, fit="crop"):
    """The pixels that Pillow computes."""
    made = made.convert("RGB")
    width, height = made.size
    square = min(width, height)
    if fit == "crop":
        box = ((width - square) / 2, (height - square) / 2, (width + square) / 2, (height + square) / 2)
        return np.asarray(made.resize((side, side), Image.Resampling.BILINEAR, box=box))
    if fit == "stretch":
        return np.asarray(made.resize((side, side), Image.Resampling.BILINEAR))
    scale = side / max(width, height)
    inner = round(width * scale), round(height * scale)
    whole = Image.new("RGB", (side, side))
    whole.paste(made.resize(inner, Image.Resampling.BILINEAR), ((side - inner[0]) // 2, (side - inner[1]) // 2))
    return np.asarray(whole)


def near(ours, theirs, most=1):
    return np.abs(ours.astype(int) - theirs.astype(int)).max() <= most


def load(folder):
    return np.load(folder / "X.npy"), np.load(folder / "y.npy"), (folder / "classes.txt").read_text().splitlines()


def test_every_kind_of_file_gives_pillows_pixels(run, tmp_path):
    """JPEG decoders may differ by some levels; all other formats are exact, except for the rounding when resizing."""
    folder = tmp_path / "pictures" / "all"
    folder.mkdir(parents=True)
    made = {}

    def add(name, saved, shown=None, most=2, **options):
        saved.save(folder / name, **options)
        made[name] = (shown or saved, most)

    add("a.png", picture(1))
    add("b.bmp", picture(2))
    add("c.gif", picture(3).quantize(64))
    add("d.tiff", picture(4))
    add("e.webp", picture(5), lossless=True)
    add("f.jpg", picture(6), most=8, quality=95, subsampling=0)
    add("g.png", picture(7).quantize(32), None)
    add("h.png", picture(8).convert("L"))
    grey16 = np.asarray(picture(9).convert("L")).astype(np.uint16) * 257
    add("i.png", Image.fromarray(grey16), picture(9).convert("L"))
    glass = picture(10).convert("RGBA")
    glass.putalpha(Image.linear_gradient("L").resize(glass.size))
    add("j.png", glass, Image.alpha_composite(Image.new("RGBA", glass.size, "white"), glass))
    # Orientation 6 is a picture that lies on its right side: turned left it is upright.
    turned = Image.Exif()
    turned[0x0112] = 6
    add("k.jpg", picture(11), picture(11).transpose(Image.Transpose.ROTATE_270), most=8, quality=95, subsampling=0, exif=turned)
    add("l.jpg", picture(12).convert("CMYK"), None, most=12, quality=95)
    add("m.JPG", picture(13).convert("L"), None, most=8, quality=95)
    beside(tmp_path / "pictures")
    (tmp_path / "pictures/one/z.png").unlink()
    run("pictures", "--size", 32, "--into", "out")
    x, y, classes = load(tmp_path / "out")
    assert x.shape == (len(made) + 2, 32, 32, 3) and x.dtype == np.uint8
    assert y.tolist() == [0] * len(made) + [1, 1] and y.dtype == np.int64 and classes == ["all", "two"]
    wrong = [name for pixels, (name, (shown, most)) in zip(x, sorted(made.items())) if not near(pixels, expected(shown, 32), most)]
    assert wrong == []


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("size", [(150, 100), (90, 200), (64, 64), (20, 30)])
def test_a_picture_is_cropped_padded_or_stretched_as_pillow_would(run, tmp_path, fit, size):
    folder = tmp_path / "pictures" / "one"
    folder.mkdir(parents=True)
    picture(1, *size).save(folder / "a.png")
    beside(tmp_path / "pictures")
    run("pictures", "--size", 48, "--fit", fit, "--into", "out")
    assert near(load(tmp_path / "out")[0][0], expected(picture(1, *size), 48, fit))


def test_grey_is_pillows_grey(run, tmp_path):
    folder = tmp_path / "pictures" / "one"
    folder.mkdir(parents=True)
    picture(1).save(folder / "a.png")
    beside(tmp_path / "pictures")
    run("pictures", "--size", 28, "--grey", "--into", "out")
    x, _, _ = load(tmp_path / "out")
    assert x.shape == (4, 28, 28)
    assert near(x[0], np.asarray(Image.fromarray(expected(picture(1), 28)).convert("L")))


def test_what_is_broken_is_named_and_left_out(run, tmp_path):
    folder = tmp_path / "pictures"
    for name in ["cat", "dog"]:
        (folder / name / "below").mkdir(parents=True)
        picture(len(name)).save(folder / name / "below" / "whole.jpg")
        picture(len(name) + 5).save(folder / name / "other.jpg")
    whole = (folder / "cat/below/whole.jpg").read_bytes()
    (folder / "cat/cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "cat/nothing.png").write_bytes(b"")
    (folder / "dog/text.png").write_text("no picture")
    png = folder / "dog/cut.png"
    picture(3).save(png)
    png.write_bytes(png.read_bytes()[:-2000])
    (folder / "dog/notes.txt").write_text("no picture by its name")
    told = run("pictures", "--size", 32, "--into", "out")
    _, y, classes = load(tmp_path / "out")
    assert (y.tolist(), classes) == ([0, 0, 1, 1], ["cat", "dog"])
    assert "not taken: 1 file with the ending .txt, such as pictures/dog/notes.txt" in told
    for name in ["cut.jpg", "nothing.png", "text.png", "cut.png"]:
        assert f"{name}: " in told
    assert told.count("left out") == 4
    assert len((tmp_path / "out/left_out.txt").read_text().splitlines()) == 4


@pytest.mark.parametrize("kind", ["jpg", "png", "gif", "bmp", "tiff", "webp"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_that_is_cut_off_is_left_out_whatever_its_kind(run, tmp_path, kind, share):
    folder = tmp_path / "pictures/one"
    folder.mkdir(parents=True)
    for name in ("cut", "whole"):
        picture(3).save(folder / f"{name}.{kind}")
    whole = (folder / f"whole.{kind}").read_bytes()
    (folder / f"cut.{kind}").write_bytes(whole[: int(share * len(whole))])
    beside(tmp_path / "pictures")
    told = run("pictures", "--size", 32, "--into", "out")
    assert f"left out: pictures/one/cut.{kind}: " in told
    assert len(load(tmp_path / "out")[1]) == 4


def test_all_that_is_left_out_stands_in_a_file(run, tmp_path):
    folder = tmp_path / "pictures/one"
    folder.mkdir(parents=True)
    for number in range(13):
        (folder / f"{number:02}.png").write_text("no picture")
    beside(tmp_path / "pictures")
    for path in (tmp_path / "pictures").glob("*/[a-z].png"):
        path.write_text("no picture")
    told = run("pictures", "--into", "none", ok=False)
    assert "none of the 16 pictures can be read, none/left_out.txt says why" in told
    picture(1).save(folder / "whole.png")
    beside(tmp_path / "pictures")
    told = run("pictures", "--into", "out")
    assert "left out: 3 more; all of them stand in out/left_out.txt" in told
    lines = (tmp_path / "out/left_out.txt").read_text().splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"pictures/one/{number:02}.png" for number in range(13)]
    # No picture is left out any more.
    for path in folder.glob("??.png"):
        path.unlink()
    for name in ("X.npy", "y.npy", "classes.txt"):
        (tmp_path / "out" / name).unlink()
    run("pictures", "--into", "out")
    assert not (tmp_path / "out/left_out.txt").exists()


def test_a_class_that_keeps_no_picture_is_left_out_and_the_others_are_numbered_anew(run, tmp_path):
    folder = tmp_path / "pictures"
    beside(folder)
    for name in ("__MACOSX", "broken", "heic"):
        (folder / name).mkdir()
    for name in ("broken/a.png", "broken/b.png", "heic/a.heic", "heic/b.heic", "__MACOSX/._a.png"):
        (folder / name).write_text("no picture")
    picture(1).save(folder / "one/a.png")
    told = run("pictures", "--size", 32, "--into", "out")
    x, y, classes = load(tmp_path / "out")
    assert (len(x), y.tolist(), classes) == (4, [0, 0, 1, 1], ["one", "two"])
    for name in ("__MACOSX", "broken", "heic"):
        assert f"left out: class `{name}`, which has no picture" in told
    assert "not taken: 2 files with the ending .heic, such as pictures/heic/a.heic" in told


def test_a_class_that_no_notebook_reads_is_refused(run, tmp_path):
    beside(tmp_path / "pictures")
    folder = tmp_path / "pictures/single"
    folder.mkdir()
    picture(1).save(folder / "a.png")
    picture(2).save(tmp_path / "pictures/one/a.png")
    assert "class `single` has one picture; expected at least two" in run("pictures", "--into", "out", ok=False)
    assert not (tmp_path / "out").exists()
    # That only one of two can be read is known later; no array is there then, either.
    (folder / "b.png").write_text("no picture")
    told = run("pictures", "--into", "out", ok=False)
    assert "class `single` has one picture" in told and "out/left_out.txt says why" in told
    assert not [name for name in ("X.npy", "y.npy", "classes.txt") if (tmp_path / "out" / name).exists()]
    with open(tmp_path / "pictures/labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([("two/a.png", "two"), ("two/b.png", "t\nwo")])
    assert "holds the control character U+000A" in run("pictures/labels.csv", "--into", "other", ok=False)


def test_the_next_command_takes_a_path_with_a_space(run, tmp_path):
    beside(tmp_path / "pictures")
    picture(1).save(tmp_path / "pictures/one/a.png")
    assert "next: cargo xtask run -p data 'my data'\n" in run("pictures", "--into", "my data")


def test_the_same_pixels_twice_are_told(run, tmp_path):
    for name, number in [("cat/a", 1), ("cat/b", 1), ("dog/c", 1), ("dog/d", 2)]:
        path = tmp_path / "pictures" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path)
    told = run("pictures", "--size", 32, "--into", "out")
    assert "2 pictures have the pixels of an earlier one, 1 of them in another class" in told
    lines = [line for line in told.splitlines() if " as pictures/cat/a.png (cat)" in line]
    assert lines == ["  pictures/dog/c.png (dog) as pictures/cat/a.png (cat)", "  pictures/cat/b.png (cat) as pictures/cat/a.png (cat)"]


def test_a_table_names_files_and_classes(run, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rows = [("file", "label")]
    for number, label in enumerate(["red, big", "blue", "red, big", "blue"]):
        picture(number).save(folder / f"{number}.png")
        rows.append((f"{number}.png", label))
    with open(folder / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    told = run("pictures/labels.csv", "--size", 32, "--into", "out")
    assert "the first row, `file, label`, names no file that is there: taken for a heading" in told
    x, y, classes = load(tmp_path / "out")
    assert (y.tolist(), classes) == ([0, 0, 1, 1], ["blue", "red, big"])
    assert near(x[0], expected(picture(1), 32))
    # A first row with a picture is not a header, and a later row without one is a missing picture.
    with open(folder / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows[1:] + [("gone.png", "blue")])
    told = run("pictures/labels.csv", "--size", 32, "--into", "again")
    assert "heading" not in told and "gone.png: " in told
    assert len(load(tmp_path / "again")[1]) == 4


def test_what_is_there_is_not_overwritten_and_wrong_wishes_are_told(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "X.npy").write_text("mine")
    folder = tmp_path / "pictures" / "one"
    folder.mkdir(parents=True)
    assert "holds no picture" in run("pictures", "--into", "other", ok=False)
    picture(1).save(folder / "a.png")
    beside(tmp_path / "pictures")
    assert "never overwritten" in run("pictures", "--into", "out", ok=False)
    assert (tmp_path / "out" / "X.npy").read_text() == "mine"
    assert "8 to 4096 pixels" in run("pictures", "--size", 4, "--into", "other", ok=False)
    assert "`crop`, `pad` or `stretch`" in run("pictures", "--fit", "squeeze", "--into", "other", ok=False)
    assert "cannot read nowhere" in run("nowhere", "--into", "other", ok=False)
    for name, found in [("one/a.png", "is one picture"), ("mine.zip", "is an archive"), ("X.npy", "is an array already")]:
        (tmp_path / "pictures" / name).touch()
        assert found in run(f"pictures/{name}", "--into", "other", ok=False)


def test_the_preview_shows_eight_of_each_class_and_no_mark_up_of_theirs(run, tmp_path):
    for name in ["a", "<b>&"]:
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(10):
            picture(number, 40, 40).save(tmp_path / "pictures" / name / f"{number}.png")
    run("pictures", "--size", 16, "--into", "out")
    page = (tmp_path / "out" / "preview.html").read_text()
    assert page.count("<img ") == 16
    assert "&lt;b&gt;&amp; (10)" in page and "<b>" not in page


def test_an_import_that_is_killed_goes_on_and_ends_with_the_same_bytes(run, program, tmp_path):
    for name in ["cat", "dog"]:
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(500):
            path = tmp_path / "pictures" / name / f"{number}.png"
            if number % 50 == 7:
                path.write_bytes(b"broken")
            else:
                picture(number % 40, 60, 60).save(path)
    calm = run("pictures", "--size", 32, "--into", "calm")
    state, kills = tmp_path / "rough" / "import.json", 0
    for _ in range(3):
        before = state.read_text() if state.exists() else ""
        process = subprocess.Popen([program, "pictures", "--size", "32", "--into", "rough"], cwd=tmp_path, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < until:
            if state.exists() and state.read_text() != before:
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.001)
        process.wait()
        # As if it had been killed after writing the pixels and before saving the progress.
        with open(tmp_path / "rough" / "X.npy.part", "ab") as file:
            file.write(b"more than was noted")
    assert kills >= 2, "it was too quick to be killed"
    told = run("pictures", "--size", 32, "--into", "rough")
    assert "going on after" in told
    for name in ["X.npy", "y.npy", "classes.txt", "preview.html"]:
        assert (tmp_path / "rough" / name).read_bytes() == (tmp_path / "calm" / name).read_bytes(), name
    assert sorted(path.name for path in (tmp_path / "rough").iterdir()) == sorted(path.name for path in (tmp_path / "calm").iterdir())
    copies = [line for line in calm.splitlines() if "have the pixels" in line]
    assert copies and copies[0] in told


ARRAYS = {"x_train": np.arange(120, dtype=np.uint8).reshape(5, 4, 6), "y_train": np.arange(5), "x_test": np.zeros((2, 4, 6)), "y_test": np.zeros(2)}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_taken_out_of_an_npz_file(run, tmp_path, save):
    save(tmp_path / "mnist.npz", **ARRAYS)
    run("mnist.npz", "--into", "usual")
    run("mnist.npz", "--images", "x_test", "--labels", "y_test", "--into", "named")
    for folder, part in [("usual", "train"), ("named", "test")]:
        for name in "xy":
            found = np.load(tmp_path / folder / f"{name.upper() if name == 'x' else name}.npy")
            assert found.dtype == ARRAYS[f"{name}_{part}"].dtype and (found == ARRAYS[f"{name}_{part}"]).all()
    told = run("mnist.npz", "--images", "X_train", "--into", "other", ok=False)
    assert "no array `X_train`" in told and "x_train" in told
    save(tmp_path / "odd.npz", pictures=ARRAYS["x_train"])
    assert "name one of pictures with --images" in run("odd.npz", "--into", "other", ok=False)
    assert "X.npy is there already" in run("mnist.npz", "--into", "usual", ok=False)


def test_as_many_images_as_labels_are_taken(run, tmp_path):
    np.savez(tmp_path / "odd.npz", X=ARRAYS["x_train"], y=np.arange(4))
    assert "odd.npz holds 5 images and 4 labels" in run("odd.npz", "--into", "out", ok=False)
    assert list((tmp_path / "out").iterdir()) == []


def idx(array, kind):
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, kind, array.ndim]) + shape + array.astype(array.dtype.newbyteorder(">")).tobytes()


def test_mnists_own_files_are_read(run, tmp_path):
    images, labels = ARRAYS["x_train"], ARRAYS["y_train"].astype(np.uint8)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(images, 8))
    assert "name the file with --labels" in run("train-images-idx3-ubyte", "--into", "out", ok=False)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(labels, 8))
    run("train-images-idx3-ubyte", "--into", "out")
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images.astype(np.float32), 13)))
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels.astype(np.int32), 12)))
    run("t10k-images-idx3-ubyte.gz", "--into", "zipped")
    # Kaggle's archive has each file in a folder of the same name.
    for kind in ["images-idx3-ubyte", "labels-idx1-ubyte"]:
        (tmp_path / f"kaggle/train-{kind}").mkdir(parents=True)
        (tmp_path / f"kaggle/train-{kind}/train-{kind}").write_bytes((tmp_path / f"train-{kind}").read_bytes())
    run("kaggle/train-images-idx3-ubyte", "--into", "inside")
    for folder in ["out", "zipped", "inside"]:
        assert (np.load(tmp_path / folder / "X.npy") == images).all()
        assert (np.load(tmp_path / folder / "y.npy") == labels).all()


def test_a_file_that_is_cut_off_leaves_nothing_behind(run, tmp_path):
    whole = idx(ARRAYS["x_train"], 8)
    (tmp_path / "a-images-idx3-ubyte").write_bytes(whole[:-1])
    (tmp_path / "a-labels-idx1-ubyte").write_bytes(idx(ARRAYS["y_train"].astype(np.uint8), 8))
    assert "cut off: 119 of 120 bytes" in run("a-images-idx3-ubyte", "--into", "out", ok=False)
    (tmp_path / "b-images-idx3-ubyte").write_bytes(b"PK and so on")
    assert "no IDX file" in run("b-images-idx3-ubyte", "--labels", "a-labels-idx1-ubyte", "--into", "out", ok=False)
    np.savez(tmp_path / "c.npz", **ARRAYS)
    npz = (tmp_path / "c.npz").read_bytes()
    (tmp_path / "c.npz").write_bytes(npz[: len(npz) // 2])
    assert "cannot read c.npz" in run("c.npz", "--into", "out", ok=False)
    assert list((tmp_path / "out").iterdir()) == []
