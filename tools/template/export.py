"""Executed notebooks as HTML: a page for each, and `submission.html` holding all of them.

    python tools/template/export.py --executed export --out export

In: `DIR/01_….ipynb` to `DIR/99_….ipynb`, as papermill left them. Out: `OUT/NAME.html` for each and
`OUT/submission.html`. A page is one file that asks for nothing else: styles, script and pictures are
inside, TeX formulas become MathML, and a content security policy keeps everything else out. The look
is in `notebook/` (nbconvert template, page, styles); this file decides what goes into it.

Start at `export`.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import html
import mimetypes
import re
import sys
import unicodedata
import warnings
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import unquote

import bs4
import jinja2
import nbformat
from latex2mathml.converter import convert as tex_to_mathml
from lint_notebooks import statements
from nbconvert.exporters import HTMLExporter
from nbconvert.filters import Highlight2HTML
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound
from traitlets.config import Config
from whole import write_whole

HERE = Path(__file__).resolve().parent
TITLE = "Deep learning on image data"
LEAD = "One notebook a task, written in Rust and run from start to end by one command."
NAME = re.compile(r"^(\d\d)_\w+$")
HEADINGS = ["h1", "h2", "h3", "h4", "h5", "h6"]
# Elements that run code, load something or change what the rest of the page means.
UNWANTED = [
    "script",
    "iframe",
    "frame",
    "object",
    "embed",
    "applet",
    "link",
    "meta",
    "base",
    "form",
    "audio",
    "video",
]
LOADING = {"src", "srcset", "poster", "background", "data", "ping", "action", "formaction"}
POINTING = ["for", "headers", "aria-labelledby", "aria-describedby", "aria-controls", "aria-details"]


class ExportError(Exception):
    """What is wrong, where, and what to do."""


@dataclass
class Notebook:
    """One executed notebook, read and converted.

    `html` is the inside of its article, headings from `h1`; every id in it starts with `prefix`.
    """

    name: str
    title: str = ""
    html: str = ""
    sections: list[dict] = field(default_factory=list)
    pictures: int = 0
    parameters: dict[str, str] = field(default_factory=dict)
    run: dict[str, str] = field(default_factory=dict)
    started: datetime | None = None
    seconds: float | None = None
    failed: bool = False
    warnings: list[str] = field(default_factory=list)

    @property
    def prefix(self) -> str:
        return "nb" + self.name[:2]

    @property
    def quick(self) -> bool:
        return self.parameters.get("quick") == "true"

    @property
    def contents(self) -> dict:
        return {"id": self.prefix, "text": self.title, "children": self.sections}


# ---------------------------------------------------------------- reading


def find_notebooks(folder: Path) -> list[Path]:
    """The notebooks of `folder` named like `06_cnn_training.ipynb`, in order."""
    if not folder.is_dir():
        raise ExportError(f"{folder} is not a folder; `cargo xtask run` makes executed notebooks")
    paths = sorted(path for path in folder.glob("*.ipynb") if NAME.match(path.stem))
    if not paths:
        raise ExportError(
            f"no executed notebooks in {folder} (names like 01_data_loading.ipynb); `cargo xtask run` makes them"
        )
    numbers: dict[str, Path] = {}
    for path in paths:
        other = numbers.setdefault(path.stem[:2], path)
        if other != path:
            raise ExportError(
                f"{other.name} and {path.name} have the same number; keep one of them in {folder}"
            )
    return paths


def read_notebook(path: Path) -> nbformat.NotebookNode:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"{path}: cannot be read: {error}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # missing cell ids, which matter in sources only
            notebook = nbformat.reads(text, as_version=4)
            nbformat.validate(notebook)
    except Exception as error:  # nbformat raises many kinds
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ExportError(f"{path}: not a notebook: {reason}; run this notebook again") from error
    return notebook


LET = re.compile(r"let\s+(\w+)\s*(?::[^=]+)?=\s*([\s\S]+)")


def parameters_of(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """Names and values, as text: the defaults of the source, then what papermill was given."""
    found: dict[str, str] = {}
    for cell in notebook.cells:
        if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", []):
            for statement in statements(cell.source):
                if match := LET.fullmatch(statement):
                    found[match[1]] = match[2].strip('"')
    given = notebook.metadata.get("papermill", {}).get("parameters", {})
    for name, value in given.items():
        found[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return found


def moment(text: str | None) -> datetime | None:
    try:
        when = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=timezone.utc)


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


# ---------------------------------------------------------------- converting


class Renderer(IPythonRenderer):
    """Markdown with formulas as MathML, and no mermaid (it would need its script)."""

    def block_math(self, body: str) -> str:
        return mathml(body, "block")

    def inline_math(self, body: str) -> str:
        return mathml(body, "inline")

    def latex_environment(self, name: str, body: str) -> str:
        return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", "block")

    def block_mermaidjs(self, code: str) -> str:
        return f"<pre>{html.escape(code)}</pre>"


def mathml(tex: str, display: str) -> str:
    try:
        return tex_to_mathml(tex.strip(), display=display)
    except Exception:  # what it cannot read is shown as written
        return f"<code>{html.escape(tex)}</code>"


class NotebookExporter(HTMLExporter):
    """nbconvert's exporter with the template of this folder; gives the inside of an article."""

    def __init__(self, notebook: Notebook, folder: Path, **kw):
        self.notebook = notebook
        self.folder = folder
        self.tables = 0
        settings = Config()
        settings.CoalesceStreamsPreprocessor.enabled = True
        settings.HighlightMagicsPreprocessor.enabled = False
        settings.TemplateExporter.exclude_input_prompt = True
        settings.TemplateExporter.exclude_output_prompt = True
        settings.NbConvertBase.display_data_priority = [
            "text/html",
            "image/png",
            "image/jpeg",
            "image/svg+xml",
            "text/markdown",
            "text/latex",
            "text/plain",
        ]
        super().__init__(config=settings, extra_template_basedirs=[str(HERE)], template_name="notebook", **kw)

    def default_filters(self):
        yield from super().default_filters()
        yield "own_html", self.own_html

    def _create_environment(self):
        environment = super()._create_environment()
        environment.globals["alternative"] = self.alternative
        environment.globals["focusable"] = focusable
        return environment

    @jinja2.pass_context
    def markdown2html(self, context, source):
        cell = context.get("cell", {})
        renderer = Renderer(escape=False, exclude_anchor_links=True, attachments=cell.get("attachments", {}))
        return MarkdownWithMath(renderer=renderer).render(source)

    def warn(self, text: str) -> None:
        self.notebook.warnings.append(f"{self.notebook.name}: {text}")

    def alternative(self, cell, output, mime: str) -> str:
        """The text for a picture that a cell gave as bare data."""
        given = (output.metadata.get(mime) or output.metadata).get("alt") or cell.metadata.get("alt")
        if given:
            return str(given)
        self.warn(f"cell {cell.get('id', '?')}: a {mime} output has no alternative text; show it as a Figure")
        return f"Picture made by cell {cell.get('id', '')} of {self.notebook.name}, without a description"

    def own_html(self, source: str, in_output: bool = False) -> str:
        """HTML made safe to stand inside the page: balanced, without scripts, nothing to load.

        The page's policy stops scripts and requests whatever is in it; this keeps them from being
        there at all, and tells of what it took out.
        """
        soup = bs4.BeautifulSoup(source, "html.parser")
        for comment in soup.find_all(string=lambda text: isinstance(text, bs4.element.PreformattedString)):
            comment.extract()
        for element in soup.find_all(UNWANTED):
            if not element.decomposed:
                self.warn(f"took out <{element.name}>, which a page that works offline cannot hold")
                element.decompose()
        for element in soup.find_all(True):
            for attribute, value in list(element.attrs.items()):
                text = re.sub(r"[\s\x00-\x1f]+", "", str(value)).lower()
                scheme = re.match(r"[a-z][a-z0-9+.-]*:", text)
                if attribute.lower().startswith("on"):
                    reason = "an event handler"
                elif (
                    attribute in ("href", "xlink:href")
                    and scheme
                    and scheme[0] not in ("http:", "https:", "mailto:")
                ):
                    reason = "an address that is not a page's"
                elif (attribute in LOADING and element.name != "img") or attribute in ("srcset", "ping"):
                    reason = "something to load"
                else:
                    continue
                self.warn(f"took `{attribute}` out of <{element.name}>: {reason}")
                del element[attribute]
        for picture in soup.find_all("img"):
            self.embed(picture)
            if not str(picture.get("alt") or "").strip():
                self.warn("a picture has no alternative text; write what it shows into `alt`")
                picture["alt"] = f"Picture in {self.notebook.name}, without a description"
        for table in soup.find_all("table"):
            number_columns(table)
            page_styles(table)
            frame = soup.new_tag(
                "div", attrs={"class": "table", "role": "group", "aria-label": "Table", "tabindex": "0"}
            )
            table.wrap(frame)
            if caption := table.find("caption"):  # as wide as the text, not as the table
                self.tables += 1
                caption.name = "p"
                caption["class"] = ["caption"]
                caption["id"] = f"table-{self.tables}"
                table["aria-labelledby"] = caption["id"]
                frame.insert_before(caption.extract())
        for element in soup.select("figure, figure img, figcaption"):
            del element["style"]  # the page has its own
        if in_output:
            for heading in soup.find_all(HEADINGS):  # the order of headings is the text's
                heading.name = "p"
                heading["class"] = [*heading.get("class", []), "heading"]
        return str(soup)

    def embed(self, picture: bs4.Tag) -> None:
        source = str(picture.get("src") or "").strip()
        if source.lower().startswith("data:image/"):
            return
        if re.match(r"([a-z][a-z0-9+.-]*:|//)", source, re.IGNORECASE) or not source:
            raise ExportError(
                f"{self.notebook.name}: picture `{source}` is not inside the page; save it beside the notebooks and name that file"
            )
        path = self.folder / unquote(source)
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise ExportError(f"{self.notebook.name}: picture `{source}` lies outside {self.folder}")
        try:
            content = base64.b64encode(path.read_bytes()).decode()
        except OSError as error:
            raise ExportError(
                f"{self.notebook.name}: picture `{source}` cannot be read: {error.strerror}"
            ) from error
        kind = mimetypes.guess_type(path.name)[0] or "image/png"
        picture["src"] = f"data:{kind};base64,{content}"


