"""A Data Archive in one SQLite file: points, their values, digital state sets.

Every change is in the file before it is answered, so that a server that is killed has lost nothing
it had confirmed. Rigs and tests look into the file without the server.
"""

from __future__ import annotations

import json
import sqlite3
import struct
import uuid
from pathlib import Path
from typing import Any, NamedTuple

from peers.pi import times

SERVER = "PISRV01"
SERVER_ID = uuid.UUID("7d3c9e7e-7b70-4a58-9f1e-53f1a1c2b3d4")
SETS = {
    "Modes": ["Manual", "Auto", "Remote"],
    "OffOn": ["Off", "On"],
}
SYSTEM = {
    210: "Access Denied", 215: "Equip Fail", 233: "DCS failed", 238: "Scan Off", 240: "Configure",
    241: "Failed", 246: "I/O Timeout", 247: "Set to Bad", 248: "No Data", 249: "Calc Failed",
    251: "Under Range", 252: "Over Range", 253: "Pt Created", 254: "Shutdown", 255: "Bad Input",
}  # fmt: skip
"""States of the SYSTEM set by number (AF SDK Reference, AFSystemStateCode)."""
TYPES = {"Float16", "Float32", "Float64", "Int16", "Int32", "String", "Digital", "Timestamp"}
_FORBIDDEN = set("*'?;{}[]|\\`\"")  # in names of points
_RANGES = {"Int16": 2**15, "Int32": 2**31}
_SCHEMA = """
CREATE TABLE IF NOT EXISTS point (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE COLLATE NOCASE, type TEXT,
    digital_set TEXT,
    descriptor TEXT, unit TEXT, class TEXT, step INTEGER, future INTEGER
);
CREATE TABLE IF NOT EXISTS event (
    point INTEGER, tick INTEGER, value TEXT, questionable INTEGER, substituted INTEGER
);
CREATE TABLE IF NOT EXISTS kept (kind TEXT, name TEXT, content TEXT, PRIMARY KEY (kind, name));
CREATE INDEX IF NOT EXISTS event_by_time ON event (point, tick);
"""


