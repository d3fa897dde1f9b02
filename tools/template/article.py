"""Converts one executed notebook to the content of an article, with nbconvert's exporter and the template of this
folder."""

from __future__ import annotations

import html
import re
from pathlib import Path

import bs4
import jinja2
import nbformat
from executed import Notebook, duration, open_notebook, when
from folds import code_label, is_bookkeeping, log_parts, printed
from headings import name_headings
from latex2mathml.converter import convert as tex_to_mathml
from nbconvert.exporters import HTMLExporter
from nbconvert.filters import Highlight2HTML
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from outputs import prepare
from own_html import Cleaner
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound
from traitlets.config import Config

HERE = Path(__file__).resolve().parent
# The dot of a call on a result, in highlighted code.
CHAINED = re.compile(r'(?<=[)?])((?:</span><span class="p">)?\.)(?=</span>)')


def convert(path: Path) -> Notebook:
    """Reads one executed notebook and makes its article."""
    source, notebook = open_notebook(path)
    prepare(source, notebook)
    exporter = NotebookExporter(notebook, path.parent)
    highlight = Highlight2HTML(pygments_lexer=lexer_of(source), parent=exporter)
    exporter.filters = {"highlight_code": lambda code, **about: breakable(highlight(code, **about))}
    body, _ = exporter.from_notebook_node(source)
    soup = bs4.BeautifulSoup(body, "html.parser")
    name_headings(soup, notebook)
    if not notebook.title:
        notebook.title = notebook.name
        heading = soup.new_tag("h1", id=f"{notebook.prefix}-title")
        heading.string = notebook.title
        soup.insert(0, heading)
    add_run_line(soup, notebook)
    for element in soup.select(".failure [style]"):  # papermill's words about a failed cell, in the page's own type
        del element["style"]
    notebook.pictures = len(soup.find_all("img"))
    notebook.html = str(soup)
    return notebook


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
    except Exception:  # an unreadable formula is shown as it was written
        return f"<code>{html.escape(tex)}</code>"


class NotebookExporter(HTMLExporter):
    """nbconvert's exporter with the template of this folder; returns the content of an article."""

    def __init__(self, notebook: Notebook, folder: Path, **kw):
        self.notebook = notebook
        self.cleaner = Cleaner(notebook, folder)
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
        yield "own_html", self.cleaner.clean

    def _create_environment(self):
        environment = super()._create_environment()
        environment.globals["alternative"] = self.alternative
        environment.globals.update(
            focusable=focusable,
            code_label=code_label,
            is_bookkeeping=is_bookkeeping,
            log_parts=log_parts,
            printed=printed,
        )
        return environment

    @jinja2.pass_context
    def markdown2html(self, context, source):
        cell = context.get("cell", {})
        renderer = Renderer(escape=False, exclude_anchor_links=True, attachments=cell.get("attachments", {}))
        return MarkdownWithMath(renderer=renderer).render(source)

    def alternative(self, cell, output, mime: str) -> str:
        """The alternative text for a picture that a cell returned as bare data."""
        given = (output.metadata.get(mime) or output.metadata).get("alt") or cell.metadata.get("alt")
        if given:
            return str(given)
        self.cleaner.warn(f"cell {cell.get('id', '?')}: a {mime} output has no alternative text; show it as a Figure")
        return f"Picture made by cell {cell.get('id', '')} of {self.notebook.name}, without a description"


def breakable(code: str) -> str:
    """Highlighted code that a narrow page breaks before a chained call; elsewhere it would leave the call's
    indentation as an empty line, or break a name."""
    return CHAINED.sub(r"<wbr>\1", code)


def focusable(text: str) -> str:
    """Attributes for a block that may scroll, so that the keyboard can reach the hidden part."""
    lines = text.splitlines() or [""]
    long = len(lines) > 24 or max(map(len, lines)) > 40
    return ' tabindex="0"' if long else ""


def lexer_of(notebook: nbformat.NotebookNode) -> str:
    """The highlighter's name for the language; Rust if the metadata names none."""
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


def add_run_line(soup: bs4.BeautifulSoup, notebook: Notebook) -> None:
    """Adds a line below the title: when and on what it ran, and how long."""
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