def focusable(text: str) -> str:
    """Attributes of a block that may scroll, so that the keyboard can reach what is out of sight."""
    lines = text.splitlines() or [""]
    long = len(lines) > 24 or max(map(len, lines)) > 40
    return ' tabindex="0"' if long else ""


NUMBER = re.compile(r"^[+\-−±]?\s?[\d.,\s]*\d(\s?(%|[a-zµ]{1,4}))?$|^[–—-]$", re.IGNORECASE)
ALIGNED = re.compile(r"text-align:\s*(\w+)")


def style_of(element: bs4.Tag) -> str:
    return str(element.get("style") or "")


def add_class(element: bs4.Tag, name: str) -> None:
    element["class"] = [*element.get("class", []), name]


def number_columns(table: bs4.Tag) -> None:
    """Marks the cells of columns aligned right, or holding numbers alone where nothing is said of it."""
    rows = [row.find_all(["td", "th"], recursive=False) for row in table.find_all("tr")]
    if any(
        cell.get("colspan", "1") != "1" or cell.get("rowspan", "1") != "1" for row in rows for cell in row
    ):
        return
    for column in range(max(map(len, rows), default=0)):
        cells = [row[column] for row in rows if len(row) > column]
        texts = [cell.get_text(" ", strip=True) for cell in cells if cell.name == "td"]
        said = {match[1] for cell in cells if (match := ALIGNED.search(style_of(cell)))}
        numbers = (
            "right" in said if said else any(texts) and all(NUMBER.match(text) for text in texts if text)
        )
        for cell in cells if numbers else []:
            add_class(cell, "number")


