"""The tables of the page for developers: every test, file and benchmark named there exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.blocks import names_of_tests

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "developers.md").read_text()
GUARANTEES = "Guarantees, and the test that shows each"
COMPLAINTS = "What users of other gateways complain about"
SHOWN = re.compile(r"`(test_\w+)`|`((?:tests|bench)/[\w/]+\.py)`")


def rows(heading: str) -> list[list[str]]:
    """Cells of the table under a heading, without its head."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize(("heading", "most"), [(GUARANTEES, 100), (COMPLAINTS, 15)])
def test_what_is_promised_is_shown_by_something_that_is_there(heading: str, most: int) -> None:
    tests, found = names_of_tests(ROOT / "tests"), rows(heading)
    assert 15 <= len(found) <= most
    for promise, shown, *_ in found:
        named = SHOWN.findall(shown)
        assert named, f"{promise}: shown by nothing"
        for test, file in named:
            assert test in tests or (file and (ROOT / file).is_file()), f"{promise}: {test or file}"
