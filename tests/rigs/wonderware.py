"""The Wonderware rig: our historian behind its TDS, behind a fault link.

What is in the archive is put there and looked at through its file, not through SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from gl002.model import Sample, Value, now_ns
from gl002.testing.link import Link
from gl002.testing.rig import Rig
from gl002.wire.opc_classic import to_ua
from peers.wonderware import ANALOG, DISCRETE, STRING, Wonderware

_TAGS: Mapping[str, tuple[int, Value, bool]] = {
    "Boiler1.SteamFlow": (ANALOG, 12.625, False),
    "Boiler1.Starts": (ANALOG, 41, True),
    "Boiler1.Note": (STRING, "läuft ✓", False),
    "Boiler1.BurnerOn": (DISCRETE, True, False),
}
_BAD_CONFIGS = [
    ({}, "server"),
    ({"server": ""}, "server"),
    ({"server": "hist\\INST"}, "TCP port"),
    ({"server": "hist", "usernam": "u"}, "did you mean 'username'"),
    ({"server": "hist", "username": "u"}, "a username and a password"),
    ({"server": "hist", "integrated_security": False}, "a username and a password"),
    ({"server": "hist", "integrated_security": True, "username": "u"}, "or neither"),
    ({"server": "hist:1433", "port": 1433}, "keep one"),
    ({"server": "hist", "database": "Run]time"}, "database"),
    ({"server": "hist", "timeout": 0}, "timeout"),
    ({"server": "hist", "max_rows": 0}, "max_rows"),
    ({"server": "hist", "tls": {"min_version": "1.3"}}, "TLS 1.2"),
    ({"server": "hist", "tls": {"verify": False}}, "unknown key 'verify'"),
]


class WonderwareRig(Rig):
    """Tags of every kind; what the suite stores makes tags of its own."""

    has_account = True
    kind: ClassVar[str] = "wonderware"
    writable = "Boiler1.SetPoint"
    unknown = "Boiler1.Absent"
    browse_from = "Boiler1."
    tells_again = False
    output = {"destination": "wonderware", "create_tags": True}  # noqa: RUF012 (declared so in Rig)

    def __init__(self) -> None:
        self.readable = {name: value for name, (_, value, _w) in _TAGS.items()}
        self.input = {
            "source": "wonderware", "tags": list(_TAGS), "interval": 0.02, "lookback": 0,
        }  # fmt: skip
        self.bad_configs = _BAD_CONFIGS
        self.peer = Wonderware()
        self.link = Link(self.peer.port)

    def start(self) -> None:
        self.peer.start()
        for name, (kind, value, whole) in _TAGS.items():
            self.peer.create(name, kind, acquisition=1, whole=whole)
            self.peer.set(name, value)
        self.peer.create(self.writable)
        self.peer.set(self.writable, 485.0)
        self.link.start()

    def stop(self) -> None:
        self.link.stop()
        self.peer.stop()

    def config(self, **changes: Any) -> dict[str, Any]:
        return {**self.peer.config, "server": f"127.0.0.1:{self.link.port}", **changes}

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
        return self.peer.newest(address).number

    def stored(self) -> list[Sample]:
        return [
            Sample(name, number if text is None else text, time * 1000, to_ua(quality))
            for name, time, number, text, quality in self.peer.rows()
            if name not in {*_TAGS, self.writable}
        ]

    def refused(self) -> Sample:
        return Sample("contract.refused", "x" * 1000, now_ns())
