"""Pages in a real browser: the contents list follows, code can be folded and copied, wide elements scroll, axe finds no
faults."""

import base64
import json
from pathlib import Path

import axe_core_python
import pytest
import synthetic
from browser import Page
from nbformat.v4 import new_code_cell, new_markdown_cell
from test_browser import DESK, PHONE

pytestmark = pytest.mark.browser

AXE = Path(axe_core_python.__file__).parent / "axe.min.js"
STILL = 'document.documentElement.style.scrollBehavior = "auto";'


def long_notebook():
    """More sections than fit into a window, and the longest line of code that the lint allows."""
    text = "\n\nA line." * 6
    sections = [new_markdown_cell(f"## Section {number}{text}") for number in range(60)]
    line = f'let name = "{"x" * 106}";'
    assert len(line) == 120
    return synthetic.notebook([new_markdown_cell("# 4. Many sections"), new_code_cell(line), *sections])


@pytest.fixture(scope="module")
def long_page(tmp_path_factory) -> Path:
    import export

    folder = synthetic.write_all(tmp_path_factory.mktemp("long"), {"04_baseline_model": long_notebook()})
    export.export(folder, folder)
    return folder / "submission.html"


@pytest.fixture(scope="module")
def training(made_up) -> Path:
    return made_up / "06_cnn_training.html"


# ---------------------------------------------------------------- contents


def test_the_contents_list_follows_the_reader(browser, long_page):
    with browser.open(long_page, width=DESK) as page:
        for section in ("Section 55", "Section 3"):
            mark = page.ask(
                f"""(async () => {{
                  {STILL}
                  [...document.querySelectorAll("h3")].find((h) => h.textContent === "{section}").scrollIntoView();
                  await new Promise((done) => setTimeout(done, 200));
                  const link = document.querySelector(".contents [aria-current]"), box = link.getBoundingClientRect();
                  return {{ text: link.textContent, inside: box.top >= 0 && box.bottom <= innerHeight }};
                }})()"""
            )
            assert mark == {"text": section, "inside": True}


# ---------------------------------------------------------------- code

OPEN = 'document.querySelectorAll("details.code[open]").length'


def test_one_button_folds_all_code_and_unfolds_what_was_open(browser, training):
    with browser.open(training) as page:
        before = page.ask(OPEN)
        assert 0 < before < page.ask('document.querySelectorAll("details.code").length')
        press = """(async () => {
          const button = document.querySelector(".fold-all");
          if (!button.checkVisibility()) throw Error("the button does not show");
          button.click();
          await new Promise((done) => setTimeout(done, 100));
          return button.textContent;
        })()"""
        assert page.ask(press) == "Unfold all code"
        assert page.ask(OPEN) == 0
        assert page.ask(press) == "Fold all code"
        assert page.ask(OPEN) == before


def test_one_block_folds_alone(browser, training):
    with browser.open(training) as page:
        before = page.ask(OPEN)
        page.ask('document.querySelector("details.code[open] summary").click()')
        assert page.ask(OPEN) == before - 1


def test_the_copy_button_copies_the_code_as_it_is_in_the_notebook(browser, training):
    browser.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    with browser.open(training) as page:
        page.call("Page.bringToFront")
        found = page.ask(
            """(async () => {
              const block = [...document.querySelectorAll("details.code[open]")].find((b) => b.textContent.includes("Sequential"));
              block.querySelector(".copy").click();
              await new Promise((done) => setTimeout(done, 200));
              return { label: block.querySelector(".copy").textContent, text: await navigator.clipboard.readText() };
            })()"""
        )
    sources = [cell.source for cell in synthetic.cnn_training().cells]
    assert found["label"] == "Copied"
    assert found["text"] in sources


def test_where_the_clipboard_is_closed_the_code_is_selected(browser, training):
    with browser.open(training) as page:
        selected = page.ask(
            """(async () => {
              navigator.clipboard.writeText = () => Promise.reject(Error("closed"));
              document.querySelector("details.code[open] .copy").click();
              await new Promise((done) => setTimeout(done, 100));
              return getSelection().toString();
            })()"""
        )
    assert selected.startswith("let data")


