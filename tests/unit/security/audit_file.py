"""An audit file with entries in it, and its lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gl002.security.audit import Audit


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def audit(path: Path) -> Iterator[Audit]:
    audit = Audit(path, actor="tester")
    yield audit
    audit.close()


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)
