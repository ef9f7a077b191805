"""The architecture: imports point down. The list below is its one authoritative statement."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "gl002"

LAYERS: dict[str, tuple[str, ...]] = {
    "kernel": ("model", "errors", "units"),
    "mechanisms": (
        "retry", "lockout", "bridge", "pool", "trend", "docket", "wire", "boiler", "security",
    ),
    "contract": (
        "config", "context", "source", "sink", "action", "proposal", "session", "connector",
        "registry", "transport",
    ),
    "parts": ("integrations", "flow", "writes"),
    "harness": ("sim", "testing"),
    "programs": ("cli", "web", "__main__"),
}  # fmt: skip

STRANGERS = (
    ("integrations", "flow"),
    ("integrations", "writes"),
    ("sim", "testing"),
    ("cli", "web"),
)
"""Neighbours in a layer that do not know each other; the first of a pair of programs may serve."""
MAY_SERVE = {("cli", "web")}

MECHANISMS_KNOW_NO = {"config", "connector", "registry"}

EVERYWHERE = {"msgspec", "pydantic", "pydantic_core", "yaml", "rich"}
"""Third parties that a bare install brings: they may be imported when a module is."""
IN_PLACE = {"web": {"fastapi", "starlette", "uvicorn"}, "testing": {"pytest", "hypothesis"}}
"""Third parties of modules that are themselves imported only on demand."""
ON_DEMAND = {"gl002.boiler.arrays": {"numpy"}}
"""Modules that need an extra by themselves. Who imports one of them needs it too, and so on."""
WITH_RECORDS = {"gl002.cli.reporting.month"}
"""Modules outside of boiler/ that work on its records, and are imported when a command runs."""
KERNEL_ONLY = {"msgspec"}


class Import(NamedTuple):
    """One import: the importing module, what it imports, and where."""

    module: str
    target: str
    line: int
    at_import: bool  # executed when the module is imported, not when a function is called

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def _modules() -> dict[str, Path]:
    found = {}
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(("gl002", *(part for part in parts if part != "__init__")))] = path
    return found


MODULES = _modules()


def _imports_of(module: str) -> Iterator[Import]:
    tree = ast.parse(MODULES[module].read_text())
    late = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
        for inner in ast.walk(node)
        if inner is not node
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: imports are absolute"
            whole = str(node.module)
            targets = [
                f"{whole}.{alias.name}" if f"{whole}.{alias.name}" in MODULES else whole
                for alias in node.names
            ]
        else:
            continue
        for target in targets:
            yield Import(module, target, node.lineno, node not in late)


@cache
def imports() -> tuple[Import, ...]:
    """Every import of every module."""
    return tuple(found for module in sorted(MODULES) for found in _imports_of(module))


def _part(module: str) -> str:
    return [*module.split("."), ""][1]


def _layer(module: str) -> int:
    for number, parts in enumerate(LAYERS.values()):
        if _part(module) in parts:
            return number
    raise AssertionError(f"{module} is in no layer: add it to LAYERS, where it belongs")


def _ours() -> Iterator[Import]:
    """Imports of our modules by our modules; the package's front door `gl002` leads anywhere."""
    for found in imports():
        if found.target.startswith("gl002") and found.module != "gl002":
            yield found


def test_every_module_is_in_a_layer() -> None:
    for module in MODULES:
        if module != "gl002":
            _layer(module)


def test_imports_point_down() -> None:
    upwards = [
        str(found)
        for found in _ours()
        if found.target != "gl002" and _layer(found.target) > _layer(found.module)
    ]
    assert upwards == []


def test_strangers_do_not_know_each_other() -> None:
    pairs = {*STRANGERS, *(pair[::-1] for pair in STRANGERS)} - MAY_SERVE
    known = [str(found) for found in _ours() if (_part(found.module), _part(found.target)) in pairs]
    assert known == []


def test_folders_of_connectors_do_not_know_each_other() -> None:
    def folder(module: str) -> str:
        parts = module.split(".")
        return parts[2] if parts[1:2] == ["integrations"] and len(parts) > 3 else ""

    crossed = [
        str(found)
        for found in _ours()
        if folder(found.module)
        and folder(found.target)
        and folder(found.module) != folder(found.target)
    ]
    assert crossed == []


def test_pure_code_knows_no_input_or_output() -> None:
    """What is in wire and boiler is bytes, numbers and text."""
    effects = {"asyncio", "socket", "threading", "subprocess", "ssl", "sqlite3", "logging", "time"}
    impure = [
        str(found)
        for found in imports()
        if _part(found.module) in {"wire", "boiler"} and found.target.partition(".")[0] in effects
    ]
    assert impure == []


def test_modules_do_not_import_in_circles() -> None:
    needs: dict[str, set[str]] = {module: set() for module in MODULES}
    for found in imports():
        if found.at_import and found.target in MODULES and found.target != found.module:
            needs[found.module].add(found.target)
    while ready := [module for module, others in needs.items() if not others & needs.keys()]:
        for module in ready:
            del needs[module]
    assert {module: sorted(others & needs.keys()) for module, others in needs.items()} == {}


def _third_parties() -> Iterator[tuple[Import, str]]:
    for found in imports():
        top = found.target.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in {"gl002", "__future__"}:
            yield found, top


def test_the_kernel_stands_on_the_standard_library_and_msgspec() -> None:
    kernel = LAYERS["kernel"]
    others = [
        str(found)
        for found, top in _third_parties()
        if _part(found.module) in kernel and top not in KERNEL_ONLY
    ]
    assert others == []


def test_drivers_are_imported_when_a_connection_opens_and_not_before() -> None:
    early = [
        str(found)
        for found, top in _third_parties()
        if found.at_import
        and top not in EVERYWHERE
        and top not in IN_PLACE.get(_part(found.module), set())
        and top not in ON_DEMAND.get(found.module, set())
    ]
    assert early == []


def test_what_needs_an_extra_is_itself_imported_on_demand() -> None:
    needing = set(ON_DEMAND)
    while (
        more := {found.module for found in imports() if found.at_import and found.target in needing}
        - needing
    ):
        needing |= more
    assert {_part(module) for module in needing - WITH_RECORDS} == {"boiler"}, sorted(needing)


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.name))
def test_a_file_fits_its_reader(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 400, "a longer file has two subjects"
    names = {"util", "utils", "helper", "helpers", "common", "manager", "misc"}
    assert path.stem not in names, "a name that says nothing"
