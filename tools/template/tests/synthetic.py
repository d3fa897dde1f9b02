"""Made-up executed notebooks with everything that a page must be able to show."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

HOSTILE = "<script>window.hostile = 1</script><img src=x onerror='window.hostile = 2'>\" onload=\"window.hostile = 3"


def png(width: int = 640, height: int = 260) -> str:
    """A white picture with a grey frame, as base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = bytearray()
    for y in range(height):
        line = bytes(
            60 if y > height - 3 or x < 3 or abs(x * height // width - (height - y)) < 2 else 255
            for x in range(width)
        )
        rows += b"\0" + line
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    content = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(rows)))
        + chunk(b"IEND", b"")
    )
    return base64.b64encode(content).decode()


TINY = f"src='data:image/png;base64,{png(20, 20)}' alt='A line'"


def figure(
    alt: str = "Loss per epoch, falling",
    caption: str = "Figure 1. Loss per epoch. The curves part after epoch 9.",
    parts: str = "",
    narrow: str = "",
) -> str:
    data = f' data-parts="{parts}"' if parts else ""
    data += f' data-narrow="data:image/png;base64,{narrow}"' if narrow else ""
    return f'<figure style="margin:0.5em 0"><img alt="{alt}" width="640"{data} style="max-width:100%" src="data:image/png;base64,{png()}"><figcaption>{caption}</figcaption></figure>'


def shown(html: str, plain: str = "Figure"):
    return new_output("execute_result", {"text/html": html, "text/plain": plain}, execution_count=1)


def notebook(cells, *, quick: bool = False, seed: int = 42, minute: int = 0, language: bool = True):
    """An executed notebook with papermill's metadata."""
    count = 0
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
        if cell.cell_type == "code":
            count += 1
            cell["execution_count"] = count
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output["execution_count"] = count
    book = new_notebook(cells=cells)
    book.metadata["kernelspec"] = {"name": "rust", "display_name": "Rust", "language": "rust"}
    if language:
        book.metadata["language_info"] = {
            "name": "Rust",
            "version": "1.91.0",
            "mimetype": "text/rust",
            "file_extension": ".rs",
            "pygments_lexer": "rust",
        }
    parameters = {"seed": seed}
    if quick:
        parameters |= {"data": "../data/sample", "sample": 2000, "quick": True}
    book.metadata["papermill"] = {
        "version": "2.7.0",
        "start_time": f"2026-11-22T20:{minute:02}:11.000000+00:00",
        "end_time": f"2026-11-22T20:{minute:02}:59.000000+00:00",
        "duration": 48.2,
        "exception": None,
        "parameters": parameters,
    }
    return book


def setup():
    return new_code_cell(':dep helpers = { path = "../helpers" }\nuse helpers::prelude::*;')


def parameters(
    code: str = 'let data = "../data"; // folder of X.npy and y.npy\nlet sample: usize = 0; // 0 = all images\nlet quick: bool = false;\nlet epochs: usize = 50; // at most\nlet seed: u64 = 42; // split, weights, shuffling',
):
    cell = new_code_cell(code)
    cell.metadata["tags"] = ["parameters"]
    return cell


def data_loading(**kw):
    return notebook(
        [
            new_markdown_cell(
                "# 1. Loading the data\n\nReads `X.npy` and `y.npy` and says what they hold. At the end the reader knows the shape, "
                "type and range of the images and how many there are of each class.\n\nNext: [splitting](03_data_splitting.ipynb)."
            ),
            setup(),
            parameters(),
            new_markdown_cell(
                "## The two files\n\nImages stay `u8` in memory, since $28 \\times 28$ of them are small: $$m = N \\cdot H \\cdot W$$"
            ),
            new_code_cell(
                "let dataset = Dataset::load(data)?.take_stratified(sample, seed)?;\ndataset",
                outputs=[
                    shown(
                        "<table><thead><tr><th>Part</th><th>Shape</th><th>Type</th><th>Bytes</th></tr></thead><tbody>"
                        "<tr><td>X</td><td>(70000, 28, 28)</td><td>uint8</td><td>54,880,000</td></tr>"
                        "<tr><td>y</td><td>(70000,)</td><td>int64</td><td>560,000</td></tr></tbody></table>",
                        "Dataset: 70000 images",
                    )
                ],
            ),
            new_markdown_cell("### Images a class\n\nThe classes are balanced."),
            new_code_cell(
                "plot::class_counts(&dataset)", outputs=[shown(figure("Bar chart: images of each class"))]
            ),
            new_markdown_cell("## Conclusion\n\nThe data is ready for [the network](06_cnn_training.ipynb)."),
        ],
        minute=1,
        **kw,
    )


