"""The PI rig: our PI Web API in front of an archive, behind a fault link.

What is in the archive is put there and looked at through its file, not through the API.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import unquote

from gl002.model import Quality, Sample, Value, now_ns
from gl002.testing.link import Link
from gl002.testing.rig import Rig
from peers.pi_web_api import PiWebApi

_POINTS: Mapping[str, tuple[str, Value]] = {
    "BA:BOILER1.STEAM_FLOW": ("Float64", 12.625),
    "BA:BOILER1.STARTS": ("Int32", 41),
    "BA:BOILER1.NOTE": ("String", "läuft ✓"),
    "BA:BOILER1.MODE": ("Digital", "Auto"),
}
_STATES = {
    "Bad Input": Quality.BAD, "No Data": Quality.BAD_NO_DATA,
    "I/O Timeout": Quality.BAD_NO_COMMUNICATION,
}  # fmt: skip
_MILLISECOND = 1_000_000
_BAD_CONFIGS = [
    ({}, "server"),
    ({"server": ""}, "server"),
    ({"server": "ftp://pi"}, "http://"),
    ({"server": "pi", "usernam": "u"}, "did you mean 'username'"),
    ({"server": "pi", "username": "u"}, "a username and a password"),
    ({"server": "pi", "password": "p"}, "a username and a password"),
    ({"server": "pi", "authentication": "bearer"}, "takes a token"),
    ({"server": "pi", "authentication": "kerberos"}, "negotiate"),
    ({"server": "pi", "authentication": "negotiate", "username": "u"}, "or neither"),
    ({"server": "http://pi.plant.example", "username": "u", "password": "p"}, "in clear"),
    ({"server": "https://u:p@pi.plant.example/piwebapi"}, "keys of its own"),
    ({"server": "pi", "timeout": 0}, "timeout"),
    ({"server": "pi", "batch_size": 0}, "batch_size"),
    ({"server": "pi", "tls": {"verify": False}}, "unknown key 'verify'"),
]


class PISystemRig(Rig):
    """Points of every type; what the suite stores makes points of its own."""

    has_account = True
    kind: ClassVar[str] = "pi_system"
    writable = "BA:BOILER1.SETPOINT"
    unknown = "BA:BOILER1.ABSENT"
    browse_from = "BA:"
    output = {"destination": "pi_system", "create_points": True}  # noqa: RUF012 (declared so in Rig)
    gaps: ClassVar = {
        "test_quality_and_the_absence_of_a_value_arrive": "PI has one flag for doubt, "
        "Questionable, and not which kind of doubt it is",
    }

    def __init__(self) -> None:
        self.readable = {name: value for name, (_, value) in _POINTS.items()}
        self.input = {
            "source": "pi_system", "tags": list(_POINTS), "interval": 0.02,
        }  # fmt: skip
        self.bad_configs = _BAD_CONFIGS
        self.peer = PiWebApi()
        self.link = Link(self.peer.port)

    def start(self) -> None:
        self.peer.start()
        for name, (kind, value) in _POINTS.items():
            self.peer.create(name, kind, digital_set="Modes" if kind == "Digital" else "")
            self.peer.set(name, value)
        self.peer.create(self.writable, "Float64")
        self.peer.set(self.writable, 485.0)
        self.link.start()

    def stop(self) -> None:
        self.link.stop()
        self.peer.stop()

    def config(self, **changes: Any) -> dict[str, Any]:
        here = {k: v for k, v in self.peer.config.items() if k != "server"}
        return {"server": f"http://127.0.0.1:{self.link.port}/piwebapi", **here, **changes}

    def wrong_credentials(self) -> dict[str, Any]:
        return self.config(password="wrong-canary-0815")

    def restart(self) -> None:
        self.peer.restart()

    def freeze(self) -> None:
        self.peer.freeze()

    def thaw(self) -> None:
        self.peer.thaw()

    def set(self, address: str, value: Value) -> None:
        self.peer.set(address, value)

    def seen(self, address: str) -> Value:
        value: Value = self.peer.value(address)
        return value

    def stored(self) -> list[Sample]:
        return [
            _sample(row)
            for row in self.peer.rows()
            if row[0] not in {*_POINTS, self.writable} and '"Pt Created"' not in row[2]
        ]

    def refused(self) -> Sample:
        return Sample("contract.refused", "x" * 1000, now_ns())


class PIOMFRig(PISystemRig):
    """The same, with samples on their way in as OMF messages."""

    output = {"destination": "pi_system", "through": "omf"}  # noqa: RUF012 (declared so in Rig)


def _sample(row: tuple[str, int, str, bool, bool]) -> Sample:
    """A row of the archive; whole milliseconds are all that the suite uses."""
    name, tick, text, questionable, _ = row
    time = (tick * 1_000_000_000 // 65536 + _MILLISECOND // 2) // _MILLISECOND * _MILLISECOND
    value = json.loads(text)
    if isinstance(value, dict):
        return Sample(unquote(name), None, time, int(_STATES[value["Name"]]))
    quality = Quality.UNCERTAIN if questionable else Quality.GOOD
    return Sample(unquote(name), value, time, int(quality))
