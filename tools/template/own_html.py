"""Makes the HTML of outputs and of text safe for a page: balanced, without scripts, and without anything to load.

The page's policy blocks scripts and requests anyway; this removes them, and warns about what it removed. Outputs of
helpers are recognised by their classes (helpers/src/display), never by their styles, which are for JupyterLab.
"""

from __future__ import annotations

import base64
import mimetypes
import re
from pathlib import Path
from urllib.parse import unquote

import bs4
from executed import ExportError, Notebook
from headings import HEADINGS

# Elements that run code, load something or affect the rest of the page.
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
PAGES = ("http:", "https:", "mailto:")
TABLE = "helpers-table"
SHORT = 24  # characters of a cell
LARGE = 1080  # CSS pixels: a picture loses at most an eighth of its size in the text's column of some 950
PARTS = re.compile(r"(?P<width>\d+)x(?P<height>\d+):(?P<rows>(\d+(\.\d+)?(,\d+(\.\d+)?){3}([ +;](?=\d)|$))+)")
PNG = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]+")
NUMBER = re.compile(r"^[+\-−±]?\s?[\d.,\s]*\d(\s?(%|[a-zµ]{1,4}))?$|^[–—-]$", re.IGNORECASE)


class Cleaner:
    """Cleans the HTML of one notebook, whose pictures are in `folder`."""

    def __init__(self, notebook: Notebook, folder: Path):
        self.notebook = notebook
        self.folder = folder
        self.tables = 0

    def clean(self, source: str, in_output: bool = False) -> str:
        """The HTML with additions that a page needs, and without what is not allowed in it."""
        soup = bs4.BeautifulSoup(source, "html.parser")
        self.take_out(soup)
        for picture in soup.find_all("img"):
            self.embed(picture)
            if not str(picture.get("alt") or "").strip():
                self.warn("a picture has no alternative text; write what it shows into `alt`")
                picture["alt"] = f"Picture in {self.notebook.name}, without a description"
        for table in soup.find_all("table"):
            self.frame(soup, table)
        for element in soup.select("figure, figure img, figcaption"):
            del element["style"]  # the page has its own
        for picture in soup.select("figure img"):
            frame_picture(soup, picture)
            add_parts(soup, picture)
        if in_output:
            for heading in soup.find_all(HEADINGS):  # only the text's headings belong to the outline
                heading.name = "p"
                heading["class"] = [*heading.get("class", []), "heading"]
        return str(soup)

    def warn(self, text: str) -> None:
        self.notebook.warnings.append(f"{self.notebook.name}: {text}")

    def take_out(self, soup: bs4.BeautifulSoup) -> None:
        """Removes comments, unwanted elements and attributes."""
        for comment in soup.find_all(string=lambda text: isinstance(text, bs4.element.PreformattedString)):
            comment.extract()
        for element in soup.find_all(UNWANTED):
            if not element.decomposed:
                self.warn(f"took out <{element.name}>, which a page that works offline cannot hold")
                element.decompose()
        for element in soup.find_all(True):
            for attribute, value in list(element.attrs.items()):
                if reason := objection(element.name, attribute, str(value)):
                    self.warn(f"took `{attribute}` out of <{element.name}>: {reason}")
                    del element[attribute]

    def frame(self, soup: bs4.BeautifulSoup, table: bs4.Tag) -> None:
        """Puts a table into a block that may scroll, with its caption above it, as wide as the text and not as the
        table."""
        if TABLE in table.get("class", []):
            for element in [table, *table.find_all(style=True)]:
                del element["style"]  # the page has styles for its classes
        else:
            number_columns(table)
        for header in table.find_all("th"):
            if not header.get_text(strip=True) and not header.find(["img", "svg"]):
                header.name = "td"  # an empty corner is no heading, but a screen reader would read it as one
                del header["scope"]
        mark_cells(soup, table)
        empty = not table.find("td")
        frame = scrolling(soup, table, "Table")
        frame["class"] = ["table", *frame["class"]]
        if caption := table.find("caption"):
            self.tables += 1
            caption.name = "p"
            caption["class"] = ["caption"]
            caption["id"] = f"table-{self.tables}"
            del caption["style"]
            table["aria-labelledby"] = caption["id"]
            frame.insert_before(caption.extract())
            if empty:  # its caption says why there are no rows
                frame.decompose()

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


def scrolling(soup: bs4.BeautifulSoup, element: bs4.Tag, name: str) -> bs4.Tag:
    """Puts an element that may be wider than the screen into a block that scrolls, also by keyboard, with a shadow at a
    hidden edge."""
    attributes = {"class": ["scroll"], "role": "group", "aria-label": name, "tabindex": "0"}
    return element.wrap(soup.new_tag("div", attrs={"class": "sheet"})).wrap(soup.new_tag("div", attrs=attributes))


