"""HTML files for articles: one for each notebook, and one with all of them."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import bs4
import jinja2
from executed import Notebook, duration, when
from first_screen import FirstScreen
from headings import HEADINGS

HERE = Path(__file__).resolve().parent
LEAD = "A notebook for each task, written in Rust, run from start to end by one command."
BANNER = "Quick run: small sample, few epochs. The numbers say that everything works, not how well it learns."


@dataclass
class About:
    """Facts about the submission as a whole; empty where unknown."""

    title: str
    author: str = ""
    course: str = ""
    data: str = ""
    record: list[tuple[str, list[str]]] = field(default_factory=list)
    first: FirstScreen | None = None


def facts_of(notebooks: list[Notebook], about: About) -> list[tuple[str, str]]:
    """The facts in the head of a page: the author, the data, and the time of the run."""

    def values(name: str) -> list[str]:
        return list(dict.fromkeys(book.parameters[name] for book in notebooks if name in book.parameters))

    facts = {
        "Author": about.author,
        "Course": about.course,
        "Data": about.data or ", ".join(values("data")),
        "Images": "" if about.data else ", ".join(map(images, values("sample"))),
        "Run": run_of(notebooks),
    }
    return [(name, text) for name, text in facts.items() if text]


def images(sample: str) -> str:
    """The meaning of the parameter `sample`."""
    if sample == "0":
        return "all"
    return f"sample of {int(sample):,}" if sample.isdigit() else sample


def run_of(notebooks: list[Notebook]) -> str:
    """When the first of them started, and how long all took together."""
    starts = [book.started for book in notebooks if book.started]
    if not starts:
        return ""
    total = sum(book.seconds or 0 for book in notebooks)
    together = " in all" if len(notebooks) > 1 else ""
    return when(min(starts)) + (f", {duration(total)}{together}" if total else "")


def listed(notebooks: list[Notebook]) -> str:
    return ", ".join(book.name for book in notebooks)


def page(
    notebooks: list[Notebook], about: About, *, whole: bool, before=None, after=None, bodies: list[str]
) -> str:
    """One HTML file with these notebooks: all of them, or one with links to its neighbours."""
    quick = [book for book in notebooks if book.quick]
    banner = BANNER
    if quick and len(quick) < len(notebooks):
        banner = f"Partly a quick run (small sample, few epochs): {listed(quick)}."
    failed = [book for book in notebooks if book.failed]
    script = joined("scripts", "*.js")
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE / "notebook"), autoescape=True)
    return environment.get_template("page.html.j2").render(
        title=about.title if whole else notebooks[0].title,
        lead=LEAD,
        whole=whole,
        submission=about.title,
        first=about.first if whole else None,
        record=about.record,
        banner=banner if quick else "",
        failures=f"Stopped with an error: {listed(failed)}." if failed else "",
        facts=facts_of(notebooks, about),
        contents=[book.contents for book in notebooks],
        articles=[
            {"prefix": book.prefix, "name": book.name, "pictures": book.pictures, "html": body}
            for book, body in zip(notebooks, bodies, strict=True)
        ],
        before=before,
        after=after,
        styles=joined("styles", "*.css"),
        script=script,
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def joined(folder: str, pattern: str) -> str:
    """The files of a folder, ordered by their numbers, as one text."""
    files = sorted((HERE / "notebook" / folder).glob(pattern))
    return "\n".join(file.read_text(encoding="utf-8").strip() for file in files)


def linked(body: str, notebooks: list[Notebook], inside: bool) -> str:
    """The article with links to other notebooks changed to links to their pages or, inside one page, to their
    articles."""
    known = {book.name: book for book in notebooks}
    soup = bs4.BeautifulSoup(body, "html.parser")
    for link in soup.find_all("a", href=True):
        match = re.match(r"^(?:\./)?(\d\d_\w+)\.(?:ipynb|html)(?:#.*)?$", unquote(link["href"]))
        if not match:
            continue
        if match[1] not in known:
            link.unwrap()
        else:
            link["href"] = f"#{known[match[1]].prefix}" if inside else f"{match[1]}.html"
    if inside:
        for heading in soup.find_all(HEADINGS[:5]):
            heading.name = f"h{int(heading.name[1]) + 1}"
    return str(soup)