class Refused(Exception):
    """What the archive does not take."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Point(NamedTuple):
    id: int
    name: str
    type: str
    digital_set: str
    descriptor: str
    unit: str
    cls: str
    step: bool
    future: bool

    @property
    def path(self) -> str:
        return f"\\\\{SERVER}\\{self.name}"

    @property
    def numeric(self) -> bool:
        return self.type.startswith(("Float", "Int"))


class Event(NamedTuple):
    tick: int
    value: Any
    questionable: bool = False
    substituted: bool = False

    @property
    def good(self) -> bool:
        return not (isinstance(self.value, dict) and self.value["IsSystem"])


def _same(one: str, other: str) -> bool:
    """Letter by letter, as .NET compares without regard to case: a sharp s is no SS."""
    return len(one) == len(other) and all(
        a == b or a.upper() == b.upper() for a, b in zip(one, other, strict=True)
    )


class Archive:
    """The file and what may be done to it."""

    def __init__(self, file: Path) -> None:
        self._file = sqlite3.connect(
            file, isolation_level=None, check_same_thread=False, timeout=20
        )
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=OFF")
        self._file.executescript(_SCHEMA)

    def close(self) -> None:
        self._file.close()

    def keep(self, kind: str, name: str, content: dict[str, Any]) -> None:
        """Remember something beside points: definitions of OMF."""
        row = kind, name, json.dumps(content)
        self._file.execute("INSERT OR REPLACE INTO kept VALUES (?, ?, ?)", row)

    def kept(self, kind: str) -> dict[str, dict[str, Any]]:
        rows = self._file.execute("SELECT name, content FROM kept WHERE kind = ?", (kind,))
        return {name: json.loads(content) for name, content in rows}

    # ---- points -----------------------------------------------------------------------------

    def point(self, name: str) -> Point | None:
        row = self._file.execute("SELECT * FROM point WHERE name = ?", (name,)).fetchone()
        if row is None and not name.isascii():  # SQLite's NOCASE knows the letters of ASCII alone
            rows = self._file.execute("SELECT * FROM point")
            row = next((row for row in rows if _same(row[1], name)), None)
        return Point(*row) if row else None

    def by_id(self, number: int) -> Point | None:
        row = self._file.execute("SELECT * FROM point WHERE id = ?", (number,)).fetchone()
        return Point(*row) if row else None

    def points(self, pattern: str, start: int, count: int) -> list[Point]:
        glob = pattern.lower() or "*"
        rows = self._file.execute(
            "SELECT * FROM point WHERE lower(name) GLOB ? ORDER BY name LIMIT ? OFFSET ?",
            (glob, count, start),
        )
        return [Point(*row) for row in rows]

    def create(
        self,
        name: str,
        kind: str = "Float32",
        *,
        digital_set: str = "",
        descriptor: str = "",
        unit: str = "",
        cls: str = "classic",
        step: bool = False,
        future: bool = False,
    ) -> Point:
        if not name or len(name) > 1023 or set(name) & _FORBIDDEN or name[0].isspace():
            raise Refused(f"[-12001] The tag name '{name}' is invalid.")
        if kind not in TYPES:
            raise Refused(f"PointType '{kind}' is not supported.")
        if kind == "Digital" and digital_set not in SETS:
            raise Refused(f"[-12048] Digital state set '{digital_set}' not found.")
        if self.point(name) is not None:
            raise Refused(f"[-10550] PI Point already exists '{name}'.", 409)
        self._file.execute(
            "INSERT INTO point (name, type, digital_set, descriptor, unit, class, step, future) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (name, kind, digital_set, descriptor, unit, cls, step, future),
        )
        made = self.point(name)
        assert made is not None
        self._file.execute(
            "INSERT INTO event VALUES (?, ?, ?, 0, 0)",
            (made.id, times.now(), json.dumps(system_state(253))),
        )
        return made

    def delete(self, name: str) -> None:
        point = self.point(name)
        assert point is not None, name
        self._file.execute("DELETE FROM event WHERE point = ?", (point.id,))
        self._file.execute("DELETE FROM point WHERE id = ?", (point.id,))

    # ---- values -----------------------------------------------------------------------------

    def snapshot(self, point: Point) -> Event:
        row = self._file.execute(
            "SELECT tick, value, questionable, substituted FROM event WHERE point = ? "
            "ORDER BY tick DESC, rowid DESC LIMIT 1",
            (point.id,),
        ).fetchone()
        return _event(row) if row else Event(times.now(), system_state(248))

    def recorded(self, point: Point, start: int, end: int, count: int) -> list[Event]:
        """Values with start <= tick <= end; newest first where end is before start."""
        order = "ASC" if start <= end else "DESC"
        rows = self._file.execute(
            "SELECT tick, value, questionable, substituted FROM event WHERE point = ? AND tick "
            f"BETWEEN ? AND ? ORDER BY tick {order}, rowid {order} LIMIT ?",
            (point.id, min(start, end), max(start, end), count),
        )
        return [_event(row) for row in rows]

    def before(self, point: Point, tick: int) -> Event | None:
        row = self._file.execute(
            "SELECT tick, value, questionable, substituted FROM event WHERE point = ? "
            "AND tick <= ? ORDER BY tick DESC, rowid DESC LIMIT 1",
            (point.id, tick),
        ).fetchone()
        return _event(row) if row else None

    def after(self, point: Point, tick: int) -> Event | None:
        row = self._file.execute(
            "SELECT tick, value, questionable, substituted FROM event WHERE point = ? "
            "AND tick > ? ORDER BY tick ASC, rowid ASC LIMIT 1",
            (point.id, tick),
        ).fetchone()
        return _event(row) if row else None

    def interpolated(self, point: Point, tick: int) -> Event:
        """The value at a time: on the line between its neighbours, or the last one."""
        left, right = self.before(point, tick), self.after(point, tick)
        if left is None:
            return Event(tick, system_state(248))
        numeric = (
            point.numeric and not point.step and right is not None and left.good and right.good
        )
        if not numeric or left.tick == tick or right is None:
            return Event(tick, left.value, left.questionable, left.substituted)
        share = (tick - left.tick) / (right.tick - left.tick)
        return Event(tick, left.value + share * (right.value - left.value), left.questionable)

    def update(self, point: Point, event: Event, option: str) -> None:
        """Add or change one value (AF SDK Reference, AFUpdateOption)."""
        value = self.coerced(point, event.value)
        there = self._file.execute(
            "SELECT rowid FROM event WHERE point = ? AND tick = ? ORDER BY rowid DESC LIMIT 1",
            (point.id, event.tick),
        ).fetchone()
        if option == "Remove":
            if there:
                self._file.execute("DELETE FROM event WHERE rowid = ?", there)
            return
        if there and option in {"Replace", "ReplaceOnly"}:
            self._file.execute(
                "UPDATE event SET value = ?, questionable = ?, substituted = 1 WHERE rowid = ?",
                (json.dumps(value), event.questionable, *there),
            )
        elif option == "ReplaceOnly" or (there and option == "NoReplace"):
            return
        else:
            self._file.execute(
                "INSERT INTO event VALUES (?, ?, ?, ?, ?)",
                (point.id, event.tick, json.dumps(value), event.questionable, event.substituted),
            )

    def begin(self) -> None:
        self._file.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._file.execute("COMMIT")

    def coerced(self, point: Point, value: Any) -> Any:
        """The value as the point keeps it."""
        if isinstance(value, dict):
            return _state(point, value)
        if point.type == "Digital":
            return _digital(point, value)
        if point.type == "String":
            if not isinstance(value, str) or len(value) > 976:
                raise Refused("[-11059] The value is not a string of at most 976 characters.")
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Refused(f"[-11057] The value '{value}' can not be converted to {point.type}.")
        return _number(point, value)


def _number(point: Point, value: float) -> float:
    if point.type in _RANGES:
        limit = _RANGES[point.type]
        if not -limit <= round(value) < limit:
            raise Refused(f"[-11046] The value '{value}' is out of range for {point.type}.")
        return round(value)
    if point.type == "Float64":
        return float(value)
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        raise Refused(f"[-11046] The value '{value}' is out of range for {point.type}.") from None


def _state(point: Point, value: dict[str, Any]) -> dict[str, Any]:
    if value.get("IsSystem"):
        number = value.get("Value")
        if number not in SYSTEM or value.get("Name") not in {None, SYSTEM[number]}:
            raise Refused(f"[-11112] There is no system digital state {value}.")
        return system_state(int(number))
    if point.type != "Digital":
        raise Refused(f"[-11057] An enumeration value can not be converted to {point.type}.")
    return _digital(point, value.get("Value", value.get("Name")))


def _digital(point: Point, value: Any) -> dict[str, Any]:
    names = SETS[point.digital_set]
    if isinstance(value, str) and value in names:
        return {"Name": value, "Value": names.index(value), "IsSystem": False}
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
        return {"Name": names[value], "Value": value, "IsSystem": False}
    raise Refused(f"[-11112] Digital state '{value}' not found in set '{point.digital_set}'.")


def system_state(number: int) -> dict[str, Any]:
    return {"Name": SYSTEM[number], "Value": number, "IsSystem": True}


def _event(row: tuple[Any, ...]) -> Event:
    tick, value, questionable, substituted = row
    return Event(tick, json.loads(value), bool(questionable), bool(substituted))