def frame_picture(soup: bs4.BeautifulSoup, picture: bs4.Tag) -> None:
    """Makes a figure's picture scroll on a phone, so that text in it keeps its size.

    A picture that is also too wide for a desktop is `large`; it scrolls there, too, where smaller ones shrink a little.
    """
    frame = scrolling(soup, picture, "Picture")
    width = str(picture.get("width") or "")
    if width.isdigit() and int(width) > LARGE:
        frame["class"].append("large")


def add_parts(soup: bs4.BeautifulSoup, picture: bs4.Tag) -> None:
    """Adds what a narrow page shows in place of a picture of helpers (helpers/src/plot/figure.rs): parts of it, or a
    drawing of its own.

    Parts are areas of the same picture, so it is in the page twice, but cut by the style and not into files."""
    found = PARTS.fullmatch(str(picture.attrs.pop("data-parts", "")))
    title = str(picture.attrs.pop("data-title", ""))
    shown = str(picture.attrs.pop("data-narrow", picture["src"]))
    if not found or not PNG.fullmatch(shown):
        return
    whole = [int(found["width"]), int(found["height"])]
    attributes = {"class": ["parts"], "role": "img", "aria-label": picture["alt"], "style": f"--picture:url({shown})"}
    block = soup.new_tag("div", attrs=attributes)
    if title:
        heading = soup.new_tag("p")
        heading.string = title
        block.append(heading)
    for areas in found["rows"].split(";"):
        row = soup.new_tag("div", attrs={"class": "joined"} if "+" in areas else {})
        for area in re.split("[ +]", areas):
            numbers = [float(number) for number in area.split(",")]
            row.append(soup.new_tag("i", attrs={"style": area_style(numbers[:2], numbers[2:], whole)}))
        block.append(row)
    picture.find_parent(class_="scroll").insert_after(block)


def area_style(start: list[float], size: list[float], whole: list[int]) -> str:
    """Shows an area of a picture in an element that may also be smaller: all lengths but its width are relative."""
    scale = [100 * side / own for side, own in zip(whole, size, strict=True)]
    shift = [100 * at / max(side - own, 1e-6) for at, own, side in zip(start, size, whole, strict=True)]
    lengths = [" ".join(f"{length:.2f}%" for length in pair) for pair in (scale, shift)]
    ratio = "/".join(f"{side:g}" for side in size)
    return f"width:{size[0]:g}px;aspect-ratio:{ratio};background-size:{lengths[0]};background-position:{lengths[1]}"


def objection(element: str, attribute: str, value: str) -> str:
    """Why an attribute is not allowed; empty if it is."""
    if attribute.lower().startswith("on"):
        return "an event handler"
    scheme = re.match(r"[a-z][a-z0-9+.-]*:", re.sub(r"[\s\x00-\x1f]+", "", value).lower())
    if attribute in ("href", "xlink:href") and scheme and scheme[0] not in PAGES:
        return "an address that is not a page's"
    if (attribute in LOADING and element != "img") or attribute in ("srcset", "ping"):
        return "something to load"
    return ""


def mark_cells(soup: bs4.BeautifulSoup, table: bs4.Tag) -> None:
    """Marks short cells, which a narrow page does not break, and lets names of layers break at their underscores."""
    for cell in table.find_all("td"):
        classes = cell.get("class", [])
        if len(cell.get_text(strip=True)) <= SHORT and "number" not in classes:
            cell["class"] = [*classes, "short"]
    for cell in table.select("tr > :first-child"):
        if [type(content) for content in cell.contents] != [bs4.NavigableString]:
            continue
        first, *others = str(cell.string).split("_")
        cell.string = first
        for part in others:
            cell.extend(["_", soup.new_tag("wbr"), part])


def number_columns(table: bs4.Tag) -> None:
    """Marks the cells of columns that only contain numbers, in tables that are not from helpers."""
    rows = [row.find_all(["td", "th"], recursive=False) for row in table.find_all("tr")]
    spans = [cell.get(name, "1") for row in rows for cell in row for name in ("colspan", "rowspan")]
    if any(span != "1" for span in spans):
        return
    for column in range(max(map(len, rows), default=0)):
        cells = [row[column] for row in rows if len(row) > column]
        texts = [cell.get_text(" ", strip=True) for cell in cells if cell.name == "td"]
        if any(texts) and all(NUMBER.match(text) for text in texts if text):
            for cell in cells:
                cell["class"] = [*cell.get("class", []), "number"]
