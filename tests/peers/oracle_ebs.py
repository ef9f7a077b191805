"""E-Business Suite behind Oracle's own wire: ours, from the published packages.

No Oracle database can be installed here. The wire is proved by its client, which is Oracle's own
driver; statements run in an interpreter that knows the public packages by their published
signatures (`peers/oracle/ebs.py`) and refuses what Oracle would not compile.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from peers.oracle.__main__ import PASSWORD, SERVICE, USER
from peers.oracle.imports import import_readings
from peers.process import Process

__all__ = ["PASSWORD", "SERVICE", "USER", "OracleEBS"]


class OracleEBS(Process):
    """The database as a process; its tables can be looked at from outside."""

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "peers.oracle", str(self.folder), str(self.port)]

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}

    @property
    def config(self) -> dict[str, Any]:
        """Settings that reach it and log in."""
        return {"host": "127.0.0.1", "port": self.port, "service": SERVICE, "username": USER,
                "password": PASSWORD}  # fmt: skip

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query finds, not through the listener; what is not committed is not there."""
        base = sqlite3.connect(self.folder / "ebs.db", timeout=30)
        try:
            return base.execute(query, values).fetchall()
        finally:
            base.close()

    def fault(self, where: str, number: int) -> None:
        """Let the next 'block', 'commit' or 'rollback' end with that ORA- number, once."""
        (self.folder / f"fault.{where}").write_text(str(number))

    def import_readings(self, batch: str) -> None:
        """Run the program "Install Base - Counter Readings Open Interface"."""
        base = sqlite3.connect(self.folder / "ebs.db", timeout=30)
        with base:
            import_readings(base, batch)
        base.close()

    def write(self, statement: str, *values: Any) -> None:
        base = sqlite3.connect(self.folder / "ebs.db", timeout=30)
        with base:
            base.execute(statement, values)
        base.close()
