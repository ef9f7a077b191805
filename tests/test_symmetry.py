"""One noun, five places: every kind of connector has all that a connector has, under one name."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from gl002.bridge import Blocking
from gl002.connector import Connector
from gl002.registry import connector, entry, face, kinds
from rigs import rig_for

ROOT = Path(__file__).parents[1]
HEADINGS = ["Purpose", "Install", "Configure", "Use", "Flow", "Limits", "Troubleshooting"]

every_kind = pytest.mark.parametrize("kind", list(kinds()))


@cache
def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@every_kind
def test_the_module_is_called_as_the_kind(kind: str) -> None:
    assert entry(kind).module.rpartition(".")[2] == kind
    assert (ROOT / "src/gl002/integrations" / f"{entry(kind).module.replace('.', '/')}.py").exists()


@every_kind
def test_both_classes_are_there_under_their_names(kind: str) -> None:
    twin, blocking = connector(kind), face(kind)
    assert issubclass(twin, Connector)
    assert issubclass(blocking, Blocking)
    assert twin.kind == kind
    names = {entry(kind).twin, entry(kind).face}
    plain = min(names, key=len)
    assert names - {plain} <= {f"Async{plain}", f"Sync{plain}"}, "the prefix names the other colour"


@every_kind
def test_both_classes_can_be_imported_as_the_guide_does(kind: str) -> None:
    package = import_module(f"gl002.integrations.{entry(kind).module.partition('.')[0]}")
    assert getattr(package, entry(kind).twin) is connector(kind)
    assert getattr(package, entry(kind).face) is face(kind)


@every_kind
def test_there_is_an_extra_and_all_installs_it(kind: str) -> None:
    extras = _project()["optional-dependencies"]
    assert kind in extras
    together = re.search(r"gl002\[([^\]]*)\]", " ".join(extras["all"]))
    assert together is not None
    assert kind in together[1].split(",")


@every_kind
def test_the_extra_brings_the_driver_and_a_kind_without_driver_has_none(kind: str) -> None:
    assert bool(_project()["optional-dependencies"][kind]) == bool(entry(kind).driver)


@every_kind
def test_there_is_a_page_with_the_seven_headings(kind: str) -> None:
    page = ROOT / "docs" / "connectors" / f"{kind}.md"
    assert page.exists()
    headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
    assert headings == HEADINGS


@every_kind
def test_there_are_tests_of_what_is_special_to_it(kind: str) -> None:
    assert (ROOT / "tests" / "integrations" / f"test_{kind}.py").exists()


@every_kind
def test_there_is_a_rig_for_the_contract(kind: str) -> None:
    rig = rig_for(kind)
    assert rig.kind == kind
    assert all(reason.strip() for reason in rig.gaps.values())


@every_kind
def test_it_is_summed_up_for_people(kind: str) -> None:
    summary = entry(kind).summary
    assert summary
    assert not summary.endswith(".")
    assert connector(kind).__doc__


def test_no_page_no_test_and_no_rig_is_left_over() -> None:
    known = set(kinds())
    pages = {path.stem for path in (ROOT / "docs/connectors").glob("*.md")}
    assert pages <= known
    modules = {
        path.stem
        for path in (ROOT / "src/gl002/integrations").glob("*/*.py")
        if path.stem != "__init__"
    }
    assert modules == known