def page_styles(table: bs4.Tag) -> None:
    """A table of helpers brings styles for JupyterLab; here its best rows and totals become classes."""
    for row in table.find_all("tr"):
        if "font-weight:bold" in style_of(row).replace(" ", ""):
            add_class(row, "best")
        if row.find("td", style=re.compile("border-top")):
            add_class(row, "total")
    for element in [table, *table.find_all(["caption", "thead", "tbody", "tfoot", "tr", "th", "td"])]:
        # Colours belong to the value; the rest is the page's matter.
        kept = [rule for rule in style_of(element).split(";") if re.match(r"\s*(background|color)", rule)]
        if kept:
            element["style"] = ";".join(kept)
        else:
            del element["style"]


def lexer_of(notebook: nbformat.NotebookNode) -> str:
    """The highlighter's name for the language; Rust where the metadata does not say."""
    language = notebook.metadata.get("language_info", {})
    kernel = notebook.metadata.get("kernelspec", {})
    for name in (language.get("pygments_lexer"), language.get("name"), kernel.get("language")):
        try:
            if name:
                get_lexer_by_name(str(name).lower())
                return str(name).lower()
        except ClassNotFound:
            continue
    return "rust"


def convert(path: Path) -> Notebook:
    """Reads one executed notebook and makes its article."""
    source = read_notebook(path)
    notebook = Notebook(name=path.stem, parameters=parameters_of(source))
    record = source.metadata.get("papermill", {})
    notebook.started = moment(record.get("start_time"))
    notebook.seconds = record.get("duration")
    notebook.failed = bool(record.get("exception")) or any(
        output.output_type == "error" for cell in source.cells for output in cell.get("outputs", [])
    )
    language = source.metadata.get("language_info", {})
    if language.get("version"):
        notebook.run[language.get("name", "language").capitalize()] = str(language["version"])
    if record.get("version"):
        notebook.run["papermill"] = str(record["version"])

    drop_unit_values(source, notebook)
    drop_progress(source)
    exporter = NotebookExporter(notebook, path.parent)
    exporter.filters = {"highlight_code": Highlight2HTML(pygments_lexer=lexer_of(source), parent=exporter)}
    body, _ = exporter.from_notebook_node(source)
    soup = bs4.BeautifulSoup(body, "html.parser")
    name_headings(soup, notebook)
    if not notebook.title:
        notebook.title = notebook.name
        heading = soup.new_tag("h1", id=f"{notebook.prefix}-title")
        heading.string = notebook.title
        soup.insert(0, heading)
    add_run_line(soup, notebook)
    mark_failure(soup)
    notebook.pictures = len(soup.find_all("img"))
    notebook.html = str(soup)
    return notebook


