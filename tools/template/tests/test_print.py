"""Printed pages: contents with page numbers, complete captions, readable code, and the command that prints them."""

import re

import export
import print_pdf
import pypdf
import pytest
import synthetic
from browser import find_chromium
from nbformat.v4 import new_code_cell, new_markdown_cell

pytestmark = pytest.mark.browser

CAPTION = "Figure {}. A picture. " + "Its caption is long and takes several lines on paper, which stay together. " * 5
FIGURES = 24
SHORT = [1, 2, 3]
# The text's lower and upper edge on an A4 page, in points.
BOTTOM, TOP = 18 * 72 / 25.4, (297 - 16) * 72 / 25.4


def many_figures():
    """Figures at every height of a page, after texts of increasing length."""
    cells = [new_markdown_cell("# 4. Figures")]
    for number in range(FIGURES):
        shown = synthetic.shown(synthetic.figure(caption=CAPTION.format(number)))
        cells += [new_markdown_cell("A line.\n\n" * (number * 7 % 11)), new_code_cell(f"plot({number})", outputs=[shown])]
        rows = "".join(f"<tr><td>row {number}.{row}</td></tr>" for row in range(9))
        table = f"<table><caption>Table {number}. Rows.</caption><thead><tr><th>Row</th></tr></thead>{rows}</table>"
        cells.append(new_code_cell("table", outputs=[synthetic.shown(table)]))
    return synthetic.notebook(cells)


def short(number: int):
    """A task that takes half a page."""
    cells = [new_markdown_cell(f"# {number}. Short\n\nA task.\n\n" + "A line.\n\n" * 12), new_code_cell("answer()")]
    return synthetic.notebook(cells)


@pytest.fixture(scope="module")
def paper(tmp_path_factory) -> pypdf.PdfReader:
    """The submission with all of these, printed by the command."""
    if not find_chromium():
        pytest.fail("no Chromium or Chrome found; `cargo xtask test` says what to do")
    books = {f"{number:02}_short": short(number) for number in SHORT}
    books |= {"04_baseline_model": many_figures(), "06_cnn_training": synthetic.cnn_training()}
    folder = synthetic.write_all(tmp_path_factory.mktemp("paper"), books)
    assert export.main(["--executed", str(folder), "--out", str(folder), "--pdf"]) == 0
    return pypdf.PdfReader(folder / "submission.pdf")


def words(page: pypdf.PageObject) -> str:
    return re.sub(r"\s+", " ", page.extract_text())


def pictures_on(page: pypdf.PageObject) -> int:
    """The number of pictures on a page; charts drawn as lines do not count."""
    known = page["/Resources"].get("/XObject", {})
    names = re.findall(r"(/\w+) Do\b", page.get_contents().get_data().decode("latin-1"))
    return sum(known[name].get_object()["/Subtype"] == "/Image" for name in names)


def test_each_page_has_its_number(paper):
    assert len(paper.pages) > 5
    for number, page in enumerate(paper.pages, start=1):
        # Chromium writes the margin's text first.
        assert words(page).startswith(f"{number} "), words(page)[:60]


def test_the_contents_name_the_page_of_each_section(paper):
    (contents,) = [page for page in paper.pages if words(page).split(" ", 1)[1].startswith("Contents ")]
    listed = re.findall(r"(4\. Figures|6\. A convolutional network|Training|Conclusion) (\d+)", words(contents))
    assert [name for name, _ in listed] == ["4. Figures", "6. A convolutional network", "Training", "Conclusion"]
    for name, number in listed:
        assert name in words(paper.pages[int(number) - 1])
    assert int(listed[-1][1]) == len(paper.pages)


def test_captions_stay_whole_beside_what_they_name(paper):
    texts = [words(page) for page in paper.pages]
    for number in range(FIGURES):
        (page,) = [text for text in texts if f"Figure {number}. A picture" in text]
        assert CAPTION.format(number).strip() in page
        (page,) = [text for text in texts if f"Table {number}. Rows." in text]
        assert f"row {number}.0 row {number}.1" in page
    for page, text in zip(paper.pages, texts, strict=True):
        assert pictures_on(page) == len(re.findall(r"Figure \d+\. ", text)), text[:80]


def empty_share(page: pypdf.PageObject) -> float:
    """The part of a page below its last line; the page number stands lower."""
    heights = []

    def visit(text, matrix, text_matrix, _font, _size):
        if text.strip():
            heights.append(text_matrix[5] * matrix[3] + matrix[5])

    page.extract_text(visitor_text=visit)
    return (min(height for height in heights if height > BOTTOM) - BOTTOM) / (TOP - BOTTOM)


def test_no_page_is_a_third_empty(paper):
    # The title and the contents have pages of their own, and the last page ends where the text ends.
    shares = [empty_share(page) for page in paper.pages[2:-1]]
    assert max(shares) < 1 / 3, shares


# A word of code, and one of the lines that a cell prints.
@pytest.mark.parametrize("word, least", [("max_pooling2d", 8.4), ("val_loss", 8.9)])
def test_code_and_what_it_prints_are_large_enough_to_read(paper, word, least):
    sizes = []

    def visit(text, matrix, text_matrix, _font, size):
        if word in text:
            sizes.append(size * abs(matrix[0] * text_matrix[0]))

    for page in paper.pages:
        page.extract_text(visitor_text=visit)
    assert sizes and min(sizes) >= least


def test_all_code_is_on_paper_though_some_is_folded_on_the_screen(paper):
    text = " ".join(map(words, paper.pages))
    assert ':dep helpers = { path = "../helpers" }' in text


def test_the_paper_has_an_outline_and_tags(paper):
    titles = [entry.title for entry in paper.outline[1] if not isinstance(entry, list)]
    assert titles == [*(f"{number}. Short" for number in SHORT), "4. Figures", "6. A convolutional network"]
    assert paper.trailer["/Root"]["/MarkInfo"]["/Marked"]


def test_the_page_of_a_target_is_read_from_what_chromium_wrote():
    pdf = b"9 0 obj\n<</Type /Page\n/P 1>>\n12 0 obj\n<</Type /Page\n>>\n3 0 obj\n<</Type /Pages>>\n<</a [12 0 R /XYZ 0 1 0]\n/b-c [9 0 R /XYZ 0 1 0]>>"
    assert print_pdf.pages_of_targets(pdf) == {"a": 2, "b-c": 1}


def test_without_a_browser_the_pages_are_written_and_what_to_do_is_said(made_up, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "gone"))
    assert export.main(["--executed", str(made_up), "--out", str(tmp_path), "--pdf"]) == 1
    assert "no Chromium or Chrome found" in capsys.readouterr().err
    assert (tmp_path / "submission.html").is_file() and not (tmp_path / "submission.pdf").exists()


def test_a_browser_that_does_not_print_is_named(made_up, tmp_path, monkeypatch, capsys):
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no display >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CHROMIUM", str(broken))
    assert export.main(["--executed", str(made_up), "--out", str(tmp_path), "--pdf"]) == 1
    error = capsys.readouterr().err
    assert "cannot print" in error and "no display" in error
    assert not (tmp_path / "submission.pdf").exists()
