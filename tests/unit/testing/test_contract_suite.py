"""The contract suite itself: a good connector passes it, and each way to spoil one is noticed."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from gl002.testing import contract
from peers.lines_connector import SABOTAGE

TESTS = Path(__file__).parents[2]

_MODULE = """
from peers import lines_connector as lines
lines.register()
{sabotage}
from gl002.testing.contract import *
RIGS = [lines.LineRig]
"""


def _run(folder: Path, sabotage: str, *options: str) -> tuple[int, str]:
    spoil = f"lines.SABOTAGE[{sabotage!r}][0]()" if sabotage else ""
    (folder / "test_lines.py").write_text(_MODULE.format(sabotage=spoil))
    (folder / "conftest.py").write_text('pytest_plugins = ["gl002.testing.plugin"]\n')
    (folder / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\naddopts = -p no:randomly -p no:cacheprovider\n"
        f"pythonpath = {TESTS}\ntimeout = 15\nasyncio_default_fixture_loop_scope = function\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rfExX", "--tb=line", *options, "test_lines.py"],
        cwd=folder, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_a_good_connector_of_a_third_party_passes(tmp_path: Path) -> None:
    code, output = _run(tmp_path, "")
    assert code == 0, output
    passed = re.search(r"(\d+) passed", output)
    assert passed is not None
    assert int(passed[1]) >= 55
    assert "1 xfailed" in output, "its gap is known, and would be an error if it closed"


@pytest.mark.slow
@pytest.mark.parametrize("sabotage", SABOTAGE)
def test_what_is_wrong_is_noticed_by_the_test_that_is_there_for_it(
    sabotage: str, tmp_path: Path
) -> None:
    _, noticed_by = SABOTAGE[sabotage]
    code, output = _run(tmp_path, sabotage, "-k", noticed_by)
    assert code == 1, output
    assert f"test_lines.py::{noticed_by}[lines" in output


def test_no_two_tests_of_the_suite_have_one_name() -> None:
    parts = [import_module(f"{contract.__name__}.{part}") for part in contract._PARTS]
    names = [
        name
        for part in parts
        for name, function in inspect.getmembers(part, inspect.isfunction)
        if name.startswith("test_") and function.__module__ == part.__name__
    ]
    assert len(names) == len(set(names))
    assert set(names) <= set(vars(contract)), "all of them are exported"
    assert len(names) > 90


def test_every_file_of_the_suite_is_part_of_it() -> None:
    folder = Path(contract.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "requests"}
    assert files == set(contract._PARTS)