def data_visualization(**kw):
    """A figure in two parts, and one with a drawing of its own for narrow pages."""
    tiles = figure("Two images side by side", parts="640x260:0,0,320,260 320,0,320,260")
    chart = figure("Bars", caption="Figure 2. Bars.", parts="340x200:0,0,340,200", narrow=png(340, 200))
    return notebook(
        [
            new_markdown_cell("# 2. Data visualization\n\nImages side by side."),
            setup(),
            parameters(),
            new_code_cell("plot::images(&split)", outputs=[shown(tiles)]),
            new_code_cell("plot::bars(&split)", outputs=[shown(chart)]),
        ],
        minute=1,
        **kw,
    )


def epochs(count: int = 50):
    """Fifty lines, each in its own message, as from the kernel."""
    return [
        new_output(
            "stream",
            name="stdout",
            text=f"epoch {n:>2}/{count}  12.4 s  ETA 00:{count - n:02}:10  loss {1 / n:.4f}  accuracy {1 - 0.5 / n:.4f}  val_loss {1.1 / n:.4f}  val_accuracy {1 - 0.55 / n:.4f}{'  *' if n == 41 else ''}\n",
        )
        for n in range(1, count + 1)
    ]


def live() -> list:
    """The outputs of helpers for a training that ended, and for one that was killed: helpers' tests write
    `live.json`."""
    shown = json.loads((Path(__file__).parent / "live.json").read_text(encoding="utf-8"))
    return [new_output("display_data", {"text/html": html, "text/plain": text}) for html, text in shown]


def cnn_training(**kw):
    return notebook(
        [
            new_markdown_cell(
                "# 6. A convolutional network\n\nTrains `Conv-Pool-Conv-Pool-Conv-Conv-Pool-Dense-Dense` and keeps the best weights.\n\n"
                "- Input: the split of [notebook 3](03_data_splitting.ipynb)\n- Running time: about ten minutes\n\nAbout the test part: see [the end](#Conclusion)."
            ),
            setup(),
            parameters(),
            new_markdown_cell("## The network\n\nFour convolutions, each followed by batch normalisation."),
            new_code_cell(
                "let mut cnn = Sequential::new(dataset.image_shape())\n    .conv2d(32, 3).max_pooling2d(2)\n    .conv2d(64, 3).max_pooling2d(2)\n"
                "    .conv2d(128, 3).conv2d(128, 3).max_pooling2d(2)\n    .flatten().dense(128).dense(dataset.classes())\n    .build(seed)?;\n"
                'println!("{} parameters", cnn.parameters()); // trainable and not\ncnn.summary()',
                outputs=[
                    new_output("stream", name="stdout", text="422,026 parameters\n"),
                    shown(
                        "<table><thead><tr><th>Layer</th><th>Output shape</th><th>Parameters</th></tr></thead><tbody>"
                        + "".join(
                            f"<tr><td>{name}</td><td>{shape}</td><td>{count}</td></tr>"
                            for name, shape, count in [
                                ("conv2d", "(32, 28, 28)", "320"),
                                ("max_pooling2d", "(32, 14, 14)", "0"),
                                ("conv2d", "(64, 14, 14)", "18,496"),
                                ("max_pooling2d", "(64, 7, 7)", "0"),
                                ("conv2d", "(128, 7, 7)", "73,856"),
                                ("conv2d", "(128, 7, 7)", "147,584"),
                                ("dense", "(128)", "147,584"),
                                ("dense", "(10)", "1,290"),
                            ]
                        )
                        + "</tbody><tfoot><tr><td>Total</td><td></td><td>422,026</td></tr></tfoot></table>",
                        "Summary: 8 layers",
                    ),
                ],
            ),
            new_markdown_cell("## Training\n\nStops after five epochs without a better validation loss."),
            new_code_cell(
                "let history = cnn.fit(&split, FitConfig { epochs, patience, ..FitConfig::default() })?;",
                outputs=epochs(),
            ),
            new_code_cell("cnn.fit_with(&split, config, callbacks)?;", outputs=live()),
            new_code_cell("history.plot()", outputs=[shown(figure())]),
            new_markdown_cell(
                "## The network\n\nA second heading of the same name, and a table:\n\n| model | accuracy | time |\n| --- | --- | --- |\n| dense | 0.906 | 41 s |\n| CNN | 0.938 | 610 s |"
            ),
            new_code_cell(
                "warn()",
                outputs=[new_output("stream", name="stderr", text="the last batch holds one image\n")],
            ),
            new_markdown_cell("## Conclusion\n\nThe network learns."),
        ],
        minute=9,
        **kw,
    )


