"""Installing: a connector imports without its driver, and says what to install when it opens."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions, requires
from pathlib import Path

import pytest

import gl002
from gl002.registry import AnyConnector, entry
from gl002.testing.needs import needs
from gl002.testing.rig import Rig

_OPEN = """
import asyncio, json, sys
from gl002.errors import MissingDependency
from gl002.registry import connector, face
made = connector({kind!r})(json.loads(sys.argv[1]))
face({kind!r})
assert {driver!r} not in sys.modules, "the driver is imported with the module"
try:
    asyncio.run(made.connect())
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


def _has_driver(cls: AnyConnector) -> bool:
    return entry(cls.kind).driver != ""


def _base_requirements(name: str, seen: set[str]) -> Iterator[str]:
    """A distribution and all that it needs without extras."""
    if name in seen:
        return
    seen.add(name)
    yield name
    for line in requires(name) or ():
        if "extra ==" not in line:
            match = re.match(r"[A-Za-z0-9._-]+", line)
            assert match is not None
            if _installed(match[0]):
                yield from _base_requirements(match[0], seen)


def _installed(name: str) -> bool:
    return any(_normal(name) == _normal(d) for ds in packages_distributions().values() for d in ds)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="session")
def bare_install(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what `pip install gl002` brings, without any extra."""
    folder = tmp_path_factory.mktemp("bare")
    wanted = {_normal(name) for name in _base_requirements("gl002", set())} - {"gl002"}
    for top, owners in packages_distributions().items():
        if wanted & {_normal(owner) for owner in owners}:
            for file in {f"{top}", f"{top}.py", *_extensions(top, owners)}:
                for owner in owners:
                    source = Path(str(distribution(owner).locate_file(file)))
                    if source.exists() and not (folder / file).exists():
                        (folder / file).symlink_to(source)
    (folder / "gl002").symlink_to(Path(gl002.__file__).parent)
    return folder


def _extensions(top: str, owners: list[str]) -> Iterator[str]:
    """Compiled modules at the top level, 'name.cpython-311-x86_64-linux-gnu.so'."""
    for owner in owners:
        for file in distribution(owner).files or ():
            if str(file).startswith(f"{top}.") and "/" not in str(file):
                yield str(file)


def _open(rig: Rig, *folders: Path) -> tuple[str, str]:
    """Connect in a fresh interpreter that sees only these folders; the error's type and text."""
    script = _OPEN.format(kind=rig.kind, driver=entry(rig.kind).driver)
    path = os.pathsep.join(map(str, folders))
    done = subprocess.run(  # noqa: S603 (our own interpreter)
        [sys.executable, "-S", "-c", script, json.dumps(rig.config())],
        env={**os.environ, "PYTHONPATH": path, "GL002_STATE_DIR": str(folders[0] / "state")},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    kind, text = json.loads(done.stdout)
    return kind, text


def test_its_extra_is_spelled_like_its_kind(rig: Rig) -> None:
    extras = distribution("gl002").metadata.get_all("Provides-Extra") or []
    assert _normal(rig.kind) in {_normal(extra) for extra in extras}


@needs(_has_driver)
def test_without_its_driver_it_imports_and_names_the_install_line(
    rig: Rig, bare_install: Path
) -> None:
    kind, text = _open(rig, bare_install)
    assert kind == "MissingDependency", text
    assert f'pip install "gl002[{_normal(rig.kind)}]"' in text


@needs(_has_driver)
def test_a_broken_driver_is_not_reported_as_missing(
    rig: Rig, bare_install: Path, tmp_path: Path
) -> None:
    driver = tmp_path / entry(rig.kind).driver
    driver.mkdir()
    (driver / "__init__.py").write_text('raise ImportError("libwrong.so.1: not found")')
    kind, text = _open(rig, tmp_path, bare_install)
    assert kind != "MissingDependency", text
    assert "libwrong.so.1" in text
