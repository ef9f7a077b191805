"""What the rigs of PostgreSQL and TimescaleDB share: a narrow table, made and read by plain SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gl002.model import Sample, Value, now_ns
from gl002.testing.link import Link
from gl002.testing.rig import Rig
from peers.postgresql import PostgreSQL
from peers.timescale import Timescale

_TABLES = """
CREATE TABLE samples (
    time timestamptz, tag text, value double precision, text text, quality bigint NOT NULL,
    PRIMARY KEY (tag, time)
);
CREATE TABLE gl002_tag (name text PRIMARY KEY, unit text NOT NULL DEFAULT '',
    description text NOT NULL DEFAULT '', type text);
"""
_VALUES: Mapping[str, Value] = {
    "boiler1.steam_flow": 12.625,
    "boiler1.starts": 41,
    "boiler1.running": True,
    "boiler1.mode": "auto ✓",
}
_BAD_CONFIGS = [
    ({}, "host"),
    ({"host": "h", "database": "d"}, "user"),
    ({"hosst": "h", "database": "d", "user": "u"}, "did you mean 'host'"),
    ({"host": "h", "database": "d", "user": "u", "port": 0}, "port"),
    ({"host": "h", "database": "d", "user": "u", "table": "a;b"}, "no name of a table"),
    ({"host": "h", "database": "d", "user": "u", "table": "x" * 64}, "63 bytes"),
    ({"host": "h", "database": "d", "user": "u", "timeout": 0}, "timeout"),
    ({"host": "h", "database": "d", "user": "u", "max_connections": 0}, "max_connections"),
    ({"host": "h", "database": "d", "user": "u", "tls": {"verify": False}}, "unknown key 'verify'"),
    ({"host": "h", "database": "d", "user": "u", "tls": True}, "tls"),
    ({"url": "http://u:p@h/d"}, "expected postgresql://"),
    ({"url": "postgresql://u:p@h:99999/d"}, "port"),
    ({"url": "postgresql://u:p@h/d", "host": "other"}, "say the same thing"),
    ({"url": "postgresql://u:p@h/d?options=-c%20fsync=off"}, "'options' is not known"),
]


class NarrowTableRig(Rig):
    """One server; what it holds is put there and looked at without our connector."""

    tells_again = False
    unknown = "boiler1.absent"

    def __init__(self, peer: PostgreSQL | Timescale) -> None:
        self.readable = dict(_VALUES)
        self.bad_configs = _BAD_CONFIGS
        self.peer = peer
        self.link = Link(peer.port)

    def start(self) -> None:
        self.peer.start()
        for statement in _TABLES.split(";\n"):
            if statement.strip():
                self.peer.execute(statement)
        for address, value in self.readable.items():
            self.set(address, value)
        self.link.start()

    def stop(self) -> None:
        self.link.stop()
        self.peer.stop()

    def config(self, **changes: Any) -> dict[str, Any]:
        return {**self.peer.config, "port": self.link.port, **changes}

    def restart(self) -> None:
        self.peer.restart()

    def freeze(self) -> None:
        self.peer.freeze()

    def thaw(self) -> None:
        self.peer.thaw()

    def set(self, address: str, value: Value) -> None:
        text = value if isinstance(value, str) else None
        number = float(value) if isinstance(value, int | float) else None
        self.peer.execute(
            "INSERT INTO gl002_tag (name, type) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            (address, type(value).__name__),
        )
        self.peer.execute(
            "INSERT INTO samples (time, tag, value, text, quality) "
            "VALUES (clock_timestamp(), %s, %s, %s, 0)",
            (address, number, text),
        )

    def seen(self, address: str) -> Value:
        newest = max((s for s in self.stored() if s.tag == address), key=lambda s: s.time)
        return newest.value

    def stored(self) -> list[Sample]:
        rows = self.peer.execute(
            "SELECT tag, value, text, (extract(epoch FROM time) * 1000000)::bigint, quality, type "
            "FROM samples LEFT JOIN gl002_tag ON name = tag"
        )
        return [
            Sample(tag, _value(number, text, kind), micros * 1000, quality)
            for tag, number, text, micros, quality, kind in rows
        ]

    def refused(self) -> Sample:
        return Sample("contract.refused", "a text with a \0 in it", now_ns())


def _value(number: float | None, text: str | None, kind: str) -> Value:
    if number is None:
        return text
    return {"bool": bool, "int": int}.get(kind, float)(number)
