"""The InfluxDB rig: the vendor's server of generation 1, as Debian has it, behind a fault link."""

from __future__ import annotations

from typing import Any, ClassVar

from gl002.model import Sample, Value, now_ns
from gl002.testing.link import Link
from gl002.testing.rig import Rig
from gl002.wire.influx_sample import SampleLines
from peers.influxdb import InfluxDB

_U = "http://h:8086"


class InfluxDBRig(Rig):
    """The measurement 'samples' holds what is readable, and what the suite writes."""

    has_account = True
    kind: ClassVar[str] = "influxdb"
    readable = {  # noqa: RUF012 (declared so in Rig)
        "boiler1.steam_flow": 12.625,
        "boiler1.starts": 41,
        "boiler1.running": True,
        "boiler1.mode": "auto ✓",
    }
    unknown = "boiler1.absent"
    browse_from = "boiler1."
    input = {"source": "influxdb", "interval": 0.05, "overlap": 5}  # noqa: RUF012 (as above)
    output = {"destination": "influxdb"}  # noqa: RUF012 (as above)
    bad_configs = (
        ({}, "url"),
        ({"url": "h:8086"}, "begins with http"),
        ({"url": "http://me:secret@h:8086"}, "holds a user"),
        ({"url": f"{_U}/?bucket=a", "bucket": "b"}, "say the same thing"),
        ({"url": f"{_U}/?buckt=a"}, "'buckt' is not known"),
        ({"url": _U, "buckett": "b"}, "did you mean 'bucket'"),
        ({"url": _U, "bucket": ""}, "bucket"),
        ({"url": _U, "api": "v4"}, "api"),
        ({"url": _U, "username": "u", "password": "p"}, "v2 has no user name"),
        ({"url": _U, "api": 1, "username": "u"}, "both username and password"),
        ({"url": _U, "precision": "h"}, "precision"),
        ({"url": _U, "measurement": "#x"}, "begins with '#'"),
        ({"url": _U, "timeout": 0}, "timeout"),
        ({"url": _U, "tls": True}, "plain"),
        ({"url": "https://h", "tls": {"verify": False}}, "unknown key 'verify'"),
    )

    def __init__(self) -> None:
        self.peer = InfluxDB()
        self.link = Link(self.peer.port)
        self._lines = SampleLines("samples")

    def start(self) -> None:
        self.peer.start()
        for address, value in self.readable.items():
            self.set(address, value)
        self.link.start()

    def stop(self) -> None:
        self.link.stop()
        self.peer.stop()

    def config(self, **changes: Any) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.link.port}"
        return {**self.peer.config, "url": url, "timeout": 5, **changes}

    def restart(self) -> None:
        self.peer.restart()

    def freeze(self) -> None:
        self.peer.freeze()

    def thaw(self) -> None:
        self.peer.thaw()

    def wrong_credentials(self) -> dict[str, Any]:
        return self.config(password="wrong-canary-0815")

    def set(self, address: str, value: Value) -> None:
        self.peer.write(self._lines.line(Sample(address, value, now_ns())))

    def seen(self, address: str) -> Value:
        newest = max((s for s in self.stored() if s.tag == address), key=lambda s: s.time)
        return newest.value

    def stored(self) -> list[Sample]:
        rows = self.peer.query('SELECT * FROM "samples" GROUP BY *')
        return [
            Sample(row["tag"], _value(row), row["time"], row["quality"])
            for row in rows
        ]  # fmt: skip

    def refused(self) -> Sample:
        return Sample("contract.refused", "a text with a \0 in it", now_ns())


def _value(row: dict[str, Any]) -> Value:
    """By the fields' names alone: JSON does not tell 1 from 1.0."""
    for name, kind in (("bool", bool), ("int", int), ("text", str), ("value", float)):
        if row.get(name) is not None:
            return kind(row[name])
    return None
