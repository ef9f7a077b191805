"""Fusion Maintenance: ours, from the published reference of its REST services.

It checks requests by the JSON Schema of that reference (`peers/fusion/schema.py`); a test checks
its answers by the same.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from peers.fusion.__main__ import PASSWORD, TOKEN, USER
from peers.process import Process

__all__ = ["PASSWORD", "TOKEN", "USER", "OracleFusion"]


class OracleFusion(Process):
    """The server as a process; its tables can be looked at from outside."""

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "peers.fusion", str(self.folder), str(self.port)]

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def config(self) -> dict[str, Any]:
        """Settings that reach it and log in."""
        return {"url": self.url, "username": USER, "password": PASSWORD, "organization": "M1"}

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query finds, not through the service."""
        base = sqlite3.connect(self.folder / "fusion.db", timeout=30)
        try:
            return base.execute(query, values).fetchall()
        finally:
            base.close()

    def write(self, statement: str, *values: Any) -> None:
        base = sqlite3.connect(self.folder / "fusion.db", timeout=30)
        with base:
            base.execute(statement, values)
        base.close()