def hostile(**kw):
    """Text that looks like markup, in each place where text can occur."""
    return notebook(
        [
            new_markdown_cell(
                '# 7. Hostile text\n\nNothing here may run.\n\n[a link](javascript:alert(1)) <img src="data:image/png;base64,'
                + png(20, 20)
                + '" onerror="window.hostile = 4" alt="A line">'
            ),
            setup(),
            parameters(),
            new_markdown_cell("## Outputs"),
            new_code_cell("print()", outputs=[new_output("stream", name="stdout", text=HOSTILE + "\n")]),
            new_code_cell("eprint()", outputs=[new_output("stream", name="stderr", text=HOSTILE + "\n")]),
            new_code_cell("value()", outputs=[new_output("execute_result", {"text/plain": HOSTILE})]),
            new_code_cell(
                "open()",
                outputs=[
                    shown(
                        f"<div><b>unclosed{HOSTILE.replace('src=x', TINY)}<h1>shouting</h1><iframe src='https://example.org/'></iframe><div onclick='window.hostile = 5'>click</div>"
                    )
                ],
            ),
            new_code_cell(f'let name = "{HOSTILE[:40]}";'),
            new_code_cell("png()", outputs=[new_output("display_data", {"image/png": png()})]),
            new_code_cell(
                "fail()?",
                outputs=[
                    new_output(
                        "error", ename="Error", evalue=HOSTILE, traceback=["\x1b[31mError\x1b[0m: " + HOSTILE]
                    )
                ],
            ),
            new_markdown_cell("## Conclusion\n\nNothing ran."),
        ],
        minute=20,
        **kw,
    )


def failed():
    """A notebook of papermill with a failed cell: papermill's two marks, and no outputs after the cell."""
    style = 'style="color:red; font-family:Helvetica Neue, Helvetica, Arial, sans-serif; font-size:2em;"'
    marks = [
        new_markdown_cell(
            f"<span {style}>An Exception was encountered at '<a href=\"#papermill-error-cell\">In [3]</a>'.</span>"
        ),
        new_markdown_cell(
            f'<span id="papermill-error-cell" {style}>Execution using papermill encountered an exception here and stopped:</span>'
        ),
    ]
    for mark in marks:
        mark.metadata["tags"] = ["papermill-error-cell-tag"]
    book = notebook(
        [
            marks[0],
            new_markdown_cell("# 8. Transfer learning\n\nStops half-way."),
            setup(),
            parameters(),
            marks[1],
            new_code_cell(
                "load()?",
                outputs=[
                    new_output(
                        "error",
                        ename="Error",
                        evalue="cannot read",
                        traceback=[
                            "cannot read ../export/metrics/cnn.json; notebook 06_cnn_training makes this file"
                        ],
                    )
                ],
            ),
        ],
        minute=30,
    )
    book.metadata.papermill["exception"] = True
    return book


def write_all(folder: Path, books: dict) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, book in books.items():
        nbformat.write(book, folder / f"{name}.ipynb")
    return folder
