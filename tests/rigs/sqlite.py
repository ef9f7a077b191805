"""The SQLite rig: a history file, looked at with the standard library alone."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

from gl002.context import Context
from gl002.integrations.databases import AsyncSQLiteConnector
from gl002.model import Sample, Value, now_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.rig import Rig

_BAD_CONFIGS = [
    ({"pathh": "x"}, "did you mean 'path'"),
    ({"retention": "soon"}, "duration"),
    ({"retention": 0}, "retention"),
    ({"path": 5}, "path"),
]


class SQLiteRig(Rig):
    """The file is made by the connector, filled and read without it."""

    kind: ClassVar[str] = "sqlite"
    networked: ClassVar[bool] = False
    unknown = "boiler1.absent"
    input = {"source": "sqlite", "interval": 0.05, "tags": ["boiler1.*"]}  # noqa: RUF012 (declared so in Rig)
    output = {"destination": "sqlite"}  # noqa: RUF012 (declared so in Rig)

    def __init__(self) -> None:
        self.readable = {
            "boiler1.steam_flow": 12.625, "boiler1.starts": 41, "boiler1.running": True,
            "boiler1.mode": "auto ✓",
        }  # fmt: skip
        self.bad_configs = _BAD_CONFIGS
        self._folder = Path(tempfile.mkdtemp(prefix="gl002-rig-"))
        self._path = self._folder / "history.sqlite"

    def start(self) -> None:
        asyncio.run(self._make_file())
        for address, value in self.readable.items():
            self.set(address, value)

    async def _make_file(self) -> None:
        context = Context(
            network=Network(), audit=Audit(self._folder / "audit.jsonl"), state_dir=self._folder
        )
        async with AsyncSQLiteConnector(self.config(), context=context):
            pass
        context.audit.close()

    def stop(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def config(self, **changes: Any) -> dict[str, Any]:
        return {"path": str(self._path), **changes}

    def _execute(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._path, timeout=30, isolation_level=None)) as db:
            return db.execute(statement, parameters).fetchall()

    def set(self, address: str, value: Value) -> None:
        kind = type(value).__name__
        self._execute("INSERT OR IGNORE INTO tag (name, type) VALUES (?, ?)", address, kind)
        number, text = (None, value) if isinstance(value, str) else (value, None)
        self._execute(
            "INSERT INTO recent (time, tag_id, value, text, quality) "
            "SELECT ?, id, ?, ?, 0 FROM tag WHERE name = ?",
            now_ns(), number, text, address,
        )  # fmt: skip

    def seen(self, address: str) -> Value:
        newest = max((s for s in self.stored() if s.tag == address), key=lambda s: s.time)
        return newest.value

    def stored(self) -> list[Sample]:
        rows = self._execute("SELECT tag, coalesce(text, value), time, quality FROM history")
        return [Sample(*row) for row in rows]

    def refused(self) -> Sample:
        return Sample("contract.refused", "a text with a \0 in it", now_ns())
