"""The table of Sparkplug's assertions: each id of the specification once, each test there is."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from docs.blocks import names_of_tests

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(tck-id-[\w-]+)` \| ([a-z, ]+) \| (.+) \|$", re.MULTILINE)
# The ids alone, out of the chapters of the specification 3.0.0 (eclipse-sparkplug/sparkplug).
IDS = (ROOT / "tests" / "data" / "sparkplug_assertions.txt").read_text().split()
ROWS = ROW.findall((ROOT / "docs" / "reference" / "sparkplug.md").read_text())


def test_every_assertion_of_the_specification_stands_in_the_table_once() -> None:
    assert Counter(name for name, _, _ in ROWS) == Counter(IDS)
    assert len(IDS) == 303


def test_what_is_said_to_be_shown_is_shown_by_tests_that_there_are() -> None:
    tests = names_of_tests(ROOT / "tests")
    for name, whom, shown in ROWS:
        named = re.findall(r"`(test_\w+)`", shown)
        if set(whom.split(", ")) <= {"edge", "host"}:
            assert named, f"{name}: shown by nothing"
            assert set(named) <= tests, f"{name}: {set(named) - tests} is no test"
        else:
            assert whom in {"none", "open"}, f"{name} asks {whom}"
            assert len(shown.split()) > 1, f"{name}: why not?"