def test_the_longest_line_that_the_lint_lets_through_fits_on_a_desk(browser, long_page):
    lines = """(() => {
      const pre = document.querySelector(".code pre"), style = getComputedStyle(pre);
      return pre.getBoundingClientRect().height / parseFloat(style.lineHeight);
    })()"""
    with browser.open(long_page, width=DESK) as page:
        assert page.ask(lines) == pytest.approx(1, abs=0.3)


def test_all_of_the_code_is_seen_on_a_phone(browser, long_page):
    cut = """[...document.querySelectorAll(".lines, .lines pre")].filter((block) => block.scrollWidth > block.clientWidth + 1).length"""
    with browser.open(long_page, width=PHONE) as page:
        assert page.ask("document.querySelectorAll('.lines pre').length") > 0
        assert page.ask(cut) == 0


def test_a_short_name_in_a_wide_table_is_one_line_on_a_phone(browser, exported, tmp_path):
    head = "<tr><th>Class</th>" + '<th class="number">A long name</th>' * 9 + "</tr>"
    row = "<tr><td>T-shirt/top</td>" + '<td class="number">1,000</td>' * 9 + "</tr>"
    table = synthetic.shown(f'<table class="helpers-table"><thead>{head}</thead><tbody>{row}</tbody></table>')
    exported(n01_a=synthetic.notebook([new_markdown_cell("# 1. A"), new_code_cell("table", outputs=[table])]))
    with browser.open(tmp_path / "out" / "submission.html", width=PHONE) as page:
        heights = """(() => [...document.querySelectorAll("tbody td")].map((cell) => {
          const text = document.createRange();
          text.selectNodeContents(cell);
          return text.getBoundingClientRect().height;
        }))()"""
        name, number, *_ = page.ask(heights)
    assert name == pytest.approx(number, abs=1)


@pytest.mark.parametrize("width, beside", [(DESK, True), (PHONE, False)])
def test_the_picture_of_the_first_screen_is_below_the_table(browser, made_up, width, beside):
    """Where there is room the findings are beside both, so that all three are on the first screen."""
    boxes = """[".findings", ".table", "figure"].map((name) => {
      const box = document.querySelector(`.first > ${name}`).getBoundingClientRect();
      return { left: box.left, right: box.right, top: box.top, bottom: box.bottom };
    })"""
    with browser.open(made_up / "submission.html", width=width) as page:
        findings, table, picture = page.ask(boxes)
    assert (findings["right"] <= min(table["left"], picture["left"])) == beside
    assert table["bottom"] <= picture["top"] <= table["bottom"] + 40


def test_a_page_without_its_script_reads_whole(browser, made_up, tmp_path):
    text = (made_up / "submission.html").read_text()
    start, end = text.index("<script>"), text.index("</script>")
    (tmp_path / "page.html").write_text(text[:start] + text[end + len("</script>") :])
    with browser.open(tmp_path / "page.html", width=PHONE) as page:
        assert page.ask('document.querySelector(".fold-all").checkVisibility()') is False
        for part in ("details.code", ".more", ".contents details"):
            page.ask(f'document.querySelectorAll("{part} > summary").forEach((s) => s.parentElement.open || s.click())')
            hidden = f'[...document.querySelectorAll("{part} > :not(summary)")].filter((e) => !e.checkVisibility()).length'
            assert page.ask(hidden) == 0


# ---------------------------------------------------------------- what is wide


def pixels(page: Page, selector: str) -> bytes:
    """A strip at the right edge of an element, as shown on the screen."""
    box = page.ask(
        f"""(() => {{
          const box = document.querySelector("{selector}").getBoundingClientRect();
          return {{ x: box.right - 14 + scrollX, y: box.top + scrollY, width: 14, height: Math.min(box.height, 200) }};
        }})()"""
    )
    answer = page.call("Page.captureScreenshot", clip=box | {"scale": 1}, captureBeyondViewport=True)
    return base64.b64decode(answer["data"])


