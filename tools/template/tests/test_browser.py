"""Pages in a real browser: they request nothing, all pictures and links work, and no foreign script runs.

    pytest tools/template/tests/test_browser.py --pages export/quick

Without `--pages` (or PAGES) the pages are made by `synthetic.py`, including hostile text. `problems` finds the faults
of a page; the second half of this file breaks pages on purpose and checks that it finds these faults.
"""

import re
from pathlib import Path

import nbformat
import pytest
import synthetic
from browser import Page

pytestmark = pytest.mark.browser

PHONE, DESK = 390, 1280

LOOK = """(() => {
  const problems = [];
  const text = (element) => (element.textContent || "").trim().slice(0, 40);
  const images = [...document.images];
  for (const image of images) {
    const name = image.alt || "without alt";
    if (!image.complete || image.naturalWidth === 0) problems.push(`picture does not show: ${name}`);
    if (!(image.getAttribute("alt") || "").trim()) problems.push("picture without alternative text");
    if (!image.src.startsWith("data:")) problems.push(`picture is not inside the page: ${image.src}`);
    if (image.getBoundingClientRect().width === 0) problems.push(`picture has no size: ${name}`);
  }
  for (const figure of document.querySelectorAll("figure"))
    if (!figure.querySelector("img")) problems.push(`figure without a picture: ${text(figure)}`);
  for (const article of document.querySelectorAll("article")) {
    const there = article.querySelectorAll("img").length;
    if (String(there) !== article.dataset.pictures)
      problems.push(`${article.dataset.notebook} has ${there} pictures, ${article.dataset.pictures} when it was made`);
  }
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of new Set(ids.filter((id, index) => ids.indexOf(id) !== index))) problems.push(`id used twice: ${id}`);
  for (const link of document.querySelectorAll('a[href^="#"]'))
    if (!document.getElementById(decodeURIComponent(link.hash.slice(1)))) problems.push(`link leads nowhere: ${link.hash}`);
  if (!document.querySelector(".contents a")) problems.push("no contents list");
  for (const article of document.querySelectorAll("article"))
    if (!document.querySelector(`.contents a[href="#${article.id}"]`)) problems.push(`not in the contents: ${article.id}`);
  if (document.documentElement.lang !== "en") problems.push("no language");
  if (!document.title.trim()) problems.push("no title");
  if (document.querySelectorAll("h1").length !== 1) problems.push("not exactly one h1");
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
    const now = Number(heading.tagName[1]);
    if (now > level + 1) problems.push(`heading skips a level: ${text(heading)}`);
    level = now;
  }
  if (document.querySelectorAll("style").length !== 1) problems.push("styles are not there exactly once");
  if (window.hostile !== undefined) problems.push(`hostile text ran: ${window.hostile}`);
  return problems;
})()"""

OVERFLOW = """(() => {
  const width = document.documentElement.clientWidth;
  const sticks = (element) => element.getBoundingClientRect().right > width + 1;
  const cut = [...document.images].filter((image) => sticks(image.closest(".scroll") || image));
  if (cut.length) return cut.map((image) => `picture sticks out at ${width} px: ${image.alt}`);
  const over = document.documentElement.scrollWidth - width;
  if (over <= 0) return [];
  const wide = [...document.querySelectorAll("body *")].filter((element) => element.getBoundingClientRect().right > width + 1);
  const widest = wide.map((element) => element.tagName.toLowerCase() + "." + element.className).slice(0, 5);
  return [`${over} px wider than ${width}: ${widest.join(", ")}`];
})()"""

