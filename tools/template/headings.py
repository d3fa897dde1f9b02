"""Ids and headings of an article: unique ids, headings without skipped levels, and the targets of links."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

import bs4
from executed import Notebook

HEADINGS = ["h1", "h2", "h3", "h4", "h5", "h6"]
POINTING = ["for", "headers", "aria-labelledby", "aria-describedby", "aria-controls", "aria-details"]


def slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "section"


class Names:
    """The ids in the notebook, and the corresponding ids in the page."""

    def __init__(self, prefix: str):
        self.prefix = prefix
        self.known: dict[str, str] = {}
        self.taken: set[str] = set()

    def fresh(self, wanted: str) -> str:
        """An id that no other element of the page has."""
        name, number = f"{self.prefix}-{wanted}", 2
        while name in self.taken:
            name, number = f"{self.prefix}-{wanted}-{number}", number + 1
        self.taken.add(name)
        return name


def name_headings(soup: bs4.BeautifulSoup, notebook: Notebook) -> None:
    """Gives every id the notebook's prefix, headings an id and an unbroken order, links their targets."""
    names = Names(notebook.prefix)
    for element in soup.find_all(id=True):
        old = str(element["id"])
        element["id"] = names.fresh(slug(old))
        names.known.setdefault(old, element["id"])
    order_headings(soup, notebook, names)
    for element in soup.find_all(True):
        for attribute in POINTING:
            if element.get(attribute):
                value = element[attribute]
                words = value if isinstance(value, list) else str(value).split()
                element[attribute] = " ".join(names.known.get(word, word) for word in words)
    for link in soup.find_all("a", href=True):
        target = unquote(link["href"])
        if target.startswith("#"):
            known = names.known.get(target[1:]) or names.known.get(slug(target[1:]))
            if known:
                link["href"] = f"#{known}"
            else:
                notebook.warnings.append(f"{notebook.name}: link to {target}, which is no heading of it")
                link.unwrap()


def order_headings(soup: bs4.BeautifulSoup, notebook: Notebook, names: Names) -> None:
    """One `h1`, no level skipped below it; the title and the sections go into the contents."""
    level = 0
    for heading in soup.find_all(HEADINGS):
        text = heading.get_text(" ", strip=True)
        wanted = int(heading.name[1])
        level = 1 if level == 0 else max(2, min(wanted, level + 1))
        heading.name = f"h{level}"
        if not heading.get("id"):
            heading["id"] = names.fresh(slug(re.sub(r"^\d+\.\s+", "", text)))
        names.known.setdefault(re.sub(r"\s", "-", text), heading["id"])  # as JupyterLab names it
        names.known.setdefault(slug(text), heading["id"])
        if level == 1:
            notebook.title = text
        elif level == 2:
            notebook.sections.append({"id": heading["id"], "text": text})