def drop_progress(source: nbformat.NotebookNode) -> None:
    """Leaves out what told how far a cell had come: lines that helpers' `print_progress` begins with an ellipsis."""
    for cell in source.cells:
        for out in cell.get("outputs", []):
            if out.output_type == "stream" and out.name == "stdout":
                lines = out.text.splitlines(keepends=True)
                out.text = "".join(line for line in lines if not line.startswith("… "))
        if "outputs" in cell:
            cell.outputs = [out for out in cell.outputs if out.output_type != "stream" or out.text]


def drop_unit_values(source: nbformat.NotebookNode, notebook: Notebook) -> None:
    """A cell that ends with a loop has the value `()`, which says nothing; other bare values are reported."""
    for cell in source.cells:
        if cell.cell_type != "code":
            continue
        bare = [
            out
            for out in cell.outputs
            if out.output_type == "execute_result" and set(out.data) == {"text/plain"}
        ]
        units = [out for out in bare if out.data["text/plain"].strip() == "()"]
        cell.outputs = [out for out in cell.outputs if out not in units]
        for out in bare:
            if out not in units:
                text = out.data["text/plain"].strip()[:60]
                notebook.warnings.append(
                    f"{notebook.name}: cell {cell.get('id', '?')}: `{text}` is shown as plain text; "
                    "end the cell with a value that shows itself (a variable's name, not a call that moves it)"
                )


def slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "section"


def name_headings(soup: bs4.BeautifulSoup, notebook: Notebook) -> None:
    """Gives every id the notebook's prefix, headings an id and an unbroken order, links their targets."""
    renamed: dict[str, str] = {}  # what the notebook calls it -> what the page calls it
    taken: set[str] = set()

    def fresh(wanted: str) -> str:
        name, number = f"{notebook.prefix}-{wanted}", 2
        while name in taken:
            name, number = f"{notebook.prefix}-{wanted}-{number}", number + 1
        taken.add(name)
        return name

    for element in soup.find_all(id=True):
        old = str(element["id"])
        element["id"] = fresh(slug(old))
        renamed.setdefault(old, element["id"])
    level = 0
    for heading in soup.find_all(HEADINGS):
        text = heading.get_text(" ", strip=True)
        wanted = int(heading.name[1])
        level = 1 if level == 0 else max(2, min(wanted, level + 1))
        heading.name = f"h{level}"
        if not heading.get("id"):
            heading["id"] = fresh(slug(re.sub(r"^\d+\.\s+", "", text)))
        renamed.setdefault(re.sub(r"\s", "-", text), heading["id"])  # as JupyterLab names it
        renamed.setdefault(slug(text), heading["id"])
        if level == 1:
            notebook.title = text
        elif level == 2:
            notebook.sections.append({"id": heading["id"], "text": text})
    for element in soup.find_all(True):
        for attribute in POINTING:
            if element.get(attribute):
                value = element[attribute]
                words = value if isinstance(value, list) else str(value).split()
                element[attribute] = " ".join(renamed.get(word, word) for word in words)
    for link in soup.find_all("a", href=True):
        target = unquote(link["href"])
        if target.startswith("#"):
            known = renamed.get(target[1:]) or renamed.get(slug(target[1:]))
            if known:
                link["href"] = f"#{known}"
            else:
                notebook.warnings.append(f"{notebook.name}: link to {target}, which is no heading of it")
                link.unwrap()


def add_run_line(soup: bs4.BeautifulSoup, notebook: Notebook) -> None:
    """Under the title: when and for how long it ran, on what."""
    parts = []
    if notebook.started:
        parts.append(
            f"Run on {when(notebook.started)}"
            + (f", {duration(notebook.seconds)}" if notebook.seconds else "")
        )
    shown = ("data", "sample", "epochs", "seed")
    parts += [f"{name} {notebook.parameters[name]}" for name in shown if name in notebook.parameters]
    if notebook.quick:
        parts.append("quick run")
    if parts:
        line = soup.new_tag("p", attrs={"class": "run"})
        line.string = " · ".join(parts)
        soup.find("h1").insert_after(line)


def mark_failure(soup: bs4.BeautifulSoup) -> None:
    """papermill's words about a failed cell, in the page's own type."""
    for element in soup.select(".failure [style]"):
        del element["style"]


def when(moment: datetime) -> str:
    moment = moment.astimezone(timezone.utc)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


# ---------------------------------------------------------------- pages


def facts_of(notebooks: list[Notebook]) -> list[tuple[str, str]]:
    """What the head of a page says of the run: data, seed, time, versions."""

    def values(name: str) -> list[str]:
        return list(dict.fromkeys(book.parameters[name] for book in notebooks if name in book.parameters))

    facts = []
    if values("data"):
        facts.append(("Data", ", ".join(values("data"))))
    if values("sample"):
        facts.append(
            (
                "Images",
                ", ".join(
                    "all" if value == "0" else f"sample of {int(value):,}" if value.isdigit() else value
                    for value in values("sample")
                ),
            )
        )
    if values("seed"):
        facts.append(("Seed", ", ".join(values("seed"))))
    starts = [book.started for book in notebooks if book.started]
    total = sum(book.seconds or 0 for book in notebooks)
    if starts:
        facts.append(
            (
                "Run",
                when(min(starts))
                + (f", {duration(total)}" if total else "")
                + (" in all" if total and len(notebooks) > 1 else ""),
            )
        )
    versions: dict[str, str] = {}
    for book in notebooks:
        versions.update(book.run)
    if versions:
        facts.append(("Versions", ", ".join(f"{name} {version}" for name, version in versions.items())))
    return facts