@pytest.mark.parametrize("frame", [".table", "figure .scroll"], ids=["table", "picture"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_shadow_says_that_something_goes_on_and_is_gone_at_its_end(browser, made_up, frame, dark):
    frame = f".first {frame}"
    hide = """(() => {
      const style = document.createElement("style");
      style.textContent = ".scroll::after { visibility: hidden }";
      document.head.append(style);
    })()"""
    with browser.open(made_up / "submission.html", width=PHONE, dark=dark) as page:
        page.ask(STILL)
        start = pixels(page, frame)
        assert page.ask(f'document.querySelector("{frame}").scrollLeft = 10000; document.querySelector("{frame}").scrollLeft') > 50
        end = pixels(page, frame)
        page.ask(hide)
        assert pixels(page, frame) == end
        page.ask(f'document.querySelector("{frame}").scrollLeft = 0')
        assert pixels(page, frame) != start


def test_nothing_shades_what_fits(browser, made_up):
    with browser.open(made_up / "submission.html", width=DESK) as page:
        with_shadow = pixels(page, ".first .table")
        page.ask('document.querySelector(".first .table").classList.remove("scroll")')
        assert pixels(page, ".first .table") == with_shadow


def test_the_first_column_stays_and_the_last_is_reached(browser, made_up):
    with browser.open(made_up / "submission.html", width=PHONE) as page:
        places = page.ask(
            """(() => {
              const frame = document.querySelector(".first .table"), row = frame.querySelector("tbody tr");
              const left = () => row.firstElementChild.getBoundingClientRect().left;
              const before = left();
              frame.scrollLeft = 10000;
              return [before, left(), row.lastElementChild.getBoundingClientRect().right <= innerWidth];
            })()"""
        )
    assert places[0] == places[1]
    assert places[2] is True


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_text_in_figures_is_about_as_large_as_it_was_drawn(browser, pages, width):
    with browser.open(pages / "submission.html", width=width) as page:
        small = page.ask(
            """[...document.querySelectorAll("figure img[width], .parts i")].filter((shown) => shown.checkVisibility()).map((shown) => [
              shown.alt || shown.parentElement.parentElement.ariaLabel,
              (shown.getBoundingClientRect().width - 2 * parseFloat(getComputedStyle(shown).paddingLeft))
                / (shown.getAttribute("width") || parseFloat(shown.style.width))
            ]).filter(([, scale]) => scale < 0.85)"""
        )
        ways = page.ask(
            """["img[width]", ".parts"].map((way) =>
              [...document.querySelectorAll("figure:has(.parts) " + way)].filter((shown) => shown.checkVisibility()).length)"""
        )
    assert small == []
    # A narrow screen shows the parts of a figure in place of the whole picture.
    assert min(ways) == 0 < max(ways) and (ways[1] > 0) == (width == PHONE)


# ---------------------------------------------------------------- for everybody


REPORTS = Path(__file__).resolve().parents[3] / ".tools" / "run" / "axe"


def violations(page: Page, report: str = "") -> list[list]:
    """The faults that axe-core finds in an open page, and those that it cannot decide.

    It cannot decide about contrast over a picture or a shadow; `test_text_stands_out_from_its_ground` measures that. With a
    name for it, all that axe says stays in a file.
    """
    page.ask(AXE.read_text(encoding="utf-8") + ";1")
    text = page.ask(
        """axe.run(document, { resultTypes: ["violations", "incomplete"] }).then((result) => {
          const told = (rules) => rules.map((rule) => [rule.id, rule.nodes.length, rule.nodes[0]?.html.slice(0, 120)]);
          return JSON.stringify({ axe: result.testEngine.version, violations: told(result.violations),
            undecided: told(result.incomplete), passed: result.passes.map((rule) => rule.id) });
        })"""
    )
    if report:
        REPORTS.mkdir(parents=True, exist_ok=True)
        (REPORTS / f"{report}.json").write_text(text + "\n", encoding="utf-8")
    found = json.loads(text)
    return found["violations"] + [rule for rule in found["undecided"] if rule[0] != "color-contrast"]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [DESK, 800, PHONE])
def test_axe_finds_no_violation(browser, pages, width, dark):
    for file in (pages / "submission.html", sorted(pages.glob("[0-9][0-9]_*.html"))[-1]):
        with browser.open(file, width=width, dark=dark) as page:
            assert violations(page, f"{file.stem}-{width}-{'dark' if dark else 'light'}") == []


def test_axe_notices_what_is_wrong(browser, training, tmp_path):
    text = training.read_text()
    table = "<table><thead><tr><th></th><th>a</th></tr></thead><tbody><tr><th>b</th><td>1</td></tr></tbody></table>"
    broken = f"{table}<button></button></main>"
    (tmp_path / "page.html").write_text(text.replace("</main>", broken))
    with browser.open(tmp_path / "page.html") as page:
        assert {rule for rule, *_ in violations(page)} >= {"empty-table-header", "button-name"}
