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
from peers import lines_connector, order_desk_connector

TESTS = Path(__file__).parents[2]

_MODULE = """
from peers import {peer} as peer
peer.register()
{sabotage}
from gl002.testing.contract import *
RIGS = [peer.{rig}]
"""
_RIGS = {"lines_connector": "LineRig", "order_desk_connector": "DeskRig"}
SABOTAGE = [
    (peer.__name__.rpartition(".")[2], how, noticed_by)
    for peer in (lines_connector, order_desk_connector)
    for how, (_, noticed_by) in peer.SABOTAGE.items()
]


def _run(folder: Path, peer: str, sabotage: str, *options: str) -> tuple[int, str]:
    spoil = f"peer.SABOTAGE[{sabotage!r}][0]()" if sabotage else ""
    module = _MODULE.format(peer=peer, rig=_RIGS[peer], sabotage=spoil)
    (folder / "test_peer.py").write_text(module)
    (folder / "conftest.py").write_text('pytest_plugins = ["gl002.testing.plugin"]\n')
    limit = 6 if sabotage else 60  # seconds: one that is to fail may well wait in vain
    (folder / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\naddopts = -p no:randomly -p no:cacheprovider\n"
        f"pythonpath = {TESTS}\ntimeout = {limit}\n"
        "asyncio_default_fixture_loop_scope = function\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rfExX", "--tb=line", *options, "test_peer.py"],
        cwd=folder, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("peer", _RIGS)
def test_a_good_connector_of_a_third_party_passes(peer: str, tmp_path: Path) -> None:
    code, output = _run(tmp_path, peer, "")
    assert code == 0, output
    passed = re.search(r"(\d+) passed", output)
    assert passed is not None
    assert int(passed[1]) >= 54
    assert "1 xfailed" in output, "its gap is known, and would be an error if it closed"


@pytest.mark.slow
@pytest.mark.parametrize(("peer", "sabotage", "noticed_by"), SABOTAGE)
def test_what_is_wrong_is_noticed_by_the_test_that_is_there_for_it(
    peer: str, sabotage: str, noticed_by: str, tmp_path: Path
) -> None:
    code, output = _run(tmp_path, peer, sabotage, "-k", noticed_by)
    assert code == 1, output
    assert f"test_peer.py::{noticed_by}[" in output


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
