"""Options of the page tests, and the folders they read."""

import os
import sys
from pathlib import Path

import bs4
import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import synthetic  # noqa: E402
import synthetic_results  # noqa: E402
from browser import Browser, find_chromium  # noqa: E402


def pytest_addoption(parser):
    parser.addoption(
        "--pages",
        type=Path,
        default=None,
        help="folder of exported pages (and their executed notebooks) to open; default: made-up ones. "
        "The environment variable PAGES does the same",
    )


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "browser: opens pages in headless Chromium; leave out with -m 'not browser'"
    )


def pytest_collection_modifyitems(config, items):
    """If `--pages` is given, only the tests that use these pages are run."""
    if config.getoption("--pages"):
        others = [item for item in items if "pages" not in item.fixturenames]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if "pages" in item.fixturenames]


@pytest.fixture(scope="session")
def made_up(tmp_path_factory) -> Path:
    """A folder of made-up executed notebooks, and their pages."""
    import export

    folder = tmp_path_factory.mktemp("pages")
    synthetic.write_all(
        folder,
        {
            "01_data_loading": synthetic.data_loading(quick=True),
            "02_data_visualization": synthetic.data_visualization(quick=True),
            "06_cnn_training": synthetic.cnn_training(quick=True),
            "07_performance_evaluation": synthetic.hostile(quick=True),
            "08_transfer_learning": synthetic.failed(),
        },
    )
    synthetic_results.write_results(folder, synthetic_results.all_metrics())
    synthetic_results.write_picture(folder)
    export.export(folder, folder, author="Ada Example", course="Deep learning")
    return folder


@pytest.fixture
def exported(tmp_path):
    """Exports notebooks given by name; returns their parsed pages by name. Results may be in `tmp_path / "in"`."""
    import export

    def run(about: dict | None = None, **books) -> dict[str, bs4.BeautifulSoup]:
        folder = synthetic.write_all(
            tmp_path / "in", {f"{name.lstrip('n')}": book for name, book in books.items()}
        )
        run.notebooks = export.export(folder, tmp_path / "out", **(about or {}))
        run.warnings = [note for book in run.notebooks for note in book.warnings]
        files = sorted((tmp_path / "out").glob("*.html"))
        run.text = {file.stem: file.read_text(encoding="utf-8") for file in files}
        return {name: bs4.BeautifulSoup(text, "html.parser") for name, text in run.text.items()}

    return run


@pytest.fixture(scope="module")
def browser():
    program = find_chromium()
    if program is None:
        pytest.fail(
            "no Chromium or Chrome found (CHROMIUM, chromium, chromium-browser, google-chrome): install one, on "
            "Debian `apt-get install chromium`, or leave these tests out with `cargo xtask test --no-browser`"
        )
    with Browser(program) as browser:
        yield browser


@pytest.fixture(scope="session")
def pages(request, made_up) -> Path:
    """The pages to test: those given by `--pages` or PAGES, otherwise the made-up ones."""
    given = request.config.getoption("--pages") or os.environ.get("PAGES")
    return Path(given) if given else made_up
