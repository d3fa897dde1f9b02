"""Executed notebooks as HTML: a page for each, and `submission.html` with all of them.

    python tools/template/export.py --executed export --out export

In: `DIR/01_….ipynb` to `DIR/99_….ipynb`, from papermill. Out: `OUT/NAME.html` for each and `OUT/submission.html`. A
page is one file that loads nothing else: styles, script and pictures are inside, TeX formulas become MathML, and a
content security policy blocks everything else. The design is in `notebook/` (nbconvert template, page, styles).

`executed` reads notebooks, `outputs` decides which outputs are shown and `folds` what is folded, `article` converts one
notebook, with `own_html` to make foreign HTML safe and `headings` to name the targets of links. `results` reads the
metrics for `first_screen` and `record`. `pages` makes the files, and `print_pdf` prints one. Start at `export`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from article import convert
from browser import BrowserError, find_chromium
from executed import ExportError, Notebook, find_notebooks
from first_screen import first_screen
from pages import About, linked, page
from print_pdf import print_pdf
from record import data_of, record_of
from results import read_results
from whole import write_whole

TITLE = "Deep learning on image data"


def write(path: Path, text: str) -> None:
    try:
        write_whole(path, text)
    except OSError as error:
        raise ExportError(
            f"cannot write {path}: {error.strerror or error}; check that the folder can be written and the disk has "
            "room, then run `cargo xtask export`; what was there before is whole"
        ) from error


def export(executed: Path, out: Path, title: str = TITLE, author: str = "", course: str = "") -> list[Notebook]:
    """Writes `out/NAME.html` for each notebook of `executed`, and `out/submission.html`.

    The metrics of the run, from `executed/metrics`, are at the head and the foot of the pages.

    Returns the notebooks, with their problems in `warnings`. Raises ExportError: before anything is written, if there
    is no notebook or one of them cannot be shown; and if a page cannot be written. In that case the pages before it are
    new, and it and the later ones are unchanged.
    """
    notebooks = [convert(path) for path in find_notebooks(executed)]
    if refused := [text for book in notebooks for text in book.refused]:
        raise ExportError("\n  ".join(["these outputs show a type's name instead of the thing:", *refused]))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"cannot make {out}: {error.strerror}; name a folder that can be written") from error
    results = read_results(executed / "metrics")
    about = About(
        title=title,
        author=author,
        course=course,
        data=data_of(results),
        record=record_of(notebooks, results),
        first=first_screen(results, executed / "figures", notebooks),
    )
    notebooks[0].warnings += results.warnings
    for index, book in enumerate(notebooks):
        write(
            out / f"{book.name}.html",
            page(
                [book],
                about,
                whole=False,
                before=notebooks[index - 1] if index else None,
                after=notebooks[index + 1] if index + 1 < len(notebooks) else None,
                bodies=[linked(book.html, notebooks, inside=False)],
            ),
        )
    bodies = [linked(book.html, notebooks, inside=True) for book in notebooks]
    write(out / "submission.html", page(notebooks, about, whole=True, bodies=bodies))
    return notebooks


def print_submission(out: Path) -> None:
    """Prints `out/submission.html` as `out/submission.pdf`."""
    program = find_chromium()
    if program is None:
        raise ExportError(
            "no Chromium or Chrome found, which prints the PDF (the pages are written): install one, on Debian "
            "`apt-get install chromium`, or name one in the variable CHROMIUM, or print submission.html from your browser"
        )
    try:
        print_pdf(program, out / "submission.html", out / "submission.pdf")
    except (BrowserError, OSError) as error:
        raise ExportError(f"cannot print {out / 'submission.pdf'}: {error}; the pages are written") from error


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Executed notebooks as HTML pages that open offline.")
    parser.add_argument("--executed", type=Path, required=True, help="folder of the executed notebooks")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pages")
    parser.add_argument("--title", default=TITLE, help="title of submission.html")
    parser.add_argument("--author", default="", help="who hands it in; stands under the title")
    parser.add_argument("--course", default="", help="for which course; stands under the title")
    parser.add_argument("--pdf", action="store_true", help="also print submission.pdf, in Chromium or Chrome")
    parser.add_argument("--strict", action="store_true", help="fail when there is a warning")
    options = parser.parse_args(arguments)
    try:
        notebooks = export(options.executed, options.out, options.title, options.author, options.course)
        if options.pdf:
            print_submission(options.out)
    except ExportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    notes = [note for book in notebooks for note in book.warnings]
    for note in notes:
        print(f"warning: {note}", file=sys.stderr)
    size = (options.out / "submission.html").stat().st_size / 1e6
    print(
        f"{options.out / 'submission.html'}: {len(notebooks)} notebooks, {size:.1f} MB; and a page for each"
    )
    return 1 if options.strict and notes else 0


if __name__ == "__main__":
    sys.exit(main())
