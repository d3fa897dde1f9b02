"""`--pages` runs all tests that use the given pages, and none that makes its own."""

import subprocess
import sys
from pathlib import Path


def test_given_pages_are_looked_at_by_all_that_can(tmp_path):
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "--pages", tmp_path]
    collected = subprocess.run([*command, Path(__file__).parent], capture_output=True, text=True, timeout=100).stdout
    names = {line.split("::")[1].split("[")[0] for line in collected.splitlines() if "::" in line}
    assert {"test_axe_finds_no_violation", "test_text_in_figures_is_about_as_large_as_it_was_drawn"} <= names
    # These tests make their own pages.
    assert not names & {"test_the_contents_list_follows_the_reader", "test_axe_notices_what_is_wrong", "test_a_quick_run_says_so"}
