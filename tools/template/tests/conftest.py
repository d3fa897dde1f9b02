"""Options of the page tests, and the folders they read."""

import os
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import synthetic  # noqa: E402


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


@pytest.fixture(scope="session")
def made_up(tmp_path_factory) -> Path:
    """A folder of executed notebooks made by hand, and the pages made of them."""
    import export

    folder = tmp_path_factory.mktemp("pages")
    synthetic.write_all(
        folder,
        {
            "01_data_loading": synthetic.data_loading(quick=True),
            "06_cnn_training": synthetic.cnn_training(quick=True),
            "07_performance_evaluation": synthetic.hostile(quick=True),
            "08_transfer_learning": synthetic.failed(),
        },
    )
    export.export(folder, folder)
    return folder


@pytest.fixture(scope="session")
def pages(request, made_up) -> Path:
    """The pages under test: those given by `--pages` or PAGES, else the made-up ones."""
    given = request.config.getoption("--pages") or os.environ.get("PAGES")
    return Path(given) if given else made_up