CONTRAST = """(() => {
  const parse = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const found = new Map();
  for (const element of document.querySelectorAll("body *")) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    if (!element.checkVisibility() || element.closest("script, style")) continue;
    let ground = element, back = [255, 255, 255];
    for (; ground; ground = ground.parentElement) {
      const colour = parse(getComputedStyle(ground).backgroundColor);
      if (colour.length && (colour.length < 4 || colour[3] === 1)) { back = colour; break; }
    }
    const style = getComputedStyle(element);
    const [a, b] = [light(parse(style.color)), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const needed = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
    if (ratio < needed) found.set(element.tagName.toLowerCase() + "." + element.className, ratio.toFixed(2));
  }
  return [...found].map(([where, ratio]) => `contrast ${ratio} of ${where}`);
})()"""


def problems(page: Page) -> list[str]:
    """The faults of an open page, at desktop and phone size."""
    found = list(page.ask(LOOK))
    for width in (DESK, PHONE):
        page.resize(width)
        found += page.ask(OVERFLOW)
    found += [f"asked for {url}" for url in page.requests]
    found += page.complaints
    found += [f"dialog: {text}" for text in page.dialogs]
    return found


def html_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.html") if re.match(r"\d\d_|submission", path.name))


def pictures_of(path: Path) -> int:
    """How many pictures an executed notebook shows, counted without the exporter."""
    count = 0
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            count += len(re.findall(r"<img\b|!\[[^\]]*\]\(", cell.source))
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "text/html" in data:
                count += len(re.findall(r"<img\b", data["text/html"]))
            else:
                count += any(kind.startswith("image/") for kind in data)
    return count


# ---------------------------------------------------------------- the pages under test


def test_there_is_a_page_for_each_notebook_and_one_with_all(pages):
    names = [path.stem for path in html_files(pages)]
    notebooks = sorted(path.stem for path in pages.glob("[0-9][0-9]_*.ipynb"))
    assert notebooks, f"no executed notebooks in {pages}"
    assert names == [*notebooks, "submission"]


def test_the_submission_is_small_enough_to_send(pages):
    assert (pages / "submission.html").stat().st_size < 5_000_000


def test_every_page_is_whole_and_asks_for_nothing(browser, pages):
    files = html_files(pages)
    assert files, f"no pages in {pages}"
    found = {}
    for file in files:
        with browser.open(file) as page:
            if wrong := problems(page):
                found[file.name] = wrong
    assert found == {}


def test_every_picture_of_the_notebooks_is_in_the_pages(browser, pages):
    expected = {path.stem: pictures_of(path) for path in pages.glob("[0-9][0-9]_*.ipynb")}
    count = """Object.fromEntries([...document.querySelectorAll("article")].map(
        (article) => [article.dataset.notebook, article.querySelectorAll("img").length]))"""
    with browser.open(pages / "submission.html") as page:
        assert page.ask(count) == expected
    for name, pictures in expected.items():
        with browser.open(pages / f"{name}.html") as page:
            assert page.ask(count) == {name: pictures}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_from_its_ground(browser, pages, dark):
    with browser.open(pages / "submission.html", dark=dark) as page:
        assert page.ask(CONTRAST) == []


def test_a_contents_link_leads_to_its_section(browser, pages):
    with browser.open(pages / "submission.html") as page:
        last = page.ask(
            """(async () => {
              const link = [...document.querySelectorAll(".contents a")].at(-1);
              document.documentElement.style.scrollBehavior = "auto";
              link.click();
              await new Promise((done) => setTimeout(done, 200));
              const target = document.getElementById(decodeURIComponent(link.hash.slice(1)));
              const box = target.getBoundingClientRect();
              return { text: link.textContent, heading: target.textContent, visible: box.top < innerHeight && box.bottom > 0 };
            })()"""
        )
    assert last["visible"]
    assert last["text"] in last["heading"]


def test_the_contents_list_is_open_on_a_desk_and_folded_on_a_phone(browser, pages):
    shown = 'document.querySelector(".contents li a").checkVisibility()'
    with browser.open(pages / "submission.html", width=DESK) as page:
        assert page.ask(shown) is True
    with browser.open(pages / "submission.html", width=PHONE) as page:
        assert page.ask(shown) is False
        page.ask('document.querySelector(".contents summary").click()')
        assert page.ask(shown) is True
        assert page.ask(OVERFLOW) == []


