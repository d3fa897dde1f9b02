"""A page as a PDF: printed by a headless Chromium, with page numbers, an outline and tags for screen readers.

Chromium numbers pages (`@page`), but in its CSS a link cannot show the page number of its target (`target-counter`). So
the page is printed twice: the first print is used to find the page of each target, the second has these numbers in its
contents.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

from browser import Browser, Page
from whole import write_whole

# Chromium lays out a hundred pages in seconds; a slow machine may take a minute.
SECONDS = 300
NUMBER_CONTENTS = """(pages) => {
  for (const link of document.querySelectorAll(".contents a")) {
    const page = pages[decodeURIComponent(link.hash.slice(1))];
    if (page) link.dataset.page = page;
  }
}"""


def print_pdf(program: str, page: Path, out: Path) -> None:
    """Prints `page` to `out`, atomically: completely or not at all.

    Raises BrowserError when Chromium does not print, OSError when the file cannot be written.
    """
    with Browser(program) as browser, browser.open(page) as tab:
        pages = pages_of_targets(printed(tab))
        tab.ask(f"({NUMBER_CONTENTS})({json.dumps(pages)})")
        write_whole(out, printed(tab))


def printed(tab: Page) -> bytes:
    answer = tab.call(
        "Page.printToPDF",
        seconds=SECONDS,
        preferCSSPageSize=True,
        printBackground=True,
        generateTaggedPDF=True,
        generateDocumentOutline=True,
    )
    return base64.b64decode(answer["data"])


def pages_of_targets(pdf: bytes) -> dict[str, int]:
    """The page number, from 1, of each id that a link leads to. Chromium writes both as plain text."""
    objects = re.findall(rb"^(\d+) 0 obj\s<<\s?/Type /Page\b", pdf, re.MULTILINE)
    numbers = {number: index for index, number in enumerate(objects, start=1)}
    targets = re.findall(rb"/([\w-]+) \[(\d+) 0 R /XYZ", pdf)
    return {name.decode(): numbers[number] for name, number in targets if number in numbers}