def listed(notebooks: list[Notebook]) -> str:
    return ", ".join(book.name for book in notebooks)


def page(
    notebooks: list[Notebook],
    *,
    title: str,
    whole: bool,
    before=None,
    after=None,
    submission="",
    bodies: list[str],
) -> str:
    """One HTML file with these notebooks in it."""
    quick = [book for book in notebooks if book.quick]
    banner = (
        "Quick run: small sample, few epochs. The numbers say that everything works, not how well it learns."
    )
    if quick and len(quick) < len(notebooks):
        banner = f"Partly a quick run (small sample, few epochs): {listed(quick)}."
    failed = [book for book in notebooks if book.failed]
    script = (HERE / "notebook" / "page.js").read_text(encoding="utf-8").strip()
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE / "notebook"), autoescape=True)
    return environment.get_template("page.html.j2").render(
        title=title,
        lead=LEAD,
        whole=whole,
        submission=submission,
        banner=banner if quick else "",
        failures=f"Stopped with an error: {listed(failed)}." if failed else "",
        facts=facts_of(notebooks),
        contents=[book.contents for book in notebooks],
        articles=[
            {"prefix": book.prefix, "name": book.name, "pictures": book.pictures, "html": body}
            for book, body in zip(notebooks, bodies, strict=True)
        ],
        before=before,
        after=after,
        styles=(HERE / "notebook" / "style.css").read_text(encoding="utf-8").strip(),
        script=script,
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def linked(body: str, notebooks: list[Notebook], inside: bool) -> str:
    """The article with links between notebooks leading to pages, or inside one page to articles."""
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


def write(path: Path, text: str) -> None:
    try:
        write_whole(path, text)
    except OSError as error:
        raise ExportError(
            f"cannot write {path}: {error.strerror or error}; check that the folder can be written and the disk has "
            "room, then run `cargo xtask export`; what was there before is whole"
        ) from error


def export(executed: Path, out: Path, title: str = TITLE) -> list[Notebook]:
    """Writes `out/NAME.html` for each notebook of `executed`, and `out/submission.html`.

    Returns the notebooks, with what is to be said about them in `warnings`. Raises ExportError, before
    anything is written, when there is no notebook or one of them cannot be shown, and when a page cannot be
    written: then the pages before it are new, it and those after it are as they were.
    """
    notebooks = [convert(path) for path in find_notebooks(executed)]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"cannot make {out}: {error.strerror}; name a folder that can be written") from error
    for index, book in enumerate(notebooks):
        write(
            out / f"{book.name}.html",
            page(
                [book],
                title=book.title,
                whole=False,
                submission=title,
                before=notebooks[index - 1] if index else None,
                after=notebooks[index + 1] if index + 1 < len(notebooks) else None,
                bodies=[linked(book.html, notebooks, inside=False)],
            ),
        )
    bodies = [linked(book.html, notebooks, inside=True) for book in notebooks]
    write(out / "submission.html", page(notebooks, title=title, whole=True, bodies=bodies))
    return notebooks


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Executed notebooks as HTML pages that open offline.")
    parser.add_argument("--executed", type=Path, required=True, help="folder of the executed notebooks")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pages")
    parser.add_argument("--title", default=TITLE, help="title of submission.html")
    parser.add_argument("--strict", action="store_true", help="fail when there is a warning")
    options = parser.parse_args(arguments)
    try:
        notebooks = export(options.executed, options.out, options.title)
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