def test_the_keyboard_reaches_the_content_first(browser, pages):
    with browser.open(pages / "submission.html") as page:
        for kind in ("keyDown", "keyUp"):
            page.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        assert page.ask("document.activeElement.className") == "skip"
        assert page.ask("document.activeElement.getBoundingClientRect().left >= 0")
        assert page.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"


# ---------------------------------------------------------------- pages broken on purpose


@pytest.fixture
def broken(browser, made_up, tmp_path):
    """Replaces a text in the training page and opens it; returns its problems."""

    def look(old: str, new: str, policy: bool = True) -> list[str]:
        text = (made_up / "06_cnn_training.html").read_text()
        assert old in text
        text = text.replace(old, new, 1)
        if not policy:
            text = re.sub(
                r'<meta content="[^"]*" http-equiv="Content[^>]*>|<meta http-equiv="Content[^>]*>', "", text
            )
        (tmp_path / "page.html").write_text(text)
        with browser.open(tmp_path / "page.html") as page:
            return problems(page)

    return look


def test_an_unbroken_page_has_no_problems(broken):
    assert broken("</main>", "</main>") == []


def test_a_picture_cut_short_is_noticed(broken):
    data = synthetic.png()
    assert "picture does not show: Loss per epoch, falling" in broken(data, data[:40])


def test_a_picture_taken_out_is_noticed(broken, made_up):
    text = (made_up / "06_cnn_training.html").read_text()
    image = re.search(r"<img [^>]*>", text)[0]
    found = broken(image, "")
    assert any(text.startswith("figure without a picture") for text in found)
    assert "06_cnn_training has 0 pictures, 1 when it was made" in found


def test_a_picture_without_alternative_text_is_noticed(broken):
    assert "picture without alternative text" in broken('alt="Loss per epoch, falling"', 'alt=""')


def test_a_picture_from_elsewhere_is_noticed(broken):
    found = broken("</main>", '<img alt="far" src="picture.png"></main>', policy=False)
    assert any(text.startswith("asked for file:") for text in found)
    assert any(text.startswith("failed to load") for text in found)


def test_the_policy_keeps_out_what_slips_in(broken):
    found = broken("</main>", "<script>window.hostile = 1</script><script src='a.js'></script></main>")
    assert not any("hostile text ran" in text for text in found)
    assert any("Content Security Policy" in text for text in found)


def test_a_script_that_runs_is_noticed(broken):
    assert "hostile text ran: 1" in broken(
        "</main>", "<script>window.hostile = 1</script></main>", policy=False
    )


def test_an_error_in_the_console_is_noticed(broken):
    found = broken("</main>", "<script>console.error('no'); null.x</script></main>", policy=False)
    assert "console.error" in found
    assert any(text.startswith("exception") for text in found)


def test_a_dead_link_and_an_id_used_twice_are_noticed(broken):
    assert "link leads nowhere: #gone" in broken("</main>", '<a href="#gone">gone</a></main>')
    assert "id used twice: nb06" in broken("</main>", '<p id="nb06"></p></main>')


def test_a_wide_element_is_noticed(broken):
    found = broken("</main>", '<div style="width: 900px">wide</div></main>')
    assert len(found) == 1
    assert "wider than 390" in found[0]


def test_a_picture_that_is_cut_off_is_noticed(broken):
    found = broken("</figure>", "</figure><style>.scroll { overflow: visible; width: max-content }</style>")
    assert "picture sticks out at 390 px: Loss per epoch, falling" in found


def test_text_that_is_hard_to_read_is_noticed(browser, made_up, tmp_path):
    text = (made_up / "06_cnn_training.html").read_text()
    (tmp_path / "page.html").write_text(text.replace("--muted: #59636e", "--muted: #aab0b6"))
    with browser.open(tmp_path / "page.html") as page:
        assert page.ask(CONTRAST) != []
