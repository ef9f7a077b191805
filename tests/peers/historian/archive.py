"""Tags and values of the historian, in a SQLite file that tests may look into."""

from __future__ import annotations

import re
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

ANALOG, DISCRETE, STRING = 1, 2, 3
_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS Tag (TagName TEXT PRIMARY KEY COLLATE NOCASE, wwTagKey INTEGER,
    TagType INTEGER, AcquisitionType INTEGER, Description TEXT, MaxLength INTEGER);
CREATE TABLE IF NOT EXISTS AnalogTag (TagName TEXT PRIMARY KEY COLLATE NOCASE, EUKey INTEGER,
    RawType INTEGER, MinEU REAL, MaxEU REAL);
CREATE TABLE IF NOT EXISTS TimeZone (TimeZoneID INTEGER PRIMARY KEY, TimeZone TEXT,
    RegistryName TEXT);
INSERT OR IGNORE INTO TimeZone VALUES (1, 'UTC', 'UTC'),
    (2, 'Eastern Standard Time', 'Eastern Standard Time');
CREATE TABLE IF NOT EXISTS EngineeringUnit (EUKey INTEGER PRIMARY KEY, Unit TEXT);
CREATE TABLE IF NOT EXISTS stored (tag TEXT COLLATE NOCASE, time INTEGER, version INTEGER,
    number REAL, text TEXT, quality INTEGER, detail INTEGER, PRIMARY KEY (tag, time, version));
CREATE TABLE IF NOT EXISTS trouble (number INTEGER, text TEXT, severity INTEGER);
"""
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (UTC, as the archive keeps it)


class Point(NamedTuple):
    """A stored value: microseconds UTC and tenths, number or text, OPC quality, quality detail."""

    time: float
    number: float | None
    text: str | None
    quality: int
    detail: int


def micros(moment: datetime) -> int:
    """Naive UTC as microseconds."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment(time: int) -> datetime:
    """Microseconds as naive UTC."""
    return _EPOCH + timedelta(microseconds=time)


def _like(pattern: str, text: str | None) -> bool:
    """LIKE of Transact-SQL, with its sets in brackets, whatever the case."""
    if text is None:
        return False
    parts = re.findall(r"\[\^?[^\]]+\]|.", pattern, re.DOTALL)
    special = {"%": ".*", "_": "."}
    regex = "".join(special.get(p, p if len(p) > 1 else re.escape(p)) for p in parts)
    return re.fullmatch(regex, text, re.IGNORECASE | re.DOTALL) is not None


class Archive:
    """The file.

    Args:
        path: made where missing.
    """

    def __init__(self, path: Path) -> None:
        self.base = sqlite3.connect(path, timeout=30, isolation_level=None)
        self.base.executescript(_SCHEMA)
        self.base.create_function("like", 2, _like, deterministic=True)

    def close(self) -> None:
        self.base.close()

    def create(
        self, name: str, kind: int, *, acquisition: int = 2, unit: str = "", description: str = "",
        whole: bool = False, longest: int = 512,
    ) -> None:  # fmt: skip
        key = self.base.execute("SELECT count(*) FROM Tag").fetchone()[0] + 1
        self.base.execute(
            "INSERT INTO Tag VALUES (?, ?, ?, ?, ?, ?)",
            (name, key, kind, acquisition, description, longest),
        )
        if kind == ANALOG:
            known = self.base.execute("SELECT EUKey FROM EngineeringUnit WHERE Unit = ?", (unit,))
            row = known.fetchone()
            if row is None:
                cursor = self.base.execute("INSERT INTO EngineeringUnit (Unit) VALUES (?)", (unit,))
                row = (cursor.lastrowid,)
            self.base.execute(
                "INSERT INTO AnalogTag VALUES (?, ?, ?, -1e9, 1e9)",
                (name, row[0], 3 if whole else 2),
            )

    def tag(self, name: str) -> dict[str, Any] | None:
        row = self.base.execute(
            "SELECT TagName, TagType, AcquisitionType, MaxLength, wwTagKey FROM Tag "
            "WHERE TagName = ?", (name,),
        ).fetchone()  # fmt: skip
        keys = ("name", "kind", "acquisition", "longest", "key")
        return None if row is None else dict(zip(keys, row, strict=True))

    def names(self) -> list[str]:
        return [row[0] for row in self.base.execute("SELECT TagName FROM Tag ORDER BY wwTagKey")]

    def has(self, name: str, time: int) -> bool:
        """Whether there is a value of that moment."""
        found = self.base.execute("SELECT 1 FROM stored WHERE tag = ? AND time = ?", (name, time))
        return found.fetchone() is not None

    def put(self, name: str, point: Point, *, latest: bool = False) -> None:
        self.base.execute(
            "INSERT OR REPLACE INTO stored VALUES (?, ?, ?, ?, ?, ?, ?)",
            (name, point.time, int(latest), point.number, point.text, point.quality, point.detail),
        )

    def points(
        self, name: str, *, until: int = 2**62, original: bool = False, since: int | None = None
    ) -> list[Point]:
        """Everything up to a time, of each moment the version asked for, oldest first.

        With `since` only what is needed of the past: the last value before it.
        """
        first = -(2**62)
        if since is not None:
            row = self.base.execute(
                "SELECT max(time) FROM stored WHERE tag = ? AND time < ?", (name, since)
            ).fetchone()
            first = since if row[0] is None else row[0]
        rows = self.base.execute(
            "SELECT time, number, text, quality, detail, version FROM stored "
            "WHERE tag = ? AND time <= ? AND time >= ? ORDER BY time, version",
            (name, until, first),
        )
        found: dict[int, Point] = {}
        for time, number, text, quality, detail, version in rows:
            if original and version and time in found:
                continue
            found[time] = Point(time, number, text, quality, detail)
        return list(found.values())
